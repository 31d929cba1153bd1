//! Files in, files out, the simulator and the sources, as a user sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod degenerate;
#[cfg(feature = "network")]
mod http_client;
#[cfg(feature = "network")]
mod http_client_pace;
#[cfg(feature = "network")]
mod http_client_tls;
#[cfg(feature = "network")]
mod http_server;
mod layouts;
mod malformed;
#[cfg(feature = "parquet")]
mod parquet;
mod real_files;
mod round_trip;
mod simulator;
mod sources;

use forecastle_core::{Candle, CandleSeries, Timestamp};
use forecastle_market_data::{LoadedCandles, ReadOptions, read_csv_from};
use proptest::prelude::*;

/// Reads CSV text with the default options, as `test.csv`.
fn read(text: &str) -> forecastle_core::Result<LoadedCandles> {
    read_csv_from(text.as_bytes(), "test.csv", &ReadOptions::default())
}

/// Any valid series: prices and volumes of any size, any times before the year 5138, gaps.
fn any_series() -> impl Strategy<Value = CandleSeries> {
    let price = prop_oneof![1e-9..1e9_f64, (1_u64..0x7ff0_0000_0000_0000).prop_map(f64::from_bits)];
    let volume = prop_oneof![
        Just(0.0),
        0.0..1e12_f64,
        (0_u64..0x7ff0_0000_0000_0000).prop_map(f64::from_bits)
    ];
    let row = (1..40_i64, [price.clone(), price.clone(), price.clone(), price], volume);
    let start = prop_oneof![
        -9_000_000_000_000..9_000_000_000_000_i64,
        Just(0),
        -100_000_000_000..100_000_000_000_i64
    ];
    (
        start,
        prop_oneof![Just(1_000), Just(60_000), Just(86_400_000_i64)],
        prop::collection::vec(row, 1..60),
    )
        .prop_map(|(start, step, rows)| {
            let mut series =
                CandleSeries::empty("BTC/USDT".parse().unwrap(), "1m".parse().unwrap());
            let mut time = start;
            for (steps, mut prices, volume) in rows {
                time += steps * step;
                prices.sort_by(f64::total_cmp);
                let [low, open, close, high] = prices;
                let time = Timestamp::from_millis(time);
                series.push(Candle::new(time, open, high, low, close, volume).unwrap()).unwrap();
            }
            series
        })
}

/// What a reader needs to give the series back under its own name.
fn options_of(series: &CandleSeries) -> ReadOptions {
    ReadOptions {
        symbol: Some(series.symbol().clone()),
        timeframe: Some(series.timeframe()),
        ..ReadOptions::default()
    }
}
