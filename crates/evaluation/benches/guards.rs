//! Cost of a guard's answer for one live row, and of fitting one.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use forecastle_core::{FeatureTable, Rows, Timestamp};
use forecastle_evaluation::{
    Adwin, AdwinParams, NoveltyParams, PageHinkley, PageHinkleyParams, PopulationStabilityParams,
};
use ndarray::{Array2, s};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

const ROWS: usize = 24_000;

fn table() -> FeatureTable {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let values = Array2::from_shape_simple_fn((ROWS, 21), || StandardNormal.sample(&mut random));
    let names: Vec<String> = (0..21).map(|j| format!("x{j}")).collect();
    let times: Vec<_> = (0..ROWS as i64).map(|t| Timestamp::from_millis(t * 60_000)).collect();
    FeatureTable::new(&names, &times, values).unwrap()
}

fn benches(c: &mut Criterion) {
    let (table, rows) = (table(), Rows::from(0..ROWS));
    let mut group = c.benchmark_group("guards");
    let novelty = NoveltyParams::default().fit(&table, &rows).unwrap();
    let row = table.values().row(77).to_vec();
    group.bench_function("novelty/row/21", |bench| {
        bench.iter(|| novelty.verdict(black_box(&row)).unwrap());
    });
    group.bench_function("novelty/fit/24_000", |bench| {
        bench.iter(|| NoveltyParams::default().fit(black_box(&table), &rows).unwrap());
    });
    let stability = PopulationStabilityParams::default().fit(&table, &rows).unwrap();
    let latest = table.values().slice(s![ROWS - 500.., ..]).to_owned();
    group.bench_function("stability/window/500", |bench| {
        bench.iter(|| stability.verdict(black_box(&latest)).unwrap());
    });
    let mut test = PageHinkley::new(PageHinkleyParams::default()).unwrap();
    let mut window = Adwin::new(AdwinParams::default()).unwrap();
    let mut t = 0_u32;
    group.bench_function("page_hinkley/update", |bench| {
        bench.iter(|| {
            t = t.wrapping_add(1);
            test.update(black_box(f64::from(t % 7)))
        });
    });
    group.bench_function("adwin/update", |bench| {
        bench.iter(|| {
            t = t.wrapping_add(1);
            window.update(black_box(f64::from(t % 7)))
        });
    });
    group.finish();
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = benches
}
criterion_main!(all);
