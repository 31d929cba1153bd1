//! Time of the fused indicator table, its stream, and TA-Lib's functions on the same candles.
#![allow(clippy::unwrap_used, missing_docs, reason = "benches")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forecastle_core::{Candle, CandleSeries, CandleView, Timestamp, Transform};
use forecastle_features::{Indicators, ModelFeatures, PriceIndicators, Vwap, VwapAnchor};
use ndarray::{Array2, ShapeBuilder};
use ta_lib::Core;

const ANCHORS: [VwapAnchor; 4] = [
    VwapAnchor::Rolling(96),
    VwapAnchor::Rolling(20),
    VwapAnchor::SESSION_UTC,
    VwapAnchor::Cumulative,
];

/// A deterministic walk of hourly candles.
fn series(rows: usize) -> CandleSeries {
    let mut state = 7_u64;
    let mut uniform = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut close = 100.0_f64;
    let candle = |hour: usize| {
        let open = close;
        close *= 1.0 + 0.01 * (uniform() - 0.5);
        let (high, low) = (open.max(close) * 1.001, open.min(close) * 0.999);
        let time = Timestamp::from_millis(hour as i64 * 3_600_000);
        Candle::new(time, open, high, low, close, 1.0 + uniform()).unwrap()
    };
    let candles: Vec<_> = (0..rows).map(candle).collect();
    CandleSeries::from_candles("BTC/USDT".parse().unwrap(), "1h".parse().unwrap(), candles).unwrap()
}

/// Memory that is there already: every page has been written to.
fn faulted(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_elem((rows, columns).f(), 1.0)
}

fn fused(c: &mut Criterion) {
    let mut group = c.benchmark_group("features/fused");
    for (rows, name) in [
        (10_000, "10_000"),
        (100_000, "100_000"),
        (1_000_000, "1_000_000"),
        (10_000_000, "10_000_000"),
    ] {
        group.throughput(Throughput::Elements(rows as u64)).sample_size(10);
        group.bench_function(name, |b| {
            let series = series(rows);
            let indicators = Indicators::default();
            let mut out = faulted(rows, indicators.names().len());
            b.iter(|| indicators.transform_into(black_box(series.view()), &mut out).unwrap());
        });
    }
    group.finish();
}

fn anchors(c: &mut Criterion) {
    let mut group = c.benchmark_group("features/fused/anchor");
    group.throughput(Throughput::Elements(1_000_000)).sample_size(10);
    for anchor in ANCHORS {
        group.bench_function(anchor.to_string(), |b| {
            let series = series(1_000_000);
            let indicators = Indicators::new(anchor).unwrap();
            let mut out = faulted(series.len(), indicators.names().len());
            b.iter(|| indicators.transform_into(black_box(series.view()), &mut out).unwrap());
        });
    }
    group.finish();
}

fn stream(c: &mut Criterion) {
    let series = series(100_000);
    let candles: Vec<Candle> = series.view().iter().collect();
    let vwap = VwapAnchor::default();
    let transforms: [(&str, Box<dyn Transform>); 3] = [
        ("indicators", Box::new(Indicators::default())),
        ("model_features", Box::new(ModelFeatures::new(vwap).unwrap())),
        ("vwap", Box::new(Vwap::new(vwap).unwrap())),
    ];
    let mut group = c.benchmark_group("features/stream");
    group.throughput(Throughput::Elements(candles.len() as u64)).sample_size(10);
    for (name, transform) in &transforms {
        let mut row = vec![0.0; transform.names().len()];
        group.bench_function(BenchmarkId::new(*name, "100_000"), |b| {
            b.iter(|| {
                let mut stream = transform.stream();
                for candle in &candles {
                    stream.update(black_box(candle), &mut row);
                }
                row[0]
            });
        });
    }
    group.finish();
}

/// The ten columns that TA-Lib has too, each into its own column of `out`.
fn ta_lib_columns(core: &Core, view: CandleView<'_>, out: &mut [Vec<f64>; 10]) {
    let (high, low, close, last) = (view.high(), view.low(), view.close(), view.len() - 1);
    let [tp, sma_5, sma_20, std_5, std_20, atr, mom_5, mom_10, line, slope] = out;
    core.typprice(0, last, high, low, close, tp).unwrap();
    core.sma(0, last, close, 5, sma_5).unwrap();
    core.sma(0, last, close, 20, sma_20).unwrap();
    core.stddev(0, last, close, 5, 1.0, std_5).unwrap();
    core.stddev(0, last, close, 20, 1.0, std_20).unwrap();
    core.atr(0, last, high, low, close, 14, atr).unwrap();
    core.mom(0, last, close, 5, mom_5).unwrap();
    core.mom(0, last, close, 10, mom_10).unwrap();
    core.linearreg(0, last, close, 20, line).unwrap();
    core.linearreg_slope(0, last, close, 20, slope).unwrap();
}

/// The ten columns that both have, on the same candles.
fn ta_lib(c: &mut Criterion) {
    for (rows, name) in [(10_000, "10_000"), (100_000, "100_000"), (1_000_000, "1_000_000")] {
        let mut group = c.benchmark_group("features/shared_with_ta_lib");
        group.throughput(Throughput::Elements(rows as u64)).sample_size(10);
        group.bench_function(BenchmarkId::new("ta_lib", name), |b| {
            let (series, core) = (series(rows), Core::new());
            let mut out: [Vec<f64>; 10] = std::array::from_fn(|_| vec![1.0; rows]);
            b.iter(|| ta_lib_columns(&core, black_box(series.view()), &mut out));
        });
        group.bench_function(BenchmarkId::new("forecastle", name), |b| {
            let (series, prices) = (series(rows), PriceIndicators::new());
            let mut out = faulted(rows, prices.names().len());
            b.iter(|| prices.transform_into(black_box(series.view()), &mut out).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, fused, anchors, stream, ta_lib);
criterion_main!(benches);
