use std::fmt::Debug;

use ndarray::{Array1, ArrayRef1, ArrayRef2};
use serde::{Deserialize, Serialize};

use crate::table::check_feature_names;
use crate::{Artifact, Dataset, Error, FeatureTable, PredictStream, Result};

/// Says how many bars a model reads to predict one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lookback {
    /// The row itself and the ones before it, this many in all (1: the row alone). Where history is
    /// shorter the first row is repeated.
    Rows(usize),
    /// Every bar since the first row given: a filter with a state.
    Unbounded,
}

impl Lookback {
    /// Rows to hand over before the first row whose prediction is wanted, when `available` exist.
    pub fn context(self, available: usize) -> usize {
        match self {
            Self::Rows(n) => n.saturating_sub(1).min(available),
            Self::Unbounded => available,
        }
    }
}

/// Learns a model from a dataset.
///
/// # Contract
/// - Reads nothing but the selected rows' labels, and no bar after the last selected row.
/// - The same dataset and seed give the same bits on any number of threads.
/// - Bad input is an error, never a panic.
pub trait Fit: Debug + Send + Sync {
    /// The fitted model.
    type Fitted: Predict + 'static;

    /// Fits.
    ///
    /// # Errors
    /// - [`Error::NotEnoughData`] when there are too few rows, with the number needed.
    /// - [`Error::NonFinite`] when a selected row holds a NaN that the model cannot use.
    /// - [`Error::Numerical`] when the fit diverges.
    /// - [`Error::Cancelled`] when the dataset's observer asks to stop.
    fn fit(&self, dataset: Dataset<'_>) -> Result<Self::Fitted>;
}

/// Predicts one number a row.
///
/// # Contract
/// - `out[t]` depends on `records[..=t]` alone, and on no more rows than
///   [`lookback`](Self::lookback) says.
/// - A loaded model predicts the same bits as the one saved.
/// - [`predict_last`](Self::predict_last) and [`stream`](Self::stream) give the same bits as
///   [`predict_into`](Self::predict_into).
pub trait Predict: Debug + Send + Sync {
    /// The features the model was fitted on, in order.
    fn feature_names(&self) -> &[String];

    /// How many bars a prediction reads.
    fn lookback(&self) -> Lookback;

    /// Writes a prediction for every row.
    ///
    /// - `records`: `(n_bars, n_features)`, consecutive bars
    /// - `out`: `(n_bars,)`
    ///
    /// # Errors
    /// - [`Error::Shape`] when the shapes do not fit.
    /// - [`Error::NonFinite`] when a row holds a number that the model cannot use.
    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()>;

    /// Saves everything needed to predict.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when the model cannot be written.
    fn save(&self) -> Result<Artifact>;

    /// Number of features.
    fn n_features(&self) -> usize {
        self.feature_names().len()
    }

    /// Predicts the last row alone, which may cost less than predicting all of them.
    ///
    /// - `window`: `(1.., n_features)`, consecutive bars; no more than [`lookback`](Self::lookback)
    ///   says matter
    ///
    /// # Errors
    /// As [`predict_into`](Self::predict_into); an empty window is an [`Error::Shape`].
    fn predict_last(&self, window: &ArrayRef2<f64>) -> Result<f64> {
        let mut out = Array1::from_elem(window.nrows(), f64::NAN);
        self.predict_into(window, &mut out)?;
        out.last().copied().ok_or_else(|| Error::shape("window", "at least 1 row", "0"))
    }

    /// Starts a stream, where a prediction needs more than the last rows; `None` where
    /// [`predict_last`](Self::predict_last) is enough.
    fn stream(&self) -> Option<Box<dyn PredictStream>> {
        None
    }
}

/// Loads a model that [`Predict::save`] wrote.
pub trait Load: Predict + Sized {
    /// The artifact kind that this type writes.
    const KIND: &'static str;

    /// Loads.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when kind, version or content do not match.
    fn load(artifact: &Artifact) -> Result<Self>;
}

/// Is [`Fit`] for use behind `dyn`; implemented for every [`Fit`].
pub trait DynFit: Debug + Send + Sync {
    /// As [`Fit::fit`], the fitted type erased.
    ///
    /// # Errors
    /// As [`Fit::fit`].
    fn fit_dyn(&self, dataset: Dataset<'_>) -> Result<Box<dyn Predict>>;
}

impl<T: Fit> DynFit for T {
    fn fit_dyn(&self, dataset: Dataset<'_>) -> Result<Box<dyn Predict>> {
        Ok(Box::new(self.fit(dataset)?))
    }
}

/// Adds conveniences to every [`Predict`].
pub trait PredictExt: Predict {
    /// Predicts into a fresh vector, `(n_bars,)`.
    ///
    /// # Errors
    /// As [`Predict::predict_into`].
    fn predict(&self, records: &ArrayRef2<f64>) -> Result<Array1<f64>> {
        let mut out = Array1::from_elem(records.nrows(), f64::NAN);
        self.predict_into(records, &mut out)?;
        Ok(out)
    }

    /// Predicts a table whose feature names and order must be those of the fit.
    ///
    /// # Errors
    /// - [`Error::FeatureMismatch`] when they are not.
    /// - As [`Predict::predict_into`].
    fn predict_table(&self, table: &FeatureTable) -> Result<Array1<f64>> {
        check_feature_names(self.feature_names(), table.names())?;
        self.predict(table.values())
    }

    /// Checks the shapes of a prediction's arguments; implementations call it first.
    ///
    /// # Errors
    /// - [`Error::Shape`].
    fn check_shapes(&self, records: &ArrayRef2<f64>, out: &ArrayRef1<f64>) -> Result<()> {
        if records.ncols() != self.n_features() {
            let expected = format!("{} columns", self.n_features());
            return Err(Error::shape("records", expected, records.ncols().to_string()));
        }
        if out.len() != records.nrows() {
            let expected = format!("{} rows", records.nrows());
            return Err(Error::shape("out", expected, out.len().to_string()));
        }
        Ok(())
    }

    /// Refuses any NaN or infinity; models that need complete rows call it.
    ///
    /// # Errors
    /// - [`Error::NonFinite`] with the first row and column.
    fn check_complete(&self, records: &ArrayRef2<f64>) -> Result<()> {
        for (name, column) in self.feature_names().iter().zip(records.columns()) {
            if let Some(row) = column.iter().position(|v| !v.is_finite()) {
                return Err(Error::NonFinite { what: "records", row, column: name.clone() });
            }
        }
        Ok(())
    }
}

impl<T: Predict + ?Sized> PredictExt for T {}
