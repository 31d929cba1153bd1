//! Trades decisions on candles with costs, next-open fills and honest statistics.
//!
//! - **[`Decision`]**: what to do, decided at a bar's close and done at the next open, with a stop, a
//!   target and a longest stay.
//! - **[`BacktestParams::run`]**: a series of decisions, traded; [`Backtest`] holds trades and equity.
//!   [`Account`] is the same loop driven candle by candle, bit for bit.
//! - **[`Costs`]** are above zero unless asked for; **[`Sizing`]** is a fraction of equity, a target of
//!   volatility or units.
//! - **[`Performance`]**: CAGR, Sharpe, Sortino, drawdown, Calmar, hit rate, profit factor, turnover,
//!   exposure, how sure the Sharpe ratio is ([`probabilistic_sharpe_ratio`],
//!   [`deflated_sharpe_ratio`], [`minimum_track_record_length`]) and every [`Warning`].
//! - **[`BacktestParams::compare`]**: the same beside buy-and-hold and entries at random times;
//!   **[`BacktestParams::sweep`]**: many settings, which know how many they were.
//!
//! ```
//! use forecastle_backtest::{BacktestParams, Decision, ExitReason, PerformanceParams, Warning};
//! use forecastle_core::{Candle, CandleSeries, Timestamp};
//!
//! let day = |i: i64, open, high, low, close| {
//!     Candle::new(Timestamp::from_millis(i * 86_400_000), open, high, low, close, 1.0)
//! };
//! let candles = [
//!     day(0, 99.0, 101.0, 98.0, 100.0)?,
//!     day(1, 101.0, 104.0, 100.0, 103.0)?,
//!     day(2, 103.0, 112.0, 102.0, 108.0)?,
//!     day(3, 90.0, 92.0, 88.0, 91.0)?,
//! ];
//! let series = CandleSeries::from_candles("BTC/USDT".parse()?, "1d".parse()?, candles)?;
//! let mut decisions = [Decision::KEEP; 4];
//! decisions[0] = Decision::long().with_stop(95.0);
//! let backtest = BacktestParams::default().run(series.view(), &decisions)?;
//!
//! // Decided at 100, filled at the next open; the gap through the stop filled at the open, not at 95.
//! let trade = backtest.trades[0];
//! assert_eq!((trade.entry_price, trade.exit_price), (101.0, 90.0));
//! assert_eq!(trade.reason, ExitReason::StopLoss);
//! assert!((backtest.equity[3] - (10_000.0 + trade.gross - trade.costs)).abs() < 1e-9);
//! let performance = backtest.performance(&PerformanceParams::default())?;
//! assert_eq!(performance.warnings, [Warning::FewTrades { n_trades: 1 }]);
//! # Ok::<(), forecastle_core::Error>(())
//! ```
//!
//! # Conventions
//! - Candles are taken as middle prices. Market orders and stops fill worse by half-spread and
//!   slippage, targets by the half-spread; the fee is paid on each fill's notional.
//! - Inside a bar nothing is known but its range: where stop and target are both touched, the stop
//!   counts. The open is the first price, so a level that it has passed fills there: a stop at a
//!   worse price than its own, a target at a better one.
//! - Equity is valued at closes without the costs of leaving. At the end of the data a position is
//!   closed at the last close, unless [`BacktestParams::close_at_end`] says otherwise.
//! - One position at a time, never added to.
//!
//! # What is not here
//! - **Volume limits and order books**: any size fills. Keep it small beside the candle's volume.
//! - **Funding, interest and borrowing**: holding is free, also short and with leverage.
//! - **Margin calls**: an account ends when nothing is left, not when a broker would have ended it.
//! - **Limit entries and portfolios**: entries are market orders, an account has one market.
//! - **Decisions**: they come from elsewhere, and if they know the future so does the result.

mod account;
mod backtest;
mod comparison;
mod costs;
mod decision;
mod drawdown;
mod params;
mod performance;
mod random_entry;
mod sharpe;
mod sizing;
mod sweep;
mod trade;
mod warning;

pub use account::{Account, SkippedEntries};
pub use backtest::Backtest;
pub use comparison::Comparison;
pub use costs::Costs;
pub use decision::{Action, Decision};
pub use params::BacktestParams;
pub use performance::{Performance, PerformanceParams};
pub use random_entry::{RandomEntry, RandomEntryParams};
pub use sharpe::{
    deflated_sharpe_ratio, expected_maximum_sharpe, minimum_track_record_length,
    probabilistic_sharpe_ratio,
};
pub use sizing::Sizing;
pub use sweep::Sweep;
pub use trade::{ExitReason, Position, Side, Trade};
pub use warning::Warning;
