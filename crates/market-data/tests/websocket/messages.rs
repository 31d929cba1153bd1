//! Messages from documentation and recordings: each says what it should.
//!
//! `messages/<exchange>.json` holds them with their origins.

use std::collections::BTreeMap;

use forecastle_core::{RawCandle, Timestamp};
use forecastle_market_data::{ChannelMessage, Exchange, ExchangeError, ExchangeResult, Market};
use serde::Deserialize;

/// Open time, open, high, low, close, volume; whether it has closed.
type Told = (i64, f64, f64, f64, f64, f64, Option<bool>);

/// One message and what it says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    pub(crate) origin: String,
    pub(crate) symbol: String,
    pub(crate) id: String,
    pub(crate) timeframe: String,
    #[serde(default)]
    pub(crate) extra: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) message: Option<serde_json::Value>,
    #[serde(default)]
    pub(crate) text: Option<String>,
    #[serde(default)]
    pub(crate) hex: Option<String>,
    #[serde(default)]
    pub(crate) candles: Vec<Told>,
    #[serde(default)]
    pub(crate) says: Option<String>,
}

pub(crate) const SAMPLES: [(&str, &str); 10] = [
    ("binance", include_str!("messages/binance.json")),
    ("bitget", include_str!("messages/bitget.json")),
    ("bybit", include_str!("messages/bybit.json")),
    ("coinbase", include_str!("messages/coinbase.json")),
    ("gate", include_str!("messages/gate.json")),
    ("hyperliquid", include_str!("messages/hyperliquid.json")),
    ("kraken", include_str!("messages/kraken.json")),
    ("kucoin", include_str!("messages/kucoin.json")),
    ("mexc", include_str!("messages/mexc.json")),
    ("okx", include_str!("messages/okx.json")),
];

pub(crate) fn samples() -> Vec<(Exchange, Vec<Sample>)> {
    let read = |(id, text): (&str, &str)| {
        (Exchange::find(id).unwrap(), serde_json::from_str(text).unwrap())
    };
    SAMPLES.map(read).into()
}

impl Sample {
    pub(crate) fn market(&self) -> Market {
        let mut market = Market::from_symbol(&self.id, &self.symbol).unwrap();
        market.extra.clone_from(&self.extra);
        market
    }

    fn read(&self, exchange: &Exchange) -> ExchangeResult<ChannelMessage> {
        let timeframe = self.timeframe.parse().unwrap();
        let channel = exchange.candle_channel(&self.market(), timeframe).unwrap();
        match (&self.message, &self.text, &self.hex) {
            (Some(message), ..) => channel.read_text(&message.to_string()),
            (None, Some(text), _) => channel.read_text(text),
            (None, None, _) => channel.read_binary(&self.bytes()),
        }
    }

    /// A binary message.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let digits = self.hex.iter().flat_map(|hex| hex.chars());
        let digits: Vec<u32> = digits.map(|c| c.to_digit(16).unwrap()).collect();
        digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
    }
}

#[test]
fn documented_messages_say_what_they_should() {
    for (exchange, samples) in samples() {
        let mut with_candles = 0;
        for sample in samples {
            let context = format!("{}: {} ({sample:?})", exchange.id(), sample.origin);
            let read = sample.read(&exchange);
            let said = match &read {
                Ok(ChannelMessage::Candles(candles)) => {
                    let as_documented = |candle: &forecastle_market_data::ChannelCandle| {
                        let RawCandle { open_time, open, high, low, close, volume } = candle.candle;
                        (open_time.as_millis(), open, high, low, close, volume, candle.closed)
                    };
                    let read: Vec<_> = candles.iter().map(as_documented).collect();
                    assert_eq!(read, sample.candles, "{context}");
                    assert!(!read.is_empty(), "{context}");
                    with_candles += 1;
                    continue;
                }
                Ok(ChannelMessage::Ready) => "ready",
                Ok(ChannelMessage::Subscribed) => "subscribed",
                Ok(ChannelMessage::Other) => "other",
                Ok(other) => panic!("{context}: {other:?}"),
                Err(ExchangeError::UnknownSymbol { .. }) => "unknown symbol",
                Err(ExchangeError::Exchange { message, .. }) => {
                    assert!(!message.is_empty(), "{context}");
                    "refused"
                }
                Err(error) => panic!("{context}: {error}"),
            };
            assert_eq!(Some(said), sample.says.as_deref(), "{context}");
        }
        assert!(with_candles > 0, "{}: no message with candles", exchange.id());
    }
}

#[test]
fn messages_of_another_market_or_timeframe_are_not_taken_for_ones_own() {
    for (exchange, samples) in samples() {
        for sample in samples.into_iter().filter(|sample| !sample.candles.is_empty()) {
            let id = exchange.id();
            let mut other = sample.market();
            other.id.push('X');
            other.symbol.push('X');
            other.extra.values_mut().for_each(|value| value.push('X'));
            let timeframe = sample.timeframe.parse().unwrap();
            let elsewhere = exchange.candle_channel(&other, timeframe).unwrap();
            let mut channels = vec![elsewhere];
            // Coinbase streams one timeframe only.
            if id != "coinbase" {
                let timeframe = "15m".parse().unwrap();
                channels.push(exchange.candle_channel(&sample.market(), timeframe).unwrap());
            }
            for channel in channels {
                let read = match &sample.message {
                    Some(message) => channel.read_text(&message.to_string()),
                    None => channel.read_binary(&sample.bytes()),
                };
                assert_eq!(read.unwrap(), ChannelMessage::Other, "{id}: {}", sample.origin);
            }
        }
    }
}

#[test]
fn a_damaged_number_makes_a_message_malformed_and_never_a_candle() {
    for (exchange, samples) in samples() {
        for sample in samples.iter().filter(|sample| !sample.candles.is_empty()) {
            let Some(message) = &sample.message else { continue };
            let channel = exchange
                .candle_channel(&sample.market(), sample.timeframe.parse().unwrap())
                .unwrap();
            let text = message.to_string();
            let intact = channel.read_text(&text).unwrap();
            let low = sample.candles[0].3;
            // The low price, a text or a number, however it is written there.
            let written =
                [format!("{low}"), format!("{low:.1}"), format!("{low:.2}"), format!("{low:.8}")]
                    .into_iter()
                    .flat_map(|number| [format!("\"{number}\""), number])
                    .find(|number| text.contains(number))
                    .unwrap_or_else(|| panic!("{low} in {text}"));
            for damage in ["null", "\"\"", "\"n/a\"", "{}", "[]", "true", "\"NaN\"", "1e999"] {
                let damaged = text.replace(&written, damage);
                let read = channel.read_text(&damaged);
                let error = match read {
                    Err(error) => error,
                    Ok(read) => panic!("{}: {damaged} is {read:?}", exchange.id()),
                };
                assert!(matches!(error, ExchangeError::Malformed { .. }), "{damage}: {error}");
            }
            assert_eq!(channel.read_text(&text).unwrap(), intact);
        }
    }
}

#[test]
fn a_base_volume_is_taken_from_the_column_that_holds_it() {
    // Inverse contracts: the quote column of a linear market is the base volume there.
    let now = Timestamp::from_millis(0);
    let market = Market::from_symbol("BTCUSD_PERP", "BTC/USD:BTC").unwrap();
    let channel =
        Exchange::find("binance").unwrap().candle_channel(&market, "1m".parse().unwrap()).unwrap();
    assert_eq!(channel.address(now, None).unwrap(), "wss://dstream.binance.com/ws");
    let message = r#"{"e":"kline","k":{"t":0,"s":"BTCUSD_PERP","i":"1m","o":"1","c":"1","h":"1","l":"1",
                     "v":"100","q":"0.25","x":true}}"#;
    let ChannelMessage::Candles(candles) = channel.read_text(message).unwrap() else { panic!() };
    assert_eq!(candles[0].candle.volume, 0.25);
}
