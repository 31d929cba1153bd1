use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use forecastle_core::{
    BoxFuture, Candle, CandleRequest, CandleSource, Result, Timeframe, Timestamp,
};

use super::{CacheKey, CandleCache, SeriesMetadata};

/// Tells the time to what must not look at a clock by itself.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Serves candles from a cache and asks another source only for what is missing.
///
/// The series is named after the inner source's id. A page that arrives is stored before it is
/// given on. Candles that have not closed by the clock are given on and never stored, so the
/// answers are those of the inner source.
///
/// # Which part is asked for
/// - With `since`, candles come from the cache up to the first hole, and from the inner source for
///   each hole, until `limit` is reached; without a limit, until one page has been fetched.
/// - Without `since` the newest candles are wanted, which only the inner source knows, unless
///   `until` lies in time that the cache covers. A page shorter than `limit` is completed with
///   the candles before it where the cache has them.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use forecastle_core::{CandleRequest, CandleSource};
/// use forecastle_market_data::{
///     CacheFormat, CachedSource, CandleCache, SeriesSource, Simulator, SimulatorParams,
/// };
///
/// # let folder = tempfile::tempdir()?;
/// let simulator = Simulator::new(SimulatorParams { n: 100, ..Default::default() })?;
/// let now = "2024-06-01".parse()?;
/// let cache = CandleCache::open(folder.path(), CacheFormat::Csv)?;
/// let source = CachedSource::new(cache, SeriesSource::simulated(&simulator)?, Arc::new(move || now));
/// assert_eq!(source.id(), "simulator");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CachedSource<S> {
    cache: CandleCache,
    source: S,
    clock: Clock,
    metadata: SeriesMetadata,
}

impl<S: CandleSource> CachedSource<S> {
    /// Puts a cache in front of a source.
    pub fn new(cache: CandleCache, source: S, clock: Clock) -> Self {
        Self { cache, source, clock, metadata: SeriesMetadata::default() }
    }

    /// This source, which records what its candles are made from and refuses to mix them with
    /// cached ones of another kind.
    pub fn with_metadata(self, metadata: SeriesMetadata) -> Self {
        Self { metadata, ..self }
    }

    /// The source behind the cache.
    pub fn inner(&self) -> &S {
        &self.source
    }

    /// The cache.
    pub fn cache(&self) -> &CandleCache {
        &self.cache
    }

    /// Asks the source and stores what it gave, answering for `covered` of the page.
    async fn ask(
        &self,
        key: &CacheKey,
        request: &CandleRequest,
        covered: impl FnOnce(&[Candle]) -> Option<Range<Timestamp>>,
    ) -> Result<Vec<Candle>> {
        // Before the request: a candle that closes while it runs may be given unfinished.
        let now = (self.clock)();
        let page = self.source.fetch(request).await?;
        if let Some(covered) = covered(&page) {
            self.cache.append(key, covered, &page, now)?;
        }
        Ok(page)
    }

    async fn first_from(
        &self,
        key: &CacheKey,
        request: &CandleRequest,
        since: Timestamp,
    ) -> Result<Vec<Candle>> {
        let until = request.until.unwrap_or(END);
        let limit = request.limit.unwrap_or(usize::MAX);
        let mut candles: Vec<Candle> = Vec::new();
        let mut cursor = since;
        while cursor < until && candles.len() < limit {
            let left = limit - candles.len();
            let coverage = self.cache.coverage(key)?;
            if let Some(known) = coverage.around(cursor) {
                let part = cursor..known.end.min(until);
                let found = self.cache.read_first(key, &part, left)?;
                // A damaged file has just become a hole: look again.
                if found.uncovered.is_empty() {
                    candles.extend(found.candles);
                    cursor = part.end;
                }
                continue;
            }
            let hole = cursor..coverage.next_start(cursor).map_or(until, |start| start.min(until));
            let mut page = request.clone().since(cursor);
            page.until = (hole.end < END).then_some(hole.end);
            page.limit = request.limit.map(|_| left);
            let next = |page: &[Candle]| {
                let last = page.last()?.open_time();
                Some(request.timeframe.next_open(last).unwrap_or(END).min(hole.end))
            };
            let covered = |page: &[Candle]| Some(cursor..next(page).unwrap_or(hole.end));
            let found = self.ask(key, &page, covered).await?;
            cursor = next(&found).unwrap_or(hole.end);
            let fetched = !found.is_empty();
            candles.extend(found);
            if fetched && request.limit.is_none() {
                break;
            }
        }
        // A source may give more than it was asked for.
        candles.truncate(limit);
        Ok(candles)
    }

    async fn newest(&self, key: &CacheKey, request: &CandleRequest) -> Result<Vec<Candle>> {
        if let (Some(until), Some(limit)) = (request.until, request.limit) {
            let cached = self.cache.read_back(key, until, limit)?;
            if cached.len() >= limit {
                return Ok(cached);
            }
        }
        let covered = |page: &[Candle]| {
            // All that exist between the page's first candle and the end are in it.
            Some(page.first()?.open_time()..request.until.unwrap_or(END))
        };
        let mut page = self.ask(key, request, covered).await?;
        if let (Some(limit), Some(first)) = (request.limit, page.first())
            && let Some(left @ 1..) = limit.checked_sub(page.len())
        {
            let mut whole = self.cache.read_back(key, first.open_time(), left)?;
            whole.append(&mut page);
            return Ok(whole);
        }
        Ok(page)
    }
}

/// After every candle.
const END: Timestamp = Timestamp::from_millis(i64::MAX);

impl<S: CandleSource> CandleSource for CachedSource<S> {
    fn id(&self) -> &str {
        self.source.id()
    }

    fn timeframes(&self) -> &[Timeframe] {
        self.source.timeframes()
    }

    fn fetch<'a>(&'a self, request: &'a CandleRequest) -> BoxFuture<'a, Result<Vec<Candle>>> {
        Box::pin(async move {
            let (symbol, timeframe) = (request.symbol.clone(), request.timeframe);
            let key = CacheKey::new(self.source.id(), symbol, timeframe)?;
            if self.metadata != SeriesMetadata::default() {
                self.cache.describe(&key, &self.metadata)?;
            }
            match request.since {
                Some(since) => self.first_from(&key, request, since).await,
                None => self.newest(&key, request).await,
            }
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for CachedSource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedSource")
            .field("cache", &self.cache)
            .field("source", &self.source)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}
