use std::ops::Range;

use forecastle_core::{BoxFuture, Candle, Timestamp};

use super::coverage::{Coverage, intersection};
use super::{CacheError, CacheKey, CandleCache, Clock, FillReport};

/// Holds a page as a download gives it, and the range that it answers for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchedPage {
    /// All candles that exist within `covered`, in increasing time.
    pub candles: Vec<Candle>,
    /// The range that was asked for, as far as the page reaches.
    pub covered: Range<Timestamp>,
}

impl CandleCache {
    /// Fetches what is missing of a range, page by page, and stores each page when it arrives.
    ///
    /// `fetch` is called with the first missing part of the range and gives a page that covers
    /// some of it: from its beginning, back from its end, or all. Parts that the cache holds are
    /// checked first; damaged files are set aside and fetched again. What is not final by the
    /// clock is fetched and not stored, see [`append`](Self::append).
    ///
    /// Dropping the future between two pages, an error or a kill loses no page that has arrived.
    ///
    /// # Errors
    /// - [`CacheError::Stalled`] when a page covers nothing of what it was asked for.
    /// - Those of [`append`](Self::append) and of `fetch`.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use forecastle_market_data::{
    ///     CacheError, CacheFormat, CacheKey, CandleCache, Clock, FetchedPage,
    /// };
    ///
    /// # fn block_on<T>(future: impl Future<Output = T>) -> T {
    /// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// #     match std::pin::pin!(future).poll(&mut context) {
    /// #         std::task::Poll::Ready(value) => value,
    /// #         std::task::Poll::Pending => unreachable!(),
    /// #     }
    /// # }
    /// # let folder = tempfile::tempdir()?;
    /// let cache = CandleCache::open(folder.path(), CacheFormat::Csv)?;
    /// let key = CacheKey::new("quiet", "A/B".parse()?, "1h".parse()?)?;
    /// let now = "2024-06-01".parse()?;
    /// let clock: Clock = Arc::new(move || now);
    /// let january = "2024-01-01".parse()?.."2024-02-01".parse()?;
    /// let mut asked = 0;
    /// for _ in 0..2 {
    ///     let filled = cache.fill(&key, january.clone(), &clock, |hole| {
    ///         asked += 1;
    ///         let page = FetchedPage { candles: vec![], covered: hole };
    ///         Box::pin(async move { Ok::<_, CacheError>(page) })
    ///     });
    ///     block_on(filled)?;
    /// }
    /// assert_eq!(asked, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn fill<'a, E, F>(
        &self,
        key: &CacheKey,
        wanted: Range<Timestamp>,
        clock: &Clock,
        mut fetch: F,
    ) -> Result<FillReport, E>
    where
        E: From<CacheError>,
        F: FnMut(Range<Timestamp>) -> BoxFuture<'a, Result<FetchedPage, E>>,
    {
        let mut report = FillReport::default();
        (report.cached, report.quarantined) = self.verify(key, &wanted)?;
        // What was asked for in this run, whether it is final or not.
        let mut asked = Coverage::default();
        loop {
            let mut known = self.coverage(key)?;
            asked.ranges().iter().for_each(|range| known.insert(range.clone()));
            let Some(hole) = known.missing(&wanted).into_iter().next() else { break };
            // The time before the request: what closes while it runs may be given unfinished.
            let now = clock();
            let page = fetch(hole.clone()).await?;
            if intersection(&page.covered, &hole).is_none() {
                let (since, until) = (hole.start, hole.end);
                return Err(CacheError::Stalled { since, until }.into());
            }
            let appended = self.append(key, page.covered.clone(), &page.candles, now)?;
            asked.insert(page.covered);
            report.pages += 1;
            report.fetched += page.candles.len();
            report.stored += appended.stored;
            report.revised += appended.revised;
            report.unchanged += appended.unchanged;
            report.unfinished += appended.unfinished;
            report.quarantined.extend(appended.quarantined);
        }
        Ok(report)
    }
}
