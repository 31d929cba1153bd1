//! The covariance recursion of the two-state trend, written out.

use serde::{Deserialize, Serialize};

use crate::TrendVariances;

/// Covariance of (level, velocity), with its determinant.
///
/// A general filter needs the Joseph form lest rounding makes a covariance negative. Two states
/// allow more: with the determinant carried along, update and prediction are sums and products of
/// numbers that are never negative (the cross term aside, while the prior's is), so nothing cancels,
/// every entry keeps its relative precision, and the covariance stays one by construction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Covariance {
    pub(crate) level: f64,
    pub(crate) cross: f64,
    pub(crate) velocity: f64,
    determinant: f64,
}

impl Covariance {
    pub(crate) fn new(level: f64, cross: f64, velocity: f64) -> Self {
        Self { level, cross, velocity, determinant: (level * velocity - cross * cross).max(0.0) }
    }

    /// `F P Fᵀ + Q`; the transition alone leaves the determinant as it is.
    #[inline]
    pub(crate) fn predict(self, noise: &TrendVariances) -> Self {
        let moved = (self.level + self.cross) + (self.cross + self.velocity);
        Self::noisy(moved, self.cross + self.velocity, self.velocity, self.determinant, noise)
    }

    #[inline]
    fn noisy(
        level: f64,
        cross: f64,
        velocity: f64,
        determinant: f64,
        noise: &TrendVariances,
    ) -> Self {
        let drifted = velocity + noise.trend;
        Self {
            level: level + noise.level,
            cross,
            velocity: drifted,
            determinant: (determinant + level * noise.trend) + noise.level * drifted,
        }
    }
}

/// Everything about one update that does not depend on the observation's value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gain {
    pub(crate) level: f64,
    pub(crate) velocity: f64,
    /// Variance of the innovation and its inverse.
    pub(crate) variance: f64,
    pub(crate) precision: f64,
    /// Covariance after the update, and predicted for the next row.
    pub(crate) filtered: Covariance,
    pub(crate) next: Covariance,
}

impl Gain {
    /// Update, then prediction. Every numerator is ready before the division is.
    #[inline]
    pub(crate) fn new(p: Covariance, noise: &TrendVariances) -> Self {
        let r = noise.measurement;
        let variance = p.level + r;
        // Validation keeps the variance positive; underflow alone can make it 0: nothing is learnt.
        let precision = if variance > 0.0 { 1.0 / variance } else { 0.0 };
        let level = p.level * r;
        let cross = p.cross * r;
        let velocity = p.determinant + p.velocity * r;
        let determinant = p.determinant * r;
        let slanted = cross + velocity;
        let moved = (level + cross) + slanted;
        Self {
            level: p.level * precision,
            velocity: p.cross * precision,
            variance,
            precision,
            filtered: Covariance {
                level: level * precision,
                cross: cross * precision,
                velocity: velocity * precision,
                determinant: determinant * precision,
            },
            next: Covariance::noisy(
                moved * precision,
                slanted * precision,
                velocity * precision,
                determinant * precision,
                noise,
            ),
        }
    }
}

/// Mean and covariance predicted for the coming row, and the gain once it no longer changes.
///
/// The covariance depends on which rows are observed, not on their values. When a step leaves it
/// the same to the last bit it will never change again while observations keep coming, so the gain
/// is kept instead of computed: the same numbers, at half the cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recursion {
    noise: TrendVariances,
    pub(crate) level: f64,
    pub(crate) velocity: f64,
    pub(crate) covariance: Covariance,
    gain: Gain,
    steady: bool,
}

impl Recursion {
    pub(crate) fn new(
        noise: TrendVariances,
        level: f64,
        velocity: f64,
        covariance: Covariance,
    ) -> Self {
        let gain = Gain::new(covariance, &noise);
        Self { noise, level, velocity, covariance, gain, steady: false }
    }

    /// Takes an observation; returns the innovation, the gain, and the filtered level and velocity.
    #[inline]
    pub(crate) fn observe(&mut self, observation: f64) -> (f64, &Gain, f64, f64) {
        if !self.steady {
            self.gain = Gain::new(self.covariance, &self.noise);
            self.steady = self.gain.next == self.covariance;
            self.covariance = self.gain.next;
        }
        let innovation = observation - self.level;
        let level = self.level + self.gain.level * innovation;
        self.velocity += self.gain.velocity * innovation;
        self.level = level + self.velocity;
        (innovation, &self.gain, level, self.velocity)
    }

    /// Passes over a row without an observation.
    #[inline]
    pub(crate) fn skip(&mut self) {
        self.level += self.velocity;
        self.covariance = self.covariance.predict(&self.noise);
        self.steady = false;
    }
}

/// The parts of a Gaussian log-likelihood.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Likelihood {
    /// `Σ v² / F`.
    pub(crate) quadratic: f64,
    /// `Σ ln F`.
    pub(crate) log_determinant: f64,
    pub(crate) terms: usize,
}

impl Likelihood {
    /// Sums over the observed rows after the first `burn` of them.
    pub(crate) fn of(start: &Recursion, observations: &[f64], burn: usize) -> Self {
        let mut recursion = *start;
        let (mut quadratic, mut log_determinant, mut product) = (0.0, 0.0, 1.0);
        let mut seen = 0_usize;
        for &observation in observations {
            if !observation.is_finite() {
                recursion.skip();
                continue;
            }
            let (innovation, gain, ..) = recursion.observe(observation);
            seen += 1;
            if seen > burn {
                quadratic += innovation * innovation * gain.precision;
                // One logarithm for many rows.
                product *= gain.variance;
                if !(1e-100..=1e100).contains(&product) {
                    log_determinant += f64::ln(product);
                    product = 1.0;
                }
            }
        }
        Self {
            quadratic,
            log_determinant: log_determinant + f64::ln(product),
            terms: seen.saturating_sub(burn),
        }
    }

    pub(crate) fn value(&self) -> f64 {
        let constant = self.terms as f64 * std::f64::consts::TAU.ln();
        -0.5 * (constant + self.log_determinant + self.quadratic)
    }

    /// The likelihood were all variances multiplied by the factor that is best for it, and the factor.
    pub(crate) fn concentrated(&self) -> (f64, f64) {
        let n = self.terms as f64;
        let factor = self.quadratic / n;
        let value =
            -0.5 * (n * (std::f64::consts::TAU.ln() + 1.0 + factor.ln()) + self.log_determinant);
        (value, factor)
    }
}
