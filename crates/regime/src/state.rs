use forecastle_core::{Direction, Regime};
use serde::{Deserialize, Serialize};

use crate::{direction, regime, regime_strength};

/// Holds what one row says about the market: regime, its strength, and direction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MarketState {
    /// How far the price stands from its VWAP.
    pub regime: Regime,
    /// How strongly, from 0.5 to 2.
    pub strength: f64,
    /// On which side it closed.
    pub direction: Direction,
}

impl MarketState {
    /// Reads a row; `None` while any of the three numbers is NaN ("not ready").
    pub fn new(close: f64, vwap: f64, z: f64) -> Option<Self> {
        Some(Self {
            regime: regime(z)?,
            strength: regime_strength(z),
            direction: direction(close, vwap)?,
        })
    }
}
