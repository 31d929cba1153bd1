//! What is wrong with a record's stream is said by file and field, before it is used.

use forecastle_market_data::{Exchange, ExchangeError};

/// A record with one stream.
const RECORD: &str = r#"
id = "x"
name = "X"
rate_limit_ms = 100
hosts = { rest = "https://api.x.io" }
websocket_hosts = { public = "wss://ws.x.io" }
timeframes = { 1m = "1" }

[[candles]]
kinds = ["spot"]
host = "rest"
path = "/k"
volume = "base"
paging = "recent"
response = { layout = "array", time = 0, open = 1, high = 2, low = 3, close = 4, unit = "ms" }

[[websocket]]
kinds = ["spot"]
host = "public"
path = "/{timeframe}"
subscribe = [{ sub = "{id}", at = "{now}" }]
subscribed = { ok = "{id}" }
refused = "{error != absent}"
message = "{error}"
ping = { every_ms = 1000, send = "ping", answer = "pong" }
candles = { topic = "{id}" }
closed = { column = 6, value = "1" }
volume = "base"

[websocket.response]
rows = ["data"]
layout = "array"
time = 0
open = 1
high = 2
low = 3
close = 4
unit = "s"
"#;

#[test]
fn the_record_itself_is_right() {
    let exchange = Exchange::parse(RECORD).unwrap();
    assert_eq!(exchange.websocket_timeframes(exchange.kinds()[0]).len(), 1);
}

#[test]
fn what_is_wrong_with_a_stream_is_named() {
    let response = "[websocket.response]\n";
    let bootstrap = "bootstrap = { host = \"rest\", path = \"/t\", endpoint = [\"url\"] }";
    let cases: &[(&str, &str, &str, &str)] = &[
        ("wss://ws.x.io", "https://ws.x.io", "websocket_hosts.public", "a WebSocket's address"),
        ("wss://ws.x.io", "wss://ws.x.io/", "websocket_hosts.public", "without a slash"),
        ("host = \"public\"", "host = \"rest\"", "websocket[0].host", "no WebSocket host"),
        ("host = \"public\"", "", "websocket[0].host", "either `host` or `bootstrap`"),
        ("path = \"/{timeframe}\"", bootstrap, "websocket[0].host", "either"),
        ("path = \"/{timeframe}\"", "path = \"/{rows}\"", "websocket[0].path", "`rows`"),
        (
            "{ sub = \"{id}\", at = \"{now}\" }",
            "",
            "websocket[0].subscribe",
            "at least one message",
        ),
        (
            "sub = \"{id}\"",
            "sub = \"{ids}\"",
            "websocket[0].subscribe[0].sub",
            "did you mean `id`?",
        ),
        (
            "ok = \"{id}\"",
            "ok = \"{now}\"",
            "websocket[0].subscribed.ok",
            "nothing is called `now`",
        ),
        ("topic = \"{id}\"", "topic = \"{now}\"", "websocket[0].candles.topic", "`now`"),
        ("answer = \"pong\"", "answer = \"{x}\"", "websocket[0].ping.answer", "`x`"),
        ("every_ms = 1000", "every_ms = 9", "websocket[0].ping.every_ms", "at least 10"),
        ("every_ms", "every", "websocket[0].ping.every", "unknown field"),
        ("column = 6", "column = \"x\"", "websocket[0].closed", "a column of this layout"),
        ("value = \"1\"", "value = 1", "websocket[0].closed", "true or a text"),
        (
            response,
            "[websocket.response]\nor_rows = [[\"a\"]]\n",
            "websocket[0].response",
            "not for streams",
        ),
        (
            response,
            "[websocket.response]\nopen_time = \"{time}\"\n",
            "websocket[0].response",
            "not for streams",
        ),
        ("unit = \"s\"", "", "websocket[0].response", "missing field `unit`"),
    ];
    for (old, new, field, reason) in cases {
        assert_eq!(RECORD.matches(old).count(), 1, "{old:?} does not stand there once");
        match Exchange::parse(&RECORD.replace(old, new)) {
            Err(ExchangeError::Record { field: at, reason: said, .. }) => {
                assert_eq!(at, *field, "{new}: {said}");
                assert!(said.contains(reason), "{new}: {reason:?} is not in {said:?}");
            }
            other => panic!("{new}: {other:?}"),
        }
    }
}
