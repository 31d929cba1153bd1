//! Filling a range through a page callback.

use std::ops::Range;
use std::sync::Arc;

use forecastle_core::{Candle, Timestamp};
use forecastle_market_data::{
    CacheError, CacheFormat, CandleCache, Clock, FetchedPage, FillReport,
};

use crate::{backward, formats, forward, key_of, later, run, truth, whole, within};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_range_is_filled_from_either_end_and_a_second_run_fetches_nothing() {
    let truth = truth(1_000);
    let key = key_of(&truth);
    let clock: Clock = Arc::new(later);
    for format in formats() {
        for make in [forward, backward] {
            let root = tempfile::tempdir().unwrap();
            let cache = CandleCache::open(root.path(), format).unwrap();
            let middle = within(&truth, &(truth.view().open_time()[300]..later()))[..200].to_vec();
            let covered = middle[0].open_time()..middle[199].open_time();
            cache.append(&key, covered, &middle[..199], later()).unwrap();
            let go = || {
                let mut fetched: Vec<Candle> = Vec::new();
                let report = run(cache.fill(&key, whole(&truth), &clock, |hole| {
                    let page = make(&truth, hole, 64);
                    fetched.extend(&page.candles);
                    Box::pin(async move { Ok::<_, CacheError>(page) })
                }));
                (report.unwrap(), fetched)
            };
            let (report, fetched) = go();
            assert_eq!(fetched.len(), 801);
            assert!(fetched.iter().all(|candle| !middle[..199].contains(candle)));
            assert_eq!((report.cached, report.fetched, report.stored), (199, 801, 801));
            assert_eq!((report.revised, report.unchanged, report.unfinished), (0, 0, 0));
            assert_eq!(report.pages, 300_usize.div_ceil(64) + 501_usize.div_ceil(64));
            assert_eq!(cache.read(&key, whole(&truth)).unwrap().series, truth);
            let (again, fetched) = go();
            assert_eq!((again.cached, again.pages, fetched.len()), (1_000, 0, 0));
        }
    }
}

#[test]
fn what_has_not_closed_is_given_and_not_stored() {
    let truth = truth(200);
    let key = key_of(&truth);
    let root = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    let open = truth.view().open_time()[150];
    let fill = |now: Timestamp| -> FillReport {
        let clock: Clock = Arc::new(move || now);
        let known = truth.slice(0..151);
        let filled = cache.fill(&key, whole(&truth), &clock, |hole| {
            let page = forward(&known, hole, 40);
            Box::pin(async move { Ok::<_, CacheError>(page) })
        });
        run(filled).unwrap()
    };
    let report = fill(open.checked_add_millis(30_000).unwrap());
    assert_eq!((report.fetched, report.stored, report.unfinished), (151, 150, 1));
    let after = cache.missing(&key, whole(&truth)).unwrap();
    let closed = truth.timeframe().next_open(truth.view().open_time()[149]).unwrap();
    assert_eq!(after, [closed..whole(&truth).end]);
    // Half a minute later it has closed, and it alone is fetched.
    let report = fill(open.checked_add_millis(60_000).unwrap());
    assert_eq!((report.cached, report.fetched, report.stored, report.pages), (150, 1, 1, 1));
    assert_eq!(cache.read(&key, whole(&truth)).unwrap().series, truth.slice(0..151));
}

#[test]
fn silence_at_the_end_is_asked_for_again_until_it_is_a_day_old() {
    let truth = truth(10);
    let key = key_of(&truth);
    let root = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    let pages = |wanted: Range<Timestamp>, now: Timestamp| {
        let clock: Clock = Arc::new(move || now);
        let filled = cache.fill(&key, wanted, &clock, |hole| {
            let page = FetchedPage { candles: vec![], covered: hole };
            Box::pin(async move { Ok::<_, CacheError>(page) })
        });
        run(filled).unwrap().pages
    };
    let day = at("2024-03-01")..at("2024-03-02");
    assert_eq!(pages(day.clone(), at("2024-03-02T12:00:00Z")), 1);
    assert_eq!(cache.missing(&key, day.clone()).unwrap(), [at("2024-03-01T12:00:00Z")..day.end]);
    assert_eq!(pages(day.clone(), at("2024-03-03")), 1);
    assert_eq!(pages(day, at("2024-03-03")), 0);
}

#[test]
fn pages_that_arrived_before_an_error_stay() {
    let truth = truth(500);
    let key = key_of(&truth);
    let clock: Clock = Arc::new(later);
    let root = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    let mut pages = 0;
    let filled = cache.fill(&key, whole(&truth), &clock, |hole| {
        pages += 1;
        let page = match pages {
            4 => Err(CacheError::Invalid(forecastle_core::Error::Cancelled)),
            _ => Ok(forward(&truth, hole, 100)),
        };
        Box::pin(async move { page })
    });
    assert_eq!(run(filled).unwrap_err().to_string(), "cancelled");
    assert_eq!(cache.read(&key, whole(&truth)).unwrap().series, truth.slice(0..300));
}

#[test]
fn a_page_that_covers_nothing_it_was_asked_for_ends_the_download() {
    let clock: Clock = Arc::new(later);
    let root = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    let wanted = at("2024-01-01")..at("2024-01-02");
    let key = key_of(&truth(1));
    let filled = cache.fill(&key, wanted, &clock, |hole| {
        let page = FetchedPage { candles: vec![], covered: hole.end..at("2024-01-05") };
        Box::pin(async move { Ok::<_, CacheError>(page) })
    });
    assert_eq!(
        run(filled).unwrap_err().to_string(),
        "the candles from 2024-01-01T00:00:00Z until 2024-01-02T00:00:00Z were asked for, and the \
         page covers none"
    );
}

#[test]
fn pages_out_of_order_or_out_of_their_range_are_refused() {
    let truth = truth(10);
    let key = key_of(&truth);
    let root = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    let mut page = forward(&truth, whole(&truth), 10);
    let covered = page.covered.start..page.candles[9].open_time();
    let error = cache.append(&key, covered, &page.candles, later()).unwrap_err();
    assert!(error.to_string().starts_with("parameter `candles` must be within "), "{error}");
    page.candles.swap(3, 4);
    let error = cache.append(&key, page.covered, &page.candles, later()).unwrap_err();
    assert!(error.to_string().contains("does not come after"), "{error}");
    assert_eq!(cache.keys().unwrap(), []);
}
