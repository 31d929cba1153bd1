//! How fast candles are read, written and simulated.
#![allow(clippy::expect_used, reason = "a bench that cannot be set up should stop")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forecastle_core::CandleSeries;
use forecastle_market_data::{
    ReadOptions, Simulator, SimulatorParams, read_csv_from, write_csv_gz_to, write_csv_to,
};

/// 100,000 simulated candles with the four decimals that exchanges quote.
fn quoted_to_four_decimals() -> CandleSeries {
    let simulator = Simulator::new(SimulatorParams { n: 100_000, ..Default::default() });
    let series = simulator.and_then(|s| s.series()).expect("the default parameters are valid");
    let mut rounded = CandleSeries::empty(series.symbol().clone(), series.timeframe());
    for candle in series.view().iter() {
        let [open, high, low, close, volume] =
            [candle.open(), candle.high(), candle.low(), candle.close(), candle.volume()]
                .map(|value| (value * 1e4).round() / 1e4);
        let time = candle.open_time();
        let candle = forecastle_core::Candle::new(time, open, high, low, close, volume);
        rounded.push(candle.expect("rounding keeps the order")).expect("times increase");
    }
    rounded
}

fn files(criterion: &mut Criterion) {
    let full = Simulator::new(SimulatorParams { n: 100_000, ..Default::default() })
        .and_then(|s| s.series())
        .expect("the default parameters are valid");
    let options = ReadOptions::default();
    let mut group = criterion.benchmark_group("csv");
    group.sample_size(20);
    for (name, series) in [("quoted", quoted_to_four_decimals()), ("full_precision", full)] {
        let mut text = Vec::new();
        write_csv_to(&mut text, &series).expect("memory takes everything");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("read/{name}/100_000"), |b| {
            b.iter(|| read_csv_from(black_box(&text[..]), "memory", &options));
        });
        group.bench_function(format!("write/{name}/100_000"), |b| {
            b.iter(|| {
                let mut text = Vec::with_capacity(text.len());
                write_csv_to(&mut text, black_box(&series)).map(|()| text)
            });
        });
        let mut gzip = Vec::new();
        write_csv_gz_to(&mut gzip, &series).expect("memory takes everything");
        group.bench_function(format!("read_gzip/{name}/100_000"), |b| {
            b.iter(|| read_csv_from(black_box(&gzip[..]), "memory", &options));
        });
    }
    group.finish();
}

fn simulate(criterion: &mut Criterion) {
    let simulator = Simulator::new(SimulatorParams { n: 100_000, ..Default::default() })
        .expect("the default parameters are valid");
    let mut group = criterion.benchmark_group("simulator");
    group.sample_size(20);
    group.throughput(Throughput::Elements(100_000));
    group.bench_function("series/100_000", |b| b.iter(|| black_box(&simulator).series()));
    group.finish();
}

criterion_group!(benches, files, simulate);
criterion_main!(benches);
