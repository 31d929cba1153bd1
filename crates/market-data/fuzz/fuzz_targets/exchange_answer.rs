//! Bytes as an exchange's answer: candles in order with finite numbers, markets, or an error.
#![no_main]

use std::sync::LazyLock;

use forecastle_core::{Timeframe, Timestamp};
use forecastle_market_data::{CandleQuery, Exchange, Market, MarketKind};
use libfuzzer_sys::fuzz_target;

/// Every exchange with a market of each kind whose candles it offers.
static VENUES: LazyLock<Vec<(Exchange, Vec<(Market, Timeframe)>)>> = LazyLock::new(|| {
    let market = |kind: MarketKind| {
        let symbol = match kind {
            MarketKind::Spot => "BTC/USDT",
            MarketKind::Inverse => "BTC/USD:BTC",
            MarketKind::LinearFuture => "BTC/USDT:USDT-261225",
            MarketKind::InverseFuture => "BTC/USD:BTC-261225",
            MarketKind::Option => "BTC/USDT:USDT-261225-70000-C",
            _ => "BTC/USDT:USDT",
        };
        let mut market = Market::from_symbol("BTCUSDT", symbol).expect("it is a symbol");
        for scale in ["price_scale", "value_scale"] {
            market.extra.insert(scale.to_owned(), "8".to_owned());
        }
        market
    };
    let of = |exchange: Exchange| {
        let kinds = exchange.kinds().into_iter();
        let markets = kinds
            .filter_map(|kind| Some((market(kind), exchange.timeframes(kind).first().copied()?)));
        let markets = markets.collect();
        (exchange, markets)
    };
    Exchange::all().expect("the records are right").into_iter().map(of).collect()
});

fuzz_target!(|bytes: &[u8]| {
    let [venue, kind, window, body @ ..] = bytes else { return };
    let (exchange, markets) = &VENUES[usize::from(*venue) % VENUES.len()];
    let now = Timestamp::from_millis(1_760_000_000_000);
    if let Some((market, timeframe)) = markets.get(usize::from(*kind) % (markets.len() + 1)) {
        let query = CandleQuery::new(market, *timeframe, now)
            .since((window & 1 != 0).then_some(Timestamp::from_millis(1_759_000_000_000)))
            .limit((window & 2 != 0).then_some(100));
        if let Ok(candles) = exchange.parse_candles(&query, body) {
            assert!(candles.is_sorted_by(|a, b| a.open_time <= b.open_time));
            assert!(candles.iter().all(|c| c.open.is_finite() && c.close.is_finite()));
            assert!(candles.len() <= body.len());
            let cut = exchange.cut(&query, candles.clone()).expect("the records are right");
            assert!(cut.len() <= candles.len());
        }
        return;
    }
    let Ok(requests) = exchange.market_requests(now) else { return };
    let Some(request) = requests.get(usize::from(*window) % requests.len().max(1)) else { return };
    let _ = exchange.following_market_requests(request, body);
    let _ = exchange.parse_markets(&[(request.clone(), body.to_vec())]);
    let _ = exchange.refused(200, body, None);
});
