//! Linear Kalman filter, local linear trend, likelihood and smoother.
//!
//! - [`StateSpace`] is the general linear model on nalgebra, of fixed or dynamic size:
//!   [`KalmanFilter`] filters it row by row in Joseph form, with exact likelihood, forecasts with
//!   covariance and missing components; [`StateSpace::smooth`] looks back (non-causal).
//! - [`LocalLinearTrend`] and [`LocalLevel`] are the models that prices need, written out for their
//!   two states: the same numbers without matrices, [`LocalLinearTrendStream`] one at a time.
//! - [`MaximumLikelihood`] finds their variances, from nothing or from earlier ones on, and tells
//!   its search through the crate `tracing` at level debug.
//! - [`KalmanParams`] fits [`Kalman`], the forecaster of log returns that the other crates' stacks
//!   take like any model.
//!
//! ```
//! use forecastle_kalman::{LocalLinearTrend, MaximumLikelihood, TrendState};
//!
//! // A noisy ramp.
//! let series: Vec<f64> = (0..100).map(|t| 0.5 * f64::from(t) + f64::from(t * t % 7)).collect();
//! let prior = TrendState::new(series[0], 0.0, 1e6);
//! let fit = MaximumLikelihood::default().fit_trend(prior, &series)?;
//!
//! let mut stream = fit.model.stream(prior)?;
//! let mut state = prior;
//! for y in series {
//!     state = stream.update(y).state;
//! }
//! let ahead = fit.model.forecast(&state, 10);
//! assert!((ahead.mean - 0.5 * 109.0).abs() < 2.0 * ahead.variance.sqrt());
//! # Ok::<(), forecastle_core::Error>(())
//! ```
//!
//! What is not here: matrices that change in time, control inputs, correlated measurement and
//! process noise, exact diffuse initialisation (a large prior variance and `burn` stand in for it),
//! square-root, extended and unscented filters. The models on prices need none of them.

mod filter;
mod fit_report;
mod kalman;
mod local_level;
mod local_linear_trend;
mod local_linear_trend_stream;
mod maximum_likelihood;
mod nelder_mead;
mod params;
mod recursion;
mod semidefinite;
mod smoother;
mod state_space;
mod trend_state;

pub use filter::{FilterStep, Filtered, KalmanFilter};
pub use fit_report::{FallbackReason, FitReport};
pub use kalman::{Kalman, KalmanStream};
pub use local_level::LocalLevel;
pub use local_linear_trend::{FilteredTrend, LocalLinearTrend};
pub use local_linear_trend_stream::{LocalLinearTrendStream, TrendUpdate};
pub use maximum_likelihood::{MaximumLikelihood, TrendFit};
pub use params::{InitialVariance, KalmanParams, LOG_CLOSE, Variances};
pub use state_space::{DynamicStateSpace, FixedStateSpace, Gaussian, Sizes, StateSpace};
pub use trend_state::{TrendForecast, TrendState, TrendVariances};
