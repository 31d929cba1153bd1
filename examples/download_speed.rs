//! How much a download costs beyond the raw HTTP requests it makes, over loopback.
//!
//! ```text
//! cargo run --release --example download_speed
//! cargo run --release --example download_speed -- --exchange okx
//! ```
//!
//! The replay server renders each answer once; after that they come from memory, so that what is
//! measured is the client. By turns the very same requests are sent one after the other without
//! reading the answers, and the download is run whole.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use forecastle::core::{Timeframe, Timestamp};
use forecastle::market_data::{
    CandleQuery, DownloadRequest, Exchange, ExchangeClient, FetchReport, HttpClient,
    HttpClientParams, HttpRequest, Market, Pace, ReplayParams, ReplaySeries, ReplayServer,
    Simulator, SimulatorParams, sample_markets,
};

#[path = "support/output.rs"]
#[allow(dead_code, reason = "it writes no table")]
mod output;
#[path = "support/recorder.rs"]
mod recorder;

use recorder::Recorder;

/// Times a download beside the raw requests that it makes; figures are the best of all turns
#[derive(Debug, Parser)]
struct Args {
    /// Which exchange's format, by CCXT's id
    #[arg(long, value_name = "ID", default_value = "binance")]
    exchange: String,
    /// How many candles of a minute
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    candles: usize,
    /// How often each of the two is run
    #[arg(long, value_name = "N", default_value_t = 7)]
    turns: usize,
    /// Threads of the client's runtime; 0 runs all on the calling thread
    #[arg(long, value_name = "N", default_value_t = 2)]
    workers: usize,
    /// Let the replay server render every answer each time
    #[arg(long)]
    rendered: bool,
}

fn main() -> std::process::ExitCode {
    output::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let start = Timestamp::from_millis(1_600_000_020_000);
    let (timeframe, n) = (Timeframe::MINUTE, args.candles);
    let now = timeframe.step(start, i64::try_from(n)?).context("too many candles")?;
    let parameters = SimulatorParams { n, timeframe, start, ..Default::default() };
    let candles = Simulator::new(parameters)?.series()?;
    let exchange = Exchange::find(&args.exchange)?.with_min_interval(Duration::ZERO);
    let market = market(&exchange, timeframe)?;
    let series = ReplaySeries::new(exchange.clone(), market.clone(), candles);
    let mut params = ReplayParams::new(vec![series], Arc::new(move || now));
    params.depth = false;
    let server = ReplayServer::start(params)?;
    let recorder = Recorder::start(&server.base_url())?;

    let http = HttpClient::new(HttpClientParams::default())?;
    let client = |url: &str| -> Result<ExchangeClient> {
        let exchange = exchange.clone().with_base_url(&format!("{url}/{}", exchange.id()))?;
        Ok(ExchangeClient::new(exchange, http.clone(), Arc::new(move || now)))
    };
    let recorded = client(&recorder.base_url())?;
    let rendered = client(&server.base_url())?;
    let measured = if args.rendered { &rendered } else { &recorded };
    let request = DownloadRequest::new(&market.symbol, timeframe).since(start);
    let runtime = match args.workers {
        0 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        n => tokio::runtime::Builder::new_multi_thread().worker_threads(n).enable_all().build()?,
    };
    runtime.block_on(async {
        for client in [&recorded, &rendered] {
            client.markets().await?;
        }
        let before = recorder.asked().len();
        let report = download(&recorded, &request, n).await?.1;
        let asked = recorder.asked().split_off(before);
        ensure!(asked.len() == report.pages, "{} requests for {} pages", asked.len(), report.pages);
        let base = if args.rendered { server.base_url() } else { recorder.base_url() };
        let requests: Vec<HttpRequest> = asked
            .into_iter()
            .map(|(target, body)| match body.is_empty() {
                true => HttpRequest::get(format!("{base}{target}")),
                false => HttpRequest::post_json(format!("{base}{target}"), body),
            })
            .collect();
        let (mut raw, mut whole) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..args.turns.max(1) {
            raw = raw.min(send_all(&http, &requests).await?);
            whole = whole.min(download(measured, &request, n).await?.0);
        }
        let parse = parse(&http, &exchange, &market, &requests, now).await?;
        print(args, &report, raw, whole, parse);
        Ok(())
    })
}

fn market(exchange: &Exchange, timeframe: Timeframe) -> Result<Market> {
    let serves = |market: &Market| {
        market.kind().is_some_and(|kind| exchange.timeframes(kind).contains(&timeframe))
    };
    let found = sample_markets(exchange)?.markets.into_iter().find(serves);
    found.with_context(|| format!("{} has no {timeframe} candles", exchange.id()))
}

/// Sends the requests one after the other; gives the seconds it took.
async fn send_all(http: &HttpClient, requests: &[HttpRequest]) -> Result<f64> {
    let begun = Instant::now();
    let pace = Pace::default().with_repeatable_post();
    for request in requests {
        let response = http.send("raw", request, pace).await?;
        ensure!(response.is_success(), "HTTP {}", response.status);
        black_box(response.body.len());
    }
    Ok(begun.elapsed().as_secs_f64())
}

async fn download(
    client: &ExchangeClient,
    request: &DownloadRequest,
    n: usize,
) -> Result<(f64, FetchReport)> {
    let begun = Instant::now();
    let done = client.download(request).await?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(done.series.len() == n, "{} candles of {n}", done.series.len());
    Ok((seconds, done.report))
}

/// Seconds to read all answers, without a request.
async fn parse(
    http: &HttpClient,
    exchange: &Exchange,
    market: &Market,
    requests: &[HttpRequest],
    now: Timestamp,
) -> Result<f64> {
    let mut seconds = 0.0;
    let query = CandleQuery::new(market, Timeframe::MINUTE, now);
    for request in requests {
        let pace = Pace::default().with_repeatable_post();
        let body = http.send("raw", request, pace).await?.body;
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let begun = Instant::now();
            black_box(exchange.parse_candles(&query, black_box(&body))?);
            best = best.min(begun.elapsed().as_secs_f64());
        }
        seconds += best;
    }
    Ok(seconds)
}

fn print(args: &Args, report: &FetchReport, raw: f64, whole: f64, parse: f64) {
    let (candles, mb) = (args.candles as f64, report.bytes as f64 / 1e6);
    println!("{} candles of {}, {} pages, {mb:.1} MB", args.candles, args.exchange, report.pages);
    println!("{:<24}{raw:>9.3} s{:>12.0} MB/s", "the requests alone", mb / raw);
    println!("{:<24}{whole:>9.3} s{:>12.0} candles/s", "the download", candles / whole);
    println!("{:<24}{parse:>9.3} s{:>12.0} MB/s", "reading the answers", mb / parse);
    println!("{:<24}{:>8.1} %", "the engine adds", (whole / raw - 1.0) * 100.0);
}
