//! What other programs find in a cache's folder.

use std::fs;

use forecastle_core::Candle;
use forecastle_market_data::{
    CacheFormat, CacheKey, CandleCache, ReadOptions, SeriesMetadata, read_candles,
};

use crate::{formats, forward, key_of, later, truth, whole};

#[test]
fn series_lie_in_hive_partitions_and_case_alone_keeps_none_apart() {
    let root = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    let mut keys = Vec::new();
    for symbol in ["BTC/USDT", "BTC/USDT:USDT", "kPEPE/USDT", "KPEPE/USDT", "BTC/USD:BTC-240628"] {
        for timeframe in ["1m", "1M"] {
            let key = CacheKey::new("okx", symbol.parse().unwrap(), timeframe.parse().unwrap());
            keys.push(key.unwrap());
        }
    }
    for key in &keys {
        let unit = Some(key.to_string());
        let metadata = SeriesMetadata { volume_unit: unit, ..Default::default() };
        cache.describe(key, &metadata).unwrap();
    }
    let mut folders: Vec<String> =
        keys.iter().map(|key| key.folder().display().to_string().to_lowercase()).collect();
    folders.sort();
    folders.dedup();
    assert_eq!(folders.len(), keys.len());
    assert!(root.path().join("exchange=okx/timeframe=1%4D/symbol=BTC%2FUSDT%3AUSDT").is_dir());

    fs::create_dir_all(root.path().join("exchange=okx/timeframe=1m/lost+found")).unwrap();
    fs::write(root.path().join("README"), "mine").unwrap();
    let listed = cache.keys().unwrap();
    assert_eq!(listed.len(), keys.len());
    assert!(keys.iter().all(|key| listed.contains(key)));
    for key in &keys {
        let unit = cache.summary(key).unwrap().unwrap().metadata.volume_unit;
        assert_eq!(unit, Some(key.to_string()));
    }
}

#[test]
fn every_candle_stands_in_one_plain_file() {
    let truth = truth(2_000);
    for format in formats() {
        let root = tempfile::tempdir().unwrap();
        let cache = CandleCache::open(root.path(), format).unwrap().with_segment_rows(300).unwrap();
        let key = key_of(&truth);
        while let Some(hole) = cache.missing(&key, whole(&truth)).unwrap().pop() {
            let page = forward(&truth, hole, 37);
            // The pages overlap by a candle, as those of inclusive cursors do.
            let since = page.candles.first().map_or(page.covered.start, Candle::open_time);
            let since = since.checked_add_millis(-60_000).unwrap();
            let page = forward(&truth, since..page.covered.end, 100);
            cache.append(&key, page.covered, &page.candles, later()).unwrap();
        }
        let summary = cache.summary(&key).unwrap().unwrap();
        assert!(summary.files < 25, "{}", summary.files);
        cache.compact(&key).unwrap();
        let mut files: Vec<_> = fs::read_dir(root.path().join(key.folder()))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        files.retain(|path| path.extension().is_some_and(|e| e == format.extension()));
        assert!((6..=10).contains(&files.len()), "{}", files.len());
        let mut rows = 0;
        for file in &files {
            let loaded = read_candles(file, &ReadOptions::default()).unwrap();
            assert!(!loaded.report.is_repaired());
            rows += loaded.series.len();
        }
        assert_eq!(rows, truth.len());
    }
}

#[cfg(feature = "parquet")]
#[test]
fn a_series_changes_its_format_when_it_is_compacted() {
    let truth = truth(500);
    let key = key_of(&truth);
    let root = tempfile::tempdir().unwrap();
    let endings = || {
        let entries = fs::read_dir(root.path().join(key.folder())).unwrap();
        let mut endings: Vec<String> = entries
            .filter_map(|e| e.unwrap().path().extension()?.to_str().map(str::to_owned))
            .filter(|ending| ending != "json")
            .collect();
        endings.dedup();
        endings
    };
    let page = forward(&truth, whole(&truth), usize::MAX);
    let csv = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    csv.append(&key, page.covered, &page.candles, later()).unwrap();
    assert_eq!(endings(), ["csv"]);
    let parquet = CandleCache::open(root.path(), CacheFormat::Parquet).unwrap();
    assert_eq!(parquet.read(&key, whole(&truth)).unwrap().series, truth);
    parquet.compact(&key).unwrap();
    assert_eq!(endings(), ["parquet"]);
    assert_eq!(csv.read(&key, whole(&truth)).unwrap().series, truth);
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_without_its_feature_is_refused() {
    let error = CandleCache::open("anywhere", CacheFormat::Parquet).unwrap_err();
    assert_eq!(error.to_string(), "anywhere needs the feature `parquet`, which this build lacks");
}

#[test]
fn a_long_page_is_cut_into_files_of_a_handy_size() {
    let truth = truth(1_000);
    let root = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    let cache = cache.with_segment_rows(100).unwrap();
    let page = forward(&truth, whole(&truth), usize::MAX);
    cache.append(&key_of(&truth), page.covered, &page.candles, later()).unwrap();
    assert_eq!(cache.summary(&key_of(&truth)).unwrap().unwrap().files, 10);
    assert_eq!(cache.read(&key_of(&truth), whole(&truth)).unwrap().series, truth);
}
