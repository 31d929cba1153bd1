//! A market on a local server whose clock and the client's run many times as fast as real time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forecastle_core::{Candle, CandleSeries, Timeframe};
use forecastle_market_data::{
    Exchange, ExchangeClient, ExchangeError, Faults, HttpClient, HttpClientParams, LiveCandles,
    LiveClock, LiveParams, LiveRequest, Market, MarketKind, ReplayParams, ReplaySeries,
    ReplayServer, ReplayStreams, Simulator, SimulatorParams, Transport, sample_markets,
};

/// One series on a server of its own.
pub(crate) struct Bench {
    pub(crate) exchange: Exchange,
    pub(crate) market: Market,
    pub(crate) series: Arc<CandleSeries>,
    pub(crate) clock: LiveClock,
    pub(crate) server: ReplayServer,
    /// The candle that is in progress when the clock starts.
    pub(crate) first: usize,
}

pub(crate) struct Setting {
    pub(crate) exchange: &'static str,
    pub(crate) kind: MarketKind,
    pub(crate) candles: usize,
    /// Real time that a candle takes.
    pub(crate) pace: Duration,
    pub(crate) faults: Faults,
    pub(crate) streams: ReplayStreams,
}

impl Setting {
    pub(crate) fn new(exchange: &'static str, kind: MarketKind) -> Self {
        let streams = ReplayStreams { update_ms: 10_000, ..ReplayStreams::default() };
        let pace = Duration::from_millis(100);
        Self { exchange, kind, candles: 40, pace, faults: Faults::none(), streams }
    }

    /// The shortest timeframe of at least a minute that is streamed.
    fn timeframe(&self, exchange: &Exchange) -> Timeframe {
        let streamed = exchange.websocket_timeframes(self.kind);
        streamed.into_iter().find(|tf| tf.nominal_millis() >= 60_000).unwrap()
    }

    pub(crate) fn start(self) -> Bench {
        const BEFORE: usize = 30;
        let exchange = Exchange::find(self.exchange).unwrap();
        let timeframe = self.timeframe(&exchange);
        let is_served = |market: &Market| market.kind() == Some(self.kind);
        let markets = sample_markets(&exchange).unwrap().markets;
        let market = markets.into_iter().find(is_served).unwrap();
        let start = "2024-03-01T00:00:00Z".parse().unwrap();
        let n = BEFORE + self.candles + 200;
        let params = SimulatorParams { n, timeframe, start, ..Default::default() };
        let series = Arc::new(Simulator::new(params).unwrap().series().unwrap());
        let length = timeframe.nominal_millis();
        let now = series.view().open_time()[BEFORE].checked_add_millis(length / 2).unwrap();
        let speed = length as f64 / self.pace.as_secs_f64() / 1e3;
        let clock = LiveClock::accelerated(now, speed).unwrap();
        let served = ReplaySeries::new(exchange.clone(), market.clone(), series.clone());
        let params = ReplayParams {
            faults: self.faults,
            streams: self.streams,
            ..ReplayParams::new(vec![served], clock.clock())
        };
        let server = ReplayServer::start(params).unwrap();
        Bench { exchange, market, series, clock, server, first: BEFORE }
    }
}

impl Bench {
    pub(crate) fn client(&self, http: HttpClientParams) -> ExchangeClient {
        let exchange = self.server.redirect(&self.exchange).unwrap();
        let http = HttpClient::new(http).unwrap();
        ExchangeClient::new(exchange, http, self.clock.clock())
    }

    pub(crate) fn request(&self) -> LiveRequest {
        // A candle is over in a moment: a margin that leaves the stream some of it.
        let margin = self.series.timeframe().nominal_millis() / 3;
        let params = LiveParams {
            transport: Transport::WebSocket,
            margin_ms: u64::try_from(margin).unwrap(),
            ..LiveParams::default()
        };
        LiveRequest::new(&self.market.symbol, self.series.timeframe()).params(params)
    }

    pub(crate) fn live(&self) -> LiveCandles {
        self.client(http()).live(self.request(), self.clock.clone()).unwrap()
    }

    /// A candle as the client should give it: the volume in base currency.
    pub(crate) fn expected(&self, row: usize, unit_is_contracts: bool) -> Candle {
        let candle = self.series.view().candle(row).unwrap();
        let scale = match self.market.contract_size {
            Some(size) if unit_is_contracts && self.market.linear == Some(true) => size,
            _ => 1.0,
        };
        let volume = candle.volume() * scale;
        let [open, high, low, close] = [candle.open(), candle.high(), candle.low(), candle.close()];
        Candle::new(candle.open_time(), open, high, low, close, volume).unwrap()
    }
}

/// Quick to give up, for a server next door.
pub(crate) fn http() -> HttpClientParams {
    HttpClientParams { connect_timeout_ms: 1_000, jitter_seed: Some(1), ..Default::default() }
}

/// The next `n` candles; panics when they take absurdly long.
pub(crate) async fn take(candles: &mut LiveCandles, n: usize) -> Vec<Candle> {
    let begun = Instant::now();
    let mut taken = Vec::with_capacity(n);
    while taken.len() < n {
        let next = tokio::time::timeout(Duration::from_secs(60), candles.next()).await;
        match next {
            Ok(Some(Ok(candle))) => taken.push(candle),
            Ok(other) => panic!("{other:?} after {} candles: {:#?}", taken.len(), candles.report()),
            Err(_) => {
                panic!("{} candles in {:?}: {:#?}", taken.len(), begun.elapsed(), candles.report())
            }
        }
    }
    taken
}

/// The error that ends a source.
pub(crate) async fn end(candles: &mut LiveCandles) -> ExchangeError {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(60), candles.next()).await;
        match next.expect("an end") {
            Some(Ok(_)) => {}
            Some(Err(error)) => return error,
            None => panic!("no error: {:#?}", candles.report()),
        }
    }
}
