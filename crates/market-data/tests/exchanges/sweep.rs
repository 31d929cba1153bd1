//! The sweep: exchanges that work, that want a key, that block, are gone, broken or silent.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use forecastle_core::Timeframe;
use forecastle_market_data::{
    Exchange, HttpClient, HttpClientParams, Market, Need, ReplayParams, ReplaySeries, ReplayServer,
    SweepOutcome, SweepParams, SweepRow, sample_markets, sweep,
};

use crate::venue::{block_on, candles, clock};

/// How a [`Server`] treats whoever asks.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers with a status and a body after a while.
    Says(&'static str, &'static str, Duration),
    /// Takes the request and says nothing.
    Silent,
}

/// Counts the requests that are being answered.
#[derive(Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

/// A server of a few lines; its threads end with the test.
fn serve(manner: Manner, load: &Arc<Load>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let load = load.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let load = load.clone();
            std::thread::spawn(move || answer(stream, manner, &load));
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream, manner: Manner, load: &Load) {
    let mut request = [0_u8; 4_096];
    if stream.read(&mut request).unwrap_or(0) == 0 {
        return;
    }
    load.all.fetch_add(1, Ordering::SeqCst);
    let now = load.now.fetch_add(1, Ordering::SeqCst) + 1;
    load.most.fetch_max(now, Ordering::SeqCst);
    match manner {
        Manner::Silent => std::thread::sleep(Duration::from_secs(30)),
        Manner::Says(status, body, pause) => {
            std::thread::sleep(pause);
            load.now.fetch_sub(1, Ordering::SeqCst);
            let n = body.len();
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {n}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    }
}

fn http() -> HttpClient {
    let params = HttpClientParams {
        base_delay_ms: 1,
        max_delay_ms: 2,
        max_retries: 1,
        jitter_seed: Some(1),
        ..Default::default()
    };
    HttpClient::new(params).unwrap()
}

fn params(concurrency: usize, limit: Duration) -> SweepParams {
    let mut params = SweepParams::default();
    (params.concurrency, params.time_limit) = (concurrency, limit);
    params
}

fn run(exchanges: Vec<Exchange>, params: &SweepParams) -> (Vec<SweepRow>, Vec<String>) {
    let mut seen = Vec::new();
    let (http, clock) = (http(), clock());
    let rows =
        block_on(sweep(exchanges, &http, &clock, params, |row| seen.push(row.exchange.clone())));
    (rows, seen)
}

fn at(id: &str, url: &str) -> Exchange {
    Exchange::find(id).unwrap().with_base_url(url).unwrap().with_min_interval(Duration::ZERO)
}

/// The timeframe that a sweep asks for: an hour or the next longer one.
fn timeframe_of(exchange: &Exchange, market: &Market) -> Option<Timeframe> {
    let offered = exchange.timeframes(market.kind()?);
    let hour = Timeframe::HOUR.nominal_millis();
    offered.iter().find(|t| t.nominal_millis() >= hour).or(offered.last()).copied()
}

/// Every sample market of these exchanges with `n` candles.
fn replay(exchanges: &[Exchange], n: usize) -> ReplayServer {
    let mut served = Vec::new();
    for exchange in exchanges {
        for market in sample_markets(exchange).unwrap().markets {
            let Some(timeframe) = timeframe_of(exchange, &market) else { continue };
            served.push(ReplaySeries::new(
                exchange.clone(),
                market,
                candles(timeframe, n, |_| false),
            ));
        }
    }
    let mut params = ReplayParams::new(served, clock());
    params.exchanges = exchanges.to_vec();
    ReplayServer::start(params).unwrap()
}

#[test]
fn each_outcome_is_told_from_the_others_with_its_reason() {
    let load = Arc::new(Load::default());
    let here = [Exchange::find("kraken").unwrap(), Exchange::find("okx").unwrap()];
    let server = replay(&here, 150);
    let says = |status, body| serve(Manner::Says(status, body, Duration::ZERO), &load);
    let blocking = says(
        "451 Unavailable For Legal Reasons",
        "{\"msg\":\"Service unavailable from a restricted location\"}",
    );
    let page = says("200 OK", "<html><title>Down for maintenance</title></html>");
    let locked = says("401 Unauthorized", "{\"message\":\"key required\"}");
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let exchanges = vec![
        server.redirect(&here[0]).unwrap(),
        at("luno", &says("200 OK", "{}")),
        at("binance", &blocking),
        at("htx", &gone),
        at("bitvavo", &page),
        at("gemini", &locked),
        server.redirect(&here[1]).unwrap(),
    ];
    let (rows, mut seen) = run(exchanges, &params(16, Duration::from_secs(20)));
    let told: Vec<_> = rows.iter().map(|row| (&*row.exchange, row.outcome)).collect();
    assert_eq!(
        told,
        [
            ("kraken", SweepOutcome::Works),
            ("luno", SweepOutcome::NeedsKey),
            ("binance", SweepOutcome::Blocked),
            ("htx", SweepOutcome::Unreachable),
            ("bitvavo", SweepOutcome::Broken),
            ("gemini", SweepOutcome::NeedsKey),
            ("okx", SweepOutcome::Works),
        ]
    );
    for (row, words) in rows.iter().zip([
        "",
        "API key",
        "restricted location",
        "cannot reach 127.0.0.1:",
        "bitvavo",
        "key required",
        "",
    ]) {
        let reason = row.reason.as_deref().unwrap_or_default();
        assert!(reason.contains(words) && !reason.contains('\n'), "{}: {reason}", row.exchange);
        assert_eq!(reason.is_empty(), row.outcome == SweepOutcome::Works, "{}", row.exchange);
    }
    for row in rows.iter().filter(|row| row.outcome == SweepOutcome::Works) {
        // 100 were asked for; the newest opened 34 min 56 s before the clock.
        assert!(row.candles >= 99, "{} {}", row.exchange, row.candles);
        assert_eq!(row.newest_age_s, Some(2_096.0), "{}", row.exchange);
        assert_eq!(row.timeframe.as_deref(), Some("1h"));
        assert!(row.markets.is_some_and(|n| n > 0) && row.symbol.is_some());
        assert!(row.latency_ms.is_some_and(|ms| ms > 0.0 && ms < 20_000.0));
    }
    assert_eq!(server.statistics().candle_requests, 2);
    seen.sort();
    assert_eq!(seen, ["binance", "bitvavo", "gemini", "htx", "kraken", "luno", "okx"]);
}

#[test]
fn every_exchange_of_the_registry_works_where_its_candles_are_to_be_had() {
    let all = Exchange::all().unwrap();
    let server = replay(&all, 120);
    let there = all.iter().map(|e| server.redirect(e).unwrap().with_min_interval(Duration::ZERO));
    let (rows, seen) = run(there.collect(), &params(16, Duration::from_secs(120)));
    assert_eq!((rows.len(), seen.len()), (all.len(), all.len()));
    let mut works = 0;
    for (row, exchange) in rows.iter().zip(&all) {
        assert_eq!(row.exchange, exchange.id());
        let expected = match exchange.needs_key().contains(&Need::Candles) {
            true => SweepOutcome::NeedsKey,
            false => SweepOutcome::Works,
        };
        assert_eq!(row.outcome, expected, "{row:?}");
        if row.outcome == SweepOutcome::Works {
            works += 1;
            let timeframe: Timeframe = row.timeframe.as_ref().unwrap().parse().unwrap();
            let age = row.newest_age_s.unwrap() * 1e3;
            assert!(age < 2.0 * timeframe.nominal_millis() as f64, "{row:?}");
            assert!(row.candles > 0, "{row:?}");
        }
    }
    println!("{works} of {} work", rows.len());
    assert!(works >= 85, "{works}");
}

#[test]
fn no_more_are_asked_at_a_time_than_allowed() {
    let ids = ["kraken", "okx", "bybit", "binance", "gate", "htx", "bitvavo", "bitstamp", "gemini"];
    for concurrency in [1, 3, 9] {
        let load = Arc::new(Load::default());
        let pause = Duration::from_millis(60);
        let slow = || serve(Manner::Says("451 No", "{}", pause), &load);
        let exchanges = ids.iter().map(|id| at(id, &slow())).collect();
        let (rows, _) = run(exchanges, &params(concurrency, Duration::from_secs(20)));
        assert!(rows.iter().all(|row| row.outcome == SweepOutcome::Blocked), "{rows:?}");
        let most = load.most.load(Ordering::SeqCst);
        assert!(most <= concurrency, "{most} of {concurrency}");
        assert!(concurrency == 1 || most > concurrency / 2, "{most} of {concurrency}");
        assert_eq!(load.all.load(Ordering::SeqCst), ids.len());
    }
}

#[test]
fn whoever_never_answers_does_not_hold_up_the_end() {
    let load = Arc::new(Load::default());
    let kraken = Exchange::find("kraken").unwrap();
    let server = replay(std::slice::from_ref(&kraken), 30);
    let mut exchanges: Vec<Exchange> = ["okx", "bybit", "binance", "gate"]
        .iter()
        .map(|id| at(id, &serve(Manner::Silent, &load)))
        .collect();
    exchanges.insert(0, server.redirect(&kraken).unwrap());
    // The last one never gets its turn.
    exchanges.push(at("bitvavo", &serve(Manner::Silent, &load)));
    let limit = Duration::from_millis(1_200);
    let begun = Instant::now();
    let (rows, _) = run(exchanges, &params(3, limit));
    let took = begun.elapsed();
    assert!(took >= limit && took < limit + Duration::from_secs(2), "{took:?}");
    assert_eq!(rows[0].outcome, SweepOutcome::Works, "{rows:?}");
    for row in &rows[1..] {
        assert_eq!(row.outcome, SweepOutcome::Unreachable);
        assert!(row.reason.as_ref().is_some_and(|r| r.contains("no answer within")), "{row:?}");
        assert_eq!((row.candles, row.markets), (0, None));
    }
}

#[test]
fn rows_are_json_for_other_programs() {
    let load = Arc::new(Load::default());
    let url = serve(Manner::Says("451 No", "{\"msg\":\"no\"}", Duration::ZERO), &load);
    let (rows, _) = run(vec![at("binance", &url)], &params(4, Duration::from_secs(10)));
    let json = serde_json::to_value(&rows).unwrap();
    let row = json[0].as_object().unwrap();
    let fields: Vec<&str> = row.keys().map(String::as_str).collect();
    let mut expected = [
        "exchange",
        "outcome",
        "markets",
        "symbol",
        "timeframe",
        "latency_ms",
        "candles",
        "newest_age_s",
        "reason",
    ];
    expected.sort_unstable();
    assert_eq!(fields, expected);
    assert_eq!(
        (row["exchange"].as_str(), row["outcome"].as_str()),
        (Some("binance"), Some("blocked"))
    );
    assert_eq!((row["candles"].as_u64(), row["markets"].is_null()), (Some(0), true));
    let words: Vec<String> = [SweepOutcome::Works, SweepOutcome::NeedsKey, SweepOutcome::Broken]
        .iter()
        .map(|outcome| serde_json::to_string(outcome).unwrap() + " " + &outcome.to_string())
        .collect();
    assert_eq!(words, ["\"works\" works", "\"needs_key\" needs key", "\"broken\" broken"]);
}

#[test]
fn nothing_asked_is_nothing_found() {
    let (rows, seen) = run(Vec::new(), &params(0, Duration::from_secs(5)));
    assert!(rows.is_empty() && seen.is_empty());
}
