//! Plays an exchange on this machine: serves recorded or simulated candles in its wire format.
//!
//! ```text
//! cargo run --release --example replay -- --exchange kraken
//! cargo run --release --example replay -- --exchange okx --symbol BTC/USDT \
//!     --candles btc.csv.gz --shift --faults many --port 8080
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use forecastle::core::{Candle, CandleSeries, Timeframe, Timestamp};
use forecastle::market_data::{
    Exchange, Faults, Market, ReadOptions, ReplayParams, ReplaySeries, ReplayServer, Simulator,
    SimulatorParams, read_candles, sample_markets,
};

#[path = "support/output.rs"]
#[allow(dead_code, reason = "it writes no table")]
mod output;

/// Serves candles as an exchange does, until Ctrl-C
#[derive(Debug, Parser)]
struct Args {
    /// Which exchanges, by CCXT's id; `all` for all of them
    #[arg(long, value_name = "ID", required = true, num_args = 1..)]
    exchange: Vec<String>,
    /// Which market [default: every market of the exchange's sample lists]
    #[arg(long)]
    symbol: Option<String>,
    /// How long each simulated candle lasts, or a file's that does not tell
    #[arg(long, default_value = "1h")]
    timeframe: Timeframe,
    /// Serve the candles of a CSV or Parquet file
    #[arg(long, value_name = "FILE", conflicts_with = "simulate")]
    candles: Option<PathBuf>,
    /// Move the file's candles in time so that the last one is in progress now
    #[arg(long, requires = "candles")]
    shift: bool,
    /// Serve so many simulated candles, the last one in progress
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    simulate: usize,
    /// Where to listen on 127.0.0.1; 0 takes a free port
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How much goes wrong
    #[arg(long, value_enum, default_value = "none")]
    faults: FaultLevel,
    /// Seed of the candles and of the faults
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FaultLevel {
    None,
    Some,
    Many,
}

fn main() -> ExitCode {
    output::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let exchanges = match args.exchange.as_slice() {
        [all] if all == "all" => Exchange::all()?,
        ids => ids.iter().map(|id| Exchange::find(id)).collect::<Result<Vec<_>, _>>()?,
    };
    let recorded = args.candles.is_some().then(|| recorded(args)).transpose()?.map(Arc::new);
    let mut series = Vec::new();
    for exchange in &exchanges {
        let before = series.len();
        for market in markets(exchange, args.symbol.as_deref())? {
            let timeframe = recorded.as_ref().map_or(args.timeframe, |r| r.timeframe());
            let served = market.kind().map(|kind| exchange.timeframes(kind)).unwrap_or_default();
            if !served.contains(&timeframe) {
                continue;
            }
            let candles = match &recorded {
                Some(recorded) => recorded.clone(),
                None => Arc::new(simulated(args, series.len())?),
            };
            series.push(ReplaySeries::new(exchange.clone(), market, candles));
        }
        let timeframe = args.timeframe;
        let found = series.len() > before || exchanges.len() > 1;
        ensure!(found, "{} has no {timeframe} candles of such a market", exchange.id());
    }
    let mut params = ReplayParams::new(series, Arc::new(now));
    params.exchanges = exchanges;
    params.bind.set_port(args.port);
    params.faults = Faults {
        seed: args.seed,
        ..match args.faults {
            FaultLevel::None => Faults::none(),
            FaultLevel::Some => Faults::some(),
            FaultLevel::Many => Faults::many(),
        }
    };
    serve(params)
}

fn serve(params: ReplayParams) -> Result<()> {
    let served = params.series.clone();
    let alone = params.exchanges.len() == 1;
    let server = ReplayServer::start(params).context("cannot serve")?;
    let url_of = |id: &str| if alone { server.base_url() } else { server.url_of(id) };
    println!("serving at {}", server.base_url());
    for ReplaySeries { exchange, market, candles } in &served {
        let (id, n, timeframe) = (exchange.id(), candles.len(), candles.timeframe());
        println!("  {id} {}: {n} candles of {timeframe}", market.symbol);
    }
    if let Some(ReplaySeries { exchange, market, candles }) = served.first() {
        println!(
            "try: cargo run --release --example fetch -- --exchange {} --symbol {} --timeframe {} \
             --base-url {} --limit 10",
            exchange.id(),
            market.symbol,
            candles.timeframe(),
            url_of(exchange.id())
        );
    }
    loop {
        std::thread::park();
    }
}

/// The sample markets of an exchange whose candles it serves: one by name, or all.
fn markets(exchange: &Exchange, symbol: Option<&str>) -> Result<Vec<Market>> {
    let list = sample_markets(exchange)?;
    if let Some(symbol) = symbol {
        let Some(market) = list.find(symbol) else {
            let known: Vec<&str> = list.markets.iter().map(|m| m.symbol.as_str()).collect();
            bail!("{} is replayed with {} alone, not {symbol}", exchange.id(), known.join(", "));
        };
        return Ok(vec![market.clone()]);
    }
    Ok(list.markets.into_iter().filter(|market| market.active != Some(false)).collect())
}

fn recorded(args: &Args) -> Result<CandleSeries> {
    let path = args.candles.as_deref().context("a file is needed")?;
    let options = ReadOptions { timeframe: Some(args.timeframe), ..Default::default() };
    let loaded = read_candles(path, &ReadOptions::default());
    let series = loaded.or_else(|_| read_candles(path, &options))?.series;
    if args.shift { shifted(&series) } else { Ok(series) }
}

/// Moves all candles by as many steps as bring the last one to now.
fn shifted(series: &CandleSeries) -> Result<CandleSeries> {
    let timeframe = series.timeframe();
    let last = *series.view().open_time().last().context("the file holds no candles")?;
    let target = timeframe.floor(now()).context("the clock is out of range")?;
    let steps = timeframe.steps_between(last, target).context("the file is out of range")?;
    let mut moved = CandleSeries::empty(series.symbol().clone(), timeframe);
    for candle in series.view().iter() {
        let open =
            timeframe.step(candle.open_time(), steps).context("the clock is out of range")?;
        let (open_price, high, low) = (candle.open(), candle.high(), candle.low());
        moved.push(Candle::new(open, open_price, high, low, candle.close(), candle.volume())?)?;
    }
    Ok(moved)
}

fn simulated(args: &Args, index: usize) -> Result<CandleSeries> {
    let timeframe = args.timeframe;
    let back = i64::try_from(args.simulate)?.saturating_sub(1);
    let newest = timeframe.floor(now()).context("the clock is out of range")?;
    let start = timeframe.step(newest, -back).context("too many candles")?;
    let seed = args.seed.wrapping_add(u64::try_from(index)?);
    let n = args.simulate;
    Ok(Simulator::new(SimulatorParams { seed, n, timeframe, start, ..Default::default() })?
        .series()?)
}

fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}
