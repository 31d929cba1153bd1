//! Servers that say nothing, refuse, lie or break off: the candles come all the same, and only what
//! is final ends a source.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use forecastle_market_data::ExchangeError;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::bench::{end, take};
use super::scripted::{Connection, Scripted};

/// A candle as bybit tells it before its close.
const IN_PROGRESS: &str = r#"{"topic":"kline.1.BTCUSDT","data":[{"start":1709251200000,"open":"2",
    "high":"3","low":"1","close":"2","volume":"1","turnover":"1","confirm":false}]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_acknowledges_is_left_and_the_candles_are_polled() {
    let bench = Scripted::start(|connection| Box::pin(connection.stay())).await;
    let mut candles = bench.live();
    let taken = take(&mut candles, 20).await;
    bench.check(&taken);
    let report = candles.report();
    assert!(report.errors_by_kind.contains_key("timed_out"), "{report:#?}");
    assert!(bench.connections() >= 2 && report.streamed == 0, "{report:#?}");
}

#[tokio::test]
async fn a_subscription_refused_for_its_symbol_ends_the_source() {
    let bench = Scripted::start(|mut connection: Connection| {
        Box::pin(async move {
            connection.hear().await;
            // As bybit answers.
            connection
                .send(
                    r#"{"success":false,"ret_msg":"error:handler not found,topic:kline.1.NO",
                        "conn_id":"1","req_id":"","op":"subscribe"}"#,
                )
                .await;
            connection.stay().await;
        })
    })
    .await;
    let error = end(&mut bench.live()).await;
    assert!(matches!(error, ExchangeError::UnknownSymbol { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_refused_for_another_reason_is_tried_again() {
    let bench = Scripted::start(|mut connection: Connection| {
        Box::pin(async move {
            if connection.number < 6 {
                connection.hear().await;
                let refusal = r#"{"success":false,"ret_msg":"too many","op":"subscribe"}"#;
                connection.send(refusal).await;
            } else {
                connection.acknowledge().await;
            }
            connection.stay().await;
        })
    })
    .await;
    let mut candles = bench.live();
    let mut taken = take(&mut candles, 5).await;
    let begun = Instant::now();
    while bench.connections() < 7 && begun.elapsed() < Duration::from_secs(30) {
        taken.extend(take(&mut candles, 1).await);
    }
    bench.check(&taken);
    let report = candles.report();
    assert!(report.errors_by_kind.get("exchange").is_some_and(|n| *n >= 6), "{report:#?}");
    assert!(report.last_error.is_some_and(|error| error.contains("too many")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_counted_and_a_connection_of_nothing_else_is_left() {
    let bench = Scripted::start(|mut connection: Connection| {
        Box::pin(async move {
            connection.acknowledge().await;
            for at in 0_u8..40 {
                connection.send_bytes(vec![0xFF, 0xFE, at]).await;
                connection.send("{\"topic\": \"kline.1.").await;
                connection.send("<html>maintenance</html>").await;
            }
            connection.stay().await;
        })
    })
    .await;
    let mut candles = bench.live();
    let taken = take(&mut candles, 10).await;
    bench.check(&taken);
    let report = candles.report();
    assert!(report.malformed_messages >= 32 && report.reconnects >= 1, "{report:#?}");
    // It was left after 16, and read no further.
    assert!(report.malformed_messages <= 16 * u64::try_from(bench.connections()).unwrap());
    assert!(report.errors_by_kind.contains_key("malformed"), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_too_long_ends_the_connection_and_takes_no_memory() {
    let bench = Scripted::start(|mut connection: Connection| {
        Box::pin(async move {
            connection.acknowledge().await;
            connection.send("x".repeat(2 << 20)).await;
            connection.stay().await;
        })
    })
    .await;
    let mut candles = bench.live();
    let taken = take(&mut candles, 5).await;
    bench.check(&taken);
    let report = candles.report();
    assert!(report.errors_by_kind.contains_key("too_large"), "{report:#?}");
    assert!(report.malformed_messages >= 1, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_speaks_something_else_is_no_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        }
    });
    let count = Arc::new(AtomicUsize::new(0));
    let bench = Scripted::at(&format!("ws://{address}"), count, |record| record);
    let mut candles = bench.live();
    let taken = take(&mut candles, 10).await;
    bench.check(&taken);
    let report = candles.report();
    assert!(report.errors > 0 && report.streamed == 0, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candles_that_cannot_be_are_not_given() {
    // Closed in the far future, off the grid, long ago, impossible prices; all said to be final.
    let bench = Scripted::start(|mut connection: Connection| {
        Box::pin(async move {
            connection.acknowledge().await;
            if connection.number > 0 {
                return connection.stay().await;
            }
            let topic = "kline.1.BTCUSDT";
            let far = 4_000_000_000_000_i64 / 60_000 * 60_000;
            let (off, past) = (1_709_251_200_000_i64 + 31 * 60_000 + 1, 1_709_251_200_000_i64);
            for (open, low) in [(far, 1), (off, 1), (past, 1), (past + 32 * 60_000, 9)] {
                connection
                    .send(format!(
                        r#"{{"topic":"{topic}","data":[{{"start":{open},"open":"2","high":"3",
                            "low":"{low}","close":"2","volume":"1","turnover":"1","confirm":true}}]}}"#
                    ))
                    .await;
            }
            connection.stay().await;
        })
    })
    .await;
    let mut candles = bench.live();
    let taken = take(&mut candles, 10).await;
    bench.check(&taken);
    let report = candles.report();
    assert_eq!((report.invalid, report.missing), (3, 0), "{report:#?}");
    assert_eq!(report.streamed, 0, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_at_once_are_made_ever_more_seldom() {
    let bench = Scripted::start(|mut connection: Connection| {
        Box::pin(async move { connection.acknowledge().await })
    })
    .await;
    let mut candles = bench.live();
    let begun = bench.clock.now();
    let taken = take(&mut candles, 20).await;
    bench.check(&taken);
    let minutes = bench.clock.now().millis_since(begun).unwrap() / 60_000;
    // Without back-off thousands; with it half a minute to a minute apart, after six quick ones.
    let most = usize::try_from(2 * minutes).unwrap() + 10;
    let made = bench.connections();
    assert!((5..most).contains(&made), "{made} connections in {minutes} minutes");
    assert!(candles.report().reconnects >= 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_are_sent_and_a_server_that_answers_them_is_not_left() {
    async fn tried(script: fn(Connection) -> super::scripted::Script) -> (usize, u64) {
        let change = |record: String| record.replace("every_ms = 20000", "every_ms = 10000");
        let bench = Scripted::with_record(script, change).await;
        let mut candles = bench.live();
        let begun = Instant::now();
        let mut taken = Vec::new();
        while begun.elapsed() < Duration::from_secs(3) {
            taken.extend(take(&mut candles, 1).await);
        }
        bench.check(&taken);
        (bench.connections(), candles.report().reconnects)
    }
    let answering = tried(|mut connection| {
        Box::pin(async move {
            connection.acknowledge().await;
            while let Some(text) = connection.hear().await {
                assert_eq!(text, r#"{"op":"ping"}"#);
                connection.send(r#"{"success":true,"ret_msg":"pong","op":"ping"}"#).await;
                // It has a word to say about candles now and then.
                connection.send(IN_PROGRESS).await;
            }
        })
    });
    assert_eq!(answering.await, (1, 0));
    let silent = tried(|mut connection| {
        Box::pin(async move {
            connection.acknowledge().await;
            connection.stay().await;
        })
    });
    let (connections, reconnects) = silent.await;
    assert!(connections >= 2 && reconnects >= 1, "{connections} {reconnects}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_pings_and_tells_no_candles_is_left() {
    let bench = Scripted::with_record(
        |mut connection| {
            Box::pin(async move {
                connection.acknowledge().await;
                while connection.hear().await.is_some() {
                    connection.send(r#"{"success":true,"ret_msg":"pong","op":"ping"}"#).await;
                }
            })
        },
        |record| record.replace("every_ms = 20000", "every_ms = 10000"),
    )
    .await;
    let mut candles = bench.live();
    let taken = take(&mut candles, 15).await;
    bench.check(&taken);
    let report = candles.report();
    assert!(report.reconnects >= 1 && report.streamed == 0, "{report:#?}");
    // A few candles each, not one.
    assert!(report.reconnects <= 6, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_pauses_loses_nothing_and_the_connection_lives_on() {
    let bench =
        super::bench::Setting::new("bybit", forecastle_market_data::MarketKind::Spot).start();
    let mut request = bench.request();
    request.params.capacity = 2;
    let mut candles =
        bench.client(super::bench::http()).live(request, bench.clock.clone()).unwrap();
    let mut taken = take(&mut candles, 3).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    taken.extend(take(&mut candles, 25).await);
    let first =
        bench.series.view().open_time().iter().position(|open| *open == taken[0].open_time());
    for (at, candle) in taken.iter().enumerate() {
        assert_eq!(*candle, bench.expected(first.unwrap() + at, false));
    }
    let report = candles.report();
    assert_eq!((report.missing, report.reconnects), (0, 0), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_source_closes_the_connection() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static GONE: AtomicBool = AtomicBool::new(false);
    let bench = Scripted::start(|mut connection: Connection| {
        Box::pin(async move {
            connection.acknowledge().await;
            connection.stay().await;
            GONE.store(true, Ordering::SeqCst);
        })
    })
    .await;
    let mut candles = bench.live();
    take(&mut candles, 2).await;
    assert!(!GONE.load(Ordering::SeqCst) && bench.connections() == 1);
    drop(candles);
    let begun = Instant::now();
    while !GONE.load(Ordering::SeqCst) && begun.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(GONE.load(Ordering::SeqCst), "the connection is still there");
}

#[tokio::test]
async fn what_is_not_streamed_ends_the_source_with_the_reason() {
    // No stream of these at all.
    let nowhere = Scripted::at("ws://127.0.0.1:9", Arc::default(), |record| {
        let (head, rest) = record.split_once("[[websocket]]").unwrap();
        let (_, markets) = rest.split_once("[[markets]]").unwrap();
        format!("{head}[[markets]]{markets}")
    });
    let error = end(&mut nowhere.live()).await;
    assert!(
        error.to_string().contains("no WebSocket stream of linear candles is known"),
        "{error}"
    );
}
