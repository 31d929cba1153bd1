//! What every live source does, wherever its candles come from: filling what is missing, and
//! giving what is certain.

use std::ops::Range;

use forecastle_core::{Candle, RawCandle, Timeframe, Timestamp};
use tokio::sync::mpsc;
use tracing::{debug, info, trace, warn};

use super::live_report::SharedReport;
use super::newest_row::NewestRow;
use super::patience::{Patience, Verdict};
use super::sequencer::{Next, Offer, Sequencer};
use super::{LiveParams, LiveRequest, ServerClock};
#[cfg(feature = "websocket")]
use crate::exchange::CandleChannel;
use crate::exchange::{ExchangeError, ExchangeResult, Market};
use crate::network::{CandlePage, CandlePages, DownloadRequest, ExchangeClient, FetchReport};

/// What a live source is made of.
#[derive(Debug)]
pub(super) struct Source {
    /// Tells the time by `clock`.
    pub(super) client: ExchangeClient,
    pub(super) clock: ServerClock,
    pub(super) request: LiveRequest,
    pub(super) sender: mpsc::Sender<ExchangeResult<Candle>>,
    pub(super) report: SharedReport,
}

/// Why a live source ends.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody reads any more.
    Unread,
    /// Going on is no use.
    Failed(ExchangeError),
}

/// One market's candles on their way to the reader.
///
/// The order of work is: [`catch_up`](Self::catch_up) asks for everything that has closed and was
/// not given, [`offer`](Self::offer) takes a closed candle from elsewhere, and
/// [`release`](Self::release) gives all that is certain, asking once more about holes.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) source: Source,
    pub(super) market: Market,
    pub(super) patience: Patience,
    pub(super) sequencer: Sequencer,
    /// An open time seen: candles of days and weeks may lie off the grid.
    pub(super) anchor: Option<Timestamp>,
    /// Up to here the exchange was asked, and gave what it had then.
    pub(super) asked: Timestamp,
    pub(super) newest_row: NewestRow,
}

/// Up to so many candles are asked for in one request of no more rows than that.
const FEW: i64 = 64;
/// In a market without trades so many candles are asked for again each time. What came later still
/// is found as a hole before the next.
const LOOK_BACK: i64 = 8;

impl Feed {
    /// Notes on which grid candles lie, and whether some in progress are given.
    pub(super) fn see(&mut self, open: Timestamp, now: Timestamp) {
        self.anchor = self.anchor.max(Some(open));
        if !self.is_closed(open, now) {
            self.newest_row.see_unfinished();
        }
    }

    pub(super) fn params(&self) -> &LiveParams {
        &self.source.request.params
    }

    pub(super) fn timeframe(&self) -> Timeframe {
        self.source.request.timeframe
    }

    pub(super) fn clock(&self) -> &ServerClock {
        &self.source.clock
    }

    pub(super) fn report(&self) -> &SharedReport {
        &self.source.report
    }

    /// The channel on which the exchange streams these candles.
    #[cfg(feature = "websocket")]
    pub(super) fn channel(&self) -> Result<CandleChannel, Stop> {
        let exchange = self.source.client.exchange();
        exchange.candle_channel(&self.market, self.timeframe()).map_err(Stop::Failed)
    }

    #[cfg(feature = "websocket")]
    pub(super) fn client(&self) -> &ExchangeClient {
        &self.source.client
    }

    /// The earliest open time that may still be given.
    #[cfg(feature = "websocket")]
    pub(super) fn from(&self) -> Timestamp {
        self.sequencer.from()
    }

    /// When a candle closes.
    #[cfg(feature = "websocket")]
    pub(super) fn close_of(&self, open: Timestamp) -> Option<Timestamp> {
        self.timeframe().next_open(open)
    }

    /// Whether candles open at such times, as far as known.
    #[cfg(feature = "websocket")]
    pub(super) fn is_on_grid(&self, open: Timestamp) -> bool {
        self.anchor.is_none_or(|anchor| {
            let steps = self.timeframe().steps_between(anchor, open);
            steps.and_then(|steps| self.timeframe().step(anchor, steps)) == Some(open)
        })
    }

    /// A candle as the exchange has it now; `None` when that cannot be had at once.
    #[cfg(feature = "websocket")]
    pub(super) async fn glance(&mut self, open: Timestamp) -> Result<Option<Candle>, Stop> {
        let request = self.request().since(open).limit(2);
        let request = DownloadRequest { unfinished: true, check_gaps: false, ..request };
        let mut pages = self.pages(request)?;
        pages.go_window_by_window();
        let page = pages.next_page().await;
        self.count(&pages.take_report());
        let Ok(Some(page)) = page else { return Ok(None) };
        let row = page.candles.into_iter().find(|row| row.open_time == open);
        Ok(row.and_then(|row| Candle::try_from(row).ok()))
    }

    /// Up to when what has closed is final: the server's time less the margin.
    pub(super) fn settled(&self) -> Timestamp {
        self.less_margin(self.source.clock.now())
    }

    /// Whether the candle that opens at `open` has closed by `settled`.
    pub(super) fn is_closed(&self, open: Timestamp, settled: Timestamp) -> bool {
        self.timeframe().next_open(open).is_some_and(|close| close <= settled)
    }

    /// The open time of the candle in progress at `settled`, and when it closes.
    pub(super) fn in_progress(&self, settled: Timestamp) -> (Timestamp, Timestamp) {
        let timeframe = self.timeframe();
        let anchor = self.anchor.or_else(|| timeframe.floor(settled)).unwrap_or(settled);
        let steps = timeframe.steps_between(anchor, settled).unwrap_or(0);
        let open = timeframe.step(anchor, steps).unwrap_or(settled);
        (open, timeframe.next_open(open).unwrap_or(next_instant(settled)))
    }

    /// Whether every candle that should have closed by `settled` was given.
    pub(super) fn is_up_to_date(&self, settled: Timestamp) -> bool {
        let (open, _) = self.in_progress(settled);
        let latest = self.timeframe().step(open, -1).unwrap_or(open);
        self.sequencer.from() > latest
    }

    /// No candle that opens from here on has closed by `settled`.
    fn first_unsettled(&self, settled: Timestamp) -> Timestamp {
        next_instant(self.timeframe().step(settled, -1).unwrap_or(settled))
    }

    /// Asks for every candle that has closed and was not given, and gives what is certain. False
    /// when by the clock none has closed, so that nothing was asked.
    ///
    /// One or a few candles cost one request for as many rows; more are fetched as a download is,
    /// page by page.
    pub(super) async fn catch_up(&mut self) -> Result<bool, Stop> {
        let (mut noted, mut asked) = (false, false);
        loop {
            let timeframe = self.timeframe();
            let from = self.sequencer.from();
            let until = self.first_unsettled(self.settled());
            if from >= until {
                return Ok(asked);
            }
            asked = true;
            self.source.report.lock().polls += 1;
            let looking_back = timeframe.step(self.asked, -LOOK_BACK).unwrap_or(from);
            let from = from.max(looking_back);
            let behind = timeframe.steps_between(from, until).unwrap_or(1).max(1);
            if !noted && timeframe.steps_between(from.max(self.asked), until).unwrap_or(0) > 1 {
                noted = true;
                self.note_backfill(usize::try_from(behind).unwrap_or(usize::MAX));
            }
            let before = self.sequencer.from();
            let complete = if behind <= FEW {
                // One row more than have closed: the one in progress tells the grid, and that the
                // one before it is final.
                let rows = usize::try_from(behind).unwrap_or(1).saturating_add(1);
                let request = self.request().since(from).limit(rows);
                let request = DownloadRequest { unfinished: true, check_gaps: false, ..request };
                self.fetch(request, until, false).await?
            } else {
                // The latest ones are asked for alone afterwards.
                let until = timeframe.step(until, -2).unwrap_or(until);
                let request = self.request().since(from).until(until);
                let request = DownloadRequest { read_ahead: true, ..request };
                self.fetch(request, until, true).await?;
                self.release().await?;
                self.note_asked(until);
                continue;
            };
            self.release().await?;
            if complete {
                self.note_asked(until);
            }
            // What brings nothing new is asked for again later, not at once.
            if complete || self.sequencer.from() == before {
                return Ok(true);
            }
        }
    }

    /// Notes that everything that opens before `until` was asked for, as far as it can have closed
    /// by what is known of the time now.
    fn note_asked(&mut self, until: Timestamp) {
        self.asked = self.asked.max(until.min(self.first_unsettled(self.settled())));
    }

    /// Takes the closed candles of a walk; whether it told all up to `until`.
    ///
    /// With `thorough` the walk asks about holes itself, so that none is left to ask about.
    async fn fetch(
        &mut self,
        request: DownloadRequest,
        until: Timestamp,
        thorough: bool,
    ) -> Result<bool, Stop> {
        let mut pages = self.pages(request)?;
        if !thorough {
            pages.go_window_by_window();
        }
        loop {
            // By this time a candle must have closed: what comes later may be half of it.
            let asked = self.source.clock.own().now();
            let Some(page) = self.next_page(&mut pages).await? else { return Ok(thorough) };
            let asked = self.source.clock.at(asked);
            let told = page.covered.end;
            if thorough {
                self.take_settled(page, asked).await?;
            } else {
                self.take_newest(&page.candles, asked);
            }
            if told >= until {
                return Ok(true);
            }
        }
    }

    /// Takes a page that was asked about its holes and has later rows behind it.
    async fn take_settled(&mut self, page: CandlePage, asked: Timestamp) -> Result<(), Stop> {
        let settled = self.less_margin(asked);
        self.sequencer.settle(page.covered.end.min(self.first_unsettled(settled)));
        for row in page.candles {
            self.see(row.open_time, asked);
            if self.is_closed(row.open_time, settled) {
                self.take(row);
                self.give().await?;
            }
        }
        Ok(())
    }

    /// Takes the closed rows of an answer that reaches to the newest; that one, when it is certain.
    fn take_newest(&mut self, rows: &[RawCandle], asked: Timestamp) {
        let settled = self.less_margin(asked);
        let pause = self.params().retry(0);
        for (place, row) in rows.iter().enumerate() {
            self.see(row.open_time, asked);
            if !self.is_closed(row.open_time, settled) {
                continue;
            }
            let newest = place + 1 == rows.len();
            if !newest || self.newest_row.is_final(row, asked, pause) {
                self.take(*row);
            }
        }
    }

    fn less_margin(&self, time: Timestamp) -> Timestamp {
        let margin = self.params().margin_millis();
        Timestamp::from_millis(time.as_millis().saturating_sub(margin))
    }

    /// Takes a closed candle as it came, the volume in base currency.
    pub(super) fn take(&mut self, mut row: RawCandle) {
        let repaired = row.volume.is_nan() || row.volume < 0.0;
        if repaired {
            row.volume = 0.0;
        }
        match Candle::try_from(row) {
            Ok(candle) => {
                if self.offer(candle) == Offer::Taken && repaired {
                    self.source.report.lock().volume_repaired += 1;
                }
            }
            Err(error) => {
                debug!(%error, "a row is no candle");
                self.source.report.lock().invalid += 1;
            }
        }
    }

    /// Takes a closed candle.
    pub(super) fn offer(&mut self, candle: Candle) -> Offer {
        let offer = self.sequencer.offer(candle);
        let mut report = self.source.report.lock();
        match offer {
            Offer::Duplicate => report.duplicates += 1,
            Offer::OutOfOrder => report.out_of_order += 1,
            Offer::Taken | Offer::Unwanted | Offer::Full => {}
        }
        offer
    }

    /// Gives all that is certain, asking once more about every hole before what waits.
    pub(super) async fn release(&mut self) -> Result<(), Stop> {
        loop {
            self.give().await?;
            let Some(hole) = self.sequencer.hole() else { return Ok(()) };
            self.ask_again(hole).await?;
        }
    }

    async fn ask_again(&mut self, hole: Range<Timestamp>) -> Result<(), Stop> {
        let steps = self.timeframe().steps_between(hole.start, hole.end).unwrap_or(1).max(1);
        let few = steps <= FEW;
        debug!(from = %hole.start, to = %hole.end, "asking again about candles that are missing");
        let mut request = self.request().since(hole.start).until(hole.end);
        request.check_gaps = false;
        request.limit = if few { usize::try_from(steps + 1).ok() } else { None };
        let mut pages = self.pages(request)?;
        if few {
            pages.go_window_by_window();
        }
        // Later ones have closed, so these have.
        while let Some(page) = self.next_page(&mut pages).await? {
            if !few {
                self.sequencer.settle(page.covered.end.min(hole.end));
            }
            for row in page.candles {
                self.take(row);
            }
            if !few {
                self.give().await?;
            }
        }
        self.sequencer.settle(hole.end);
        Ok(())
    }

    /// Gives what is certain already.
    pub(super) async fn give(&mut self) -> Result<(), Stop> {
        while let Some(Next { candle, missing }) = self.sequencer.pop() {
            let open = candle.open_time();
            let close = self.timeframe().next_open(open).unwrap_or(open);
            if missing > 0 {
                info!(before = %open, missing, "the exchange has no such candles");
            }
            self.source.sender.send(Ok(candle)).await.map_err(|_| Stop::Unread)?;
            let now = self.source.clock.now();
            let delay_ms = now.millis_since(close);
            trace!(%open, delay_ms, "a candle");
            let overtaken = self.is_closed(close, now);
            let mut report = self.source.report.lock();
            report.candles += 1;
            report.last_candle = Some(open);
            report.delay_ms = delay_ms;
            report.backfilled += u64::from(overtaken);
            report.missing += missing;
            report.gaps += u64::from(missing > 0);
        }
        Ok(())
    }

    /// Asks for a page until it comes.
    pub(super) async fn next_page(
        &mut self,
        pages: &mut CandlePages,
    ) -> Result<Option<CandlePage>, Stop> {
        loop {
            let outcome = pages.next_page().await;
            self.count(&pages.take_report());
            match outcome {
                Ok(page) => {
                    if let Some(since) = self.patience.succeed() {
                        let lasted = self.source.clock.now().millis_since(since);
                        info!(lasted_ms = lasted, "the exchange answers again");
                    }
                    return Ok(page);
                }
                Err(error) => self.source.endure(error, &mut self.patience).await?,
            }
        }
    }

    fn count(&self, fetched: &FetchReport) {
        let mut report = self.source.report.lock();
        report.requests += fetched.requests;
        report.bytes += fetched.bytes;
        report.duplicates += u64::try_from(fetched.duplicates).unwrap_or(0);
        report.clock_skew_ms = self.source.clock.skew_ms();
    }

    pub(super) fn note_backfill(&self, candles: usize) {
        info!(candles, "filling in what has closed meanwhile");
        self.source.report.lock().backfills += 1;
    }

    pub(super) fn request(&self) -> DownloadRequest {
        let request = DownloadRequest::new(&self.source.request.symbol, self.timeframe());
        DownloadRequest { read_ahead: false, ..request }
    }

    pub(super) fn pages(&self, request: DownloadRequest) -> Result<CandlePages, Stop> {
        let (client, market) = (self.source.client.clone(), self.market.clone());
        CandlePages::new(client, market, request).map_err(Stop::Failed)
    }
}

impl Source {
    /// Waits a failure out, or ends.
    pub(super) async fn endure(
        &self,
        error: ExchangeError,
        patience: &mut Patience,
    ) -> Result<(), Stop> {
        let verdict = patience.judge(&error, &self.request.params, self.clock.now());
        self.report.note_failure(&error);
        match verdict {
            Verdict::End => Err(Stop::Failed(error)),
            Verdict::Wait(wait) => {
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                if patience.failures() == 1 {
                    warn!(%error, wait_ms, "no candles for now");
                } else {
                    debug!(%error, wait_ms, failures = patience.failures(), "still no candles");
                }
                self.clock.sleep(wait).await;
                Ok(())
            }
        }
    }
}

pub(super) fn next_instant(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_millis().saturating_add(1))
}
