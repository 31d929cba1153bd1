use forecastle_core::{Candle, CandleRequest, CandleSource, CandleSourceExt, Timeframe, Timestamp};
use forecastle_market_data::{
    CacheFormat, CandleCache, DownloadRequest, ExchangeError, Faults, MarketKind,
};
use proptest::prelude::*;

use crate::venue::{NOW, Terms, Venue, block_on, candles, market_of, open_exchange};

/// A forward, an exclusive, an end-counting, a windowed and a backward exchange.
const VENUES: [&str; 8] =
    ["binance", "kraken", "okx", "bitstamp", "upbit", "deribit", "extended", "bitbank"];

fn venue(
    id: &str,
    n: usize,
    missing: impl Fn(usize) -> bool,
    terms: Terms,
) -> (Venue, Vec<Candle>) {
    let exchange = open_exchange(id);
    let market = exchange.kinds().into_iter().find_map(|kind| market_of(&exchange, kind)).unwrap();
    let series = candles(Timeframe::MINUTE, n, &missing);
    let venue = Venue::open(&exchange, &market, &series, terms);
    let closed = |c: &Candle| c.open_time().as_millis() + 60_000 <= NOW.as_millis();
    (venue, series.view().iter().filter(closed).collect())
}

/// Which minutes, counted from the clock, one list has and the other lacks.
fn difference(got: &[Candle], wanted: &[Candle]) -> Option<String> {
    let (got, wanted) = (opens(got), opens(wanted));
    let back = |time: &Timestamp| (NOW.as_millis() - time.as_millis()) / 60_000;
    let lacking = |these: &[Timestamp], those: &[Timestamp]| -> Vec<i64> {
        these.iter().filter(|time| !those.contains(time)).map(back).collect()
    };
    (got != wanted).then(|| {
        format!("lost {:?}, too many {:?}", lacking(&wanted, &got), lacking(&got, &wanted))
    })
}

fn opens(candles: &[Candle]) -> Vec<Timestamp> {
    candles.iter().map(Candle::open_time).collect()
}

/// Each case opens a server; `PROPTEST_CASES` asks for more of them.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// Whatever the cap, the cursor, the gaps and the faults: every candle once, in order.
    #[test]
    fn prop_no_candle_is_lost_or_doubled(
        which in 0..VENUES.len(),
        n in 1_usize..900,
        cap in 1_u32..400,
        start in 0_usize..900,
        shift in -59_999_i64..60_000,
        length in proptest::option::of(1_usize..900),
        limit in proptest::option::of(1_usize..900),
        gap in (0_usize..900, 0_usize..300),
        seed in any::<u64>(),
    ) {
        // A cap of a few rows makes hundreds of requests of it; a day's file has no cap.
        let cap = if VENUES[which] == "bitbank" { 2_000 } else { cap.max(n as u32 / 20).max(2) };
        let missing = |place: usize| (gap.0..gap.0 + gap.1).contains(&place);
        let faults = Faults { seed, slow_pause_ms: 0, ..Faults::some() };
        let terms = Terms { faults, page_cap: Some(cap), ..Terms::default() };
        let (venue, all) = venue(VENUES[which], n, missing, terms);
        let first = Timestamp::from_millis(
            Timeframe::MINUTE.floor(NOW).unwrap().as_millis() - 60_000 * (n as i64 - start as i64) + shift,
        );
        let until = length.map(|l| Timestamp::from_millis(first.as_millis() + 60_000 * l as i64));
        let request = DownloadRequest::new(&venue.market.symbol, Timeframe::MINUTE)
            .since(first)
            .until(until)
            .limit(limit);
        let done = block_on(venue.client.download(&request)).unwrap();
        let wanted: Vec<Candle> = all
            .into_iter()
            .filter(|c| c.open_time() >= first && until.is_none_or(|until| c.open_time() < until))
            .take(limit.unwrap_or(usize::MAX))
            .collect();
        let got: Vec<Candle> = done.series.view().iter().collect();
        prop_assert_eq!(difference(&got, &wanted), None, "{} {:?}", VENUES[which], done.report);
        let closes = |candles: &[Candle]| candles.iter().map(Candle::close).collect::<Vec<_>>();
        prop_assert_eq!(closes(&got), closes(&wanted));
    }

    #[test]
    fn prop_the_newest_candles_are_the_newest(
        which in 0..VENUES.len(),
        n in 1_usize..700,
        limit in 1_usize..900,
        seed in any::<u64>(),
    ) {
        let faults = Faults { seed, slow_pause_ms: 0, ..Faults::some() };
        let terms = Terms { faults, ..Terms::default() };
        let (venue, all) = venue(VENUES[which], n, |_| false, terms);
        let request = DownloadRequest::new(&venue.market.symbol, Timeframe::MINUTE).limit(limit);
        let done = block_on(venue.client.download(&request)).unwrap();
        let got: Vec<Candle> = done.series.view().iter().collect();
        let surplus = all.len().saturating_sub(limit);
        prop_assert_eq!(difference(&got, &all[surplus..]), None, "{} {:?}", VENUES[which], done.report);
    }

    /// Interrupted at any page, and again: the cache ends with what one run would have given.
    #[test]
    fn prop_a_cached_download_asks_for_what_is_missing_only(
        which in 0..VENUES.len(),
        parts in proptest::collection::vec((0_i64..600, 1_i64..300), 1..4),
        seed in any::<u64>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let cache = CandleCache::open(folder.path(), CacheFormat::Csv).unwrap();
        let faults = Faults { seed, slow_pause_ms: 0, ..Faults::some() };
        let terms = Terms { faults, ..Terms::default() };
        // All of it older than a day: the cache trusts no silence that is younger.
        let (venue, all) = venue(VENUES[which], 2_100, |place| place % 97 == 5, terms);
        let start = all[0].open_time().as_millis();
        let ask = |from: i64, length: i64| {
            DownloadRequest::new(&venue.market.symbol, Timeframe::MINUTE)
                .since(Timestamp::from_millis(start + from * 60_000))
                .until(Timestamp::from_millis(start + (from + length) * 60_000))
        };
        for (from, length) in parts {
            block_on(venue.client.download_cached(&ask(from, length), &cache, |_| ())).unwrap();
        }
        let whole = ask(0, 590);
        let done = block_on(venue.client.download_cached(&whole, &cache, |_| ())).unwrap();
        let wanted: Vec<Candle> = all
            .iter()
            .copied()
            .filter(|c| c.open_time() < whole.until.unwrap())
            .collect();
        let got: Vec<Candle> = done.series.view().iter().collect();
        prop_assert_eq!(difference(&got, &wanted), None, "{} {:?}", VENUES[which], done.report);
        let before = venue.server.statistics().candle_requests;
        let again = block_on(venue.client.download_cached(&whole, &cache, |_| ())).unwrap();
        prop_assert_eq!(again.series, done.series);
        let after = venue.server.statistics().candle_requests;
        let key = cache.keys().unwrap().remove(0);
        let missing = cache.missing(&key, whole.since.unwrap()..whole.until.unwrap()).unwrap();
        prop_assert_eq!(after, before, "{:?} {:?}", missing, again.cache);
    }
}

#[test]
fn the_candle_in_progress_is_left_out_by_the_clock_unless_wanted() {
    let (venue, all) = venue("binance", 50, |_| false, Terms::default());
    let mut request =
        DownloadRequest::new(&venue.market.symbol, Timeframe::MINUTE).since(all[40].open_time());
    let done = block_on(venue.client.download(&request)).unwrap();
    assert_eq!((done.series.len(), done.report.unfinished), (10, 1));
    request.unfinished = true;
    let done = block_on(venue.client.download(&request)).unwrap();
    assert_eq!((done.series.len(), done.report.unfinished), (11, 0));
}

#[test]
fn a_pause_of_the_listing_is_walked_over_and_counted() {
    // Windowed: the exchange sees both ends, so that whole pages are empty.
    let missing = |place: usize| (100..2_300).contains(&place);
    let (venue, all) =
        venue("deribit", 2_400, missing, Terms { page_cap: Some(200), ..Terms::default() });
    let request =
        DownloadRequest::new(&venue.market.symbol, Timeframe::MINUTE).since(all[0].open_time());
    let done = block_on(venue.client.download(&request)).unwrap();
    assert_eq!(done.series.len(), all.len());
    assert_eq!((done.report.repair.gaps, done.report.repair.missing), (1, 2_200));
    assert!(done.report.empty_pages > 0, "{:?}", done.report);
}

#[test]
fn a_misspelt_symbol_is_answered_with_the_closest_one() {
    let (venue, _) = venue("kraken", 5, |_| false, Terms::default());
    let symbol = format!("{}T", venue.market.symbol);
    let error = block_on(venue.client.market(&symbol)).unwrap_err();
    let ExchangeError::UnknownSymbol { hint, .. } = &error else { panic!("{error}") };
    assert!(hint.is_some(), "{error}");
}

#[test]
fn it_is_a_candle_source_like_any_other() {
    let (venue, all) = venue("okx", 800, |_| false, Terms::default());
    let symbol = venue.market.symbol.parse().unwrap();
    let request = CandleRequest::new(symbol, Timeframe::MINUTE).since(all[0].open_time());
    let page = block_on(venue.client.fetch(&request)).unwrap();
    assert!(!page.is_empty() && page.len() < all.len());
    let fetched = block_on(venue.client.fetch_all(&request)).unwrap();
    assert_eq!(opens(&fetched), opens(&all));
}

#[test]
fn candles_for_holders_of_a_key_are_refused_before_anything_is_sent() {
    let exchange = forecastle_market_data::Exchange::find("luno").unwrap();
    let market = market_of(&exchange, MarketKind::Spot).unwrap();
    let series = candles(exchange.timeframes(MarketKind::Spot)[0], 5, |_| false);
    let venue = Venue::open(&exchange, &market, &series, Terms::default());
    let request = DownloadRequest::new(&market.symbol, series.timeframe());
    let error = block_on(venue.client.download(&request)).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("API key"), "{source}");
    assert_eq!(venue.server.statistics().candle_requests, 0);
}
