//! VWAP with bands, rolling indicators and scale-free model features, batch and stream.
