//! `docs/adding-an-exchange.md` tells the truth: its record works, its tables are complete.

use std::collections::BTreeSet;
use std::path::Path;

use forecastle_core::{Timeframe, Timestamp};
use forecastle_market_data::{CandleQuery, Exchange, ExchangeError, Need};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

fn guide() -> String {
    read("docs/adding-an-exchange.md")
}

/// The texts of the page's TOML blocks.
fn blocks(page: &str) -> Vec<&str> {
    let after = page.split("```toml\n").skip(1);
    after.map(|rest| rest.split_once("```").unwrap().0).collect()
}

/// The page's record from start to finish: every block before the one about inheritance.
fn record(page: &str) -> String {
    let parts = blocks(page).into_iter().take_while(|block| !block.contains("inherits"));
    let parts: Vec<&str> = parts.collect();
    assert!(parts.len() >= 3, "{parts:?}");
    parts.join("\n")
}

/// The lines of the table under a heading that begins so.
fn table<'p>(page: &'p str, heading: &str) -> Vec<&'p str> {
    let start = page.find(heading).unwrap_or_else(|| panic!("no heading {heading:?}"));
    let lines = page[start..].lines().skip(1).skip_while(|line| !line.starts_with('|'));
    lines.take_while(|line| line.starts_with('|')).skip(2).collect()
}

fn in_backticks(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The names in the first column, `a.b` and then `.c` standing for `a.c`.
fn fields(page: &str, heading: &str) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for line in table(page, heading) {
        let first = line.split('|').nth(1).unwrap();
        let mut parent = "";
        for name in in_backticks(first) {
            let whole = match name.strip_prefix('.') {
                Some(inner) => format!("{parent}.{inner}"),
                None => name.to_owned(),
            };
            parent = if name.starts_with('.') { parent } else { name.split('.').next().unwrap() };
            fields.insert(whole);
        }
        if first.contains("`.open` … `.volume`") {
            fields.extend(["high", "low", "close"].map(|name| format!("{parent}.{name}")));
        }
    }
    fields
}

const RECORD: &str = r#"
id = "x"
name = "X"
rate_limit_ms = 1
hosts = { rest = "https://x.io" }
timeframes = { 1h = "1h" }
symbol_rule = { id = "a" }
errors = { failed = "{a}" }
[[candles]]
kinds = ["spot"]
host = "rest"
path = "/"
volume = "base"
paging = "recent"
refuse = [{ when = "{limit}", message = "no" }]
[candles.response]
layout = "array"
time = 0
open = 1
high = 2
low = 3
close = 4
unit = "ms"
[[websocket]]
kinds = ["spot"]
subscribe = ["a"]
subscribed = "a"
refused = "{a}"
message = "{a}"
candles = "a"
volume = "base"
bootstrap = { host = "rest", path = "/", endpoint = ["a"] }
ping = { every_ms = 1000 }
closed = { column = 5, value = true }
[websocket.response]
layout = "array"
time = 0
open = 1
high = 2
low = 3
close = 4
unit = "ms"
[[markets]]
host = "rest"
path = "/"
id = "a"
base = "a"
quote = "a"
type = "spot"
also = [{ host = "rest", path = "/" }]
each = { host = "rest", path = "/", value = "a" }
next = { query = "a", from = "{a}" }
"#;

/// The fields that a record may have at a place, as the error about a wrong one lists them.
fn known(place: &str) -> BTreeSet<String> {
    let mut record: toml::Table = toml::from_str(RECORD).unwrap();
    let mut at = &mut record;
    for step in place.split('.').filter(|step| !step.is_empty()) {
        let inner = at.get_mut(step).unwrap();
        at = match inner {
            toml::Value::Array(list) => list[0].as_table_mut().unwrap(),
            other => other.as_table_mut().unwrap(),
        };
    }
    at.insert("nothing_is_called_so".to_owned(), 1.into());
    let error = Exchange::parse(&toml::to_string(&record).unwrap()).unwrap_err();
    let ExchangeError::Record { reason, .. } = error else { panic!("{error}") };
    let (_, listed) = reason.split_once("expected ").unwrap_or_else(|| panic!("{place}: {reason}"));
    in_backticks(listed).into_iter().map(str::to_owned).collect()
}

fn below(parent: &str, fields: BTreeSet<String>) -> impl Iterator<Item = String> {
    fields.into_iter().map(move |field| format!("{parent}.{field}"))
}

#[test]
fn the_record_of_the_guide_makes_requests_and_reads_answers() {
    let exchange = Exchange::parse(&record(&guide())).unwrap();
    assert_eq!((exchange.id(), exchange.name()), ("bitvavo", "Bitvavo"));
    assert_eq!(exchange.currency("xbt"), "BTC");
    let now = Timestamp::from_millis(1_749_990_896_000);
    let requests = exchange.market_requests(now).unwrap();
    let urls: Vec<&str> = requests.iter().map(|request| request.url.as_str()).collect();
    assert_eq!(urls, ["https://api.bitvavo.com/v2/markets"]);
    let list = br#"[
        {"market": "BTC-EUR", "status": "trading", "base": "BTC", "quote": "EUR"},
        {"market": "XBT-EUR", "status": "halted", "base": "XBT", "quote": "EUR"}
    ]"#;
    let list = exchange.parse_markets(&[(requests[0].clone(), list.to_vec())]).unwrap();
    let named: Vec<_> = list.markets.iter().map(|m| (&*m.id, &*m.symbol, m.active)).collect();
    let expected = [("BTC-EUR", "BTC/EUR", Some(true)), ("XBT-EUR", "BTC/EUR", Some(false))];
    assert_eq!(named, expected);
    let market = list.find("BTC/EUR").unwrap();
    assert_eq!(market.id, "BTC-EUR");

    let query = CandleQuery::new(market, Timeframe::HOUR, now);
    let url = |query: CandleQuery<'_>| exchange.candle_request(&query).unwrap().url;
    let start = "https://api.bitvavo.com/v2/BTC-EUR/candles?";
    let since = Timestamp::from_millis(1_749_900_000_000);
    assert_eq!(url(query), format!("{start}interval=1h"));
    assert_eq!(url(query.limit(10)), format!("{start}interval=1h&limit=10"));
    assert_eq!(
        url(query.since(since).limit(10)),
        format!("{start}end=1749936000000&interval=1h&limit=10&start=1749900000000")
    );
    let last = 1_749_900_000_000_i64 + 1_440 * 3_600_000;
    assert_eq!(
        url(query.since(since).limit(9_999)),
        format!("{start}end={last}&interval=1h&limit=1440&start=1749900000000")
    );
    let ended = url(query.since(since).until(Timestamp::from_millis(1_749_914_400_000)));
    assert_eq!(
        ended,
        format!("{start}end=1749914400000&interval=1h&limit=1440&start=1749900000000")
    );

    let answer = br#"[
        [1749903600000, "90", "95.5", "89", "91", "1.25"],
        [1749900000000, "88", "90", "87.5", "90", "0"]
    ]"#;
    let candles = exchange.parse_candles(&query, answer).unwrap();
    let closes: Vec<_> = candles.iter().map(|c| (c.open_time.as_millis(), c.close)).collect();
    assert_eq!(closes, [(1_749_900_000_000, 90.0), (1_749_903_600_000, 91.0)]);
    assert_eq!((candles[1].high, candles[1].volume), (95.5, 1.25));
    let unknown = br#"{"errorCode": 205, "error": "market parameter is invalid."}"#;
    let error = exchange.parse_candles(&query, unknown).unwrap_err();
    assert!(matches!(&error, ExchangeError::UnknownSymbol { symbol, .. } if symbol == "BTC/EUR"));
    let limited = br#"{"errorCode": 105, "error": "Your IP has been banned"}"#;
    let error = exchange.parse_candles(&query, limited).unwrap_err();
    assert!(
        matches!(&error, ExchangeError::RateLimited { message, .. } if message.contains("banned"))
    );
}

#[test]
fn the_registry_s_own_record_asks_the_same_as_the_guide_s() {
    let (guide, own) =
        (Exchange::parse(&record(&guide())).unwrap(), Exchange::find("bitvavo").unwrap());
    let market = forecastle_market_data::Market::from_symbol("BTC-EUR", "BTC/EUR").unwrap();
    let now = Timestamp::from_millis(1_749_990_896_000);
    for (since, limit) in [
        (None, None),
        (Some(1_749_900_000_000), None),
        (None, Some(7)),
        (Some(1_749_900_000_000), Some(2_000)),
    ] {
        let query = CandleQuery::new(&market, Timeframe::HOUR, now)
            .since(since.map(Timestamp::from_millis))
            .limit(limit);
        assert_eq!(guide.candle_request(&query).unwrap(), own.candle_request(&query).unwrap());
    }
    assert_eq!(guide.market_requests(now).unwrap(), own.market_requests(now).unwrap());
}

#[test]
fn the_variant_of_the_guide_keeps_its_part() {
    let page = guide();
    let variant = blocks(&page).into_iter().find(|block| block.contains("inherits")).unwrap();
    let exchange = Exchange::parse(variant).unwrap();
    let registered = Exchange::find(exchange.id()).unwrap();
    assert_eq!(exchange.inherits(), registered.inherits());
    assert_eq!(exchange.kinds(), registered.kinds());
    assert!(!exchange.needs_key().contains(&Need::Candles));
}

#[test]
fn the_stream_of_the_guide_is_the_one_of_its_record() {
    let page = guide();
    let stream = blocks(&page).into_iter().find(|block| block.contains("[[websocket]]")).unwrap();
    let record = read("crates/market-data/exchanges/bybit.toml");
    assert!(record.contains(stream), "{stream}");
}

#[test]
fn the_tables_name_every_field_and_no_other() {
    let page = guide();
    let mut head = known("");
    for nested in ["errors", "candles", "websocket", "markets"] {
        assert!(head.remove(nested), "{nested}");
    }
    head.extend(below("errors", known("errors")));
    assert_eq!(fields(&page, "### Head"), head);

    let mut candles = known("candles");
    assert!(candles.remove("response"));
    candles.extend(below("response", known("candles.response")));
    // Without a word of its own: the path to the rows is `response.rows`.
    assert_eq!(fields(&page, "### `[[candles]]`"), candles);

    assert_eq!(fields(&page, "### `[[websocket]]`"), known("websocket"));

    let mut markets = known("markets");
    // Taken from the currencies unless said; said together with them.
    for of_currencies in ["base_id", "quote_id", "settle_id"] {
        assert!(markets.remove(of_currencies), "{of_currencies}");
    }
    assert_eq!(fields(&page, "### `[[markets]]`"), markets);
}

#[test]
fn what_is_nested_below_the_tables_is_what_they_say() {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(known("candles.refuse"), names(&["when", "message"]));
    assert_eq!(known("markets.also"), names(&["method", "host", "path", "query", "body"]));
    let each = ["method", "host", "path", "query", "body", "rows", "where", "value"];
    assert_eq!(known("markets.each"), names(&each));
    assert_eq!(known("markets.next"), names(&["query", "body", "from"]));
    let bootstrap = ["method", "host", "path", "endpoint", "query"];
    assert_eq!(known("websocket.bootstrap"), names(&bootstrap));
    assert_eq!(known("websocket.ping"), names(&["every_ms", "send", "answer"]));
    assert_eq!(known("websocket.closed"), names(&["column", "value"]));
    assert_eq!(known("symbol_rule"), names(&["id", "extra"]));
}

/// The names of functions: a word before a bracket, or words alone in the first column.
fn functions_of(page: &str) -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    for line in table(page, "## Expressions") {
        let line = line.replace("\\|", "/");
        for text in in_backticks(line.split('|').nth(1).unwrap()) {
            let name = text.split('(').next().unwrap();
            let is_name = name.len() > 1 || text.contains('(');
            if is_name
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            {
                functions.insert(name.to_owned());
            }
        }
    }
    functions
}

#[test]
fn the_guide_names_every_function_and_no_other() {
    let source = read("crates/market-data/src/exchange/expression/functions.rs");
    let in_source = source.lines().filter_map(|line| {
        let (name, rest) = line.trim().strip_prefix("(\"")?.split_once('"')?;
        rest.starts_with(", Function::").then(|| name.to_owned())
    });
    let mut in_source: BTreeSet<String> = in_source.collect();
    assert!(in_source.len() >= 30, "{in_source:?}");
    // Told of with paths and currencies, where alone it matters.
    assert!(in_source.remove("raw") && guide().contains("`raw(…)`"));
    assert_eq!(functions_of(&guide()), in_source);
    for name in &in_source {
        let record =
            RECORD.replace("path = \"/\"\nvolume", &format!("path = \"{{{name}()}}\"\nvolume"));
        let reason = Exchange::parse(&record).unwrap_err().to_string();
        assert!(reason.contains(&format!("`{name}` takes")), "{reason}");
    }
}

#[test]
fn the_names_of_a_query_that_the_guide_lists_are_those_there_are() {
    let page = guide();
    let start = page.find("A query's names:").unwrap();
    let paragraph = page[start..].split("A market row's").next().unwrap();
    let mut names: BTreeSet<&str> = in_backticks(paragraph).into_iter().collect();
    // An example of a value, and a pattern.
    assert!(names.remove("1h") && names.remove("extra.NAME"), "{names:?}");
    assert!(names.len() >= 19, "{names:?}");
    for name in names {
        let record = RECORD.replace("when = \"{limit}\"", &format!("when = \"{{{name}}}\""));
        Exchange::parse(&record).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}
