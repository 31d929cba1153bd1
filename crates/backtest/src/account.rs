use std::collections::VecDeque;

use forecastle_core::{Candle, CandleView, Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

use crate::costs::{Fill, Rates};
use crate::sizing::Amount;
use crate::{Action, BacktestParams, Decision, ExitReason, Position, Side, Sizing, Trade};

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

/// What every bar asks of the position, in a form that is the same long, short and flat.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Watch {
    /// Cash less the costs of the entry.
    base: f64,
    /// Units, negative when short, 0 when flat.
    signed: f64,
    entry: f64,
    /// A price at or below this one closes the position.
    below: f64,
    /// A price at or above this one does.
    above: f64,
    /// An open of this bar or a later one does.
    leave: usize,
    /// The price at which nothing is left, on the stop's side.
    ruin: f64,
}

impl Watch {
    const fn flat(cash: f64) -> Self {
        Self {
            base: cash,
            signed: 0.0,
            entry: 0.0,
            below: f64::NEG_INFINITY,
            above: f64::INFINITY,
            leave: usize::MAX,
            ruin: 0.0,
        }
    }
}

/// A candle, whatever it came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bar {
    pub(crate) time: Timestamp,
    pub(crate) open: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
    pub(crate) close: f64,
}

impl From<&Candle> for Bar {
    fn from(candle: &Candle) -> Self {
        Self {
            time: candle.open_time(),
            open: candle.open(),
            high: candle.high(),
            low: candle.low(),
            close: candle.close(),
        }
    }
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
        self.step(&Bar::from(candle), &decision)
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
        let held = if signed > 0.0 {
            Action::Long
        } else if signed < 0.0 {
            Action::Short
        } else {
            Action::Exit
        };
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

    #[cold]
    #[inline(never)]
    fn at_open(&mut self, bar: &Bar) -> Result<()> {
        let (row, market) = (self.row, self.rates.market);
        if let Some(decision) = self.pending.take() {
            let wanted = match decision.action {
                Action::Keep => None,
                Action::Exit => Some(None),
                Action::Long => Some(Some(Side::Long)),
                Action::Short => Some(Some(Side::Short)),
            };
            let held = self.position.as_ref().map(|position| position.side);
            match (held, wanted) {
                (None, Some(Some(side))) => self.enter(bar, side, &decision)?,
                (None, _) => {}
                (Some(_), None) => self.amend(&decision),
                (Some(held), Some(Some(side))) if held == side => self.amend(&decision),
                (Some(_), Some(None)) => {
                    self.exit(row, bar.time, bar.open, market, ExitReason::Signal)?;
                }
                (Some(_), Some(Some(side))) => {
                    let barred = side == Side::Short && !self.allow_short;
                    let reason = if barred { ExitReason::Signal } else { ExitReason::Reverse };
                    self.exit(row, bar.time, bar.open, market, reason)?;
                    self.enter(bar, side, &decision)?;
                }
            }
        }
        if self.position.is_some() && row >= self.watch.leave {
            self.exit(row, bar.time, bar.open, market, ExitReason::MaxBars)?;
        }
        Ok(())
    }

    /// A level was touched.
    #[cold]
    #[inline(never)]
    fn inside(&mut self, bar: &Bar) -> Result<()> {
        let Watch { below, above, ruin, signed, .. } = self.watch;
        let is_long = signed > 0.0;
        let (price, stopped) = if bar.open <= below {
            (bar.open, is_long)
        } else if bar.open >= above {
            (bar.open, !is_long)
        } else if is_long {
            if bar.low <= below { (below, true) } else { (above, false) }
        } else if bar.high >= above {
            (above, true)
        } else {
            (below, false)
        };
        let bankrupt = if is_long { below == ruin } else { above == ruin };
        let (reason, worse) = match (stopped, bankrupt) {
            (false, _) => (ExitReason::TakeProfit, self.rates.limit),
            (true, false) => (ExitReason::StopLoss, self.rates.market),
            (true, true) => (ExitReason::Bankrupt, self.rates.market),
        };
        self.exit(self.row, bar.time, price, worse, reason)
    }

    fn enter(&mut self, bar: &Bar, side: Side, decision: &Decision) -> Result<()> {
        if self.bankrupt.is_some() {
            self.skipped.bankrupt += 1;
        } else if side == Side::Short && !self.allow_short {
            self.skipped.short_not_allowed += 1;
        } else {
            let closes = self.closes.iter().copied();
            match self.sizing.amount(decision.scale, self.periods_per_year, closes) {
                None => self.skipped.volatility_unknown += 1,
                Some(amount) => {
                    let at = (bar.time, bar.open);
                    if self.open_position(self.row, at, side, decision.scale, amount)? {
                        self.amend(decision);
                    } else {
                        self.skipped.zero_size += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Buys or sells at an open, from flat; whether anything was traded.
    pub(crate) fn open_position(
        &mut self,
        row: usize,
        (time, open): (Timestamp, f64),
        side: Side,
        scale: f64,
        amount: Amount,
    ) -> Result<bool> {
        let Rates { fee, market, .. } = self.rates;
        let Fill { price, fill, cost } = self.rates.fill(open, side == Side::Long, market);
        let size = match amount {
            Amount::Fraction(fraction) => fraction * self.cash / (price + cost),
            Amount::Units(units) => units,
        };
        if size <= 0.0 {
            return Ok(false);
        }
        let entry_costs = size * cost;
        let base = self.cash - entry_costs;
        if !(size.is_finite() && (size * price).is_finite() && base.is_finite()) {
            let reason = format!("a size of {size} at {price} leaves the range of numbers");
            return Err(Error::numerical("position", reason));
        }
        // Where selling, or buying back, leaves nothing.
        let ruin = match side {
            Side::Long => (price - base / size) / ((1.0 - market) * (1.0 - fee)),
            Side::Short => (price + base / size) / ((1.0 + market) * (1.0 + fee)),
        };
        self.position = Some(Position {
            side,
            size,
            scale,
            decision_bar: row.saturating_sub(1),
            entry_bar: row,
            entry_time: time,
            entry_price: price,
            entry_fill: fill,
            entry_costs,
            stop_loss: None,
            take_profit: None,
            leave_bar: None,
        });
        let flat = Watch::flat(self.cash);
        self.watch = Watch { base, signed: side.sign() * size, entry: price, ruin, ..flat };
        self.set_levels();
        Ok(true)
    }

    /// The position's levels, replaced where the decision gives them.
    fn amend(&mut self, decision: &Decision) {
        if let Some(position) = &mut self.position {
            position.stop_loss = decision.stop_loss.or(position.stop_loss);
            position.take_profit = decision.take_profit.or(position.take_profit);
            let leave = decision.max_bars.map(|bars| self.row.saturating_add(bars as usize));
            position.leave_bar = leave.or(position.leave_bar);
        }
        self.set_levels();
    }

    fn set_levels(&mut self) {
        let (Some(position), watch) = (&self.position, &mut self.watch) else { return };
        watch.leave = position.leave_bar.unwrap_or(usize::MAX);
        match position.side {
            Side::Long => {
                watch.below = position.stop_loss.map_or(watch.ruin, |stop| stop.max(watch.ruin));
                watch.above = position.take_profit.unwrap_or(f64::INFINITY);
            }
            Side::Short => {
                watch.above = position.stop_loss.map_or(watch.ruin, |stop| stop.min(watch.ruin));
                watch.below = position.take_profit.unwrap_or(f64::NEG_INFINITY);
            }
        }
    }

    pub(crate) fn exit(
        &mut self,
        row: usize,
        time: Timestamp,
        price: f64,
        worse: f64,
        reason: ExitReason,
    ) -> Result<()> {
        let Some(position) = self.position.take() else { return Ok(()) };
        let Fill { fill, cost, .. } = self.rates.fill(price, position.side == Side::Short, worse);
        let gross = position.side.sign() * position.size * (price - position.entry_price);
        let costs = position.entry_costs + position.size * cost;
        let net = gross - costs;
        let cash = self.cash + net;
        if !cash.is_finite() {
            let reason = format!("{} and a trade's {net} leave the range of numbers", self.cash);
            return Err(Error::numerical("cash", reason));
        }
        self.cash = cash;
        self.watch = Watch::flat(cash);
        self.closed.push(Trade {
            side: position.side,
            size: position.size,
            scale: position.scale,
            decision_bar: position.decision_bar,
            entry_bar: position.entry_bar,
            entry_time: position.entry_time,
            entry_price: position.entry_price,
            entry_fill: position.entry_fill,
            exit_bar: row,
            exit_time: time,
            exit_price: price,
            exit_fill: fill,
            bars_held: row.saturating_sub(position.entry_bar),
            reason,
            gross,
            costs,
            net,
        });
        // An exit at an open that a stop did not meet before may leave nothing too.
        if reason == ExitReason::Bankrupt || cash <= 0.0 {
            self.bankrupt = Some(row);
        }
        Ok(())
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

    /// The price at which an open position leaves nothing, and whether it is below the entry.
    pub(crate) fn ruin(&self) -> Option<(f64, Side)> {
        self.position.as_ref().map(|position| (self.watch.ruin, position.side))
    }

    pub(crate) fn take_closed(&mut self) -> Vec<Trade> {
        std::mem::take(&mut self.closed)
    }
}
