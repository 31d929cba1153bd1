use forecastle_core::{Dataset, Error, Fit, Progress, ProgressEvent, Result, check_feature_names};
use serde::{Deserialize, Serialize};
use tracing::{debug, field};

use crate::maximum_likelihood::mean_square_step;
use crate::{
    FallbackReason, FitReport, Kalman, LocalLinearTrend, MaximumLikelihood, TrendState,
    TrendVariances,
};

/// Names the one column that [`KalmanParams`] learns from: the logarithm of the close.
pub const LOG_CLOSE: &str = "log_close";

/// Fewer observed rows than this say too little about three variances.
const MIN_OBSERVED: usize = 30;
/// A prior variance this many times the model's own stands for "nothing is known".
const DIFFUSE: f64 = 1e6;

/// Says where the model's variances come from.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variances {
    /// Maximum likelihood on the training rows.
    #[default]
    MaximumLikelihood,
    /// These.
    Fixed(TrendVariances),
}

/// Says what is known of level and velocity before the first row that is predicted from.
///
/// The level's mean is the first close itself and the velocity's 0; this sets their variances.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialVariance {
    /// Nothing is known of the level; the velocity's variance is the mean square of the velocities
    /// filtered from the later half of the training rows. So the first rows of a series do not
    /// extrapolate single returns.
    #[default]
    Learned,
    /// These.
    Fixed {
        /// Variance of the level.
        level: f64,
        /// Variance of the velocity.
        velocity: f64,
    },
}

/// Configures a local linear trend on log prices that forecasts log returns.
///
/// The prediction of row `t` is `level + horizon · velocity − log_close[t]`, where level and
/// velocity know the rows up to and including `t` (filtered, never smoothed). Variances maximise
/// the likelihood of the training rows; labels and weights are not used. Rows between the first and
/// the last selected one that are not selected, and NaN, count as missing: the state is carried
/// over them. Where maximum likelihood fails, `fallback` is used and [`Kalman::report`] says why.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `variances` | maximum likelihood | where the variances come from | fixed ones ≥ 0, one > 0 |
/// | `fallback` | 1e-5, 1e-8, 1e-6 | variances where maximum likelihood fails | ≥ 0, one > 0 |
/// | `initial` | learned | variances before the first row | ≥ 0 |
/// | `max_training_rows` | none | learn from the last so many rows only | ≥ 1 |
/// | `optimizer` | see there | the search for the maximum | |
///
/// # Errors
/// Fitting refuses
/// - parameters outside their range with [`Error::InvalidParameter`],
/// - anything but the one column [`LOG_CLOSE`] with [`Error::FeatureMismatch`],
/// - a selection without rows with [`Error::NotEnoughData`].
///
/// # Examples
/// ```
/// use forecastle_core::{Dataset, Fit, PredictExt, Rows, Target};
/// use forecastle_kalman::{KalmanParams, LOG_CLOSE};
/// use ndarray::Array2;
///
/// let log_close: Vec<f64> = (0..200).map(|t| 4.0 + 0.001 * f64::from(t)).collect();
/// let close: Vec<f64> = log_close.iter().map(|x| x.exp()).collect();
/// let names = [LOG_CLOSE.to_owned()];
/// let targets = Target::LogReturn.labels(&close, 5);
/// let records = Array2::from_shape_vec((200, 1), log_close).unwrap();
/// let rows = Rows::from(0..150);
/// let model = KalmanParams::default().fit(Dataset::new(&names, &records, &targets, &rows, 5)?)?;
/// let forecast = model.predict(&records)?;
/// assert!((forecast[199] - 0.005).abs() < 1e-4);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KalmanParams {
    /// Where the variances come from.
    pub variances: Variances,
    /// Variances where maximum likelihood fails.
    pub fallback: TrendVariances,
    /// What is known before the first row.
    pub initial: InitialVariance,
    /// Learn from the last so many rows only; `None` is all.
    pub max_training_rows: Option<usize>,
    /// The search for the maximum.
    pub optimizer: MaximumLikelihood,
}

impl KalmanParams {
    fn fallback(&self, reason: FallbackReason, series: &[f64], n: usize) -> Result<FitReport> {
        let model = LocalLinearTrend::new(self.fallback)?;
        let value = model.log_likelihood(diffuse(&model, series), series, self.optimizer.burn)?;
        Ok(FitReport {
            variances: self.fallback,
            log_likelihood: value,
            converged: false,
            fallback: Some(reason),
            evaluations: 1,
            n_observed: n,
        })
    }

    fn learn(
        &self,
        series: &[f64],
        n: usize,
        start: Option<TrendVariances>,
        cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<FitReport> {
        if let Variances::Fixed(variances) = self.variances {
            let model = LocalLinearTrend::new(variances)?;
            let prior = diffuse(&model, series);
            return Ok(FitReport {
                variances,
                log_likelihood: model.log_likelihood(prior, series, self.optimizer.burn)?,
                converged: true,
                fallback: None,
                evaluations: 1,
                n_observed: n,
            });
        }
        let needed = MIN_OBSERVED.max(self.optimizer.burn.saturating_add(4));
        if n < needed {
            let reason = FallbackReason::TooShort { needed, observed: n };
            return self.fallback(reason, series, n);
        }
        let scale = mean_square_step(series);
        if scale == 0.0 {
            return self.fallback(FallbackReason::Constant, series, n);
        }
        if !(DIFFUSE * scale).is_finite() {
            return self.fallback(FallbackReason::NonFiniteLikelihood, series, n);
        }
        let prior = TrendState::new(first(series), 0.0, DIFFUSE * scale);
        let fit = self.optimizer.fit(prior, series, [true; 3], start, cancelled);
        match fit {
            Ok(fit) => Ok(FitReport {
                variances: fit.model.variances(),
                log_likelihood: fit.log_likelihood,
                converged: fit.converged,
                fallback: None,
                evaluations: fit.evaluations,
                n_observed: n,
            }),
            Err(Error::Numerical { .. }) => {
                self.fallback(FallbackReason::NonFiniteLikelihood, series, n)
            }
            Err(error) => Err(error),
        }
    }

    /// Variances of level and velocity before the first row.
    fn initial(&self, model: &LocalLinearTrend, series: &[f64], n: usize) -> Result<(f64, f64)> {
        if let InitialVariance::Fixed { level, velocity } = self.initial {
            return Ok((level, velocity));
        }
        let prior = diffuse(model, series);
        let filtered = model.filter(prior, series)?;
        let observed = filtered.updates().iter().filter(|u| !u.is_missing());
        let later = observed.skip(n / 2).map(|u| u.state.velocity);
        let (sum, count) = later.fold((0.0, 0.0), |(s, c), v| (s + v * v, c + 1.0));
        let mean = if count > 0.0 { sum / count } else { 0.0 };
        // A short series may hold one big step as a velocity; no velocity is larger than the steps.
        let velocity = f64::min(mean, mean_square_step(series));
        let velocity = if velocity.is_finite() { velocity } else { 0.0 };
        Ok((prior.level_variance, velocity))
    }

    fn validate(&self) -> Result<()> {
        self.fallback.validate()?;
        if self.max_training_rows == Some(0) {
            return Err(Error::invalid_parameter("max_training_rows", ">= 1", 0));
        }
        self.optimizer.validate()
    }
}

impl Fit for KalmanParams {
    type Fitted = Kalman;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Kalman> {
        self.run(dataset, None)
    }

    /// Fits with a search for the variances that begins with those of an earlier fit, unless they
    /// are fixed or were a fallback: see [`MaximumLikelihood::fit_trend_from`].
    ///
    /// # Errors
    /// As [`fit`](Fit::fit).
    fn fit_from(&self, dataset: Dataset<'_>, start: &Kalman) -> Result<Kalman> {
        let found = start.report().fallback.is_none();
        self.run(dataset, found.then(|| start.model().variances()))
    }
}

impl KalmanParams {
    fn run(&self, dataset: Dataset<'_>, start: Option<TrendVariances>) -> Result<Kalman> {
        self.validate()?;
        check_feature_names(&[LOG_CLOSE.to_owned()], dataset.feature_names())?;
        dataset.require_rows("Kalman filter", 1)?;
        let mut cancelled = || dataset.progress().is_some_and(Progress::is_cancelled);
        if cancelled() {
            return Err(Error::Cancelled);
        }
        let series = self.training_series(&dataset);
        let n = series.iter().filter(|y| !y.is_nan()).count();
        let report = self.learn(&series, n, start, &mut cancelled)?;
        let model = LocalLinearTrend::new(report.variances)?;
        let (level, velocity) = self.initial(&model, &series, n)?;
        debug!(
            rows = dataset.n_rows(),
            observed = report.n_observed,
            log_likelihood = report.log_likelihood,
            converged = report.converged,
            evaluations = report.evaluations,
            fallback = report.fallback.as_ref().map(field::display),
            "fitted"
        );
        if let Some(progress) = dataset.progress() {
            let done = report.evaluations as u64;
            let event = ProgressEvent::new("kalman", done, Some(done));
            progress.update(&event.with_loss(-report.log_likelihood, None));
        }
        Kalman::new(model, (level, velocity), dataset.horizon(), report)
    }

    /// The consecutive rows from the first selected and observed one to the last selected, the
    /// others NaN.
    fn training_series(&self, dataset: &Dataset<'_>) -> Vec<f64> {
        let rows = dataset.rows();
        let end = rows.end();
        let start = rows.ranges().first().map_or(end, |r| r.start);
        let limit = self.max_training_rows.unwrap_or(usize::MAX);
        let start = start.max(end.saturating_sub(limit));
        let mut series = vec![f64::NAN; end - start];
        let column = dataset.records().column(0);
        for row in rows.from_row(start).iter() {
            series[row - start] = column[row];
        }
        let missing = series.iter().take_while(|y| y.is_nan()).count();
        series.split_off(missing)
    }
}

fn first(series: &[f64]) -> f64 {
    series.iter().copied().find(|y| !y.is_nan()).unwrap_or(0.0)
}

/// The first observation as level, and variances so large that nothing is known.
fn diffuse(model: &LocalLinearTrend, series: &[f64]) -> TrendState {
    TrendState::new(first(series), 0.0, DIFFUSE * model.variances().total())
}
