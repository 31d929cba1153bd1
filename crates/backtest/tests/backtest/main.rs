//! Integration tests of the backtest crate, one binary.
#![allow(clippy::unwrap_used, clippy::float_cmp_const, clippy::print_stderr, reason = "tests")]

mod account;
mod backtesting_parity;
mod comparison;
mod degenerate;
mod identities;
mod performance;
mod random_walk;
mod series;
mod sharpe;
mod tables;
