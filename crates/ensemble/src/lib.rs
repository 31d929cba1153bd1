//! Linear baselines, out-of-fold stacking and conformal intervals.
//!
//! - **Baselines**: [`NaiveParams`] repeats the last price, [`OlsParams`] is ordinary least squares
//!   (through linfa-linear), [`RidgeParams`] exact ridge regression on standardised, clipped columns.
//! - **Stacking**: [`out_of_fold`] lets every base model forecast blocks it has not seen;
//!   [`MetaParams`] turns those forecasts into weights; [`StackingParams`] does both and refits the
//!   bases on everything, from earlier models on with [`StackingParams::fit_from`]. The weight that
//!   is missing to 1 belongs to the naive forecast. Folds and refits are spans of the crate `tracing`
//!   (`stacking`, `out_of_fold`, `fold`, `refit`) at level debug.
//! - **Intervals**: [`SplitConformal`] reads interval bounds and the probability of the forecast's
//!   sign off the out-of-fold errors, without a distribution assumed; [`AdaptiveConformal`] keeps
//!   the coverage while the market drifts, bar by bar and with labels that come late;
//!   [`ConformalQuantiles`] corrects bands of quantile forecasts. [`IntervalScore`] compares them.
//! - **Probabilities**: [`ProbabilityCalibration`] turns a raw probability into one that what
//!   happened bears out; [`RollingErrors`] gives raw ones as errors come.
//!
//! ```
//! use forecastle_core::{FeatureTable, PredictExt, Rows, Timestamp};
//! use forecastle_ensemble::{Base, ConformalParams, OlsParams, RidgeParams, StackingParams};
//! use ndarray::{Array1, Array2};
//!
//! // A feature that says half of what comes, and noise.
//! let x = |t: usize| (t as f64 * 0.7).sin();
//! let noise = |t: usize| ((t * 7919 % 1009) as f64 / 1009.0 - 0.5) * 0.8;
//! let n = 600;
//! let times: Vec<_> = (0..n as i64).map(|t| Timestamp::from_millis(t * 3_600_000)).collect();
//! let values = Array2::from_shape_fn((n, 1), |(t, _)| x(t));
//! let table = FeatureTable::new(&["x".to_owned()], &times, values)?;
//! let targets: Array1<f64> = (0..n).map(|t| 0.5 * x(t) + noise(t)).collect();
//!
//! let (ridge, ols) = (RidgeParams::default(), OlsParams::default());
//! let bases = [
//!     Base { name: "ridge", model: &ridge, table: &table },
//!     Base { name: "ols", model: &ols, table: &table },
//! ];
//! let rows = Rows::from(0..n);
//! let stacking = StackingParams::default().fit(&bases, &targets, &rows, 1, &())?;
//! assert!(stacking.meta().naive_weight() < 0.3);
//!
//! let forecasts = stacking.predict(&[&table, &table])?;
//! let conformal = ConformalParams::default().fit(&stacking.meta().residuals())?;
//! let (lower, upper) = conformal.interval(forecasts[n - 1]);
//! assert!(lower < forecasts[n - 1] && forecasts[n - 1] < upper);
//! # Ok::<(), forecastle_core::Error>(())
//! ```
//!
//! What is not here: stacking on in-sample forecasts (it rewards whoever overfits most), nonlinear
//! meta-models (a few hundred independent labels do not feed one), R² on price levels.

mod adaptive_conformal;
mod adaptive_level;
mod conformal;
mod conformal_quantiles;
mod cox;
mod evidence;
mod interval_score;
mod isotonic;
mod issued;
mod linear;
mod meta;
mod naive;
mod ols;
mod order_statistics;
mod out_of_fold;
mod platt;
mod probability_calibration;
mod ridge;
mod rolling_errors;
mod rolling_scores;
mod simplex;
mod stacking;
mod venn_abers;

pub use adaptive_conformal::{AdaptiveConformal, AdaptiveConformalParams};
pub use adaptive_level::StepSize;
pub use conformal::{ConformalParams, Sides, SplitConformal, realised_coverage};
pub use conformal_quantiles::{ConformalQuantiles, ConformalQuantilesParams};
pub use interval_score::IntervalScore;
pub use issued::Issued;
pub use meta::{Meta, MetaParams};
pub use naive::{Naive, NaiveParams};
pub use ols::{Ols, OlsParams};
pub use out_of_fold::{Base, OutOfFold, out_of_fold};
pub use probability_calibration::{
    CalibrationMethod, ProbabilityCalibration, ProbabilityCalibrationParams,
};
pub use ridge::{Ridge, RidgeParams};
pub use rolling_errors::RollingErrors;
pub use stacking::{MetaModel, Stacking, StackingParams};
