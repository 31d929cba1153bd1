use std::collections::VecDeque;

use forecastle_core::{Candle, CandleView, Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

use crate::costs::Rates;
use crate::{BacktestParams, Decision, ExitReason, Position, Side, Sizing, Trade};

mod execution;
mod watch;

pub(crate) use watch::Bar;
use watch::Watch;

/// Counts decisions to enter that could not be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SkippedEntries {
    /// A short where shorts are not allowed.
    pub short_not_allowed: usize,
    /// The target of volatility had too few closes, or times, to know the volatility.
    pub volatility_unknown: usize,
    /// The size came out as 0.
    pub zero_size: usize,
    /// The account was closed by bankruptcy before.
    pub bankrupt: usize,
}

/// Keeps cash and position of one market, bar by bar.
///
/// A backtest is this loop over a series, so that both give the same bits; a live operation feeds it
/// each candle as it closes. With every candle, in this order:
///
/// 1. **At its open** the decision of the candle before is executed; then a position that has been
///    held for the longest time allowed is left.
/// 2. **Inside it** stop and target are watched, for a position entered at this very open too. A level
///    that the open has passed fills at the open, for better or worse. Otherwise a touch fills at the
///    level, and where both are touched the stop counts: which came first is not known, and the worse
///    is assumed.
/// 3. **At its close** the position is valued at the closing price, without the costs of leaving it.
/// 4. The decision made at this close is kept for the next open.
///
/// Where closing the position would leave no equity the account is **bankrupt**: the position is
/// closed at that price, or at the open that passed it, and no entry follows. Equity is below 0 then
/// where the open went past: that is owed.
///
/// # Contract
/// No fill uses a price from before the decision that caused it, and no decision a price from after
/// its close.
///
/// # Examples
/// ```
/// use forecastle_backtest::{Account, BacktestParams, Costs, Decision, ExitReason};
/// use forecastle_core::{Candle, Timestamp};
///
/// let hour = |i: i64, open, high, low, close| {
///     Candle::new(Timestamp::from_millis(i * 3_600_000), open, high, low, close, 1.0)
/// };
/// let params = BacktestParams { costs: Costs::FREE, ..BacktestParams::default() };
/// let mut account = Account::new(&params)?;
/// let entry = Decision::long().with_stop(90.0).with_take_profit(120.0);
/// assert_eq!(account.update(&hour(0, 99.0, 101.0, 98.0, 100.0)?, entry)?, 10_000.0);
/// assert_eq!(account.update(&hour(1, 100.0, 112.0, 99.0, 110.0)?, Decision::KEEP)?, 11_000.0);
/// // Both levels are touched: the stop counts.
/// assert_eq!(account.update(&hour(2, 110.0, 125.0, 85.0, 100.0)?, Decision::KEEP)?, 9_000.0);
/// let trade = account.closed()[0];
/// assert_eq!((trade.reason, trade.exit_price, trade.net), (ExitReason::StopLoss, 90.0, -1_000.0));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[doc(alias = "Broker")]
pub struct Account {
    rates: Rates,
    sizing: Sizing,
    allow_short: bool,
    periods_per_year: Option<f64>,
    cash: f64,
    position: Option<Position>,
    watch: Watch,
    pending: Option<Decision>,
    row: usize,
    last: Option<(Timestamp, f64)>,
    /// The closes that an estimate of volatility sees.
    closes: VecDeque<(Timestamp, f64)>,
    closes_needed: usize,
    closed: Vec<Trade>,
    bars_exposed: usize,
    skipped: SkippedEntries,
    bankrupt: Option<usize>,
}

impl Account {
    /// Opens an account.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first parameter outside its range.
    pub fn new(params: &BacktestParams) -> Result<Self> {
        params.check()?;
        let closes_needed = params.sizing.closes_needed();
        Ok(Self {
            rates: params.costs.rates(),
            sizing: params.sizing,
            allow_short: params.allow_short,
            periods_per_year: params.periods_per_year,
            cash: params.initial_capital,
            position: None,
            watch: Watch::flat(params.initial_capital),
            pending: None,
            row: 0,
            last: None,
            closes: VecDeque::new(),
            closes_needed,
            closed: Vec::new(),
            bars_exposed: 0,
            skipped: SkippedEntries::default(),
            bankrupt: None,
        })
    }

    /// Takes the next candle and the decision made at its close; returns the equity at that close.
    ///
    /// [`closed`](Self::closed) holds the trades that this candle closed.
    ///
    /// # Errors
    /// - [`Error::OutOfOrder`] when the candle does not open after the one before.
    /// - [`Error::InvalidParameter`] when a field of the decision is outside its range.
    /// - [`Error::Numerical`] when a size or an amount of money leaves the range of numbers.
    ///
    /// The first two leave the account as it was.
    pub fn update(&mut self, candle: &Candle, decision: Decision) -> Result<f64> {
        let time = candle.open_time();
        if let Some((previous, _)) = self.last
            && time <= previous
        {
            return Err(Error::OutOfOrder { row: self.row, previous, current: time });
        }
        if !decision.is_idle() {
            decision.check()?;
        }
        self.closed.clear();
        let equity = self.step(&Bar::from(candle), &decision)?;
        check_finite(equity)?;
        Ok(equity)
    }

    /// One bar: trades are appended to `closed`.
    pub(crate) fn step(&mut self, bar: &Bar, decision: &Decision) -> Result<f64> {
        if self.pending.is_some() || self.row >= self.watch.leave {
            self.at_open(bar)?;
        }
        self.bars_exposed += usize::from(self.watch.signed != 0.0);
        if bar.low <= self.watch.below || bar.high >= self.watch.above {
            self.inside(bar)?;
        }
        let watch = &self.watch;
        let equity = watch.base + watch.signed * (bar.close - watch.entry);
        if !decision.is_idle() {
            decision.check()?;
            self.pending = Some(*decision);
        }
        if self.closes_needed > 0 {
            self.remember(bar.time, bar.close);
        }
        self.last = Some((bar.time, bar.close));
        self.row += 1;
        Ok(equity)
    }

    fn remember(&mut self, time: Timestamp, close: f64) {
        if self.closes.len() == self.closes_needed {
            self.closes.pop_front();
        }
        self.closes.push_back((time, close));
    }

    /// Passes the bars up to the first in which there is something to do, as `step` would: appends
    /// their equity and returns their number.
    pub(crate) fn coast(
        &mut self,
        candles: CandleView<'_>,
        decisions: &[Decision],
        equity: &mut Vec<f64>,
    ) -> usize {
        let Watch { base, signed, entry, below, above, leave, .. } = self.watch;
        let held = self.watch.held();
        if self.pending.is_some_and(|pending| !pending.is_idle_while(held)) {
            return 0;
        }
        self.pending = None;
        // The last decision stays pending, whatever it is.
        let ranges = candles.low().iter().zip(candles.high()).zip(decisions).rev().skip(1).rev();
        let n = ranges
            .take(leave.saturating_sub(self.row))
            .take_while(|&((&low, &high), decision)| {
                !(low <= below || high >= above) && decision.is_idle_while(held)
            })
            .count();
        let passed = candles.slice(0..n);
        let Some((&time, &close)) = passed.open_time().last().zip(passed.close().last()) else {
            return 0;
        };
        equity.extend(passed.close().iter().map(|close| base + signed * (close - entry)));
        if self.closes_needed > 0 {
            let seen = passed.slice(n.saturating_sub(self.closes_needed)..n);
            for (&time, &close) in seen.open_time().iter().zip(seen.close()) {
                self.remember(time, close);
            }
        }
        self.bars_exposed += if signed != 0.0 { n } else { 0 };
        self.last = Some((time, close));
        self.row += n;
        n
    }

    /// Closes an open position at the last close, as at the end of the data.
    ///
    /// Returns the trade, which is appended to [`closed`](Self::closed); `None` without a position.
    ///
    /// # Errors
    /// - [`Error::Numerical`] when an amount of money leaves the range of numbers.
    pub fn finish(&mut self) -> Result<Option<Trade>> {
        match (self.last, self.row.checked_sub(1)) {
            (Some((time, close)), Some(row)) if self.position.is_some() => {
                self.exit(row, time, close, self.rates.market, ExitReason::EndOfData)?;
                Ok(self.closed.last().copied())
            }
            _ => Ok(None),
        }
    }

    /// Back to the start, with the memory kept.
    pub(crate) fn reset(&mut self, initial_capital: f64) {
        self.cash = initial_capital;
        self.position = None;
        self.watch = Watch::flat(initial_capital);
        self.pending = None;
        self.row = 0;
        self.last = None;
        self.closes.clear();
        self.closed.clear();
        self.bars_exposed = 0;
        self.skipped = SkippedEntries::default();
        self.bankrupt = None;
    }

    /// What the account is worth at the last close: cash, and the position without the costs of
    /// leaving it.
    pub fn equity(&self) -> f64 {
        let close = self.last.map_or(0.0, |(_, close)| close);
        self.watch.base + self.watch.signed * (close - self.watch.entry)
    }

    /// Initial capital plus the net result of every closed trade.
    pub fn cash(&self) -> f64 {
        self.cash
    }

    /// The open position.
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// The decision that the next open executes.
    pub fn pending(&self) -> Option<&Decision> {
        self.pending.as_ref()
    }

    /// The trades that the last candle closed, two where an entry was stopped in the bar of a
    /// reversal.
    pub fn closed(&self) -> &[Trade] {
        &self.closed
    }

    /// Candles taken.
    pub fn n_bars(&self) -> usize {
        self.row
    }

    /// Candles in which a position was held, for a part at least.
    pub fn bars_exposed(&self) -> usize {
        self.bars_exposed
    }

    /// Decisions to enter that could not be followed.
    pub fn skipped(&self) -> SkippedEntries {
        self.skipped
    }

    /// The bar in which nothing was left, after which nothing is traded.
    pub fn bankrupt(&self) -> Option<usize> {
        self.bankrupt
    }

    pub(crate) fn market_rate(&self) -> f64 {
        self.rates.market
    }

    /// The price at which an open position leaves nothing, below it when long, above when short.
    pub(crate) fn ruin(&self) -> Option<(f64, Side)> {
        self.position.as_ref().map(|position| (self.watch.ruin, position.side))
    }

    pub(crate) fn take_closed(&mut self) -> Vec<Trade> {
        std::mem::take(&mut self.closed)
    }
}

/// Refuses an equity that overflowed.
pub(crate) fn check_finite(equity: f64) -> Result<()> {
    if equity.is_finite() {
        Ok(())
    } else {
        Err(Error::numerical("equity", "the position's value leaves the range of numbers"))
    }
}
