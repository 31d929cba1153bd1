//! Candles, series, time splits and the small traits that every Forecastle crate is built on.
//!
//! - **Candles**: [`Candle`] holds the OHLCV invariant, [`CandleSeries`] strictly increasing time;
//!   [`RepairReport`] counts what was repaired on the way in. [`Timestamp`], [`Timeframe`] and
//!   [`Symbol`] put units into types.
//! - **Traits**: [`CandleSource`] gives candles, [`Transform`] turns them into columns, [`Fit`] and
//!   [`Predict`] learn and forecast. All are small and usable behind `dyn`.
//! - **Learning in time**: [`Target`] makes labels, [`Dataset`] borrows what a model learns from,
//!   [`WalkForward`] and [`PurgedKFold`] split without letting a label cross over.
//! - **Saved models**: [`Artifact`], checksummed, with the names of the features.
//! - **`conformance`** (feature): suites that prove an implementation of these traits right.
//!
//! ```
//! use forecastle_core::{CandleSeries, RawCandle, Timestamp};
//!
//! let row = |hour: i64, close: f64| RawCandle {
//!     open_time: Timestamp::from_millis(hour * 3_600_000),
//!     open: close, high: close + 1.0, low: close - 1.0, close, volume: 10.0,
//! };
//! let rows = [row(1, 101.0), row(0, 100.0), row(1, 102.0), row(4, f64::NAN)];
//! let (series, report) = CandleSeries::from_raw("BTC/USDT".parse()?, "1h".parse()?, rows, None);
//! assert_eq!(series.view().close(), [100.0, 102.0]);
//! assert_eq!((report.duplicates, report.dropped, report.out_of_order), (1, 1, 1));
//! # Ok::<(), forecastle_core::Error>(())
//! ```
//!
//! What is not here: indicators, models, files, networks. Those are the sibling crates, and each
//! depends on this one alone.

mod artifact;
mod candle;
#[cfg(feature = "conformance")]
pub mod conformance;
mod dataset;
mod error;
mod fingerprint;
mod market;
mod model;
mod predict_stream;
mod progress;
mod rows;
mod series;
mod source;
mod split;
mod standardize;
mod symbol;
mod table;
mod timeframe;
mod timestamp;
mod transform;

pub use artifact::Artifact;
pub use candle::{Candle, RawCandle};
pub use dataset::{Dataset, Target};
pub use error::{Error, Result};
pub use fingerprint::Fingerprint;
pub use market::{Direction, Regime, Signal};
pub use model::{DynFit, Fit, Load, Lookback, Predict, PredictExt};
pub use predict_stream::PredictStream;
pub use progress::{Progress, ProgressEvent, Quiet};
pub use rows::Rows;
pub use series::{CandleSeries, CandleView, RepairReport};
pub use source::{BoxFuture, CandleRequest, CandleSource, CandleSourceExt};
pub use split::{PurgedKFold, Split, TrainWindow, WalkForward};
pub use standardize::Standardizer;
pub use symbol::Symbol;
pub use table::{FeatureTable, check_feature_names};
pub use timeframe::{TimeUnit, Timeframe};
pub use timestamp::Timestamp;
pub use transform::{Transform, TransformExt, TransformStream};
