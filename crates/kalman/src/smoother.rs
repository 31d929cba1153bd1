use forecastle_core::{Error, Result};
use nalgebra::{DefaultAllocator, Dim};

use crate::semidefinite::Semidefinite;
use crate::state_space::symmetrize;
use crate::{Filtered, Gaussian, Sizes, StateSpace};

/// Pivots below this share of their variance are rounding.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

impl<S: Dim, O: Dim> StateSpace<S, O>
where
    DefaultAllocator: Sizes<S, O>,
{
    /// Non-causal: smooths, so that row `t` of the result knows all observations, later ones too.
    ///
    /// Rauch-Tung-Striebel; for display, never for features or forecasts. States that are known
    /// exactly (a singular covariance) are fine.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the rows were filtered by a model of another size.
    /// - [`Error::Numerical`] when a predicted covariance has lost its positive semidefiniteness.
    ///
    /// # References
    /// H. E. Rauch, F. Tung, C. T. Striebel, *Maximum likelihood estimates of linear dynamic
    /// systems*, AIAA Journal 3 (8), 1965, doi:10.2514/3.3166.
    pub fn smooth(&self, filtered: &Filtered<S, O>) -> Result<Vec<Gaussian<S>>> {
        let steps = filtered.steps();
        let mut states: Vec<Gaussian<S>> = steps.iter().map(|s| s.filtered.clone()).collect();
        for state in &states {
            self.check_state(state)?;
        }
        let mut later: Option<Gaussian<S>> = None;
        for (row, state) in states.iter_mut().enumerate().rev() {
            if let Some(next) = later {
                *state = self.smooth_step(state, &next, row)?;
            }
            later = Some(state.clone());
        }
        Ok(states)
    }

    fn smooth_step(
        &self,
        now: &Gaussian<S>,
        next: &Gaussian<S>,
        row: usize,
    ) -> Result<Gaussian<S>> {
        let ahead = self.predicted(now);
        let factor = Semidefinite::factor(&ahead.covariance, ROUNDING).ok_or_else(|| {
            let reason = format!("the covariance predicted in row {row} is not semidefinite");
            Error::numerical("Kalman smoother", reason)
        })?;
        let mut gain = self.transition() * &now.covariance;
        factor.solve(&mut gain);
        let gain = gain.transpose();
        let mean = &now.mean + &gain * (&next.mean - &ahead.mean);
        let mut covariance =
            &now.covariance + &gain * (&next.covariance - &ahead.covariance) * gain.transpose();
        symmetrize(&mut covariance);
        Ok(Gaussian { mean, covariance })
    }
}
