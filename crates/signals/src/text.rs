use std::fmt;

use forecastle_core::{Direction, Regime, Signal};

use crate::general::General;
use crate::{RuleInputs, RuleOutput};

/// Says a row's forecast in one line, from the table's own fields.
///
/// Its `Display` allocates nothing; `to_string` gives the `forecast_text` column. Without a blended
/// target it reads `insufficient history`. The target has six significant digits, all other numbers
/// two decimals.
///
/// # Examples
/// ```
/// use forecastle_core::{Direction, Regime, Signal};
/// use forecastle_signals::ForecastText;
///
/// let text = ForecastText {
///     direction: Some(Direction::Bearish), regime: Some(Regime::MeanReversion),
///     vwap_z: -0.4157, strength: 0.7078, signal: Signal::Hold,
///     close: 105.0, blended_target: Some(106.62452), horizon: 5,
/// };
/// assert_eq!(
///     text.to_string(),
///     "Bearish Mean-Reversion (z -0.42, strength 0.71): HOLD, \
///      expected to rise to 106.625 (+1.55%) in 5 bars",
/// );
/// assert_eq!(ForecastText { blended_target: None, ..text }.to_string(), "insufficient history");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForecastText {
    /// Side of VWAP on which the bar closed.
    pub direction: Option<Direction>,
    /// Regime of z.
    pub regime: Option<Regime>,
    /// Distance to VWAP in standard deviations.
    pub vwap_z: f64,
    /// Strength of the regime.
    pub strength: f64,
    /// What the rules would do.
    pub signal: Signal,
    /// Last price.
    pub close: f64,
    /// Forecast price.
    pub blended_target: Option<f64>,
    /// Bars ahead that the target speaks of.
    pub horizon: usize,
}

impl ForecastText {
    /// Takes the fields from a row and what the rules say about it.
    pub fn new(row: &RuleInputs, output: &RuleOutput, horizon: usize) -> Self {
        Self {
            direction: row.direction,
            regime: row.regime,
            vwap_z: row.vwap_z,
            strength: row.strength,
            signal: output.signal,
            close: row.close,
            blended_target: output.blended_target,
            horizon,
        }
    }
}

impl fmt::Display for ForecastText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(direction), Some(regime), Some(target)) =
            (self.direction, self.regime, self.blended_target)
        else {
            return f.write_str("insufficient history");
        };
        let (z, strength, signal, close) = (self.vwap_z, self.strength, self.signal, self.close);
        let verb = if target > close {
            "rise to"
        } else if target < close {
            "fall to"
        } else {
            "stay at"
        };
        let (percent, target) = (100.0 * (target / close - 1.0), General(target));
        let (horizon, bars) = (self.horizon, if self.horizon == 1 { "bar" } else { "bars" });
        write!(
            f,
            "{direction} {regime} (z {z:+.2}, strength {strength:.2}): {signal}, \
             expected to {verb} {target} ({percent:+.2}%) in {horizon} {bars}"
        )
    }
}
