//! `filter/*/100000`: divide by 100,000 for the cost of a step.
#![allow(clippy::unwrap_used, missing_docs, reason = "benches")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forecastle_core::{Dataset, Fit, PredictExt, Rows};
use forecastle_kalman::{
    Gaussian, KalmanFilter, KalmanParams, LOG_CLOSE, LocalLinearTrend, TrendState, TrendVariances,
};
use nalgebra::vector;
use ndarray::{Array1, Array2};

const STEPS: usize = 100_000;

/// A random walk of 1 % a step.
fn walk(n: usize) -> Vec<f64> {
    let (mut seed, mut level) = (7_u64, 10.0);
    let step = |_| {
        let mut sum = -2.0;
        for _ in 0..4 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            sum += (seed >> 11) as f64 / (1_u64 << 53) as f64;
        }
        level += 0.01 * sum;
        level
    };
    (0..n).map(step).collect()
}

fn filter(c: &mut Criterion) {
    let series = walk(STEPS);
    let model = LocalLinearTrend::new(TrendVariances::default()).unwrap();
    let prior = TrendState::new(series[0], 0.0, 1.0);
    let mut group = c.benchmark_group("filter");
    group.throughput(Throughput::Elements(STEPS as u64));
    let stream = |series: &[f64]| {
        let mut stream = model.stream(prior).unwrap();
        let mut last = prior;
        for &y in series {
            last = stream.update(black_box(y)).state;
        }
        last
    };
    group.bench_function(format!("stream/{STEPS}"), |b| b.iter(|| stream(&series)));
    // A missing row every 20 keeps the covariance from ever settling: the dearest case.
    let mut holed = series.clone();
    holed.iter_mut().step_by(20).for_each(|y| *y = f64::NAN);
    group.bench_function(format!("unsettled/{STEPS}"), |b| b.iter(|| stream(&holed)));
    group.bench_function(format!("batch/{STEPS}"), |b| {
        b.iter(|| model.filter(prior, black_box(&series)).unwrap());
    });
    group.bench_function(format!("log_likelihood/{STEPS}"), |b| {
        b.iter(|| model.log_likelihood(prior, black_box(&series), 2).unwrap());
    });
    group.bench_function(format!("general/{STEPS}"), |b| {
        b.iter(|| {
            let start = Gaussian::from(prior);
            let mut filter = KalmanFilter::new(model.state_space(), start).unwrap();
            let mut sum = 0.0;
            for &y in &series {
                sum += filter.step(&vector![y]).unwrap().log_likelihood;
            }
            sum
        });
    });
    group.finish();
}

fn model(c: &mut Criterion) {
    let (n, names) = (2_500, [LOG_CLOSE.to_owned()]);
    let records = Array2::from_shape_vec((n, 1), walk(n)).unwrap();
    let (targets, rows) = (Array1::zeros(n), Rows::from(0..n));
    let dataset = Dataset::new(&names, &records, &targets, &rows, 5).unwrap();
    c.bench_function("fit/2_500", |b| {
        b.iter(|| KalmanParams::default().fit(black_box(dataset)).unwrap());
    });
    let fitted = KalmanParams::default().fit(dataset).unwrap();
    c.bench_function("predict/2_500", |b| {
        b.iter(|| fitted.predict(black_box(&records)).unwrap());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2))
        .sample_size(20);
    targets = filter, model
}
criterion_main!(benches);
