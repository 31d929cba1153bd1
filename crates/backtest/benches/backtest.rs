//! Time of a backtest, of its figures, of the bar-by-bar account, and of a sweep of settings.
#![allow(clippy::unwrap_used, missing_docs, reason = "benches")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forecastle_backtest::{
    Account, BacktestParams, Decision, PerformanceParams, RandomEntryParams,
};
use forecastle_core::{Candle, CandleSeries, Timestamp};

/// A deterministic walk of minutes.
fn series(rows: usize) -> CandleSeries {
    let mut state = 7_u64;
    let mut uniform = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut close = 100.0_f64;
    let candle = |minute: usize| {
        let open = close;
        close *= 1.0 + 0.002 * (uniform() - 0.5);
        let (high, low) = (open.max(close) * 1.0003, open.min(close) * 0.9997);
        let time = Timestamp::from_millis(minute as i64 * 60_000);
        Candle::new(time, open, high, low, close, 1.0 + uniform()).unwrap()
    };
    let candles: Vec<_> = (0..rows).map(candle).collect();
    CandleSeries::from_candles("BTC/USDT".parse().unwrap(), "1m".parse().unwrap(), candles).unwrap()
}

/// An entry every 100 bars, long and short by turns, with stop and target, held for half of them at
/// most.
fn decisions(series: &CandleSeries) -> Vec<Decision> {
    let close = series.view().close();
    let mut decisions = vec![Decision::KEEP; close.len()];
    for (i, t) in (0..close.len()).step_by(100).enumerate() {
        let side = if i % 2 == 0 { 1.0 } else { -1.0 };
        let entry = if i % 2 == 0 { Decision::long() } else { Decision::short() };
        decisions[t] = entry
            .with_stop(close[t] * (1.0 - 0.01 * side))
            .with_take_profit(close[t] * (1.0 + 0.01 * side))
            .with_max_bars(50);
    }
    decisions
}

fn run(c: &mut Criterion) {
    let mut group = c.benchmark_group("backtest/run");
    let series = series(1_000_000);
    let decisions = decisions(&series);
    let params = BacktestParams::default();
    let backtest = params.run(series.view(), &decisions).unwrap();
    assert!((9_900..=10_000).contains(&backtest.trades.len()), "{}", backtest.trades.len());
    group.throughput(Throughput::Elements(1_000_000)).sample_size(20);
    group.bench_function("1_000_000", |b| {
        b.iter(|| params.run(black_box(series.view()), black_box(&decisions)).unwrap());
    });
    group.bench_function("1_000_000/performance", |b| {
        b.iter(|| black_box(&backtest).performance(&PerformanceParams::default()).unwrap());
    });
    let candles: Vec<Candle> = series.view().iter().collect();
    group.bench_function("1_000_000/stream", |b| {
        b.iter(|| {
            let mut account = Account::new(&params).unwrap();
            for (candle, decision) in candles.iter().zip(&decisions) {
                black_box(account.update(candle, *decision).unwrap());
            }
            account
        });
    });
    let random = RandomEntryParams::default();
    group.bench_function("1_000_000/random_entry", |b| {
        b.iter(|| params.random_entry(series.view(), &backtest, &random).unwrap());
    });
    group.finish();
}

/// Momentum over 1,000 windows, on as many threads as rayon has (`RAYON_NUM_THREADS`).
fn sweep(c: &mut Criterion) {
    let mut group = c.benchmark_group("backtest/sweep");
    let series = series(100_000);
    let close = series.view().close();
    let params = BacktestParams::default();
    group.throughput(Throughput::Elements(1_000 * 100_000)).sample_size(10);
    group.bench_function("1_000x100_000", |b| {
        b.iter(|| {
            let decide = |set: usize, decisions: &mut [Decision]| {
                let window = 100 + set;
                for (t, pair) in close.windows(window + 1).enumerate().step_by(20) {
                    let risen = pair[window] > pair[0];
                    decisions[t + window] = if risen { Decision::long() } else { Decision::EXIT };
                }
                Ok(())
            };
            params.sweep(black_box(series.view()), 1_000, decide).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, run, sweep);
criterion_main!(benches);
