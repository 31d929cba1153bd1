//! The HTTP client's waits: the pace of a host, its pauses, deadlines, the spread of repetitions.

use std::time::{Duration, Instant};

use forecastle_market_data::{ExchangeError, HttpClient, HttpClientParams, HttpRequest, Pace};
use tokio::time::timeout;

use crate::http_client::{BODY, MS, client, get, params, status};
use crate::http_server::{Answer, Server};

#[tokio::test]
async fn retry_after_is_kept_and_holds_every_clone() {
    let slow_down = Answer::new("429 Slow", "Retry-After: 1\r\n", "{}");
    let server = Server::start([slow_down, Answer::ok(BODY)]).await;
    let first = client();
    let second = first.clone();
    let (one, two) = tokio::join!(get(&first, &server), async {
        tokio::time::sleep(100 * MS).await;
        get(&second, &server).await
    });
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((one.status, one.attempts, two.attempts), (200, 2, 1));
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for later in &seen[1..] {
        let wait = later.at - seen[0].at;
        assert!(wait >= 990 * MS && wait < Duration::from_secs(10), "{wait:?}");
    }
    assert!(one.waited >= 990 * MS && two.waited >= 800 * MS);
}

#[tokio::test]
async fn retry_after_as_a_date_is_measured_by_the_servers_clock() {
    let headers =
        "Date: Sun, 06 Nov 1994 08:49:36 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let server = Server::start([Answer::new("503 Busy", headers, ""), Answer::ok(BODY)]).await;
    let response = get(&client(), &server).await.unwrap();
    assert_eq!(response.attempts, 2);
    let seen = server.seen();
    let wait = seen[1].at - seen[0].at;
    assert!(wait >= 990 * MS && wait < Duration::from_secs(10), "{wait:?}");
}

#[tokio::test]
async fn a_pause_that_is_too_long_is_an_answer_and_then_an_error_without_asking() {
    let ban = Answer::new("429 Slow", "Retry-After: 3600\r\n", r#"{"msg":"banned"}"#);
    let server = Server::start([ban, Answer::ok(BODY)]).await;
    let other = Server::start([Answer::ok(BODY)]).await;
    let client = client();
    let response = get(&client, &server).await.unwrap();
    let hour = Duration::from_secs(3_600);
    assert_eq!((response.status, response.attempts), (429, 1));
    assert_eq!(response.retry_after, Some(hour));
    let error = get(&client.clone(), &server).await.unwrap_err();
    let ExchangeError::RateLimited { retry_after: Some(left), .. } = error else {
        panic!("{error:?}")
    };
    assert!(left > hour - Duration::from_secs(60) && left <= hour, "{left:?}");
    assert_eq!(server.seen().len(), 1, "nothing was sent");
    assert_eq!(get(&client, &other).await.unwrap().status, 200, "another host goes on");
}

#[tokio::test]
async fn clones_keep_one_pace_for_a_host_and_another_host_has_its_own() {
    let (server, other) =
        (Server::start([Answer::ok(BODY)]).await, Server::start([Answer::ok(BODY)]).await);
    let client = client();
    let pace = Pace::every(60 * MS);
    let mut tasks = Vec::new();
    for url in [&server.url, &other.url].into_iter().cycle().take(12) {
        let (client, request) = (client.clone(), HttpRequest::get(url.clone()));
        tasks.push(tokio::spawn(async move { client.send("okx", &request, pace).await.unwrap() }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap().status, 200);
    }
    for seen in [server.seen(), other.seen()] {
        assert_eq!(seen.len(), 6);
        // The first request also pays for its connection, so it may come late by that.
        let whole = seen[5].at - seen[1].at;
        assert!(whole >= 4 * 60 * MS - 20 * MS, "{whole:?}");
    }
    let together = server.seen()[5].at.max(other.seen()[5].at) - server.seen()[0].at;
    assert!(together < 2 * 5 * 60 * MS, "two hosts wait at the same time: {together:?}");
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_allowed_and_connections_are_used_again() {
    let server = Server::start([Answer::ok(BODY).late(20 * MS)]).await;
    let params = HttpClientParams { max_connections_per_host: 2, ..params() };
    let client = HttpClient::new(params).unwrap();
    let mut tasks = Vec::new();
    for _ in 0..10 {
        let (client, request) = (client.clone(), HttpRequest::get(server.url.clone()));
        tasks.push(tokio::spawn(async move {
            client.send("okx", &request, Pace::default()).await.unwrap()
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(server.seen().len(), 10);
    assert_eq!(server.most_under_way(), 2);
    assert!(server.connections() <= 4, "{}", server.connections());
}

#[tokio::test]
async fn a_deadline_ends_everything() {
    let server = Server::start([Answer::ok(BODY).late(Duration::from_secs(20))]).await;
    let begun = Instant::now();
    let request = HttpRequest::get(server.url.clone());
    let client = client();
    let until = begun + 200 * MS;
    let error = client.send_until("okx", &request, Pace::default(), until).await.unwrap_err();
    assert!(matches!(error, ExchangeError::TimedOut { .. }), "{error:?}");
    assert!(begun.elapsed() >= 199 * MS && begun.elapsed() < Duration::from_secs(4));

    // In the queue: the pace leaves no room before the deadline.
    let pace = Pace::every(Duration::from_secs(60));
    let begun = Instant::now();
    let error = client.send_until("okx", &request, pace, begun + 100 * MS).await.unwrap_err();
    assert!(matches!(error, ExchangeError::TimedOut { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_wait_that_would_pass_the_deadline_is_not_begun() {
    let params = HttpClientParams { base_delay_ms: 20_000, max_delay_ms: 20_000, ..params() };
    let client = HttpClient::new(params).unwrap();
    let server = Server::start([status("500 Oops")]).await;
    let begun = Instant::now();
    let until = begun + Duration::from_secs(5);
    let request = HttpRequest::get(server.url.clone());
    let response = client.send_until("okx", &request, Pace::default(), until).await.unwrap();
    assert_eq!((response.status, response.attempts), (500, 1));
    let broken = Server::start([Answer::raw("")]).await;
    let request = HttpRequest::get(broken.url.clone());
    let error = client.send_until("okx", &request, Pace::default(), until).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Unreachable { .. }), "{error:?}");
    let busy = Server::start([Answer::new("429 Slow", "Retry-After: 30\r\n", "")]).await;
    let request = HttpRequest::get(busy.url.clone());
    let response = client.send_until("okx", &request, Pace::default(), until).await.unwrap();
    assert_eq!(response.status, 429);
    let error = client.send_until("okx", &request, Pace::default(), until).await.unwrap_err();
    assert!(matches!(error, ExchangeError::RateLimited { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_request_that_is_dropped_gives_up_its_place() {
    let server =
        Server::start([Answer::ok(BODY).late(Duration::from_secs(20)), Answer::ok(BODY)]).await;
    let params = HttpClientParams { max_connections_per_host: 1, ..params() };
    let client = HttpClient::new(params).unwrap();
    assert!(timeout(100 * MS, get(&client, &server)).await.is_err());
    let response = timeout(Duration::from_secs(4), get(&client, &server)).await.unwrap().unwrap();
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn the_seed_of_the_jitter_decides_the_waits() {
    let waited = |seed| async move {
        let params = HttpClientParams {
            base_delay_ms: 100,
            max_delay_ms: 100,
            max_retries: 1,
            jitter_seed: Some(seed),
            ..params()
        };
        let server = Server::start([status("500 Oops")]).await;
        get(&HttpClient::new(params).unwrap(), &server).await.unwrap().waited
    };
    let (one, again) = (waited(7).await, waited(7).await);
    assert!(one >= 50 * MS && one < 120 * MS, "{one:?}");
    assert!(one.abs_diff(again) < 20 * MS, "{one:?} {again:?}");
}

#[tokio::test]
async fn a_client_in_quick_motion_waits_so_much_less() {
    let slow_down = Answer::new("429 Slow", "Retry-After: 40\r\n", "{}");
    let server =
        Server::start([slow_down, status("500 Oops"), Answer::ok(BODY), Answer::ok(BODY)]).await;
    let params = HttpClientParams { base_delay_ms: 20_000, max_delay_ms: 20_000, ..params() };
    let client = HttpClient::new(params).unwrap().with_speed(200.0).unwrap();
    let (begun, pace) = (Instant::now(), Pace::every(Duration::from_secs(20)));
    let request = HttpRequest::get(server.url.clone());
    let response = client.send("okx", &request, pace).await.unwrap();
    assert_eq!((response.status, response.attempts), (200, 3));
    assert_eq!(client.send("okx", &request, pace).await.unwrap().status, 200);
    let took = begun.elapsed();
    // A pause of 200 ms, half a wait of 100 ms at least, an interval of 100 ms.
    assert!(took >= 340 * MS && took < Duration::from_secs(10), "{took:?}");
    let first = server.seen()[1].at - server.seen()[0].at;
    assert!(first >= 190 * MS, "{first:?}");
    for speed in [0.0, 0.999, -1.0, f64::NAN] {
        let refused = HttpClient::new(HttpClientParams::default()).unwrap().with_speed(speed);
        assert!(refused.is_err(), "{speed}");
    }
}
