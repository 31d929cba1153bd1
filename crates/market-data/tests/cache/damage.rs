//! Files that are not as they were written.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forecastle_core::{CandleSeries, Timestamp};
use forecastle_market_data::{
    CacheError, CacheFormat, CacheKey, CandleCache, Clock, FetchedPage, FillReport, SeriesMetadata,
};

use crate::{formats, forward, key_of, later, run, truth, whole};

/// A cache with five files of a hundred candles, holes of coverage between them.
fn stocked(root: &Path, format: CacheFormat, truth: &CandleSeries) -> CandleCache {
    let cache = CandleCache::open(root, format).unwrap();
    for page in pages(truth) {
        cache.append(&key_of(truth), page.covered, &page.candles, later()).unwrap();
    }
    assert_eq!(cache.summary(&key_of(truth)).unwrap().unwrap().files, 5);
    cache
}

fn pages(truth: &CandleSeries) -> Vec<FetchedPage> {
    let time = |row: usize| truth.view().open_time()[row];
    (0..5).map(|n| forward(truth, time(n * 110)..time(n * 110 + 100), 1_000)).collect()
}

fn folder(cache: &CandleCache, truth: &CandleSeries) -> PathBuf {
    cache.root().join(key_of(truth).folder())
}

/// The files of candles, in increasing time.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "csv" || e == "parquet"));
    files.sort();
    files
}

fn refill(cache: &CandleCache, truth: &CandleSeries) -> (FillReport, Vec<Range<Timestamp>>) {
    let clock: Clock = Arc::new(later);
    let mut asked = Vec::new();
    let key = key_of(truth);
    let filled = cache.fill(&key, whole(truth), &clock, |hole| {
        asked.push(hole.clone());
        let page = forward(truth, hole, usize::MAX);
        Box::pin(async move { Ok::<_, CacheError>(page) })
    });
    (run(filled).unwrap(), asked)
}

#[test]
fn a_damaged_file_is_set_aside_and_only_its_time_is_missing_again() {
    let truth = truth(600);
    let key = key_of(&truth);
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("a flipped bit", |path| {
            let mut bytes = fs::read(path).unwrap();
            let at = bytes.len() / 3;
            bytes[at] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("a torn end", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 20]).unwrap();
        }),
        ("nothing in it", |path| fs::write(path, "").unwrap()),
        ("another file's candles", |path| {
            let other = segments(path.parent().unwrap()).remove(0);
            fs::copy(other, path).unwrap();
        }),
        ("gone", |path| fs::remove_file(path).unwrap()),
    ];
    for format in formats() {
        for (name, damage) in damages {
            for reopened in [false, true] {
                let root = tempfile::tempdir().unwrap();
                let mut cache = stocked(root.path(), format, &truth);
                let folder = folder(&cache, &truth);
                damage(&segments(&folder)[2]);
                if reopened {
                    cache = CandleCache::open(root.path(), format).unwrap();
                }
                let page = pages(&truth).remove(2);
                let read = cache.read(&key, page.covered.clone()).unwrap();
                assert_eq!(read.series.len(), 0, "{name}");
                assert_eq!(read.uncovered, std::slice::from_ref(&page.covered), "{name}");
                assert_eq!(read.quarantined.len(), 1, "{name}");
                assert_eq!(read.quarantined[0].covered, page.covered, "{name}");
                assert_eq!(segments(&folder).len(), 4, "{name}");
                assert_eq!(cache.read(&key, page.covered.clone()).unwrap().quarantined, []);

                let (report, asked) = refill(&cache, &truth);
                assert!(asked.iter().any(|hole| hole.contains(&page.covered.start)));
                assert_eq!((report.cached, report.fetched), (400, 200), "{name}");
                assert_eq!(cache.read(&key, whole(&truth)).unwrap().series, truth, "{name}");
            }
        }
    }
}

#[test]
fn a_download_finds_damage_by_itself_and_counts_it() {
    let truth = truth(600);
    for format in formats() {
        let root = tempfile::tempdir().unwrap();
        let cache = stocked(root.path(), format, &truth);
        let path = segments(&folder(&cache, &truth)).remove(4);
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 4;
        fs::write(&path, bytes).unwrap();
        let (report, _) = refill(&cache, &truth);
        assert_eq!((report.cached, report.fetched, report.stored), (400, 200, 200));
        let [quarantined] = report.quarantined.as_slice() else { panic!("{report:?}") };
        assert!(quarantined.file.to_string_lossy().ends_with(".quarantined"));
        assert!(quarantined.file.exists());
        assert_eq!(cache.read(&key_of(&truth), whole(&truth)).unwrap().series, truth);
        assert_eq!(refill(&cache, &truth).1, []);
    }
}

#[test]
fn a_damaged_or_lost_manifest_is_made_again_from_the_files() {
    let truth = truth(600);
    let key = key_of(&truth);
    for (name, text) in [("garbage", Some("{\"format\"")), ("empty", Some("")), ("gone", None)] {
        let root = tempfile::tempdir().unwrap();
        let before = stocked(root.path(), CacheFormat::Csv, &truth);
        let manifest = folder(&before, &truth).join("_manifest.json");
        let expected = before.read(&key, whole(&truth)).unwrap();
        match text {
            Some(text) => fs::write(&manifest, text).unwrap(),
            None => fs::remove_file(&manifest).unwrap(),
        }
        let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
        let read = cache.read(&key, whole(&truth)).unwrap();
        assert_eq!(
            (&read.series, &read.uncovered),
            (&expected.series, &expected.uncovered),
            "{name}"
        );
        assert_eq!(read.quarantined.len(), usize::from(text.is_some()), "{name}");
        assert_eq!(cache.read(&key, whole(&truth)).unwrap(), expected, "{name}");
    }
}

#[test]
fn the_manifest_of_a_newer_version_is_refused_and_left_alone() {
    let truth = truth(600);
    let key = key_of(&truth);
    let root = tempfile::tempdir().unwrap();
    let cache = stocked(root.path(), CacheFormat::Csv, &truth);
    let path = folder(&cache, &truth).join("_manifest.json");
    let newer = fs::read_to_string(&path).unwrap().replace("\"version\":1", "\"version\":12");
    fs::write(&path, &newer).unwrap();
    let page = pages(&truth).remove(0);
    let errors = [
        cache.read(&key, whole(&truth)).unwrap_err(),
        cache.missing(&key, whole(&truth)).unwrap_err(),
        cache.append(&key, page.covered, &page.candles, later()).unwrap_err(),
        cache.compact(&key).unwrap_err(),
    ];
    for error in errors {
        let expected =
            format!("{} has format version 12, this build reads up to 1", path.display());
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    assert_eq!(segments(path.parent().unwrap()).len(), 5);
}

#[test]
fn the_folder_of_another_series_is_refused() {
    let truth = truth(600);
    let root = tempfile::tempdir().unwrap();
    let cache = stocked(root.path(), CacheFormat::Csv, &truth);
    let other = CacheKey::new("simulator", "ETH/USDT".parse().unwrap(), truth.timeframe()).unwrap();
    fs::rename(folder(&cache, &truth), root.path().join(other.folder())).unwrap();
    let error = cache.read(&other, whole(&truth)).unwrap_err();
    assert!(matches!(error, CacheError::Foreign { .. }), "{error}");
    assert!(error.to_string().ends_with(
        "_manifest.json belongs to simulator SIMULATED/USDT 1m, not to simulator ETH/USDT 1m"
    ));
}

#[test]
fn foreign_files_beside_the_candles_are_left_alone() {
    let truth = truth(600);
    let root = tempfile::tempdir().unwrap();
    let folder = folder(&stocked(root.path(), CacheFormat::Csv, &truth), &truth);
    for name in ["notes.txt", "my_candles.csv", "0000000001_5_6_1_00000000.csv"] {
        fs::write(folder.join(name), "time,open,high,low,close\n1,2,3,4,5\n").unwrap();
    }
    // This one looks as if it were the cache's own and newer than the manifest.
    let forged = "0000000099_1704067200000_1804067200000_7_00000000.csv";
    fs::write(folder.join(forged), "nonsense").unwrap();
    let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    let read = cache.read(&key_of(&truth), whole(&truth)).unwrap();
    assert_eq!(read.series.len(), 500);
    assert_eq!(read.quarantined.len(), 1);
    assert!(folder.join(format!("{forged}.quarantined")).exists());
    assert!(folder.join("notes.txt").exists() && folder.join("my_candles.csv").exists());
}

#[test]
fn candles_of_another_volume_unit_or_host_are_not_mixed_in() {
    let truth = truth(10);
    let key = key_of(&truth);
    let root = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    let described = |unit: &str, host: Option<&str>| SeriesMetadata {
        volume_unit: Some(unit.to_owned()),
        source_host: host.map(str::to_owned),
    };
    cache.describe(&key, &described("base", None)).unwrap();
    cache.describe(&key, &described("base", Some("api.example"))).unwrap();
    cache.describe(&key, &described("base", None)).unwrap();
    assert_eq!(
        cache.describe(&key, &described("contracts", None)).unwrap_err().to_string(),
        "the cached candles of simulator SIMULATED/USDT 1m have volume unit \"base\", these have \
         \"contracts\""
    );
    assert_eq!(
        cache.describe(&key, &described("base", Some("127.0.0.1:8080"))).unwrap_err().to_string(),
        "the cached candles of simulator SIMULATED/USDT 1m have source \"api.example\", these \
         have \"127.0.0.1:8080\""
    );
    let recorded = cache.summary(&key).unwrap().unwrap().metadata;
    assert_eq!(recorded, described("base", Some("api.example")));
}
