//! Forecasts as DataFusion aggregate functions.
