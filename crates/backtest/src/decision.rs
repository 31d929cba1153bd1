use forecastle_core::{Error, Result, Signal};
use serde::{Deserialize, Serialize};

/// Names what to do at the next open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Leave things as they are.
    #[default]
    Keep,
    /// Be flat.
    Exit,
    /// Be long.
    Long,
    /// Be short; where shorts are not allowed, be flat.
    Short,
}

/// BUY is [`Action::Long`], SELL is [`Action::Short`], HOLD is [`Action::Keep`].
impl From<Signal> for Action {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Buy => Self::Long,
            Signal::Sell => Self::Short,
            Signal::Hold => Self::Keep,
        }
    }
}

/// Holds what was decided at a bar's close, to be done at the next bar's open.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `action` | keep | the position to be in | |
/// | `stop_loss` | none | price at which a loss is taken | > 0 |
/// | `take_profit` | none | price at which a profit is taken | > 0 |
/// | `max_bars` | none | leave at the open after so many bars, counted from this decision's fill | ≥ 1 |
/// | `scale` | 1 | of the position's size | ≥ 0 |
///
/// What it does depends on the position at the next open:
///
/// - **flat**: `Long` and `Short` enter, with the levels given.
/// - **on the other side**: the position is closed and the new one entered, both at that open.
/// - **already on that side, or `Keep`**: nothing is traded, and levels that the decision gives replace
///   the position's own, from that open on; levels that it does not give stay. That is how a stop
///   trails. `scale` does nothing here: positions are not added to.
///
/// A level that the open has already passed, also the very open of the entry, is executed at that open.
///
/// # Examples
/// ```
/// use forecastle_backtest::{Action, Decision};
///
/// let decision = Decision::long().with_stop(95.0).with_take_profit(110.0).with_max_bars(24);
/// assert_eq!((decision.action, decision.stop_loss), (Action::Long, Some(95.0)));
/// let trail = Decision::KEEP.with_stop(97.0);
/// assert!(trail.check().is_ok() && trail.with_stop(f64::NAN).check().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Decision {
    /// The position to be in.
    pub action: Action,
    /// Price at which a loss is taken.
    pub stop_loss: Option<f64>,
    /// Price at which a profit is taken.
    pub take_profit: Option<f64>,
    /// Leave at the open after so many bars, counted from this decision's fill.
    pub max_bars: Option<u32>,
    /// Of the position's size.
    pub scale: f64,
}

impl Default for Decision {
    fn default() -> Self {
        Self::KEEP
    }
}

impl Decision {
    /// Leave things as they are.
    pub const KEEP: Self = Self::new(Action::Keep);
    /// Be flat.
    pub const EXIT: Self = Self::new(Action::Exit);

    /// Makes a decision without levels.
    pub const fn new(action: Action) -> Self {
        Self { action, stop_loss: None, take_profit: None, max_bars: None, scale: 1.0 }
    }

    /// Be long.
    pub const fn long() -> Self {
        Self::new(Action::Long)
    }

    /// Be short.
    pub const fn short() -> Self {
        Self::new(Action::Short)
    }

    /// This decision with a stop-loss at a price.
    pub const fn with_stop(self, price: f64) -> Self {
        Self { stop_loss: Some(price), ..self }
    }

    /// This decision with a take-profit at a price.
    pub const fn with_take_profit(self, price: f64) -> Self {
        Self { take_profit: Some(price), ..self }
    }

    /// This decision with a longest stay.
    pub const fn with_max_bars(self, bars: u32) -> Self {
        Self { max_bars: Some(bars), ..self }
    }

    /// This decision with its position's size multiplied.
    pub const fn with_scale(self, scale: f64) -> Self {
        Self { scale, ..self }
    }

    /// Whether there is nothing to do, whatever the position.
    pub const fn is_idle(&self) -> bool {
        matches!(self.action, Action::Keep) && self.has_no_levels()
    }

    /// Whether there is nothing to do in the position that `held` asks for.
    pub(crate) fn is_idle_while(&self, held: Action) -> bool {
        let asks_for_it = self.action == Action::Keep || (self.action == held && self.scale == 1.0);
        asks_for_it && self.has_no_levels()
    }

    const fn has_no_levels(&self) -> bool {
        self.stop_loss.is_none() && self.take_profit.is_none() && self.max_bars.is_none()
    }

    /// Checks every field's range; an account does so with each decision.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first field outside its range.
    pub fn check(&self) -> Result<()> {
        for (name, level) in [("stop_loss", self.stop_loss), ("take_profit", self.take_profit)] {
            if let Some(price) = level
                && !(price > 0.0 && price.is_finite())
            {
                return Err(Error::invalid_parameter(name, "> 0 and finite", price));
            }
        }
        if self.max_bars == Some(0) {
            return Err(Error::invalid_parameter("max_bars", ">= 1", 0));
        }
        if !(self.scale >= 0.0 && self.scale.is_finite()) {
            return Err(Error::invalid_parameter("scale", ">= 0 and finite", self.scale));
        }
        Ok(())
    }
}
