//! How fast the hot paths run, each beside its peer or its target in the same run.
//!
//! ```text
//! cargo run --release --example speed
//! ```
//!
//! Boosting beside XGBoost: `crates/models-tree/benches/compare_xgboost.py`.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use forecastle::core::{CandleView, Dataset, Fit, Rows, Target, Transform, TransformExt};
use forecastle::features::{Indicators, LogClose, PriceIndicators, VwapAnchor};
use forecastle::kalman::{KalmanParams, LocalLinearTrend, TrendVariances};
use forecastle::market_data::{Simulator, SimulatorParams};
use forecastle::models_tree::BoostingParams;
use forecastle::signals::RuleParams;
use forecastle::{MarketStructure, ModelKind, Pipeline};
use ndarray::{Array2, ShapeBuilder};
use ta_lib::Core;

/// Times the hot paths; each figure is the best of several runs
#[derive(Debug, Parser)]
struct Args {
    /// Candles for features, rules and the Kalman filter
    #[arg(long, default_value_t = 1_000_000)]
    bars: usize,
}

/// Seconds of the fastest of `runs` calls.
fn best(runs: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut fastest = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        work()?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    Ok(fastest)
}

/// Memory whose pages are there already, column-major.
fn faulted(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_elem((rows, columns).f(), 1.0)
}

fn report(what: &str, figure: f64, unit: &str, against: &str) {
    println!("{what:<58}{figure:>9.2} {unit:<8}{against}");
}

fn main() -> Result<()> {
    let n = Args::parse().bars.max(100);
    let bars = n as f64;
    let candles = Simulator::new(SimulatorParams { n, ..Default::default() })?.series()?;
    let view = candles.view();
    println!("{n} simulated candles, one thread unless said otherwise, best of several runs\n");

    let indicators = Indicators::new(VwapAnchor::default())?;
    let mut out = faulted(n, indicators.names().len());
    let fused = best(5, || Ok(indicators.transform_into(black_box(view), &mut out)?))?;
    report("all 23 indicator columns, batch", fused / bars * 1e9, "ns/bar", "target 40");

    let prices = PriceIndicators::new();
    let mut out = faulted(n, prices.names().len());
    let mut theirs_out: [Vec<f64>; 10] = std::array::from_fn(|_| vec![1.0; n]);
    let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..5 {
        ours = ours.min(best(1, || Ok(prices.transform_into(black_box(view), &mut out)?))?);
        theirs = theirs.min(best(1, || ta_lib_columns(black_box(view), &mut theirs_out))?);
    }
    let ratio = format!("{:.2} of TA-Lib's {:.2} ns/bar", ours / theirs, theirs / bars * 1e9);
    report("the 10 columns that TA-Lib has too, batch", ours / bars * 1e9, "ns/bar", &ratio);

    let all: Vec<_> = view.iter().collect();
    let mut row = vec![0.0; indicators.names().len()];
    let streamed = best(3, || {
        let mut stream = indicators.stream();
        all.iter().for_each(|candle| stream.update(black_box(candle), &mut row));
        Ok(())
    })?;
    report("all 23 indicator columns, stream", streamed / bars * 1e9, "ns", "target 150");

    let structure = MarketStructure::new(VwapAnchor::default(), RuleParams::default())?;
    let rules = best(3, || {
        structure.rows(view).for_each(|row| {
            black_box(row);
        });
        Ok(())
    })?;
    report("indicators, regime and rules, stream", rules / bars * 1e9, "ns", "");

    let log_close: Vec<f64> = view.close().iter().map(|close| close.ln()).collect();
    kalman(&log_close)?;
    boosting()?;

    let few = Simulator::new(SimulatorParams { n: 5_000, ..Default::default() })?.series()?;
    for (what, models, runs, limit) in [
        ("pipeline, 3 models, 5 folds, 5000 candles", &ModelKind::QUICK[..], 3, 3),
        ("the same with GRU, Transformer, autoencoder", &ModelKind::ALL[..], 1, 35),
    ] {
        let builder = Pipeline::builder().models(models.iter().copied());
        let pipeline = builder.threads(1).build()?;
        let whole = best(runs, || {
            black_box(pipeline.fit(&few)?.run(&few)?);
            Ok(())
        })?;
        report(what, whole, "s", &format!("target {limit} CPU seconds"));
    }
    Ok(())
}

fn kalman(log_close: &[f64]) -> Result<()> {
    let variances = TrendVariances { level: 1e-5, trend: 1e-8, measurement: 1e-6 };
    let model = LocalLinearTrend::new(variances)?;
    let few = Simulator::new(SimulatorParams { n: 2_505, ..Default::default() })?.series()?;
    let table = LogClose::new().transform(few.view())?;
    let targets = Target::LogReturn.labels(few.view().close(), 5);
    let rows = Rows::from(0..2_500);
    let dataset = Dataset::from_table(&table, &targets, &rows, 5)?;
    let fitted = KalmanParams::default().fit(dataset)?;
    let first = log_close.first().context("no candles")?;
    let filtered = best(3, || {
        let mut stream = model.stream(fitted.prior(*first))?;
        log_close.iter().for_each(|y| {
            black_box(stream.update(*y));
        });
        Ok(())
    })?;
    let step = filtered / log_close.len() as f64;
    report("Kalman filter, 2 states", step * 1e9, "ns/step", "target 15");
    let likelihood = best(5, || {
        black_box(KalmanParams::default().fit(dataset)?);
        Ok(())
    })?;
    report("Kalman maximum likelihood, 2500 rows", likelihood * 1e3, "ms", "target 20");
    Ok(())
}

/// 200 trees of depth 6 on 30 features, on all cores.
fn boosting() -> Result<()> {
    let (table, targets) = synthetic(20_000, 30)?;
    let rows = Rows::from(0..20_000);
    let params = BoostingParams {
        n_rounds: 200,
        max_depth: 6,
        learning_rate: 0.05,
        min_child_weight: 1.0,
        subsample: 1.0,
        colsample_bytree: 1.0,
        ..Default::default()
    };
    let dataset = Dataset::from_table(&table, &targets, &rows, 1)?;
    let model = params.fit(dataset)?;
    let fit = best(3, || {
        black_box(params.fit(dataset)?);
        Ok(())
    })?;
    report("boosting, 200 trees, depth 6, 20000 × 30, all cores", fit * 1e3, "ms", "");
    let row = table.values().row(17).to_vec();
    let one = best(5, || {
        for _ in 0..10_000 {
            black_box(model.predict_row(black_box(&row))?);
        }
        Ok(())
    })?;
    report("boosting, one row", one / 10_000.0 * 1e6, "µs", "target 3");
    Ok(())
}

fn synthetic(n: usize, m: usize) -> Result<(forecastle::core::FeatureTable, ndarray::Array1<f64>)> {
    let mut state = 7_u64;
    let mut uniform = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let values = Array2::from_shape_simple_fn((n, m).f(), &mut uniform);
    let signal = |i: usize| (6.0 * values[[i, 0]]).sin() + values[[i, 1]] * values[[i, 2]];
    let targets = (0..n).map(|i| signal(i) + uniform() - 0.5).collect();
    let names: Vec<String> = (0..m).map(|j| format!("x{j}")).collect();
    let minute = |t: usize| forecastle::core::Timestamp::from_millis(t as i64 * 60_000);
    let times: Vec<_> = (0..n).map(minute).collect();
    Ok((forecastle::core::FeatureTable::new(&names, &times, values)?, targets))
}

/// TA-Lib's functions for the columns that both have.
fn ta_lib_columns(view: CandleView<'_>, out: &mut [Vec<f64>; 10]) -> Result<()> {
    let (core, last) = (Core::new(), view.len() - 1);
    let (high, low, close) = (view.high(), view.low(), view.close());
    let [typical, sma_5, sma_20, std_5, std_20, atr, mom_5, mom_10, line, slope] = out;
    let results = [
        core.typprice(0, last, high, low, close, typical),
        core.sma(0, last, close, 5, sma_5),
        core.sma(0, last, close, 20, sma_20),
        core.stddev(0, last, close, 5, 1.0, std_5),
        core.stddev(0, last, close, 20, 1.0, std_20),
        core.atr(0, last, high, low, close, 14, atr),
        core.mom(0, last, close, 5, mom_5),
        core.mom(0, last, close, 10, mom_10),
        core.linearreg(0, last, close, 20, line),
        core.linearreg_slope(0, last, close, 20, slope),
    ];
    for result in results {
        result.map_err(|e| anyhow::anyhow!("TA-Lib: {e:?}"))?;
    }
    Ok(())
}
