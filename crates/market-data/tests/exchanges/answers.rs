//! Answers that are not what the documentation says: a typed error with row and field, never a
//! wrong number.

use forecastle_core::{RawCandle, Timeframe, Timestamp};
use forecastle_market_data::{CandleQuery, Exchange, ExchangeError, ExchangeResult, Market};

/// `named` is `object` with one name for each field, which is read by another way.
const LAYOUTS: [&str; 4] = ["array", "object", "named", "columns"];

fn exchange(layout: &str) -> Exchange {
    let columns = match layout {
        "array" => "time = 0\nopen = 1\nhigh = 2\nlow = 3\nclose = 4\nvolume = 6",
        "named" => {
            "time = \"t\"\nopen = \"o\"\nhigh = \"h\"\nlow = \"l\"\nclose = \"c\"\nvolume = \"v\""
        }
        _ => {
            "time = \"t\"\nopen = \"o\"\nhigh = \"h\"\nlow = \"l\"\nclose = [\"c\", \"last\"]\nvolume = \"v\""
        }
    };
    let layout = if layout == "named" { "object" } else { layout };
    let record = format!(
        r#"
        id = "x"
        name = "X"
        rate_limit_ms = 1
        hosts = {{ rest = "https://x.io" }}
        timeframes = {{ 1m = "1m" }}
        errors = {{ failed = "{{code == 7}}", message = "{{msg}}" }}
        [[candles]]
        kinds = ["spot"]
        host = "rest"
        path = "/k"
        volume = "base"
        paging = "forward"
        [candles.response]
        rows = ["data"]
        layout = "{layout}"
        unit = "ms"
        {columns}
        "#
    );
    Exchange::parse(&record).unwrap()
}

fn parse(layout: &str, body: &str) -> ExchangeResult<Vec<RawCandle>> {
    let exchange = exchange(layout);
    let market = Market::from_symbol("AB", "A/B").unwrap();
    let now = Timestamp::from_millis(600_000);
    exchange.parse_candles(&CandleQuery::new(&market, Timeframe::MINUTE, now), body.as_bytes())
}

/// The same three rows in any layout, with one value of the second row written otherwise;
/// `None` leaves it out.
fn body(layout: &str, field: &str, written: Option<&str>) -> String {
    let names = ["t", "o", "h", "l", "c", "v"];
    let rows = [
        ["60000", "1", "3", "0.5", "2", "5"],
        ["120000", "2", "4", "1.5", "3", "6"],
        ["180000", "3", "5", "2.5", "4", "7"],
    ];
    let value = |row: usize, column: usize| {
        if row == 1 && names[column] == field { written } else { Some(rows[row][column]) }
    };
    let data = match layout {
        "array" => {
            let row = |row: usize| {
                let mut cells: Vec<&str> = (0..6).map_while(|column| value(row, column)).collect();
                if cells.len() > 5 {
                    cells.insert(5, "\"unused\"");
                }
                format!("[{}]", cells.join(","))
            };
            format!("[{}]", [row(0), row(1), row(2)].join(","))
        }
        "object" | "named" => {
            let row = |row: usize| {
                let cell = |column| Some(format!("\"{}\":{}", names[column], value(row, column)?));
                let cells: Vec<String> = (0..6).filter_map(cell).collect();
                format!("{{{}}}", cells.join(","))
            };
            format!("[{}]", [row(0), row(1), row(2)].join(","))
        }
        _ => {
            let column = |column: usize| {
                let cells: Vec<&str> = (0..3).filter_map(|row| value(row, column)).collect();
                format!("\"{}\":[{}]", names[column], cells.join(","))
            };
            format!("{{{}}}", (0..6).map(column).collect::<Vec<_>>().join(","))
        }
    };
    format!("{{\"code\":0,\"more\":{{\"data\":[[9]]}},\"data\":{data}}}")
}

fn malformed(layout: &str, body: &str) -> (Option<u64>, Option<String>, String) {
    match parse(layout, body) {
        Err(ExchangeError::Malformed { exchange, row, field, reason }) => {
            assert_eq!(exchange, "x");
            assert!(!reason.is_empty() && reason.len() < 400, "{reason}");
            (row, field, reason)
        }
        Err(error) => panic!("{layout} {body}: {error}"),
        Ok(candles) => panic!("{layout} {body} read as {candles:?}"),
    }
}

#[test]
fn numbers_and_their_texts_are_the_same_in_every_layout() {
    let expected = parse("array", &body("array", "", None)).unwrap();
    let values: Vec<_> = expected
        .iter()
        .map(|c| (c.open_time.as_millis(), c.open, c.high, c.low, c.close, c.volume))
        .collect();
    assert_eq!(
        values,
        [
            (60_000, 1.0, 3.0, 0.5, 2.0, 5.0),
            (120_000, 2.0, 4.0, 1.5, 3.0, 6.0),
            (180_000, 3.0, 5.0, 2.5, 4.0, 7.0)
        ]
    );
    for layout in LAYOUTS {
        for (field, ways) in [
            ("t", ["120000", "\"120000\"", "120000.0", "1.2e5", "\" 120000 \""]),
            ("o", ["2", "\"2\"", "2.0", "\"2e0\"", "0.2E1"]),
            ("c", ["3", "\"3.000\"", "3.0", "\"\\u0033\"", "30e-1"]),
            ("v", ["6", "\"6\"", "6.00", "\" 6\"", "0.6e+1"]),
        ] {
            for way in ways {
                let body = body(layout, field, Some(way));
                assert_eq!(parse(layout, &body).unwrap(), expected, "{layout} {body}");
            }
        }
    }
}

#[test]
fn a_value_that_is_no_finite_number_is_refused_with_row_and_field() {
    let fields = [
        ("t", "time"),
        ("o", "open"),
        ("h", "high"),
        ("l", "low"),
        ("c", "close"),
        ("v", "volume"),
    ];
    let values = [
        "null",
        "\"\"",
        "\"-\"",
        "\"n/a\"",
        "\"nan\"",
        "\"NaN\"",
        "\"inf\"",
        "\"-Infinity\"",
        "\"1e999\"",
        "1e999",
        "\"1,5\"",
        "\"0x10\"",
        "\"1_000\"",
        "\"1.2.3\"",
        "true",
        "false",
        "[2]",
        "{\"x\":2}",
        "\"2 3\"",
        "[]",
    ];
    for layout in LAYOUTS {
        for (name, field) in fields {
            for value in values {
                let (row, at, reason) = malformed(layout, &body(layout, name, Some(value)));
                assert_eq!(
                    (row, at.as_deref()),
                    (Some(2), Some(field)),
                    "{layout} {value}: {reason}"
                );
                // A null beside another name for the field is no value at all.
                let other_name = (layout, name, value) == ("object", "c", "null");
                assert!(reason.contains(if other_name { "missing" } else { value }), "{reason}");
            }
        }
    }
}

#[test]
fn a_time_beyond_any_calendar_is_no_time() {
    for layout in LAYOUTS {
        for value in ["1749990896000000000", "\"99999999999999999999\"", "-9e18", "\"2025-06-15\""]
        {
            let (row, at, reason) = malformed(layout, &body(layout, "t", Some(value)));
            assert_eq!((row, at.as_deref()), (Some(2), Some("time")), "{layout} {value}: {reason}");
        }
    }
}

#[test]
fn a_field_that_is_missing_is_named_with_its_row() {
    for (name, field) in
        [("t", "time"), ("o", "open"), ("h", "high"), ("l", "low"), ("c", "close"), ("v", "volume")]
    {
        for layout in ["object", "named"] {
            let (row, at, reason) = malformed(layout, &body(layout, name, None));
            assert_eq!((row, at.as_deref(), &*reason), (Some(2), Some(field), "missing"));
        }
        // A list that ends there lacks everything from there on.
        let (row, at, reason) = malformed("array", &body("array", name, None));
        assert_eq!((row, at.as_deref(), &*reason), (Some(2), Some(field), "missing"));
        // One column is shorter than the others.
        let (row, at, reason) = malformed("columns", &body("columns", name, None));
        assert_eq!((row, at.as_deref()), (None, Some(field)), "{reason}");
        assert_eq!(reason, "2 rows where other columns have 3");
    }
    let without = body("columns", "", None).replace("\"h\":", "\"high\":");
    let (_, at, reason) = malformed("columns", &without);
    assert_eq!((at.as_deref(), &*reason), (Some("high"), "0 rows where other columns have 3"));
    let null = body("columns", "", None).replace("\"h\":[3,4,5]", "\"h\":null");
    assert_eq!(malformed("columns", &null).1.as_deref(), Some("high"));
}

#[test]
fn a_field_given_twice_is_refused_and_an_alternative_is_not() {
    for layout in ["object", "named"] {
        let (row, at, reason) = malformed(layout, &body(layout, "c", Some("3,\"c\":9")));
        assert_eq!((row, at.as_deref(), &*reason), (Some(2), Some("close"), "given twice"));
    }
    let twice = body("columns", "", None).replace("\"v\":", "\"h\":[1,2,3],\"v\":");
    let (_, at, reason) = malformed("columns", &twice);
    assert_eq!((at.as_deref(), &*reason), (Some("high"), "given twice"));
    // The first of the alternatives counts, in whatever order they come.
    for written in ["3,\"last\":9", "3, \"last\": null"] {
        let closes: Vec<f64> = parse("object", &body("object", "c", Some(written)))
            .unwrap()
            .iter()
            .map(|c| c.close)
            .collect();
        assert_eq!(closes, [2.0, 3.0, 4.0], "{written}");
    }
    let first = body("object", "o", Some("2,\"last\":9"));
    assert_eq!(parse("object", &first).unwrap()[1].close, 3.0);
    let second = body("object", "c", Some("null,\"last\":3.5"));
    assert_eq!(parse("object", &second).unwrap()[1].close, 3.5);
    for body in [
        body("columns", "", None).replace("\"v\":", "\"last\":[9,9,9],\"v\":"),
        body("columns", "", None).replace("\"t\":", "\"last\":[9,9,9],\"t\":"),
    ] {
        let closes: Vec<f64> = parse("columns", &body).unwrap().iter().map(|c| c.close).collect();
        assert_eq!(closes, [2.0, 3.0, 4.0], "{body}");
    }
    let other = body("columns", "", None).replace("\"c\":", "\"last\":");
    assert_eq!(parse("columns", &other).unwrap()[2].close, 4.0);
}

#[test]
fn rows_of_another_kind_are_refused_with_their_number() {
    let good = "[60000,1,3,0.5,2,0,5]";
    for bad in ["{\"t\":120000}", "null", "7", "\"row\"", "[]", "[[]]"] {
        let (row, _, reason) = malformed("array", &format!("{{\"data\":[{good},{bad}]}}"));
        assert_eq!(row, Some(2), "{bad}: {reason}");
    }
    let good = "{\"t\":60000,\"o\":1,\"h\":3,\"l\":0.5,\"c\":2,\"v\":5}";
    for bad in ["[120000,1,3,0.5,2,0,5]", "null", "7", "\"row\"", "[]", "{}"] {
        let (row, _, reason) = malformed("object", &format!("{{\"data\":[{good},{bad}]}}"));
        assert_eq!(row, Some(2), "{bad}: {reason}");
    }
    for (column, written) in [("o", "\"o\":7"), ("c", "\"c\":\"text\""), ("v", "\"v\":{}")] {
        let start = body("columns", "", None);
        let at = start.find(&format!("\"{column}\":")).unwrap();
        let end = at + start[at..].find(']').unwrap() + 1;
        let (_, field, reason) = malformed("columns", &start.replace(&start[at..end], written));
        assert_eq!(
            field.as_deref().and_then(|f| f.chars().next()),
            column.chars().next(),
            "{reason}"
        );
        assert!(reason.contains("a list expected"), "{reason}");
    }
}

#[test]
fn an_answer_cut_off_anywhere_is_never_taken_for_a_shorter_one() {
    for layout in LAYOUTS {
        let whole = body(layout, "", None);
        assert_eq!(parse(layout, &whole).unwrap().len(), 3);
        for end in 0..whole.len() {
            let error = parse(layout, &whole[..end]).unwrap_err();
            assert!(matches!(error, ExchangeError::Malformed { .. }), "{layout} {end}: {error}");
        }
        for after in ["}", "]", "x", "{}", ",", "null"] {
            malformed(layout, &format!("{whole}{after}"));
        }
        assert_eq!(parse(layout, &format!("\n{whole}\r\n")).unwrap().len(), 3);
    }
}

#[test]
fn what_is_no_rows_at_all_says_what_it_is() {
    for layout in LAYOUTS {
        for (body, said) in [
            ("", "an empty answer"),
            (" \n", "an empty answer"),
            ("<!DOCTYPE html><html><title>Just a moment...</title></html>", "HTML instead of JSON"),
            ("not json", "expected"),
            ("{\"data\":7}", "a lone value where rows are due"),
            ("{\"data\":true}", "a lone value where rows are due"),
            ("{\"data\":\"soon\"}", "a text where rows are due"),
            ("{\"rows\":[]}", "no rows there"),
            ("{}", "no rows there"),
            ("[]", "no rows there"),
            ("7", "no rows there"),
            ("{\"message\":\"maintenance until 12:00\"}", "maintenance until 12:00"),
        ] {
            let (row, field, reason) = malformed(layout, body);
            assert!(reason.contains(said), "{layout} {body}: {reason}");
            assert_eq!(row, None, "{layout} {body}");
            let missing = reason.starts_with("no rows there");
            assert_eq!(field.as_deref() == Some("data"), missing, "{layout} {body}: {reason}");
        }
        for nothing in ["{\"data\":[]}", "{\"data\":null}", "{\"data\":\"\"}"] {
            let is_columns = layout == "columns" && nothing == "{\"data\":[]}";
            assert!(is_columns || parse(layout, nothing).unwrap().is_empty(), "{layout} {nothing}");
        }
        let own = parse(layout, "{\"code\":7,\"msg\":\"no such pair\",\"data\":[]}").unwrap_err();
        assert_eq!(own.to_string(), "x answered HTTP 200: no such pair");
    }
}

#[test]
fn rows_come_sorted_whatever_their_order() {
    let rows = ["[180000,3,5,2.5,4,0,7]", "[60000,1,3,0.5,2,0,5]", "[120000,2,4,1.5,3,0,6]"];
    for order in [[0, 1, 2], [1, 2, 0], [0, 2, 1], [2, 1, 0]] {
        let body = format!("{{\"data\":[{}]}}", order.map(|at: usize| rows[at]).join(","));
        let times: Vec<i64> =
            parse("array", &body).unwrap().iter().map(|c| c.open_time.as_millis()).collect();
        assert_eq!(times, [60_000, 120_000, 180_000]);
    }
}
