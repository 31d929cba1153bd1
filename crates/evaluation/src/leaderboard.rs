use std::io::Write;

use forecastle_core::{Error, Result};
use ndarray::{Array1, ArrayRef1};
use serde::{Deserialize, Serialize};

use crate::checks::{finite_vector, same_length};
use crate::{DmParams, diebold_mariano, directional_accuracy, mae, mase, relative_rmse, rmse};

/// Names the forecast "the price stays" in a leaderboard.
pub const NAIVE: &str = "naive";

/// Compares models with the naive forecast and each other, on the same rows.
///
/// Everything is in **log returns over the horizon**, `log(close[t + h] / close[t])`, so that numbers
/// compare across markets; the naive forecast is 0. A row is judged when its actual return and every
/// model's prediction are there (NaN means "not there"), and [`LeaderboardRow::n`] says how many rows
/// that leaves. The Diebold-Mariano test takes the judged rows as consecutive.
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
    models: Vec<(String, Array1<f64>)>,
}

/// Holds one model's figures; the field names are the columns of the CSV.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeaderboardRow {
    /// The model.
    pub model: String,
    /// Bars ahead.
    pub horizon: usize,
    /// Judged rows.
    pub n: usize,
    /// Mean absolute error of the log return.
    pub mae: f64,
    /// Root of its mean squared error.
    pub rmse: f64,
    /// MAE divided by naive's MAE in the training window, or in the judged rows when no training
    /// window was given; `None` when that is 0.
    pub mase: Option<f64>,
    /// RMSE divided by naive's; `None` when that is 0.
    pub relative_rmse: Option<f64>,
    /// Share of right directions where neither the move nor the forecast is 0; `None` without any.
    pub directional_accuracy: Option<f64>,
    /// Diebold-Mariano against naive (squared loss, HLN correction); negative: better than naive.
    /// `None` with too few rows for the horizon, or when it is infinite.
    pub dm_statistic: Option<f64>,
    /// Its two-sided p-value.
    pub dm_p: Option<f64>,
}

impl LeaderboardRow {
    /// The columns, in order.
    pub const COLUMNS: [&'static str; 10] = [
        "model",
        "horizon",
        "n",
        "mae",
        "rmse",
        "mase",
        "relative_rmse",
        "directional_accuracy",
        "dm_statistic",
        "dm_p",
    ];
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
        Ok(Self { horizon, actual: actual.to_owned(), training: None, models: Vec::new() })
    }

    /// This leaderboard with the training window's log returns, which scale the MASE; NaN is left
    /// out.
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

    /// Computes the figures: naive first, then the models as they were added.
    ///
    /// # Errors
    /// - [`Error::NotEnoughData`] when no row has all numbers.
    /// - [`Error::Numerical`] when an error overflows.
    pub fn rows(&self) -> Result<Vec<LeaderboardRow>> {
        let there = |t: &usize| {
            let known = |values: &Array1<f64>| values.get(*t).is_some_and(|v| !v.is_nan());
            known(&self.actual) && self.models.iter().all(|(_, predicted)| known(predicted))
        };
        let judged: Vec<usize> = (0..self.actual.len()).filter(there).collect();
        if judged.is_empty() {
            return Err(Error::not_enough_data("leaderboard", 1, 0));
        }
        let select = |values: &Array1<f64>| -> Array1<f64> {
            judged.iter().filter_map(|&t| values.get(t).copied()).collect()
        };
        let actual = select(&self.actual);
        let naive = Array1::zeros(actual.len());
        let mut rows = vec![self.row(NAIVE, &actual, &naive, &naive)?];
        for (model, predicted) in &self.models {
            rows.push(self.row(model, &actual, &select(predicted), &naive)?);
        }
        Ok(rows)
    }

    fn row(
        &self,
        model: &str,
        actual: &Array1<f64>,
        predicted: &Array1<f64>,
        naive: &Array1<f64>,
    ) -> Result<LeaderboardRow> {
        let params = DmParams { horizon: self.horizon, ..DmParams::default() };
        let test = match diebold_mariano(&(actual - predicted), &(actual - naive), &params) {
            Ok(test) => Some(test).filter(|test| test.statistic.is_finite()),
            Err(error) if error.is_not_enough_data() => None,
            Err(error) => return Err(error),
        };
        Ok(LeaderboardRow {
            model: model.to_owned(),
            horizon: self.horizon,
            n: actual.len(),
            mae: mae(actual, predicted)?,
            rmse: rmse(actual, predicted)?,
            mase: mase(actual, predicted, self.training.as_ref().unwrap_or(actual))?,
            relative_rmse: relative_rmse(actual, predicted, naive)?,
            directional_accuracy: directional_accuracy(actual, predicted)?,
            dm_statistic: test.map(|test| test.statistic),
            dm_p: test.map(|test| test.p_value),
        })
    }
}

/// Writes rows as CSV with a header; numbers read back to the same bits, `None` is empty.
///
/// # Errors
/// - [`Error::Component`] when the writer fails.
pub fn write_csv(rows: &[LeaderboardRow], to: &mut impl Write) -> Result<()> {
    let mut text = LeaderboardRow::COLUMNS.join(",");
    text.push('\n');
    let optional = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
    for row in rows {
        let cells = [
            quoted(&row.model),
            row.horizon.to_string(),
            row.n.to_string(),
            row.mae.to_string(),
            row.rmse.to_string(),
            optional(row.mase),
            optional(row.relative_rmse),
            optional(row.directional_accuracy),
            optional(row.dm_statistic),
            optional(row.dm_p),
        ];
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    to.write_all(text.as_bytes()).map_err(|e| Error::component("leaderboard file", e))
}

/// A CSV cell, in quotes where RFC 4180 asks for them.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn check_not_infinite(what: &'static str, values: &ArrayRef1<f64>) -> Result<()> {
    match values.iter().position(|v| v.is_infinite()) {
        None => Ok(()),
        Some(row) => Err(Error::NonFinite { what, row, column: String::new() }),
    }
}
