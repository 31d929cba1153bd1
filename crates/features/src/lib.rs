//! VWAP with bands, rolling indicators and scale-free model features, batch and stream.
//!
//! Every item here is a [`Transform`](forecastle_core::Transform): it fills caller-provided
//! columns from candles in one pass, and starts a stream that gives the same bits candle by candle
//! in O(1) amortised, without allocating. All are causal; [`global_vwap`] alone is not, and says so.
//!
//! - [`Indicators`]: the 23 columns that rules and people read, in price units;
//!   [`PriceIndicators`]: the ten of them that TA-Lib has too, of price alone.
//! - [`ModelFeatures`]: the same made scale-free, for models; [`LogClose`] for the Kalman filter.
//! - One at a time: [`Vwap`], [`Sma`], [`RollingStd`], [`TrueRange`], [`Atr`], [`Momentum`],
//!   [`Lag`], [`LinearRegression`].
//!
//! ```
//! use forecastle_core::{Candle, CandleSeries, Timestamp, TransformExt};
//! use forecastle_features::{Indicator, Indicators, VwapAnchor};
//!
//! let candles: Result<Vec<_>, _> = (0..200)
//!     .map(|hour| {
//!         let close = 100.0 + (hour as f64 * 0.7).sin();
//!         let time = Timestamp::from_millis(hour * 3_600_000);
//!         Candle::new(time, 100.0, close.max(100.0) + 1.0, close.min(100.0) - 1.0, close, 5.0)
//!     })
//!     .collect();
//! let series = CandleSeries::from_candles("BTC/USDT".parse()?, "1h".parse()?, candles?)?;
//!
//! let table = Indicators::new(VwapAnchor::Rolling(96))?.transform(series.view())?;
//! let z = table.values()[[199, Indicator::VwapZ.index()]];
//! assert!(z.abs() < 3.0);
//! assert!(table.column("vwap").is_some_and(|vwap| vwap[94].is_nan() && vwap[95].is_finite()));
//! # Ok::<(), forecastle_core::Error>(())
//! ```
//!
//! # Numbers
//! Windows are never maintained by taking out what left: a rolling VWAP joins the tail of the block
//! before to the head of the current block, so rounding does not pile up over 10⁷ rows, an offset
//! of 10⁹ does not matter, and a constant price has deviation 0 to the bit. Volumes are weighed
//! from 1e-300 to 1e300 and clamped beyond. Squares of price differences must stay within `f64`:
//! prices from 1e-140 to 1e140 do.
//!
//! # What is not here
//! Regime, direction and signals: rules on these columns, in crates of their own. Indicators that
//! look ahead (centred averages, smoothers): none may enter a feature row. Filling of gaps: lags
//! and windows count rows, not time.

mod anchor;
mod anchored;
mod atr;
mod close_windows;
mod global_vwap;
mod indicator;
mod indicators;
mod lag;
mod linear_regression;
mod log_close;
mod model_features;
mod moments;
mod momentum;
mod output;
mod price_indicators;
mod rolling_std;
mod sma;
mod true_range;
mod vwap;
mod window;

pub use anchor::{SessionOffset, VwapAnchor};
pub use atr::{Atr, AtrStream};
pub use global_vwap::{GlobalVwap, global_vwap};
pub use indicator::{INDICATOR_NAMES, Indicator};
pub use indicators::{Indicators, IndicatorsStream};
pub use lag::{Lag, LagStream};
pub use linear_regression::{LinearRegression, LinearRegressionStream};
pub use log_close::{LogClose, LogCloseStream};
pub use model_features::{ModelFeatures, ModelFeaturesParams, ModelFeaturesStream};
pub use momentum::{Momentum, MomentumStream};
pub use price_indicators::{PriceIndicators, PriceIndicatorsStream};
pub use rolling_std::{RollingStd, RollingStdStream};
pub use sma::{Sma, SmaStream};
pub use true_range::{TrueRange, TrueRangeStream};
pub use vwap::{Vwap, VwapStream};
pub use window::MAX_WINDOW;
