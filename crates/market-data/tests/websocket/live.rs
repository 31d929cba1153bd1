//! Each exchange's stream from a local server: every candle once, in order, as it was served.

use std::collections::BTreeMap;
use std::time::Duration;

use forecastle_market_data::{Faults, LiveClock, MarketKind, ReplayStreams, StreamFaultKind};

use super::bench::{Bench, Setting, http, take};

/// The ten exchanges, and how each counts the volume of what is tried here.
const MARKETS: [(&str, MarketKind, bool); 14] = [
    ("binance", MarketKind::Spot, false),
    ("binance", MarketKind::Linear, false),
    ("bybit", MarketKind::Linear, false),
    ("okx", MarketKind::Spot, false),
    ("okx", MarketKind::Inverse, false),
    ("kraken", MarketKind::Spot, false),
    ("coinbase", MarketKind::Spot, false),
    ("bitget", MarketKind::Spot, false),
    ("gate", MarketKind::Spot, false),
    ("gate", MarketKind::Linear, true),
    ("kucoin", MarketKind::Spot, false),
    ("mexc", MarketKind::Spot, false),
    ("mexc", MarketKind::Linear, true),
    ("hyperliquid", MarketKind::Linear, false),
];

async fn consecutive(
    bench: &Bench,
    contracts: bool,
    n: usize,
) -> forecastle_market_data::LiveReport {
    let mut candles = bench.live();
    let taken = take(&mut candles, n).await;
    let id = bench.exchange.id();
    let view = bench.series.view();
    let first = view.open_time().iter().position(|open| *open == taken[0].open_time()).unwrap();
    // The one in progress, or one that closed while the connection was made.
    assert!((bench.first..bench.first + 20).contains(&first), "{id}: begins with {first}");
    for (at, candle) in taken.iter().enumerate() {
        let expected = bench.expected(first + at, contracts);
        assert_eq!(*candle, expected, "{id}: {at}: {:#?}", candles.report());
    }
    candles.report()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candles_come_from_the_stream_of_each_exchange() {
    const N: usize = 30;
    let benches = MARKETS
        .map(|(exchange, kind, contracts)| (Setting::new(exchange, kind).start(), contracts));
    let tried = benches.into_iter().map(|(bench, contracts)| {
        tokio::spawn(async move {
            let report = consecutive(&bench, contracts, N).await;
            let market = &bench.market;
            let channel = bench.exchange.candle_channel(market, bench.series.timeframe()).unwrap();
            let flagged = channel.says_closed();
            (bench.exchange.id().to_owned(), report, bench.server.stop(), flagged)
        })
    });
    for tried in tried.collect::<Vec<_>>() {
        let (id, report, statistics, flagged) = tried.await.unwrap();
        assert_eq!(report.malformed_messages + report.reconnects, 0, "{id}: {report:#?}");
        assert_eq!(report.errors_by_kind, BTreeMap::new(), "{id}: {:?}", report.last_error);
        assert_eq!((report.missing, report.invalid), (0, 0), "{id}: {report:#?}");
        // A machine that is busy may let the margin pass first, now and then.
        let n = u64::try_from(N).unwrap();
        assert!(report.streamed * 2 > n, "{id}: {report:#?}");
        // Where the stream says what has closed it is believed; else one request asks.
        let asked = if flagged { n - report.streamed } else { n };
        assert!(report.requests <= asked + n / 2, "{id}: {report:#?}");
        assert_eq!(statistics.connections, 1, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_candles_come_whole_through_every_fault_of_streams_and_answers() {
    const N: usize = 200;
    let benches = MARKETS.into_iter().enumerate().map(|(at, (exchange, kind, contracts))| {
        use StreamFaultKind::*;
        let mut streams = ReplayStreams::of(StreamFaultKind::ALL, 0.02);
        streams.probabilities.extend([(Refused, 0.3), (Unacknowledged, 0.1)]);
        streams.probabilities.extend([(Silent, 0.003), (Oversized, 0.003), (Dropped, 0.01)]);
        (streams.update_ms, streams.seed) = (15_000, at as u64);
        let setting = Setting {
            candles: N,
            pace: Duration::from_millis(80),
            faults: if at % 2 == 0 { Faults::some() } else { Faults::none() },
            streams,
            ..Setting::new(exchange, kind)
        };
        (setting.start(), contracts)
    });
    let tried = benches.collect::<Vec<_>>().into_iter().map(|(bench, contracts)| {
        tokio::spawn(async move {
            let report = consecutive(&bench, contracts, N).await;
            (bench.exchange.id().to_owned(), report, bench.server.stop())
        })
    });
    let mut met: BTreeMap<StreamFaultKind, u64> = BTreeMap::new();
    for tried in tried.collect::<Vec<_>>() {
        let (id, report, statistics) = tried.await.unwrap();
        assert_eq!((report.missing, report.gaps), (0, 0), "{id}: {report:#?}");
        assert!(report.reconnects > 0 && report.malformed_messages > 0, "{id}: {report:#?}");
        assert!(report.streamed > 0, "{id}: {report:#?}");
        for (kind, count) in statistics.stream_faults {
            *met.entry(kind).or_default() += count;
        }
    }
    for kind in StreamFaultKind::ALL {
        assert!(met.get(&kind).is_some_and(|count| *count > 0), "{kind}: {met:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_minutes_wrong_does_no_harm() {
    const N: usize = 20;
    for (exchange, wrong_ms) in
        [("okx", 90_000), ("okx", -90_000), ("bitget", 90_000), ("bitget", -90_000)]
    {
        let bench = Setting::new(exchange, MarketKind::Spot).start();
        let clock = bench.clock.clone().shifted(wrong_ms);
        let mut candles = bench.client(http()).live(bench.request(), clock).unwrap();
        let taken = take(&mut candles, N).await;
        let view = bench.series.view();
        let opens = view.open_time();
        let first = opens.iter().position(|open| *open == taken[0].open_time()).unwrap();
        for (at, candle) in taken.iter().enumerate() {
            assert_eq!(Some(*candle), view.candle(first + at), "{exchange} {wrong_ms} {at}");
        }
        let report = candles.report();
        assert_eq!((report.missing, report.invalid), (0, 0), "{report:#?}");
        assert!(report.streamed > 5, "{exchange} {wrong_ms}: {report:#?}");
        // The latest closed just now.
        let last = opens[first + N];
        let passed = bench.clock.now().millis_since(last).unwrap();
        assert!(
            (0..300_000).contains(&passed),
            "{exchange} {wrong_ms}: {passed} ms after its close"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_meanwhile_does_no_harm() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    let bench = Setting::new("bybit", MarketKind::Spot).start();
    let set = Arc::new(AtomicI64::new(0));
    let (shift, right) = (set.clone(), bench.clock.clock());
    let wrong = Arc::new(move || {
        let shifted = right().as_millis() + shift.load(Ordering::SeqCst);
        forecastle_core::Timestamp::from_millis(shifted)
    });
    let clock = LiveClock::with_speed(wrong, bench.clock.speed()).unwrap();
    let mut candles = bench.client(http()).live(bench.request(), clock).unwrap();
    let mut taken = take(&mut candles, 5).await;
    for shift in [-3_600_000, 1_800_000, 0] {
        set.store(shift, Ordering::SeqCst);
        taken.extend(take(&mut candles, 12).await);
    }
    let view = bench.series.view();
    let first = view.open_time().iter().position(|open| *open == taken[0].open_time()).unwrap();
    for (at, candle) in taken.iter().enumerate() {
        assert_eq!(Some(*candle), view.candle(first + at), "{at}: {:#?}", candles.report());
    }
}
