//! Downloads candles from any exchange of the registry, without an API key.
//!
//! ```text
//! cargo run --release --example fetch -- --exchange kraken --symbol BTC/USD --output btc.csv
//! cargo run --release --example fetch -- --exchange okx --symbol BTC/USDT:USDT --timeframe 1m \
//!     --since 2025-01-01 --cache candles --output btc.csv.gz
//! ```
#![allow(clippy::print_stderr, reason = "the report goes beside the candles")]

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use forecastle::core::{CandleSeries, Timeframe};
use forecastle::market_data::{Download, write_csv_gz_to, write_csv_to};

#[path = "support/exchange.rs"]
mod exchange;
#[path = "support/output.rs"]
mod output;

/// Downloads candles from an exchange
#[derive(Debug, Parser)]
struct Args {
    /// Which exchange, by CCXT's id (`exchanges list` names them)
    #[arg(long, value_name = "ID")]
    exchange: String,
    /// Which market, by CCXT's symbol, such as BTC/USDT or BTC/USDT:USDT
    #[arg(long)]
    symbol: String,
    /// How long each candle lasts
    #[arg(long, default_value = "1h")]
    timeframe: Timeframe,
    /// Most candles: the first with --since, else the last [default: one page]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    download: exchange::DownloadArgs,
    /// CSV, in gzip for a name that ends with .gz, or Parquet for .parquet [default: standard
    /// output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    output::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let limit = match (args.limit, args.download.since) {
        (None, None) => Some(500),
        (limit, _) => limit,
    };
    let done = args.download.download(&args.exchange, &args.symbol, args.timeframe, limit)?;
    write(args.output.as_deref(), &done.series)?;
    if args.json {
        eprintln!("{}", serde_json::to_string_pretty(&done.report)?);
    } else {
        eprintln!("{}", summary(&done));
    }
    Ok(())
}

fn write(path: Option<&Path>, series: &CandleSeries) -> Result<()> {
    let ends_with = |end: &str| {
        path.and_then(Path::extension).is_some_and(|extension| extension.eq_ignore_ascii_case(end))
    };
    let cannot = || format!("cannot write {}", path.unwrap_or(Path::new("-")).display());
    match path {
        #[cfg(feature = "parquet")]
        Some(path) if ends_with("parquet") => {
            forecastle::market_data::write_parquet(path, series).with_context(cannot)
        }
        #[cfg(not(feature = "parquet"))]
        Some(_) if ends_with("parquet") => {
            anyhow::bail!("this build writes no Parquet: add `--features parquet`")
        }
        Some(path) if ends_with("gz") => {
            let file = File::create(path).with_context(cannot)?;
            write_csv_gz_to(BufWriter::new(file), series).with_context(cannot)
        }
        path => output::write_to(path, |out| Ok(write_csv_to(out, series)?)),
    }
}

/// What was fetched and what was odd about it.
fn summary(done: &Download) -> String {
    let report = &done.report;
    let times = done.series.view().open_time();
    let span = match (times.first(), times.last()) {
        (Some(first), Some(last)) => format!(", {first} to {last}"),
        _ => String::new(),
    };
    let mut text = format!(
        "{} {} {}: {} candles{span}; {} pages, {} requests, {} gaps with {} missing",
        report.exchange,
        report.symbol,
        report.timeframe,
        done.series.len(),
        report.pages,
        report.requests,
        report.repair.gaps,
        report.repair.missing,
    );
    let mut note = |count: usize, what: &str| {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    };
    note(report.duplicates, "duplicates");
    note(report.recovered, "found on asking again");
    note(report.repair.dropped, "invalid rows dropped");
    note(report.unfinished, "unfinished left out");
    note(report.off_grid, "off the grid");
    if let Some(cache) = &done.cache {
        text.push_str(&format!(", {} from the cache, {} fetched", cache.cached, cache.fetched));
    }
    if let Some(offset) = report.anchor_offset_ms {
        text.push_str(&format!(
            "; candles open {} s after the grid of midnight UTC",
            offset / 1000
        ));
    }
    if let Some(reason) = &report.truncated {
        text.push_str(&format!("; {reason}"));
    }
    let converted = if report.volume_converted { " (converted to base)" } else { "" };
    text.push_str(&format!("; volume in {}{converted}", report.volume_unit));
    text
}
