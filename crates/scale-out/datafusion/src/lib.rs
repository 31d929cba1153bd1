//! Forecasts as aggregate functions of DataFusion: one row of SQL for each symbol.
//!
//! ```
//! use forecastle_datafusion::{register, session_config};
//! use datafusion::prelude::SessionContext;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ctx = SessionContext::new_with_config(session_config(1));
//! register(&ctx);
//! # use forecastle::market_data::{record_batch, Simulator, SimulatorParams};
//! let candles = Simulator::new(SimulatorParams { n: 600, ..Default::default() })?.series()?;
//! ctx.register_batch("candles", record_batch(candles.view())?)?;
//! let sql = r#"SELECT f['signal'], f['ensemble'], f['reason'] FROM (
//!     SELECT forecast(open_time, open, high, low, close, volume,
//!                     '{"pipeline": {"horizon": 5, "models": ["ridge"]}}') AS f FROM candles)"#;
//! let batches = ctx.sql(sql).await?.collect().await?;
//! assert_eq!(batches[0].num_rows(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # The functions
//! [`forecast`](aggregate_functions), `leaderboard` and `backtest` take `(open_time, open, high, low, close,
//! volume[, options])` and give a struct for each group:
//!
//! | function | struct |
//! |---|---|
//! | `forecast` | the columns of [`SymbolForecast`](forecastle::SymbolForecast): the last row of the final table, what was repaired, the ensemble's skill beside naive, and `reason` |
//! | `leaderboard` | `candles`, `models` (a list of the leaderboard's rows), the interval's coverage, `reason` |
//! | `backtest` | `candles`, `strategies` (a list of figures), `reason` |
//!
//! `open_time` is a timestamp of any unit or milliseconds as `BIGINT`; `options` is a literal string of JSON, see
//! [`Options`]. Rows may come in any order and in any number of partial states, with the same bits: they
//! are sorted before anything is computed. Of different candles with one open time, which a table without an
//! order cannot tell apart by age, that with the greater values stands, and `dropped` counts the rest.
//!
//! A group that fails gives a struct of nulls with its `reason`, never a failed query.
//!
//! # The plan
//! The state of a group is its candles. [`session_config`] and [`register_candles`] make DataFusion read every
//! symbol in one partition, so that no candle is moved; [`check_plan`] tells whether that worked.

mod accumulator;
mod candle_rows;
mod candle_table;
mod flatten;
mod function;
mod job;
mod options;
mod plan;
mod quiet_threads;
mod session;

pub use candle_table::{CandleTableError, register_candles};
pub use flatten::{flatten, sort_rows};
pub use function::aggregate_functions;
pub use options::Options;
pub use plan::{PlanError, check_plan};
pub use session::{register, session_config};

pub use forecastle::market_data::{
    candle_schema, read_record_batches, record_batch as candle_batch,
};
pub use forecastle::{arrow_schema, record_batch};
