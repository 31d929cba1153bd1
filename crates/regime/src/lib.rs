//! Regime, strength and direction from the distance to VWAP.
//!
//! Pure functions of one row. z = (close − VWAP) / σ says how many standard deviations the price
//! stands from its VWAP:
//!
//! | distance | [regime](regime()) | reading |
//! |---|---|---|
//! | \|z\| ≤ 1 | Mean-Reversion | the price is held near its VWAP |
//! | 1 < \|z\| ≤ 2 | Transition | it is leaving, or coming back |
//! | \|z\| > 2 | Trend | it has left |
//!
//! [`regime_strength`] grows with |z| without a jump where the regime changes, and [`direction`] is
//! the side of VWAP on which the price closed. [`MarketState`] holds all three.
//!
//! ```
//! use forecastle_core::{Direction, Regime};
//! use forecastle_regime::MarketState;
//!
//! let (close, vwap, sigma) = (105.0, 100.0, 2.0);
//! let state = MarketState::new(close, vwap, (close - vwap) / sigma).ok_or("not ready")?;
//! assert_eq!((state.regime, state.direction), (Regime::Trend, Direction::Bullish));
//! assert_eq!(state.strength, 1.75);
//! assert_eq!(MarketState::new(close, f64::NAN, f64::NAN), None);
//! # Ok::<(), &str>(())
//! ```
//!
//! What is not here: VWAP, σ and z themselves (they come from any table that has them), and what to
//! do about a regime (signals).

mod direction;
mod regime;
mod state;

pub use direction::direction;
pub use regime::{regime, regime_strength};
pub use state::MarketState;
