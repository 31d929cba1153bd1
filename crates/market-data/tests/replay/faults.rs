//! Every fault occurs, is seen by a client, is counted, and passes.

use std::time::{Duration, Instant};

use forecastle_market_data::{CandleQuery, ExchangeError, FaultKind, Faults, ReplayServer};
use serde_json::Value;

use crate::Fixture;
use crate::client::Answer;

/// The answer to the same request twice from a server whose every request meets `kind`, once in a
/// row when it is a failure.
fn twice(kind: FaultKind, limit: u32) -> (Fixture, ReplayServer, Answer, Answer) {
    let fixture = Fixture::new("binance");
    let server = fixture.start(|params| {
        params.faults = Faults { most_in_a_row: 1, ..Faults::of([kind], 1.0) };
    });
    let query = fixture.window(limit);
    let answers = [fixture.ask(&server, &query), fixture.ask(&server, &query)];
    let [first, second] = answers;
    let counted = server.statistics().faults.get(&kind).copied();
    let expected = if kind.is_failure() || kind == FaultKind::MissingRow { 1 } else { 2 };
    assert_eq!(counted, Some(expected), "{kind}");
    if kind.is_failure() {
        let candles = fixture.read(&query, &second);
        assert_eq!((candles.len(), candles[0]), (limit as usize, fixture.candle(50)), "{kind}");
    }
    (fixture, server, first, second)
}

/// The open times of an answer, as they stand in it.
fn times(answer: &Answer) -> Vec<i64> {
    let rows: Vec<Vec<Value>> = serde_json::from_slice(&answer.body).unwrap();
    rows.iter().map(|row| row[0].as_i64().unwrap()).collect()
}

fn hours(fixture: &Fixture, rows: std::ops::Range<usize>) -> Vec<i64> {
    rows.map(|row| fixture.candle(row).open_time.as_millis()).collect()
}

#[test]
fn a_rate_limit_tells_how_long_to_wait() {
    let (_, _, first, _) = twice(FaultKind::RateLimited, 5);
    assert_eq!((first.status, first.header("retry-after")), (429, Some("0")));
}

#[test]
fn a_server_error_is_any_of_three() {
    let fixture = Fixture::new("binance");
    let server = fixture.start(|params| {
        params.faults = Faults { most_in_a_row: 40, ..Faults::of([FaultKind::ServerError], 1.0) };
    });
    let mut seen: Vec<u16> =
        (0..40).map(|_| fixture.ask(&server, &fixture.window(5)).status).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [500, 502, 503]);
}

#[test]
fn a_closed_connection_brings_nothing() {
    let (_, _, first, _) = twice(FaultKind::Closed, 5);
    assert_eq!((first.status, first.complete), (0, false));
}

#[test]
fn a_cut_off_body_is_shorter_than_announced() {
    let (_, _, first, second) = twice(FaultKind::CutOff, 50);
    let announced: usize = first.header("content-length").unwrap().parse().unwrap();
    assert_eq!((first.status, announced, first.complete), (200, second.body.len(), false));
    assert!(!first.body.is_empty() && second.body.starts_with(&first.body));
}

#[test]
fn a_cut_off_chunked_body_lacks_its_last_chunk() {
    let (_, _, first, second) = twice(FaultKind::CutOffChunked, 50);
    assert_eq!(first.header("transfer-encoding"), Some("chunked"));
    assert!(!first.complete && !first.body.is_empty() && second.body.starts_with(&first.body));
}

#[test]
fn a_web_page_comes_with_status_200() {
    let (fixture, _, first, _) = twice(FaultKind::Html, 5);
    assert!(first.status == 200 && first.text().starts_with("<!DOCTYPE html>"));
    let error = fixture.exchange.parse_candles(&fixture.window(5), &first.body).unwrap_err();
    assert!(error.to_string().contains("HTML"), "{error}");
}

#[test]
fn an_empty_body_comes_with_status_200() {
    let (_, _, first, _) = twice(FaultKind::Empty, 5);
    assert_eq!((first.status, first.body.len(), first.complete), (200, 0, true));
}

#[test]
fn a_wrong_type_is_an_error_with_row_and_field() {
    let fixture = Fixture::new("binance");
    let server = fixture.start(|params| {
        params.faults = Faults { most_in_a_row: 60, ..Faults::of([FaultKind::WrongType], 1.0) };
    });
    let query = fixture.window(5);
    let mut fields = Vec::new();
    for _ in 0..60 {
        let answer = fixture.ask(&server, &query);
        match fixture.exchange.parse_candles(&query, &answer.body).unwrap_err() {
            ExchangeError::Malformed { row: Some(1..=5), field: Some(field), .. } => {
                fields.push(field);
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    fields.sort();
    fields.dedup();
    assert_eq!(fields, ["close", "high", "low", "open", "time", "volume"]);
}

#[test]
fn a_slow_body_comes_in_pieces_and_whole() {
    let fixture = Fixture::new("binance");
    let server = fixture.start(|params| {
        params.faults = Faults { slow_pause_ms: 10, ..Faults::of([FaultKind::Slow], 1.0) };
    });
    let began = Instant::now();
    let answer = fixture.ask(&server, &fixture.window(50));
    assert!(began.elapsed() >= Duration::from_millis(70), "{:?}", began.elapsed());
    assert!(answer.complete);
    assert_eq!(times(&answer), hours(&fixture, 50..100));
}

#[test]
fn a_repeated_row_stands_twice_in_its_page() {
    let (fixture, _, first, _) = twice(FaultKind::RepeatedRow, 10);
    let mut seen = times(&first);
    assert_eq!(seen.len(), 11);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, hours(&fixture, 50..60));
}

#[test]
fn unordered_rows_are_all_there() {
    let (fixture, _, first, _) = twice(FaultKind::UnorderedRows, 50);
    let mut seen = times(&first);
    assert!(!seen.is_sorted());
    seen.sort_unstable();
    assert_eq!(seen, hours(&fixture, 50..100));
}

#[test]
fn overlapping_rows_come_before_the_start() {
    let (fixture, _, first, _) = twice(FaultKind::OverlappingRows, 10);
    let seen = times(&first);
    let early =
        seen.iter().filter(|time| **time < fixture.candle(50).open_time.as_millis()).count();
    assert!((1..=3).contains(&early), "{early}");
    assert_eq!(seen[early..], hours(&fixture, 50..60));
}

#[test]
fn a_missing_row_is_there_when_asked_for_again() {
    let (fixture, server, first, second) = twice(FaultKind::MissingRow, 3);
    let whole = hours(&fixture, 50..53);
    let seen = times(&first);
    assert!(seen.len() == 2 && seen.iter().all(|time| whole.contains(time)), "{seen:?}");
    // Of three rows two can be missing, each once.
    let third = fixture.ask(&server, &fixture.window(3));
    let fourth = fixture.ask(&server, &fixture.window(3));
    let lengths = [&first, &second, &third, &fourth].map(|answer| times(answer).len());
    assert_eq!(
        lengths.iter().sum::<usize>(),
        3 * 4 - server.statistics().faults[&FaultKind::MissingRow] as usize
    );
    assert!(lengths.contains(&3));
}

#[test]
fn short_pages_differ_from_time_to_time() {
    let fixture = Fixture::new("binance");
    let server = fixture.start(|params| params.faults = Faults::of([FaultKind::ShortPage], 1.0));
    let pages: Vec<Vec<i64>> =
        (0..10).map(|_| times(&fixture.ask(&server, &fixture.window(50)))).collect();
    assert!(pages.iter().any(|page| page.len() != pages[0].len()));
    for page in pages {
        assert!((2..50).contains(&page.len()));
        assert_eq!(page, hours(&fixture, 50..50 + page.len()));
    }
}

#[test]
fn a_client_with_as_many_retries_as_failures_in_a_row_always_gets_through() {
    let fixture = Fixture::new("okx");
    let failures = FaultKind::ALL.into_iter().filter(|kind| kind.is_failure());
    let server = fixture.start(|params| params.faults = Faults::of(failures, 0.4));
    let mut longest = 0;
    for limit in 2..60 {
        let query: CandleQuery<'_> = fixture.window(limit);
        let good = |answer: &Answer| {
            answer.complete
                && answer.status == 200
                && fixture.exchange.parse_candles(&query, &answer.body).is_ok()
        };
        let tries = (0..4).position(|_| good(&fixture.ask(&server, &query)));
        longest = longest.max(tries.expect("four tries suffice"));
    }
    assert_eq!(longest, 3);
}

#[test]
fn same_seed_same_answers() {
    let run = |seed| {
        let fixture = Fixture::new("kraken");
        let server = fixture.start(|params| params.faults = Faults { seed, ..Faults::many() });
        let asked = (2..40).map(|limit| fixture.ask(&server, &fixture.window(limit)));
        // How much of a broken body arrives is up to the network.
        let seen: Vec<(u16, bool)> = asked.map(|answer| (answer.status, answer.complete)).collect();
        (seen, server.stop())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).1.faults, run(6).1.faults);
}
