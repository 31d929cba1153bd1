//! The check of the exchange records against recorded cases, shared by the example and the tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use forecastle::core::Timestamp;
use forecastle::market_data::{CandleQuery, Exchange, HttpRequest, Market, MarketList, Method};

#[path = "conformance_cases.rs"]
mod cases;

use cases::{
    Cases, ExpectedMarket, KnownDifference, KnownDifferences, MarketsCase, Query, RequestCase,
    ResponseCase,
};

/// What a folder of cases came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// Cases where CCXT is wrong and the records are not.
    pub(crate) known: usize,
    /// Exchanges none of whose cases failed.
    pub(crate) whole: usize,
    pub(crate) exchanges: usize,
    /// Why the known differences are none of ours.
    pub(crate) reasons: BTreeSet<String>,
    /// What failed, a line or a few for each case.
    pub(crate) failures: Vec<String>,
}

/// Checks the case files of a folder, or those of one exchange there; `strict` compares every field
/// of the markets.
pub(crate) fn check_folder(dir: &Path, exchange: Option<&str>, strict: bool) -> Result<Tally> {
    let known: KnownDifferences = toml::from_str(include_str!("../known_differences.toml"))?;
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    ensure!(!files.is_empty(), "{} holds no case files", dir.display());
    let mut total = Tally::default();
    for file in &files {
        let cases = read(file)?;
        if exchange.is_some_and(|exchange| exchange != cases.id) {
            continue;
        }
        let failures = check(&cases, &known.difference, strict, &mut total);
        total.exchanges += 1;
        total.whole += usize::from(failures.is_empty());
        total.failures.extend(failures.iter().map(|failure| format!("{}: {failure}", cases.id)));
    }
    Ok(total)
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
