use std::pin::Pin;

use forecastle_core::{Candle, CandleSeries, Timeframe, Timestamp};
use forecastle_market_data::{Faults, LiveCandles, LiveParams, LiveRequest};
use futures_core::Stream;

use crate::venue::{START, Terms, Venue, block_on, candles, next, take};

const MINUTE: Timeframe = Timeframe::MINUTE;

fn request(venue: &Venue) -> LiveRequest {
    LiveRequest::new(&venue.market.symbol, MINUTE)
}

fn begin(venue: &Venue, request: LiveRequest) -> LiveCandles {
    venue.client.live(request, venue.clock.clone()).unwrap()
}

/// Candle after candle; with each the delay that the report names then.
async fn take_with_delays(live: &mut LiveCandles, n: usize) -> (Vec<Candle>, Vec<i64>) {
    let (mut candles, mut delays) = (Vec::new(), Vec::new());
    for _ in 0..n {
        candles.push(next(live).await);
        delays.push(live.report().delay_ms.unwrap());
    }
    (candles, delays)
}

#[test]
fn a_poll_costs_one_request_of_few_rows_and_comes_at_the_close_plus_the_margin() {
    block_on(async {
        let venue = Venue::open(Terms::new(candles(MINUTE, 300, 100, |_| false)));
        let mut live = begin(&venue, request(&venue));
        let (got, delays) = take_with_delays(&mut live, 50).await;
        let first = venue.in_progress();
        assert_eq!(got, venue.expected[first..first + 50]);
        assert!(delays.iter().all(|delay| *delay == 2_000), "{delays:?}");
        let (report, served) = (live.report(), venue.server.statistics());
        assert_eq!((report.early_polls, report.clock_skew_ms), (0, Some(0)), "{report:?}");
        assert_eq!((report.polls, report.backfills), (report.candles, 0), "{report:?}");
        assert!(served.candle_requests <= 2 + report.polls, "{served:?} {report:?}");
        assert!(served.rows <= 2 * served.candle_requests + 1, "{served:?}");
    });
}

#[test]
fn everything_after_a_candle_comes_first() {
    for (before, faults) in [(3, Faults::none()), (3_000, Faults::none()), (2_000, Faults::many())]
    {
        block_on(async {
            let series = candles(MINUTE, 3_100, 2_000, |_| false);
            let venue = Venue::open(Terms { faults, ..Terms::new(series) });
            let place = venue.in_progress() - before;
            let after = venue.expected[place - 1].open_time();
            let mut live = begin(&venue, request(&venue).after(after));
            let got = take(&mut live, before + 20).await;
            assert_eq!(got, venue.expected[place..place + before + 20]);
            let report = live.report();
            assert!(report.backfills >= 1 && report.backfilled >= before as u64 - 1);
            assert_eq!((report.missing, report.out_of_order), (0, 0), "{report:?}");
        });
    }
}

#[test]
fn a_backfill_is_a_download_of_full_pages() {
    block_on(async {
        let venue = Venue::open(Terms::new(candles(MINUTE, 3_100, 10, |_| false)));
        let after = venue.expected[99].open_time();
        let mut live = begin(&venue, request(&venue).after(after));
        take(&mut live, 3_000).await;
        assert!(live.report().requests <= 8, "{:?}", live.report());
    });
}

#[test]
fn history_comes_first_and_no_more_of_it_than_asked_for() {
    for (before, wanted, expected) in [(500, 120, 120), (500, 1, 1), (30, 120, 30), (500, 0, 0)] {
        block_on(async {
            let venue = Venue::open(Terms::new(candles(MINUTE, before, 50, |_| false)));
            let mut live = begin(&venue, request(&venue).history(wanted));
            let got = take(&mut live, expected + 10).await;
            let place = venue.in_progress() - expected;
            assert_eq!(got, venue.expected[place..place + expected + 10], "{wanted}");
        });
    }
}

#[test]
fn history_jumps_gaps_and_leaves_what_is_not_final_to_the_next_poll() {
    block_on(async {
        // The candle before START closed 56 s ago: within the margin.
        let venue =
            Venue::open(Terms::new(candles(MINUTE, 500, 50, |place| (300..400).contains(&place))));
        let params = LiveParams { margin_ms: 60_000, ..LiveParams::default() };
        let mut live = begin(&venue, request(&venue).history(200).params(params));
        let got = take(&mut live, 210).await;
        let place = venue.in_progress() - 201;
        assert_eq!(got, venue.expected[place..place + 210]);
        let report = live.report();
        assert_eq!((report.gaps, report.missing), (1, 100), "{report:?}");
    });
}

#[test]
fn candles_that_the_exchange_does_not_have_are_asked_for_again_and_counted() {
    block_on(async {
        let missing = |place| [310, 320, 321].contains(&place);
        let venue = Venue::open(Terms::new(candles(MINUTE, 300, 100, missing)));
        let mut live = begin(&venue, request(&venue));
        let got = take(&mut live, 40).await;
        let first = venue.in_progress();
        assert_eq!(got, venue.expected[first..first + 40]);
        let report = live.report();
        assert_eq!((report.gaps, report.missing), (2, 3), "{report:?}");
    });
}

#[test]
fn a_market_without_trades_costs_a_few_requests_a_candle() {
    for (timeframe, most) in [(MINUTE, 8), (Timeframe::HOUR, 14), (Timeframe::DAY, 19)] {
        block_on(async {
            let missing = |place| (45..105).contains(&place);
            let venue = Venue::open(Terms::new(candles(timeframe, 40, 100, missing)));
            let request = LiveRequest::new(&venue.market.symbol, timeframe);
            let mut live = begin(&venue, request);
            let got = take(&mut live, 10).await;
            let first = venue.in_progress();
            assert_eq!(got, venue.expected[first..first + 10]);
            let report = live.report();
            assert_eq!((report.gaps, report.missing), (1, 60), "{report:?}");
            assert!(report.requests <= 10 + 61 * most, "{report:?}");
            assert!(report.early_polls >= 60 * (most - 3), "{report:?}");
        });
    }
}

#[test]
fn a_candle_that_is_published_late_comes_at_twice_its_lateness_at_most() {
    block_on(async {
        let change = |params: &mut forecastle_market_data::ReplayParams| params.delay_ms = 20_000;
        let series = candles(MINUTE, 300, 100, |_| false);
        let venue = Venue::open(Terms { change, ..Terms::new(series) });
        let mut live = begin(&venue, request(&venue));
        let (got, delays) = take_with_delays(&mut live, 40).await;
        let first = venue.place_of(got[0].open_time());
        assert_eq!(got, venue.expected[first..first + 40]);
        // Certain once the next one shows, or when it stays as it is.
        assert!(delays.iter().all(|delay| (20_000..=40_000).contains(delay)), "{delays:?}");
        assert_eq!(live.report().missing, 0);
    });
}

#[test]
fn a_feed_that_is_a_candle_behind_loses_none() {
    block_on(async {
        let change = |params: &mut forecastle_market_data::ReplayParams| params.delay_ms = 95_000;
        let series = candles(MINUTE, 300, 100, |_| false);
        let venue = Venue::open(Terms { change, ..Terms::new(series) });
        let mut live = begin(&venue, request(&venue));
        let got = take(&mut live, 40).await;
        let first = venue.place_of(got[0].open_time());
        assert_eq!(got, venue.expected[first..first + 40]);
        assert_eq!(live.report().missing, 0);
    });
}

#[test]
fn a_candle_that_is_revised_after_its_close_is_given_as_it_stays() {
    let gives = |margin_ms: u64| {
        block_on(async {
            let change =
                |params: &mut forecastle_market_data::ReplayParams| params.revision_ms = 1_500;
            let series = candles(MINUTE, 300, 100, |_| false);
            let venue = Venue::open(Terms { change, ..Terms::new(series) });
            let params = LiveParams { margin_ms, ..LiveParams::default() };
            let mut live = begin(&venue, request(&venue).params(params));
            let got = take(&mut live, 20).await;
            let first = venue.in_progress();
            got.iter().zip(&venue.expected[first..]).filter(|(got, last)| got == last).count()
        })
    };
    assert_eq!(gives(1_600), 20);
    assert_eq!(gives(0), 0, "without a margin none of them is final");
}

#[test]
fn an_exchange_that_gives_closed_candles_only_is_asked_once_for_each() {
    block_on(async {
        let change = |params: &mut forecastle_market_data::ReplayParams| params.unfinished = false;
        let series = candles(MINUTE, 300, 100, |_| false);
        let venue = Venue::open(Terms { change, ..Terms::new(series) });
        let mut live = begin(&venue, request(&venue));
        let (got, delays) = take_with_delays(&mut live, 30).await;
        let first = venue.in_progress();
        assert_eq!(got, venue.expected[first..first + 30]);
        // The first few are asked for twice: they stay as they are.
        assert!(delays.iter().skip(3).all(|delay| *delay == 2_000), "{delays:?}");
        let report = live.report();
        assert!(report.requests <= report.polls + 2 && report.early_polls == 3, "{report:?}");
    });
}

#[test]
fn a_newest_row_that_should_have_closed_is_taken_when_it_stays_as_it_is() {
    block_on(async {
        // After each candle with trades one without: no later row says that it is final.
        let series = candles(MINUTE, 300, 200, |place| place > 300 && place % 2 == 1);
        let venue = Venue::open(Terms::new(series));
        let mut live = begin(&venue, request(&venue));
        let (got, delays) = take_with_delays(&mut live, 30).await;
        let first = venue.in_progress();
        assert_eq!(got, venue.expected[first..first + 30]);
        assert!(delays.iter().all(|delay| *delay == 3_000), "{delays:?}");
    });
}

/// Candles of a timeframe whose opens are given, up to and beyond the test's beginning.
fn opening(timeframe: Timeframe, first: &str, n: i64) -> CandleSeries {
    let first: Timestamp = first.parse().unwrap();
    let rows = (0..n).map(|place| {
        let open = timeframe.step(first, place).unwrap();
        Candle::new(open, 2.0, 5.0 + place as f64, 1.0, 3.0, 1.0 + place as f64).unwrap()
    });
    CandleSeries::from_candles("A/B".parse().unwrap(), timeframe, rows).unwrap()
}

#[test]
fn candles_off_the_grid_of_midnight_and_calendar_months_come_in_time() {
    let days = opening(Timeframe::DAY, "2025-05-01T16:00:00Z", 100);
    let months = opening("1M".parse().unwrap(), "2024-01-01", 40);
    let weeks = opening("1w".parse().unwrap(), "2025-04-03", 60);
    for (id, series) in [("okx", days), ("binance", months), ("binance", weeks)] {
        block_on(async {
            let timeframe = series.timeframe();
            let venue = Venue::open(Terms { id, ..Terms::new(series) });
            let request = LiveRequest::new(&venue.market.symbol, timeframe);
            let mut live = begin(&venue, request);
            let (got, delays) = take_with_delays(&mut live, 12).await;
            let first = venue.in_progress();
            assert!(venue.expected[first].open_time() < START);
            assert_eq!(got, venue.expected[first..first + 12], "{timeframe}");
            assert!(delays.iter().all(|delay| *delay == 2_000), "{timeframe} {delays:?}");
            assert_eq!(live.report().early_polls, 0, "{timeframe}");
        });
    }
}

#[test]
fn it_is_a_stream() {
    block_on(async {
        let venue = Venue::open(Terms::new(candles(MINUTE, 300, 100, |_| false)));
        let mut live = begin(&venue, request(&venue));
        let first = venue.in_progress();
        for expected in &venue.expected[first..first + 5] {
            let item = std::future::poll_fn(|context| Pin::new(&mut live).poll_next(context));
            assert_eq!(item.await.unwrap().unwrap(), *expected);
        }
        let report = serde_json::to_value(live.report()).unwrap();
        assert_eq!(report["exchange"], "binance");
        assert!(report["last_candle"].as_i64().unwrap() >= START.as_millis());
    });
}
