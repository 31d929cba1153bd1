//! Walking from a start on, one window after the other, with the next on its way.

use std::ops::Range;

use forecastle_core::{RawCandle, Timestamp};

use super::HttpResponse;
use super::candle_pages::{CandlePage, CandlePages, Walk, Window, after};
use super::page_rows::PageRows;
use crate::exchange::{CandleQuery, CandleTerms, ExchangeResult, HttpRequest};

/// What one page is asked for, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// The clock when it was asked for: it tells which candles had closed.
    pub(super) now: Timestamp,
    pub(super) cursor: Timestamp,
    window: Window,
    /// Rows from here on are not wanted.
    end: Timestamp,
    terms: CandleTerms,
}

/// A page to be asked for, and the request.
type Prepared = (Plan, HttpRequest);

impl Plan {
    fn within(&self) -> Range<Timestamp> {
        self.cursor..self.end
    }
}

impl CandlePages {
    pub(super) async fn forward(
        &mut self,
        cursor: Timestamp,
    ) -> ExchangeResult<Option<CandlePage>> {
        let mut rows = PageRows::default();
        let (plan, got) = match self.early(cursor, &mut rows).await {
            Some(early) => early,
            None => {
                let Some(plan) = self.plan(cursor, self.given)? else { return Ok(None) };
                self.report.pages += 1;
                (plan, self.first(&plan, &mut rows).await?)
            }
        };
        self.complete(cursor, plan.window, plan.within(), got, &mut rows).await?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            let mut next = self.skip(cursor, plan.window.end).await?;
            if let Some(oldest) = self.oldest_kept(&plan.terms, plan.now)
                && oldest > next
            {
                self.note_depth(&plan.terms, cursor, oldest);
                next = oldest;
            }
            let next = next.min(plan.end);
            self.go_on(&plan, next);
            return Ok(Some(CandlePage { candles: Vec::new(), covered: cursor..next }));
        };
        self.note_depth(&plan.terms, cursor, first);
        let next = self.request.timeframe.next_open(last).unwrap_or(plan.end).max(after(cursor));
        self.go_on(&plan, next);
        Ok(Some(self.page(rows, cursor..next.min(plan.end.max(after(last))), plan.now)))
    }

    /// What to ask for from `cursor` on when so many candles are given; `None` at the end.
    fn plan(&self, cursor: Timestamp, given: usize) -> ExchangeResult<Option<Plan>> {
        let now = self.now();
        let end = self.until().min(if self.request.unfinished { after(now) } else { now });
        if cursor >= end {
            return Ok(None);
        }
        let (terms, ask) = self.terms(Some(cursor), given)?;
        let mut window = self.window(cursor, ask, &terms);
        window.end = window.end.min(self.until());
        Ok(Some(Plan { now, cursor, window, end, terms }))
    }

    /// Asks for a page, and for the next as soon as the answer is here; gives how many rows lay in
    /// its window.
    async fn first(&mut self, plan: &Plan, rows: &mut PageRows) -> ExchangeResult<usize> {
        let query = self.query(plan);
        let request = self.client.candle_request(&query)?;
        let next = self.prepare_next(plan);
        let response = self.client.send(&request).await?;
        if response.is_success() {
            self.look_ahead(next);
        }
        let aside = self.ahead.is_asking();
        let query = self.query(plan);
        let read = self.client.ask_candles(&query, &request, Some(response), aside);
        let (candles, response) = read.await?;
        self.count(&response, plan.now);
        Ok(self.take(candles, plan.cursor..plan.window.end, plan.within(), rows))
    }

    /// The page that was asked for ahead, if it is this one. Whatever is wrong with it is no
    /// error: it is asked for as if nothing had been.
    async fn early(&mut self, cursor: Timestamp, rows: &mut PageRows) -> Option<(Plan, usize)> {
        let plan = self.ahead.plan_at(cursor)?;
        let next = self.prepare_next(&plan);
        let read = match self.ahead.answer().await {
            Some(response) => self.read_early(&plan, next, response).await,
            None => None,
        };
        let Some(candles) = read else {
            self.report.discarded += 1;
            return None;
        };
        self.report.pages += 1;
        Some((plan, self.take(candles, cursor..plan.window.end, plan.within(), rows)))
    }

    async fn read_early(
        &mut self,
        plan: &Plan,
        next: Option<Prepared>,
        mut response: HttpResponse,
    ) -> Option<Vec<RawCandle>> {
        self.count(&response, plan.now);
        if !response.is_success() {
            return None;
        }
        self.look_ahead(next);
        let aside = self.ahead.is_asking();
        let query = self.query(plan);
        let candles = self.client.read_candles(&query, &mut response, aside).await.ok()?;
        // What was in progress when it was asked for may have closed since.
        let last = candles.iter().rfind(|candle| plan.within().contains(&candle.open_time));
        last.is_none_or(|last| self.is_finished(last.open_time, plan.now)).then_some(candles)
    }

    fn query(&self, plan: &Plan) -> CandleQuery<'_> {
        self.query_of(Some(plan.cursor), plan.window, plan.now)
    }

    /// The request for the page after this one, should this one come full. It is made while this
    /// one's answer is waited for.
    fn prepare_next(&self, plan: &Plan) -> Option<Prepared> {
        if !self.request.read_ahead || !self.ahead.is_worth_it() {
            return None;
        }
        let cursor = self.after_window(plan);
        let rows = self.request.timeframe.steps_between(plan.cursor, cursor)?;
        let given = self.given.saturating_add(usize::try_from(rows).unwrap_or_default());
        if self.request.limit.is_some_and(|limit| given >= limit) {
            return None;
        }
        // What is wrong with the next page is said when it is due.
        let next = self.plan(cursor, given).ok().flatten()?;
        if self.after_window(&next) > next.now {
            return None;
        }
        Some((next, self.client.candle_request(&self.query(&next)).ok()?))
    }

    /// Asks for the next page, unless one is asked for already.
    fn look_ahead(&mut self, next: Option<Prepared>) {
        if let Some((plan, request)) = next.filter(|_| !self.ahead.is_asking()) {
            self.ahead.ask(&self.client, plan, request);
        }
    }

    /// Where the walk goes on after a page that came full.
    fn after_window(&self, plan: &Plan) -> Timestamp {
        self.last_instant(plan.window.end).map_or(plan.window.end, after)
    }

    fn go_on(&mut self, plan: &Plan, next: Timestamp) {
        self.walk = Walk::Forward(next);
        let is_full = next == self.after_window(plan);
        if self.ahead.learn(is_full, next) {
            self.count_discarded();
        }
    }

    /// Gives up what was asked for ahead.
    pub(super) fn stop_reading_ahead(&mut self) {
        if self.ahead.stop() {
            self.count_discarded();
        }
    }

    /// Counts a request whose answer nobody waits for.
    fn count_discarded(&mut self) {
        self.report.discarded += 1;
        self.report.requests += 1;
    }
}
