//! Every exchange, kind of market and timeframe: what is asked for is understood, and what is
//! answered is read back bit for bit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use forecastle_core::{RawCandle, Timeframe, Timestamp};

use super::market_samples::sample_markets;
use super::params::{NumberStyle, ReplayParams, ReplaySeries, RowOrder, WireStyle};
use super::service::{Request, Service};
use super::slot::Slots;
use crate::exchange::{CandleQuery, Exchange, ExchangeError, Market, MarketKind, Paging};
use crate::{Simulator, SimulatorParams};

const ROWS: usize = 450;
/// Where queries begin, and whether the clock then stands much later: some exchanges answer
/// queries about old candles elsewhere.
const BEGINNINGS: [(Option<usize>, bool); 4] =
    [(None, false), (Some(300), false), (Some(110), false), (Some(110), true)];
const LATER: i64 = 3_000;
/// No clock stands later than this: 40 years.
const LATEST_MS: i64 = 40 * 365 * 86_400_000;
/// Rows from the beginning, or from the 300th, to an end.
const UNTIL: usize = 40;
const LIMITS: [Option<u32>; 3] = [None, Some(2), Some(25)];

/// What is known to be wrong, and why.
const KNOWN: [(&str, &[&str], &str); 3] = [
    (
        "bybit",
        &["1w", "1M"],
        "without an end the start is rounded up to weeks or 30 days since 1970",
    ),
    ("xt", &["1w", "1M"], "without an end the start is rounded up to weeks or 30 days since 1970"),
    ("onetrading", &["1w", "1M"], "open times are rounded to whole weeks or 30 days since 1970"),
];

fn is_known(exchange: &Exchange, timeframe: Timeframe) -> bool {
    let timeframe = timeframe.to_string();
    KNOWN.iter().any(|(id, timeframes, _)| {
        exchange.id().starts_with(id) && timeframes.contains(&timeframe.as_str())
    })
}

/// A market of each kind that the exchange serves: from its sample lists, or made from a symbol.
fn markets(exchange: &Exchange) -> BTreeMap<MarketKind, Market> {
    let made = |symbol| {
        let by_rule = exchange.market_by_rule(symbol).unwrap();
        by_rule.unwrap_or_else(|| Market::from_symbol("7", symbol).unwrap())
    };
    let listed = sample_markets(exchange).unwrap().markets;
    let serves = |kind: MarketKind| !exchange.timeframes(kind).is_empty();
    let mut of_kind = BTreeMap::new();
    for market in listed {
        if let Some(kind) = market.kind().filter(|kind| serves(*kind)) {
            of_kind.entry(kind).or_insert(market);
        }
    }
    for market in MADE_UP.map(made) {
        if let Some(kind) = market.kind().filter(|kind| exchange.kinds().contains(kind)) {
            of_kind.entry(kind).or_insert(market);
        }
    }
    of_kind
}

const MADE_UP: [&str; 6] = [
    "BTC/USDT",
    "BTC/USDT:USDT",
    "BTC/USD:BTC",
    "BTC/USDT:USDT-270326",
    "BTC/USD:BTC-270326",
    "BTC/USD:BTC-270326-100000-C",
];

/// One series behind a service with a clock of its own.
struct Trial<'t> {
    exchange: &'t Exchange,
    service: Service,
    candles: Vec<RawCandle>,
    timeframe: Timeframe,
    clock: Arc<AtomicI64>,
}

impl<'t> Trial<'t> {
    fn new(
        exchange: &'t Exchange,
        market: &Market,
        timeframe: Timeframe,
        style: WireStyle,
    ) -> Result<Self, String> {
        let start = timeframe.floor("2019-04-01".parse().unwrap()).unwrap();
        let params = SimulatorParams { n: ROWS, timeframe, start, ..Default::default() };
        let candles = Arc::new(Simulator::new(params).unwrap().series().unwrap());
        let last = candles.view().open_time()[ROWS - 1];
        let now = timeframe.next_open(last).unwrap();
        let clock = Arc::new(AtomicI64::new(now.as_millis()));
        let hand = clock.clone();
        let series = ReplaySeries::new(exchange.clone(), market.clone(), candles.clone());
        let time = Arc::new(move || Timestamp::from_millis(hand.load(Ordering::Relaxed)));
        let params = ReplayParams { style, ..ReplayParams::new(vec![series], time) };
        let service = Service::new(params).map_err(|e| e.to_string())?;
        let candles = candles.view().iter().map(RawCandle::from).collect();
        Ok(Self { exchange, service, candles, timeframe, clock })
    }

    fn open(&self, row: usize) -> Timestamp {
        self.candles[row].open_time
    }

    /// The rows that a query is answered with, as places among the candles.
    fn rows(&self, query: &CandleQuery<'_>) -> Result<std::ops::Range<usize>, String> {
        self.clock.store(query.now.as_millis(), Ordering::Relaxed);
        let request = self.exchange.candle_request(query).map_err(|e| e.to_string())?;
        let reply = self.service.answer(&Request {
            method: request.method,
            target: Slots::target(&request.url).to_owned(),
            accepts: String::new(),
            body: request.body.unwrap_or_default().into_bytes(),
        });
        let text = String::from_utf8_lossy(&reply.body).chars().take(200).collect::<String>();
        if reply.status != 200 {
            return Err(format!("{} {text}", reply.status));
        }
        self.exchange.refused(200, &reply.body, None).map_err(|e| e.to_string())?;
        let page = self.exchange.parse_candles(query, &reply.body);
        let page = page.map_err(|e| format!("{e}: {text}"))?;
        let Some(first) = page.first() else {
            return Ok(0..0);
        };
        let at = self.candles.iter().position(|candle| candle.open_time == first.open_time);
        let at = at.ok_or_else(|| format!("no candle opens at {}", first.open_time))?;
        let expected = self.candles.get(at..at + page.len()).unwrap_or_default();
        // Some exchanges give no volume.
        let alike = |(read, written): (&RawCandle, &RawCandle)| {
            let volume = if read.volume.is_nan() { written.volume } else { read.volume };
            RawCandle { volume, ..*read } == *written
        };
        if expected.len() != page.len() || !page.iter().zip(expected).all(alike) {
            return Err(format!("rows differ from the candles at {at}: {text}"));
        }
        Ok(at..at + page.len())
    }

    /// Whether a query's answer holds the rows that matter to it.
    fn check(&self, query: &CandleQuery<'_>) -> Result<(), String> {
        let terms = self.exchange.candle_terms(query).map_err(|e| e.to_string())?;
        let rows = self.rows(query)?;
        let says = |query: &CandleQuery<'_>| {
            let request = self.exchange.candle_request(query).ok();
            request.map(|request| format!("{request} {:?}", request.body))
        };
        let place = |time: Timestamp| {
            self.candles.iter().position(|candle| candle.open_time == time).unwrap_or_default()
        };
        let fail = |what: &str| Err(format!("{what}: rows {rows:?} for {:?}", says(query)));
        // A month may be longer than a record takes it for.
        let long = self.timeframe.fixed_millis().is_none();
        if rows.is_empty() {
            // Without a start it asks for the year of 1,000 candles ago: years are what there is.
            let by_year = self.exchange.id() == "bitbank";
            let excused = query.since.is_none() && (by_year || long && query.limit == Some(2));
            return if excused { Ok(()) } else { fail("no rows") };
        }
        let shifted = |since: Option<Timestamp>, until: Option<Timestamp>| {
            says(&query.since(since).until(until)) != says(query)
        };
        let earlier = query.since.map(|since| self.open(place(since) - 33));
        let later = query.until.map(|until| self.open(place(until) + 77));
        let tells_since = shifted(earlier, query.until);
        let tells_until = shifted(query.since, later);
        let narrow = query.limit.is_some_and(|limit| usize::try_from(limit).unwrap() < UNTIL);
        if let Some(since) = query.since.filter(|_| tells_since && !(tells_until && narrow)) {
            let reach = terms.depth.map_or(ROWS, |depth| usize::try_from(depth).unwrap());
            let since = place(since).max(ROWS.saturating_sub(reach));
            if !rows.contains(&since) {
                return fail(&format!("{since} is asked for"));
            }
        }
        let lone_until = query.until.filter(|_| tells_until && query.since.is_none());
        if let Some(until) = lone_until.map(place).filter(|_| query.limit.is_none()) {
            let most = terms.max_rows.map_or(ROWS, |most| usize::try_from(most).unwrap());
            if !(rows.start..=rows.end).contains(&until) && rows.len() < most.min(UNTIL) {
                return fail(&format!("up to {until} is asked for"));
            }
        }
        if terms.paging == Paging::Recent && rows.end != ROWS {
            return fail("the newest are asked for");
        }
        Ok(())
    }

    /// How many queries were asked, or what is wrong with the answer to one.
    fn run(&self, market: &Market) -> Result<usize, String> {
        let length = self.timeframe.nominal_millis();
        let young = self.timeframe.next_open(self.open(ROWS - 1)).unwrap();
        let mut asked = 0;
        for (since, old) in
            BEGINNINGS.into_iter().filter(|(_, old)| !old || LATER * length < LATEST_MS)
        {
            let later = if old { LATER * length } else { 0 };
            let now = young.checked_add_millis(later).unwrap();
            for until in [None, Some(since.unwrap_or(300) + UNTIL)] {
                for limit in LIMITS {
                    let query = CandleQuery::new(market, self.timeframe, now)
                        .since(since.map(|row| self.open(row)))
                        .until(until.map(|row| self.open(row)))
                        .limit(limit);
                    let request = self.exchange.candle_request(&query);
                    if matches!(request, Err(ExchangeError::Refused { .. })) {
                        continue;
                    }
                    let named = |why| {
                        format!(
                            "since {since:?} (old: {old}) until {until:?} limit {limit:?}: {why}"
                        )
                    };
                    self.check(&query).map_err(named)?;
                    asked += 1;
                }
            }
        }
        Ok(asked)
    }
}

#[test]
fn every_series_of_every_exchange_is_asked_for_and_read_back() {
    let mut wrong = Vec::new();
    let (mut kinds, mut whole, mut known) = (0, 0, 0);
    for exchange in Exchange::all().unwrap() {
        let markets = markets(&exchange);
        let every_kind = exchange.kinds().iter().all(|kind| markets.contains_key(kind));
        assert!(every_kind, "{}: {:?}", exchange.id(), markets.keys());
        for (kind, market) in markets {
            kinds += 1;
            for (index, timeframe) in exchange.timeframes(kind).into_iter().enumerate() {
                let style = WireStyle {
                    numbers: [NumberStyle::Json, NumberStyle::Text, NumberStyle::Mixed][index % 3],
                    order: [RowOrder::Ascending, RowOrder::Descending][index % 2],
                    lone_rows: index % 2 == 0,
                    ..Default::default()
                };
                let trial = Trial::new(&exchange, &market, timeframe, style);
                match trial.and_then(|trial| trial.run(&market)) {
                    Ok(1..) => whole += 1,
                    Err(_) if is_known(&exchange, timeframe) => known += 1,
                    Ok(_) => wrong.push(format!("{} {kind} {timeframe}: nothing", exchange.id())),
                    Err(why) => wrong.push(format!("{} {kind} {timeframe}: {why}", exchange.id())),
                }
            }
        }
    }
    eprintln!("{kinds} kinds, {whole} series whole, {known} known to be wrong");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(kinds >= 145 && whole >= 1_600, "{kinds} kinds, {whole} series");
}

#[test]
fn a_days_file_holds_that_day_and_a_years_file_that_year() {
    let exchange = Exchange::find("bitbank").unwrap();
    let market = markets(&exchange).remove(&MarketKind::Spot).unwrap();
    for (timeframe, begin, rows) in
        [("1h", 100, 96..120), ("5m", 300, 288..450), ("4h", 10, 0..450)]
    {
        let timeframe = timeframe.parse().unwrap();
        let trial = Trial::new(&exchange, &market, timeframe, WireStyle::default()).unwrap();
        let now = timeframe.next_open(trial.open(ROWS - 1)).unwrap();
        let query = CandleQuery::new(&market, timeframe, now).since(trial.open(begin)).limit(5);
        assert_eq!(trial.rows(&query), Ok(rows), "{timeframe}");
    }
}
