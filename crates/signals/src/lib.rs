//! Rule-based forecast, signal and risk from a row of indicators.
//!
//! [`Rules::evaluate`] is a pure function of one row: it allocates nothing, keeps no state, and
//! takes the indicators from whoever computed them.
//!
//! - **Signal.** In Mean-Reversion a bar that touches the lower 1σ band is a BUY, the upper one a
//!   SELL, both a HOLD; in Transition HOLD; in Trend the direction is followed.
//! - **Targets.** Three mechanisms forecast the price `horizon` bars ahead: the average true range
//!   carries it the signal's way, VWAP and its bands attract it, and the regression line of the last
//!   closes is extrapolated. Their weighted mean is the blended target.
//! - **Risk.** The stop is the 2σ band against the trade, the take-profit the blended target; whether
//!   each stands on its side of the close, and reward to risk, are part of the output.
//! - **Text.** [`ForecastText`] says it all in one line.
//!
//! ```
//! use forecastle_core::{Direction, Regime, Signal};
//! use forecastle_signals::{ForecastText, RuleInputs, RuleParams, Rules};
//!
//! let rules = Rules::new(RuleParams::default())?;
//! let row = RuleInputs {
//!     close: 106.0, high: 108.0, low: 103.0,
//!     vwap: 106.4, vwap_sigma: 3.3, vwap_z: -0.4 / 3.3,
//!     atr: 4.3, linreg: 109.6, linreg_slope: 0.3,
//!     regime: Some(Regime::MeanReversion), strength: 0.56, direction: Some(Direction::Bearish),
//! };
//! let forecast = rules.evaluate(&row);
//! assert_eq!(forecast.signal, Signal::Buy); // 103 touches 106.4 − 3.3
//! assert_eq!(forecast.stop_loss, Some(106.4 - 2.0 * 3.3));
//! assert!(forecast.take_profit_valid);
//! let text = ForecastText::new(&row, &forecast, rules.params().horizon).to_string();
//! assert_eq!(
//!     text,
//!     "Bearish Mean-Reversion (z -0.12, strength 0.56): BUY, \
//!      expected to rise to 108.51 (+2.37%) in 5 bars",
//! );
//! # Ok::<(), forecastle_core::Error>(())
//! ```
//!
//! What is not here: indicators and regimes (they come in with the row), position sizes, orders and
//! costs. The rules are a transparent reference to measure models against, not a promise of profit.

mod general;
mod params;
mod row;
mod rules;
mod text;

pub use params::{RuleParams, RuleWeights};
pub use row::{RuleInputs, RuleOutput};
pub use rules::Rules;
pub use text::ForecastText;
