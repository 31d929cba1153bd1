//! A stop after every single change to a file, and what the next process finds.

use std::fs;
use std::ops::Range;
use std::path::Path;

use forecastle_core::{Candle, Timestamp};

use super::durable::crashes::crash_after;
use super::segment::Segment;
use super::{CacheFormat, CacheKey, CacheResult, CandleCache, FetchedPage};

fn minute(at: i64) -> Timestamp {
    Timestamp::from_millis(1_704_067_200_000 + at * 60_000)
}

fn key() -> CacheKey {
    CacheKey::new("x", "BTC/USDT".parse().unwrap(), "1m".parse().unwrap()).unwrap()
}

/// Minutes of a range, one in five missing, with a price that tells the version.
fn page(minutes: Range<i64>, version: i64) -> FetchedPage {
    let candle = |at: i64| {
        let price = (1_000 + at * 10 + version) as f64;
        Candle::new(minute(at), price, price, price, price, 1.0).unwrap()
    };
    let candles = minutes.clone().filter(|at| at % 5 != 0).map(candle).collect();
    FetchedPage { candles, covered: minute(minutes.start)..minute(minutes.end) }
}

/// Pages forward and backward, silence, an overlap that revises, and repeated ones.
fn pages() -> Vec<FetchedPage> {
    vec![
        page(0..8, 0),
        page(8..14, 0),
        page(40..48, 0),
        page(35..36, 0),
        page(36..40, 0),
        page(14..22, 0),
        page(4..10, 1),
        page(4..10, 1),
        page(20..36, 0),
        page(48..49, 0),
        page(44..60, 2),
    ]
}

const END: i64 = 60;

fn open(root: &Path, format: CacheFormat) -> CandleCache {
    CandleCache::open(root, format).unwrap().with_segment_rows(16).unwrap()
}

fn run(cache: &CandleCache, mut stored: impl FnMut(usize)) -> CacheResult<()> {
    let now = "2024-06-01".parse()?;
    for (n, page) in pages().iter().enumerate() {
        cache.append(&key(), page.covered.clone(), &page.candles, now)?;
        stored(n);
    }
    cache.compact(&key())
}

fn everything(cache: &CandleCache) -> (Vec<Candle>, Vec<Range<Timestamp>>) {
    let read = cache.read(&key(), minute(-100)..minute(1_000)).unwrap();
    assert_eq!(read.quarantined, []);
    (read.series.view().iter().collect(), read.uncovered)
}

/// The files of candles and what else lies beside them.
fn files(cache: &CandleCache) -> (Vec<Segment>, Vec<String>) {
    let folder = fs::read_dir(cache.root().join(key().folder())).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut segments = Vec::new();
    let mut others = Vec::new();
    for name in names {
        match Segment::from_file_name(&name) {
            Some(segment) => segments.push(segment),
            None => others.push(name),
        }
    }
    others.sort();
    (segments, others)
}

fn every_crash_is_survived(format: CacheFormat) {
    let undisturbed = tempfile::tempdir().unwrap();
    let undisturbed = open(undisturbed.path(), format);
    run(&undisturbed, |_| {}).unwrap();
    let expected = everything(&undisturbed);
    assert_eq!(expected.0.len(), (0..END).filter(|at| at % 5 != 0).count());

    let mut crashes = 0;
    for changes in 0.. {
        let root = tempfile::tempdir().unwrap();
        let mut acknowledged = 0;
        crash_after(Some(changes));
        let outcome = run(&open(root.path(), format), |n| acknowledged = n + 1);
        crash_after(None);
        if outcome.is_ok() {
            break;
        }
        crashes += 1;

        // A new process: everything acknowledged is there, and nothing that was never fetched.
        let cache = open(root.path(), format);
        let (found, _) = everything(&cache);
        for (n, page) in pages().iter().enumerate().take(acknowledged) {
            let later: Vec<_> = pages().into_iter().take(acknowledged + 1).skip(n + 1).collect();
            assert_eq!(cache.missing(&key(), page.covered.clone()).unwrap(), []);
            for candle in &page.candles {
                let versions = later.iter().flat_map(|page| &page.candles);
                let revised = versions.filter(|c| c.open_time() == candle.open_time());
                let allowed: Vec<&Candle> = std::iter::once(candle).chain(revised).collect();
                let stored = found.iter().find(|c| c.open_time() == candle.open_time()).unwrap();
                assert!(allowed.contains(&stored), "after {changes} changes: {stored:?}");
            }
        }
        let fetched: Vec<Candle> = pages().iter().flat_map(|p| p.candles.clone()).collect();
        assert!(found.iter().all(|candle| fetched.contains(candle)));

        // No leftovers, and no candle in two files.
        if root.path().join(key().folder()).is_dir() {
            let (segments, others) = files(&cache);
            assert_eq!(segments.iter().map(|s| s.rows).sum::<u64>(), found.len() as u64);
            let known = [".lock", "_manifest.json"];
            assert!(others.iter().all(|name| known.contains(&name.as_str())), "{others:?}");
        }

        run(&cache, |_| {}).unwrap();
        assert_eq!(everything(&cache), expected, "after {changes} changes");
    }
    assert!(crashes > 100, "only {crashes} crashes");
}

#[test]
fn a_crash_after_any_change_to_a_file_loses_no_finished_page() {
    every_crash_is_survived(CacheFormat::Csv);
}

#[cfg(feature = "parquet")]
#[test]
fn a_crash_after_any_change_to_a_parquet_file_loses_no_finished_page() {
    every_crash_is_survived(CacheFormat::Parquet);
}

#[test]
fn a_crash_while_leftovers_are_put_right_is_survived_too() {
    let undisturbed = tempfile::tempdir().unwrap();
    let undisturbed = open(undisturbed.path(), CacheFormat::Csv);
    run(&undisturbed, |_| {}).unwrap();
    let expected = everything(&undisturbed);
    for changes in (20..200).step_by(7) {
        for again in 0..6 {
            let root = tempfile::tempdir().unwrap();
            let mut acknowledged = 0;
            crash_after(Some(changes));
            let first = run(&open(root.path(), CacheFormat::Csv), |n| acknowledged = n + 1);
            crash_after(Some(again));
            let second = open(root.path(), CacheFormat::Csv).missing(&key(), minute(0)..minute(1));
            crash_after(None);
            let cache = open(root.path(), CacheFormat::Csv);
            for page in pages().iter().take(acknowledged) {
                let missing = cache.missing(&key(), page.covered.clone()).unwrap();
                assert_eq!(missing, [], "{changes}, {again}: {first:?}, {second:?}");
            }
            run(&cache, |_| {}).unwrap();
            assert_eq!(everything(&cache), expected);
        }
    }
}
