use forecastle_core::{Direction, Regime, Signal};
use serde::{Deserialize, Serialize};

/// Holds the indicators of one bar that the rules read; NaN and `None` mean "not ready".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RuleInputs {
    /// Last price of the bar.
    pub close: f64,
    /// Highest price of the bar.
    pub high: f64,
    /// Lowest price of the bar.
    pub low: f64,
    /// Volume-weighted average price.
    pub vwap: f64,
    /// Volume-weighted standard deviation about it.
    pub vwap_sigma: f64,
    /// (close − vwap) / sigma, 0 where sigma is flat.
    pub vwap_z: f64,
    /// Average true range.
    pub atr: f64,
    /// Regression line of the last closes, at this bar.
    pub linreg: f64,
    /// Its slope a bar.
    pub linreg_slope: f64,
    /// Regime of z.
    pub regime: Option<Regime>,
    /// Strength of the regime, from 0.5 to 2.
    pub strength: f64,
    /// Side of VWAP on which the bar closed.
    pub direction: Option<Direction>,
}

/// Holds what the rules say about one bar.
///
/// A target is `None` while a number that it needs is not ready. The field names are the columns of
/// the final table.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RuleOutput {
    /// What to do at the close.
    pub signal: Signal,
    /// The 2σ band against the trade; `None` for HOLD.
    pub stop_loss: Option<f64>,
    /// The blended target, whatever the signal; usable when `take_profit_valid`.
    pub take_profit: Option<f64>,
    /// Close, carried the signal's way by the average true range.
    pub atr_target: Option<f64>,
    /// Close, drawn towards VWAP or the next band.
    pub vwap_target: Option<f64>,
    /// Regression line, extrapolated.
    pub linreg_target: Option<f64>,
    /// Weighted mean of the three.
    pub blended_target: Option<f64>,
    /// Whether the take-profit stands on the profitable side of the close; false for HOLD.
    pub take_profit_valid: bool,
    /// Whether the stop stands on the losing side of the close; false for HOLD, and true otherwise,
    /// since no signal is emitted against it.
    pub stop_valid: bool,
    /// |take-profit − close| / |close − stop|; `None` unless both are valid.
    pub reward_risk: Option<f64>,
    /// Weight share of the mechanisms that point the signal's way, from 0 to 1; 0 for HOLD.
    pub rule_confidence: f64,
}
