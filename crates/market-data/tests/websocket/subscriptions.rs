//! What is sent, and where: as documented.

use forecastle_core::Timestamp;
use forecastle_market_data::{
    CandleChannel, Exchange, ExchangeError, Market, MarketKind, VolumeUnit,
};
use serde_json::{Value as Json, json};

fn market(id: &str, symbol: &str, extra: &[(&str, &str)]) -> Market {
    let mut market = Market::from_symbol(id, symbol).unwrap();
    market.extra = extra.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    market
}

fn channel(exchange: &str, market: &Market, timeframe: &str) -> CandleChannel {
    let exchange = Exchange::find(exchange).unwrap();
    exchange.candle_channel(market, timeframe.parse().unwrap()).unwrap()
}

const NOW: Timestamp = Timestamp::from_millis(1_704_067_230_000);

/// Exchange; the market's id, symbol and what its list says besides; timeframe; address; messages.
type Case = (&'static str, Named, &'static str, &'static str, Json);
type Named = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

#[test]
fn subscriptions_and_addresses_are_the_documented_ones() {
    let none: &'static [(&'static str, &'static str)] = &[];
    let cases: [Case; 20] = [
        (
            "binance",
            ("BTCUSDT", "BTC/USDT", none),
            "1m",
            "wss://stream.binance.com:9443/ws",
            json!([{"method": "SUBSCRIBE", "params": ["btcusdt@kline_1m"], "id": 1}]),
        ),
        (
            "binance",
            ("BTCUSDT", "BTC/USDT:USDT", none),
            "4h",
            "wss://fstream.binance.com/market/ws",
            json!([{"method": "SUBSCRIBE", "params": ["btcusdt@kline_4h"], "id": 1}]),
        ),
        (
            "binanceus",
            ("BTCUSDT", "BTC/USDT", none),
            "1m",
            "wss://stream.binance.us:9443/ws",
            json!([{"method": "SUBSCRIBE", "params": ["btcusdt@kline_1m"], "id": 1}]),
        ),
        (
            "bybit",
            ("BTCUSDT", "BTC/USDT:USDT", none),
            "30m",
            "wss://stream.bybit.com/v5/public/linear",
            json!([{"op": "subscribe", "args": ["kline.30.BTCUSDT"]}]),
        ),
        (
            "bybiteu",
            ("BTCUSDC", "BTC/USDC", none),
            "1d",
            "wss://stream.bybit.eu/v5/public/spot",
            json!([{"op": "subscribe", "args": ["kline.D.BTCUSDC"]}]),
        ),
        (
            "bybit",
            ("BTCUSD", "BTC/USD:BTC", none),
            "1m",
            "wss://stream.bybit.com/v5/public/inverse",
            json!([{"op": "subscribe", "args": ["kline.1.BTCUSD"]}]),
        ),
        (
            "okx",
            ("BTC-USDT", "BTC/USDT", none),
            "1d",
            "wss://ws.okx.com/ws/v5/business",
            json!([{"op": "subscribe", "args": [{"channel": "candle1Dutc", "instId": "BTC-USDT"}]}]),
        ),
        (
            "myokx",
            ("BTC-EUR", "BTC/EUR", none),
            "1m",
            "wss://wseea.okx.com/ws/v5/business",
            json!([{"op": "subscribe", "args": [{"channel": "candle1m", "instId": "BTC-EUR"}]}]),
        ),
        (
            "kraken",
            ("XXDGXXBT", "DOGE/BTC", &[("wsname", "XDG/XBT")]),
            "5m",
            "wss://ws.kraken.com/v2",
            json!([{"method": "subscribe",
                    "params": {"channel": "ohlc", "symbol": ["DOGE/BTC"], "interval": 5}}]),
        ),
        (
            "kraken",
            ("MATICGBP", "MATIC/GBP", none),
            "1h",
            "wss://ws.kraken.com/v2",
            json!([{"method": "subscribe",
                    "params": {"channel": "ohlc", "symbol": ["MATIC/GBP"], "interval": 60}}]),
        ),
        (
            "coinbase",
            ("BTC-USD", "BTC/USD", none),
            "5m",
            "wss://advanced-trade-ws.coinbase.com",
            json!([{"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "candles"},
                   {"type": "subscribe", "channel": "heartbeats"}]),
        ),
        (
            "bitget",
            ("ETHUSDT", "ETH/USDT", none),
            "1m",
            "wss://ws.bitget.com/v2/ws/public",
            json!([{"op": "subscribe",
                    "args": [{"instType": "SPOT", "channel": "candle1m", "instId": "ETHUSDT"}]}]),
        ),
        (
            "bitget",
            ("BTCPERP", "BTC/USDC:USDC", none),
            "1d",
            "wss://ws.bitget.com/v2/ws/public",
            json!([{"op": "subscribe", "args": [
                {"instType": "USDC-FUTURES", "channel": "candle1Dutc", "instId": "BTCPERP"}]}]),
        ),
        (
            "gate",
            ("BTC_USDT", "BTC/USDT", none),
            "1m",
            "wss://api.gateio.ws/ws/v4/",
            json!([{"time": 1_704_067_230, "channel": "spot.candlesticks", "event": "subscribe",
                    "payload": ["1m", "BTC_USDT"]}]),
        ),
        (
            "gate",
            ("BTC_USDT", "BTC/USDT:USDT", none),
            "1m",
            "wss://fx-ws.gateio.ws/v4/ws/usdt",
            json!([{"time": 1_704_067_230, "channel": "futures.candlesticks", "event": "subscribe",
                    "payload": ["1m", "BTC_USDT"]}]),
        ),
        (
            "gate",
            ("BTC_USDT_20240628", "BTC/USDT:USDT-240628", none),
            "1d",
            "wss://fx-ws.gateio.ws/v4/ws/delivery/usdt",
            json!([{"time": 1_704_067_230, "channel": "futures.candlesticks", "event": "subscribe",
                    "payload": ["1d", "BTC_USDT_20240628"]}]),
        ),
        (
            "mexc",
            ("BTCUSDT", "BTC/USDT", none),
            "15m",
            "wss://wbs-api.mexc.com/ws",
            json!([{"method": "SUBSCRIPTION",
                    "params": ["spot@public.kline.v3.api.pb@BTCUSDT@Min15"]}]),
        ),
        (
            "mexc",
            ("BTC_USDT", "BTC/USDT:USDT", none),
            "1h",
            "wss://contract.mexc.com/edge",
            json!([{"method": "sub.kline", "param": {"symbol": "BTC_USDT", "interval": "Min60"}}]),
        ),
        (
            "hyperliquid",
            ("0", "BTC/USDC:USDC", &[("coin", "BTC")]),
            "1m",
            "wss://api.hyperliquid.xyz/ws",
            json!([{"method": "subscribe",
                    "subscription": {"type": "candle", "coin": "BTC", "interval": "1m"}}]),
        ),
        (
            "hyperliquid",
            ("@107", "HYPE/USDC", none),
            "1d",
            "wss://api.hyperliquid.xyz/ws",
            json!([{"method": "subscribe",
                    "subscription": {"type": "candle", "coin": "@107", "interval": "1d"}}]),
        ),
    ];
    for (exchange, (id, symbol, extra), timeframe, address, messages) in cases {
        let mut market = market(id, symbol, extra);
        // As Gate's lists spell it.
        market.settle_id = market.settle.as_deref().map(str::to_lowercase);
        let channel = channel(exchange, &market, timeframe);
        assert_eq!(channel.address(NOW, None).unwrap(), address, "{exchange} {symbol}");
        let sent = channel.subscriptions(NOW).unwrap();
        let sent: Vec<Json> = sent.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        assert_eq!(Json::from(sent), messages, "{exchange} {symbol}");
        assert!(!channel.awaits_welcome() && channel.bootstrap_request().unwrap().is_none());
    }
}

/// A comment in CCXT Pro 4.5.90, pro/kucoin.py, `negotiate_helper`: a private channel's answer, which has
/// the same fields.
const KUCOIN: &str = r#"{"code": "200000", "data": {
    "instanceServers": [{"pingInterval": 50000, "endpoint": "wss://push-private.kucoin.com/endpoint",
        "protocol": "websocket", "encrypt": true, "pingTimeout": 10000}],
    "token": "2neAiuYvAU61ZDXANAGAsiL4-iAExhsBXZxftpOeh_55i3Ysy2q2LEsEWU64mdzUOPusi34M_wGoSf7iNyEWJ1UQy47YbpY4zVdzilNP-Bj3iXzrjjGlWtiYB9J6i9GjsxUuhPw3BlrzazF6ghq4Lzf7scStOz3KkxjwpsOBCH4=.WNQmhZQeUKIkh97KYgU0Lg=="}}"#;

#[test]
fn kucoin_connects_where_the_answer_to_a_request_says() {
    let channel = channel("kucoin", &market("BTC-USDT", "BTC/USDT", &[]), "1h");
    let request = channel.bootstrap_request().unwrap().unwrap();
    assert_eq!(request.to_string(), "POST https://api.kucoin.com/api/v1/bullet-public");
    assert!(channel.awaits_welcome());
    let address = channel.address(NOW, Some(KUCOIN.as_bytes())).unwrap();
    assert!(
        address.starts_with(
            "wss://push-private.kucoin.com/endpoint?token=2neAiuYvAU61ZDXANAGAsiL4-iAE"
        ),
        "{address}"
    );
    assert!(address.ends_with("OBCH4%3D.WNQmhZQeUKIkh97KYgU0Lg%3D%3D"), "{address}");
    let sent: Json = serde_json::from_str(&channel.subscriptions(NOW).unwrap()[0]).unwrap();
    let expected = json!({"id": "1", "type": "subscribe",
                          "topic": "/market/candles:BTC-USDT_1hour", "response": true});
    assert_eq!(sent, expected);
    let futures = self::channel("kucoinfutures", &market("XBTUSDTM", "BTC/USDT:USDT", &[]), "1m");
    let request = futures.bootstrap_request().unwrap().unwrap();
    assert_eq!(request.to_string(), "POST https://api-futures.kucoin.com/api/v1/bullet-public");
    assert_eq!(futures.volume_unit().unwrap(), VolumeUnit::Contracts);
}

#[test]
fn an_address_named_by_a_server_must_be_one_with_tls() {
    let channel = channel("kucoin", &market("BTC-USDT", "BTC/USDT", &[]), "1h");
    let named = |endpoint: &str| {
        let answer = KUCOIN.replace("wss://push-private.kucoin.com/endpoint", endpoint);
        channel.address(NOW, Some(answer.as_bytes()))
    };
    let long = format!("wss://{}", "x".repeat(5_000));
    for endpoint in ["ws://push.kucoin.com", "http://x.io", "file:///etc/passwd", "", long.as_str()]
    {
        let error = named(endpoint).unwrap_err();
        assert!(matches!(error, ExchangeError::Malformed { .. }), "{endpoint}: {error}");
    }
    for answer in ["", "[]", "{}", r#"{"data": {"instanceServers": []}}"#, "<html>"] {
        let error = channel.address(NOW, Some(answer.as_bytes())).unwrap_err();
        assert!(matches!(error, ExchangeError::Malformed { .. }), "{answer}: {error}");
    }
    let refused = channel.address(NOW, Some(br#"{"code": "429000", "msg": "too many"}"#));
    assert!(matches!(refused, Err(ExchangeError::RateLimited { .. })), "{refused:?}");
}

#[test]
fn another_base_url_takes_the_streams_along() {
    for (base, expected) in [
        ("http://127.0.0.1:8080/okx", "ws://127.0.0.1:8080/okx/ws/v5/business"),
        ("https://proxy.example", "wss://proxy.example/ws/v5/business"),
    ] {
        let exchange = Exchange::find("okx").unwrap().with_base_url(base).unwrap();
        let market = market("BTC-USDT", "BTC/USDT", &[]);
        let channel = exchange.candle_channel(&market, "1m".parse().unwrap()).unwrap();
        assert_eq!(channel.address(NOW, None).unwrap(), expected);
    }
}

#[test]
fn what_is_not_streamed_is_refused_and_the_error_says_what_is() {
    let refusal = |exchange: &str, market: &Market, timeframe: &str| {
        let exchange = Exchange::find(exchange).unwrap();
        exchange.candle_channel(market, timeframe.parse().unwrap()).unwrap_err().to_string()
    };
    let spot = market("BTC-USD", "BTC/USD", &[]);
    let error = refusal("coinbase", &spot, "1m");
    assert!(error.contains("the WebSocket of coinbase") && error.ends_with("5m"), "{error}");
    // What HTTP does not give cannot be back-filled.
    let error = refusal("mexc", &market("BTCUSDT", "BTC/USDT", &[]), "8h");
    assert!(error.contains("1m 5m 15m 30m 1h 4h 1d 1w 1M"), "{error}");
    let error = refusal("bitstamp", &spot, "1m");
    assert!(error.contains("no WebSocket stream of spot candles is known"), "{error}");
    let option = market("BTC-261225-1-C", "BTC/USD:BTC-261225-1-C", &[]);
    assert!(refusal("binance", &option, "1m").contains("option"));
}

#[test]
fn every_record_with_streams_serves_kinds_that_it_serves_over_http() {
    let mut streaming = Vec::new();
    for exchange in Exchange::all().unwrap() {
        let kinds = exchange.kinds();
        let streamed: Vec<MarketKind> = kinds
            .iter()
            .copied()
            .filter(|kind| !exchange.websocket_timeframes(*kind).is_empty())
            .collect();
        if !streamed.is_empty() {
            streaming.push(exchange.id().to_owned());
        }
        for kind in streamed {
            let over_http = exchange.timeframes(kind);
            let all = exchange.websocket_timeframes(kind);
            assert!(all.iter().all(|timeframe| over_http.contains(timeframe)));
        }
    }
    let expected = [
        "binance",
        "binancecoinm",
        "binanceus",
        "binanceusdm",
        "bitget",
        "bybit",
        "bybiteu",
        "bybitid",
        "coinbase",
        "gate",
        "gateeu",
        "hyperliquid",
        "kraken",
        "kucoin",
        "kucoinfutures",
        "mexc",
        "myokx",
        "okx",
        "okxus",
    ];
    assert_eq!(streaming, expected);
}

#[test]
fn connections_are_kept_open_as_each_exchange_wants_it() {
    let cases = [
        ("bybit", "BTC/USDT", Some(r#"{"op":"ping"}"#)),
        ("okx", "BTC/USDT", Some("ping")),
        ("kraken", "BTC/USD", Some(r#"{"method":"ping"}"#)),
        ("bitget", "BTC/USDT", Some("ping")),
        ("gate", "BTC/USDT", Some(r#"{"channel":"spot.ping","time":1704067230}"#)),
        ("kucoin", "BTC/USDT", Some(r#"{"id":"2","type":"ping"}"#)),
        ("mexc", "BTC/USDT", Some(r#"{"method":"PING"}"#)),
        ("mexc", "BTC/USDT:USDT", Some(r#"{"method":"ping"}"#)),
        ("hyperliquid", "BTC/USDC:USDC", Some(r#"{"method":"ping"}"#)),
    ];
    for (exchange, symbol, text) in cases {
        let channel = channel(exchange, &market("ID", symbol, &[]), "5m");
        let keep_alive = channel.keep_alive(NOW).unwrap().unwrap();
        assert_eq!(keep_alive.text.as_deref(), text, "{exchange}");
        assert!((10..=20).contains(&keep_alive.every.as_secs()), "{exchange}");
    }
    // Binance pings itself; Coinbase sends heartbeats.
    for (exchange, symbol) in [("binance", "BTC/USDT"), ("coinbase", "BTC/USD")] {
        let channel = channel(exchange, &market("ID", symbol, &[]), "5m");
        assert_eq!(channel.keep_alive(NOW).unwrap(), None);
    }
}

#[test]
fn the_page_about_exchanges_tells_which_timeframes_are_streamed() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/exchanges.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once("| exchange | markets | timeframes |").unwrap();
    let mut told = 0;
    for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let named: Vec<String> =
            cells[3].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        for id in cells[1].split(", ") {
            told += 1;
            let exchange = Exchange::find(id).unwrap();
            let texts = |all: Vec<forecastle_core::Timeframe>| {
                all.into_iter().map(|timeframe| timeframe.to_string()).collect::<Vec<_>>()
            };
            let (mut streamed, mut lacking) = (Vec::new(), Vec::new());
            for kind in exchange.kinds() {
                let own = texts(exchange.websocket_timeframes(kind));
                if own.is_empty() {
                    continue;
                }
                let over_http = texts(exchange.timeframes(kind));
                lacking.extend(over_http.into_iter().filter(|timeframe| !own.contains(timeframe)));
                streamed.extend(own);
            }
            for list in [&mut streamed, &mut lacking] {
                list.sort();
                list.dedup();
            }
            if cells[3].contains("no others") {
                assert_eq!(streamed, named, "{id}");
            } else {
                assert!(
                    lacking.iter().all(|timeframe| named.contains(timeframe)),
                    "{id}: {lacking:?}"
                );
            }
            let flag = cells[4].starts_with('`');
            let timeframe = "5m".parse().unwrap();
            let says = exchange
                .kinds()
                .into_iter()
                .filter_map(|kind| {
                    let symbol = match kind {
                        MarketKind::Spot => "A/B",
                        MarketKind::Linear => "A/B:B",
                        _ => "A/B:A",
                    };
                    exchange.candle_channel(&market("AB", symbol, &[]), timeframe).ok()
                })
                .map(|channel| channel.says_closed());
            assert!(says.clone().count() > 0 && says.clone().all(|says| says == flag), "{id}");
        }
    }
    assert_eq!(told, 19);
}
