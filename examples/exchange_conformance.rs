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

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use forecastle::core::Timestamp;
use forecastle::market_data::{CandleQuery, Exchange, HttpRequest, Market, MarketList, Method};
use serde::Deserialize;
use serde_json::value::RawValue;

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

#[derive(Debug, Deserialize)]
struct Cases {
    id: String,
    clock_ms: i64,
    #[serde(default)]
    requests: Vec<RequestCase>,
    #[serde(default)]
    responses: Vec<ResponseCase>,
    #[serde(default)]
    markets: Vec<MarketsCase>,
}

#[derive(Debug, Deserialize)]
struct Query {
    symbol: String,
    market_id: Option<String>,
    #[serde(rename = "type")]
    market_type: Option<String>,
    timeframe: String,
    since: Option<i64>,
    limit: Option<u32>,
    #[serde(default)]
    params: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct RequestCase {
    #[serde(flatten)]
    query: Query,
    expect: Option<ExpectedRequest>,
    expect_error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ExpectedRequest {
    method: String,
    url: String,
    body: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ResponseCase {
    symbol: String,
    market_id: Option<String>,
    #[serde(rename = "type")]
    market_type: Option<String>,
    timeframe: String,
    since: Option<i64>,
    limit: Option<u32>,
    #[serde(default)]
    params: BTreeMap<String, serde_json::Value>,
    body: Box<RawValue>,
    expect: Vec<[Option<f64>; 6]>,
}

#[derive(Debug, Deserialize)]
struct MarketsCase {
    responses: Vec<MarketsAnswer>,
    expect: Vec<ExpectedMarket>,
}

#[derive(Debug, Deserialize)]
struct MarketsAnswer {
    method: String,
    url: String,
    request_body: Option<String>,
    body: Box<RawValue>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct ExpectedMarket {
    id: Option<String>,
    symbol: Option<String>,
    base: Option<String>,
    quote: Option<String>,
    settle: Option<String>,
    #[serde(rename = "type")]
    market_type: Option<String>,
    active: Option<bool>,
    linear: Option<bool>,
    inverse: Option<bool>,
    #[serde(rename = "contractSize")]
    contract_size: Option<f64>,
    expiry: Option<i64>,
    strike: Option<f64>,
    #[serde(rename = "optionType")]
    option_type: Option<String>,
}

/// A case where CCXT is wrong: what it is about and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownDifference {
    exchange: String,
    /// `requests`, `responses` or `markets`.
    part: String,
    /// `spot`, `swap` …; any when left out.
    #[serde(rename = "type")]
    market_type: Option<String>,
    timeframes: Option<Vec<String>>,
    /// Whether the query has a `since`; either when left out.
    since: Option<bool>,
    /// Whether the query has a `limit`; either when left out.
    limit: Option<bool>,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct KnownDifferences {
    difference: Vec<KnownDifference>,
}

impl KnownDifference {
    fn covers(&self, exchange: &str, part: &str, query: Option<&Query>) -> bool {
        let of_query = |query: &Query| {
            let same = |want: &Option<String>, is: &Option<String>| want.is_none() || want == is;
            same(&self.market_type, &query.market_type)
                && self.timeframes.as_ref().is_none_or(|t| t.contains(&query.timeframe))
                && self.since.is_none_or(|since| since == query.since.is_some())
                && self.limit.is_none_or(|limit| limit == query.limit.is_some())
        };
        self.exchange == exchange && self.part == part && query.is_none_or(of_query)
    }
}

#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    known: usize,
    whole: usize,
    exchanges: usize,
    reasons: BTreeSet<String>,
}

fn main() -> ExitCode {
    output::exit(run())
}

fn run() -> Result<()> {
    let arguments = Arguments::parse();
    let known: KnownDifferences = toml::from_str(include_str!("known_differences.toml"))?;
    let mut files: Vec<PathBuf> = fs::read_dir(&arguments.dir)
        .with_context(|| format!("cannot read {}", arguments.dir.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("{} holds no case files", arguments.dir.display());
    }
    let (mut total, mut text) = (Tally::default(), String::new());
    for file in &files {
        let cases = read(file)?;
        if arguments.exchange.as_ref().is_some_and(|exchange| *exchange != cases.id) {
            continue;
        }
        let failures = check(&cases, &known.difference, arguments.strict, &mut total);
        total.exchanges += 1;
        if failures.is_empty() {
            total.whole += 1;
        }
        for failure in failures {
            writeln!(text, "{}: {failure}", cases.id)?;
        }
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

fn read(file: &Path) -> Result<Cases> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no case file", file.display()))
}

fn check(cases: &Cases, known: &[KnownDifference], strict: bool, total: &mut Tally) -> Vec<String> {
    let mut failures = Vec::new();
    let mut count = |part: &str, query: Option<&Query>, outcome: Result<(), String>| match outcome {
        Ok(()) => total.passed += 1,
        Err(_) if let Some(known) = known.iter().find(|k| k.covers(&cases.id, part, query)) => {
            total.known += 1;
            total.reasons.insert(format!("{}: {}", known.exchange, known.reason));
        }
        Err(failure) => {
            total.failed += 1;
            failures.push(failure);
        }
    };
    let exchange = match Exchange::find(&cases.id) {
        Ok(exchange) => exchange,
        Err(error) => {
            let number = cases.requests.len() + cases.responses.len() + cases.markets.len();
            (0..number).for_each(|_| count("", None, Err(error.to_string())));
            return failures;
        }
    };
    let now = Timestamp::from_millis(cases.clock_ms);
    let mut markets = Vec::new();
    for (index, case) in cases.markets.iter().enumerate() {
        let outcome = check_markets(&exchange, case, now, strict, &mut markets);
        count("markets", None, outcome.map_err(|e| format!("markets {index}: {e}")));
    }
    for case in &cases.requests {
        let outcome = check_request(&exchange, case, &cases.markets, &markets, now);
        let named = |e| format!("request {}: {e}", describe(&case.query));
        count("requests", Some(&case.query), outcome.map_err(named));
    }
    for case in &cases.responses {
        let query = Query {
            symbol: case.symbol.clone(),
            market_id: case.market_id.clone(),
            market_type: case.market_type.clone(),
            timeframe: case.timeframe.clone(),
            since: case.since,
            limit: case.limit,
            params: case.params.clone(),
        };
        let outcome = check_response(&exchange, case, &query, &cases.markets, &markets, now);
        let named = |e| format!("response {}: {e}", describe(&query));
        count("responses", Some(&query), outcome.map_err(named));
    }
    failures
}

fn describe(query: &Query) -> String {
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    format!(
        "{} {} since {} limit {}",
        query.symbol,
        query.timeframe,
        or_none(query.since.map(|since| since.to_string())),
        or_none(query.limit.map(|limit| limit.to_string()))
    )
}

/// The query's market: as the list has it, else as the case or its symbol tells.
fn market_of(
    exchange: &Exchange,
    query: &Query,
    cases: &[MarketsCase],
    markets: &[Market],
) -> Result<Market, String> {
    let fits = |market: &&Market| {
        market.symbol == query.symbol && query.market_id.as_ref().is_none_or(|id| *id == market.id)
    };
    if let Some(market) = markets.iter().find(fits) {
        return Ok(market.clone());
    }
    let by_rule = exchange.market_by_rule(&query.symbol).ok().flatten();
    if let Some(market) = by_rule {
        return Ok(market);
    }
    let id = query.market_id.clone().unwrap_or_default();
    let mut market = Market::from_symbol(id, &query.symbol).map_err(|e| e.to_string())?;
    let listed = cases
        .iter()
        .flat_map(|case| &case.expect)
        .find(|m| m.symbol.as_ref() == Some(&query.symbol));
    if let Some(listed) = listed {
        market.linear = listed.linear;
        market.inverse = listed.inverse;
    }
    Ok(market)
}

fn query_of<'m>(
    query: &Query,
    market: &'m Market,
    now: Timestamp,
) -> Result<CandleQuery<'m>, String> {
    let timeframe = query.timeframe.parse().map_err(|e: forecastle::Error| e.to_string())?;
    let until = query.params.get("until").and_then(serde_json::Value::as_i64);
    Ok(CandleQuery::new(market, timeframe, now)
        .since(query.since.map(Timestamp::from_millis))
        .until(until.map(Timestamp::from_millis))
        .limit(query.limit))
}

fn check_request(
    exchange: &Exchange,
    case: &RequestCase,
    cases: &[MarketsCase],
    markets: &[Market],
    now: Timestamp,
) -> Result<(), String> {
    let market = market_of(exchange, &case.query, cases, markets)?;
    let query = query_of(&case.query, &market, now)?;
    let made = exchange.candle_request(&query);
    let Some(expect) = &case.expect else {
        let wanted = case.expect_error.as_deref().unwrap_or("an error");
        return match made {
            Ok(request) => Err(format!("{wanted} expected, got {}", request.url)),
            Err(_) => Ok(()),
        };
    };
    let made = made.map_err(|e| e.to_string())?;
    let expected = request_of(&expect.method, &expect.url, expect.body.as_deref())?;
    if made.asks_the_same_as(&expected) {
        return Ok(());
    }
    let show = |r: &HttpRequest| {
        format!("{} {} {}", r.method, r.url, r.body.as_deref().unwrap_or_default())
    };
    Err(format!("\n    made     {}\n    expected {}", show(&made), show(&expected)))
}

fn request_of(method: &str, url: &str, body: Option<&str>) -> Result<HttpRequest, String> {
    let mut request = HttpRequest::get(url);
    request.method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => return Err(format!("method {other} is not supported")),
    };
    request.body = body.map(str::to_owned);
    Ok(request)
}

fn check_response(
    exchange: &Exchange,
    case: &ResponseCase,
    query: &Query,
    cases: &[MarketsCase],
    markets: &[Market],
    now: Timestamp,
) -> Result<(), String> {
    let market = market_of(exchange, query, cases, markets)?;
    let query = query_of(query, &market, now)?;
    let candles = exchange
        .parse_candles(&query, case.body.get().as_bytes())
        .and_then(|candles| exchange.cut(&query, candles))
        .map_err(|e| e.to_string())?;
    if candles.len() != case.expect.len() {
        return Err(format!("{} candles, expected {}", candles.len(), case.expect.len()));
    }
    for (row, (candle, expected)) in candles.iter().zip(&case.expect).enumerate() {
        let [time, prices @ ..] = expected;
        let time = time.map(|time| time as i64);
        let values = [candle.open, candle.high, candle.low, candle.close, candle.volume];
        let same = values.iter().zip(prices).all(|(value, expected)| {
            *value == expected.unwrap_or(f64::NAN) || value.is_nan() && expected.is_none()
        });
        if Some(candle.open_time.as_millis()) != time || !same {
            return Err(format!("row {row}: {candle:?}, expected {expected:?}"));
        }
    }
    Ok(())
}

fn check_markets(
    exchange: &Exchange,
    case: &MarketsCase,
    now: Timestamp,
    strict: bool,
    markets: &mut Vec<Market>,
) -> Result<(), String> {
    let mut answers = Vec::with_capacity(case.responses.len());
    for answer in &case.responses {
        let request = request_of(&answer.method, &answer.url, answer.request_body.as_deref())?;
        answers.push((request, answer.body.get().as_bytes().to_vec()));
    }
    let wanted = exchange.market_requests(now).map_err(|e| e.to_string())?;
    if let Some(missing) =
        wanted.iter().find(|wanted| !answers.iter().any(|(a, _)| a.asks_the_same_as(wanted)))
    {
        return Err(format!("it asks for {missing}, which is not among the answers"));
    }
    let MarketList { markets: parsed, .. } =
        exchange.parse_markets(&answers).map_err(|e| e.to_string())?;
    let mut made: Vec<ExpectedMarket> = parsed.iter().map(|m| as_expected(m, strict)).collect();
    markets.extend(parsed);
    let mut expected: Vec<ExpectedMarket> = case.expect.clone();
    if !strict {
        expected.iter_mut().for_each(forget_details);
    }
    let key = |m: &ExpectedMarket| (m.symbol.clone(), m.id.clone(), m.market_type.clone());
    made.sort_by_key(key);
    expected.sort_by_key(key);
    if made == expected {
        return Ok(());
    }
    let differs = made.iter().zip(&expected).find(|(made, expected)| made != expected);
    Err(match differs {
        Some((made, expected)) => format!("\n    made     {made:?}\n    expected {expected:?}"),
        None => format!("{} markets, expected {}", made.len(), expected.len()),
    })
}

fn as_expected(market: &Market, strict: bool) -> ExpectedMarket {
    let mut market = ExpectedMarket {
        id: Some(market.id.clone()),
        symbol: Some(market.symbol.clone()),
        base: Some(market.base.clone()),
        quote: Some(market.quote.clone()),
        settle: market.settle.clone(),
        market_type: Some(market.market_type.to_string()),
        active: market.active,
        linear: market.linear,
        inverse: market.inverse,
        contract_size: market.contract_size,
        expiry: market.expiry.map(Timestamp::as_millis),
        strike: market.strike,
        option_type: market.option_type.clone(),
    };
    if !strict {
        forget_details(&mut market);
    }
    market
}

/// Keeps id, symbol, base, quote, settle, type and active.
fn forget_details(market: &mut ExpectedMarket) {
    market.linear = None;
    market.inverse = None;
    market.contract_size = None;
    market.expiry = None;
    market.strike = None;
    market.option_type = None;
}
