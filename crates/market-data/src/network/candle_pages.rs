//! Walking through an exchange's candles so that none is lost and none comes twice.

use std::collections::BTreeMap;
use std::ops::Range;

use forecastle_core::{RawCandle, Timeframe, Timestamp};

use super::download_request::DownloadRequest;
use super::fetch_report::FetchReport;
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
/// second time; empty pages are walked over, since a listing may pause.
#[derive(Debug)]
pub struct CandlePages {
    client: ExchangeClient,
    market: Market,
    request: DownloadRequest,
    walk: Walk,
    given: usize,
    /// Where coarser candles say that there is anything.
    coarse: Coarse,
    report: FetchReport,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Walk {
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

#[derive(Debug, Default)]
enum Coarse {
    #[default]
    Unknown,
    /// Open times of coarse candles and how far they were asked for.
    Known {
        timeframe: Timeframe,
        opens: Vec<Timestamp>,
        until: Timestamp,
    },
    Useless,
}

/// Asked for when neither the record nor the caller names a number.
const DEFAULT_ROWS: u32 = 500;

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
        Ok(Self { client, market, request, walk, given: 0, coarse: Coarse::default(), report })
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
        Ok(Some(page))
    }

    fn now(&self) -> Timestamp {
        self.client.now()
    }

    fn until(&self) -> Timestamp {
        self.request.until.unwrap_or(Timestamp::from_millis(i64::MAX))
    }

    /// Where the newest candles begin, if a record says that only so many exist.
    fn oldest_kept(&self, terms: &CandleTerms, now: Timestamp) -> Option<Timestamp> {
        self.request.timeframe.step(now, -i64::from(terms.depth?) - 1)
    }

    /// Notes that candles before `first` are kept no more.
    fn note_depth(&mut self, terms: &CandleTerms, cursor: Timestamp, first: Timestamp) {
        let missing = self.request.timeframe.steps_between(cursor, first).unwrap_or_default() > 0;
        if let Some(depth) = terms.depth
            && missing
            && self.oldest_kept(terms, self.now()).is_some_and(|oldest| cursor < oldest)
        {
            self.report.truncated =
                Some(format!("{} keeps the newest {depth} candles only", self.report.exchange));
        }
    }

    /// How many rows to ask for.
    fn ask(&self, terms: &CandleTerms) -> u32 {
        let most = terms.max_rows.unwrap_or(DEFAULT_ROWS);
        let left = self.request.limit.map(|limit| limit.saturating_sub(self.given));
        // One more for the candle that has not closed.
        let left = left.and_then(|left| u32::try_from(left.saturating_add(1)).ok());
        left.unwrap_or(most).clamp(1, most.max(1))
    }

    fn terms(&self, since: Option<Timestamp>) -> ExchangeResult<CandleTerms> {
        let query = CandleQuery::new(&self.market, self.request.timeframe, self.now()).since(since);
        self.client.exchange().candle_terms(&query)
    }

    async fn forward(&mut self, cursor: Timestamp) -> ExchangeResult<Option<CandlePage>> {
        let now = self.now();
        let end = self.until().min(if self.request.unfinished { after(now) } else { now });
        if cursor >= end {
            return Ok(None);
        }
        let terms = self.terms(Some(cursor))?;
        let mut window = self.window(cursor, self.ask(&terms), &terms);
        window.end = window.end.min(self.until());
        let rows = self.rows_from(cursor, window, end).await?;
        let Some(last) = rows.keys().next_back().copied() else {
            let mut next = self.skip(cursor, window.end).await?;
            if let Some(oldest) = self.oldest_kept(&terms, now).filter(|oldest| *oldest > next) {
                self.note_depth(&terms, cursor, oldest);
                next = oldest;
            }
            let next = next.min(end);
            self.walk = Walk::Forward(next);
            let covered = cursor..next;
            return Ok(Some(CandlePage { candles: Vec::new(), covered }));
        };
        if let Some(first) = rows.keys().next() {
            self.note_depth(&terms, cursor, *first);
        }
        let next = self.request.timeframe.next_open(last).unwrap_or(end).max(after(cursor));
        self.walk = Walk::Forward(next);
        Ok(Some(self.page(rows, cursor..next.min(end.max(after(last))), now)))
    }

    /// The window of one request that starts at `cursor`.
    fn window(&self, cursor: Timestamp, ask: u32, terms: &CandleTerms) -> Window {
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
    ) -> ExchangeResult<BTreeMap<Timestamp, RawCandle>> {
        let mut rows = BTreeMap::new();
        self.report.pages += 1;
        let mut got = self.fetch(Some(cursor), window, cursor..end, &mut rows).await?;
        if rows.is_empty() && self.request.check_gaps {
            (_, got) = self.ask_again(Some(cursor), window, cursor..end, &mut rows).await?;
        }
        self.recheck(cursor, window, cursor..end, got, &mut rows).await?;
        Ok(rows)
    }

    /// Asks once more about the holes between `from` and the last row or the window's end.
    async fn recheck(
        &mut self,
        from: Timestamp,
        window: Window,
        within: Range<Timestamp>,
        got: usize,
        rows: &mut BTreeMap<Timestamp, RawCandle>,
    ) -> ExchangeResult<()> {
        let mut checked = from;
        let mut budget = budget(window.ask, got);
        let cap = u32::try_from(got).unwrap_or(u32::MAX).clamp(1, window.ask);
        while let Some(hole) = self.first_hole(checked, rows, window.end) {
            if budget == 0 || rows.is_empty() || !self.request.check_gaps {
                break;
            }
            budget -= 1;
            let again = self.window(hole.start, cap, &self.terms(Some(hole.start))?);
            let since = Some(hole.start);
            let (found, got) = self.ask_again(since, again, within.clone(), rows).await?;
            checked = if found > 0 {
                hole.start
            } else if got < rows.range(hole.start..again.end).count() {
                // It gave less than is known to be there: the hole may have been cut off.
                let length = self.request.timeframe.steps_between(hole.start, hole.end);
                let ask = length.and_then(|length| u32::try_from(length).ok()).unwrap_or(cap);
                let alone = Window { ask: ask.clamp(1, cap), end: hole.end.min(again.end) };
                let (found, _) = self.ask_again(since, alone, within.clone(), rows).await?;
                if found > 0 { hole.start } else { alone.end }
            } else {
                again.end
            };
        }
        Ok(())
    }

    /// [`recheck`](Self::recheck) for an exchange that honours an end only, newest holes first.
    async fn recheck_backward(
        &mut self,
        end: Timestamp,
        ask: u32,
        got: usize,
        rows: &mut BTreeMap<Timestamp, RawCandle>,
    ) -> ExchangeResult<()> {
        let Some(oldest) = rows.keys().next().copied() else { return Ok(()) };
        let mut checked = end;
        let mut budget = budget(ask, got);
        while let Some(hole_end) = self.last_hole(checked, rows) {
            if budget == 0 || !self.request.check_gaps {
                break;
            }
            budget -= 1;
            let again = Window { ask, end: hole_end };
            let (found, _) = self.ask_again(None, again, oldest..end, rows).await?;
            checked = if found > 0 { hole_end } else { self.hole_start(hole_end, rows) };
        }
        Ok(())
    }

    /// Sends one more request; gives how many rows were new, and how many came.
    async fn ask_again(
        &mut self,
        since: Option<Timestamp>,
        window: Window,
        within: Range<Timestamp>,
        rows: &mut BTreeMap<Timestamp, RawCandle>,
    ) -> ExchangeResult<(usize, usize)> {
        let before = rows.len();
        self.report.gap_checks += 1;
        let got = self.fetch(since, window, within, rows).await?;
        let found = rows.len() - before;
        self.report.recovered += found;
        Ok((found, got))
    }

    /// Where candles are missing between `from` and the last row. What reaches to the end of the
    /// window is no hole: the exchange gave the first rows that it has.
    fn first_hole(
        &self,
        from: Timestamp,
        rows: &BTreeMap<Timestamp, RawCandle>,
        window_end: Timestamp,
    ) -> Option<Range<Timestamp>> {
        let timeframe = self.request.timeframe;
        let mut expected = match rows.range(..from).next_back() {
            Some((open, _)) => timeframe.next_open(*open)?.max(from),
            None => from,
        };
        for open in rows.range(from..).map(|(open, _)| *open) {
            if timeframe.steps_between(expected, open)? >= 1 && open < window_end {
                return Some(expected..open);
            }
            expected = timeframe.next_open(open)?;
        }
        None
    }

    /// The newest rows, of an exchange that knows no other or when no start is asked for.
    async fn newest(&mut self) -> ExchangeResult<CandlePage> {
        let now = self.now();
        let terms = self.terms(None)?;
        let ask = self.ask(&terms);
        let mut rows = BTreeMap::new();
        self.report.pages += 1;
        let since = self.request.since.unwrap_or(Timestamp::from_millis(i64::MIN));
        let window = Window { ask, end: after(now) };
        let within = since..self.until().min(after(now));
        let got = self.fetch(None, window, within.clone(), &mut rows).await?;
        self.recheck_newest(&terms, window, within, got, &mut rows).await?;
        let oldest = rows.keys().next().copied().unwrap_or(now);
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
            let finished =
                |open: &Timestamp| self.is_finished(*open, now) || self.request.unfinished;
            let count = rows.keys().filter(|open| finished(open)).count();
            for _ in limit..count {
                rows.pop_first();
            }
        }
        let first = rows.keys().next().copied().unwrap_or(now);
        Ok(self.page(rows, first.min(now)..after(now), now))
    }

    /// Asks once more about what the newest rows lack, the last closed candle included.
    async fn recheck_newest(
        &mut self,
        terms: &CandleTerms,
        window: Window,
        within: Range<Timestamp>,
        got: usize,
        rows: &mut BTreeMap<Timestamp, RawCandle>,
    ) -> ExchangeResult<()> {
        let timeframe = self.request.timeframe;
        let Some((first, last)) = rows.keys().next().zip(rows.keys().next_back()) else {
            return Ok(());
        };
        let (first, behind) = (*first, timeframe.steps_between(*last, window.end).unwrap_or(0) > 1);
        let holes = self.first_hole(first, rows, window.end).is_some();
        match terms.paging {
            _ if !self.request.check_gaps || !(behind || holes) => {}
            Paging::Forward => {
                if behind {
                    let from = rows.keys().next_back().and_then(|last| timeframe.next_open(*last));
                    let from = from.unwrap_or(first);
                    let tail = self.window(from, window.ask, terms);
                    self.ask_again(Some(from), tail, within.clone(), rows).await?;
                }
                self.recheck(first, window, within, got, rows).await?;
            }
            Paging::Backward => {
                if behind {
                    self.ask_again(None, window, within, rows).await?;
                }
                self.recheck_backward(window.end, window.ask, got, rows).await?;
            }
            _ => {
                self.ask_again(None, window, within, rows).await?;
            }
        }
        Ok(())
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
        let terms = self.terms(Some(Timestamp::from_millis(0)))?;
        let ask = self.ask(&terms);
        let timeframe = self.request.timeframe;
        let rows = terms.rows.map_or(ask, |rows| rows.min(ask)).max(1);
        let Some(cursor) = timeframe.step(end, -i64::from(rows)) else { return Ok(None) };
        let cursor = cursor.max(Timestamp::from_millis(0));
        let mut found = BTreeMap::new();
        let mut from = cursor;
        // One window may need several requests when the exchange gives fewer rows than asked.
        while from < end {
            let window = self.window(from, ask, &self.terms(Some(from))?);
            let part = self.rows_from(from, window, end).await?;
            let last = part.keys().next_back().copied();
            found.extend(part);
            from = match last {
                Some(last) => timeframe.next_open(last).unwrap_or(end).max(after(from)),
                None => window.end,
            };
        }
        let most = self.request.limit.map_or(usize::MAX, |limit| limit.saturating_sub(self.given));
        while found.len() > most {
            found.pop_first();
        }
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
        let terms = self.terms(None)?;
        let ask = self.ask(&terms);
        let mut rows = BTreeMap::new();
        self.report.pages += 1;
        let window = Window { ask, end };
        let mut got = self.fetch(None, window, since..end, &mut rows).await?;
        if rows.is_empty() && self.request.check_gaps {
            (_, got) = self.ask_again(None, window, since..end, &mut rows).await?;
        }
        self.recheck_backward(end, ask, got, &mut rows).await?;
        let oldest = rows.keys().next().copied();
        let Some(oldest) = oldest else {
            self.walk = Walk::Done;
            let covered = since.max(Timestamp::from_millis(0).min(end))..end;
            return Ok(Some(CandlePage { candles: Vec::new(), covered }));
        };
        let most = self.request.limit.filter(|_| self.request.since.is_none());
        let most = most.map_or(usize::MAX, |limit| limit.saturating_sub(self.given));
        while rows.len() > most {
            rows.pop_first();
        }
        self.walk = Walk::Backward(oldest);
        Ok(Some(self.page(rows, oldest..end, now)))
    }

    /// The end of the newest hole before `before`: the open time of the row after it.
    fn last_hole(
        &self,
        before: Timestamp,
        rows: &BTreeMap<Timestamp, RawCandle>,
    ) -> Option<Timestamp> {
        let timeframe = self.request.timeframe;
        let mut later: Option<Timestamp> = None;
        for open in rows.range(..=before).rev().map(|(open, _)| *open) {
            if let Some(later) = later
                && timeframe.steps_between(open, later)? > 1
            {
                return Some(later);
            }
            later = Some(open);
        }
        None
    }

    /// The row before the hole that ends at `hole_end`.
    fn hole_start(&self, hole_end: Timestamp, rows: &BTreeMap<Timestamp, RawCandle>) -> Timestamp {
        rows.range(..hole_end).next_back().map_or(hole_end, |(open, _)| *open)
    }

    /// Sends one request and merges its rows; gives how many lay in its window.
    async fn fetch(
        &mut self,
        since: Option<Timestamp>,
        window: Window,
        within: Range<Timestamp>,
        rows: &mut BTreeMap<Timestamp, RawCandle>,
    ) -> ExchangeResult<usize> {
        let now = self.now();
        // With a start the end is the last instant of the window's last candle, so that it does not
        // matter whether the exchange counts it in; a walk backwards asks for what lies before.
        let until = match since {
            Some(_) => self.last_instant(window.end),
            None if window.end > now => None,
            None => Some(window.end),
        };
        let query = CandleQuery::new(&self.market, self.request.timeframe, now)
            .since(since)
            .until(until)
            .limit(window.ask);
        let (candles, response) = self.client.candles(&query).await?;
        self.count(&response, now);
        self.report.rows += candles.len();
        let mut got = 0;
        let mut previous = None;
        let asked = since.unwrap_or(within.start)..window.end;
        for candle in candles {
            if !within.contains(&candle.open_time) {
                self.report.outside += 1;
                continue;
            }
            if previous == Some(candle.open_time) {
                self.report.duplicates += 1;
            } else if asked.contains(&candle.open_time) {
                got += 1;
            }
            previous = Some(candle.open_time);
            rows.insert(candle.open_time, candle);
        }
        Ok(got)
    }

    /// The millisecond before the candle that opens at or after `end` does.
    fn last_instant(&self, end: Timestamp) -> Option<Timestamp> {
        let before = Timestamp::from_millis(end.as_millis().saturating_sub(1));
        let open = self.request.timeframe.floor(before);
        let next = open.and_then(|open| self.request.timeframe.next_open(open)).unwrap_or(end);
        Some(Timestamp::from_millis(next.max(end).as_millis().saturating_sub(1)))
    }

    fn count(&mut self, response: &HttpResponse, now: Timestamp) {
        self.report.requests += u64::from(response.attempts);
        self.report.bytes += u64::try_from(response.body.len()).unwrap_or(u64::MAX);
        self.report.elapsed += response.elapsed;
        self.report.waited += response.waited;
        if let Some(skew) = response.date.and_then(|date| date.millis_since(now)) {
            self.report.clock_skew_ms = Some(skew);
        }
    }

    /// Where to go on after an empty window that ended at `window_end`.
    ///
    /// Coarser candles tell in one request where there is anything for years, and without them
    /// the walk goes on window by window.
    async fn skip(
        &mut self,
        cursor: Timestamp,
        window_end: Timestamp,
    ) -> ExchangeResult<Timestamp> {
        loop {
            match &self.coarse {
                Coarse::Useless => return Ok(window_end),
                Coarse::Known { timeframe, opens, until } if window_end < *until => {
                    let ends_after = |open: &Timestamp| {
                        timeframe.next_open(*open).is_none_or(|end| end > window_end)
                    };
                    let at = opens.partition_point(|open| !ends_after(open));
                    return Ok(opens.get(at).map_or(*until, |open| window_end.max(*open)));
                }
                _ => {}
            }
            self.coarse = self.ask_coarse(cursor).await;
        }
    }

    async fn ask_coarse(&mut self, cursor: Timestamp) -> Coarse {
        const LONGEST: i64 = 7 * 86_400_000;
        const WORTH: i64 = 24;
        let fine = self.request.timeframe.nominal_millis();
        let useful = |timeframe: &Timeframe| {
            let length = timeframe.fixed_millis().unwrap_or_default();
            length <= LONGEST && length >= fine.saturating_mul(WORTH)
        };
        let Some(kind) = self.market.kind() else { return Coarse::Useless };
        let offered = self.client.exchange().timeframes(kind);
        let Some(timeframe) = offered.into_iter().rfind(useful) else { return Coarse::Useless };
        let Some(since) = timeframe.floor(cursor) else { return Coarse::Useless };
        let query = CandleQuery::new(&self.market, timeframe, self.now()).since(since);
        let Ok(terms) = self.client.exchange().candle_terms(&query) else {
            return Coarse::Useless;
        };
        let ask = terms.max_rows.unwrap_or(DEFAULT_ROWS);
        let rows = terms.rows.map_or(ask, |rows| rows.min(ask));
        let Some(until) = timeframe.step(since, rows.into()) else { return Coarse::Useless };
        let before = Timestamp::from_millis(until.as_millis() - 1);
        let query = query.limit(ask).until(before);
        match self.client.candles(&query).await {
            Ok((candles, response)) => {
                self.count(&response, self.now());
                let opens: Vec<Timestamp> = candles.iter().map(|c| c.open_time).collect();
                // A server that stops short of what was asked has said nothing about the rest.
                let full = u32::try_from(opens.len()).is_ok_and(|length| length >= rows);
                let told = match opens.last() {
                    Some(last) if full => timeframe.next_open(*last).unwrap_or(until),
                    _ => until,
                };
                Coarse::Known { timeframe, opens, until: told.max(after(cursor)) }
            }
            Err(_) => Coarse::Useless,
        }
    }

    fn is_finished(&self, open: Timestamp, now: Timestamp) -> bool {
        self.request.timeframe.next_open(open).is_some_and(|close| close <= now)
    }

    fn page(
        &mut self,
        mut rows: BTreeMap<Timestamp, RawCandle>,
        mut covered: Range<Timestamp>,
        now: Timestamp,
    ) -> CandlePage {
        if !self.request.unfinished {
            let open = rows.keys().copied().find(|open| !self.is_finished(*open, now));
            if let Some(open) = open {
                self.report.unfinished += rows.split_off(&open).len();
                // What has not closed is not settled.
                covered.end = covered.end.min(open).max(covered.start);
                if matches!(self.walk, Walk::Forward(_)) {
                    self.walk = Walk::Done;
                }
            }
        }
        CandlePage { candles: rows.into_values().collect(), covered }
    }
}

/// One request's size and end.
#[derive(Debug, Clone, Copy)]
struct Window {
    ask: u32,
    end: Timestamp,
}

/// How many requests may ask again about the holes of one page.
fn budget(ask: u32, got: usize) -> u32 {
    4 + 2 * ask / u32::try_from(got).unwrap_or(u32::MAX).max(1)
}

fn after(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_millis().saturating_add(1))
}

/// What to multiply a volume by so that it counts base currency; `None` when it cannot be.
fn contract_size(market: &Market, unit: VolumeUnit) -> Option<f64> {
    let linear = market.linear == Some(true) && market.inverse != Some(true);
    (unit == VolumeUnit::Contracts && linear).then_some(market.contract_size).flatten()
}
