use std::fmt;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};
use serde::{Deserialize, Serialize};

use crate::{Error, FeatureTable, Progress, Result, Rows};

/// Names what a model learns to forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// `log(close[t + horizon] / close[t])`.
    #[default]
    LogReturn,
    /// `close[t + horizon]`, the literal reading; measured 3 to 20 times worse than repeating the
    /// last price when a tree learns it, since trees cannot extrapolate a level.
    Price,
}

impl Target {
    /// The label of every row: `(n_bars,)`, NaN in the last `horizon` rows, whose future is unknown.
    pub fn labels(self, close: &[f64], horizon: usize) -> Array1<f64> {
        let label = |t: usize| match (close.get(t), close.get(t.saturating_add(horizon))) {
            (Some(&now), Some(&then)) => match self {
                Self::LogReturn => (then / now).ln(),
                Self::Price => then,
            },
            _ => f64::NAN,
        };
        (0..close.len()).map(label).collect()
    }
}

/// Borrows everything a model is fitted on.
///
/// The table holds consecutive bars; [`rows`](Self::rows) says which of them to learn from. A
/// sequence model reads the bars before a row too, all the others look at the selected rows only.
///
/// # Contract
/// The targets and weights of selected rows are finite; weights are not negative. Records are
/// never infinite in a selected row; NaN there means "missing", and a model that cannot use it
/// refuses with [`Error::NonFinite`] through [`require_complete`](Self::require_complete).
#[derive(Clone, Copy)]
pub struct Dataset<'a> {
    feature_names: &'a [String],
    records: &'a ArrayRef2<f64>,
    targets: &'a ArrayRef1<f64>,
    weights: Option<&'a ArrayRef1<f64>>,
    rows: &'a Rows,
    horizon: usize,
    progress: Option<&'a dyn Progress>,
}

impl<'a> Dataset<'a> {
    /// Makes a dataset.
    ///
    /// - `records`: `(n_bars, n_features)`
    /// - `targets`: `(n_bars,)`
    /// - `horizon`: bars that a label reaches into the future; what a model holds back for
    ///   validation is purged by it
    ///
    /// # Errors
    /// - [`Error::Shape`] when names, records, targets and rows do not fit.
    /// - [`Error::NonFinite`] when a selected row has a non-finite target or an infinite record.
    pub fn new(
        feature_names: &'a [String],
        records: &'a ArrayRef2<f64>,
        targets: &'a ArrayRef1<f64>,
        rows: &'a Rows,
        horizon: usize,
    ) -> Result<Self> {
        let (n_bars, n_features) = records.dim();
        if feature_names.len() != n_features {
            let expected = format!("{n_features} names");
            return Err(Error::shape("feature_names", expected, feature_names.len().to_string()));
        }
        if targets.len() != n_bars {
            let expected = format!("{n_bars} rows");
            return Err(Error::shape("targets", expected, targets.len().to_string()));
        }
        if rows.end() > n_bars {
            let expected = format!("row numbers below {n_bars}");
            return Err(Error::shape("rows", expected, (rows.end() - 1).to_string()));
        }
        let dataset =
            Self { feature_names, records, targets, weights: None, rows, horizon, progress: None };
        check_selected("targets", targets, rows)?;
        dataset.check_records("records", f64::is_infinite)?;
        Ok(dataset)
    }

    /// Makes a dataset from a table's names and values.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_table(
        table: &'a FeatureTable,
        targets: &'a ArrayRef1<f64>,
        rows: &'a Rows,
        horizon: usize,
    ) -> Result<Self> {
        Self::new(table.names(), table.values(), targets, rows, horizon)
    }

    /// This dataset with a weight a bar, `(n_bars,)`.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the length differs.
    /// - [`Error::NonFinite`] when a selected weight is not finite.
    /// - [`Error::InvalidParameter`] when a selected weight is negative.
    pub fn with_weights(self, weights: &'a ArrayRef1<f64>) -> Result<Self> {
        if weights.len() != self.records.nrows() {
            let expected = format!("{} rows", self.records.nrows());
            return Err(Error::shape("weights", expected, weights.len().to_string()));
        }
        check_selected("weights", weights, self.rows)?;
        if let Some(row) = self.rows.iter().find(|&i| weights[i] < 0.0) {
            return Err(Error::invalid_parameter("weights", ">= 0", weights[row]));
        }
        Ok(Self { weights: Some(weights), ..self })
    }

    /// This dataset with an observer of the fit.
    pub fn with_progress(self, progress: &'a dyn Progress) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// The same bars with another selection of rows.
    ///
    /// # Errors
    /// As [`new`](Self::new) and [`with_weights`](Self::with_weights).
    pub fn with_rows(self, rows: &'a Rows) -> Result<Self> {
        let fresh = Self::new(self.feature_names, self.records, self.targets, rows, self.horizon)?;
        let fresh = Self { progress: self.progress, ..fresh };
        match self.weights {
            Some(weights) => fresh.with_weights(weights),
            None => Ok(fresh),
        }
    }

    /// The features' names, in order.
    pub fn feature_names(&self) -> &'a [String] {
        self.feature_names
    }

    /// All bars, `(n_bars, n_features)`.
    pub fn records(&self) -> &'a ArrayRef2<f64> {
        self.records
    }

    /// All labels, `(n_bars,)`; finite in the selected rows.
    pub fn targets(&self) -> &'a ArrayRef1<f64> {
        self.targets
    }

    /// All weights, `(n_bars,)`; `None` means 1 everywhere.
    pub fn weights(&self) -> Option<&'a ArrayRef1<f64>> {
        self.weights
    }

    /// The rows to learn from.
    pub fn rows(&self) -> &'a Rows {
        self.rows
    }

    /// Number of rows to learn from.
    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// Number of features.
    pub fn n_features(&self) -> usize {
        self.records.ncols()
    }

    /// Bars that a label reaches into the future.
    pub fn horizon(&self) -> usize {
        self.horizon
    }

    /// The observer of the fit.
    pub fn progress(&self) -> Option<&'a dyn Progress> {
        self.progress
    }

    /// Copies the selected rows: `(n_rows, n_features)` row-major, `(n_rows,)`.
    pub fn gather(&self) -> (Array2<f64>, Array1<f64>) {
        let mut records = Array2::zeros((self.n_rows(), self.n_features()));
        for (to, from) in self.rows.iter().enumerate() {
            records.row_mut(to).assign(&self.records.row(from));
        }
        (records, self.rows.iter().map(|i| self.targets[i]).collect())
    }

    /// Copies the selected rows' weights, `(n_rows,)`.
    pub fn gather_weights(&self) -> Option<Array1<f64>> {
        self.weights.map(|weights| self.rows.iter().map(|i| weights[i]).collect())
    }

    /// Refuses missing values in the selected rows; models that need complete rows call it first.
    ///
    /// # Errors
    /// - [`Error::NonFinite`] with the first row and column.
    pub fn require_complete(&self) -> Result<()> {
        self.check_records("records", |v| !v.is_finite())
    }

    /// Refuses a selection that is too small.
    ///
    /// # Errors
    /// - [`Error::NotEnoughData`].
    pub fn require_rows(&self, what: &str, needed: usize) -> Result<()> {
        let available = self.n_rows();
        if available < needed {
            return Err(Error::not_enough_data(what, needed, available));
        }
        Ok(())
    }

    fn check_records(&self, what: &'static str, bad: impl Fn(f64) -> bool) -> Result<()> {
        for (name, column) in self.feature_names.iter().zip(self.records.columns()) {
            for range in self.rows.ranges() {
                if let Some(row) = range.clone().find(|&i| bad(column[i])) {
                    return Err(Error::NonFinite { what, row, column: name.clone() });
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Dataset<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("records", &self.records.dim())
            .field("rows", &self.rows.ranges())
            .field("horizon", &self.horizon)
            .field("weighted", &self.weights.is_some())
            .finish_non_exhaustive()
    }
}

fn check_selected(what: &'static str, values: &ArrayRef1<f64>, rows: &Rows) -> Result<()> {
    match rows.iter().find(|&i| !values[i].is_finite()) {
        None => Ok(()),
        Some(row) => Err(Error::NonFinite { what, row, column: String::new() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn labels_look_h_bars_ahead_and_end_in_nan() {
        let close = [1.0, 2.0, 4.0];
        let labels = Target::LogReturn.labels(&close, 1);
        assert_eq!(labels[0], 2.0_f64.ln());
        assert_eq!(labels[1], 2.0_f64.ln());
        assert!(labels[2].is_nan());
        assert_eq!(Target::Price.labels(&close, 2)[0], 4.0);
        assert!(Target::Price.labels(&close, usize::MAX).iter().all(|v| v.is_nan()));
    }

    #[test]
    fn bad_numbers_are_refused_in_selected_rows_only() {
        let names = ["a".to_owned()];
        let records = array![[1.0], [f64::NAN], [f64::INFINITY]];
        let targets = array![1.0, 2.0, f64::NAN];
        let all = Rows::from(0..3);
        assert!(Dataset::new(&names, &records, &targets, &all, 1).is_err());
        let two = Rows::from(0..2);
        let dataset = Dataset::new(&names, &records, &targets, &two, 1).unwrap();
        let error = dataset.require_complete().unwrap_err();
        assert!(matches!(error, Error::NonFinite { row: 1, .. }), "{error}");
        let one = Rows::from(0..1);
        assert!(dataset.with_rows(&one).unwrap().require_complete().is_ok());
        let negative = array![1.0, -1.0, 1.0];
        assert!(dataset.with_weights(&negative).is_err());
    }
}
