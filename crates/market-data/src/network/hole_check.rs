//! Asking a second time about what a page lacks.

use std::ops::Range;

use forecastle_core::Timestamp;

use super::candle_pages::{CandlePages, Window};
use super::page_rows::PageRows;
use crate::exchange::{CandleTerms, ExchangeResult, Paging};

impl CandlePages {
    /// Asks once more about the holes between `from` and the last row or the window's end.
    pub(super) async fn recheck(
        &mut self,
        from: Timestamp,
        window: Window,
        within: Range<Timestamp>,
        got: usize,
        rows: &mut PageRows,
    ) -> ExchangeResult<()> {
        let mut checked = from;
        let mut budget = budget(window.ask, got);
        let cap = u32::try_from(got).unwrap_or(u32::MAX).clamp(1, window.ask);
        while let Some(hole) = self.first_hole(checked, rows, window.end) {
            if budget == 0 || rows.is_empty() || !self.request.check_gaps {
                break;
            }
            budget -= 1;
            let again = self.window(hole.start, cap, &self.terms(Some(hole.start), self.given)?.0);
            let since = Some(hole.start);
            let (found, got) = self.ask_again(since, again, within.clone(), rows).await?;
            checked = if found > 0 {
                hole.start
            } else if got < rows.count(hole.start, again.end) {
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
    pub(super) async fn recheck_backward(
        &mut self,
        end: Timestamp,
        ask: u32,
        got: usize,
        rows: &mut PageRows,
    ) -> ExchangeResult<()> {
        let Some(oldest) = rows.first() else { return Ok(()) };
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

    /// Asks once more about what the newest rows lack, the last closed candle included.
    pub(super) async fn recheck_newest(
        &mut self,
        terms: &CandleTerms,
        window: Window,
        within: Range<Timestamp>,
        got: usize,
        rows: &mut PageRows,
    ) -> ExchangeResult<()> {
        let timeframe = self.request.timeframe;
        let Some((first, last)) = rows.first().zip(rows.last()) else {
            return Ok(());
        };
        let behind = timeframe.steps_between(last, window.end).unwrap_or(0) > 1;
        let holes = self.first_hole(first, rows, window.end).is_some();
        match terms.paging {
            _ if !self.request.check_gaps || !(behind || holes) => {}
            Paging::Forward => {
                if behind {
                    let from = rows.last().and_then(|last| timeframe.next_open(last));
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

    /// Sends one more request; gives how many rows were new, and how many came.
    pub(super) async fn ask_again(
        &mut self,
        since: Option<Timestamp>,
        window: Window,
        within: Range<Timestamp>,
        rows: &mut PageRows,
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
    pub(super) fn first_hole(
        &self,
        from: Timestamp,
        rows: &PageRows,
        window_end: Timestamp,
    ) -> Option<Range<Timestamp>> {
        let timeframe = self.request.timeframe;
        let mut expected = match rows.last_before(from) {
            Some(open) => timeframe.next_open(open)?.max(from),
            None => from,
        };
        for open in rows.from(from) {
            if timeframe.steps_between(expected, open)? >= 1 && open < window_end {
                return Some(expected..open);
            }
            expected = timeframe.next_open(open)?;
        }
        None
    }

    /// The end of the newest hole before `before`: the open time of the row after it.
    pub(super) fn last_hole(&self, before: Timestamp, rows: &PageRows) -> Option<Timestamp> {
        let timeframe = self.request.timeframe;
        let mut later: Option<Timestamp> = None;
        for open in rows.back_from(before) {
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
    pub(super) fn hole_start(&self, hole_end: Timestamp, rows: &PageRows) -> Timestamp {
        rows.last_before(hole_end).unwrap_or(hole_end)
    }
}

/// How many requests may ask again about the holes of one page.
fn budget(ask: u32, got: usize) -> u32 {
    4 + 2 * ask / u32::try_from(got).unwrap_or(u32::MAX).max(1)
}
