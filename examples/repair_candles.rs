//! `forecastle-core` alone: raw rows become a series, and everything repaired is counted.
#![allow(clippy::print_stdout, reason = "an example prints")]

use forecastle::core::{CandleSeries, RawCandle, Timestamp};

fn main() -> anyhow::Result<()> {
    let row = |hour: i64, close: f64, volume: f64| RawCandle {
        open_time: Timestamp::from_millis(hour * 3_600_000),
        open: close,
        high: close + 1.0,
        low: close - 1.0,
        close,
        volume,
    };
    let rows = [
        row(1, 101.0, 5.0),
        row(0, 100.0, 7.0),
        row(1, 101.5, f64::NAN),
        row(2, f64::NAN, 3.0),
        row(5, 104.0, 2.0),
    ];
    let (series, report) = CandleSeries::from_raw("BTC/USDT".parse()?, "1h".parse()?, rows, None);
    for candle in series.view().iter() {
        println!("{} close {} volume {}", candle.open_time(), candle.close(), candle.volume());
    }
    println!("{report:#?}");
    Ok(())
}
