//! How exchanges say no, in their own words and codes.

use forecastle_core::{Timeframe, Timestamp};
use forecastle_market_data::{CandleQuery, Exchange, ExchangeError, MarketKind, sample_markets};

/// What an answer with status 200 is taken for, and the words it keeps.
fn said(id: &str, body: &str) -> (&'static str, String) {
    let exchange = Exchange::find(id).unwrap();
    let list = sample_markets(&exchange).unwrap();
    let market =
        list.markets.iter().find(|market| market.kind() == Some(MarketKind::Spot)).unwrap();
    let now = Timestamp::from_millis(1_749_990_896_000);
    let query = CandleQuery::new(market, Timeframe::HOUR, now).limit(10);
    match exchange.parse_candles(&query, body.as_bytes()) {
        Err(ExchangeError::UnknownSymbol { exchange, symbol, .. }) => {
            assert_eq!((exchange.as_str(), &symbol), (id, &market.symbol));
            ("unknown symbol", symbol)
        }
        Err(ExchangeError::RateLimited { exchange, message, .. }) => {
            assert_eq!(exchange, id);
            ("rate limited", message)
        }
        Err(ExchangeError::Exchange { exchange, status, message }) => {
            assert_eq!((exchange.as_str(), status), (id, 200));
            ("refused", message)
        }
        Err(other) => panic!("{id} {body}: {other}"),
        Ok(candles) => panic!("{id} {body}: {candles:?}"),
    }
}

#[test]
fn unknown_symbols_and_limits_are_recognised_and_words_are_kept() {
    for (id, body, kind, words) in [
        ("kraken", r#"{"error":["EQuery:Unknown asset pair"]}"#, "unknown symbol", "/"),
        (
            "kraken",
            r#"{"error":["EAPI:Rate limit exceeded"]}"#,
            "rate limited",
            "EAPI:Rate limit exceeded",
        ),
        (
            "kraken",
            r#"{"error":["EGeneral:Too many requests"]}"#,
            "rate limited",
            "EGeneral:Too many requests",
        ),
        ("kraken", r#"{"error":["EService:Unavailable"]}"#, "refused", "EService:Unavailable"),
        (
            "kraken",
            r#"{"error":["EGeneral:Invalid arguments:interval"],"result":{}}"#,
            "refused",
            "EGeneral:Invalid arguments:interval",
        ),
        (
            "okx",
            r#"{"code":"51001","data":[],"msg":"Instrument ID, Instrument ID code, or Spread ID doesn't exist."}"#,
            "unknown symbol",
            "/",
        ),
        (
            "okx",
            r#"{"code":"50011","data":[],"msg":"Too Many Requests"}"#,
            "rate limited",
            "Too Many Requests",
        ),
        (
            "okx",
            r#"{"code":"51000","data":[],"msg":"Parameter bar error"}"#,
            "refused",
            "Parameter bar error",
        ),
        ("okx", r#"{"code":"50001","data":[],"msg":""}"#, "refused", "code 50001"),
        (
            "bybit",
            r#"{"retCode":10001,"retMsg":"Not supported symbols","result":{},"retExtInfo":{},"time":1749990896000}"#,
            "unknown symbol",
            "/",
        ),
        (
            "bybit",
            r#"{"retCode":10006,"retMsg":"Too many visits. Exceeded the API Rate Limit.","result":{},"time":1749990896000}"#,
            "rate limited",
            "Too many visits. Exceeded the API Rate Limit.",
        ),
        (
            "bybit",
            r#"{"retCode":10001,"retMsg":"Invalid period!","result":{},"time":1749990896000}"#,
            "refused",
            "Invalid period!",
        ),
        // The digits of a code inside a time are none.
        (
            "bybit",
            r#"{"retCode":10002,"retMsg":"invalid request","result":{},"time":1749100060000}"#,
            "refused",
            "invalid request",
        ),
        ("binance", r#"{"code":-1121,"msg":"Invalid symbol."}"#, "unknown symbol", "/"),
        (
            "binance",
            r#"{"code":-1003,"msg":"Too many requests; current limit is 6000 request weight per 1 MINUTE."}"#,
            "rate limited",
            "Too many requests; current limit is 6000 request weight per 1 MINUTE.",
        ),
        ("binance", r#"{"code":-1120,"msg":"Invalid interval."}"#, "refused", "Invalid interval."),
        (
            "bitget",
            r#"{"code":"40034","msg":"Parameter does not exist","requestTime":1749990896000,"data":null}"#,
            "unknown symbol",
            "/",
        ),
        (
            "bitget",
            r#"{"code":"429","msg":"Too Many Requests","requestTime":1749990896000,"data":null}"#,
            "rate limited",
            "Too Many Requests",
        ),
        (
            "bitget",
            r#"{"code":"400171","msg":"Parameter verification failed granularity","requestTime":1749990896429,"data":null}"#,
            "refused",
            "Parameter verification failed granularity",
        ),
    ] {
        let (got, message) = said(id, body);
        assert_eq!(got, kind, "{id} {body}: {message}");
        assert!(message.contains(words), "{id} {body}: {message:?}");
    }
}

#[test]
fn no_exchange_takes_another_error_for_candles_or_swallows_its_words() {
    for exchange in Exchange::all().unwrap() {
        let id = exchange.id();
        let answer = br#"{"message":"down for maintenance","msg":"down for maintenance"}"#;
        let (list, kinds) = (sample_markets(&exchange).unwrap(), exchange.kinds());
        for kind in kinds {
            let market = list.markets.iter().find(|market| market.kind() == Some(kind));
            let Some(market) = market else { continue };
            let now = Timestamp::from_millis(1_749_990_896_000);
            for timeframe in exchange.timeframes(kind) {
                let query = CandleQuery::new(market, timeframe, now).limit(10);
                let query = query.since(Timestamp::from_millis(1_749_000_000_000)).until(now);
                let Err(error) = exchange.parse_candles(&query, answer) else {
                    panic!("{id} {kind} {timeframe} takes an error for candles");
                };
                let text = error.to_string();
                assert!(text.contains("down for maintenance"), "{id} {kind} {timeframe}: {text}");
            }
        }
    }
}
