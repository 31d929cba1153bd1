//! An exchange on loopback whose time is that of the test, with candles whose every row is known.

use std::net::SocketAddr;
use std::time::Duration;

use forecastle_core::{Candle, CandleSeries, Timeframe, Timestamp};
use forecastle_market_data::{
    CandleQuery, Exchange, ExchangeClient, Faults, HttpClient, HttpClientParams, LiveCandles,
    LiveClock, LiveReport, Market, MarketKind, ReplayParams, ReplaySeries, ReplayServer,
    VolumeUnit, sample_markets,
};

/// When these tests begin: 2025-06-15T12:34:56Z.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_749_990_896_000);

/// `n` candles before the one in progress at [`START`], that one, and `later` more, minus those
/// that `missing` names by their place.
pub(crate) fn candles(
    timeframe: Timeframe,
    n: usize,
    later: usize,
    missing: impl Fn(usize) -> bool,
) -> CandleSeries {
    let open = timeframe.floor(START).unwrap();
    let first = timeframe.step(open, -i64::try_from(n).unwrap()).unwrap();
    let rows = (0..=n + later).filter(|place| !missing(*place)).map(|place| {
        let time = timeframe.step(first, i64::try_from(place).unwrap()).unwrap();
        let price = 100.0 + place as f64 / 4.0;
        let (high, low) = (price + 2.5, price - 1.5);
        Candle::new(time, price, high, low, price + 0.25, 1.0 + place as f64 * 0.5).unwrap()
    });
    CandleSeries::from_candles("BTC/USDT".parse().unwrap(), timeframe, rows.collect::<Vec<_>>())
        .unwrap()
}

/// An exchange without the demand for a key; its pace is that of its record.
pub(crate) fn open_exchange(id: &str) -> Exchange {
    Exchange::parse(&format!("id = {id:?}\ninherits = {id:?}\nneeds_key = []\n")).unwrap()
}

/// The first market that the exchange's sample lists have of a kind.
pub(crate) fn market_of(exchange: &Exchange, kind: MarketKind) -> Option<Market> {
    let list = sample_markets(exchange).unwrap();
    list.markets.into_iter().find(|market| market.kind() == Some(kind))
}

/// What a test's exchange serves and how.
pub(crate) struct Terms {
    pub(crate) id: &'static str,
    pub(crate) series: CandleSeries,
    pub(crate) change: fn(&mut ReplayParams),
    pub(crate) faults: Faults,
    pub(crate) clock: LiveClock,
}

impl Terms {
    pub(crate) fn new(series: CandleSeries) -> Self {
        let clock = LiveClock::leaping(START);
        Self { id: "binance", series, change: |_| (), faults: Faults::none(), clock }
    }
}

pub(crate) struct Venue {
    pub(crate) server: ReplayServer,
    pub(crate) client: ExchangeClient,
    pub(crate) market: Market,
    pub(crate) clock: LiveClock,
    exchange: Exchange,
    /// What the client should give of each candle served, by place.
    pub(crate) expected: Vec<Candle>,
    terms: Terms,
}

impl Venue {
    pub(crate) fn open(terms: Terms) -> Self {
        let exchange = open_exchange(terms.id);
        let kinds = exchange.kinds();
        let market = kinds.into_iter().find_map(|kind| market_of(&exchange, kind)).unwrap();
        Self::of_market(terms, exchange, market)
    }

    pub(crate) fn of_market(terms: Terms, exchange: Exchange, market: Market) -> Self {
        let server = serve(&terms, &exchange, &market, SocketAddr::from(([127, 0, 0, 1], 0)));
        let http = HttpClient::new(HttpClientParams { jitter_seed: Some(1), ..params() });
        let redirected = server.redirect(&exchange).unwrap();
        let client = ExchangeClient::new(redirected, http.unwrap(), terms.clock.clock());
        let expected = expected(&exchange, &market, &terms.series);
        let clock = terms.clock.clone();
        Self { server, client, market, clock, exchange, expected, terms }
    }

    /// Ends the server; [`come_back`](Self::come_back) starts it again at the same address.
    pub(crate) fn go_down(self) -> Down {
        let url = self.server.base_url();
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        let Self { server, client, market, clock, exchange, expected, terms } = self;
        server.stop();
        Down { address, client, market, clock, exchange, expected, terms }
    }

    /// Where the candle that opens then stands.
    pub(crate) fn place_of(&self, open: Timestamp) -> usize {
        self.expected.iter().position(|candle| candle.open_time() == open).unwrap()
    }

    /// Where the candle in progress at [`START`] stands.
    pub(crate) fn in_progress(&self) -> usize {
        self.expected.partition_point(|candle| candle.open_time() <= START) - 1
    }
}

/// An exchange that cannot be reached.
pub(crate) struct Down {
    address: SocketAddr,
    client: ExchangeClient,
    market: Market,
    pub(crate) clock: LiveClock,
    exchange: Exchange,
    expected: Vec<Candle>,
    terms: Terms,
}

impl Down {
    pub(crate) fn come_back(self) -> Venue {
        let Self { address, client, market, clock, exchange, expected, terms } = self;
        let server = serve(&terms, &exchange, &market, address);
        Venue { server, client, market, clock, exchange, expected, terms }
    }
}

fn serve(terms: &Terms, exchange: &Exchange, market: &Market, address: SocketAddr) -> ReplayServer {
    let served = ReplaySeries::new(exchange.clone(), market.clone(), terms.series.clone());
    let mut params = ReplayParams::new(vec![served], terms.clock.clock());
    (params.faults, params.depth, params.bind) = (terms.faults.clone(), false, address);
    (terms.change)(&mut params);
    // The port is free again when the system says so.
    for _ in 0..200 {
        match ReplayServer::start(params.clone()) {
            Ok(server) => return server,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    ReplayServer::start(params).unwrap()
}

/// The waits that an exchange is given in earnest; in quick motion they are short.
fn params() -> HttpClientParams {
    HttpClientParams { max_retries: 6, ..HttpClientParams::default() }
}

/// The candles as they come, their volume in base currency where it can be converted.
fn expected(exchange: &Exchange, market: &Market, series: &CandleSeries) -> Vec<Candle> {
    let query = CandleQuery::new(market, series.timeframe(), START);
    let volume = exchange.candle_terms(&query).unwrap().volume;
    let linear = market.linear == Some(true) && market.inverse != Some(true);
    let size = match market.contract_size {
        Some(size) if linear && volume == VolumeUnit::Contracts => size,
        _ => 1.0,
    };
    let convert = |c: Candle| {
        let volume = c.volume() * size;
        Candle::new(c.open_time(), c.open(), c.high(), c.low(), c.close(), volume).unwrap()
    };
    series.view().iter().map(convert).collect()
}

/// Takes `n` candles.
pub(crate) async fn take(live: &mut LiveCandles, n: usize) -> Vec<Candle> {
    let mut candles = Vec::with_capacity(n);
    while candles.len() < n {
        candles.push(next(live).await);
    }
    candles
}

/// Takes one; what hangs, fails.
pub(crate) async fn next(live: &mut LiveCandles) -> Candle {
    match tokio::time::timeout(Duration::from_secs(50), live.next()).await {
        Ok(Some(Ok(candle))) => candle,
        other => panic!("{other:?}, {:?}", live.report()),
    }
}

/// Waits until the report says so.
pub(crate) async fn until(live: &LiveCandles, holds: impl Fn(&LiveReport) -> bool) -> LiveReport {
    let begun = std::time::Instant::now();
    loop {
        let report = live.report();
        if holds(&report) {
            return report;
        }
        assert!(begun.elapsed() < Duration::from_secs(50), "{report:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
