//! An exchange on loopback, with candles whose every row is known.

use std::sync::Arc;
use std::time::Duration;

use forecastle_core::{Candle, CandleSeries, Timeframe, Timestamp};
use forecastle_market_data::{
    Clock, Exchange, ExchangeClient, Faults, HttpClient, HttpClientParams, Market, MarketKind,
    ReplayParams, ReplaySeries, ReplayServer, WireStyle, sample_markets,
};

/// What time it is in these tests: 2025-06-15T12:34:56Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_749_990_896_000);

pub(crate) fn clock() -> Clock {
    Arc::new(|| NOW)
}

/// `n` closed candles up to [`NOW`] and the one in progress, minus those that `missing` names by
/// their place. Prices and volumes tell the place, and are exact in a few decimals.
pub(crate) fn candles(
    timeframe: Timeframe,
    n: usize,
    missing: impl Fn(usize) -> bool,
) -> CandleSeries {
    let open = timeframe.floor(NOW).unwrap();
    let first = timeframe.step(open, -i64::try_from(n).unwrap()).unwrap();
    let rows = (0..=n).filter(|place| !missing(*place)).map(|place| {
        let time = timeframe.step(first, i64::try_from(place).unwrap()).unwrap();
        let price = 100.0 + place as f64 / 4.0;
        let (high, low) = (price + 2.5, price - 1.5);
        Candle::new(time, price, high, low, price + 0.25, 1.0 + place as f64 * 0.5).unwrap()
    });
    CandleSeries::from_candles("BTC/USDT".parse().unwrap(), timeframe, rows.collect::<Vec<_>>())
        .unwrap()
}

pub(crate) struct Venue {
    pub(crate) server: ReplayServer,
    pub(crate) client: ExchangeClient,
    pub(crate) market: Market,
}

pub(crate) struct Terms {
    pub(crate) faults: Faults,
    pub(crate) page_cap: Option<u32>,
    pub(crate) style: WireStyle,
}

impl Default for Terms {
    fn default() -> Self {
        Self { faults: Faults::none(), page_cap: None, style: WireStyle::default() }
    }
}

/// An exchange without the demand for a key and in a pace that no test waits for.
pub(crate) fn open_exchange(id: &str) -> Exchange {
    let record = format!("id = {id:?}\ninherits = {id:?}\nneeds_key = []\n");
    let exchange = Exchange::parse(&record).unwrap();
    exchange.with_min_interval(Duration::ZERO)
}

/// A market of a kind from the exchange's sample lists, else one made from a symbol.
pub(crate) fn market_of(exchange: &Exchange, kind: MarketKind) -> Option<Market> {
    let list = sample_markets(exchange).unwrap();
    list.markets.into_iter().find(|market| market.kind() == Some(kind))
}

impl Venue {
    pub(crate) fn open(
        exchange: &Exchange,
        market: &Market,
        series: &CandleSeries,
        terms: Terms,
    ) -> Self {
        let served = ReplaySeries::new(exchange.clone(), market.clone(), series.clone());
        let mut params = ReplayParams::new(vec![served], clock());
        (params.faults, params.page_cap) = (terms.faults, terms.page_cap);
        (params.style, params.depth) = (terms.style, false);
        let server = ReplayServer::start(params).unwrap();
        let http = HttpClient::new(HttpClientParams {
            base_delay_ms: 1,
            max_delay_ms: 4,
            max_retries: 6,
            jitter_seed: Some(1),
            ..Default::default()
        });
        let exchange = server.redirect(exchange).unwrap();
        let client = ExchangeClient::new(exchange, http.unwrap(), clock());
        Self { server, client, market: market.clone() }
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
