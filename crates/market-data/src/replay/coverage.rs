//! Every exchange, kind of market and timeframe: what is asked for is understood, and what is
//! answered is read back bit for bit.

use std::collections::BTreeMap;
use std::sync::Arc;

use forecastle_core::{CandleSeries, RawCandle, Timeframe, Timestamp};

use super::market_samples::{sample_market_answers, sample_markets};
use super::params::{NumberStyle, ReplayParams, ReplaySeries, RowOrder, WireStyle};
use super::service::{Request, Service};
use super::slot::Slots;
use crate::exchange::{CandleQuery, Exchange, ExchangeError, Market, MarketKind, Paging};
use crate::{Simulator, SimulatorParams};

const ROWS: usize = 1_300;
/// How many candles before the clock most queries begin.
const YOUNG: usize = 300;

/// The kinds that an endpoint for `kind` serves, too.
fn of(kind: MarketKind) -> Vec<MarketKind> {
    match kind {
        MarketKind::Linear => vec![kind, MarketKind::LinearFuture],
        MarketKind::Inverse => vec![kind, MarketKind::InverseFuture],
        _ => vec![kind],
    }
}

/// A market of each kind that the exchange serves, as far as its sample lists have one.
fn markets(exchange: &Exchange) -> BTreeMap<MarketKind, Market> {
    let list = sample_markets(exchange).unwrap().markets;
    let mut of_kind = BTreeMap::new();
    for market in list {
        if let Some(kind) = market.kind()
            && market.active != Some(false)
            && exchange.kinds().iter().any(|served| of(*served).contains(&kind))
        {
            of_kind.entry(kind).or_insert(market);
        }
    }
    of_kind
}

fn candles(timeframe: Timeframe, n: usize) -> CandleSeries {
    let start: Timestamp = "2019-04-01".parse().unwrap();
    let start = timeframe.floor(start).unwrap();
    let params = SimulatorParams { n, timeframe, start, ..Default::default() };
    Simulator::new(params).unwrap().series().unwrap()
}

fn ask(service: &Service, query: &CandleQuery<'_>, exchange: &Exchange) -> (u16, Vec<u8>) {
    let request = exchange.candle_request(query).unwrap();
    let reply = service.answer(&Request {
        method: request.method,
        target: Slots::target(&request.url).to_owned(),
        accepts: String::new(),
        body: request.body.unwrap_or_default().into_bytes(),
    });
    (reply.status, reply.body)
}

/// What is known to be wrong, and why.
const KNOWN: [(&str, &[&str], &str); 3] = [
    ("bybit", &["1w", "1M"], "the start is rounded up to whole weeks or 30 days since 1970"),
    ("xt", &["1w", "1M"], "the start is rounded up to whole weeks or 30 days since 1970"),
    (
        "onetrading",
        &["1w", "1M"],
        "open times are rounded down to whole weeks or 30 days since 1970",
    ),
];

fn is_known(exchange: &Exchange, timeframe: Timeframe) -> bool {
    let timeframe = timeframe.to_string();
    KNOWN.iter().any(|(id, timeframes, _)| {
        exchange.id().starts_with(id) && timeframes.contains(&timeframe.as_str())
    })
}

/// What is wrong with the answers for one series.
fn check(
    exchange: &Exchange,
    market: &Market,
    timeframe: Timeframe,
    style: WireStyle,
) -> Result<usize, String> {
    let series = Arc::new(candles(timeframe, ROWS));
    let all: Vec<RawCandle> = series.view().iter().map(RawCandle::from).collect();
    let last = all.last().unwrap().open_time;
    let now = timeframe.next_open(last).unwrap();
    let replayed = ReplaySeries::new(exchange.clone(), market.clone(), series.clone());
    let params = ReplayParams { style, ..ReplayParams::new(vec![replayed], Arc::new(move || now)) };
    let service = Service::new(params).map_err(|e| e.to_string())?;
    let mut asked = 0;
    for since in [None, Some(ROWS - YOUNG), Some(ROWS / 8)] {
        for until in [None, Some(40)] {
            for limit in [None, Some(2), Some(25), Some(90)] {
                let begin = since.unwrap_or(ROWS - YOUNG);
                let query = CandleQuery::new(market, timeframe, now)
                    .since(since.map(|row| all[row].open_time))
                    .until(until.map(|rows| all[begin + rows].open_time))
                    .limit(limit);
                match exchange.candle_request(&query) {
                    Err(ExchangeError::Refused { .. }) => continue,
                    other => other.map_err(|e| e.to_string())?,
                };
                let terms = exchange.candle_terms(&query).map_err(|e| e.to_string())?;
                let case = format!("since {since:?} until {until:?} limit {limit:?}");
                let (status, body) = ask(&service, &query, exchange);
                let text = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
                if status != 200 {
                    let request = exchange.candle_request(&query).unwrap();
                    return Err(format!(
                        "{case}: {status} {text} for {request} {:?}",
                        request.body
                    ));
                }
                exchange.refused(200, &body, None).map_err(|e| format!("{case}: {e}"))?;
                let page = exchange.parse_candles(&query, &body);
                let mut page = page.map_err(|e| format!("{case}: {e}: {text}"))?;
                asked += 1;
                // Records without a volume column give NaN.
                if page.iter().all(|candle| candle.volume.is_nan()) {
                    page.iter_mut().for_each(|c| {
                        c.volume = all
                            [all.iter().position(|a| a.open_time == c.open_time).unwrap_or(0)]
                        .volume
                    });
                }
                // A month may be longer than a record takes it for.
                let long = timeframe.fixed_millis().is_none() && since.is_none();
                if page.is_empty() && long && limit == Some(2) {
                    continue;
                }
                let Some(first) = page.first() else {
                    return Err(format!("{case}: no rows: {text}"));
                };
                let at = all.iter().position(|candle| candle.open_time == first.open_time);
                let at =
                    at.ok_or_else(|| format!("{case}: no candle opens at {}", first.open_time))?;
                if all.get(at..at + page.len()) != Some(page.as_slice()) {
                    return Err(format!("{case}: rows differ from the candles at {at}: {text}"));
                }
                let end = at + page.len();
                let elsewhen = |row: usize| all.get(row).map(|candle| candle.open_time);
                let says = |since: Option<usize>, until: Option<usize>| {
                    let query =
                        query.since(since.and_then(elsewhen)).until(until.and_then(elsewhen));
                    exchange.candle_request(&query).map(|request| request.to_string()).ok()
                };
                let upto = until.map(|rows| begin + rows);
                let (before, after) = (since.map(|row| row - 99), upto.map(|row| row + 77));
                let tells_since = says(since, upto) != says(before, upto);
                let tells_until = says(since, upto) != says(since, after);
                let narrow = limit.is_some_and(|limit| limit < 40);
                if let Some(since) = since.filter(|_| tells_since && !(tells_until && narrow)) {
                    let reach = terms.depth.map_or(ROWS, |depth| usize::try_from(depth).unwrap());
                    let since = since.max(ROWS.saturating_sub(reach));
                    if !(at..end).contains(&since) {
                        return Err(format!(
                            "{case}: rows {at}..{end} for {:?}",
                            says(Some(since), upto)
                        ));
                    }
                }
                if let Some(upto) =
                    upto.filter(|_| tells_until && since.is_none() && limit.is_none())
                {
                    let most = terms.max_rows.map_or(ROWS, |most| usize::try_from(most).unwrap());
                    if !(at..=end).contains(&upto) && end - at < most.min(40) {
                        return Err(format!(
                            "{case}: rows {at}..{end}, not {upto}, for {:?}",
                            says(since, Some(upto))
                        ));
                    }
                }
                if terms.paging == Paging::Recent && end != all.len() {
                    return Err(format!("{case}: rows {at}..{end} are not the newest"));
                }
            }
        }
    }
    Ok(asked)
}

#[test]
fn every_series_of_every_exchange_is_asked_for_and_read_back() {
    let mut wrong = Vec::new();
    let (mut kinds, mut checked) = (0, 0);
    for exchange in Exchange::all().unwrap() {
        let markets = markets(&exchange);
        if markets.is_empty() {
            wrong.push(format!("{}: no market", exchange.id()));
        }
        for (kind, market) in markets {
            kinds += 1;
            for (index, timeframe) in exchange.timeframes(kind).into_iter().enumerate() {
                let style = WireStyle {
                    numbers: [NumberStyle::Json, NumberStyle::Text, NumberStyle::Mixed][index % 3],
                    order: [RowOrder::Ascending, RowOrder::Descending][index % 2],
                    lone_rows: index % 2 == 0,
                    ..Default::default()
                };
                match check(&exchange, &market, timeframe, style) {
                    Err(_) if is_known(&exchange, timeframe) => {}
                    Ok(0) => {
                        wrong.push(format!("{} {kind} {timeframe}: refuses all", exchange.id()))
                    }
                    Ok(_) => checked += 1,
                    Err(why) => wrong.push(format!("{} {kind} {timeframe}: {why}", exchange.id())),
                }
            }
        }
    }
    eprintln!("{kinds} kinds, {checked} series whole");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_request_for_a_market_list_has_a_sample() {
    let mut missing = Vec::new();
    for exchange in Exchange::all().unwrap() {
        let params = ReplayParams {
            exchanges: vec![exchange.clone()],
            ..ReplayParams::new(Vec::new(), Arc::new(Timestamp::default))
        };
        let service = Service::new(params).unwrap();
        let mut requests = exchange.market_requests().unwrap();
        while let Some(request) = requests.pop() {
            let reply = service.answer(&Request {
                method: request.method,
                target: Slots::target(&request.url).to_owned(),
                accepts: String::new(),
                body: request.body.clone().unwrap_or_default().into_bytes(),
            });
            if reply.status != 200 {
                missing.push(format!("{}: {request} {:?}", exchange.id(), request.body));
                continue;
            }
            requests.extend(exchange.following_market_requests(&request, &reply.body).unwrap());
        }
        assert!(!sample_market_answers(&exchange).unwrap().is_empty(), "{}", exchange.id());
    }
    assert!(missing.is_empty(), "{} missing:\n{}", missing.len(), missing.join("\n"));
}
