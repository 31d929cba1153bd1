//! What is served, to whom, and what is not.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

use forecastle_core::{Error, Timestamp};
use forecastle_market_data::{
    BodyEncoding, Exchange, ExchangeError, FaultKind, Faults, HttpRequest, Market, MarketType,
    ReplayParams, ReplayServer, sample_market_answers, sample_markets,
};

use crate::Fixture;
use crate::client::{get, send};

#[test]
fn bodies_are_packed_for_who_takes_that() {
    let fixture = Fixture::new("kucoin");
    let server = fixture.start(|params| params.style.encoding = BodyEncoding::Alternating);
    let request = server.redirect(&fixture.exchange).unwrap();
    let request = request.candle_request(&fixture.window(50)).unwrap();
    let plain = send(&request, "identity");
    assert_eq!(plain.header("content-encoding"), None);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let packed = send(&request, "gzip, br;q=0.9");
        let mut body = Vec::new();
        match packed.header("content-encoding") {
            Some("gzip") => {
                flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut body).unwrap();
            }
            Some("br") => {
                brotli::Decompressor::new(&*packed.body, 4_096).read_to_end(&mut body).unwrap();
            }
            other => panic!("{other:?}"),
        }
        assert!(packed.complete && packed.body.len() < plain.body.len());
        assert_eq!(body, plain.body);
        seen.extend(packed.header("content-encoding").map(str::to_owned));
    }
    seen.sort();
    assert_eq!(seen, ["br", "gzip"]);
}

#[test]
fn exchanges_with_the_same_paths_are_told_apart_by_their_address() {
    let (here, there) = (Fixture::new("binance"), Fixture::new("binanceus"));
    let other = Arc::new(there.candles.slice(0..60));
    let server = here.start(|params| {
        let mut series = there.series();
        series.candles = other;
        params.series.push(series);
    });
    let rows = |fixture: &Fixture| {
        let answer = fixture.ask(&server, &fixture.query().limit(500));
        fixture.read(&fixture.query(), &answer).len()
    };
    assert_eq!((rows(&here), rows(&there)), (199, 60));
}

#[test]
fn market_lists_are_the_samples_unless_others_are_given() {
    let fixture = Fixture::new("kraken");
    let request = fixture
        .exchange
        .market_requests(Timestamp::from_millis(1_760_000_000_000))
        .unwrap()
        .remove(0);
    let target = request.url.split_once("kraken.com").unwrap().1.to_owned();
    let server = fixture.start(|_| {});
    let answer = get(&format!("{}{target}", server.base_url()));
    let list = fixture.exchange.parse_markets(&[(request.clone(), answer.body)]).unwrap();
    assert_eq!(list, sample_markets(&fixture.exchange).unwrap());
    assert_eq!(server.statistics().market_requests, 1);

    let own = (fixture.exchange.clone(), request, br#"{"error":[],"result":{}}"#.to_vec());
    let server = fixture.start(|params| params.markets.push(own));
    let answer = get(&format!("{}{target}", server.url_of("kraken")));
    assert_eq!(answer.text(), r#"{"error":[],"result":{}}"#);
}

#[test]
fn every_exchange_has_markets_to_offer_at_once() {
    let exchanges = Exchange::all().unwrap();
    let now = Timestamp::from_millis(1_760_000_000_000);
    let params = ReplayParams {
        exchanges: exchanges.clone(),
        ..ReplayParams::new(Vec::new(), Arc::new(move || now))
    };
    let server = ReplayServer::start(params).unwrap();
    for exchange in exchanges {
        let there = server.redirect(&exchange).unwrap();
        let mut requests =
            there.market_requests(Timestamp::from_millis(1_760_000_000_000)).unwrap();
        let mut answers = Vec::new();
        while let Some(request) = requests.pop() {
            let answer = send(&request, "");
            assert_eq!(answer.status, 200, "{request}: {}", answer.text());
            requests.extend(there.following_market_requests(&request, &answer.body).unwrap());
            answers.push((request, answer.body));
        }
        let list = there.parse_markets(&answers).unwrap();
        let kinds = exchange.kinds();
        let usable = list.markets.iter().filter(|market| market.active != Some(false));
        let usable = usable.filter_map(Market::kind);
        assert!(usable.clone().any(|kind| kinds.contains(&kind)), "{}", exchange.id());
        assert!(!sample_market_answers(&exchange).unwrap().is_empty());
    }
}

#[test]
fn what_is_not_served_is_refused_in_the_exchanges_words() {
    let fixture = Fixture::new("binance");
    let server = fixture.start(|_| {});
    let base = server.base_url();
    let known = format!("{base}/api/v3/klines?symbol={}&interval=1h", fixture.market.id);
    assert_eq!(get(&known).status, 200);

    let answer = get(&format!("{base}/api/v3/klines?symbol=NONE&interval=1h&limit=5"));
    assert_eq!(answer.status, 400);
    let query = fixture.query();
    let refusal = fixture.exchange.refused(400, &answer.body, Some(&query)).unwrap_err();
    assert!(matches!(refusal, ExchangeError::UnknownSymbol { .. }), "{refusal}");

    for (url, status) in [
        (known.replace("1h", "7h"), 400),
        (format!("{known}&limit=many"), 400),
        (format!("{known}&startTime=today"), 400),
        (format!("{base}/api/v9/klines?symbol=BTCUSDT"), 404),
        (format!("{base}/"), 404),
    ] {
        let answer = get(&url);
        assert_eq!(answer.status, status, "{url}");
        let words: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(words["code"].is_u64() && words["msg"].is_string(), "{words}");
    }
    assert_eq!(send(&HttpRequest::post_json(known, "{}"), "").status, 404);
    assert_eq!(server.statistics().unknown, 7);
    assert_eq!(server.statistics().candle_requests, 1);
}

#[test]
fn the_candle_in_progress_changes_from_answer_to_answer() {
    let fixture = Fixture::new("bybit");
    let server = fixture.start(|params| params.unfinished = true);
    let query = fixture.query().limit(3);
    let newest = || {
        let candles = fixture.read(&query, &fixture.ask(&server, &query));
        assert_eq!(candles.len(), 3);
        assert_eq!(candles[1], fixture.candle(198));
        candles[2]
    };
    let (one, other) = (newest(), newest());
    assert_eq!(one.open_time, fixture.candle(199).open_time);
    assert_ne!(one.volume, other.volume);
    assert_eq!(server.statistics().unfinished, 2);
}

#[test]
fn a_page_cap_of_ones_own_replaces_the_records() {
    let fixture = Fixture::new("binance");
    let server = fixture.start(|params| params.page_cap = Some(7));
    let query = fixture.window(100);
    assert_eq!(fixture.read(&query, &fixture.ask(&server, &query)).len(), 7);
}

#[test]
fn a_stopped_server_lets_go_of_its_port() {
    let fixture = Fixture::new("binance");
    let server = fixture.start(|_| {});
    let address = server.base_url().strip_prefix("http://").unwrap().to_owned();
    assert!(TcpListener::bind(&address).is_err());
    fixture.ask(&server, &fixture.window(5));
    assert_eq!(server.stop().rows, 5);
    TcpListener::bind(&address).unwrap();
}

#[test]
fn impossible_parameters_are_refused() {
    let fixture = Fixture::new("binance");
    let start = |change: fn(&mut ReplayParams)| {
        let mut params = fixture.params();
        change(&mut params);
        ReplayServer::start(params).unwrap_err()
    };
    let error = start(|params| params.page_cap = Some(0));
    assert_eq!(error.to_string(), "parameter `page_cap` must be >= 1, got 0");
    let error = start(|params| params.faults = Faults::of([FaultKind::Slow], 2.0));
    assert!(matches!(error, Error::InvalidParameter { .. }));
    let error = start(|params| {
        params.series[0].market.market_type = MarketType::Index;
    });
    assert!(matches!(error, Error::Component { .. }), "{error}");
}

#[test]
fn answers_carry_the_time_of_the_servers_clock() {
    let fixture = Fixture::new("okx");
    let date = jiff::Timestamp::from_millisecond(fixture.now.as_millis()).unwrap();
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let server = fixture.start(|_| {});
    assert_eq!(fixture.ask(&server, &fixture.query()).header("date"), Some(date.as_str()));
    let nowhere = get(&format!("{}/nowhere", server.base_url()));
    assert_eq!((nowhere.status, nowhere.header("date")), (404, Some(date.as_str())));
}

#[test]
fn candles_may_come_late_and_change_after_their_close() {
    let fixture = Fixture::new("binance");
    let query = fixture.query().limit(500);
    let rows = |change: &dyn Fn(&mut ReplayParams)| {
        let server = fixture.start(|params| change(params));
        fixture.read(&query, &fixture.ask(&server, &query))
    };
    // A second before the last candle's close; without what is in progress.
    assert_eq!(rows(&|_| ()).len(), 199);
    assert_eq!(rows(&|params| params.delay_ms = 3_598_000).len(), 199);
    assert_eq!(rows(&|params| params.delay_ms = 3_600_000).len(), 198);
    let last = fixture.candle(198);
    let closed_ms = fixture.now.millis_since(last.open_time).unwrap() - 3_600_000;
    let closed_ms = u64::try_from(closed_ms).unwrap();
    assert_eq!(rows(&|params| params.revision_ms = closed_ms).last(), Some(&last));
    let changed = rows(&|params| params.revision_ms = closed_ms + 1);
    assert_eq!(changed[197], fixture.candle(197));
    assert_eq!(changed[198].open_time, last.open_time);
    assert!(changed[198].volume < last.volume);
}
