//! Every column that needs no model, one row a bar, as CSV.
//!
//! ```text
//! cargo run --release --example indicators -- --candles BTCUSDT_1h.csv.gz --output indicators.csv
//! ```
#![allow(clippy::print_stderr, reason = "standard output may be the table")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use forecastle::features::VwapAnchor;
use forecastle::signals::RuleParams;
use forecastle::{MarketStructure, write_csv};

#[path = "support/candles.rs"]
mod candles;
#[path = "support/output.rs"]
mod output;

/// Writes market structure and signals of every bar as CSV
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    candles: candles::CandleArgs,
    /// rolling:N, session or cumulative
    #[arg(long, default_value_t = VwapAnchor::default())]
    vwap: VwapAnchor,
    /// Bars ahead
    #[arg(long, default_value_t = 5)]
    horizon: usize,
    /// Where to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    output::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let rules = RuleParams { horizon: args.horizon, ..Default::default() };
    let structure = MarketStructure::new(args.vwap, rules)?;
    let input = args.candles.load()?;
    eprintln!("{input}");
    // Rows are computed as they are written: memory holds the candles and nothing more.
    let rows = structure.rows(input.series.view());
    output::write_to(args.output.as_deref(), |out| Ok(write_csv(rows, out)?))
}
