//! `forecastle-market-data` alone: simulate candles, write them, read them back; or fill a folder with many
//! symbols, for `panel` and for clusters.
//!
//! ```text
//! cargo run --release --example simulate_candles
//! cargo run --release --example simulate_candles -- --symbols 500 --rows 5000 --directory candles/
//! cargo run --release --features parquet --example simulate_candles -- --symbols 500 --cache cache/
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use forecastle::core::{CandleSeries, Timestamp};
use forecastle::market_data::{
    CacheFormat, CacheKey, CandleCache, ReadOptions, SIMULATED_LABEL, Simulator, SimulatorParams,
    read_csv_from, write_csv, write_csv_to,
};

#[path = "support/output.rs"]
mod output;

/// Simulates candles, which are labelled so
#[derive(Debug, Parser)]
struct Args {
    /// Symbols SIMULATED/S00001, SIMULATED/S00002, …, each from a seed of its own
    #[arg(long, default_value_t = 1)]
    symbols: u32,
    /// Candles of each symbol
    #[arg(long, default_value_t = 1_000)]
    rows: usize,
    /// First seed
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Write a CSV file for each symbol into this folder
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Fill a download cache in this folder: Parquet with the feature `parquet`, CSV otherwise
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

fn main() -> ExitCode {
    output::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let cache = args.cache.as_deref().map(open_cache).transpose()?;
    if let Some(directory) = &args.directory {
        let cannot = || format!("cannot make {}", directory.display());
        fs::create_dir_all(directory).with_context(cannot)?;
    }
    if cache.is_none() && args.directory.is_none() {
        return round_trip(&simulated(args, 0)?);
    }
    for i in 0..args.symbols {
        let series = simulated(args, i)?;
        if let Some(directory) = &args.directory {
            write_csv(
                directory.join(format!("{}.csv", series.symbol()).replace('/', "_")),
                &series,
            )?;
        }
        if let Some(cache) = &cache {
            fill(cache, &series)?;
        }
    }
    say(&format!("{} symbols, {} candles each", args.symbols, args.rows))
}

fn say(line: &str) -> Result<()> {
    output::write_to(None, |out| Ok(writeln!(out, "{line}")?))
}

/// The candles of one symbol, some of them without trades, with some gaps.
fn simulated(args: &Args, i: u32) -> Result<CandleSeries> {
    let params = SimulatorParams {
        seed: args.seed + u64::from(i),
        n: args.rows,
        gap_probability: 0.01,
        zero_volume_probability: 0.02,
        ..Default::default()
    };
    let series = Simulator::new(params)?.series()?;
    let symbol = format!("{SIMULATED_LABEL}/S{:05}", i + 1).parse()?;
    Ok(CandleSeries::from_candles(symbol, series.timeframe(), series.view().iter())?)
}

fn open_cache(root: &Path) -> Result<CandleCache> {
    let parquet = CacheFormat::Parquet;
    let format = if parquet.is_supported() { parquet } else { CacheFormat::Csv };
    Ok(CandleCache::open(root, format)?)
}

fn fill(cache: &CandleCache, series: &CandleSeries) -> Result<()> {
    const DAY: i64 = 86_400_000;
    let key = CacheKey::new("simulated", series.symbol().clone(), series.timeframe())?;
    let candles: Vec<_> = series.view().iter().collect();
    let (Some(first), Some(last)) = (candles.first(), candles.last()) else { return Ok(()) };
    let end = series.timeframe().next_open(last.open_time()).context("the end of time")?;
    // Long enough after the end for everything to be final.
    let now = Timestamp::from_millis(end.as_millis() + 30 * DAY);
    cache.append(&key, first.open_time()..end, &candles, now)?;
    Ok(())
}

fn round_trip(simulated: &CandleSeries) -> Result<()> {
    let mut csv = Vec::new();
    write_csv_to(&mut csv, simulated)?;
    let options = ReadOptions { symbol: Some(simulated.symbol().clone()), ..Default::default() };
    let loaded = read_csv_from(csv.as_slice(), "simulated.csv", &options)?;
    ensure!(loaded.series == *simulated, "what was read is not what was written");
    say(&format!(
        "{} candles of {} {}, {} bytes of CSV, {} gaps with {} missing candles",
        simulated.len(),
        simulated.symbol(),
        simulated.timeframe(),
        csv.len(),
        loaded.report.gaps,
        loaded.report.missing,
    ))
}
