//! Checks the exchange records against recorded cases: which requests they make, how they read
//! answers and market lists.
//!
//! ```text
//! cargo run --release --example exchange_conformance -- DIR [--exchange ID] [--strict]
//! ```
//!
//! `DIR` holds one JSON file an exchange: `requests` (a query and the request CCXT makes of it),
//! `responses` (an answer and the candles CCXT reads from it) and `markets` (answers and the
//! markets CCXT reads from them). It prints what differs, exchange by exchange, then
//! `N passed, N failed`. Where CCXT itself is wrong, `known_differences.toml` says so and why.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

#[path = "support/conformance.rs"]
mod conformance;
#[path = "support/output.rs"]
mod output;

/// Checks the exchange records against recorded cases.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder of the cases, one JSON file an exchange.
    dir: PathBuf,
    /// Only this exchange.
    #[arg(long)]
    exchange: Option<String>,
    /// Compare every field of the markets: contract sizes, expiries and strikes too.
    #[arg(long)]
    strict: bool,
}

fn main() -> ExitCode {
    output::exit(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { dir, exchange, strict } = arguments;
    let total = conformance::check_folder(dir, exchange.as_deref(), *strict)?;
    let mut text = String::new();
    for failure in &total.failures {
        writeln!(text, "{failure}")?;
    }
    for reason in &total.reasons {
        writeln!(text, "known difference, {reason}")?;
    }
    writeln!(
        text,
        "{} of {} exchanges whole, {} known differences aside",
        total.whole, total.exchanges, total.known
    )?;
    writeln!(text, "{} passed, {} failed", total.passed, total.failed)?;
    output::write_to(None, |out| Ok(out.write_all(text.as_bytes())?))?;
    if total.failed > 0 { bail!("{} cases differ", total.failed) } else { Ok(()) }
}
