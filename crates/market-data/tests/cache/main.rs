//! The download cache as a user sees it: against a model, damaged, shared, killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod damage;
mod download;
mod files;
mod kills;
mod model;
mod sharing;
mod source;

use std::ops::Range;
use std::task::{Context, Poll, Waker};

use forecastle_core::{Candle, CandleSeries, Timestamp};
use forecastle_market_data::{
    CacheFormat, CacheKey, CandleCache, FetchedPage, Simulator, SimulatorParams,
};

/// Runs a future that never waits.
fn run<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// The formats of this build.
fn formats() -> Vec<CacheFormat> {
    [CacheFormat::Csv, CacheFormat::Parquet].into_iter().filter(|f| f.is_supported()).collect()
}

/// Candles of an exchange that lists a market late, sleeps now and then, and trades on.
fn truth(n: usize) -> CandleSeries {
    let params = SimulatorParams {
        n,
        timeframe: "1m".parse().unwrap(),
        gap_probability: 0.02,
        max_gap: 40,
        ..Default::default()
    };
    Simulator::new(params).unwrap().series().unwrap()
}

fn key_of(series: &CandleSeries) -> CacheKey {
    CacheKey::new("simulator", series.symbol().clone(), series.timeframe()).unwrap()
}

/// From before the first candle until after the last.
fn whole(series: &CandleSeries) -> Range<Timestamp> {
    let times = series.view().open_time();
    let move_by =
        |time: Timestamp, minutes: i64| time.checked_add_millis(minutes * 60_000).unwrap();
    move_by(times[0], -100)..move_by(times[times.len() - 1], 100)
}

fn within(series: &CandleSeries, range: &Range<Timestamp>) -> Vec<Candle> {
    series.view().iter().filter(|candle| range.contains(&candle.open_time())).collect()
}

/// A page from the beginning of a hole, of at most so many candles.
fn forward(series: &CandleSeries, hole: Range<Timestamp>, most: usize) -> FetchedPage {
    let mut candles = within(series, &hole);
    let end = candles.get(most).map_or(hole.end, Candle::open_time);
    candles.truncate(most);
    FetchedPage { candles, covered: hole.start..end }
}

/// A page back from the end of a hole, of at most so many candles.
fn backward(series: &CandleSeries, hole: Range<Timestamp>, most: usize) -> FetchedPage {
    let mut candles = within(series, &hole);
    let from = candles.len().saturating_sub(most);
    let candles = candles.split_off(from);
    let start = match candles.first() {
        Some(first) if from > 0 => first.open_time(),
        _ => hole.start,
    };
    FetchedPage { candles, covered: start..hole.end }
}

/// Long after every candle of these tests has closed.
fn later() -> Timestamp {
    "2030-01-01".parse().unwrap()
}

/// Everything that a cache holds of a series is what the exchange gave.
fn assert_true_as_far_as_covered(cache: &CandleCache, truth: &CandleSeries) {
    let key = key_of(truth);
    let read = cache.read(&key, whole(truth)).unwrap();
    assert_eq!(read.quarantined, []);
    let covered = cache.summary(&key).unwrap().map(|s| s.covered).unwrap_or_default();
    let expected: Vec<Candle> = covered.iter().flat_map(|range| within(truth, range)).collect();
    assert_eq!(read.series.view().iter().collect::<Vec<_>>(), expected);
}
