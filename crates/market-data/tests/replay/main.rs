//! The replay server as a plain client sees it: bytes on a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod client;
mod faults;
mod serving;

use std::sync::Arc;

use forecastle_core::{CandleSeries, RawCandle, Timestamp};
use forecastle_market_data::{
    CandleQuery, Exchange, Market, ReplayParams, ReplaySeries, ReplayServer, Simulator,
    SimulatorParams, sample_markets,
};

use client::Answer;

/// 200 hourly candles of one exchange's first market, and the hour they end in.
struct Fixture {
    exchange: Exchange,
    market: Market,
    candles: Arc<CandleSeries>,
    now: Timestamp,
}

impl Fixture {
    fn new(id: &str) -> Self {
        let exchange = Exchange::find(id).unwrap();
        let markets = sample_markets(&exchange).unwrap().markets;
        let serves = |market: &&Market| {
            let kind = market.kind();
            kind.is_some_and(|kind| exchange.kinds().contains(&kind))
        };
        let market = markets.iter().find(serves).unwrap().clone();
        let params = SimulatorParams { n: 200, ..Default::default() };
        let candles = Arc::new(Simulator::new(params).unwrap().series().unwrap());
        let last = candles.view().open_time()[199];
        let now = last.checked_add_millis(3_599_000).unwrap();
        Self { exchange, market, candles, now }
    }

    fn series(&self) -> ReplaySeries {
        ReplaySeries::new(self.exchange.clone(), self.market.clone(), self.candles.clone())
    }

    fn params(&self) -> ReplayParams {
        let now = self.now;
        ReplayParams {
            unfinished: false,
            ..ReplayParams::new(vec![self.series()], Arc::new(move || now))
        }
    }

    fn start(&self, change: impl FnOnce(&mut ReplayParams)) -> ReplayServer {
        let mut params = self.params();
        change(&mut params);
        ReplayServer::start(params).unwrap()
    }

    fn query(&self) -> CandleQuery<'_> {
        CandleQuery::new(&self.market, self.candles.timeframe(), self.now)
    }

    /// From the 50th candle on, at most `limit`.
    fn window(&self, limit: u32) -> CandleQuery<'_> {
        self.query().since(self.candles.view().open_time()[50]).limit(limit)
    }

    fn ask(&self, server: &ReplayServer, query: &CandleQuery<'_>) -> Answer {
        let there = server.redirect(&self.exchange).unwrap();
        client::send(&there.candle_request(query).unwrap(), "")
    }

    fn read(&self, query: &CandleQuery<'_>, answer: &Answer) -> Vec<RawCandle> {
        assert_eq!(answer.status, 200, "{answer:?}");
        self.exchange.parse_candles(query, &answer.body).unwrap()
    }

    fn candle(&self, row: usize) -> RawCandle {
        self.candles.view().candle(row).unwrap().into()
    }
}
