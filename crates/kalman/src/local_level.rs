use forecastle_core::Result;
use nalgebra::{Const, Matrix1};
use serde::{Deserialize, Serialize};

use crate::{
    FilteredTrend, LocalLinearTrend, LocalLinearTrendStream, MaximumLikelihood, StateSpace,
    TrendFit, TrendForecast, TrendState, TrendVariances,
};

/// Models a series as a random walk seen through noise.
///
/// It is a local linear trend whose velocity is known to be 0, and is computed as such: states have
/// a velocity of exactly 0, without variance.
///
/// # Examples
/// ```
/// use forecastle_kalman::LocalLevel;
///
/// let model = LocalLevel::new(1.0, 4.0)?;
/// let series = [10.0, 11.0, f64::NAN, 9.5];
/// let filtered = model.filter(series[0], 1e6, &series)?;
/// let now = filtered.updates()[3].state;
/// assert!(now.level > 9.5 && now.level < 11.0);
/// assert_eq!(model.forecast(&now, 7).mean, now.level);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocalLevel {
    trend: LocalLinearTrend,
}

/// The state before the first row: its level alone is uncertain.
fn prior(level: f64, variance: f64) -> TrendState {
    TrendState { velocity_variance: 0.0, ..TrendState::new(level, 0.0, variance) }
}

impl LocalLevel {
    /// Makes a model from the variances of the level's steps and of the noise.
    ///
    /// # Errors
    /// - [`InvalidParameter`](forecastle_core::Error::InvalidParameter) when a variance is negative
    ///   or not finite, or both are 0.
    pub fn new(level: f64, measurement: f64) -> Result<Self> {
        let trend = LocalLinearTrend::new(TrendVariances { level, trend: 0.0, measurement })?;
        Ok(Self { trend })
    }

    /// The variances; that of the trend is 0.
    pub fn variances(&self) -> TrendVariances {
        self.trend.variances()
    }

    /// The same model for the general filter.
    pub fn state_space(&self) -> StateSpace<Const<1>, Const<1>> {
        let TrendVariances { level, measurement, .. } = self.variances();
        let one = Matrix1::new(1.0);
        StateSpace::from_valid(one, one, Matrix1::new(level), Matrix1::new(measurement))
    }

    /// Starts a stream; level and variance are what is known before the first row's update.
    ///
    /// # Errors
    /// As [`LocalLinearTrend::stream`].
    pub fn stream(&self, level: f64, variance: f64) -> Result<LocalLinearTrendStream> {
        self.trend.stream(prior(level, variance))
    }

    /// Filters: row `t` of the result knows the observations up to and including `t`.
    ///
    /// # Errors
    /// As [`LocalLinearTrend::filter`].
    pub fn filter(&self, level: f64, variance: f64, observations: &[f64]) -> Result<FilteredTrend> {
        self.trend.filter(prior(level, variance), observations)
    }

    /// Computes the exact log-likelihood without the terms of the first `burn` observed rows.
    ///
    /// # Errors
    /// As [`LocalLinearTrend::filter`].
    pub fn log_likelihood(
        &self,
        level: f64,
        variance: f64,
        observations: &[f64],
        burn: usize,
    ) -> Result<f64> {
        self.trend.log_likelihood(prior(level, variance), observations, burn)
    }

    /// Forecasts the observation `horizon` rows after a filtered state.
    pub fn forecast(&self, state: &TrendState, horizon: usize) -> TrendForecast {
        self.trend.forecast(state, horizon)
    }

    /// Non-causal: smooths, so that row `t` of the result knows all observations, later ones too.
    ///
    /// # Errors
    /// As [`LocalLinearTrend::filter`].
    pub fn smooth(
        &self,
        level: f64,
        variance: f64,
        observations: &[f64],
    ) -> Result<Vec<TrendState>> {
        self.trend.smooth(prior(level, variance), observations)
    }

    /// Finds the two variances of maximum likelihood.
    ///
    /// # Errors
    /// As [`MaximumLikelihood::fit_trend`].
    pub fn fit(
        settings: &MaximumLikelihood,
        level: f64,
        variance: f64,
        observations: &[f64],
    ) -> Result<(Self, TrendFit)> {
        let fit = settings.fit_level(prior(level, variance), observations)?;
        Ok((Self { trend: fit.model }, fit))
    }
}
