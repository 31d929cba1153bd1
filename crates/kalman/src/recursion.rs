//! The covariance recursion of the two-state trend, written out.

use crate::TrendVariances;

/// Covariance of (level, velocity).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Covariance {
    pub(crate) level: f64,
    pub(crate) cross: f64,
    pub(crate) velocity: f64,
}

impl Covariance {
    /// `F P Fᵀ + Q`.
    #[inline]
    pub(crate) fn predict(self, noise: &TrendVariances) -> Self {
        let cross = self.cross + self.velocity;
        Self {
            level: (self.level + self.cross) + cross + noise.level,
            cross,
            velocity: self.velocity + noise.trend,
        }
    }
}

/// Everything about one update that does not depend on the observation's value.
#[derive(Debug, Clone, Copy)]
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
    /// Update in Joseph form, `A P Aᵀ + k r kᵀ` with `A = I − k h`, then prediction.
    #[inline]
    pub(crate) fn new(p: Covariance, noise: &TrendVariances) -> Self {
        let r = noise.measurement;
        let variance = p.level + r;
        // Validation keeps the variance positive; underflow alone can make it 0: nothing is learnt.
        let precision = if variance > 0.0 { 1.0 / variance } else { 0.0 };
        let (k0, k1) = (p.level * precision, p.cross * precision);
        // 1 − k0 without cancellation.
        let a = r * precision;
        let cross = p.cross - k1 * p.level;
        let velocity = (p.velocity - k1 * p.cross) - k1 * cross + k1 * (k1 * r);
        let filtered = Covariance {
            level: a * (a * p.level) + k0 * (k0 * r),
            cross: a * cross + k0 * (k1 * r),
            velocity: velocity.max(0.0),
        };
        Self {
            level: k0,
            velocity: k1,
            variance,
            precision,
            filtered,
            next: filtered.predict(noise),
        }
    }
}

/// Mean and covariance predicted for the coming row, and the gain once it no longer changes.
///
/// The covariance depends on which rows are observed, not on their values. When a step leaves it
/// the same to the last bit it will never change again while observations keep coming, so the gain
/// is kept instead of computed: the same numbers, at half the cost.
#[derive(Debug, Clone, Copy)]
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
    pub(crate) fn of(mut recursion: Recursion, observations: &[f64], burn: usize) -> Self {
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
