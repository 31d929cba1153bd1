//! Whatever comes, a reader gives an error or a candle of finite numbers, and never panics.

use forecastle_market_data::{CandleChannel, ChannelMessage};
use proptest::prelude::*;

use super::messages::samples;

fn channels() -> Vec<(CandleChannel, Vec<String>)> {
    let mut channels = Vec::new();
    for (exchange, samples) in samples() {
        for sample in samples.iter().filter(|sample| !sample.candles.is_empty()) {
            let timeframe = sample.timeframe.parse().unwrap();
            let channel = exchange.candle_channel(&sample.market(), timeframe).unwrap();
            let texts = samples.iter().filter_map(|sample| sample.message.as_ref());
            channels.push((channel, texts.map(ToString::to_string).collect()));
        }
    }
    channels
}

fn check(channel: &CandleChannel, text: &str) {
    if let Ok(ChannelMessage::Candles(candles)) = channel.read_text(text) {
        for candle in candles {
            let candle = candle.candle;
            let numbers = [candle.open, candle.high, candle.low, candle.close, candle.volume];
            assert!(numbers.iter().all(|number| number.is_finite()), "{text}");
        }
    }
}

#[test]
fn text_that_is_no_json_and_bytes_that_are_no_text_are_malformed() {
    for (channel, _) in channels() {
        for text in ["", "{", "nonsense", "<html>sorry</html>", "[1,2", "\u{0}", "{\"e\":\"kline\""]
        {
            let error = channel.read_text(text).unwrap_err();
            assert!(error.to_string().contains("malformed"), "{text}: {error}");
        }
        let error = channel.read_binary(&[0xFF, 0xFE, 0x00, 0x80]).unwrap_err();
        assert!(error.to_string().contains("malformed"), "{error}");
        // Deep nesting ends in an error, not in a full stack.
        assert!(channel.read_text(&"[".repeat(100_000)).is_err());
        for json in ["null", "1", "\"text\"", "[]", "{}", "[[[]]]", "{\"data\":[]}"] {
            let read = channel.read_text(json).unwrap();
            assert_eq!(read, ChannelMessage::Other, "{}: {json}", channel.exchange().id());
        }
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let names = prop::sample::select(vec![
        "e",
        "k",
        "s",
        "i",
        "x",
        "t",
        "o",
        "h",
        "l",
        "c",
        "v",
        "data",
        "arg",
        "topic",
        "channel",
        "event",
        "result",
        "events",
        "candles",
        "type",
        "method",
        "success",
        "error",
        "code",
        "msg",
        "id",
        "params",
        "subscription",
        "interval",
        "symbol",
        "n",
        "w",
        "a",
        "confirm",
        "start",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-zA-Z0-9.:/_-]{0,12}".prop_map(Into::into),
        prop::sample::select(vec![
            "kline", "candle1m", "BTC-USDT", "update", "candles", "1m", "error"
        ])
        .prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(serde_json::Value::from),
            prop::collection::vec((names.clone(), inner), 0..8).prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn prop_random_bytes_and_text_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        text in ".{0,200}",
    ) {
        for (channel, _) in channels() {
            let _ = channel.read_binary(&bytes);
            check(&channel, &text);
        }
    }

    #[test]
    fn prop_random_json_never_panics(json in json()) {
        let text = json.to_string();
        for (channel, _) in channels() {
            check(&channel, &text);
        }
    }

    #[test]
    fn prop_a_documented_message_with_bytes_changed_never_panics(
        at in any::<prop::sample::Index>(),
        with in "[\\x20-\\x7e]{0,3}",
        cut in any::<prop::sample::Index>(),
    ) {
        for (channel, texts) in channels() {
            for text in texts {
                let (start, end) = (at.index(text.len()), cut.index(text.len()));
                let (start, end) = (start.min(end), start.max(end).min(start.min(end) + 3));
                if text.is_char_boundary(start) && text.is_char_boundary(end) {
                    let mut changed = text.clone();
                    changed.replace_range(start..end, &with);
                    check(&channel, &changed);
                    check(&channel, &text[..start]);
                }
            }
        }
    }

    #[test]
    fn prop_a_changed_protobuf_message_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        for (exchange, samples) in samples() {
            for sample in samples.iter().filter(|sample| sample.hex.is_some()) {
                let timeframe = sample.timeframe.parse().unwrap();
                let channel = exchange.candle_channel(&sample.market(), timeframe).unwrap();
                let mut bytes = sample.bytes();
                for (at, byte) in &changes {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
                let _ = channel.read_binary(&bytes);
                let _ = channel.read_binary(&bytes[..cut.index(bytes.len())]);
            }
        }
    }
}
