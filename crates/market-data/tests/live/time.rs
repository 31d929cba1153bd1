use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use forecastle_core::{Timeframe, Timestamp};
use forecastle_market_data::{Faults, LiveClock, LiveRequest};

use crate::venue::{START, Terms, Venue, block_on, candles, next, take};

#[test]
fn a_clock_that_is_minutes_wrong_does_no_harm() {
    for id in ["binance", "kraken", "gemini", "upbit", "deribit", "bitstamp"] {
        for wrong in [90_000, -90_000, 600_000, -86_400_000] {
            block_on(async {
                let series = candles(Timeframe::MINUTE, 300, 100, |_| false);
                let venue = Venue::open(Terms { id, ..Terms::new(series) });
                let request = LiveRequest::new(&venue.market.symbol, Timeframe::MINUTE);
                let clock = venue.clock.clone().shifted(wrong);
                let mut live = venue.client.live(request, clock).unwrap();
                let first = venue.in_progress();
                for expected in &venue.expected[first..first + 30] {
                    assert_eq!(next(&mut live).await, *expected, "{id} {wrong}");
                    let report = live.report();
                    // The server's clock is never thought to be further than it is.
                    let skew = report.clock_skew_ms.unwrap();
                    assert!((-wrong - 1_000..=-wrong).contains(&skew), "{id} {wrong} {skew}");
                    assert_eq!(report.delay_ms, Some(2_000), "{id} {wrong}");
                }
                let report = live.report();
                assert_eq!((report.missing, report.duplicates, report.errors), (0, 0, 0));
                assert_eq!(report.backfills, 0, "{id} {wrong} {report:?}");
            });
        }
    }
}

#[test]
fn a_wrong_clock_hides_nothing_of_what_is_asked_for() {
    for wrong in [90_000, -90_000, -7_200_000] {
        block_on(async {
            let series = candles(Timeframe::MINUTE, 1_500, 1_000, |_| false);
            let venue = Venue::open(Terms { faults: Faults::some(), ..Terms::new(series) });
            let place = venue.in_progress() - 1_200;
            let after = venue.expected[place - 1].open_time();
            let request = LiveRequest::new(&venue.market.symbol, Timeframe::MINUTE).after(after);
            let clock = venue.clock.clone().shifted(wrong);
            let mut live = venue.client.live(request, clock).unwrap();
            let got = take(&mut live, 1_230).await;
            assert_eq!(got, venue.expected[place..place + 1_230], "{wrong}");
        });
    }
}

#[test]
fn a_replay_at_a_thousand_times_drives_the_same_code() {
    block_on(async {
        let series = candles(Timeframe::MINUTE, 300, 20_000, |_| false);
        let clock = LiveClock::accelerated(START, 1_000.0).unwrap();
        let terms = Terms { id: "kraken", clock, faults: Faults::some(), ..Terms::new(series) };
        let venue = Venue::open(terms);
        let request = LiveRequest::new(&venue.market.symbol, Timeframe::MINUTE);
        let mut live = venue.client.live(request, venue.clock.clone()).unwrap();
        let got = take(&mut live, 40).await;
        // On a busy machine minutes pass before the first answer.
        let first = venue.place_of(got[0].open_time());
        assert_eq!(got, venue.expected[first..first + 40]);
        assert!(first >= venue.in_progress());
        assert_eq!(live.report().missing, 0);
    });
}

#[test]
fn a_clock_that_is_set_while_it_runs_loses_and_doubles_none() {
    block_on(async {
        let server = LiveClock::accelerated(START, 2_000.0).unwrap();
        let wrong = Arc::new(AtomicI64::new(0));
        let series = candles(Timeframe::MINUTE, 300, 50_000, |_| false);
        let venue = Venue::open(Terms { clock: server.clone(), ..Terms::new(series) });
        let client = {
            let (server, wrong) = (server.clone(), wrong.clone());
            let clock = move || {
                let now = server.now().as_millis().saturating_add(wrong.load(Ordering::SeqCst));
                Timestamp::from_millis(now)
            };
            LiveClock::with_speed(Arc::new(clock), 2_000.0).unwrap()
        };
        let request = LiveRequest::new(&venue.market.symbol, Timeframe::MINUTE);
        let mut live = venue.client.live(request, client).unwrap();
        let mut got = Vec::new();
        for shift in [0, 40_000, 90_000_000, -300_000, -90_000_000, 0] {
            wrong.store(shift, Ordering::SeqCst);
            got.extend(take(&mut live, 4).await);
        }
        let first = venue.place_of(got[0].open_time());
        assert_eq!(got, venue.expected[first..first + got.len()]);
        assert_eq!(live.report().missing, 0);
    });
}

#[test]
fn a_thousand_markets_share_one_client() {
    const MARKETS: usize = 1_000;
    block_on(async {
        let series = candles(Timeframe::HOUR, 50, 500, |_| false);
        let clock = LiveClock::accelerated(START, 2_000.0).unwrap();
        let venue = Venue::open(Terms { clock, ..Terms::new(series) });
        let request = LiveRequest::new(&venue.market.symbol, Timeframe::HOUR);
        let start = || venue.client.live(request.clone(), venue.clock.clone()).unwrap();
        let mut all: Vec<_> = (0..MARKETS).map(|_| start()).collect();
        for live in &mut all {
            let got = take(live, 3).await;
            let first = venue.place_of(got[0].open_time());
            assert_eq!(got, venue.expected[first..first + 3]);
            assert_eq!(live.report().missing, 0);
        }
        drop(all);
        let served = venue.server.statistics();
        assert!(served.market_requests <= 3, "the list of markets is shared: {served:?}");
    });
}
