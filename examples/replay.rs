//! Plays an exchange on this machine: serves recorded or simulated candles in its wire format.
//!
//! ```text
//! cargo run --release --example replay -- --exchange kraken
//! cargo run --release --example replay -- --exchange okx --symbol BTC/USDT \
//!     --candles btc.csv.gz --shift --faults many --port 8080
//! ```
//!
//! With `--speed` it also drives a live pipeline through that server, in quick motion:
//!
//! ```text
//! cargo run --release --example replay -- --candles btc_1m.csv.gz --speed 1000x --refit 500
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use forecastle::core::{Candle, CandleSeries, Timeframe, Timestamp};
use forecastle::market_data::{
    Exchange, ExchangeClient, Faults, LiveClock, Market, ReadOptions, ReplayParams, ReplaySeries,
    ReplayServer, Simulator, SimulatorParams, read_candles, sample_markets,
};

#[path = "support/exchange.rs"]
mod exchange;
#[path = "support/live.rs"]
mod live;
#[path = "support/output.rs"]
#[allow(dead_code, reason = "it writes no table")]
mod output;

/// Serves candles as an exchange does, until Ctrl-C
#[derive(Debug, Parser)]
struct Args {
    /// Which exchanges, by CCXT's id; `all` for all of them [with --speed: binance]
    #[arg(long, value_name = "ID", required_unless_present = "speed", num_args = 1..)]
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
    /// Drive a live pipeline through the server, so many times faster than the candles came
    #[arg(long, value_name = "N", value_parser = speed, conflicts_with = "shift")]
    speed: Option<f64>,
    #[command(flatten)]
    live: live::LiveArgs,
    /// And so many simulated candles that are still to come
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    ahead: usize,
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

/// `1000` or `1000x`.
fn speed(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix(['x', '×']).unwrap_or(text);
    number.parse().map_err(|_| format!("{text:?} is no speed such as 1000x"))
}

fn run(args: &Args) -> Result<()> {
    if let Some(speed) = args.speed {
        return exchange::block_on(drive(args, speed));
    }
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
                None => Arc::new(simulated(args, series.len(), args.ahead)?),
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
    params.faults = faults(args);
    serve(params)
}

fn faults(args: &Args) -> Faults {
    let level = match args.faults {
        FaultLevel::None => Faults::none(),
        FaultLevel::Some => Faults::some(),
        FaultLevel::Many => Faults::many(),
    };
    Faults { seed: args.seed, ..level }
}

/// Serves the candles at `speed` times the pace they came in, and runs a live pipeline on what the server
/// says, to the last candle.
async fn drive(args: &Args, speed: f64) -> Result<()> {
    let id = args.exchange.first().map_or("binance", String::as_str);
    let there = Exchange::find(id)?;
    let candles = match &args.candles {
        Some(_) => recorded(args)?,
        None => simulated(args, 0, 0)?,
    };
    let timeframe = candles.timeframe();
    let market = match &args.symbol {
        Some(symbol) => markets(&there, Some(symbol))?.into_iter().next(),
        None => named(&there, &candles)?,
    };
    let market = market.context("it has no markets")?;
    if market.symbol != candles.symbol().to_string() {
        eprintln!("the candles of {} are served as {id}'s {}", candles.symbol(), market.symbol);
    }
    let served = market.kind().map(|kind| there.timeframes(kind)).unwrap_or_default();
    ensure!(served.contains(&timeframe), "{id} has no {timeframe} candles of {}", market.symbol);
    let times = candles.view().open_time();
    let before = args.live.history.min(candles.len().saturating_sub(1));
    let resumed = args.live.resume(&market.symbol, timeframe)?;
    // Where the state stands, or where the history ends.
    let known = match resumed.as_ref().and_then(|runner| runner.live.last_open_time()) {
        Some(last) => times.partition_point(|&time| time <= last),
        None => before,
    };
    let last = *times.last().context("there are no candles")?;
    let start = known.checked_sub(1).and_then(|i| times.get(i)).copied().unwrap_or(last);
    let start = timeframe.next_open(start).context("the candles are out of range")?;
    let clock = LiveClock::accelerated(start, speed)?;

    let mut params = ReplayParams::new(
        vec![ReplaySeries::new(there.clone(), market.clone(), candles.clone())],
        clock.clock(),
    );
    params.bind.set_port(args.port);
    params.faults = faults(args);
    params.depth = false;
    let server = ReplayServer::start(params).context("cannot serve")?;
    let there = there.with_base_url(&server.base_url())?;
    let client = ExchangeClient::new(there, exchange::http_client()?, clock.clock());
    let mut runner = match resumed {
        Some(runner) => runner,
        None => {
            let series = candles.slice(0..before);
            let symbol = market.symbol.parse()?;
            args.live.begin(&CandleSeries::from_candles(
                symbol,
                timeframe,
                series.view().iter(),
            )?)?
        }
    };
    let request = args.live.request(&market.symbol, &runner);
    let mut source = client.live(request, clock)?;
    while runner.live.last_open_time() < Some(last) && !runner.is_done(args.live.count) {
        match source.next().await {
            Some(candle) => runner.take(candle?)?,
            None => break,
        }
    }
    eprintln!("{}", serde_json::to_string(&source.report())?);
    runner.finish()
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

/// The sample market that a file's name tells of, or some market.
fn named(exchange: &Exchange, candles: &CandleSeries) -> Result<Option<Market>> {
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    let wanted = letters(&candles.symbol().to_string());
    let mut all = markets(exchange, None)?;
    let at = all.iter().position(|market| wanted.contains(&letters(&market.symbol))).unwrap_or(0);
    Ok((at < all.len()).then(|| all.swap_remove(at)))
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

/// The candles up to now, and so many after it.
fn simulated(args: &Args, index: usize, ahead: usize) -> Result<CandleSeries> {
    let timeframe = args.timeframe;
    let back = i64::try_from(args.simulate)?.saturating_sub(1);
    let newest = timeframe.floor(now()).context("the clock is out of range")?;
    let start = timeframe.step(newest, -back).context("too many candles")?;
    let seed = args.seed.wrapping_add(u64::try_from(index)?);
    let n = args.simulate.saturating_add(ahead);
    Ok(Simulator::new(SimulatorParams { seed, n, timeframe, start, ..Default::default() })?
        .series()?)
}

fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}
