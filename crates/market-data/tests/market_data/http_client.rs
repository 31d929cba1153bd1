//! The HTTP client against servers that answer well, badly or not at all.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use forecastle_core::Timestamp;
use forecastle_market_data::{
    ExchangeError, ExchangeResult, HttpClient, HttpClientParams, HttpRequest, HttpResponse, Pace,
    message_of, status_error,
};
use proptest::prelude::*;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::http_server::{Answer, Server};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const BODY: &str = r#"{"candles":[[1,2,3,4,5,6]]}"#;

/// Quick repetitions, no proxy, everything else as it comes.
pub(crate) fn params() -> HttpClientParams {
    HttpClientParams {
        base_delay_ms: 2,
        max_delay_ms: 10,
        timeout_ms: 5_000,
        jitter_seed: Some(1),
        proxy_from_environment: false,
        ..HttpClientParams::default()
    }
}

pub(crate) fn client() -> HttpClient {
    HttpClient::new(params()).unwrap()
}

pub(crate) async fn get(client: &HttpClient, server: &Server) -> ExchangeResult<HttpResponse> {
    client.send("okx", &HttpRequest::get(server.url.clone() + "/candles"), Pace::default()).await
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn brotli(body: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4_096, 9, 20);
    encoder.write_all(body).unwrap();
    encoder.into_inner()
}

fn compressed(encoding: &str, body: impl AsRef<[u8]>) -> Answer {
    let headers = format!("Content-Type: application/json\r\nContent-Encoding: {encoding}\r\n");
    Answer::new("200 OK", &headers, body)
}

fn chunked(body: &str) -> Answer {
    let frames: String = body
        .as_bytes()
        .chunks(7)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), str::from_utf8(chunk).unwrap()))
        .collect();
    Answer::raw(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{frames}0\r\n\r\n"))
}

pub(crate) fn status(status: &str) -> Answer {
    Answer::new(status, "", "{}")
}

#[tokio::test]
async fn an_answer_arrives_with_status_clock_type_and_body() {
    let headers =
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: Application/JSON; charset=UTF-8\r\n";
    let server = Server::start([Answer::new("200 OK", headers, BODY)]).await;
    let response = get(&client(), &server).await.unwrap();
    assert!(response.is_success());
    assert_eq!((response.status, response.attempts, response.retry_after), (200, 1, None));
    assert_eq!(response.date, Some(Timestamp::from_millis(784_111_777_000)));
    assert_eq!(response.content_type.as_deref(), Some("application/json"));
    assert_eq!(response.body, BODY.as_bytes());
    assert!(response.waited < 50 * MS && response.waited <= response.elapsed);
    let head = server.seen()[0].head.to_lowercase();
    assert!(head.starts_with("get /candles http/1.1\r\n"), "{head}");
    let version = env!("CARGO_PKG_VERSION");
    assert!(head.contains(&format!("user-agent: forecastle/{version}\r\n")), "{head}");
    assert!(head.contains("gzip") && head.contains("br"), "{head}");
}

#[tokio::test]
async fn headers_and_body_of_a_post_arrive_as_given() {
    let server = Server::start([Answer::ok(BODY)]).await;
    let mut request =
        HttpRequest::post_json(server.url.clone() + "/info?a=%2Fb", r#"{"coin":"é"}"#);
    request.headers.push(("User-Agent".to_owned(), "Mozilla/5.0".to_owned()));
    client().send("hyperliquid", &request, Pace::default()).await.unwrap();
    let seen = &server.seen()[0];
    let head = seen.head.to_lowercase();
    assert!(head.starts_with("post /info?a=%2fb http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    assert!(head.contains("user-agent: mozilla/5.0\r\n") && !head.contains("forecastle"), "{head}");
    assert_eq!(seen.body, r#"{"coin":"é"}"#);
}

#[tokio::test]
async fn gzip_brotli_and_chunks_are_undone() {
    let long = BODY.repeat(5_000);
    let server = Server::start([
        compressed("gzip", gzip(long.as_bytes())),
        compressed("br", brotli(long.as_bytes())),
        chunked(BODY),
    ])
    .await;
    let client = client();
    assert_eq!(get(&client, &server).await.unwrap().body, long.as_bytes());
    assert_eq!(get(&client, &server).await.unwrap().body, long.as_bytes());
    assert_eq!(get(&client, &server).await.unwrap().body, BODY.as_bytes());
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused_however_it_is_packed() {
    let limit = 100_000;
    let zeros = vec![b'0'; 64 << 20];
    let at_most = vec![b'0'; limit];
    let over = vec![b'0'; limit + 1];
    let (gzip_bomb, brotli_bomb) = (gzip(&zeros), brotli(&zeros));
    assert!(gzip_bomb.len() < limit && brotli_bomb.len() < limit, "both look harmless");
    let client = HttpClient::new(HttpClientParams { max_body_bytes: limit as u64, ..params() });
    let client = client.unwrap();
    for answer in [
        compressed("gzip", gzip_bomb),
        compressed("br", brotli_bomb),
        Answer::ok(&over),
        chunked(str::from_utf8(&over).unwrap()),
    ] {
        let server = Server::start([answer]).await;
        let error = get(&client, &server).await.unwrap_err();
        assert!(matches!(error, ExchangeError::TooLarge { limit: 100_000, .. }), "{error}");
        assert_eq!(server.seen().len(), 1, "it would be as long a second time");
    }
    for answer in [Answer::ok(&at_most), compressed("gzip", gzip(&at_most))] {
        let server = Server::start([answer]).await;
        assert_eq!(get(&client, &server).await.unwrap().body, at_most);
    }
}

#[tokio::test]
async fn a_cut_off_body_is_fetched_again() {
    let long = BODY.repeat(500);
    for whole in [
        Answer::ok(&long),
        chunked(&long),
        compressed("gzip", gzip(long.as_bytes())),
        compressed("br", brotli(long.as_bytes())),
    ] {
        let server = Server::start([whole.clone().cut_off(9), whole]).await;
        let response = get(&client(), &server).await.unwrap();
        assert_eq!(response.body, long.as_bytes());
        assert_eq!(response.attempts, 2);
    }
}

#[tokio::test]
async fn a_stream_that_stops_inside_its_compression_is_cut_off_too() {
    // Framed as complete, so only the decoder can tell.
    let long = BODY.repeat(500);
    for (encoding, packed) in [("gzip", gzip(long.as_bytes())), ("br", brotli(long.as_bytes()))] {
        let half = compressed(encoding, &packed[..packed.len() / 2]);
        let server = Server::start([half, compressed(encoding, &packed)]).await;
        let response = get(&client(), &server).await.unwrap();
        assert_eq!((response.body.len(), response.attempts), (long.len(), 2), "{encoding}");
    }
}

#[tokio::test]
async fn a_body_that_is_always_cut_off_is_an_error_that_names_the_host() {
    let server = Server::start([Answer::ok(BODY).cut_off(1)]).await;
    let error = get(&client(), &server).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Unreachable { .. }), "{error:?}");
    assert!(error.is_transient());
    let message = error.to_string();
    let host = server.url.strip_prefix("http://").unwrap();
    assert!(
        message.starts_with(&format!("okx: cannot reach {host}: the answer broke off")),
        "{message}"
    );
    assert_eq!(server.seen().len(), 5, "one attempt and four repetitions");
}

#[tokio::test]
async fn a_damaged_compression_is_malformed_and_not_asked_for_again() {
    let mut damaged = gzip(BODY.repeat(50).as_bytes());
    for byte in damaged.iter_mut().skip(10).take(20) {
        *byte ^= 0x5a;
    }
    for answer in
        [compressed("gzip", damaged), compressed("gzip", BODY), compressed("br", [0xff; 64])]
    {
        let server = Server::start([answer]).await;
        let error = get(&client(), &server).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Malformed { .. }), "{error:?}");
        assert!(error.to_string().contains("compressed body is damaged"), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_http_is_unreachable() {
    for bytes in [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b"\0\x01\x02garbage\n\n", b""] {
        let server = Server::start([Answer::raw(bytes)]).await;
        let error = get(&client(), &server).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Unreachable { .. }), "{bytes:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_slow_answer_times_out_and_is_asked_for_again() {
    let client = HttpClient::new(HttpClientParams { timeout_ms: 150, ..params() }).unwrap();
    for slow in [Answer::ok(BODY).stalled(5), Answer::ok(BODY).late(Duration::from_secs(20))] {
        let server = Server::start([slow, Answer::ok(BODY)]).await;
        let response = get(&client, &server).await.unwrap();
        assert_eq!((response.body.as_slice(), response.attempts), (BODY.as_bytes(), 2));
        assert!(response.elapsed >= 150 * MS, "{:?}", response.elapsed);
    }
}

#[tokio::test]
async fn a_server_that_is_always_slow_is_given_up_in_time() {
    let params = HttpClientParams { timeout_ms: 60, max_retries: 2, ..params() };
    let server = Server::start([Answer::ok(BODY).stalled(5)]).await;
    let begun = Instant::now();
    let error = get(&HttpClient::new(params).unwrap(), &server).await.unwrap_err();
    let ExchangeError::TimedOut { after, .. } = &error else { panic!("{error:?}") };
    assert!(*after >= 60 * MS && error.is_transient());
    assert!(begun.elapsed() >= 180 * MS && begun.elapsed() < Duration::from_secs(10));
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_and_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let request = HttpRequest::get(format!("http://{address}/x"));
    let begun = Instant::now();
    let error = client().send("okx", &request, Pace::default()).await.unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with(&format!("okx: cannot reach {address}: ")), "{message}");
    assert!(message.to_lowercase().contains("refused"), "{message}");
    assert!(std::error::Error::source(&error).is_none(), "its own line says all of it");
    assert!(
        begun.elapsed() >= 15 * MS / 2,
        "four waits of at least 1, 2, 4 and 5 ms less rounding"
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unreachable() {
    let params = HttpClientParams { max_retries: 0, ..params() };
    let request = HttpRequest::get("http://no-such-host.invalid/");
    let sending = HttpClient::new(params).unwrap();
    let sending = sending.send("okx", &request, Pace::default());
    let error = timeout(Duration::from_secs(30), sending).await.unwrap().unwrap_err();
    assert!(error.to_string().starts_with("okx: cannot reach no-such-host.invalid: "), "{error}");
}

#[tokio::test]
async fn passing_failures_of_the_server_are_waited_out() {
    for passing in ["500 Oops", "502 Bad", "503 Busy", "504 Late", "408 Slow", "425 Early", "524 x"]
    {
        let server = Server::start([status(passing), status(passing), Answer::ok(BODY)]).await;
        let response = get(&client(), &server).await.unwrap();
        assert_eq!((response.status, response.attempts), (200, 3), "{passing}");
        assert!(response.waited >= 2 * MS, "{:?}", response.waited);
    }
}

#[tokio::test]
async fn a_failure_that_stays_is_returned_with_its_words() {
    let down = Answer::new("503 Unavailable", "", r#"{"msg":"maintenance"}"#);
    let server = Server::start([down]).await;
    let response = get(&client(), &server).await.unwrap();
    assert_eq!((response.status, response.attempts), (503, 5));
    let message = message_of(&response.body);
    let error = status_error("okx", response.status, response.retry_after, &message);
    assert_eq!(error.to_string(), "okx answered HTTP 503: maintenance");
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    for refusal in ["400 Bad", "401 Who", "403 No", "404 None", "418 Teapot", "451 Law", "501 No"] {
        let server = Server::start([status(refusal)]).await;
        let response = get(&client(), &server).await.unwrap();
        assert_eq!(response.attempts, 1, "{refusal}");
        assert_eq!(server.seen().len(), 1, "{refusal}");
    }
}

#[tokio::test]
async fn a_page_instead_of_json_is_named_as_one() {
    let page = "<!DOCTYPE html><title>Attention Required! | Cloudflare</title><h1>Sorry</h1>";
    let headers = "Content-Type: text/html; charset=UTF-8\r\n";
    let server = Server::start([Answer::new("403 Forbidden", headers, page)]).await;
    let response = get(&client(), &server).await.unwrap();
    assert_eq!(response.content_type.as_deref(), Some("text/html"));
    let message = message_of(&response.body);
    assert_eq!(message, "an HTML page: Attention Required! | Cloudflare Sorry");
    let error = status_error("okx", response.status, None, &message);
    assert!(matches!(error, ExchangeError::BlockedByRegion { status: 403, .. }), "{error:?}");
}

#[tokio::test]
async fn the_status_of_an_error_survives_a_broken_body() {
    let broken = Answer::new("404 None", "", "x".repeat(1 << 20)).cut_off(5);
    let garbled = Answer::new("404 None", "Content-Encoding: gzip\r\n", "no gzip");
    for answer in [broken, garbled] {
        let server = Server::start([answer]).await;
        let response = get(&client(), &server).await.unwrap();
        assert_eq!((response.status, response.attempts), (404, 1));
        assert!(response.body.len() <= 1 << 18, "{}", response.body.len());
    }
}

#[tokio::test]
async fn a_post_is_repeated_only_when_declared_harmless() {
    let faults =
        || [status("500 Oops"), Answer::ok(BODY).cut_off(3), Answer::raw(""), Answer::ok(BODY)];
    let server = Server::start(faults()).await;
    let request = HttpRequest::post_json(server.url.clone(), r#"{"a":1}"#);
    let response = client().send("cex", &request, Pace::default()).await.unwrap();
    assert_eq!((response.status, response.attempts), (500, 1));
    let error = client().send("cex", &request, Pace::default()).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Unreachable { .. }), "{error:?}");
    assert_eq!(server.seen().len(), 2);

    let server = Server::start(faults()).await;
    let request = HttpRequest::post_json(server.url.clone(), r#"{"a":1}"#);
    let pace = Pace::default().with_repeatable_post();
    let response = client().send("cex", &request, pace).await.unwrap();
    assert_eq!((response.status, response.attempts), (200, 4));
    assert!(server.seen().iter().all(|seen| seen.body == r#"{"a":1}"#), "the body every time");
}

#[tokio::test]
async fn redirects_are_followed_so_far_and_no_further() {
    let hop = || Answer::new("302 Found", "Location: /next\r\n", "");
    let hops = |n| std::iter::repeat_with(hop).take(n).chain([Answer::ok(BODY)]);
    let server = Server::start(hops(5)).await;
    assert_eq!(get(&client(), &server).await.unwrap().body, BODY.as_bytes());
    let server = Server::start(hops(6)).await;
    let error = get(&client(), &server).await.unwrap_err();
    let message = "okx answered HTTP 302: it redirects to /next, which is not followed";
    assert_eq!(error.to_string(), message);
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_redirect_out_of_the_web_is_not_followed() {
    for target in ["ftp://127.0.0.1/x", "file:///etc/hosts", "data:,x"] {
        let headers = format!("Location: {target}\r\n");
        let server = Server::start([Answer::new("301 Moved", &headers, "")]).await;
        let error = get(&client(), &server).await.unwrap_err();
        assert!(
            matches!(error, ExchangeError::Exchange { status: 301, .. }),
            "{target}: {error:?}"
        );
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn parameters_out_of_range_are_named() {
    let refusal = |change: fn(&mut HttpClientParams)| {
        let mut params = HttpClientParams::default();
        change(&mut params);
        HttpClient::new(params).unwrap_err().to_string()
    };
    for (change, message) in [
        (
            (|p| p.timeout_ms = 0) as fn(&mut HttpClientParams),
            "parameter `timeout_ms` must be between 1 and 3600000, got 0",
        ),
        (
            |p| p.base_delay_ms = 20_001,
            "parameter `base_delay_ms` must be between 1 and 20000, got 20001",
        ),
        (
            |p| p.max_connections_per_host = 0,
            "parameter `max_connections_per_host` must be between 1 and 1024, got 0",
        ),
        (|p| p.max_retries = 21, "parameter `max_retries` must be between 0 and 20, got 21"),
        (
            |p| p.user_agent = "a\nb".to_owned(),
            "parameter `user_agent` must be visible ASCII, got a\\nb",
        ),
    ] {
        assert_eq!(refusal(change), message);
    }
    HttpClient::new(HttpClientParams::default()).unwrap();
}

#[test]
fn parameters_survive_json_and_refuse_unknown_names() {
    let params: HttpClientParams = serde_json::from_str(r#"{"max_retries": 1}"#).unwrap();
    assert_eq!(params, HttpClientParams { max_retries: 1, ..HttpClientParams::default() });
    assert!(serde_json::from_str::<HttpClientParams>(r#"{"max_retry": 1}"#).is_err());
}

/// What another process of the test below asks, through the proxy that its environment names.
#[tokio::test]
async fn one_request_by_the_environment() {
    let Ok(url) = std::env::var("FORECASTLE_TEST_URL") else { return };
    let params = HttpClientParams { proxy_from_environment: true, max_retries: 0, ..params() };
    let client = HttpClient::new(params).unwrap();
    match client.send("okx", &HttpRequest::get(url), Pace::default()).await {
        Ok(response) => println!("answer: {}", String::from_utf8(response.body).unwrap()),
        Err(error) => println!("error: {error}"),
    }
}

/// Runs the test above in a process of its own and gives what it printed.
pub(crate) async fn in_another_process(url: &str, environment: &[(&str, &str)]) -> String {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "http_client::one_request_by_the_environment", "--nocapture"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env("FORECASTLE_TEST_URL", url).envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn the_environments_proxy_is_used_but_not_for_this_machine() {
    let proxy = Server::start([Answer::ok("from the proxy")]).await;
    let server = Server::start([Answer::ok("from the server")]).await;
    let through = [("HTTP_PROXY", proxy.url.as_str())];
    let output = in_another_process("http://exchange.invalid/time", &through).await;
    assert!(output.contains("answer: from the proxy"), "{output}");
    let head = &proxy.seen()[0].head;
    assert!(head.starts_with("GET http://exchange.invalid/time HTTP/1.1"), "{head}");
    let output = in_another_process(&server.url, &through).await;
    assert!(output.contains("answer: from the server"), "{output}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn prop_any_bytes_of_a_server_end_in_an_answer_or_a_typed_error(
        start in prop::sample::select(vec!["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"]),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = runtime.block_on(async {
            let server = Server::start([Answer::raw([start.as_bytes(), &noise].concat())]).await;
            let params = HttpClientParams { max_retries: 1, timeout_ms: 2_000, ..params() };
            let client = HttpClient::new(params).unwrap();
            timeout(Duration::from_secs(20), get(&client, &server)).await
        });
        prop_assert!(ended.is_ok(), "no end");
    }
}
