//! A forecast for every candle as it closes, from any exchange of the registry, without an API key.
//!
//! ```text
//! cargo run --release --example live -- --exchange kraken --symbol BTC/USD --timeframe 1m
//! cargo run --release --example live -- --exchange binance --symbol BTC/USDT --timeframe 1m \
//!     --state btc.live --refit 500 --format json --output rows.jsonl
//! ```
//!
//! With `--state` it goes on where it stood after any end, `kill -9` included.
#![allow(clippy::print_stderr, reason = "what is not a row goes beside the rows")]

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use forecastle::core::Timeframe;
use forecastle::market_data::{DownloadRequest, ExchangeClient, LiveClock, system_clock};

#[path = "support/exchange.rs"]
mod exchange;
#[path = "support/live.rs"]
mod live;
#[path = "support/output.rs"]
#[allow(dead_code, reason = "rows are written one by one")]
mod output;

/// Prints a row for every candle as it closes
#[derive(Debug, Parser)]
struct Args {
    /// Which exchange, by CCXT's id (`exchanges list` names them)
    #[arg(long, value_name = "ID")]
    exchange: String,
    /// Which market, by CCXT's symbol, such as BTC/USDT or BTC/USDT:USDT
    #[arg(long)]
    symbol: String,
    /// How long each candle lasts
    #[arg(long, default_value = "1m")]
    timeframe: Timeframe,
    /// Send every request to another address: a proxy, a replay server
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    #[command(flatten)]
    live: live::LiveArgs,
}

fn main() -> ExitCode {
    output::exit(exchange::block_on(run(&Args::parse())))
}

async fn run(args: &Args) -> Result<()> {
    let there = exchange::exchange(&args.exchange, args.base_url.as_deref())?;
    let client = ExchangeClient::new(there, exchange::http_client()?, system_clock());
    let symbol = client.market(&args.symbol).await?.symbol;
    let mut runner = match args.live.resume(&symbol, args.timeframe)? {
        Some(runner) => runner,
        None => {
            let request =
                DownloadRequest::new(&symbol, args.timeframe).limit(Some(args.live.history));
            let history = client.download(&request).await.context("cannot fetch the history")?;
            args.live.begin(&history.series)?
        }
    };
    let request = args.live.request(&symbol, &runner);
    let mut candles = client.live(request, LiveClock::system())?;
    while !runner.is_done(args.live.count) {
        let candle = tokio::select! {
            candle = candles.next() => candle,
            _ = tokio::signal::ctrl_c() => break,
        };
        match candle {
            Some(candle) => runner.take(candle?)?,
            None => break,
        }
    }
    eprintln!("{}", serde_json::to_string(&candles.report())?);
    runner.finish()
}
