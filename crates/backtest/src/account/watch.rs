use forecastle_core::{Candle, Timestamp};

use crate::Action;

/// What every bar asks of the position, in a form that is the same long, short and flat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Watch {
    /// Cash less the costs of the entry.
    pub(super) base: f64,
    /// Units, negative when short, 0 when flat.
    pub(super) signed: f64,
    pub(super) entry: f64,
    /// A price at or below this one closes the position.
    pub(super) below: f64,
    /// A price at or above this one does.
    pub(super) above: f64,
    /// An open of this bar or a later one does.
    pub(super) leave: usize,
    /// The price at which nothing is left, on the stop's side.
    pub(super) ruin: f64,
}

impl Watch {
    /// What a flat account watches: nothing.
    pub(super) const fn flat(cash: f64) -> Self {
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

    /// The decision that asks for what is held.
    pub(super) const fn held(&self) -> Action {
        if self.signed > 0.0 {
            Action::Long
        } else if self.signed < 0.0 {
            Action::Short
        } else {
            Action::Exit
        }
    }

    /// The price at which a bar that touches a level fills, and whether the level is the stop.
    pub(super) fn touched(&self, bar: &Bar) -> (f64, bool) {
        let Self { below, above, .. } = *self;
        let is_long = self.signed > 0.0;
        if bar.open <= below {
            (bar.open, is_long)
        } else if bar.open >= above {
            (bar.open, !is_long)
        } else if is_long {
            if bar.low <= below { (below, true) } else { (above, false) }
        } else if bar.high >= above {
            (above, true)
        } else {
            (below, false)
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
