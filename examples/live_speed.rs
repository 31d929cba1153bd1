//! How long a live update takes: the figures of docs/speed.md.
//!
//! ```text
//! cargo run --release --example live_speed
//! cargo run --release --example live_speed -- --candles 100000 --symbols 1000 --long 10000000
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use forecastle::core::{Candle, CandleSeries, Timestamp};
use forecastle::features::VwapAnchor;
use forecastle::market_data::{Simulator, SimulatorParams};
use forecastle::signals::RuleParams;
use forecastle::{
    LiveParams, LivePipeline, MarketStructure, ModelKind, Pipeline, PipelineConfig, RefitParams,
};
use rayon::prelude::*;

/// Times live updates
#[derive(Debug, Parser)]
struct Args {
    /// Candles with all models, while refits run in the background
    #[arg(long, default_value_t = 2_000)]
    candles: usize,
    /// Candles from refit to refit
    #[arg(long, default_value_t = 500)]
    refit: u64,
    /// Candles that a fit knows
    #[arg(long, default_value_t = 2_000)]
    window: usize,
    /// Pipelines in one process
    #[arg(long, default_value_t = 50)]
    symbols: usize,
    /// Candles over which memory must stay flat, for rules alone; a tenth of them with models
    #[arg(long, default_value_t = 100_000)]
    long: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    rules_alone()?;
    all_models(&args)?;
    many_symbols(&args)?;
    memory(&args)
}

/// Candles without an end: simulated ones, again and again, each an hour after the one before.
struct Endless {
    candles: Vec<Candle>,
    next: usize,
    time: i64,
}

impl Endless {
    fn after(series: &CandleSeries) -> Self {
        let candles: Vec<Candle> = series.view().iter().collect();
        let time = candles.last().map_or(0, |candle| candle.open_time().as_millis());
        Self { candles, next: 0, time }
    }

    fn candle(&mut self) -> Result<Candle> {
        self.time += 3_600_000;
        let candle = self.candles.get(self.next).context("no candles")?;
        self.next = (self.next + 1) % self.candles.len();
        let time = Timestamp::from_millis(self.time);
        let (open, high, low) = (candle.open(), candle.high(), candle.low());
        Ok(Candle::new(time, open, high, low, candle.close(), candle.volume())?)
    }
}

fn simulated(n: usize, seed: u64) -> Result<CandleSeries> {
    Ok(Simulator::new(SimulatorParams { n, seed, ..Default::default() })?.series()?)
}

fn live(config: PipelineConfig, n: usize, params: LiveParams) -> Result<(LivePipeline, Endless)> {
    let series = simulated(n, 7)?;
    let mut live = LivePipeline::new(Pipeline::new(config)?.fit(&series)?, params)?;
    live.warm_up(&series)?;
    Ok((live, Endless::after(&series)))
}

fn rules_alone() -> Result<()> {
    let series = simulated(100_000, 7)?;
    let candles: Vec<Candle> = series.view().iter().collect();
    let structure = MarketStructure::new(VwapAnchor::default(), RuleParams::default())?;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let mut stream = structure.stream();
        let begun = Instant::now();
        candles.iter().for_each(|candle| {
            black_box(stream.update(black_box(candle)));
        });
        best = best.min(begun.elapsed().as_secs_f64());
    }
    let of_stream = best / candles.len() as f64 * 1e9;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let config = PipelineConfig { models: vec![], ..Default::default() };
        let (mut live, mut endless) = live(config, 1_000, LiveParams::default())?;
        let next: Vec<Candle> =
            (0..candles.len()).map(|_| endless.candle()).collect::<Result<_>>()?;
        let begun = Instant::now();
        for candle in &next {
            black_box(live.update(*candle)?);
        }
        best = best.min(begun.elapsed().as_secs_f64());
    }
    println!(
        "features and rules: {of_stream:.0} ns a candle; in a live pipeline {:.0} ns (target 1000)",
        best / candles.len() as f64 * 1e9
    );
    Ok(())
}

fn all_models(args: &Args) -> Result<()> {
    let refit = RefitParams { every: Some(args.refit), window: args.window, ..Default::default() };
    let params = LiveParams { refit: Some(refit), ..Default::default() };
    let (mut live, mut endless) = live(PipelineConfig::default(), args.window, params)?;
    let mut times = Vec::with_capacity(args.candles);
    let mut refitting = 0_usize;
    for _ in 0..args.candles {
        let candle = endless.candle()?;
        let begun = Instant::now();
        black_box(live.update(candle)?);
        times.push(begun.elapsed());
        refitting += usize::from(live.is_refitting());
    }
    let counters = *live.counters();
    print_latencies("all six models", &mut times);
    println!(
        "  a refit under way during {:.0} % of {} candles; {} took over, {} failed (targets: median \
         300 us, 99.9 % 2000 us)",
        100.0 * refitting as f64 / args.candles.max(1) as f64,
        args.candles,
        counters.refits,
        counters.refits_failed
    );
    Ok(())
}

fn print_latencies(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| {
        let rank = (share * times.len() as f64).ceil() as usize;
        times.get(rank.saturating_sub(1)).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    };
    println!(
        "{what}: median {:.0} us, 99 % {:.0} us, 99.9 % {:.0} us, longest {:.0} us",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

/// Features, rules and boosting of many symbols whose candles close at the same instant.
fn many_symbols(args: &Args) -> Result<()> {
    let config = PipelineConfig { models: vec![ModelKind::Boosting], ..Default::default() };
    let series = simulated(1_500, 7)?;
    let fitted = Pipeline::new(config)?.fit(&series)?;
    let saved = fitted.save()?;
    let load = |_| -> Result<LivePipeline> {
        let fitted = forecastle::FittedPipeline::load(&saved)?;
        let mut live = LivePipeline::new(fitted, LiveParams::default())?;
        live.warm_up(&series)?;
        Ok(live)
    };
    let before = resident();
    let mut pipelines: Vec<LivePipeline> = (0..args.symbols).map(load).collect::<Result<_>>()?;
    let each = (resident().unwrap_or(0.0) - before.unwrap_or(0.0)) / args.symbols.max(1) as f64;
    let mut endless = Endless::after(&series);
    let mut times = Vec::new();
    for _ in 0..60 {
        let candle = endless.candle()?;
        let begun = Instant::now();
        pipelines.par_iter_mut().try_for_each(|live| {
            live.update(candle).map(|step| {
                black_box(step);
            })
        })?;
        times.push(begun.elapsed());
    }
    let threads = rayon::current_num_threads();
    let what = format!("{} symbols with boosting, all on {threads} threads", args.symbols);
    print_latencies(&what, &mut times);
    println!("  target 50000 us; {each:.2} MiB a symbol");
    Ok(())
}

fn memory(args: &Args) -> Result<()> {
    let params = LiveParams {
        refit: Some(RefitParams { every: None, window: 5_000, ..Default::default() }),
        ..Default::default()
    };
    for (what, models, n) in [
        ("rules alone", vec![], args.long),
        ("ridge, boosting, kalman", ModelKind::QUICK.to_vec(), args.long / 10),
    ] {
        let config = PipelineConfig { models, ..Default::default() };
        let (mut live, mut endless) = live(config, 5_000, params)?;
        // Errors and windows are full by then.
        for _ in 0..(n / 10).max(20_000) {
            live.update(endless.candle()?)?;
        }
        let (before, state) = (resident(), live.save()?.to_bytes()?.len());
        for _ in 0..n {
            live.update(endless.candle()?)?;
        }
        let (after, then) = (resident(), live.save()?.to_bytes()?.len());
        let shown =
            |memory: Option<f64>| memory.map_or("unknown".into(), |m| format!("{m:.1} MiB"));
        println!(
            "{what}: {} before and {} after {n} candles; the saved state {state} and {then} bytes",
            shown(before),
            shown(after)
        );
    }
    Ok(())
}

/// Resident memory in MiB, where the system tells it.
fn resident() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
