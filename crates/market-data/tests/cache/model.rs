//! Random pages in random order, beside a map of candles and a flag for each minute.

use std::collections::BTreeMap;
use std::ops::Range;

use forecastle_core::{Candle, Timestamp};
use forecastle_market_data::{CacheFormat, CacheKey, CandleCache};
use proptest::prelude::*;

use crate::later;

const MINUTES: i64 = 120;

fn minute(at: i64) -> Timestamp {
    Timestamp::from_millis(1_704_067_200_000 + at * 60_000)
}

/// A quarter of the minutes has no candle; the price tells minute and version.
fn candle(at: i64, version: i64) -> Option<Candle> {
    let price = (1_000 + at * 10 + version) as f64 / 7.0;
    (at * 7 % 4 != 0).then(|| Candle::new(minute(at), price, price, price, price, 0.1).unwrap())
}

#[derive(Debug, Clone)]
enum Step {
    Append { minutes: Range<i64>, version: i64 },
    Read(Range<i64>),
    Compact,
    Reopen { parquet: bool, segment_rows: usize },
}

fn any_range() -> impl Strategy<Value = Range<i64>> {
    (0..MINUTES, 0..30_i64).prop_map(|(from, length)| from..(from + length).min(MINUTES))
}

fn any_step() -> impl Strategy<Value = Step> {
    let version = prop_oneof![6 => Just(0), 1 => 1..5_i64];
    prop_oneof![
        10 => (any_range(), version).prop_map(|(minutes, version)| Step::Append { minutes, version }),
        4 => any_range().prop_map(Step::Read),
        1 => Just(Step::Compact),
        1 => (any::<bool>(), 1..60_usize)
            .prop_map(|(parquet, segment_rows)| Step::Reopen { parquet, segment_rows }),
    ]
}

#[derive(Default)]
struct Model {
    candles: BTreeMap<i64, Candle>,
    covered: BTreeMap<i64, ()>,
}

impl Model {
    fn append(&mut self, minutes: Range<i64>, version: i64) -> (usize, usize, usize) {
        let (mut stored, mut revised, mut unchanged) = (0, 0, 0);
        for at in minutes {
            self.covered.insert(at, ());
            let Some(candle) = candle(at, version) else { continue };
            match self.candles.insert(at, candle) {
                None => stored += 1,
                Some(before) if before == candle => unchanged += 1,
                Some(_) => revised += 1,
            }
        }
        (stored, revised, unchanged)
    }

    fn missing(&self, minutes: Range<i64>) -> Vec<Range<Timestamp>> {
        let mut missing: Vec<Range<Timestamp>> = Vec::new();
        for at in minutes.filter(|at| !self.covered.contains_key(at)) {
            match missing.last_mut() {
                Some(last) if last.end == minute(at) => last.end = minute(at + 1),
                _ => missing.push(minute(at)..minute(at + 1)),
            }
        }
        missing
    }
}

fn open(root: &std::path::Path, parquet: bool, segment_rows: usize) -> CandleCache {
    let format = match parquet && CacheFormat::Parquet.is_supported() {
        true => CacheFormat::Parquet,
        false => CacheFormat::Csv,
    };
    CandleCache::open(root, format).unwrap().with_segment_rows(segment_rows).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn prop_a_cache_is_a_map_of_candles_and_a_set_of_minutes(
        steps in prop::collection::vec(any_step(), 1..40),
        segment_rows in 1..60_usize,
        parquet: bool,
    ) {
        let root = tempfile::tempdir().unwrap();
        let key = CacheKey::new("x", "A/B".parse().unwrap(), "1m".parse().unwrap()).unwrap();
        let mut cache = open(root.path(), parquet, segment_rows);
        let mut model = Model::default();
        for step in steps.into_iter().chain([Step::Compact, Step::Read(0..MINUTES)]) {
            match step {
                Step::Append { minutes, version } => {
                    let page: Vec<Candle> =
                        minutes.clone().filter_map(|at| candle(at, version)).collect();
                    let covered = minute(minutes.start)..minute(minutes.end);
                    let report = cache.append(&key, covered, &page, later()).unwrap();
                    let counts = (report.stored, report.revised, report.unchanged);
                    prop_assert_eq!(counts, model.append(minutes, version));
                    prop_assert_eq!(report.unfinished, 0);
                }
                Step::Read(minutes) => {
                    let wanted = minute(minutes.start)..minute(minutes.end);
                    let missing = model.missing(minutes.clone());
                    prop_assert_eq!(&cache.missing(&key, wanted.clone()).unwrap(), &missing);
                    let read = cache.read(&key, wanted).unwrap();
                    let candles: Vec<Candle> = read.series.view().iter().collect();
                    let expected: Vec<Candle> =
                        model.candles.range(minutes).map(|(_, candle)| *candle).collect();
                    prop_assert_eq!(candles, expected);
                    prop_assert_eq!(read.uncovered, missing);
                    prop_assert_eq!(read.quarantined, vec![]);
                    prop_assert_eq!(read.report.rows_out, read.series.len());
                }
                Step::Compact => cache.compact(&key).unwrap(),
                Step::Reopen { parquet, segment_rows } => {
                    cache = open(root.path(), parquet, segment_rows);
                }
            }
        }
        let rows = cache.summary(&key).unwrap().map_or(0, |summary| summary.rows);
        prop_assert_eq!(rows, model.candles.len() as u64);
    }
}
