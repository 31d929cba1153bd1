use forecastle_core::{Error, Result};
use nalgebra::allocator::Allocator;
use nalgebra::{Const, DefaultAllocator, Dim, Dyn, OMatrix, OVector, RawStorage};

use crate::semidefinite::Semidefinite;

/// Says that nalgebra can hold vectors and matrices of `S` states and `O` observed components.
///
/// It holds for every pair of fixed and dynamic sizes; nothing is left to implement.
pub trait Sizes<S: Dim, O: Dim>:
    Allocator<S> + Allocator<O> + Allocator<S, S> + Allocator<O, O> + Allocator<O, S> + Allocator<S, O>
{
}

impl<T, S: Dim, O: Dim> Sizes<S, O> for T where
    T: Allocator<S>
        + Allocator<O>
        + Allocator<S, S>
        + Allocator<O, O>
        + Allocator<O, S>
        + Allocator<S, O>
{
}

/// Holds a normal distribution: mean and covariance.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian<D: Dim>
where
    DefaultAllocator: Allocator<D> + Allocator<D, D>,
{
    /// Mean.
    pub mean: OVector<f64, D>,
    /// Covariance, symmetric and positive semidefinite.
    pub covariance: OMatrix<f64, D, D>,
}

impl<D: Dim> Gaussian<D>
where
    DefaultAllocator: Allocator<D> + Allocator<D, D>,
{
    /// Makes a distribution.
    ///
    /// # Errors
    /// - [`Error::Shape`] when mean and covariance do not fit.
    /// - [`Error::InvalidParameter`] when a number is not finite or the covariance is not symmetric
    ///   and positive semidefinite.
    pub fn new(mean: OVector<f64, D>, covariance: OMatrix<f64, D, D>) -> Result<Self> {
        check_shape("covariance", &covariance, (mean.len(), mean.len()))?;
        if let Some(value) = mean.iter().find(|v| !v.is_finite()) {
            return Err(Error::invalid_parameter("mean", "finite", value));
        }
        check_covariance("covariance", &covariance)?;
        Ok(Self { mean, covariance })
    }
}

/// Models a vector series as a linear function of a hidden state, both with normal noise.
///
/// ```text
/// y[t]   = H x[t] + e[t]      e ~ N(0, R)      H observation, R measurement noise
/// x[t+1] = F x[t] + w[t]      w ~ N(0, Q)      F transition,  Q process noise
/// ```
///
/// `S` counts states and `O` observed components, each fixed at compile time
/// ([`FixedStateSpace`], no allocation) or not ([`DynamicStateSpace`]).
///
/// # Examples
/// A random walk seen by two instruments, the second out of order for a while:
/// ```
/// use forecastle_kalman::{FixedStateSpace, Gaussian};
/// use nalgebra::{matrix, vector};
///
/// let model = FixedStateSpace::<1, 2>::new(
///     matrix![1.0],
///     matrix![1.0; 1.0],
///     matrix![0.1],
///     matrix![0.5, 0.0; 0.0, 2.0],
/// )?;
/// let prior = Gaussian::new(vector![0.0], matrix![100.0])?;
/// let series = [vector![1.0, 1.2], vector![1.1, f64::NAN], vector![1.4, 1.0]];
/// let filtered = model.filter(prior, &series)?;
/// let smoothed = model.smooth(&filtered)?;
/// let (now, then) = (&filtered.steps()[1].filtered, &smoothed[1]);
/// assert!(then.covariance[(0, 0)] < now.covariance[(0, 0)]);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// R. E. Kalman, *A new approach to linear filtering and prediction problems*, Journal of Basic
/// Engineering 82 (1), 1960, doi:10.1115/1.3662552.
/// R. S. Bucy and P. D. Joseph, *Filtering for Stochastic Processes*, 1968 (the update's form).
#[derive(Debug, Clone, PartialEq)]
pub struct StateSpace<S: Dim, O: Dim>
where
    DefaultAllocator: Sizes<S, O>,
{
    transition: OMatrix<f64, S, S>,
    observation: OMatrix<f64, O, S>,
    process_noise: OMatrix<f64, S, S>,
    measurement_noise: OMatrix<f64, O, O>,
}

/// Is a [`StateSpace`] whose sizes are known at compile time.
pub type FixedStateSpace<const S: usize, const O: usize> = StateSpace<Const<S>, Const<O>>;

/// Is a [`StateSpace`] whose sizes are known at run time.
pub type DynamicStateSpace = StateSpace<Dyn, Dyn>;

impl<S: Dim, O: Dim> StateSpace<S, O>
where
    DefaultAllocator: Sizes<S, O>,
{
    /// Makes a model.
    ///
    /// - `transition`: `(S, S)`
    /// - `observation`: `(O, S)`
    /// - `process_noise`: `(S, S)`, a covariance
    /// - `measurement_noise`: `(O, O)`, a covariance
    ///
    /// # Errors
    /// - [`Error::Shape`] when the shapes do not fit or a size is 0.
    /// - [`Error::InvalidParameter`] when a number is not finite, or a noise is not symmetric and
    ///   positive semidefinite.
    pub fn new(
        transition: OMatrix<f64, S, S>,
        observation: OMatrix<f64, O, S>,
        process_noise: OMatrix<f64, S, S>,
        measurement_noise: OMatrix<f64, O, O>,
    ) -> Result<Self> {
        let (o, s) = observation.shape();
        if o == 0 || s == 0 {
            return Err(Error::shape(
                "observation",
                "at least one row and column",
                format!("({o}, {s})"),
            ));
        }
        check_shape("transition", &transition, (s, s))?;
        check_shape("process_noise", &process_noise, (s, s))?;
        check_shape("measurement_noise", &measurement_noise, (o, o))?;
        check_finite("transition", transition.iter())?;
        check_finite("observation", observation.iter())?;
        check_covariance("process_noise", &process_noise)?;
        check_covariance("measurement_noise", &measurement_noise)?;
        Ok(Self::from_valid(transition, observation, process_noise, measurement_noise))
    }

    pub(crate) fn from_valid(
        transition: OMatrix<f64, S, S>,
        observation: OMatrix<f64, O, S>,
        process_noise: OMatrix<f64, S, S>,
        measurement_noise: OMatrix<f64, O, O>,
    ) -> Self {
        Self { transition, observation, process_noise, measurement_noise }
    }

    /// `F`, `(S, S)`.
    pub fn transition(&self) -> &OMatrix<f64, S, S> {
        &self.transition
    }

    /// `H`, `(O, S)`.
    pub fn observation(&self) -> &OMatrix<f64, O, S> {
        &self.observation
    }

    /// `Q`, `(S, S)`.
    pub fn process_noise(&self) -> &OMatrix<f64, S, S> {
        &self.process_noise
    }

    /// `R`, `(O, O)`.
    pub fn measurement_noise(&self) -> &OMatrix<f64, O, O> {
        &self.measurement_noise
    }

    /// Number of states.
    pub fn n_states(&self) -> usize {
        self.observation.ncols()
    }

    /// Number of observed components.
    pub fn n_observed(&self) -> usize {
        self.observation.nrows()
    }

    /// Carries what is known of a row on to the next one.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the state has another size.
    pub fn predict(&self, filtered: &Gaussian<S>) -> Result<Gaussian<S>> {
        self.check_state(filtered)?;
        Ok(self.predicted(filtered))
    }

    /// Forecasts the observations 1 to `horizon` rows after a filtered state, with covariance.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the state has another size.
    pub fn forecast(&self, filtered: &Gaussian<S>, horizon: usize) -> Result<Vec<Gaussian<O>>> {
        self.check_state(filtered)?;
        let mut state = filtered.clone();
        let mut forecasts = Vec::with_capacity(horizon);
        for _ in 0..horizon {
            state = self.predicted(&state);
            let h = &self.observation;
            let mut covariance = h * &state.covariance * h.transpose() + &self.measurement_noise;
            symmetrize(&mut covariance);
            let mean = h * &state.mean;
            forecasts.push(Gaussian { mean, covariance });
        }
        Ok(forecasts)
    }

    pub(crate) fn predicted(&self, filtered: &Gaussian<S>) -> Gaussian<S> {
        let f = &self.transition;
        let mut covariance = f * &filtered.covariance * f.transpose() + &self.process_noise;
        symmetrize(&mut covariance);
        let mean = f * &filtered.mean;
        Gaussian { mean, covariance }
    }

    pub(crate) fn check_state(&self, state: &Gaussian<S>) -> Result<()> {
        let s = self.n_states();
        check_shape("mean", &state.mean, (s, 1))?;
        check_shape("covariance", &state.covariance, (s, s))
    }
}

/// Makes a matrix that is symmetric up to rounding exactly so.
pub(crate) fn symmetrize<D: Dim>(matrix: &mut OMatrix<f64, D, D>)
where
    DefaultAllocator: Allocator<D, D>,
{
    for j in 0..matrix.ncols() {
        for i in j + 1..matrix.nrows() {
            let mean = 0.5 * (matrix[(i, j)] + matrix[(j, i)]);
            matrix[(i, j)] = mean;
            matrix[(j, i)] = mean;
        }
    }
}

pub(crate) fn check_shape<R: Dim, C: Dim, V: RawStorage<f64, R, C>>(
    what: &'static str,
    matrix: &nalgebra::Matrix<f64, R, C, V>,
    expected: (usize, usize),
) -> Result<()> {
    if matrix.shape() == expected {
        return Ok(());
    }
    let (expected, actual) = (format!("{expected:?}"), format!("{:?}", matrix.shape()));
    Err(Error::shape(what, format!("shape {expected}"), actual))
}

fn check_finite<'a>(name: &'static str, mut values: impl Iterator<Item = &'a f64>) -> Result<()> {
    match values.find(|v| !v.is_finite()) {
        None => Ok(()),
        Some(value) => Err(Error::invalid_parameter(name, "finite", value)),
    }
}

fn check_covariance<D: Dim>(name: &'static str, matrix: &OMatrix<f64, D, D>) -> Result<()>
where
    DefaultAllocator: Allocator<D> + Allocator<D, D>,
{
    check_finite(name, matrix.iter())?;
    for j in 0..matrix.ncols() {
        for i in 0..j {
            let (a, b) = (matrix[(i, j)], matrix[(j, i)]);
            if (a - b).abs() > 1e-12 * a.abs().max(b.abs()) {
                let value = format!("{a:e} and {b:e} across the diagonal");
                return Err(Error::invalid_parameter(name, "symmetric", value));
            }
        }
    }
    if Semidefinite::factor(matrix, 0.0).is_none() {
        let value = "a matrix with a negative direction";
        return Err(Error::invalid_parameter(name, "positive semidefinite", value));
    }
    Ok(())
}
