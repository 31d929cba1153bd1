//! Training, batch and one-row prediction: 200 trees, depth 6, 30 features, 255 bins.
#![allow(clippy::unwrap_used, missing_docs, reason = "benches")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forecastle_core::conformance::noise;
use forecastle_core::{Dataset, Fit, PredictExt, Rows};
use forecastle_models_tree::{BinnedMatrix, BoostingParams};
use std::hint::black_box;

fn params() -> BoostingParams {
    BoostingParams {
        n_rounds: 200,
        learning_rate: 0.05,
        max_depth: 6,
        min_child_weight: 1.0,
        subsample: 1.0,
        colsample_bytree: 1.0,
        ..Default::default()
    }
}

fn boosting(c: &mut Criterion) {
    let mut group = c.benchmark_group("boosting/fit");
    group.sample_size(10);
    for n in [2_000, 20_000, 200_000] {
        let (table, targets) = noise(1, n, 30).unwrap();
        let rows = Rows::from(0..n);
        let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
        group.bench_with_input(BenchmarkId::from_parameter(n), &n, |b, _| {
            b.iter(|| params().fit(dataset).unwrap());
        });
        if n == 20_000 {
            group.bench_function("default/20_000", |b| {
                b.iter(|| BoostingParams::default().fit(dataset).unwrap());
            });
            group.bench_function("bin/20_000", |b| {
                b.iter(|| BinnedMatrix::new(dataset, 255).unwrap());
            });
        }
    }
    group.finish();

    let mut group = c.benchmark_group("boosting/predict");
    let (table, targets) = noise(1, 20_000, 30).unwrap();
    let rows = Rows::from(0..20_000);
    let model = params().fit(Dataset::from_table(&table, &targets, &rows, 1).unwrap()).unwrap();
    let singles: Vec<Vec<f64>> = table.values().rows().into_iter().map(|r| r.to_vec()).collect();
    let mut next = singles.iter().cycle();
    group.bench_function("row", |b| {
        b.iter(|| model.predict_row(black_box(next.next().unwrap())).unwrap());
    });
    group.sample_size(20);
    group.throughput(Throughput::Elements(20_000));
    group.bench_function("20_000", |b| b.iter(|| model.predict(table.values()).unwrap()));
    group.finish();
}

criterion_group!(benches, boosting);
criterion_main!(benches);
