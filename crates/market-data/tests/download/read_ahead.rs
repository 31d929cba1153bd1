use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use forecastle_core::{Timeframe, Timestamp};
use forecastle_market_data::{
    DownloadRequest, ExchangeClient, HttpClient, HttpClientParams, MarketKind,
};

use crate::venue::{Terms, Venue, block_on, candles, market_of, open_exchange};

fn binance(n: usize, missing: impl Fn(usize) -> bool) -> (Venue, DownloadRequest, usize) {
    let exchange = open_exchange("binance");
    let market = market_of(&exchange, MarketKind::Spot).unwrap();
    let series = candles(Timeframe::MINUTE, n, missing);
    let venue = Venue::open(&exchange, &market, &series, Terms::default());
    let request = DownloadRequest::new(&venue.market.symbol, Timeframe::MINUTE)
        .since(series.view().open_time().first().copied());
    // The last one is in progress.
    (venue, request, series.len() - 1)
}

#[test]
fn the_next_page_is_asked_for_while_one_is_read() {
    for (read_ahead, expected) in [(true, 2), (false, 1)] {
        let (venue, mut request, _) = binance(3_500, |_| false);
        request.read_ahead = read_ahead;
        block_on(async {
            let mut pages = venue.client.pages(request).await.unwrap();
            pages.next_page().await.unwrap().unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(venue.server.statistics().candle_requests, expected);
        });
    }
}

#[test]
fn full_pages_cost_one_request_each() {
    let (venue, request, n) = binance(10_300, |_| false);
    let done = block_on(venue.client.download(&request)).unwrap();
    assert_eq!(done.series.len(), n);
    assert_eq!((done.report.pages, done.report.discarded), (11, 0));
    assert_eq!(venue.server.statistics().candle_requests, 11);
}

#[test]
fn nothing_is_asked_for_beyond_the_limit_or_the_end() {
    let (venue, request, _) = binance(6_000, |_| false);
    let done = block_on(venue.client.download(&request.clone().limit(2_000))).unwrap();
    assert_eq!((done.series.len(), done.report.discarded), (2_000, 0));
    assert_eq!(venue.server.statistics().candle_requests, 2);
    let since = request.since.unwrap();
    let until = Timestamp::from_millis(since.as_millis() + 3_000 * 60_000);
    let done = block_on(venue.client.download(&request.until(until))).unwrap();
    assert_eq!((done.series.len(), done.report.discarded), (3_000, 0));
    assert_eq!(venue.server.statistics().candle_requests, 2 + 3);
}

#[test]
fn where_pages_do_not_come_full_hardly_any_request_is_made_in_vain() {
    // The end of every window is missing, wherever it begins.
    let (venue, mut request, n) = binance(60_000, |place| place % 700 > 600);
    request.check_gaps = false;
    let done = block_on(venue.client.download(&request)).unwrap();
    assert_eq!(done.series.len(), n);
    assert!(done.report.pages > 60, "{:?}", done.report);
    assert!((1..=10).contains(&done.report.discarded), "{:?}", done.report);
    // One that is given up at once may never arrive.
    let arrived = venue.server.statistics().candle_requests;
    let given_up = u64::try_from(done.report.discarded).unwrap();
    assert!((arrived..=arrived + given_up).contains(&done.report.requests), "{arrived}");
}

/// Answers one connection request by request: a status and a body, or nothing any more. Gives how
/// many requests came until the connection ended.
fn scripted(
    listener: TcpListener,
    answer: impl Fn(usize, &str) -> Option<(u16, String)> + Send + 'static,
) -> JoinHandle<usize> {
    fn target(reader: &mut BufReader<TcpStream>) -> Option<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                return lines.first().and_then(|l: &String| l.split(' ').nth(1).map(str::to_owned));
            }
            lines.push(line);
        }
    }
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let mut count = 0;
        while let Some(target) = target(&mut reader) {
            count += 1;
            let Some((status, body)) = answer(count, &target) else {
                // Until the other side hangs up.
                let _ = reader.read(&mut [0]);
                return count;
            };
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = reader.get_mut().write_all((head + &body).as_bytes());
        }
        count
    })
}

/// A thousand minutes from the `startTime` of a request's target.
fn page(target: &str) -> String {
    let query = target.split_once('?').unwrap().1;
    let start = query.split('&').find_map(|pair| pair.strip_prefix("startTime=")).unwrap();
    let start: i64 = start.parse().unwrap();
    let row = |row: i64| format!("[{},\"1\",\"2\",\"1\",\"2\",\"3\"]", start + row * 60_000);
    format!("[{}]", (0..1_000).map(row).collect::<Vec<_>>().join(","))
}

const MARKETS: &str = r#"{"symbols":[{"symbol":"AB","baseAsset":"A","quoteAsset":"B",
    "status":"TRADING","permissions":[]}]}"#;

/// A client of one connection that repeats nothing, and a request for 3,000 candles.
fn client(listener: &TcpListener) -> (ExchangeClient, DownloadRequest) {
    let record = "id = \"binance\"\ninherits = \"binance\"\nkinds = [\"spot\"]\n";
    let exchange = forecastle_market_data::Exchange::parse(record).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let exchange = exchange.with_base_url(&url).unwrap().with_min_interval(Duration::ZERO);
    let params =
        HttpClientParams { max_retries: 0, max_connections_per_host: 1, ..Default::default() };
    let now = Timestamp::from_millis(1_749_990_896_000);
    let client =
        ExchangeClient::new(exchange, HttpClient::new(params).unwrap(), Arc::new(move || now));
    let since = Timestamp::from_millis(1_600_000_020_000);
    let request = DownloadRequest::new("A/B", Timeframe::MINUTE).since(since).limit(3_000);
    (client, request)
}

#[test]
fn what_goes_wrong_ahead_is_asked_for_again_as_if_nothing_had_been() {
    for (status, body) in [(500, "{}"), (429, "{}"), (200, "<html>"), (200, "[[1,null]]")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (client, request) = client(&listener);
        let server = scripted(listener, move |count, target| {
            Some(match count {
                1 => (200, MARKETS.to_owned()),
                3 => (status, body.to_owned()),
                _ => (200, page(target)),
            })
        });
        let done = block_on(client.download(&request)).unwrap();
        assert_eq!((done.series.len(), done.report.discarded), (3_000, 1), "{status} {body}");
        assert_eq!((done.report.pages, done.report.requests), (3, 4));
        drop(client);
        assert_eq!(server.join().unwrap(), 1 + 4);
    }
}

#[test]
fn dropping_the_pages_ends_the_request_ahead() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, request) = client(&listener);
    let server = scripted(listener, |count, target| match count {
        1 => Some((200, MARKETS.to_owned())),
        2 => Some((200, page(target))),
        _ => None,
    });
    block_on(async {
        let mut pages = client.pages(request).await.unwrap();
        pages.next_page().await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!server.is_finished());
        drop(pages);
        let ended = tokio::task::spawn_blocking(move || server.join().unwrap());
        let ended = tokio::time::timeout(Duration::from_secs(5), ended).await;
        assert_eq!(ended.unwrap().unwrap(), 3);
    });
}
