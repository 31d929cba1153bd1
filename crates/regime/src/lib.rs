//! Regime, strength and direction from the distance to VWAP.
