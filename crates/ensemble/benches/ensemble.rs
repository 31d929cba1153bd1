//! Ridge fit at 20,000 × 30 and stacking of three ridges on 5,000 rows.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use forecastle_core::conformance::noise;
use forecastle_core::{Dataset, Fit, Rows};
use forecastle_ensemble::{Base, RidgeParams, StackingParams};

fn ridge(c: &mut Criterion) {
    let (table, targets) = noise(1, 20_000, 30).unwrap();
    let rows = Rows::from(0..20_000);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    c.bench_function("ensemble/ridge_fit/20_000x30", |b| {
        b.iter(|| RidgeParams::default().fit(black_box(dataset)).unwrap());
    });
}

fn stacking(c: &mut Criterion) {
    let (table, targets) = noise(2, 5_000, 30).unwrap();
    let rows = Rows::from(0..5_000);
    let models =
        [None, Some(1.0), Some(1e4)].map(|alpha| RidgeParams { alpha, ..Default::default() });
    let names = ["default", "weak", "strong"];
    let bases: Vec<Base<'_>> = names
        .iter()
        .zip(&models)
        .map(|(name, model)| Base { name, model, table: &table })
        .collect();
    c.bench_function("ensemble/stacking_3_ridges/5_000", |b| {
        b.iter(|| {
            let params = StackingParams::default();
            params.fit(black_box(&bases), &targets, &rows, 5, &()).unwrap()
        });
    });
}

criterion_group!(benches, ridge, stacking);
criterion_main!(benches);
