//! Ridge fit at 20,000 × 30, stacking of three ridges on 5,000 rows, and one bar of adaptive
//! intervals (an interval issued, a label learnt) with 10,000 scores kept.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use forecastle_core::conformance::noise;
use forecastle_core::{Dataset, Fit, Rows};
use forecastle_ensemble::{AdaptiveConformalParams, Base, RidgeParams, StackingParams, StepSize};

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

fn adaptive(c: &mut Criterion) {
    let window = 10_000;
    let (table, _) = noise(3, 4 * window, 1).unwrap();
    let errors: Vec<f64> = table.values().iter().copied().collect();
    for (name, step) in [("fixed", StepSize::Fixed(0.005)), ("aggregated", StepSize::Aggregated)] {
        let params = AdaptiveConformalParams {
            step,
            window: Some(window),
            horizon: 5,
            ..Default::default()
        };
        let mut conformal = params.fit(&errors[..window]).unwrap();
        let mut labels = errors.iter().cycle();
        let mut issued = [conformal.issue(0.0, 1.0).unwrap(); 5];
        let mut t = 0;
        c.bench_function(&format!("ensemble/adaptive_conformal_{name}/10_000"), |b| {
            b.iter(|| {
                t = (t + 1) % issued.len();
                let label = labels.next().copied().unwrap_or_default();
                let inside = conformal.observe(&issued[t], black_box(label)).unwrap();
                issued[t] = conformal.issue(black_box(0.0), 1.0).unwrap();
                inside
            });
        });
    }
}

criterion_group!(benches, ridge, stacking, adaptive);
criterion_main!(benches);
