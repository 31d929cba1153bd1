use std::sync::atomic::{AtomicUsize, Ordering};

use forecastle_core::Timeframe;
use forecastle_market_data::{Exchange, Faults, LiveRequest, MarketKind};

use crate::venue::{Terms, Venue, block_on, candles, market_of, open_exchange, take};

const BEFORE: usize = 40;
const WANTED: usize = 30;

/// The shortest timeframe from a minute on.
fn timeframe_of(exchange: &Exchange, kind: MarketKind) -> Timeframe {
    let offered = exchange.timeframes(kind);
    *offered.iter().find(|t| t.nominal_millis() >= 60_000).unwrap()
}

/// Takes 30 candles of one kind of market, one by one as they close; gives what differs.
fn follow(id: &'static str, kind: MarketKind, faults: Faults) -> Result<(), String> {
    let exchange = open_exchange(id);
    let Some(market) = market_of(&exchange, kind) else { return Ok(()) };
    let timeframe = timeframe_of(&exchange, kind);
    let calm = faults == Faults::none();
    let series = candles(timeframe, BEFORE, 20 * WANTED, |_| false);
    let venue = Venue::of_market(Terms { id, faults, ..Terms::new(series) }, exchange, market);
    let request = LiveRequest::new(&venue.market.symbol, timeframe);
    block_on(async {
        let mut live =
            venue.client.live(request, venue.clock.clone()).map_err(|e| e.to_string())?;
        let got = take(&mut live, WANTED).await;
        // What the server says of a candle before its close is not what it says after.
        let first = venue.in_progress();
        let expected = &venue.expected[first..first + WANTED];
        if let Some((got, expected)) = got.iter().zip(expected).find(|(got, e)| got != e) {
            return Err(format!("{got:?} where {expected:?} was served, {:?}", live.report()));
        }
        let report = live.report();
        let sound = report.missing == 0 && report.duplicates == 0 && report.errors == 0;
        if calm && !(sound && report.backfilled == 0 && report.requests <= report.candles + 3) {
            return Err(format!("{report:?}"));
        }
        Ok(())
    })
}

fn follow_all(faults: impl Fn() -> Faults + Sync) {
    let mut jobs: Vec<(&'static str, MarketKind)> = Vec::new();
    for id in Exchange::ids() {
        let exchange = open_exchange(id);
        let kinds = exchange.kinds();
        let served: Vec<MarketKind> =
            kinds.iter().copied().filter(|kind| market_of(&exchange, *kind).is_some()).collect();
        assert!(!served.is_empty(), "{id} has no sample of a market");
        jobs.extend(served.iter().map(|kind| (id, *kind)));
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failures = Vec::new();
        while let Some((id, kind)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(failure) = follow(id, *kind, faults()) {
                failures.push(format!("{id} {kind}: {failure}"));
            }
        }
        failures
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), jobs.len(), failures.join("\n"));
    assert!(jobs.len() >= 120, "{}", jobs.len());
}

#[test]
fn every_exchange_gives_each_candle_once_for_one_request() {
    follow_all(Faults::none);
}

#[test]
fn every_exchange_gives_each_candle_once_through_faults() {
    follow_all(|| Faults { slow_pause_ms: 0, ..Faults::many() });
}
