//! Forecasts of many symbols as one SQL query: embedded in this process, or on a cluster.
//!
//! ```text
//! cargo run --release --example cluster_forecast
//! cargo run --release --example cluster_forecast -- --cache cache/ --output table.parquet
//! cargo run --release --example cluster_forecast -- --cache cache/ --scheduler 127.0.0.1:50050
//! ```
//!
//! `--beside-panel` runs the same work through `Panel`, compares the tables bit for bit and prints the ratio.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use datafusion::arrow::array::{AsArray, Float64Array, RecordBatch};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::prelude::SessionContext;
use forecastle::core::{Timeframe, Timestamp};
use forecastle::market_data::{
    CacheFormat, CacheKey, CandleCache, ReadOptions, SIMULATED_LABEL, Simulator, SimulatorParams,
};
use forecastle::{ModelKind, Panel, PanelParams, PanelRow, Pipeline, PipelineConfig, record_batch};
use forecastle_ballista::{Cluster, ClusterParams, Job, JobParams, write_output};
use forecastle_datafusion::{
    Options, check_plan, flatten, register, register_candles, session_config, sort_rows,
};

const KEYS: [&str; 3] = ["exchange", "timeframe", "symbol"];

/// Forecasts every symbol of a download cache, or of a simulation, as SQL
#[derive(Debug, Parser)]
struct Args {
    /// Download cache in Parquet (exchange=…/timeframe=…/symbol=…), which every executor sees under the same
    /// path [default: simulated candles in a folder of their own]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Simulated symbols
    #[arg(long, default_value_t = 20)]
    symbols: u32,
    /// Candles of each simulated symbol
    #[arg(long, default_value_t = 1_500)]
    rows: usize,
    /// Bars ahead
    #[arg(long, default_value_t = 5)]
    horizon: usize,
    /// Models of the ensemble, or `none`
    #[arg(long, value_delimiter = ',', default_value = "ridge,boosting,kalman")]
    models: Vec<String>,
    /// Partitions of the query: symbols worked on at once, or tasks of a cluster [default: cores; 64]
    #[arg(long)]
    partitions: Option<usize>,
    /// Run on a cluster, whose scheduler this is
    #[arg(long, value_name = "HOST:PORT")]
    scheduler: Option<String>,
    /// Seconds within which a cluster must answer
    #[arg(long, default_value_t = 3_600)]
    deadline: u64,
    /// Write the table here, as `.parquet` or `.csv`
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Run a panel on so many threads, too, and compare
    #[arg(long, value_name = "THREADS")]
    beside_panel: Option<usize>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let named = args.models.iter().filter(|name| *name != "none");
    let mut options = Options {
        pipeline: PipelineConfig {
            horizon: args.horizon,
            models: named.map(|name| name.parse::<ModelKind>()).collect::<Result<_, _>>()?,
            ..Default::default()
        },
        ..Default::default()
    };
    let folder = tempfile::tempdir()?;
    let root = match &args.cache {
        Some(cache) => cache.canonicalize().with_context(|| format!("no {}", cache.display()))?,
        None => {
            let cache = CandleCache::open(folder.path(), CacheFormat::Parquet)?;
            (1..=args.symbols).try_for_each(|seed| simulate(&cache, seed, args.rows))?;
            folder.path().to_owned()
        }
    };

    options.timeframe = only_timeframe(&root)?;
    let (elapsed, batches) = match &args.scheduler {
        Some(scheduler) => on_cluster(args, scheduler, &root, &options).await?,
        None => embedded(args, &root, &options).await?,
    };
    let flat: Vec<RecordBatch> =
        batches.iter().map(|b| flatten(b, "f")).collect::<Result<_, _>>()?;
    let table = sort_rows(&flat, &KEYS)?;
    describe(&table, elapsed);
    if let Some(path) = &args.output {
        write_output(path, &table.schema(), std::slice::from_ref(&table))?;
        println!("written to {}", path.display());
    }
    if let Some(threads) = args.beside_panel {
        let begun = Instant::now();
        let expected = panel(&root, options.pipeline, threads)?;
        let panel = begun.elapsed().as_secs_f64();
        same(&expected, &table)?;
        let seconds = elapsed.as_secs_f64();
        println!(
            "the same bits from a panel on {threads} threads in {panel:.2} s: {:.3} of its time",
            seconds / panel
        );
    }
    Ok(())
}

/// The timeframe of all series of a cache; `None` where there are several, each of which is then told from its
/// candles.
fn only_timeframe(root: &Path) -> Result<Option<Timeframe>> {
    let keys = CandleCache::open(root, CacheFormat::Parquet)?.keys()?;
    let first = keys.first().map(CacheKey::timeframe);
    Ok(first.filter(|first| keys.iter().all(|key| key.timeframe() == *first)))
}

fn query(options: &Options) -> Result<String> {
    // JSON has no single quotes but within strings, where SQL doubles them.
    let options = serde_json::to_string(options)?.replace('\'', "''");
    Ok(format!(
        "SELECT exchange, timeframe, symbol, \
                forecast(open_time, open, high, low, close, volume, '{options}') AS f \
         FROM candles GROUP BY exchange, timeframe, symbol"
    ))
}

async fn embedded(
    args: &Args,
    root: &Path,
    options: &Options,
) -> Result<(Duration, Vec<RecordBatch>)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let ctx = SessionContext::new_with_config(session_config(args.partitions.unwrap_or(cores)));
    register(&ctx);
    let begun = Instant::now();
    register_candles(&ctx, "candles", root).await?;
    let frame = ctx.sql(&query(options)?).await?;
    check_plan(&frame.clone().create_physical_plan().await?)?;
    let batches = frame.collect().await?;
    Ok((begun.elapsed(), batches))
}

async fn on_cluster(
    args: &Args,
    scheduler: &str,
    root: &Path,
    options: &Options,
) -> Result<(Duration, Vec<RecordBatch>)> {
    let default = ClusterParams::default();
    let partitions = args.partitions.unwrap_or(default.partitions);
    let cluster = Cluster::connect(scheduler, &ClusterParams { partitions, ..default }).await?;
    let root = root.to_str().context("the path of the candles is not UTF-8")?;
    cluster.register_candles("candles", root).await?;
    let job = Job::sql(query(options)?);
    let params = JobParams { deadline: Duration::from_secs(args.deadline), ..JobParams::default() };
    let outcome = cluster.run(&job, &params, |_| {}).await?;
    for given_up in &outcome.given_up {
        println!("an attempt was given up: {given_up}");
    }
    Ok((outcome.elapsed, outcome.batches))
}

/// The same work without any engine.
fn panel(root: &Path, config: PipelineConfig, threads: usize) -> Result<RecordBatch> {
    let mut params = PanelParams::default();
    params.threads = Some(threads);
    let panel = Panel::directory(root, &ReadOptions::default())?.with_params(params)?;
    let mut rows: Vec<PanelRow> = Vec::new();
    panel.forecast(&Pipeline::new(config)?, &(), |row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(sort_rows(&[record_batch(rows)?], &KEYS)?)
}

/// Fails unless every number has the same bits.
fn same(expected: &RecordBatch, table: &RecordBatch) -> Result<()> {
    ensure!(expected.num_rows() == table.num_rows(), "the panel has other symbols");
    for (field, column) in expected.schema().fields().iter().zip(expected.columns()) {
        let name = field.name();
        let other = table.column_by_name(name).with_context(|| format!("no column {name}"))?;
        let equal = match (column.as_primitive_opt::<Float64Type>(), other.as_primitive_opt()) {
            (Some(a), Some(b)) => {
                let b: &Float64Array = b;
                a.iter().map(|v| v.map(f64::to_bits)).eq(b.iter().map(|v| v.map(f64::to_bits)))
            }
            _ => column == other,
        };
        ensure!(equal, "the panel's {name} is another");
    }
    Ok(())
}

fn describe(table: &RecordBatch, elapsed: Duration) {
    let count = |name: &str, value: &str| {
        let column = table.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
        column.map_or(0, |c| c.iter().filter(|v| *v == Some(value)).count())
    };
    let failed =
        table.column_by_name("close").map_or(0, datafusion::arrow::array::Array::null_count);
    println!(
        "{} symbols in {:.2} s: {} BUY, {} SELL, {} HOLD, {failed} failed",
        table.num_rows(),
        elapsed.as_secs_f64(),
        count("signal", "BUY"),
        count("signal", "SELL"),
        count("signal", "HOLD"),
    );
    if let Some(memory) = peak_memory() {
        println!("peak memory of this process: {memory} MiB");
    }
}

/// A download cache of one simulated symbol, labelled so.
fn simulate(cache: &CandleCache, seed: u32, n: usize) -> Result<()> {
    let params = SimulatorParams { seed: seed.into(), n, ..Default::default() };
    let made = Simulator::new(params)?.series()?;
    let key = CacheKey::new(
        "simulated",
        format!("{SIMULATED_LABEL}/S{seed:05}").parse()?,
        made.timeframe(),
    )?;
    let candles: Vec<_> = made.view().iter().collect();
    let (Some(first), Some(last)) = (candles.first(), candles.last()) else { return Ok(()) };
    let end = made.timeframe().next_open(last.open_time()).context("the end of time")?;
    // A month later everything is final.
    let now = Timestamp::from_millis(end.as_millis() + 30 * 86_400_000);
    cache.append(&key, first.open_time()..end, &candles, now)?;
    Ok(())
}

/// The most memory that this process ever held, in MiB, where the system tells.
fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}
