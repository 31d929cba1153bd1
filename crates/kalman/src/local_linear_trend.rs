use forecastle_core::{Error, Result};
use nalgebra::{Const, Matrix1, Matrix1x2, Matrix2, Vector2};
use serde::{Deserialize, Serialize};

use crate::recursion::{Covariance, Likelihood, Recursion};
use crate::{
    Gaussian, LocalLinearTrendStream, StateSpace, TrendForecast, TrendState, TrendUpdate,
    TrendVariances,
};

/// Models a series as a level that moves with a velocity, both drifting, seen through noise.
///
/// All computations are written out for the two states, without matrices. They equal the general
/// filter on [`state_space`](Self::state_space), at a fraction of its cost. NaN is a missing
/// observation: the state is carried on and its variance grows.
///
/// # Examples
/// ```
/// use forecastle_kalman::{LocalLinearTrend, TrendState, TrendVariances};
///
/// let variances = TrendVariances { level: 0.1, trend: 0.01, measurement: 1.0 };
/// let model = LocalLinearTrend::new(variances)?;
/// let series = [1.0, 2.1, 2.9, f64::NAN, 5.2, 5.9];
/// let filtered = model.filter(TrendState::new(series[0], 0.0, 1e6), &series)?;
/// let now = filtered.updates()[5].state;
/// let next = model.forecast(&now, 1);
/// assert!((next.mean - 7.0).abs() < 0.2);
/// assert!(model.forecast(&now, 5).variance > next.variance);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// A. C. Harvey, *Forecasting, Structural Time Series Models and the Kalman Filter*, 1989.
/// J. Durbin and S. J. Koopman, *Time Series Analysis by State Space Methods*, 2nd ed., 2012.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TrendVariances", into = "TrendVariances")]
pub struct LocalLinearTrend {
    variances: TrendVariances,
}

impl TryFrom<TrendVariances> for LocalLinearTrend {
    type Error = Error;

    fn try_from(variances: TrendVariances) -> Result<Self> {
        Self::new(variances)
    }
}

impl From<LocalLinearTrend> for TrendVariances {
    fn from(model: LocalLinearTrend) -> Self {
        model.variances
    }
}

impl LocalLinearTrend {
    /// Makes a model.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a variance is negative or not finite, or all are 0.
    pub fn new(variances: TrendVariances) -> Result<Self> {
        variances.validate()?;
        Ok(Self { variances })
    }

    /// The variances.
    pub fn variances(&self) -> TrendVariances {
        self.variances
    }

    /// The same model for the general filter.
    pub fn state_space(&self) -> StateSpace<Const<2>, Const<1>> {
        let TrendVariances { level, trend, measurement } = self.variances;
        StateSpace::from_valid(
            Matrix2::new(1.0, 1.0, 0.0, 1.0),
            Matrix1x2::new(1.0, 0.0),
            Matrix2::new(level, 0.0, 0.0, trend),
            Matrix1::new(measurement),
        )
    }

    /// Starts a stream; `prior` is the state at the first row before its update.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when the prior is no distribution.
    pub fn stream(&self, prior: TrendState) -> Result<LocalLinearTrendStream> {
        prior.validate_prior(&self.variances)?;
        Ok(LocalLinearTrendStream::new(self.recursion(&prior)))
    }

    /// Filters: row `t` of the result knows the observations up to and including `t`.
    ///
    /// - `prior`: the state at the first row before its update
    /// - `observations`: `(n,)`, NaN where missing
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when the prior is no distribution.
    /// - [`Error::NonFinite`] when an observation is infinite.
    pub fn filter(&self, prior: TrendState, observations: &[f64]) -> Result<FilteredTrend> {
        refuse_infinity(observations)?;
        let mut stream = self.stream(prior)?;
        let updates = observations.iter().map(|&y| stream.update(y)).collect();
        Ok(FilteredTrend { updates })
    }

    /// Computes the exact Gaussian log-likelihood without the terms of the first `burn` observed rows.
    ///
    /// Equals [`FilteredTrend::log_likelihood`] up to rounding, without storing anything.
    ///
    /// # Errors
    /// As [`filter`](Self::filter).
    pub fn log_likelihood(
        &self,
        prior: TrendState,
        observations: &[f64],
        burn: usize,
    ) -> Result<f64> {
        refuse_infinity(observations)?;
        prior.validate_prior(&self.variances)?;
        Ok(Likelihood::of(&self.recursion(&prior), observations, burn).value())
    }

    /// Forecasts the observation `horizon` rows after a filtered state, in O(1).
    pub fn forecast(&self, state: &TrendState, horizon: usize) -> TrendForecast {
        let h = horizon as f64;
        let noise = &self.variances;
        // Σ j² for j in 0..h: a velocity shock of row t + i has h − 1 − i rows to move the level.
        let squares = (h - 1.0) * h * (2.0 * h - 1.0) / 6.0;
        let known =
            state.level_variance + h * (2.0 * state.covariance + h * state.velocity_variance);
        TrendForecast {
            mean: state.level + h * state.velocity,
            variance: known + h * noise.level + squares * noise.trend + noise.measurement,
        }
    }

    /// Non-causal: smooths, so that row `t` of the result knows all observations, later ones too.
    ///
    /// Rauch-Tung-Striebel; for display, never for features or forecasts.
    ///
    /// # Errors
    /// As [`filter`](Self::filter).
    ///
    /// # References
    /// H. E. Rauch, F. Tung, C. T. Striebel, *Maximum likelihood estimates of linear dynamic
    /// systems*, AIAA Journal 3 (8), 1965, doi:10.2514/3.3166.
    pub fn smooth(&self, prior: TrendState, observations: &[f64]) -> Result<Vec<TrendState>> {
        let filtered = self.filter(prior, observations)?;
        let mut states: Vec<TrendState> = filtered.updates.iter().map(|u| u.state).collect();
        let mut later: Option<TrendState> = None;
        for state in states.iter_mut().rev() {
            if let Some(next) = later {
                *state = self.smooth_step(state, &next);
            }
            later = Some(*state);
        }
        Ok(states)
    }

    /// The smoothed state of a row from its filtered one and the smoothed one after it.
    fn smooth_step(&self, now: &TrendState, next: &TrendState) -> TrendState {
        let filtered = covariance(now);
        let ahead = filtered.predict(&self.variances);
        // Columns of F P, to be solved for by L D Lᵀ of the predicted covariance. A pivot of
        // zero means that nothing is left to learn in that direction.
        let ratio = if ahead.level > 0.0 { ahead.cross / ahead.level } else { 0.0 };
        let pivot = ahead.velocity - ratio * ahead.cross;
        let definite = pivot > 4.0 * f64::EPSILON * ahead.velocity;
        let solve = |x: f64, y: f64| {
            let second = if definite { (y - ratio * x) / pivot } else { 0.0 };
            let first = if ahead.level > 0.0 { x / ahead.level } else { 0.0 };
            (first - ratio * second, second)
        };
        let (c00, c01) = solve(filtered.level + filtered.cross, filtered.cross);
        let (c10, c11) = solve(filtered.cross + filtered.velocity, filtered.velocity);
        let (level, velocity) =
            (next.level - (now.level + now.velocity), next.velocity - now.velocity);
        let (d00, d01, d11) = (
            next.level_variance - ahead.level,
            next.covariance - ahead.cross,
            next.velocity_variance - ahead.velocity,
        );
        let form = |a: (f64, f64), b: (f64, f64)| {
            a.0 * (d00 * b.0 + d01 * b.1) + a.1 * (d01 * b.0 + d11 * b.1)
        };
        TrendState {
            level: now.level + c00 * level + c01 * velocity,
            velocity: now.velocity + c10 * level + c11 * velocity,
            level_variance: (filtered.level + form((c00, c01), (c00, c01))).max(0.0),
            covariance: filtered.cross + form((c00, c01), (c10, c11)),
            velocity_variance: (filtered.velocity + form((c10, c11), (c10, c11))).max(0.0),
        }
    }

    pub(crate) fn recursion(&self, prior: &TrendState) -> Recursion {
        Recursion::new(self.variances, prior.level, prior.velocity, covariance(prior))
    }
}

fn covariance(state: &TrendState) -> Covariance {
    Covariance::new(state.level_variance, state.covariance, state.velocity_variance)
}

impl From<TrendState> for Gaussian<Const<2>> {
    fn from(state: TrendState) -> Self {
        let TrendState { level_variance, covariance, velocity_variance, .. } = state;
        Self {
            mean: Vector2::new(state.level, state.velocity),
            covariance: Matrix2::new(level_variance, covariance, covariance, velocity_variance),
        }
    }
}

pub(crate) fn refuse_infinity(observations: &[f64]) -> Result<()> {
    match observations.iter().position(|y| y.is_infinite()) {
        None => Ok(()),
        Some(row) => Err(Error::NonFinite { what: "observations", row, column: String::new() }),
    }
}

/// Holds the filtered rows of a series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FilteredTrend {
    updates: Vec<TrendUpdate>,
}

impl FilteredTrend {
    /// The rows.
    pub fn updates(&self) -> &[TrendUpdate] {
        &self.updates
    }

    /// The last row's state; `None` for an empty series.
    pub fn last_state(&self) -> Option<TrendState> {
        self.updates.last().map(|update| update.state)
    }

    /// The exact Gaussian log-likelihood without the terms of the first `burn` observed rows.
    pub fn log_likelihood(&self, burn: usize) -> f64 {
        let observed = self.updates.iter().filter(|u| !u.is_missing());
        observed.skip(burn).map(TrendUpdate::log_likelihood).sum()
    }
}
