use serde::{Deserialize, Serialize};

use crate::TrendState;
use crate::recursion::Recursion;

/// Filters a local linear trend observation by observation, in O(1), without allocating.
///
/// Its saved form goes on with the same bits.
///
/// # Examples
/// ```
/// use forecastle_kalman::{LocalLinearTrend, TrendState, TrendVariances};
///
/// let model = LocalLinearTrend::new(TrendVariances::default())?;
/// let mut stream = model.stream(TrendState::new(4.6, 0.0, 1.0))?;
/// for log_close in [4.6, 4.61, 4.63] {
///     let update = stream.update(log_close);
///     let log_return = model.forecast(&update.state, 5).mean - log_close;
///     assert!(log_return.is_finite());
/// }
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocalLinearTrendStream {
    recursion: Recursion,
}

impl LocalLinearTrendStream {
    pub(crate) fn new(recursion: Recursion) -> Self {
        Self { recursion }
    }

    /// Takes the next row; an observation that is not finite counts as missing.
    #[inline]
    pub fn update(&mut self, observation: f64) -> TrendUpdate {
        if !observation.is_finite() {
            let state = self.predicted();
            self.recursion.skip();
            return TrendUpdate { state, innovation: f64::NAN, innovation_variance: f64::NAN };
        }
        let (innovation, gain, level, velocity) = self.recursion.observe(observation);
        TrendUpdate {
            state: TrendState {
                level,
                velocity,
                level_variance: gain.filtered.level,
                covariance: gain.filtered.cross,
                velocity_variance: gain.filtered.velocity,
            },
            innovation,
            innovation_variance: gain.variance,
        }
    }

    /// What is known of the coming row before its observation.
    pub fn predicted(&self) -> TrendState {
        let recursion = &self.recursion;
        TrendState {
            level: recursion.level,
            velocity: recursion.velocity,
            level_variance: recursion.covariance.level,
            covariance: recursion.covariance.cross,
            velocity_variance: recursion.covariance.velocity,
        }
    }
}

/// Holds one row of a filter: the state after it and how much it surprised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrendUpdate {
    /// The filtered state: what is known with this row's observation.
    pub state: TrendState,
    /// Observation minus its prediction; NaN where the observation is missing.
    pub innovation: f64,
    /// Variance of the innovation; NaN where the observation is missing.
    pub innovation_variance: f64,
}

impl TrendUpdate {
    /// Whether the row had no observation.
    pub fn is_missing(&self) -> bool {
        self.innovation.is_nan()
    }

    /// This row's term of the log-likelihood; 0 where the observation is missing.
    #[inline]
    pub fn log_likelihood(&self) -> f64 {
        if self.is_missing() {
            return 0.0;
        }
        let variance = self.innovation_variance;
        let log_density = (std::f64::consts::TAU * variance).ln();
        -0.5 * (log_density + self.innovation * self.innovation / variance)
    }
}
