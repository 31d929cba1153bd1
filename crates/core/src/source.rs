use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use crate::{Candle, Error, Result, Symbol, Timeframe, Timestamp};

/// A boxed future that may be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Asks a [`CandleSource`] for candles, in CCXT's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CandleRequest {
    /// The market.
    pub symbol: Symbol,
    /// How long each candle lasts.
    pub timeframe: Timeframe,
    /// Earliest open time wanted.
    pub since: Option<Timestamp>,
    /// Open times from here on are not wanted.
    pub until: Option<Timestamp>,
    /// Most candles wanted; a source may give fewer.
    pub limit: Option<usize>,
}

impl CandleRequest {
    /// Asks for whatever the source gives by default: the newest candles.
    pub fn new(symbol: Symbol, timeframe: Timeframe) -> Self {
        Self { symbol, timeframe, since: None, until: None, limit: None }
    }

    /// This request from an open time on.
    pub fn since(self, since: Timestamp) -> Self {
        Self { since: Some(since), ..self }
    }

    /// This request up to an open time, exclusive.
    pub fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }

    /// This request for at most so many candles.
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// Gives candles: a file, a cache, an exchange, a replay.
///
/// # Contract
/// One call gives one page: valid candles in strictly increasing time, all within
/// `since..until`, at most `limit`. With `since` they are the first that exist from there on,
/// without it the last. An empty page with `since` means that nothing follows.
pub trait CandleSource: Debug + Send + Sync {
    /// A short name: an exchange's id, a file's path.
    fn id(&self) -> &str;

    /// The timeframes on offer.
    fn timeframes(&self) -> &[Timeframe];

    /// Fetches one page.
    fn fetch<'a>(&'a self, request: &'a CandleRequest) -> BoxFuture<'a, Result<Vec<Candle>>>;
}

/// Adds paging to every [`CandleSource`].
pub trait CandleSourceExt: CandleSource {
    /// Fetches page after page from `since` until `until`, `limit` candles or the end.
    ///
    /// # Errors
    /// - [`Error::OutOfOrder`] when a page breaks the contract.
    /// - Whatever the source's `fetch` gives.
    fn fetch_all<'a>(&'a self, request: &'a CandleRequest) -> BoxFuture<'a, Result<Vec<Candle>>> {
        Box::pin(async move {
            let mut page = request.clone();
            let mut candles: Vec<Candle> = Vec::new();
            loop {
                page.limit = request.limit.map(|limit| limit.saturating_sub(candles.len()));
                if page.limit == Some(0) {
                    // A source may have given more than it was asked for.
                    candles.truncate(request.limit.unwrap_or(usize::MAX));
                    return Ok(candles);
                }
                let fetched = self.fetch(&page).await?;
                let before = candles.len();
                for candle in fetched {
                    let previous = candles.last().map(Candle::open_time);
                    match previous {
                        // Sources with an inclusive cursor repeat the last candle of a page.
                        Some(p) if candle.open_time() == p && candles.len() == before => {}
                        Some(previous) if candle.open_time() <= previous => {
                            let current = candle.open_time();
                            return Err(Error::OutOfOrder {
                                row: candles.len(),
                                previous,
                                current,
                            });
                        }
                        _ => candles.push(candle),
                    }
                }
                // Without `since` the source gave the newest page, and there is nothing to follow.
                let done = page.since.is_none() || candles.len() == before;
                let next = candles.last().and_then(|c| request.timeframe.next_open(c.open_time()));
                match next {
                    Some(next) if !done && request.until.is_none_or(|until| next < until) => {
                        page.since = Some(next);
                    }
                    _ => {
                        candles.truncate(request.limit.unwrap_or(usize::MAX));
                        return Ok(candles);
                    }
                }
            }
        })
    }
}

impl<T: CandleSource + ?Sized> CandleSourceExt for T {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    /// Serves minutes 0..n in pages of at most `cap`, or always of `cap` when greedy.
    #[derive(Debug)]
    struct Minutes {
        n: i64,
        cap: usize,
        greedy: bool,
        frames: Vec<Timeframe>,
    }

    impl CandleSource for Minutes {
        fn id(&self) -> &str {
            "minutes"
        }

        fn timeframes(&self) -> &[Timeframe] {
            &self.frames
        }

        fn fetch<'a>(&'a self, request: &'a CandleRequest) -> BoxFuture<'a, Result<Vec<Candle>>> {
            let asked = request.limit.filter(|_| !self.greedy);
            let limit = asked.unwrap_or(usize::MAX).min(self.cap);
            let wanted = |t: &Timestamp| {
                request.since.is_none_or(|s| *t >= s) && request.until.is_none_or(|u| *t < u)
            };
            let times = (0..self.n).map(|m| Timestamp::from_millis(m * 60_000)).filter(wanted);
            let skip = match request.since {
                Some(_) => 0,
                None => times.clone().count().saturating_sub(limit),
            };
            let page =
                times.skip(skip).take(limit).map(|t| Candle::new(t, 1.0, 1.0, 1.0, 1.0, 1.0));
            let page = page.collect();
            Box::pin(async move { page })
        }
    }

    fn run<T>(mut future: BoxFuture<'_, T>) -> T {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("the test source is always ready"),
        }
    }

    #[test]
    fn fetch_all_pages_through_everything_once() {
        let source = Minutes { n: 25, cap: 10, greedy: false, frames: vec![Timeframe::MINUTE] };
        let newest = CandleRequest::new("A/B".parse().unwrap(), source.frames[0]);
        assert_eq!(run(source.fetch_all(&newest)).unwrap().len(), 10);
        let all = newest.since(Timestamp::from_millis(0));
        assert_eq!(run(source.fetch_all(&all)).unwrap().len(), 25);
        assert_eq!(run(source.fetch_all(&all.clone().limit(13))).unwrap().len(), 13);
        assert_eq!(run(source.fetch_all(&all.clone().limit(0))).unwrap().len(), 0);
        let some = all.until(Timestamp::from_millis(20 * 60_000));
        assert_eq!(run(source.fetch_all(&some)).unwrap().len(), 20);
    }

    #[test]
    fn a_source_that_gives_more_than_asked_is_cut_to_the_limit() {
        let source = Minutes { n: 25, cap: 10, greedy: true, frames: vec![Timeframe::MINUTE] };
        let request = CandleRequest::new("A/B".parse().unwrap(), source.frames[0]);
        assert_eq!(run(source.fetch_all(&request.clone().limit(3))).unwrap().len(), 3);
        let paged = request.since(Timestamp::from_millis(0)).limit(13);
        assert_eq!(run(source.fetch_all(&paged)).unwrap().len(), 13);
    }
}
