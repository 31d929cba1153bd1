use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Parametrises [`Rules`](crate::Rules).
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `horizon` | 5 | bars ahead that the targets speak of | ≥ 1 |
/// | `atr_multiplier` | 1.5 | average true ranges that a signal is expected to travel | > 0 |
/// | `weights` | 0.4, 0.4, 0.2 | shares of the three mechanisms | ≥ 0, sum 1 |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleParams {
    /// Bars ahead that the targets speak of.
    pub horizon: usize,
    /// Average true ranges that a signal is expected to travel, before strength.
    pub atr_multiplier: f64,
    /// Shares of the three mechanisms in the blended target and in the confidence.
    pub weights: RuleWeights,
}

impl Default for RuleParams {
    fn default() -> Self {
        Self { horizon: 5, atr_multiplier: 1.5, weights: RuleWeights::default() }
    }
}

/// Shares the blended target among the three mechanisms.
///
/// A mechanism of weight 0 is switched off: its target is still computed, but the blended target
/// does not wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleWeights {
    /// Share of the average-true-range target.
    pub atr: f64,
    /// Share of the VWAP target.
    pub vwap: f64,
    /// Share of the regression target.
    pub linreg: f64,
}

impl Default for RuleWeights {
    fn default() -> Self {
        Self { atr: 0.4, vwap: 0.4, linreg: 0.2 }
    }
}

impl RuleParams {
    /// Checks the ranges.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] for the first parameter outside its range.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.horizon == 0 {
            return Err(Error::invalid_parameter("horizon", ">= 1", 0));
        }
        if !(self.atr_multiplier.is_finite() && self.atr_multiplier > 0.0) {
            let requirement = "finite and > 0";
            return Err(Error::invalid_parameter(
                "atr_multiplier",
                requirement,
                self.atr_multiplier,
            ));
        }
        let RuleWeights { atr, vwap, linreg } = self.weights;
        let named = [("weights.atr", atr), ("weights.vwap", vwap), ("weights.linreg", linreg)];
        for (name, weight) in named {
            if !(0.0..=1.0).contains(&weight) {
                return Err(Error::invalid_parameter(name, "between 0 and 1", weight));
            }
        }
        let sum = atr + vwap + linreg;
        if (sum - 1.0).abs() > 1e-9 {
            return Err(Error::invalid_parameter("weights", "of sum 1", sum));
        }
        Ok(())
    }
}
