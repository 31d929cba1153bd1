//! Does a feature know the future? Runs every leak detector on our own features and models, which must
//! pass, and on features and folds that are leaky on purpose, which must be caught; fails otherwise.
//!
//! ```text
//! cargo run --release --example leak_check
//! cargo run --release --example leak_check -- --candles BTCUSDT_1h.csv.gz --limit 3000
//! ```
//!
//! To check a feature of your own, write it as a `Transform` like `CentredMean` below, or as a closure,
//! and hand it to `leak_check`: the report names the guilty columns, and why.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use forecastle::core::{
    Candle, CandleSeries, CandleView, Dataset, DynFit, FeatureTable, PurgedKFold, Rows,
    Standardizer, Target, Transform, TransformExt, TransformStream, WalkForward,
};
use forecastle::ensemble::{OlsParams, RidgeParams};
use forecastle::evaluation::{
    CausalityParams, LeakCheckParams, LeakParams, LeakVerdict, NotCausal, Tabulate, TabulateFn,
    assert_causal, check_split, leak_check, leak_meter,
};
use forecastle::features::{
    Indicators, LogClose, ModelFeatures, ModelFeaturesParams, VwapAnchor, global_vwap,
};
use forecastle::market_data::{ReadOptions, Simulator, SimulatorParams, read_candles};
use forecastle::models_deep::{
    AutoencoderParams, GruParams, TrainingParams, TransformerParams, WithLatents,
};
use forecastle::models_tree::BoostingParams;
use forecastle::{Pipeline, PipelineConfig};
use ndarray::{Array1, ArrayRef2};

#[path = "support/output.rs"]
mod output;

/// Bars that a label looks ahead.
const HORIZON: usize = 5;

/// Bars that the centred mean takes on either side.
const HALF_WIDTH: usize = 10;

/// Runs every leak detector on what is ours and on what is leaky on purpose
#[derive(Debug, Parser)]
struct Args {
    /// CSV, plain or gzip; simulated candles without it
    #[arg(long, value_name = "FILE")]
    candles: Option<PathBuf>,
    /// Use the last N candles only
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    limit: usize,
    /// Seed of everything random
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Leave out the neural models, which take the longest
    #[arg(long)]
    quick: bool,
    /// Write the report on our model features here, as JSON
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::exit(run(&args))
}

fn run(args: &Args) -> Result<()> {
    let candles = load(args)?;
    let mut checks = Checks::default();
    features(&candles, args, &mut checks)?;
    final_table_of_a_pipeline(&candles, args, &mut checks)?;
    folds(candles.len(), &mut checks)?;
    models(args, &mut checks)?;
    leaky_on_purpose(&candles, args, &mut checks)?;
    output::write_to(None, |out| {
        writeln!(out, "{} {}, {} candles", candles.symbol(), candles.timeframe(), candles.len())?;
        for Check { subject, found, wanted, reason } in &checks.0 {
            let surprise = if found == wanted { "" } else { "  <-- not as it must be" };
            writeln!(out, "{subject:<38}{:<8}{reason}{surprise}", word(*found))?;
        }
        Ok(())
    })?;
    let surprises = checks.0.iter().filter(|check| check.found != check.wanted).count();
    anyhow::ensure!(surprises == 0, "{surprises} of {} checks not as they must be", checks.0.len());
    Ok(())
}

/// What was examined, whether it leaks, and whether it was meant to.
#[derive(Debug)]
struct Check {
    subject: String,
    found: bool,
    wanted: bool,
    reason: String,
}

/// Which columns must be accused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guilty {
    Nothing,
    Only(&'static str),
    Some,
}

#[derive(Debug, Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, subject: &str, found: bool, wanted: bool, reason: impl Into<String>) {
        let (subject, reason) = (subject.to_owned(), reason.into());
        self.0.push(Check { subject, found, wanted, reason });
    }

    /// Runs every detector on a subject, whose guilty columns are known.
    fn table(
        &mut self,
        name: &str,
        subject: &dyn Tabulate,
        candles: &CandleSeries,
        guilty: Guilty,
        params: &LeakCheckParams,
    ) -> Result<()> {
        let report = leak_check(subject, candles, params)?;
        let wanted = guilty != Guilty::Nothing;
        let leaky = report.verdict() == LeakVerdict::Leaky;
        let found = match guilty {
            // Nothing may even be suspect.
            Guilty::Nothing => !report.is_clean(),
            // The others must not be accused of it.
            Guilty::Only(column) => leaky && report.accused().all(|c| c.column == column),
            Guilty::Some => leaky,
        };
        let accused = report.accused().next();
        let reason = match accused.and_then(|check| Some((&check.column, check.reason()?))) {
            Some((column, reason)) => format!("{column}: {reason}"),
            None => format!("{} columns", report.columns.len()),
        };
        self.add(name, found, wanted, reason);
        Ok(())
    }
}

fn word(leaky: bool) -> &'static str {
    if leaky { "leaky" } else { "clean" }
}

fn load(args: &Args) -> Result<CandleSeries> {
    let Some(path) = &args.candles else {
        let params = SimulatorParams { seed: args.seed, n: args.limit, ..Default::default() };
        return Ok(Simulator::new(params)?.series()?);
    };
    let loaded = read_candles(path, &ReadOptions::default()).context("cannot read the candles")?;
    Ok(loaded.series.tail(args.limit))
}

fn params(seed: u64) -> LeakCheckParams {
    let mut params = LeakCheckParams::default();
    (params.causality.seed, params.noise.seed) = (seed, seed);
    params.noise.horizon = HORIZON;
    params
}

fn features(candles: &CandleSeries, args: &Args, checks: &mut Checks) -> Result<()> {
    let params = params(args.seed);
    for vwap in [VwapAnchor::Rolling(96), VwapAnchor::SESSION_UTC, VwapAnchor::Cumulative] {
        let name = format!("indicators, VWAP {vwap}");
        checks.table(&name, &Indicators::new(vwap)?, candles, Guilty::Nothing, &params)?;
        let codes = ModelFeaturesParams { vwap, direction_code: true, position_code: true };
        let features = ModelFeatures::with_params(codes)?;
        let name = format!("model features, VWAP {vwap}");
        checks.table(&name, &features, candles, Guilty::Nothing, &params)?;
    }
    checks.table("log close", &LogClose::new(), candles, Guilty::Nothing, &params)?;
    if args.output.is_some() {
        let report = leak_check(&ModelFeatures::new(VwapAnchor::default())?, candles, &params)?;
        output::write_to(args.output.as_deref(), |out| Ok(serde_json::to_writer(out, &report)?))?;
    }
    Ok(())
}

/// Small neural models: it is the procedure that is judged.
fn small() -> PipelineConfig {
    let training = TrainingParams { epochs: 2, ..Default::default() };
    let gru = GruParams { hidden_size: 6, lookback: 8, training, ..Default::default() };
    let transformer = TransformerParams {
        d_model: 8,
        n_heads: 2,
        feed_forward: 8,
        lookback: 8,
        training,
        ..Default::default()
    };
    let hidden = vec![8];
    let autoencoder = AutoencoderParams { hidden, latents: 3, training, ..Default::default() };
    PipelineConfig { gru, transformer, autoencoder, horizon: HORIZON, ..Default::default() }
}

/// All columns of all rows, signals and forecasts included, of a pipeline fitted on three quarters.
fn final_table_of_a_pipeline(
    candles: &CandleSeries,
    args: &Args,
    checks: &mut Checks,
) -> Result<()> {
    let mut config = PipelineConfig { seed: args.seed, ..small() };
    if args.quick {
        use forecastle::ModelKind::{Boosting, Kalman, Ridge};
        config.models = vec![Ridge, Boosting, Kalman];
    }
    let models = format!("final table, {} models", config.models.len());
    let fitted = Pipeline::new(config)?.fit(&candles.slice(0..candles.len() / 4 * 3))?;
    let cuts = CausalityParams { cuts: 4, seed: args.seed, ..Default::default() };
    let verdict = assert_causal(&fitted, candles, &cuts);
    match verdict {
        Ok(()) => checks.add(&models, false, false, "no cell changes with a later candle"),
        Err(breach @ NotCausal::Breach { .. }) => {
            checks.add(&models, true, false, breach.to_string());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn folds(n: usize, checks: &mut Checks) -> Result<()> {
    let purged = PurgedKFold { n_folds: 5, horizon: HORIZON, embargo: 0 }.split(0..n)?;
    let ahead = WalkForward { n_folds: 5, horizon: HORIZON, ..Default::default() }.split(0..n)?;
    let (train, test) = shuffled_fold(n)?;
    let ours = purged.into_iter().map(|split| ("purged folds", split, false));
    let ours = ours.chain(ahead.into_iter().map(|split| ("walk-forward folds", split, false)));
    let pairs = ours.map(|(name, split, wanted)| (name, split.train, split.test.into(), wanted));
    for (name, train, test, wanted) in pairs.chain([("shuffled folds", train, test, true)]) {
        let check = check_split(&train, &test, HORIZON)?;
        // Folds that are clean share a line.
        let known = checks.0.last().is_some_and(|last| last.subject == name && !last.found);
        if !known || !check.is_clean() {
            checks.add(name, !check.is_clean(), wanted, check.to_string());
        }
    }
    Ok(())
}

/// Every fifth row, as a generator deals them: training rows and test rows.
fn shuffled_fold(n: usize) -> Result<(Rows, Rows)> {
    let mut state = 1_u64;
    let dealt: Vec<bool> = (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33).is_multiple_of(5)
        })
        .collect();
    let rows =
        |test: bool| Rows::new((0..n).filter(|t| dealt.get(*t) == Some(&test)).map(|t| t..t + 1));
    Ok((rows(false)?, rows(true)?))
}

/// What every model of ours makes of noise on folds of ours; the Kalman filter reads no features, so
/// the final table speaks for it.
fn models(args: &Args, checks: &mut Checks) -> Result<()> {
    let noise = LeakParams { n_bars: 1_000, n_runs: 30, seed: args.seed, ..Default::default() };
    let small = small();
    let boosting = BoostingParams { n_rounds: 40, ..Default::default() };
    let with_latents = WithLatents { autoencoder: small.autoencoder, model: boosting };
    let slow = LeakParams { n_runs: 6, ..noise };
    let (ols, ridge) = (OlsParams::default(), RidgeParams::default());
    let linear: [(&str, &dyn DynFit, LeakParams); 3] =
        [("least squares", &ols, noise), ("ridge", &ridge, noise), ("boosting", &boosting, slow)];
    let neural: [(&str, &dyn DynFit, LeakParams); 3] = [
        ("GRU", &small.gru, slow),
        ("Transformer", &small.transformer, slow),
        ("autoencoder and boosting", &with_latents, slow),
    ];
    let neural = neural.into_iter().filter(|_| !args.quick);
    for (name, model, params) in linear.into_iter().chain(neural) {
        let report = leak_meter(model, &params)?;
        for (folds, reading) in [("purged", report.purged), ("walk", report.walk_forward)] {
            let reason = format!("IC {:+.3} on noise (z {:+.1})", reading.mean, reading.z());
            checks.add(&format!("{name}, {folds}"), reading.z() > 4.0, false, reason);
        }
        // Least squares shows what shuffling does to any model.
        if name == "least squares" {
            let reading = report.shuffled;
            let reason = format!("IC {:+.3} on noise (z {:+.1})", reading.mean, reading.z());
            checks.add(&format!("{name}, shuffled"), reading.z() > 4.0, true, reason);
        }
    }
    Ok(())
}

/// The classics.
fn leaky_on_purpose(candles: &CandleSeries, args: &Args, checks: &mut Checks) -> Result<()> {
    let params = params(args.seed);
    let mut leaky = |name, guilty, subject: &dyn Tabulate| {
        checks.table(name, subject, candles, guilty, &params)
    };
    leaky("centred mean", Guilty::Only("centred_mean_ratio"), &CentredMean::new())?;
    let from_vwap = beside_features("from_global_vwap", |candles| {
        let anchor = global_vwap(candles).map_or(f64::NAN, |anchor| anchor.vwap);
        Ok(candles.close().iter().map(|c| (c / anchor).ln()).collect())
    });
    leaky("global VWAP", Guilty::Only("from_global_vwap"), &from_vwap)?;
    let target =
        beside_features("target", |candles| Ok(Target::LogReturn.labels(candles.close(), HORIZON)));
    leaky("target among the features", Guilty::Only("target"), &target)?;
    let scaled = TabulateFn::new(scaled_on_all_rows);
    leaky("scaler fitted on all rows", Guilty::Some, &scaled)
}

/// The mean close of the ten bars before and after: smooth, and of no use to anyone who lives in time.
///
/// Its stream cannot do that, so it gives what is known: the two would differ, which is a leak too.
#[derive(Debug)]
struct CentredMean {
    names: Vec<String>,
}

impl CentredMean {
    fn new() -> Self {
        Self { names: vec!["centred_mean_ratio".to_owned()] }
    }
}

impl Transform for CentredMean {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        0
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(TrailingMean(Vec::new()))
    }

    fn transform_into(
        &self,
        candles: CandleView<'_>,
        out: &mut ArrayRef2<f64>,
    ) -> forecastle::Result<()> {
        self.check_output(candles, out)?;
        let close = candles.close();
        for (t, (cell, now)) in out.column_mut(0).iter_mut().zip(close).enumerate() {
            // The leak: `t + HALF_WIDTH`. To repair it, end the slice at `t + 1`.
            let end = (t + HALF_WIDTH + 1).min(close.len());
            let seen = &close[t.saturating_sub(HALF_WIDTH)..end];
            *cell = (seen.iter().sum::<f64>() / seen.len() as f64 / now).ln();
        }
        Ok(())
    }
}

#[derive(Debug)]
struct TrailingMean(Vec<f64>);

impl TransformStream for TrailingMean {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        if self.0.len() > HALF_WIDTH {
            self.0.remove(0);
        }
        self.0.push(candle.close());
        if let Some(cell) = row.first_mut() {
            let mean = self.0.iter().sum::<f64>() / self.0.len() as f64;
            *cell = (mean / candle.close()).ln();
        }
    }
}

/// Our model features and one more column.
fn beside_features(
    name: &'static str,
    make: impl Fn(CandleView<'_>) -> forecastle::Result<Array1<f64>>,
) -> impl Tabulate {
    TabulateFn::new(move |candles: &CandleSeries| {
        let view = candles.view();
        let column = make(view)?;
        let table = ModelFeatures::new(VwapAnchor::default())?.transform(view)?;
        table.with_columns(&[(name.to_owned(), &*column)])
    })
}

/// Indicators standardised by the mean and deviation of all rows, later ones included.
fn scaled_on_all_rows(candles: &CandleSeries) -> forecastle::Result<FeatureTable> {
    let table = Indicators::new(VwapAnchor::Rolling(5))?.transform(candles.view())?;
    let rows = Rows::from(table.first_ready_row()..table.n_rows());
    let nothing = Array1::zeros(table.n_rows());
    let dataset = Dataset::from_table(&table, &nothing, &rows, 1)?;
    let scaler = Standardizer::fit(dataset, None)?;
    FeatureTable::new(table.names(), table.open_time(), scaler.transform(table.values())?)
}
