use forecastle_core::{Error, Result};
use nalgebra::{Const, DefaultAllocator, Dim, OMatrix, OVector};

use crate::semidefinite::Semidefinite;
use crate::state_space::{check_shape, symmetrize};
use crate::{Gaussian, Sizes, StateSpace};

/// Holds one row of a filter.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterStep<S: Dim, O: Dim>
where
    DefaultAllocator: Sizes<S, O>,
{
    /// What is known of the row before its observation.
    pub predicted: Gaussian<S>,
    /// What is known with it.
    pub filtered: Gaussian<S>,
    /// Observation minus its prediction; 0 in missing components.
    pub innovation: OVector<f64, O>,
    /// Number of components that were observed.
    pub n_observed: usize,
    /// The row's term of the log-likelihood; 0 where nothing was observed.
    pub log_likelihood: f64,
}

/// Filters row by row: each step takes an observation and carries the state on.
///
/// # Examples
/// ```
/// use forecastle_kalman::{Gaussian, KalmanFilter, LocalLinearTrend, TrendState, TrendVariances};
/// use nalgebra::vector;
///
/// let model = LocalLinearTrend::new(TrendVariances::default())?.state_space();
/// let mut filter = KalmanFilter::new(model, Gaussian::from(TrendState::new(4.6, 0.0, 1.0)))?;
/// let step = filter.step(&vector![4.61])?;
/// assert!((step.filtered.mean[0] - 4.61).abs() < 1e-7);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct KalmanFilter<S: Dim, O: Dim>
where
    DefaultAllocator: Sizes<S, O>,
{
    model: StateSpace<S, O>,
    predicted: Gaussian<S>,
    row: usize,
}

impl<S: Dim, O: Dim> KalmanFilter<S, O>
where
    DefaultAllocator: Sizes<S, O>,
{
    /// Starts a filter; `prior` is the state at the first row before its update.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the prior has another size than the model's state.
    pub fn new(model: StateSpace<S, O>, prior: Gaussian<S>) -> Result<Self> {
        model.check_state(&prior)?;
        Ok(Self { model, predicted: prior, row: 0 })
    }

    /// The model.
    pub fn model(&self) -> &StateSpace<S, O> {
        &self.model
    }

    /// What is known of the coming row before its observation.
    pub fn predicted(&self) -> &Gaussian<S> {
        &self.predicted
    }

    /// Takes the next row's observation, `(O,)`, NaN in missing components.
    ///
    /// After an error the filter is as before.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the observation has another size.
    /// - [`Error::NonFinite`] when a component is infinite.
    /// - [`Error::Numerical`] when the innovation has no variance in some direction, or the numbers
    ///   overflow.
    pub fn step(&mut self, observation: &OVector<f64, O>) -> Result<FilterStep<S, O>> {
        check_shape("observation", observation, (self.model.n_observed(), 1))?;
        if let Some(component) = observation.iter().position(|y| y.is_infinite()) {
            return Err(Error::NonFinite {
                what: "observation",
                row: self.row,
                column: component.to_string(),
            });
        }
        let step = self.model.update(&self.predicted, observation, self.row)?;
        self.predicted = self.model.predicted(&step.filtered);
        self.row += 1;
        Ok(step)
    }
}

impl<S: Dim, O: Dim> StateSpace<S, O>
where
    DefaultAllocator: Sizes<S, O>,
{
    /// Filters a series: row `t` of the result knows the observations up to and including `t`.
    ///
    /// - `prior`: the state at the first row before its update
    /// - `observations`: `(n,)` vectors of `(O,)`, NaN in missing components
    ///
    /// # Errors
    /// As [`KalmanFilter::new`] and [`KalmanFilter::step`].
    pub fn filter(
        &self,
        prior: Gaussian<S>,
        observations: &[OVector<f64, O>],
    ) -> Result<Filtered<S, O>> {
        let mut filter = KalmanFilter::new(self.clone(), prior)?;
        let steps = observations.iter().map(|y| filter.step(y));
        Ok(Filtered { steps: steps.collect::<Result<_>>()? })
    }

    fn update(
        &self,
        predicted: &Gaussian<S>,
        observation: &OVector<f64, O>,
        row: usize,
    ) -> Result<FilterStep<S, O>> {
        let (o, s) = self.observation().shape_generic();
        let mut h = self.observation().clone();
        let mut r = self.measurement_noise().clone();
        let mut innovation = observation - &h * &predicted.mean;
        // A missing component becomes one that sees nothing through noise of its own.
        let mut n_observed = 0;
        for i in 0..o.value() {
            if !observation[i].is_nan() {
                n_observed += 1;
                continue;
            }
            h.row_mut(i).fill(0.0);
            r.row_mut(i).fill(0.0);
            r.column_mut(i).fill(0.0);
            r[(i, i)] = 1.0;
            innovation[i] = 0.0;
        }
        if n_observed == 0 {
            return Ok(FilterStep {
                predicted: predicted.clone(),
                filtered: predicted.clone(),
                innovation,
                n_observed,
                log_likelihood: 0.0,
            });
        }
        let hp = &h * &predicted.covariance;
        let mut variance = &hp * h.transpose() + &r;
        symmetrize(&mut variance);
        let factor = Semidefinite::factor(&variance, 0.0)
            .filter(Semidefinite::is_definite)
            .ok_or_else(|| {
                let reason = format!("the innovation of row {row} has a singular covariance");
                Error::numerical("Kalman filter", reason)
            })?;
        let mut gain = hp;
        factor.solve(&mut gain);
        let gain = gain.transpose();
        let mut scaled = innovation.clone();
        factor.solve::<Const<1>>(&mut scaled);
        let constant = n_observed as f64 * std::f64::consts::TAU.ln();
        let log_likelihood = -0.5 * (constant + factor.ln_determinant() + innovation.dot(&scaled));

        let kept = OMatrix::<f64, S, S>::identity_generic(s, s) - &gain * &h;
        let mut covariance =
            &kept * &predicted.covariance * kept.transpose() + &gain * r * gain.transpose();
        symmetrize(&mut covariance);
        let mean = &predicted.mean + &gain * &innovation;
        let finite = mean.iter().chain(covariance.iter()).all(|v| v.is_finite());
        if !finite {
            let reason = format!("the state overflows in row {row}");
            return Err(Error::numerical("Kalman filter", reason));
        }
        Ok(FilterStep {
            predicted: predicted.clone(),
            filtered: Gaussian { mean, covariance },
            innovation,
            n_observed,
            log_likelihood,
        })
    }
}

/// Holds the filtered rows of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Filtered<S: Dim, O: Dim>
where
    DefaultAllocator: Sizes<S, O>,
{
    steps: Vec<FilterStep<S, O>>,
}

impl<S: Dim, O: Dim> Filtered<S, O>
where
    DefaultAllocator: Sizes<S, O>,
{
    /// The rows.
    pub fn steps(&self) -> &[FilterStep<S, O>] {
        &self.steps
    }

    /// The exact Gaussian log-likelihood without the terms of the first `burn` rows of which
    /// anything was observed.
    pub fn log_likelihood(&self, burn: usize) -> f64 {
        let observed = self.steps.iter().filter(|step| step.n_observed > 0);
        observed.skip(burn).map(|step| step.log_likelihood).sum()
    }
}
