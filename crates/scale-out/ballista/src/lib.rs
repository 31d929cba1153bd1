//! Forecasts on many machines: Ballista's scheduler and executors with Forecastle's functions.
