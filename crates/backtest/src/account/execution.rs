use forecastle_core::{Error, Result, Timestamp};

use super::{Account, Bar, Watch};
use crate::costs::{Fill, Rates};
use crate::sizing::Amount;
use crate::{Action, Decision, ExitReason, Position, Side, Trade};

/// How orders are executed.
impl Account {
    /// Executes the decision of the bar before, then the longest stay.
    #[cold]
    #[inline(never)]
    pub(super) fn at_open(&mut self, bar: &Bar) -> Result<()> {
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

    /// Closes the position at a level that was touched.
    #[cold]
    #[inline(never)]
    pub(super) fn inside(&mut self, bar: &Bar) -> Result<()> {
        let (price, stopped) = self.watch.touched(bar);
        let Watch { below, above, ruin, signed, .. } = self.watch;
        let bankrupt = if signed > 0.0 { below == ruin } else { above == ruin };
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
}
