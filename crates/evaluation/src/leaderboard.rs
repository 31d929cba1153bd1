use forecastle_core::{Error, Result};
use ndarray::{Array1, ArrayRef1};
use serde::{Deserialize, Serialize};

use crate::checks::{finite_vector, same_length};
use crate::resampled_means::binary_unit;
use crate::{
    BootstrapParams, DmParams, JudgedRows, LeaderboardRow, LongRunVariance, McsParams,
    McsStatistic, ModelConfidenceSet, PesaranTimmermannParams, diebold_mariano,
    directional_accuracy, information_coefficient, mae, mase, model_confidence_set,
    pesaran_timmermann, rank_information_coefficient, relative_rmse, rmse, rmsse,
};

/// Names the forecast "the price stays" in a leaderboard.
pub const NAIVE: &str = "naive";

/// Parametrises the tests of a [`Leaderboard`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `variance` | rectangular | long-run variance of the Diebold-Mariano test | |
/// | `statistic` | max | statistic of the Model Confidence Set | |
/// | `bootstrap` | 1000 stationary, automatic length of at least the horizon | its resampling, with the seed | see [`BootstrapParams`] |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaderboardParams {
    /// Long-run variance of the Diebold-Mariano test.
    pub variance: LongRunVariance,
    /// Statistic of the Model Confidence Set.
    pub statistic: McsStatistic,
    /// Its resampling, with the seed.
    pub bootstrap: BootstrapParams,
}

/// Compares models with the naive forecast and each other, on the same rows.
///
/// Everything is in **log returns over the horizon**, `log(close[t + h] / close[t])`, so that numbers
/// compare across markets; the naive forecast is 0. A row is judged when its actual return and every
/// model's prediction are there (NaN means "not there"), and [`LeaderboardRow::n`] says how many rows
/// that leaves. The tests take the judged rows as consecutive. A figure that does not exist (a naive
/// forecast has no direction, a constant no correlation) is `None`.
///
/// There is no column for Theil's U2: of returns, whose naive forecast is 0, it is `relative_rmse`.
///
/// Each Diebold-Mariano test is of one model, and of many models one in twenty looks better than naive
/// at 5 %. `mcs_p` is the answer for all of them together: where naive's own is large, nothing here has
/// been shown to beat it.
///
/// # Examples
/// ```
/// use forecastle_evaluation::Leaderboard;
/// use ndarray::array;
///
/// let mut board = Leaderboard::new(5, &array![0.01, -0.02, 0.03, 0.01, -0.01, 0.02, 0.01])?
///     .with_training(&array![0.02, -0.02])?;
/// board.add("late", &array![f64::NAN, -0.01, 0.01, 0.02, -0.01, 0.01, 0.0])?;
/// let rows = board.rows()?;
/// assert_eq!(rows.iter().map(|r| r.n).collect::<Vec<_>>(), [6, 6]);
/// assert_eq!(rows[1].directional_accuracy, Some(1.0));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Leaderboard {
    horizon: usize,
    actual: Array1<f64>,
    training: Option<Array1<f64>>,
    params: LeaderboardParams,
    models: Vec<(String, Array1<f64>)>,
}

impl Leaderboard {
    /// Makes a leaderboard that holds the naive forecast alone.
    ///
    /// - `actual`: `(n_bars,)` log returns over the horizon; NaN where the future is unknown
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `horizon` is 0.
    /// - [`Error::NonFinite`] when a return is infinite.
    pub fn new(horizon: usize, actual: &ArrayRef1<f64>) -> Result<Self> {
        if horizon == 0 {
            return Err(Error::invalid_parameter("horizon", ">= 1", 0));
        }
        check_not_infinite("actual", actual)?;
        let (actual, params) = (actual.to_owned(), LeaderboardParams::default());
        Ok(Self { horizon, actual, training: None, params, models: Vec::new() })
    }

    /// This leaderboard with other settings of its tests; they are checked when the rows are computed.
    pub fn with_params(self, params: LeaderboardParams) -> Self {
        Self { params, ..self }
    }

    /// This leaderboard with the training window's log returns, which scale MASE and RMSSE; NaN is
    /// left out.
    ///
    /// # Errors
    /// - [`Error::NotEnoughData`] when no return is there.
    /// - [`Error::NonFinite`] when a return is infinite.
    pub fn with_training(self, returns: &ArrayRef1<f64>) -> Result<Self> {
        let training: Array1<f64> = returns.iter().copied().filter(|r| !r.is_nan()).collect();
        finite_vector("training returns", &training)?;
        Ok(Self { training: Some(training), ..self })
    }

    /// Adds a model.
    ///
    /// - `predicted`: `(n_bars,)` log returns over the horizon; NaN where the model is silent
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when the name is taken; `naive` always is.
    /// - [`Error::Shape`] when the length is not that of the actual returns.
    /// - [`Error::NonFinite`] when a prediction is infinite.
    pub fn add(&mut self, model: impl Into<String>, predicted: &ArrayRef1<f64>) -> Result<()> {
        let model = model.into();
        if model == NAIVE || self.models.iter().any(|(name, _)| *name == model) {
            return Err(Error::invalid_parameter("model", "a new name", model));
        }
        same_length("predicted", predicted, self.actual.len())?;
        check_not_infinite("predicted", predicted)?;
        self.models.push((model, predicted.to_owned()));
        Ok(())
    }

    /// The rows that are judged, with what every model said and missed in them, for tests of one's
    /// own.
    ///
    /// # Errors
    /// - [`Error::NotEnoughData`] when no row has all numbers.
    pub fn judged(&self) -> Result<JudgedRows> {
        JudgedRows::new(&self.actual, &self.models)
    }

    /// Computes the figures: naive first, then the models as they were added.
    ///
    /// # Errors
    /// - [`Error::NotEnoughData`] when no row has all numbers.
    /// - [`Error::Numerical`] when an error overflows.
    /// - [`Error::InvalidParameter`] when the settings of the bootstrap are outside their range.
    pub fn rows(&self) -> Result<Vec<LeaderboardRow>> {
        let judged = self.judged()?;
        let columns = judged.names().iter().zip(judged.predicted().columns());
        let mut rows = columns
            .map(|(name, predicted)| self.row(name, judged.actual(), &predicted))
            .collect::<Result<Vec<_>>>()?;
        if let Some(set) = self.confidence_set(&judged)? {
            for (row, p_value) in rows.iter_mut().zip(set.p_values) {
                row.mcs_p = Some(p_value);
            }
        }
        Ok(rows)
    }

    fn row(
        &self,
        model: &str,
        actual: &ArrayRef1<f64>,
        predicted: &ArrayRef1<f64>,
    ) -> Result<LeaderboardRow> {
        let horizon = self.horizon;
        let naive = Array1::zeros(actual.len());
        let variance = self.params.variance;
        let params = DmParams { horizon, variance, ..DmParams::default() };
        let test = where_enough(diebold_mariano(&(actual - predicted), actual, &params))?
            .filter(|test| test.statistic.is_finite());
        let directions = PesaranTimmermannParams { horizon, offset: None };
        let directions = pesaran_timmermann(actual, predicted, &directions)?;
        let training = self.training.as_deref().unwrap_or(actual);
        Ok(LeaderboardRow {
            model: model.to_owned(),
            horizon,
            n: actual.len(),
            mae: mae(actual, predicted)?,
            rmse: rmse(actual, predicted)?,
            mase: mase(actual, predicted, training)?,
            rmsse: rmsse(actual, predicted, training)?,
            relative_rmse: relative_rmse(actual, predicted, &naive)?,
            directional_accuracy: directional_accuracy(actual, predicted)?,
            pt_p: directions.map(|test| test.p_value),
            information_coefficient: information_coefficient(actual, predicted)?,
            rank_ic: rank_information_coefficient(actual, predicted)?,
            dm_statistic: test.map(|test| test.statistic),
            dm_p: test.map(|test| test.p_value),
            mcs_p: None,
        })
    }

    /// The Model Confidence Set of naive and all models on the squared loss; `None` with too few rows.
    fn confidence_set(&self, judged: &JudgedRows) -> Result<Option<ModelConfidenceSet>> {
        let LeaderboardParams { statistic, bootstrap, .. } = self.params;
        let mut losses = judged.errors();
        // In units of a power of two near the largest, so that no square leaves the range.
        let largest = losses.iter().fold(0.0_f64, |m, e| m.max(e.abs()));
        let unit = binary_unit(largest);
        losses.mapv_inplace(|e| (e / unit) * (e / unit));
        let params = McsParams { statistic, horizon: self.horizon, bootstrap };
        where_enough(model_confidence_set(&losses, &params))
    }
}

/// `None` for what has too few rows.
fn where_enough<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_enough_data() => Ok(None),
        Err(error) => Err(error),
    }
}

fn check_not_infinite(what: &'static str, values: &ArrayRef1<f64>) -> Result<()> {
    match values.iter().position(|v| v.is_infinite()) {
        None => Ok(()),
        Some(row) => Err(Error::NonFinite { what, row, column: String::new() }),
    }
}
