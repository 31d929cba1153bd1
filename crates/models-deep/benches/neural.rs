//! An epoch and a one-row prediction of each model: 2,000 windows of 32 rows and 26 features, the
//! autoencoder 20,000 rows.
#![allow(clippy::unwrap_used, missing_docs, reason = "benches")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use forecastle_core::conformance::noise;
use forecastle_core::{Dataset, Fit, PredictExt, Rows};
use forecastle_models_deep::{
    AutoencoderParams, GruParams, NeuralModel, NeuralParams, TrainingParams, TransformerParams,
};
use ndarray::s;

const N_FEATURES: usize = 26;

fn training() -> TrainingParams {
    TrainingParams { epochs: 1, early_stopping: None, ..Default::default() }
}

/// Trains one epoch over the rows that have a whole window before them, then predicts.
fn model<P>(c: &mut Criterion, name: &str, params: &P, n_rows: usize, lookback: usize)
where
    P: NeuralParams + Fit<Fitted = NeuralModel<P>>,
{
    let n_bars = n_rows + lookback - 1;
    let (table, targets) = noise(1, n_bars, N_FEATURES).unwrap();
    let rows = Rows::from(lookback - 1..n_bars);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let mut group = c.benchmark_group(format!("models_deep/{name}"));
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        group.bench_function(BenchmarkId::new("epoch", threads), |b| {
            b.iter(|| pool.install(|| params.fit(dataset).unwrap()));
        });
    }
    let fitted = params.fit(dataset).unwrap();
    let window = table.values().slice(s![..lookback, ..]).to_owned();
    group.sample_size(50);
    group.bench_function("row", |b| b.iter(|| fitted.predict_row(black_box(&window)).unwrap()));
    let some = table.slice(0..1_000);
    group.sample_size(10);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    group.bench_function("1_000", |b| {
        b.iter(|| one.install(|| fitted.predict(some.values()).unwrap()));
    });
    group.finish();
}

fn models(c: &mut Criterion) {
    let gru = GruParams { training: training(), ..Default::default() };
    model(c, "gru", &gru, 2_000, gru.lookback);
    let transformer = TransformerParams { training: training(), ..Default::default() };
    model(c, "transformer", &transformer, 2_000, transformer.lookback);
    let autoencoder = AutoencoderParams { training: training(), ..Default::default() };
    model(c, "autoencoder", &autoencoder, 20_000, 1);
}

criterion_group!(benches, models);
criterion_main!(benches);
