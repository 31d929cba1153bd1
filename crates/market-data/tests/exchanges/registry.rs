//! Every record of the registry, in every way it can be asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forecastle_core::{Timeframe, Timestamp};
use forecastle_market_data::{
    CandleQuery, Exchange, ExchangeError, HttpRequest, Market, MarketKind, Need,
    sample_market_answers, sample_markets,
};
use serde_json::Value;

/// 2025-06-15T12:34:56Z.
const NOW: Timestamp = Timestamp::from_millis(1_749_990_896_000);

fn records() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("exchanges");
    let files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    let named = |path: PathBuf| {
        assert_eq!(path.extension().unwrap(), "toml", "{}", path.display());
        let id = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (id, std::fs::read_to_string(path).unwrap())
    };
    files.into_iter().map(named).collect()
}

/// What is wrong with an address, if anything.
fn flaw(url: &str) -> Option<&'static str> {
    let Some(rest) = url.strip_prefix("https://") else {
        return Some("no https");
    };
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let host = address.split('/').next().unwrap_or_default();
    let in_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-:".contains(c);
    let in_url = |c: char| c.is_ascii_alphanumeric() || "-._~:@,=/&%+!$'()*;".contains(c);
    if !host.contains('.') || !host.chars().all(in_host) {
        Some("its host is none")
    } else if address.contains("//") {
        Some("an empty piece in its path")
    } else if !address.chars().chain(query.chars()).all(in_url) {
        Some("a character that is not escaped")
    } else if url.split('%').skip(1).any(|rest| {
        let digits = rest.get(..2).unwrap_or_default();
        digits.len() < 2 || !digits.chars().all(|c| c.is_ascii_hexdigit())
    }) {
        Some("a broken escape")
    } else if !query.is_empty()
        && query.split('&').any(|pair| pair.split_once('=').is_none_or(|(name, _)| name.is_empty()))
    {
        Some("a parameter without a name")
    } else if ["absent", "null", "NaN", "undefined"]
        .iter()
        .any(|word| query.split(['=', '&']).any(|piece| piece == *word))
    {
        Some("the word of an empty value")
    } else {
        None
    }
}

/// Whether a text of a body still holds a template.
fn has_template(body: &Value) -> bool {
    match body {
        Value::String(text) => text.contains(['{', '}']),
        Value::Array(list) => list.iter().any(has_template),
        Value::Object(fields) => fields.values().any(has_template),
        _ => false,
    }
}

fn check_request(request: &HttpRequest, about: &str) {
    if let Some(flaw) = flaw(&request.url) {
        panic!("{about}: {flaw}: {request}");
    }
    if let Some(body) = &request.body {
        let body: Value = serde_json::from_str(body).unwrap();
        assert!(body.is_object() && !has_template(&body), "{about}: {body}");
    }
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.contains(&"Content-Type"), request.body.is_some(), "{about}");
}

/// One market of each kind of candle endpoint: a listed one, else one made from a symbol.
fn markets_of(exchange: &Exchange) -> Vec<(MarketKind, Market)> {
    let listed = sample_markets(exchange).unwrap().markets;
    let market = |kind: MarketKind| listed.iter().find(|m| m.kind() == Some(kind)).cloned();
    exchange.kinds().into_iter().filter_map(|kind| Some((kind, market(kind)?))).collect()
}

#[test]
fn every_file_is_an_exchange_under_its_own_name() {
    let records = records();
    assert!(records.len() >= 90, "{}", records.len());
    let ids: Vec<&str> = Exchange::ids().collect();
    assert_eq!(records.keys().map(String::as_str).collect::<Vec<_>>(), ids);
    for exchange in Exchange::all().unwrap() {
        let id = exchange.id();
        assert!(records.contains_key(id), "{id} is in a file of another name");
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{id}");
        assert!(!exchange.name().trim().is_empty(), "{id}");
        let found = Exchange::find(&id.to_uppercase()).unwrap();
        assert_eq!(found.id(), id);
        if let Some(parent) = exchange.inherits() {
            assert!(ids.contains(&parent), "{id} inherits from {parent}");
        }
        if let Some(note) = exchange.note() {
            assert!(!note.contains('\n') && note.len() < 200, "{id}: {note}");
        }
    }
}

#[test]
fn the_registry_costs_less_than_a_megabyte() {
    let bytes: usize = records().values().map(String::len).sum();
    assert!(bytes < 1 << 20, "{bytes}");
    let longest = records().into_iter().max_by_key(|(_, text)| text.len()).unwrap();
    assert!(longest.1.len() < 32 << 10, "{} has {} bytes", longest.0, longest.1.len());
}

#[test]
fn hosts_are_https_and_paces_are_sane() {
    for exchange in Exchange::all().unwrap() {
        let id = exchange.id();
        assert!(exchange.hosts().count() > 0, "{id}");
        for host in exchange.hosts() {
            assert_eq!(flaw(host), None, "{id}: {host}");
        }
        let pace = exchange.min_interval();
        let bounds = Duration::from_millis(1)..=Duration::from_secs(10);
        assert!(bounds.contains(&pace), "{id}: {pace:?}");
    }
}

#[test]
fn aliases_are_upper_case_and_lead_nowhere_back() {
    for (id, text) in records() {
        let record: toml::Table = toml::from_str(&text).unwrap();
        let Some(aliases) = record.get("aliases").and_then(toml::Value::as_table) else { continue };
        let exchange = Exchange::find(&id).unwrap();
        for (from, to) in aliases {
            let to = to.as_str().unwrap();
            assert_eq!(*from, from.to_uppercase(), "{id}");
            assert_ne!(from, to, "{id}: an alias of itself");
            assert_eq!(exchange.currency(&from.to_lowercase()), to, "{id}");
            // Two codes may change places (mexc's FLUX and FLUX1), longer circles are mistakes.
            let mut at = to;
            for step in 0..aliases.len() {
                let Some(next) = aliases.get(at).and_then(toml::Value::as_str) else { break };
                if step == 0 && next == from {
                    break;
                }
                assert_ne!(next, from, "{id}: {from} comes back to itself");
                at = next;
            }
        }
    }
}

#[test]
fn every_question_makes_a_request_or_a_typed_refusal() {
    let since = Timestamp::from_millis(NOW.as_millis() - 40 * 86_400_000 - 12_345);
    let (mut asked, mut refused, mut kinds_seen) = (0, 0, 0);
    for exchange in Exchange::all().unwrap() {
        let id = exchange.id();
        let markets = markets_of(&exchange);
        assert!(!markets.is_empty(), "{id} has no sample of a market");
        for (kind, market) in markets {
            kinds_seen += 1;
            let timeframes = exchange.timeframes(kind);
            assert!(!timeframes.is_empty(), "{id} {kind}");
            assert!(timeframes.is_sorted_by_key(|t| t.nominal_millis()), "{id} {kind}");
            for timeframe in timeframes {
                let newest = CandleQuery::new(&market, timeframe, NOW);
                let queries = [
                    newest,
                    newest.since(since),
                    newest.limit(7),
                    newest.limit(20_000),
                    newest.since(since).limit(7),
                    newest.until(NOW),
                    newest.since(since).until(NOW),
                    newest.since(since).until(NOW).limit(7),
                    newest.since(Timestamp::from_millis(0)).limit(1),
                ];
                let mut answered = 0;
                for query in queries {
                    let about = format!(
                        "{id} {kind} {timeframe} {:?}",
                        (query.since, query.until, query.limit)
                    );
                    match exchange.candle_request(&query) {
                        Ok(request) => {
                            check_request(&request, &about);
                            answered += 1;
                        }
                        Err(ExchangeError::Refused { reason, .. }) => {
                            assert!(!reason.is_empty());
                            refused += 1;
                        }
                        // One table may hold what one of several endpoints offers.
                        Err(ExchangeError::UnsupportedTimeframe { offered, .. }) => {
                            assert!(!offered.is_empty(), "{about}");
                            refused += 1;
                        }
                        Err(error) => panic!("{about}: {error}"),
                    }
                    let terms = exchange.candle_terms(&query).unwrap();
                    assert!(terms.rows != Some(0), "{about}");
                }
                assert!(answered > 0, "{id} {kind} {timeframe} answers nothing");
                asked += answered;
            }
        }
    }
    println!("{kinds_seen} kinds, {asked} requests, {refused} refusals");
    assert!(kinds_seen >= 120 && asked > 8_000, "{kinds_seen} {asked}");
    assert!(refused * 10 < asked, "{refused} of {asked}");
}

#[test]
fn a_timeframe_that_is_not_offered_is_refused_with_those_that_are() {
    let odd: Timeframe = "7m".parse().unwrap();
    for exchange in Exchange::all().unwrap() {
        for (kind, market) in markets_of(&exchange) {
            let error = exchange.candle_request(&CandleQuery::new(&market, odd, NOW)).unwrap_err();
            let ExchangeError::UnsupportedTimeframe { timeframe, offered, .. } = &error else {
                panic!("{}: {error}", exchange.id());
            };
            assert_eq!(timeframe, "7m");
            let offered: Vec<Timeframe> =
                offered.split(' ').map(|text| text.parse().unwrap()).collect();
            assert!(exchange.timeframes(kind).iter().any(|t| offered.contains(t)));
        }
    }
}

#[test]
fn every_list_of_markets_is_asked_for_by_requests_that_samples_answer() {
    for exchange in Exchange::all().unwrap() {
        let id = exchange.id();
        let answers = sample_market_answers(&exchange).unwrap();
        let requests = exchange.market_requests(NOW).unwrap();
        let by_rule = exchange.needs_key().contains(&Need::Markets);
        assert!(!requests.is_empty() || by_rule, "{id}");
        for request in requests {
            check_request(&request, id);
        }
        let list = exchange.parse_markets(&answers).unwrap();
        assert!(!list.markets.is_empty(), "{id}: {}", list.markets.len());
    }
}
