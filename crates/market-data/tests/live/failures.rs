use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use forecastle_core::{Error, Timeframe};
use forecastle_market_data::{
    Exchange, ExchangeClient, ExchangeError, Faults, HttpClient, HttpClientParams, LiveClock,
    LiveParams, LiveRequest,
};

use crate::venue::{START, Terms, Venue, block_on, candles, next, take, until};

const MINUTE: Timeframe = Timeframe::MINUTE;

#[test]
fn what_closed_during_an_outage_is_filled_in() {
    for (id, faults) in [("binance", Faults::none()), ("okx", Faults::some())] {
        block_on(async {
            let series = candles(MINUTE, 300, 20_000, |_| false);
            let venue = Venue::open(Terms { id, faults, ..Terms::new(series) });
            let request = LiveRequest::new(&venue.market.symbol, MINUTE);
            let mut live = venue.client.live(request, venue.clock.clone()).unwrap();
            let first = venue.in_progress();
            let mut got = take(&mut live, 5).await;
            let down = venue.go_down();
            // Twenty candles close while nobody answers.
            let begun = down.clock.now();
            while down.clock.now().millis_since(begun).unwrap() < 20 * 60_000 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let venue = down.come_back();
            while live.report().backfilled < 20 || got.len() < 100 {
                got.push(next(&mut live).await);
            }
            assert_eq!(got, venue.expected[first..first + got.len()], "{id}");
            let report = live.report();
            assert_eq!((report.missing, report.duplicates.min(1)), (0, report.duplicates.min(1)));
            assert!(report.backfills >= 1 && report.errors_by_kind["unreachable"] >= 1);
            assert!(report.last_error.unwrap().contains("cannot reach 127.0.0.1"));
        });
    }
}

#[test]
fn an_exchange_that_is_down_at_the_start_is_waited_for() {
    block_on(async {
        let venue = Venue::open(Terms::new(candles(MINUTE, 300, 20_000, |_| false)));
        let request = LiveRequest::new(&venue.market.symbol, MINUTE);
        let (client, clock) = (venue.client.clone(), venue.clock.clone());
        let down = venue.go_down();
        let mut live = client.live(request, clock).unwrap();
        until(&live, |report| report.errors >= 10).await;
        let venue = down.come_back();
        let got = take(&mut live, 10).await;
        let first = venue.place_of(got[0].open_time());
        assert_eq!(got, venue.expected[first..first + 10]);
    });
}

#[test]
fn a_symbol_or_timeframe_that_is_unknown_ends_it_with_the_error() {
    block_on(async {
        let venue = Venue::open(Terms::new(candles(MINUTE, 10, 10, |_| false)));
        let symbol = venue.market.symbol.clone();
        let begin = |request| venue.client.live(request, venue.clock.clone()).unwrap();
        let mut live = begin(LiveRequest::new("BTX/USDT", MINUTE));
        let error = live.next().await.unwrap().unwrap_err();
        assert!(matches!(error, ExchangeError::UnknownSymbol { hint: Some(_), .. }), "{error}");
        assert!(live.next().await.is_none() && live.next().await.is_none());
        let report = live.report();
        assert_eq!((report.candles, report.errors_by_kind["unknown_symbol"]), (0, 1));
        for after in [None, Some(START)] {
            let nine = "9m".parse().unwrap();
            let mut live = begin(LiveRequest::new(&symbol, nine).after(after));
            let error = live.next().await.unwrap().unwrap_err();
            assert!(matches!(error, ExchangeError::UnsupportedTimeframe { .. }), "{error}");
            assert!(live.next().await.is_none());
        }
        // A market that is listed and not served: the exchange's own words, several times.
        let markets = venue.client.markets().await.unwrap();
        let other = markets.markets.iter().find(|market| market.symbol != symbol);
        let mut live = begin(LiveRequest::new(&other.unwrap().symbol, MINUTE));
        assert!(live.next().await.unwrap().is_err());
        assert!(live.next().await.is_none());
    });
}

#[test]
fn a_request_out_of_range_is_refused_before_anything_is_sent() {
    let venue = Venue::open(Terms::new(candles(MINUTE, 10, 10, |_| false)));
    let request = LiveRequest::new(&venue.market.symbol, MINUTE);
    block_on(async {
        let params = LiveParams { capacity: 0, ..LiveParams::default() };
        let refused = venue.client.live(request.clone().params(params), venue.clock.clone());
        assert!(matches!(refused, Err(Error::InvalidParameter { name: "capacity", .. })));
    });
    let refused = venue.client.live(request, venue.clock.clone());
    assert!(matches!(refused, Err(Error::Component { .. })), "no runtime");
    assert_eq!(venue.server.statistics().requests, 0);
}

#[test]
fn dropping_it_ends_its_task() {
    block_on(async {
        let venue = Venue::open(Terms::new(candles(MINUTE, 300, 20_000, |_| false)));
        let request = LiveRequest::new(&venue.market.symbol, MINUTE);
        let params = LiveParams { capacity: 10_000, ..LiveParams::default() };
        let mut live = venue.client.live(request.params(params), venue.clock.clone()).unwrap();
        take(&mut live, 5).await;
        let before = venue.clock.now();
        until(&live, |report| report.candles >= 10).await;
        assert!(venue.clock.now() > before, "it works while nobody looks");
        drop(live);
        tokio::task::yield_now().await;
        let stopped = venue.clock.now();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(venue.clock.now(), stopped, "nobody waits any more");
    });
}

#[test]
fn a_busy_reader_is_waited_for_and_loses_nothing() {
    block_on(async {
        let venue = Venue::open(Terms::new(candles(MINUTE, 300, 2_000, |_| false)));
        let request = LiveRequest::new(&venue.market.symbol, MINUTE);
        let params = LiveParams { capacity: 3, ..LiveParams::default() };
        let mut live = venue.client.live(request.params(params), venue.clock.clone()).unwrap();
        until(&live, |report| report.candles == 3).await;
        for _ in 0..20 {
            // Hours in which nothing is taken.
            venue.clock.sleep(Duration::from_secs(600)).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let report = live.report();
        assert_eq!((report.candles, report.requests <= 6), (3, true), "{report:?}");
        let got = take(&mut live, 300).await;
        let first = venue.in_progress();
        assert_eq!(got, venue.expected[first..first + 300]);
        assert!(live.report().backfilled >= 190, "{:?}", live.report());
    });
}

/// Answers as binance does, but tells no time and sends a row that is no candle: its high is below
/// its low.
fn odd_exchange(listener: TcpListener, clock: LiveClock) {
    const MARKETS: &str = r#"{"symbols":[{"symbol":"AB","baseAsset":"A","quoteAsset":"B",
        "status":"TRADING","permissions":[]}]}"#;
    let answer = move |mut stream: TcpStream| -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
            while line != "\r\n" {
                line.clear();
                reader.read_line(&mut line)?;
            }
            let body = if target.contains("exchangeInfo") {
                MARKETS.to_owned()
            } else {
                let now = clock.now().as_millis().div_euclid(60_000);
                let row = |minute: i64| {
                    let high = if minute % 4 == 0 { 1 } else { 9 };
                    format!("[{},\"5\",\"{high}\",\"3\",\"5\",\"-1\"]", minute * 60_000)
                };
                let since = target.split("startTime=").nth(1).and_then(|t| t.split('&').next());
                let since = since.and_then(|since| since.parse::<i64>().ok());
                let first = since.map_or(now - 1, |since| (since + 59_999).div_euclid(60_000));
                let rows: Vec<String> = (first..=now).map(row).collect();
                format!("[{}]", rows.join(","))
            };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes())?;
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            // A connection that breaks is the client's doing.
            std::thread::spawn(move || answer(stream).ok());
        }
    });
}

#[test]
fn rows_that_are_no_candles_are_dropped_and_counted_and_no_time_is_no_error() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let clock = LiveClock::leaping(START);
        odd_exchange(listener, clock.clone());
        let record = "id = \"binance\"\ninherits = \"binance\"\nkinds = [\"spot\"]\n";
        let exchange = Exchange::parse(record).unwrap().with_base_url(&url).unwrap();
        let http = HttpClient::new(HttpClientParams::default()).unwrap();
        let client = ExchangeClient::new(exchange, http, clock.clone().clock());
        let mut live = client.live(LiveRequest::new("A/B", MINUTE), clock).unwrap();
        let got = take(&mut live, 30).await;
        let minutes: Vec<i64> =
            got.iter().map(|candle| candle.open_time().as_millis() / 60_000).collect();
        let first = START.as_millis() / 60_000;
        let valid: Vec<i64> = (first..).filter(|minute| minute % 4 != 0).take(30).collect();
        assert_eq!(minutes, valid);
        assert!(got.iter().all(|candle| candle.volume() == 0.0));
        let report = live.report();
        assert!(report.invalid >= 9 && (9..=11).contains(&report.missing), "{report:?}");
        assert_eq!(report.volume_repaired, report.candles);
        assert_eq!(report.clock_skew_ms, None);
    });
}
