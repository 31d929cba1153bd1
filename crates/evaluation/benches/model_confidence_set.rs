//! Cost of a Model Confidence Set over naive and eight models, by rows and block length.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use forecastle_evaluation::{
    BootstrapParams, McsParams, McsStatistic, RealityCheckParams, model_confidence_set,
    optimal_block_length, reality_check,
};
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Squared errors of nine forecasts of one series.
fn losses(n: usize) -> Array2<f64> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let shocks: Array1<f64> = (0..n).map(|_| normal()).collect();
    Array2::from_shape_fn((n, 9), |(t, j)| (shocks[t] + 0.05 * j as f64 * normal()).powi(2))
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("model_confidence_set");
    for (n, block, statistic, name) in [
        (2_500, Some(1), McsStatistic::Max, "max/block_1"),
        (2_500, Some(12), McsStatistic::Max, "max/block_12"),
        (2_500, Some(12), McsStatistic::Range, "range/block_12"),
        (2_500, None, McsStatistic::Max, "max/automatic"),
        (25_000, Some(12), McsStatistic::Max, "max/block_12"),
    ] {
        let losses = losses(n);
        let bootstrap = BootstrapParams { block_length: block, ..BootstrapParams::default() };
        let params = McsParams { statistic, horizon: 1, bootstrap };
        group.bench_function(BenchmarkId::new(name, n), |bench| {
            bench.iter(|| model_confidence_set(black_box(&losses), &params).unwrap());
        });
    }
    let losses = losses(2_500);
    let (naive, models) = (losses.column(0), losses.slice(ndarray::s![.., 1..]));
    let params = RealityCheckParams { horizon: 12, ..RealityCheckParams::default() };
    group.bench_function("reality_check/2_500", |bench| {
        bench.iter(|| reality_check(black_box(&naive), &models, &params).unwrap());
    });
    group.bench_function("optimal_block_length/2_500", |bench| {
        bench.iter(|| optimal_block_length(black_box(&naive)).unwrap());
    });
    group.finish();
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    targets = benches
}
criterion_main!(all);
