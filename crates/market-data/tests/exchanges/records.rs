//! What is wrong with a record is said by file and field, before it is used.

use forecastle_market_data::{Exchange, ExchangeError};

/// A record that is right, with something of everything that the breakages need.
const RECORD: &str = r#"
id = "x"
name = "X"
rate_limit_ms = 100
hosts = { rest = "https://api.x.io", old = "https://old.x.io" }
aliases = { XBT = "BTC" }
needs_key = []

[errors]
failed = "{code != 0}"
message = "{msg}"
unknown_symbol = ["51"]

[timeframes]
1m = "1"
1h = "60"

[[candles]]
kinds = ["spot"]
host = "rest"
path = "/k/{id}"
rows = "{min(limit ?? 100, 300)}"
refuse = [{ when = "{since == absent}", message = "x wants a start" }]
volume = "base"
paging = "forward"
max_rows = 300
query = { from = "{s(since)}", to = "{until}", i = "{timeframe}", z = "{extra.scale}" }

[candles.response]
rows = ["data"]
layout = "array"
time = 0
open = 1
high = 2
low = 3
close = 4
volume = 5
unit = "ms"
open_time = "{floor(time, tf)}"

[[candles]]
kinds = ["linear"]
when = "{quote == 'USDT'}"
method = "POST"
host = "{linear ? 'rest' : 'old'}"
path = "/swap"
volume = "contracts"
paging = "backward"
body = { symbol = "{id}", page = { size = "{rows}" } }
response = { layout = "object", time = "t", open = "o", high = "h", low = "l", close = ["c", "close"], unit = "iso" }

[[markets]]
host = "rest"
path = "/markets"
query = { at = "{now}" }
rows = ["data", "{kind}"]
keyed = true
also = [{ host = "old", path = "/currencies" }]
next = { query = "cursor", from = "{cursor}" }
where = "{@index >= 0 && @key != ''}"
let = { name = "{split(pair, '-', 0)}" }
id = "{pair}"
base = "{name}"
quote = "{find(@response0, 'id', quote).code ?? quote}"
type = "spot"
extra = { scale = "{scale}" }

[[markets]]
host = "rest"
path = "/options/{@each}"
each = { host = "rest", path = "/underlyings", rows = ["names"], where = "{@index > 0}", value = "{@row}" }
id = "{@each}-{@each_index}"
base = "{@each}"
quote = "usd"
type = "spot"
"#;

#[test]
fn the_record_that_all_of_these_break_is_right() {
    let exchange = Exchange::parse(RECORD).unwrap();
    assert_eq!((exchange.id(), exchange.kinds().len()), ("x", 2));
}

/// What a record with one thing changed is refused for: the field and the reason.
fn refusal(old: &str, new: &str) -> (String, String) {
    assert_eq!(RECORD.matches(old).count(), 1, "{old:?} does not stand there once");
    match Exchange::parse(&RECORD.replace(old, new)) {
        Err(ExchangeError::Record { file, field, reason }) => {
            assert_eq!(file, "given.toml");
            (field, reason)
        }
        Err(error) => panic!("{new}: {error}"),
        Ok(_) => panic!("taken as right: {new}"),
    }
}

fn check(table: &[(&str, &str, &str, &str)]) {
    for (old, new, field, reason) in table {
        let (at, said) = refusal(old, new);
        assert_eq!(at, *field, "{new}: {said}");
        assert!(said.contains(reason), "{new}: {reason:?} is not in {said:?}");
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn wrong_types_and_unknown_fields_are_named() {
    check(&[
        ("rate_limit_ms = 100", "rate_limit_ms = \"fast\"", "rate_limit_ms", "expected f64"),
        ("rate_limit_ms = 100", "rate_limit_ms = -1", "rate_limit_ms", "got -1"),
        ("rate_limit_ms = 100", "rate_limit_ms = nan", "rate_limit_ms", "got NaN"),
        ("rate_limit_ms = 100", "rate_limit_ms = 1e9", "rate_limit_ms", "0 to 600000"),
        ("rate_limit_ms = 100", "", ".", "missing field `rate_limit_ms`"),
        ("needs_key = []", "needs_key = [\"ticker\"]", "needs_key[0]", "unknown variant `ticker`"),
        ("needs_key = []", "need_key = []", "need_key", "unknown field `need_key`"),
        ("failed = ", "fails = ", "errors.fails", "unknown field `fails`"),
        (
            "unknown_symbol = [\"51\"]",
            "unknown_symbol = [51]",
            "errors.unknown_symbol[0]",
            "expected a string",
        ),
        (
            "kinds = [\"spot\"]",
            "kinds = [\"future\"]",
            "candles[0].kinds[0]",
            "unknown variant `future`",
        ),
        ("kinds = [\"linear\"]", "kinds = []", "candles[1].kinds", "at least one"),
        ("max_rows = 300", "max_rows = 0", "candles[0].max_rows", "at least 1"),
        ("max_rows = 300", "max_rows = -3", "candles[0].max_rows", "expected u32"),
        ("max_rows = 300", "rows_max = 300", "candles[0].rows_max", "unknown field"),
        ("method = \"POST\"", "method = \"PUT\"", "candles[1].method", "unknown variant `PUT`"),
        ("volume = \"base\"", "volume = \"coins\"", "candles[0].volume", "unknown variant `coins`"),
        ("paging = \"backward\"", "paging = \"sideways\"", "candles[1].paging", "unknown variant"),
        (
            "layout = \"array\"",
            "layout = \"rows\"",
            "candles[0].response.layout",
            "unknown variant",
        ),
        ("unit = \"ms\"", "unit = \"min\"", "candles[0].response.unit", "unknown variant `min`"),
        ("unit = \"ms\"", "", "candles[0].response", "missing field `unit`"),
        ("path = \"/markets\"", "path = 7", "markets[0].path", "a text with {expressions}"),
        (
            "query = { at = \"{now}\" }",
            "query = { at = 7 }",
            "markets[0].query.at",
            "a text or a list",
        ),
        ("keyed = true", "keyed = \"yes\"", "markets[0].keyed", "expected a boolean"),
        ("id = \"{pair}\"", "", "markets[0]", "missing field `id`"),
        (
            "path = \"/currencies\"",
            "url = \"/currencies\"",
            "markets[0].also[0].url",
            "unknown field",
        ),
        ("next = { query = \"cursor\", ", "next = { ", "markets[0].next", "`query` or `body`"),
        (
            "next = { query = \"cursor\"",
            "next = { body = \"b\", query = \"c\"",
            "markets[0].next",
            "either",
        ),
        ("value = \"{@row}\" }", "}", "markets[1].each", "missing field `value`"),
    ]);
}

#[test]
fn expressions_that_cannot_be_read_are_named() {
    check(&[
        (
            "rows = \"{min(limit ?? 100, 300)}\"",
            "rows = \"{min(limit ?? 100, 300}\"",
            "candles[0].rows",
            "`,` or `)`",
        ),
        (
            "rows = \"{min(limit ?? 100, 300)}\"",
            "rows = \"{mean(limit)}\"",
            "candles[0].rows",
            "no function is called `mean`",
        ),
        (
            "{s(since)}",
            "{s(since, 1)}",
            "candles[0].query.from",
            "`s` takes 1 to 1 arguments, got 2",
        ),
        ("{timeframe}", "{timeframe", "candles[0].query.i", "`}` expected"),
        ("{timeframe}", "timeframe}", "candles[0].query.i", "a `}` without `{`"),
        ("{s(since)}", "{since +}", "candles[0].query.from", "a name is expected at byte 8"),
        (
            "failed = \"{code != 0}\"",
            "failed = \"{code != 'a}\"",
            "errors.failed",
            "a quote is not closed",
        ),
        ("{floor(time, tf)}", "{time ? 1}", "candles[0].response.open_time", "`:` of a choice"),
        ("{split(pair, '-', 0)}", "{pair[0}", "markets[0].let.name", "`]` expected"),
        ("{since == absent}", "{}", "candles[0].refuse[0].when", "a name is expected"),
        ("size = \"{rows}\"", "size = \"{rows\"", "candles[1].body", "`}` expected"),
    ]);
    let deep = format!("{{{}1{}}}", "(".repeat(80), ")".repeat(80));
    let (field, reason) = refusal("{timeframe}", &deep);
    assert_eq!(
        (field.as_str(), reason.contains("too deeply nested")),
        ("candles[0].query.i", true)
    );
}

#[test]
fn names_that_mean_nothing_in_their_place_are_named() {
    check(&[
        (
            "{timeframe}",
            "{timefrane}",
            "candles[0].query.i",
            "`timefrane` here, did you mean `timeframe`?",
        ),
        ("path = \"/k/{id}\"", "path = \"/k/{market}\"", "candles[0].path", "`market`"),
        // Hidden in a branch that most queries never reach.
        ("{until}", "{limit == 77 ? nix : until}", "candles[0].query.to", "`nix`"),
        ("{until}", "{max(1, floor(end, tf))}", "candles[0].query.to", "`end`"),
        ("{until}", "{extra[0]}", "candles[0].query.to", "`extra`"),
        ("{extra.scale}", "{extra.scales}", "candles[0].query.z", "`extra.scales`"),
        ("{min(limit ?? 100, 300)}", "{min(rows, 300)}", "candles[0].rows", "`rows`"),
        ("{quote == 'USDT'}", "{timeframe == '1'}", "candles[1].when", "`timeframe`"),
        ("{since == absent}", "{start == absent}", "candles[0].refuse[0].when", "`start`"),
        ("{floor(time, tf)}", "{floor(t, tf)}", "candles[0].response.open_time", "`t`"),
        ("{s(since)}", "{s(time)}", "candles[0].query.from", "`time`"),
        (
            "size = \"{rows}\"",
            "size = \"{row}\"",
            "candles[1].body.page.size",
            "did you mean `rows`?",
        ),
        ("symbol = \"{id}\"", "symbol = [\"{ids}\"]", "candles[1].body.symbol[0]", "`ids`"),
        (
            "rows = [\"data\"]",
            "rows = [\"data\", \"{@key}\"]",
            "candles[0].response.rows[1]",
            "`@key`",
        ),
        (
            "rows = [\"data\"]",
            "or_rows = [[], [\"{nix}\"]]",
            "candles[0].response.or_rows[1][0]",
            "`nix`",
        ),
        ("{now}", "{since}", "markets[0].query.at", "`since`"),
        ("path = \"/markets\"", "path = \"/markets/{now}\"", "markets[0].path", "`now`"),
        ("path = \"/markets\"", "path = \"/markets/{@each}\"", "markets[0].path", "`@each`"),
        ("path = \"/underlyings\"", "path = \"/{@each}\"", "markets[1].each.path", "`@each`"),
        ("path = \"/currencies\"", "path = \"/{id}\"", "markets[0].also[0].path", "`id`"),
        ("@response0", "@response1", "markets[0].quote", "`@response1`"),
        ("@response0", "@respons", "markets[0].quote", "`@respons`"),
        ("quote = \"usd\"", "quote = \"{@key}\"", "markets[1].quote", "`@key`"),
        ("{split(pair, '-', 0)}", "{@each}", "markets[0].let.name", "`@each`"),
        (
            "scale = \"{scale}\"",
            "scale = \"{extra.scale}\"",
            "markets[0].extra.scale",
            "`extra.scale`",
        ),
        ("from = \"{cursor}\"", "from = \"{@index}\"", "markets[0].next.from", "`@index`"),
        ("value = \"{@row}\"", "value = \"{@key}\"", "markets[1].each.value", "`@key`"),
        ("where = \"{@index > 0}\"", "where = \"{@root}\"", "markets[1].each.where", "`@root`"),
        ("message = \"{msg}\"", "message = \"{@row}\"", "errors.message", "did you mean `@root`?"),
    ]);
    let rule = "symbol_rule = { id = \"{base + quote + id}\" }\n[errors]";
    let (field, reason) = refusal("[errors]", rule);
    assert_eq!(field, "symbol_rule.id", "{reason}");
    let rule = "symbol_rule = { id = \"{base}\", extra = { a = \"{since}\" } }\n[errors]";
    assert_eq!(refusal("[errors]", rule).0, "symbol_rule.extra.a");
}

#[test]
fn hosts_tables_and_columns_that_do_not_fit_are_named() {
    check(&[
        ("old = \"https://old.x.io\"", "old = \"old.x.io\"", "hosts.old", "an address"),
        (
            "old = \"https://old.x.io\"",
            "old = \"https://old.x.io/\"",
            "hosts.old",
            "without a slash",
        ),
        ("old = \"https://old.x.io\"", "new = \"https://old.x.io\"", "candles[1].host", "\"old\""),
        ("host = \"{linear ? 'rest' : 'old'}\"", "host = \"swap\"", "candles[1].host", "\"swap\""),
        ("{ host = \"old\"", "{ host = \"elder\"", "markets[0].also[0].host", "\"elder\""),
        (
            "each = { host = \"rest\"",
            "each = { host = \"east\"",
            "markets[1].each.host",
            "\"east\"",
        ),
        ("aliases = { XBT", "aliases = { xbt", "aliases.xbt", "upper case"),
        ("1m = \"1\"", "1x = \"1\"", "candles[0].timeframes.1x", "timeframe"),
        ("1m = \"1\"", "0m = \"1\"", "candles[0].timeframes.0m", "timeframe"),
        ("1m = \"1\"\n1h = \"60\"", "", "candles[0].timeframes", "empty"),
        (
            "max_rows = 300",
            "max_rows = 300\ntimeframes = { 5y = 1 }",
            "candles[0].timeframes.5y",
            "expected a string",
        ),
        ("time = 0", "time = \"t\"", "candles[0].response.time", "a position below 64"),
        ("close = 4", "close = [\"c\"]", "candles[0].response.close", "a position below 64"),
        ("volume = 5", "volume = 64", "candles[0].response.volume", "a position below 64"),
        ("volume = 5", "volume = -1", "candles[0].response.volume", "did not match"),
        ("high = \"h\"", "high = 2", "candles[1].response.high", "a name expected"),
        (
            "close = [\"c\", \"close\"]",
            "close = []",
            "candles[1].response.close",
            "a name expected",
        ),
        ("layout = \"object\"", "layout = \"array\"", "candles[1].response.time", "a position"),
    ]);
}

#[test]
fn inheritance_that_leads_nowhere_is_named() {
    let refused = |text: &str| match Exchange::parse(text) {
        Err(ExchangeError::Record { field, reason, .. }) => (field, reason),
        other => panic!("{other:?}"),
    };
    let (field, reason) = refused("id = \"x\"\ninherits = \"krake\"\n");
    assert_eq!(
        (field.as_str(), reason.contains("did you mean \"kraken\"?")),
        ("inherits", true),
        "{reason}"
    );
    assert_eq!(refused("id = \"x\"\ninherits = 7\n").0, "inherits");
    let (field, reason) = refused("id = \"x\"\ninherits = \"kraken\"\nkinds = [\"option\"]\n");
    assert_eq!((field.as_str(), reason.as_str()), ("candles", "at least one endpoint expected"));
    let (field, _) = refused("id = \"x\"\ninherits = \"kraken\"\n[timeframes]\n3x = \"1\"\n");
    assert_eq!(field, "candles[0].timeframes.3x");
}

#[test]
fn texts_that_are_no_record_are_refused_in_one_line() {
    let refused = |text: &str| match Exchange::parse(text) {
        Err(ExchangeError::Record { field, reason, .. }) => (field, reason),
        other => panic!("{other:?}"),
    };
    for text in ["id = ", "<html>", "id = 'x'\nid = 'y'", "[candles]\n[[candles]]"] {
        let (field, reason) = refused(text);
        assert_eq!(field, "syntax", "{text}: {reason}");
        assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
    }
    let long = format!("# {}\n{RECORD}", "x".repeat(1 << 18));
    assert_eq!(refused(&long), ("syntax".to_owned(), "longer than 262144 bytes".to_owned()));
    let error = Exchange::parse("id = 7").unwrap_err().to_string();
    assert!(error.starts_with("record given.toml, "), "{error}");
}
