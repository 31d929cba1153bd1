//! Walking through an exchange's candles so that none is lost and none comes twice.

use std::ops::Range;

use forecastle_core::{RawCandle, Timestamp};
use tracing::debug;

use super::coarse_map::Coarse;
use super::download_request::DownloadRequest;
use super::fetch_report::FetchReport;
use super::page_rows::PageRows;
use super::read_ahead::ReadAhead;
use super::{ExchangeClient, HttpResponse};
use crate::exchange::{
    CandleQuery, CandleTerms, ExchangeError, ExchangeResult, Market, Paging, VolumeUnit,
};

/// Holds one page: all candles that the exchange has within `covered`, oldest first.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CandlePage {
    /// The candles; volumes in base currency where they could be converted.
    pub candles: Vec<RawCandle>,
    /// The stretch of time that this page settles.
    pub covered: Range<Timestamp>,
}

/// Walks through the candles of one market, page by page.
///
/// Forward from `since`, or backwards where the exchange honours only an end. Rows that come
/// twice, out of order or outside the window are sorted out and counted; holes are asked about a
/// second time; empty pages are walked over, since a listing may pause. Forward and with
/// [`DownloadRequest::read_ahead`] the next page is asked for while one is read; dropping this ends
/// that request.
#[derive(Debug)]
pub struct CandlePages {
    pub(super) client: ExchangeClient,
    pub(super) market: Market,
    pub(super) request: DownloadRequest,
    pub(super) walk: Walk,
    pub(super) given: usize,
    /// Where coarser candles say that there is anything.
    pub(super) coarse: Coarse,
    pub(super) ahead: ReadAhead,
    pub(super) report: FetchReport,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Walk {
    /// From a time on.
    Forward(Timestamp),
    /// The newest rows first, then what lies before `end`.
    Newest,
    /// Before a time, by windows with a start; so many of them were empty.
    Earlier(Timestamp, u32),
    /// Before a time, by windows with an end.
    Backward(Timestamp),
    Done,
}

/// Asked for when neither the record nor the caller names a number.
pub(super) const DEFAULT_ROWS: u32 = 500;

impl CandlePages {
    pub(super) fn new(
        client: ExchangeClient,
        market: Market,
        request: DownloadRequest,
    ) -> ExchangeResult<Self> {
        let now = client.now();
        let probe = CandleQuery::new(&market, request.timeframe, now).since(request.since);
        let terms = client.exchange().candle_terms(&probe)?;
        let mut report = FetchReport::new(
            client.exchange().id(),
            &market.symbol,
            request.timeframe.to_string(),
            terms.volume,
        );
        report.volume_converted = contract_size(&market, terms.volume).is_some();
        let end = request.until.unwrap_or(Timestamp::from_millis(i64::MAX)).min(now);
        let newest = CandleQuery::new(&market, request.timeframe, now);
        // A few exchanges refuse to answer without a start.
        let windows_only =
            matches!(client.exchange().candle_request(&newest), Err(ExchangeError::Refused { .. }));
        // With a start every exchange is walked forward: one that honours only an end is given the
        // window's.
        let walk = match (terms.paging, request.since) {
            (Paging::Recent, _) => Walk::Newest,
            (_, Some(since)) => Walk::Forward(since),
            (_, None) if windows_only => Walk::Earlier(end, 0),
            (_, None) if request.until.is_none() => Walk::Newest,
            (Paging::Backward, None) => Walk::Backward(end),
            (_, None) => Walk::Earlier(end, 0),
        };
        Ok(Self {
            client,
            market,
            request,
            walk,
            given: 0,
            coarse: Coarse::default(),
            ahead: ReadAhead::new(),
            report,
        })
    }

    /// The market that is walked through.
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// What was done and found so far.
    pub fn report(&self) -> &FetchReport {
        &self.report
    }

    pub(super) fn into_report(self) -> FetchReport {
        self.report
    }

    /// What was done and found since the last call.
    pub(super) fn take_report(&mut self) -> FetchReport {
        let fresh = self.report.fresh();
        std::mem::replace(&mut self.report, fresh)
    }

    /// Asks coarser candles about no empty window.
    pub(super) fn go_window_by_window(&mut self) {
        self.coarse = Coarse::Useless;
    }

    /// Whether the next page begins a stretch of time, and the last one ends it.
    pub(super) fn is_at(&self, stretch: &Range<Timestamp>) -> bool {
        self.walk == Walk::Forward(stretch.start) && self.request.until == Some(stretch.end)
    }

    /// The next page, or nothing when all is given. An empty page says that its stretch of time
    /// holds no candle.
    ///
    /// # Errors
    /// - [`ExchangeError`](crate::ExchangeError) when a page cannot be had; calling again tries
    ///   the same page.
    pub async fn next_page(&mut self) -> ExchangeResult<Option<CandlePage>> {
        let most = self.request.limit.unwrap_or(usize::MAX);
        if self.given >= most {
            self.walk = Walk::Done;
        }
        let page = match self.walk {
            Walk::Done => return Ok(None),
            Walk::Forward(cursor) => self.forward(cursor).await?,
            Walk::Newest => Some(self.newest().await?),
            Walk::Earlier(end, empties) => self.earlier(end, empties).await?,
            Walk::Backward(end) => self.backward(end).await?,
        };
        let Some(mut page) = page else {
            self.walk = Walk::Done;
            self.stop_reading_ahead();
            return Ok(None);
        };
        if page.candles.is_empty() {
            self.report.empty_pages += 1;
        }
        if let Some(size) = contract_size(&self.market, self.report.volume_unit) {
            page.candles.iter_mut().for_each(|candle| candle.volume *= size);
        }
        let left = most - self.given;
        if self.request.since.is_some()
            && let Some(surplus) = page.candles.get(left).filter(|_| left < page.candles.len())
            && matches!(self.walk, Walk::Forward(_) | Walk::Done)
        {
            page.covered.end = page.covered.end.min(surplus.open_time);
            page.candles.truncate(left);
        }
        self.given += page.candles.len();
        debug!(
            exchange = self.report.exchange,
            symbol = self.report.symbol,
            from = %page.covered.start,
            to = %page.covered.end,
            candles = page.candles.len(),
            "a page"
        );
        if self.walk == Walk::Done || self.given >= most {
            self.stop_reading_ahead();
        }
        Ok(Some(page))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.client.now()
    }

    pub(super) fn until(&self) -> Timestamp {
        self.request.until.unwrap_or(Timestamp::from_millis(i64::MAX))
    }

    /// Where the newest candles begin, if a record says that only so many exist.
    pub(super) fn oldest_kept(&self, terms: &CandleTerms, now: Timestamp) -> Option<Timestamp> {
        self.request.timeframe.step(now, -i64::from(terms.depth?) - 1)
    }

    /// Notes that candles before `first` are kept no more.
    pub(super) fn note_depth(&mut self, terms: &CandleTerms, cursor: Timestamp, first: Timestamp) {
        let missing = self.request.timeframe.steps_between(cursor, first).unwrap_or_default() > 0;
        if let Some(depth) = terms.depth
            && missing
            && self.oldest_kept(terms, self.now()).is_some_and(|oldest| cursor < oldest)
        {
            self.report.truncated =
                Some(format!("{} keeps the newest {depth} candles only", self.report.exchange));
        }
    }

    /// How candles from `since` on come, and how many rows to ask for when so many are given.
    pub(super) fn terms(
        &self,
        since: Option<Timestamp>,
        given: usize,
    ) -> ExchangeResult<(CandleTerms, u32)> {
        let query = CandleQuery::new(&self.market, self.request.timeframe, self.now()).since(since);
        let terms = self.client.exchange().candle_terms(&query)?;
        let most = terms.max_rows.unwrap_or(DEFAULT_ROWS);
        let left = self.request.limit.map(|limit| limit.saturating_sub(given));
        // One more for the candle that has not closed.
        let left = left.and_then(|left| u32::try_from(left.saturating_add(1)).ok());
        let ask = left.unwrap_or(most).clamp(1, most.max(1));
        Ok((self.client.exchange().candle_terms(&query.limit(ask))?, ask))
    }

    /// The window of one request that starts at `cursor`.
    pub(super) fn window(&self, cursor: Timestamp, ask: u32, terms: &CandleTerms) -> Window {
        let rows = terms.rows.map_or(ask, |rows| rows.min(ask)).max(1);
        let length = self.request.timeframe.nominal_millis().saturating_mul(rows.into());
        let end = match terms.span_ms {
            Some(span) => {
                let millis = cursor.as_millis();
                millis.saturating_sub(millis.rem_euclid(span)).saturating_add(span)
            }
            None => cursor.as_millis().saturating_add(length),
        };
        Window { ask, end: Timestamp::from_millis(end).max(after(cursor)) }
    }

    /// All rows from `cursor` on that one window gives, with its holes asked about again.
    async fn rows_from(
        &mut self,
        cursor: Timestamp,
        window: Window,
        end: Timestamp,
    ) -> ExchangeResult<PageRows> {
        let mut rows = PageRows::default();
        self.report.pages += 1;
        let got = self.fetch(Some(cursor), window, cursor..end, &mut rows).await?;
        self.complete(cursor, window, cursor..end, got, &mut rows).await?;
        Ok(rows)
    }

    /// Asks again about a page without rows, or about its holes.
    pub(super) async fn complete(
        &mut self,
        cursor: Timestamp,
        window: Window,
        within: Range<Timestamp>,
        mut got: usize,
        rows: &mut PageRows,
    ) -> ExchangeResult<()> {
        if rows.is_empty() && self.request.check_gaps {
            (_, got) = self.ask_again(Some(cursor), window, within.clone(), rows).await?;
        }
        self.recheck(cursor, window, within, got, rows).await
    }

    /// The newest rows, of an exchange that knows no other or when no start is asked for.
    async fn newest(&mut self) -> ExchangeResult<CandlePage> {
        let now = self.now();
        let (terms, ask) = self.terms(None, self.given)?;
        let mut rows = PageRows::default();
        self.report.pages += 1;
        let since = self.request.since.unwrap_or(Timestamp::from_millis(i64::MIN));
        let window = Window { ask, end: after(now) };
        let within = since..self.until().min(after(now));
        let got = self.fetch(None, window, within.clone(), &mut rows).await?;
        self.recheck_newest(&terms, window, within, got, &mut rows).await?;
        let oldest = rows.first().unwrap_or(now);
        let enough = self.request.limit.is_none_or(|limit| rows.len() > limit);
        self.walk = match terms.paging {
            Paging::Recent => Walk::Done,
            _ if enough && self.request.since.is_none() => Walk::Done,
            Paging::Backward => Walk::Backward(oldest),
            _ => Walk::Earlier(oldest, 0),
        };
        let wanted = self.request.limit.is_some_and(|limit| rows.len() < limit);
        if terms.paging == Paging::Recent
            && (wanted || since < oldest && self.request.since.is_some())
        {
            self.report.truncated =
                Some(format!("{} gives its newest candles only", self.report.exchange));
        }
        if let Some(limit) = self.request.limit
            && self.request.since.is_none()
        {
            let latest = rows.back_from(Timestamp::from_millis(i64::MAX));
            let open = latest.take_while(|open| !self.is_finished(*open, now)).count();
            let surplus = if self.request.unfinished { 0 } else { open };
            rows.keep_newest(limit.saturating_add(surplus));
        }
        let first = rows.first().unwrap_or(now);
        Ok(self.page(rows, first.min(now)..after(now), now))
    }

    async fn earlier(
        &mut self,
        end: Timestamp,
        empties: u32,
    ) -> ExchangeResult<Option<CandlePage>> {
        // Without a start there is no telling a pause from the listing's first day.
        const MOST_EMPTY: u32 = 3;
        if empties >= MOST_EMPTY || end.as_millis() <= 0 {
            return Ok(None);
        }
        let now = self.now();
        let (terms, ask) = self.terms(Some(Timestamp::from_millis(0)), self.given)?;
        if self.oldest_kept(&terms, now).is_some_and(|oldest| end <= oldest) {
            self.note_depth(&terms, Timestamp::from_millis(0), end);
            return Ok(None);
        }
        let timeframe = self.request.timeframe;
        let rows = terms.rows.map_or(ask, |rows| rows.min(ask)).max(1);
        let Some(cursor) = timeframe.step(end, -i64::from(rows)) else { return Ok(None) };
        let cursor = cursor.max(Timestamp::from_millis(0));
        let mut found = PageRows::default();
        let mut from = cursor;
        // One window may need several requests when the exchange gives fewer rows than asked.
        while from < end {
            let window = self.window(from, ask, &self.terms(Some(from), self.given)?.0);
            let part = self.rows_from(from, window, end).await?;
            let last = part.last();
            found.merge(part.into_candles());
            from = match last {
                Some(last) => timeframe.next_open(last).unwrap_or(end).max(after(from)),
                None => window.end,
            };
        }
        let most = self.request.limit.map_or(usize::MAX, |limit| limit.saturating_sub(self.given));
        found.keep_newest(most);
        let empties = if found.is_empty() { empties + 1 } else { 0 };
        self.walk = Walk::Earlier(cursor, empties);
        Ok(Some(self.page(found, cursor..end, now)))
    }

    async fn backward(&mut self, end: Timestamp) -> ExchangeResult<Option<CandlePage>> {
        let since = self.request.since.unwrap_or(Timestamp::from_millis(i64::MIN));
        if end <= since {
            return Ok(None);
        }
        let now = self.now();
        let (_, ask) = self.terms(None, self.given)?;
        let mut rows = PageRows::default();
        self.report.pages += 1;
        let window = Window { ask, end };
        let mut got = self.fetch(None, window, since..end, &mut rows).await?;
        if rows.is_empty() && self.request.check_gaps {
            (_, got) = self.ask_again(None, window, since..end, &mut rows).await?;
        }
        self.recheck_backward(end, ask, got, &mut rows).await?;
        let Some(oldest) = rows.first() else {
            self.walk = Walk::Done;
            let covered = since.max(Timestamp::from_millis(0).min(end))..end;
            return Ok(Some(CandlePage { candles: Vec::new(), covered }));
        };
        let most = self.request.limit.filter(|_| self.request.since.is_none());
        let most = most.map_or(usize::MAX, |limit| limit.saturating_sub(self.given));
        rows.keep_newest(most);
        self.walk = Walk::Backward(oldest);
        Ok(Some(self.page(rows, oldest..end, now)))
    }

    /// Sends one request and merges its rows; gives how many lay in its window.
    pub(super) async fn fetch(
        &mut self,
        since: Option<Timestamp>,
        window: Window,
        within: Range<Timestamp>,
        rows: &mut PageRows,
    ) -> ExchangeResult<usize> {
        let now = self.now();
        let query = self.query_of(since, window, now);
        let (candles, response) = self.client.candles(&query).await?;
        self.count(&response, now);
        Ok(self.take(candles, since.unwrap_or(within.start)..window.end, within, rows))
    }

    pub(super) fn query_of(
        &self,
        since: Option<Timestamp>,
        window: Window,
        now: Timestamp,
    ) -> CandleQuery<'_> {
        // With a start the end is the last instant of the window's last candle, so that it does not
        // matter whether the exchange counts it in; a walk backwards asks for what lies before.
        let until = match since {
            Some(_) => self.last_instant(window.end),
            None if window.end > now => None,
            None => Some(window.end),
        };
        CandleQuery::new(&self.market, self.request.timeframe, now)
            .since(since)
            .until(until)
            .limit(window.ask)
    }

    /// Merges the rows of an answer, which ascend; gives how many lay in `asked`.
    pub(super) fn take(
        &mut self,
        mut candles: Vec<RawCandle>,
        asked: Range<Timestamp>,
        within: Range<Timestamp>,
        rows: &mut PageRows,
    ) -> usize {
        self.report.rows += candles.len();
        let mut got = 0;
        let mut previous = None;
        candles.retain(|candle| {
            if !within.contains(&candle.open_time) {
                self.report.outside += 1;
                return false;
            }
            if previous == Some(candle.open_time) {
                self.report.duplicates += 1;
            } else if asked.contains(&candle.open_time) {
                got += 1;
            }
            previous = Some(candle.open_time);
            true
        });
        rows.merge(candles);
        got
    }

    /// The millisecond before the candle that opens at or after `end` does.
    pub(super) fn last_instant(&self, end: Timestamp) -> Option<Timestamp> {
        let before = Timestamp::from_millis(end.as_millis().saturating_sub(1));
        let open = self.request.timeframe.floor(before);
        let next = open.and_then(|open| self.request.timeframe.next_open(open)).unwrap_or(end);
        Some(Timestamp::from_millis(next.max(end).as_millis().saturating_sub(1)))
    }

    pub(super) fn count(&mut self, response: &HttpResponse, now: Timestamp) {
        self.report.requests += u64::from(response.attempts);
        self.report.bytes += u64::try_from(response.body.len()).unwrap_or(u64::MAX);
        self.report.elapsed += response.elapsed;
        self.report.waited += response.waited;
        if let Some(skew) = response.date.and_then(|date| date.millis_since(now)) {
            self.report.clock_skew_ms = Some(skew);
        }
    }

    pub(super) fn is_finished(&self, open: Timestamp, now: Timestamp) -> bool {
        self.request.timeframe.next_open(open).is_some_and(|close| close <= now)
    }

    pub(super) fn page(
        &mut self,
        mut rows: PageRows,
        mut covered: Range<Timestamp>,
        now: Timestamp,
    ) -> CandlePage {
        if !self.request.unfinished {
            let latest = rows.back_from(Timestamp::from_millis(i64::MAX));
            let open = latest.take_while(|open| !self.is_finished(*open, now)).last();
            if let Some(open) = open {
                self.report.unfinished += rows.cut_from(open);
                // What has not closed is not settled.
                covered.end = covered.end.min(open).max(covered.start);
                if matches!(self.walk, Walk::Forward(_)) {
                    self.walk = Walk::Done;
                }
            }
        }
        CandlePage { candles: rows.into_candles(), covered }
    }
}

/// One request's size and end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) ask: u32,
    pub(super) end: Timestamp,
}

pub(super) fn after(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_millis().saturating_add(1))
}

/// What to multiply a volume by so that it counts base currency; `None` when it cannot be.
pub(super) fn contract_size(market: &Market, unit: VolumeUnit) -> Option<f64> {
    let linear = market.linear == Some(true) && market.inverse != Some(true);
    (unit == VolumeUnit::Contracts && linear).then_some(market.contract_size).flatten()
}
