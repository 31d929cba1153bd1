//! A cache in front of a source that lives on.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use forecastle_core::{
    BoxFuture, Candle, CandleRequest, CandleSeries, CandleSource, CandleSourceExt, Result,
    Timeframe, Timestamp,
};
use forecastle_market_data::{
    CacheFormat, CachedSource, CandleCache, SeriesMetadata, SeriesSource,
};
use proptest::prelude::*;

use crate::{later, run, truth, whole, within};

/// An exchange at an instant: later candles do not exist yet, the last may not have closed.
#[derive(Debug)]
struct Live {
    truth: CandleSeries,
    timeframes: [Timeframe; 1],
    page_limit: usize,
    now: Arc<AtomicI64>,
    asked: Mutex<Vec<CandleRequest>>,
}

impl Live {
    fn new(truth: CandleSeries, page_limit: usize) -> Self {
        let now = Arc::new(AtomicI64::new(later().as_millis()));
        let timeframes = [truth.timeframe()];
        Self { truth, timeframes, page_limit, now, asked: Mutex::default() }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }

    /// What can be seen now; an unfinished candle has other numbers.
    fn visible(&self) -> SeriesSource {
        let now = self.now();
        let seen = self.truth.view().iter().filter(|c| c.open_time() <= now).map(|c| {
            let open = c.open();
            match self.truth.timeframe().next_open(c.open_time()) {
                Some(close) if close <= now => c,
                _ => Candle::new(c.open_time(), open, open, open, open, 0.5).unwrap(),
            }
        });
        let (symbol, timeframe) = (self.truth.symbol().clone(), self.truth.timeframe());
        let series = CandleSeries::from_candles(symbol, timeframe, seen).unwrap();
        SeriesSource::new("live", series).with_page_limit(self.page_limit).unwrap()
    }

    fn asked(&self) -> Vec<CandleRequest> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl CandleSource for Live {
    fn id(&self) -> &str {
        "live"
    }

    fn timeframes(&self) -> &[Timeframe] {
        &self.timeframes
    }

    fn fetch<'a>(&'a self, request: &'a CandleRequest) -> BoxFuture<'a, Result<Vec<Candle>>> {
        self.asked.lock().unwrap().push(request.clone());
        let page = self.visible().page(request);
        Box::pin(async move { page })
    }
}

fn cached(root: &tempfile::TempDir, live: Live) -> CachedSource<Live> {
    let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    let now = Arc::clone(&live.now);
    let clock = Arc::new(move || Timestamp::from_millis(now.load(Ordering::Relaxed)));
    CachedSource::new(cache, live, clock)
}

fn request(series: &CandleSeries) -> CandleRequest {
    CandleRequest::new(series.symbol().clone(), series.timeframe())
}

#[test]
fn a_second_download_asks_for_nothing() {
    let truth = truth(500);
    let root = tempfile::tempdir().unwrap();
    let source = cached(&root, Live::new(truth.clone(), 70));
    let all = request(&truth).since(whole(&truth).start).until(whole(&truth).end);
    let expected: Vec<Candle> = truth.view().iter().collect();
    assert_eq!(run(source.fetch_all(&all)).unwrap(), expected);
    assert_eq!(source.inner().asked().len(), 9);
    assert_eq!(run(source.fetch_all(&all)).unwrap(), expected);
    assert_eq!(run(source.fetch(&all)).unwrap(), expected);
    assert_eq!(source.inner().asked(), []);
    // Another process finds it too.
    let source = cached(&root, Live::new(truth.clone(), 70));
    assert_eq!(run(source.fetch(&all.limit(100))).unwrap(), expected[..100]);
    assert_eq!(source.inner().asked(), []);
}

#[test]
fn only_the_holes_are_asked_for() {
    let truth = truth(500);
    let root = tempfile::tempdir().unwrap();
    let source = cached(&root, Live::new(truth.clone(), 1_000));
    let time = |row: usize| truth.view().open_time()[row];
    for rows in [50..100, 200..300] {
        let part = request(&truth).since(time(rows.start)).until(time(rows.end));
        assert_eq!(run(source.fetch_all(&part)).unwrap().len(), rows.len());
    }
    source.inner().asked();
    let all = request(&truth).since(time(0)).until(time(400));
    let expected = within(&truth, &(time(0)..time(400)));
    assert_eq!(run(source.fetch_all(&all)).unwrap(), expected);
    let next = |row: usize| truth.timeframe().next_open(time(row)).unwrap();
    let asked: Vec<_> = source.inner().asked().iter().map(|r| (r.since, r.until)).collect();
    // After a page the rest of a hole is asked for, unless the page reaches its end.
    let mut holes = Vec::new();
    for hole in [0..50, 100..200, 300..400] {
        holes.push((Some(time(hole.start)), Some(time(hole.end))));
        if next(hole.end - 1) < time(hole.end) {
            holes.push((Some(next(hole.end - 1)), Some(time(hole.end))));
        }
    }
    assert_eq!(asked, holes);
}

#[test]
fn the_unfinished_candle_is_served_and_never_kept() {
    let truth = truth(300);
    let root = tempfile::tempdir().unwrap();
    let source = cached(&root, Live::new(truth.clone(), 100));
    let all = request(&truth).since(whole(&truth).start);
    let open = truth.view().open_time()[250].as_millis();
    source.inner().now.store(open + 30_000, Ordering::Relaxed);
    let first = run(source.fetch_all(&all)).unwrap();
    assert_eq!(first.len(), 251);
    assert_ne!(first[250], truth.view().candle(250).unwrap());
    source.inner().now.store(open + 60_000, Ordering::Relaxed);
    let seen = source.inner().visible();
    source.inner().asked();
    assert_eq!(
        run(source.fetch_all(&all)).unwrap(),
        seen.series().view().iter().collect::<Vec<_>>()
    );
    let asked = source.inner().asked();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].since >= truth.timeframe().next_open(truth.view().open_time()[249]));
}

#[test]
fn the_newest_are_completed_from_the_cache() {
    let truth = truth(300);
    let root = tempfile::tempdir().unwrap();
    let source = cached(&root, Live::new(truth.clone(), 100));
    let expected: Vec<Candle> = truth.view().iter().collect();
    let newest = request(&truth).limit(250);
    assert_eq!(run(source.fetch(&newest)).unwrap(), expected[200..]);
    run(source.fetch_all(&request(&truth).since(expected[20].open_time()))).unwrap();
    source.inner().asked();
    assert_eq!(run(source.fetch(&newest)).unwrap(), expected[50..]);
    assert_eq!(source.inner().asked().len(), 1);
    let known = newest.until(expected[280].open_time());
    assert_eq!(run(source.fetch(&known)).unwrap(), expected[30..280]);
    assert_eq!(source.inner().asked(), []);
    // Before the first candle that the cache knows, the source is asked.
    let older = request(&truth).limit(10).until(expected[25].open_time());
    assert_eq!(run(source.fetch(&older)).unwrap(), expected[15..25]);
    assert_eq!(source.inner().asked().len(), 1);
}

#[test]
fn a_source_of_another_kind_is_refused() {
    let truth = truth(10);
    let root = tempfile::tempdir().unwrap();
    let of_unit = |unit: &str| {
        let volume_unit = Some(unit.to_owned());
        cached(&root, Live::new(truth.clone(), 100))
            .with_metadata(SeriesMetadata { volume_unit, ..Default::default() })
    };
    let newest = request(&truth);
    assert_eq!(run(of_unit("base").fetch(&newest)).unwrap().len(), 10);
    let error = run(of_unit("quote").fetch(&newest)).unwrap_err();
    assert_eq!(error.to_string(), "the download cache failed");
    assert_eq!(run(of_unit("base").fetch(&newest)).unwrap().len(), 10);
}

#[derive(Debug, Clone)]
struct Ask {
    since: Option<i64>,
    length: Option<i64>,
    limit: Option<usize>,
    minutes_later: i64,
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let since = prop::option::weighted(0.8, -20..450_i64);
    let length = prop::option::of(0..200_i64);
    let limit = prop::option::of(0..120_usize);
    (since, length, limit, 0..60_i64).prop_map(|(since, length, limit, minutes_later)| Ask {
        since,
        length,
        limit,
        minutes_later,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn prop_a_cached_source_answers_as_the_source_does(
        asks in prop::collection::vec(any_ask(), 1..14),
        page_limit in 1..60_usize,
    ) {
        let truth = truth(300);
        let begin = truth.view().open_time()[0].as_millis();
        let minute = |at: i64| Timestamp::from_millis(begin + at * 60_000);
        let root = tempfile::tempdir().unwrap();
        let source = cached(&root, Live::new(truth.clone(), page_limit));
        let mut now = begin + 6_000_000;
        for ask in asks {
            now += ask.minutes_later * 60_000 + 7_000;
            source.inner().now.store(now, Ordering::Relaxed);
            let visible = source.inner().visible();
            let mut wanted = request(&truth);
            wanted.since = ask.since.map(minute);
            wanted.until = ask.length.map(|length| minute(ask.since.unwrap_or(100) + length));
            wanted.limit = ask.limit;
            let expected = run(visible.fetch_all(&wanted)).unwrap();
            let page = run(source.fetch(&wanted)).unwrap();
            prop_assert!(page.len() <= ask.limit.unwrap_or(usize::MAX));
            if ask.since.is_some() {
                prop_assert_eq!(&run(source.fetch_all(&wanted)).unwrap(), &expected);
                prop_assert!(expected.starts_with(&page));
                prop_assert_eq!(page.is_empty(), expected.is_empty());
            } else {
                // The same newest ones, and as many before them as the cache could add.
                prop_assert!(page.ends_with(&expected));
                let all = visible.series().view().iter().filter(|c| {
                    wanted.until.is_none_or(|until| c.open_time() < until)
                });
                prop_assert!(all.collect::<Vec<_>>().ends_with(&page));
            }
        }
    }
}
