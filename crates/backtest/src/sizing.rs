use forecastle_core::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

/// Milliseconds in the mean year of 365.25 days.
pub(crate) const YEAR_MILLIS: f64 = 365.25 * 86_400_000.0;

/// Names how large a position is.
///
/// The account's equity when it enters is taken times a fraction, and what that buys at the fill's
/// price, its costs included, is the position: a fraction of 1 spends all and borrows nothing. Above 1
/// is leverage. A decision's `scale` multiplies the fraction, or the units.
///
/// # Examples
/// ```
/// use forecastle_backtest::Sizing;
///
/// let sizing = Sizing::VolatilityTarget { annual: 0.2, window: 48, max_leverage: 1.0 };
/// assert!(sizing.check().is_ok());
/// let error = Sizing::Fraction(0.0).check().unwrap_err().to_string();
/// assert_eq!(error, "parameter `fraction` must be > 0 and at most 100, got 0");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Sizing {
    /// This fraction of equity, above 0 and at most 100.
    Fraction(f64),
    /// So many units of the base currency, whatever the equity; above 0.
    Units(f64),
    /// The fraction of equity that would have had a given volatility lately.
    ///
    /// The fraction is `annual` divided by the annual standard deviation (ddof 1) of the last `window`
    /// log returns of the close, up to and including the bar of the decision. A year has
    /// `periods_per_year` bars where the backtest's parameters say so, and as many as the window's own
    /// times give otherwise. An entry before there are so many returns is left out, and counted.
    VolatilityTarget {
        /// Wanted standard deviation of a year's log returns, above 0.
        annual: f64,
        /// Returns that the estimate sees, at least 2.
        window: usize,
        /// The largest fraction, after `scale`; above 0 and at most 100.
        max_leverage: f64,
    },
}

impl Default for Sizing {
    fn default() -> Self {
        Self::Fraction(1.0)
    }
}

impl Sizing {
    /// Checks every number's range; a backtest does so first.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first number outside its range.
    pub fn check(&self) -> Result<()> {
        let leverage = |name, value: f64| {
            if value > 0.0 && value <= 100.0 {
                return Ok(());
            }
            Err(Error::invalid_parameter(name, "> 0 and at most 100", value))
        };
        let positive = |name, value: f64| {
            if value > 0.0 && value.is_finite() {
                return Ok(());
            }
            Err(Error::invalid_parameter(name, "> 0 and finite", value))
        };
        match *self {
            Self::Fraction(fraction) => leverage("fraction", fraction),
            Self::Units(units) => positive("units", units),
            Self::VolatilityTarget { annual, window, max_leverage } => {
                positive("annual", annual)?;
                if window < 2 {
                    return Err(Error::invalid_parameter("window", ">= 2", window));
                }
                leverage("max_leverage", max_leverage)
            }
        }
    }

    /// Closes that an estimate of volatility needs, 0 where there is none.
    pub(crate) fn closes_needed(&self) -> usize {
        match *self {
            Self::VolatilityTarget { window, .. } => window.saturating_add(1),
            _ => 0,
        }
    }

    /// The fraction of equity, or the number of units, to enter with; `None` where the volatility is
    /// not known yet.
    ///
    /// - `closes`: the last closes up to the bar of the decision, oldest first
    pub(crate) fn amount(
        &self,
        scale: f64,
        periods_per_year: Option<f64>,
        closes: impl ExactSizeIterator<Item = (Timestamp, f64)> + Clone,
    ) -> Option<Amount> {
        Some(match *self {
            Self::Fraction(fraction) => Amount::Fraction(fraction * scale),
            Self::Units(units) => Amount::Units(units * scale),
            Self::VolatilityTarget { annual, max_leverage, .. } => {
                if closes.len() < self.closes_needed() {
                    return None;
                }
                let volatility = annual_volatility(closes, periods_per_year)?;
                // No volatility at all asks for infinitely much, and for 0 times that with `scale` 0.
                let wanted = if scale > 0.0 { scale * (annual / volatility) } else { 0.0 };
                Amount::Fraction(wanted.min(max_leverage))
            }
        })
    }
}

/// How much to enter with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Amount {
    /// Of equity, costs included.
    Fraction(f64),
    /// Of the base currency.
    Units(f64),
}

/// Standard deviation of the log returns in a year.
fn annual_volatility(
    closes: impl ExactSizeIterator<Item = (Timestamp, f64)> + Clone,
    periods_per_year: Option<f64>,
) -> Option<f64> {
    let n = closes.len().checked_sub(1).filter(|&n| n >= 2)? as f64;
    let returns = || {
        let later = closes.clone().skip(1);
        closes.clone().zip(later).map(|((_, before), (_, after))| (after / before).ln())
    };
    let mean = returns().sum::<f64>() / n;
    let squares: f64 = returns().map(|r| (r - mean) * (r - mean)).sum();
    let a_year = match periods_per_year {
        Some(periods) => periods,
        None => {
            let (first, last) = (closes.clone().next()?.0, closes.clone().last()?.0);
            n / (last.millis_since(first)? as f64 / YEAR_MILLIS)
        }
    };
    Some((squares / (n - 1.0) * a_year).sqrt()).filter(|volatility| volatility.is_finite())
}
