//! Cost of a Diebold-Mariano test, linear in rows times horizon.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use forecastle_evaluation::{DmParams, diebold_mariano};
use ndarray::Array1;

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("diebold_mariano");
    for (n, horizon) in [(1_000, 1), (1_000, 12), (100_000, 12)] {
        let a: Array1<f64> = (0..n).map(|t| (t as f64 * 0.7).sin()).collect();
        let b: Array1<f64> = (0..n).map(|t| (t as f64 * 1.3).cos()).collect();
        let params = DmParams { horizon, ..DmParams::default() };
        group.bench_function(BenchmarkId::new(format!("h{horizon}"), n), |bench| {
            bench.iter(|| diebold_mariano(black_box(&a), black_box(&b), &params).unwrap());
        });
    }
    group.finish();
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = benches
}
criterion_main!(all);
