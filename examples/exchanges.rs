//! Lists the exchanges, lists one's markets, and finds out which exchanges work here without a
//! key.
//!
//! ```text
//! cargo run --release --example exchanges -- list
//! cargo run --release --example exchanges -- markets kraken
//! cargo run --release --example exchanges -- sweep --time-limit 60
//! ```
#![allow(clippy::print_stderr, reason = "progress goes beside the table")]

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use comfy_table::{Table, presets};
use forecastle::core::Timeframe;
use forecastle::market_data::{
    Exchange, ExchangeClient, Market, Need, SweepOutcome, SweepParams, SweepRow, sweep,
    system_clock,
};
use serde::Serialize;

#[path = "support/exchange.rs"]
mod exchange;
#[path = "support/output.rs"]
mod output;

/// Lists exchanges and markets, and sweeps for those that work without a key
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// Send every request to another address: a proxy, a replay server
    #[arg(long, value_name = "URL", global = true)]
    base_url: Option<String>,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, global = true)]
    time_limit: f64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every exchange of the registry
    List,
    /// The markets of one exchange
    Markets {
        /// CCXT's id of the exchange
        id: String,
        /// Only symbols that contain this
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Those that do not trade now too
        #[arg(long)]
        all: bool,
    },
    /// Ask every exchange for candles
    Sweep {
        /// Only these
        ids: Vec<String>,
        /// How many at a time
        #[arg(long, default_value_t = 16)]
        concurrency: usize,
        /// Which candles
        #[arg(long, default_value = "1h")]
        timeframe: Timeframe,
    },
}

fn main() -> ExitCode {
    output::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::List => list(args),
        Command::Markets { id, search, all } => markets(args, id, search.as_deref(), *all),
        Command::Sweep { ids, concurrency, timeframe } => {
            sweep_all(args, ids, *concurrency, *timeframe)
        }
    }
}

#[derive(Serialize)]
struct ListRow {
    id: String,
    name: String,
    kinds: Vec<String>,
    timeframes: Vec<String>,
    needs_key: Vec<Need>,
    min_interval_ms: f64,
    hosts: Vec<String>,
    note: Option<String>,
}

fn list(args: &Args) -> Result<()> {
    let rows: Vec<ListRow> = Exchange::all()?.iter().map(list_row).collect();
    if args.json {
        return print_json(&rows);
    }
    let mut table = new_table(&["id", "name", "markets", "timeframes", "key for", "ms", "note"]);
    for row in &rows {
        let needs: Vec<&str> = row.needs_key.iter().map(|need| need_word(*need)).collect();
        table.add_row([
            row.id.clone(),
            row.name.clone(),
            row.kinds.join(" "),
            row.timeframes.join(" "),
            needs.join(" "),
            format!("{:.0}", row.min_interval_ms),
            row.note.clone().unwrap_or_default(),
        ]);
    }
    print(&format!("{table}\n{} exchanges\n", rows.len()))
}

fn need_word(need: Need) -> &'static str {
    match need {
        Need::Candles => "candles",
        Need::Markets => "markets",
        _ => "more",
    }
}

fn list_row(exchange: &Exchange) -> ListRow {
    let mut timeframes: Vec<Timeframe> =
        exchange.kinds().into_iter().flat_map(|kind| exchange.timeframes(kind)).collect();
    timeframes.sort_by_key(|timeframe| (timeframe.nominal_millis(), timeframe.to_string()));
    timeframes.dedup();
    ListRow {
        id: exchange.id().to_owned(),
        name: exchange.name().to_owned(),
        kinds: exchange.kinds().iter().map(ToString::to_string).collect(),
        timeframes: timeframes.iter().map(ToString::to_string).collect(),
        needs_key: exchange.needs_key().to_vec(),
        min_interval_ms: exchange.min_interval().as_secs_f64() * 1e3,
        hosts: exchange.hosts().map(str::to_owned).collect(),
        note: exchange.note().map(str::to_owned),
    }
}

fn markets(args: &Args, id: &str, search: Option<&str>, all: bool) -> Result<()> {
    let exchange = exchange::exchange(id, args.base_url.as_deref())?;
    let client = ExchangeClient::new(exchange, exchange::http_client()?, system_clock())
        .with_deadline(exchange::deadline(args.time_limit)?);
    let list = exchange::block_on(async { Ok(client.markets().await?.clone()) })?;
    let wanted = |market: &&Market| {
        (all || market.active != Some(false))
            && search.is_none_or(|text| market.symbol.contains(&text.to_uppercase()))
    };
    let markets: Vec<&Market> = list.markets.iter().filter(wanted).collect();
    if args.json {
        return print_json(&markets);
    }
    let mut table = new_table(&["symbol", "id", "type", "settle", "contract", "active"]);
    for market in &markets {
        table.add_row([
            market.symbol.clone(),
            market.id.clone(),
            market.market_type.to_string(),
            market.settle.clone().unwrap_or_default(),
            market.contract_size.map(|size| size.to_string()).unwrap_or_default(),
            market.active.map(|active| active.to_string()).unwrap_or_default(),
        ]);
    }
    let (shown, known, skipped) = (markets.len(), list.markets.len(), list.skipped);
    print(&format!("{table}\n{shown} of {known} markets, {skipped} rows without a name\n"))
}

fn sweep_all(args: &Args, ids: &[String], concurrency: usize, timeframe: Timeframe) -> Result<()> {
    let exchanges: Vec<Exchange> = match ids {
        [] => Exchange::all()?,
        ids => ids.iter().map(|id| Exchange::find(id)).collect::<Result<_, _>>()?,
    };
    let with_base = |exchange: Exchange| match &args.base_url {
        Some(url) => exchange.with_base_url(url),
        None => Ok(exchange),
    };
    let exchanges: Vec<Exchange> =
        exchanges.into_iter().map(with_base).collect::<Result<_, _>>()?;
    let mut params = SweepParams::default();
    params.concurrency = concurrency;
    params.timeframe = timeframe;
    params.time_limit =
        std::time::Duration::try_from_secs_f64(args.time_limit).context("--time-limit")?;
    let show = std::io::stderr().is_terminal();
    let total = exchanges.len();
    let mut done = 0;
    let (http, clock) = (exchange::http_client()?, system_clock());
    let rows = exchange::block_on(async {
        let rows = sweep(exchanges, &http, &clock, &params, |row| {
            done += 1;
            if show {
                eprint!("\r{done}/{total} {:<24}", row.exchange);
            }
        });
        Ok(rows.await)
    })?;
    if show {
        eprintln!();
    }
    if args.json {
        print_json(&rows)?;
    } else {
        print_sweep(&rows)?;
    }
    if rows.iter().any(|row| row.outcome == SweepOutcome::Works) {
        return Ok(());
    }
    match rows.iter().find_map(|row| row.reason.clone()) {
        Some(reason) => bail!("none of {total} exchanges gave candles, the first says: {reason}"),
        None => bail!("no exchange was asked"),
    }
}

fn print_sweep(rows: &[SweepRow]) -> Result<()> {
    let columns =
        ["exchange", "outcome", "symbol", "tf", "candles", "newest (s ago)", "ms", "reason"];
    let mut table = new_table(&columns);
    for row in rows {
        let number = |value: Option<f64>| value.map(|v| format!("{v:.0}")).unwrap_or_default();
        table.add_row([
            row.exchange.clone(),
            row.outcome.to_string(),
            row.symbol.clone().unwrap_or_default(),
            row.timeframe.clone().unwrap_or_default(),
            row.candles.to_string(),
            number(row.newest_age_s),
            number(row.latency_ms),
            row.reason.clone().unwrap_or_default(),
        ]);
    }
    let count = |outcome| rows.iter().filter(|row| row.outcome == outcome).count();
    print(&format!(
        "{table}\n{} work, {} need a key, {} blocked, {} unreachable, {} broken\n",
        count(SweepOutcome::Works),
        count(SweepOutcome::NeedsKey),
        count(SweepOutcome::Blocked),
        count(SweepOutcome::Unreachable),
        count(SweepOutcome::Broken),
    ))
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.to_vec());
    table
}

fn print(text: &str) -> Result<()> {
    output::write_to(None, |out| Ok(out.write_all(text.as_bytes())?))
}

fn print_json(value: &impl Serialize) -> Result<()> {
    output::write_to(None, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        Ok(out.write_all(b"\n")?)
    })
}
