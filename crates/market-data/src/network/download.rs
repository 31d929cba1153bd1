use std::ops::Range;

use forecastle_core::{Candle, CandleSeries, Error, RawCandle, Result, Symbol, Timestamp};
use tracing::debug;

use super::fetch_report::Grid;
use super::gathered::Gathered;
use super::{CandlePages, DownloadRequest, ExchangeClient, FetchReport};
use crate::cache::{CacheKey, CandleCache, FetchedPage, FillReport, SeriesMetadata};

/// Holds the candles of a download and what happened on the way.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Download {
    /// The candles, in strictly increasing time.
    pub series: CandleSeries,
    /// What was done, repaired and missed.
    pub report: FetchReport,
    /// What the cache gave and took, for a download through a cache.
    pub cache: Option<FillReport>,
}

impl ExchangeClient {
    /// Fetches all candles of a request, page after page, and loses none.
    ///
    /// Of candles that come twice the later one counts, unordered rows are sorted, holes are asked
    /// about a second time, a candle that has not closed is left out; the report counts all of
    /// it. Gaps that remain are the exchange's and stay gaps.
    ///
    /// # Errors
    /// - [`Error::Component`] with an [`ExchangeError`](crate::ExchangeError) as its source.
    /// - [`Error::Parse`] when the exchange's symbol is none that Forecastle can name.
    pub async fn download(&self, request: &DownloadRequest) -> Result<Download> {
        self.download_with(request, |_| ()).await
    }

    /// [`download`](Self::download), telling after each page how far it is.
    ///
    /// # Errors
    /// Those of [`download`](Self::download).
    pub async fn download_with(
        &self,
        request: &DownloadRequest,
        mut progress: impl FnMut(&FetchReport) + Send,
    ) -> Result<Download> {
        let mut pages = self.pages(request.clone()).await?;
        let symbol = pages.market().symbol.parse()?;
        let newest = request.since.is_none();
        let mut gathered = Gathered::new(symbol, request.timeframe, request.limit, newest);
        while let Some(page) = pages.next_page().await? {
            gathered.add(page.candles);
            progress(pages.report());
        }
        let (series, repair, grid) = gathered.finish();
        let mut report = pages.into_report();
        report.repair = repair;
        report.note(&grid);
        log(&report);
        Ok(Download { series, report, cache: None })
    }

    /// Fetches through a cache: only what it lacks is asked for, each page is stored when it
    /// arrives, and the series is read back from the cache.
    ///
    /// Without `since` the request's `limit` (or 500) says how far back to go.
    ///
    /// # Errors
    /// Those of [`download`](Self::download), and [`Error::Component`] with a
    /// [`CacheError`](crate::CacheError) as its source.
    pub async fn download_cached(
        &self,
        request: &DownloadRequest,
        cache: &CandleCache,
        mut progress: impl FnMut(&FetchReport) + Send,
    ) -> Result<Download> {
        const DEFAULT_LIMIT: usize = 500;
        let market = self.market(&request.symbol).await?;
        let symbol: Symbol = market.symbol.parse()?;
        let key = CacheKey::new(self.exchange().id(), symbol.clone(), request.timeframe)?;
        let now = self.now();
        let until = request.until.unwrap_or(now).min(now);
        let since = match request.since {
            Some(since) => since,
            None => {
                let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
                let back = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
                let start = request.timeframe.floor(until);
                let start = start.and_then(|start| request.timeframe.step(start, -back));
                start.ok_or_else(|| Error::invalid_parameter("limit", "smaller", limit))?
            }
        };
        let mut whole = request.clone();
        (whole.since, whole.until, whole.limit) = (Some(since), Some(until), None);
        let pages = self.pages(whole.clone()).await?;
        let metadata = SeriesMetadata {
            volume_unit: Some(pages.report().volume_unit.to_string()),
            source_host: self.exchange().hosts().next().map(str::to_owned),
        };
        cache.describe(&key, &metadata)?;
        let totals = std::sync::Mutex::new(pages.report().clone());
        // Where one page ends the next begins: the walk goes on, with a request ahead.
        let walk = std::sync::Mutex::new(None);
        let client = self;
        let filled = cache.fill::<Error, _>(&key, since..until, self.clock(), |hole| {
            let (whole, totals, walk) = (whole.clone(), &totals, &walk);
            Box::pin(async move {
                let add = |pages: &mut CandlePages| {
                    if let Ok(mut totals) = totals.lock() {
                        totals.add(&pages.take_report());
                    }
                };
                let earlier: Option<CandlePages> = walk.lock().ok().and_then(|mut w| w.take());
                let mut pages = match earlier {
                    Some(pages) if pages.is_at(&hole) => pages,
                    earlier => {
                        if let Some(mut earlier) = earlier {
                            earlier.stop_reading_ahead();
                            add(&mut earlier);
                        }
                        client.pages(whole.since(hole.start).until(hole.end)).await?
                    }
                };
                let page = pages.next_page().await;
                add(&mut pages);
                if let Ok(mut walk) = walk.lock() {
                    *walk = Some(pages);
                }
                Ok(match page? {
                    Some(page) => {
                        let (page, dropped) = settled(page.candles, page.covered, &hole);
                        if let Ok(mut totals) = totals.lock() {
                            totals.repair.dropped += dropped;
                        }
                        page
                    }
                    None => FetchedPage { candles: Vec::new(), covered: hole },
                })
            })
        });
        let filled = filled.await?;
        let read = cache.read(&key, since..until)?;
        let mut candles: Vec<Candle> = read.series.view().iter().collect();
        let surplus = candles.len().saturating_sub(request.limit.unwrap_or(usize::MAX));
        match request.since {
            Some(_) => candles.truncate(candles.len() - surplus),
            None => drop(candles.drain(..surplus)),
        }
        let series = CandleSeries::from_candles(symbol, request.timeframe, candles)?;
        let mut report = totals.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let dropped = report.repair.dropped;
        report.repair = read.report;
        report.repair.dropped = dropped;
        report.repair.rows_out = series.len();
        (report.repair.gaps, report.repair.missing) = series.gaps();
        let mut grid = Grid::default();
        grid.see(series.view().open_time(), request.timeframe);
        report.note(&grid);
        progress(&report);
        log(&report);
        Ok(Download { series, report, cache: Some(filled) })
    }
}

fn log(report: &FetchReport) {
    debug!(
        exchange = report.exchange,
        symbol = report.symbol,
        candles = report.repair.rows_out,
        pages = report.pages,
        requests = report.requests,
        missing = report.repair.missing,
        elapsed = ?report.elapsed,
        "downloaded"
    );
}

/// A page as the cache takes it, and how many of its rows are no valid candles.
fn settled(
    rows: Vec<RawCandle>,
    covered: Range<Timestamp>,
    hole: &Range<Timestamp>,
) -> (FetchedPage, usize) {
    let mut covered = covered.start.max(hole.start)..covered.end.min(hole.end);
    if covered.is_empty() {
        // Nothing but a candle in progress: asked for, and by its clock the cache stores nothing.
        covered = hole.clone();
    }
    let wanted = rows.iter().filter(|row| covered.contains(&row.open_time)).count();
    let candles = rows.into_iter().filter_map(|row| Candle::try_from(row).ok());
    let candles: Vec<Candle> =
        candles.filter(|candle| covered.contains(&candle.open_time())).collect();
    let dropped = wanted - candles.len();
    (FetchedPage { candles, covered }, dropped)
}
