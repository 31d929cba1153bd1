use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Holds the variances of a local linear trend.
///
/// ```text
/// y[t]          = level[t] + e[t]                      e ~ N(0, measurement)
/// level[t+1]    = level[t] + velocity[t] + u[t]        u ~ N(0, level)
/// velocity[t+1] = velocity[t] + w[t]                   w ~ N(0, trend)
/// ```
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `level` | 1e-5 | process noise of the level | ≥ 0 |
/// | `trend` | 1e-8 | process noise of the velocity | ≥ 0 |
/// | `measurement` | 1e-6 | measurement noise | ≥ 0 |
///
/// At least one of them is positive. The defaults suit hourly log prices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrendVariances {
    /// Process noise of the level.
    #[doc(alias = "process_noise")]
    pub level: f64,
    /// Process noise of the velocity.
    #[doc(alias = "process_noise")]
    #[doc(alias = "slope")]
    pub trend: f64,
    /// Measurement noise.
    #[doc(alias = "measurement_noise")]
    #[doc(alias = "irregular")]
    pub measurement: f64,
}

impl Default for TrendVariances {
    fn default() -> Self {
        Self { level: 1e-5, trend: 1e-8, measurement: 1e-6 }
    }
}

impl TrendVariances {
    /// The sum of the three.
    pub fn total(&self) -> f64 {
        self.level + self.trend + self.measurement
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let named =
            [("level", self.level), ("trend", self.trend), ("measurement", self.measurement)];
        for (name, value) in named {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::invalid_parameter(name, "finite and >= 0", value));
            }
        }
        if !(self.total() > 0.0 && self.total().is_finite()) {
            let requirement = "variances with a finite sum > 0";
            return Err(Error::invalid_parameter("variances", requirement, self.total()));
        }
        Ok(())
    }

    pub(crate) fn to_array(self) -> [f64; 3] {
        [self.level, self.trend, self.measurement]
    }

    pub(crate) fn from_array([level, trend, measurement]: [f64; 3]) -> Self {
        Self { level, trend, measurement }
    }
}

/// Holds what is known of level and velocity at one row: means and covariance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrendState {
    /// Mean of the level.
    pub level: f64,
    /// Mean of the velocity, the level's change a row.
    pub velocity: f64,
    /// Variance of the level.
    pub level_variance: f64,
    /// Covariance of level and velocity.
    pub covariance: f64,
    /// Variance of the velocity.
    pub velocity_variance: f64,
}

impl TrendState {
    /// Makes a state whose level and velocity are independent, both of the given variance.
    ///
    /// A variance far above the series' own (1e6 times, say) stands for "nothing is known"; drop
    /// the first two terms of the likelihood then.
    pub fn new(level: f64, velocity: f64, variance: f64) -> Self {
        Self {
            level,
            velocity,
            level_variance: variance,
            covariance: 0.0,
            velocity_variance: variance,
        }
    }

    /// Refuses a prior that is no distribution, or that leaves the first innovation without variance.
    pub(crate) fn validate_prior(&self, variances: &TrendVariances) -> Result<()> {
        let named =
            [("level", self.level), ("velocity", self.velocity), ("covariance", self.covariance)];
        if let Some((name, value)) = named.into_iter().find(|(_, v)| !v.is_finite()) {
            return Err(Error::invalid_parameter(name, "finite", value));
        }
        let named = [
            ("level_variance", self.level_variance),
            ("velocity_variance", self.velocity_variance),
        ];
        for (name, value) in named {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::invalid_parameter(name, "finite and >= 0", value));
            }
        }
        let bound = (self.level_variance * self.velocity_variance).sqrt();
        if self.covariance.abs() > bound * (1.0 + 1e-12) {
            let requirement = format!("within ±{bound:e}, as the variances allow");
            return Err(Error::invalid_parameter("covariance", requirement, self.covariance));
        }
        if self.level_variance + variances.measurement <= 0.0 {
            return Err(Error::invalid_parameter(
                "level_variance",
                "> 0 where there is no measurement noise",
                self.level_variance,
            ));
        }
        Ok(())
    }
}

/// Holds a forecast of the observation: mean and variance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrendForecast {
    /// Expected observation.
    pub mean: f64,
    /// Its variance, the measurement noise included.
    pub variance: f64,
}
