//! Each exchange's stream from a local server: every candle once, in order, as it was served.

use std::collections::BTreeMap;
use std::time::Duration;

use forecastle_market_data::{Faults, MarketKind, ReplayStreams, StreamFaultKind};

use super::bench::{Bench, Setting, take};

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
            (bench.exchange.id().to_owned(), report, bench.server.stop())
        })
    });
    for tried in tried.collect::<Vec<_>>() {
        let (id, report, statistics) = tried.await.unwrap();
        assert_eq!(report.malformed_messages + report.reconnects, 0, "{id}: {report:#?}");
        assert_eq!(report.errors_by_kind, BTreeMap::new(), "{id}: {:?}", report.last_error);
        assert_eq!((report.missing, report.invalid), (0, 0), "{id}: {report:#?}");
        // A machine that is busy may let the margin pass first, now and then.
        assert!(report.streamed * 2 > u64::try_from(N).unwrap(), "{id}: {report:#?}");
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
