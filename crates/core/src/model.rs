use std::any::Any;
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
    type Fitted: Predict;

    /// Fits.
    ///
    /// # Errors
    /// - [`Error::NotEnoughData`] when there are too few rows, with the number needed.
    /// - [`Error::NonFinite`] when a selected row holds a NaN that the model cannot use.
    /// - [`Error::Numerical`] when the fit diverges.
    /// - [`Error::Cancelled`] when the dataset's observer asks to stop.
    fn fit(&self, dataset: Dataset<'_>) -> Result<Self::Fitted>;

    /// Fits again, beginning with a model that an earlier fit made (a warm start), where the method
    /// can go on from one; the others fit anew, which is the default.
    ///
    /// For refits on a window that has moved on by a few rows. The contract is that of
    /// [`fit`](Self::fit), with `start` as one more input: the same dataset, seed and start give the
    /// same bits. What `start` has learnt stays in the model, so it must not have seen rows that the
    /// new model is judged on.
    ///
    /// # Errors
    /// - [`Error::FeatureMismatch`] when a method goes on from a `start` with other features.
    /// - [`Error::Shape`] or [`Error::InvalidParameter`] when `start` is of another form than the
    ///   parameters ask for.
    /// - As [`fit`](Self::fit).
    #[doc(alias = "warm_start")]
    #[doc(alias = "init_model")]
    #[doc(alias = "xgb_model")]
    fn fit_from(&self, dataset: Dataset<'_>, start: &Self::Fitted) -> Result<Self::Fitted> {
        let _ = start;
        self.fit(dataset)
    }
}

/// Predicts one number a row.
///
/// # Contract
/// - `out[t]` depends on `records[..=t]` alone, and on no more rows than
///   [`lookback`](Self::lookback) says.
/// - A loaded model predicts the same bits as the one saved.
/// - [`predict_last`](Self::predict_last) and [`stream`](Self::stream) give the same bits as
///   [`predict_into`](Self::predict_into).
///
/// Every model is [`Any`], so that a `&dyn Predict` can be turned back into its own type.
pub trait Predict: Any + Debug + Send + Sync {
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

    /// As [`Fit::fit_from`], the fitted types erased; a fit that knows no start begins anew.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `start` is not of the type that this fit makes.
    /// - As [`Fit::fit_from`].
    ///
    /// # Examples
    /// ```
    /// use forecastle_core::{Dataset, DynFit, Predict, Result, Rows};
    ///
    /// /// A window that has moved on is fitted from the model of the window before.
    /// fn refit(
    ///     model: &dyn DynFit,
    ///     last: Option<&dyn Predict>,
    ///     dataset: Dataset<'_>,
    /// ) -> Result<Box<dyn Predict>> {
    ///     match last {
    ///         Some(start) => model.fit_from_dyn(dataset, start),
    ///         None => model.fit_dyn(dataset),
    ///     }
    /// }
    /// ```
    fn fit_from_dyn(&self, dataset: Dataset<'_>, start: &dyn Predict) -> Result<Box<dyn Predict>> {
        let _ = start;
        self.fit_dyn(dataset)
    }
}

impl<T: Fit> DynFit for T {
    fn fit_dyn(&self, dataset: Dataset<'_>) -> Result<Box<dyn Predict>> {
        Ok(Box::new(self.fit(dataset)?))
    }

    fn fit_from_dyn(&self, dataset: Dataset<'_>, start: &dyn Predict) -> Result<Box<dyn Predict>> {
        let own: &dyn Any = start;
        let Some(own) = own.downcast_ref::<T::Fitted>() else {
            let kind = start.save().map_or_else(|_| "another".into(), |a| a.kind().to_owned());
            return Err(Error::invalid_parameter("start", "a model that this fit makes", kind));
        };
        Ok(Box::new(self.fit_from(dataset, own)?))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;
    use ndarray::Array2;

    /// Forecasts the last target it learnt from, and knows how often it was fitted.
    #[derive(Debug, Clone, PartialEq)]
    struct Last {
        names: Vec<String>,
        value: f64,
        fits: u32,
    }

    /// Begins anew each time.
    #[derive(Debug)]
    struct Cold;

    /// Goes on from a start.
    #[derive(Debug)]
    struct Warm;

    impl Predict for Last {
        fn feature_names(&self) -> &[String] {
            &self.names
        }

        fn lookback(&self) -> Lookback {
            Lookback::Rows(1)
        }

        fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
            self.check_shapes(records, out)?;
            out.fill(self.value);
            Ok(())
        }

        fn save(&self) -> Result<Artifact> {
            Artifact::encode("last", 1, &self.names, &(self.value, self.fits))
        }
    }

    fn last(dataset: Dataset<'_>, fits: u32) -> Result<Last> {
        dataset.require_rows("last", 1)?;
        let value = dataset.targets()[dataset.rows().end() - 1];
        Ok(Last { names: dataset.feature_names().to_vec(), value, fits })
    }

    impl Fit for Cold {
        type Fitted = Last;

        fn fit(&self, dataset: Dataset<'_>) -> Result<Last> {
            last(dataset, 1)
        }
    }

    impl Fit for Warm {
        type Fitted = Last;

        fn fit(&self, dataset: Dataset<'_>) -> Result<Last> {
            last(dataset, 1)
        }

        fn fit_from(&self, dataset: Dataset<'_>, start: &Last) -> Result<Last> {
            check_feature_names(start.feature_names(), dataset.feature_names())?;
            last(dataset, start.fits + 1)
        }
    }

    /// A model of another type with the same look.
    #[derive(Debug)]
    struct Wrapped(Last);

    impl Predict for Wrapped {
        fn feature_names(&self) -> &[String] {
            self.0.feature_names()
        }

        fn lookback(&self) -> Lookback {
            self.0.lookback()
        }

        fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
            self.0.predict_into(records, out)
        }

        fn save(&self) -> Result<Artifact> {
            self.0.save()
        }
    }

    #[test]
    fn a_warm_start_behind_dyn_reaches_its_own_type_and_no_other() {
        let (names, records) = (["x".to_owned()], Array2::zeros((9, 1)));
        let targets: Array1<f64> = (0..9).map(f64::from).collect();
        let rows = Rows::from(0..6);
        let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
        let fits = |model: &dyn Predict| {
            let model: &dyn Any = model;
            model.downcast_ref::<Last>().unwrap().fits
        };
        let (cold, warm): (&dyn DynFit, &dyn DynFit) = (&Cold, &Warm);
        let first = warm.fit_dyn(dataset).unwrap();
        let second = warm.fit_from_dyn(dataset, first.as_ref()).unwrap();
        let third = warm.fit_from_dyn(dataset, second.as_ref()).unwrap();
        assert_eq!([&first, &second, &third].map(|model| fits(model.as_ref())), [1, 2, 3]);
        assert_eq!(fits(cold.fit_from_dyn(dataset, third.as_ref()).unwrap().as_ref()), 1);

        let wrapped = Wrapped(Warm.fit(dataset).unwrap());
        for model in [cold, warm] {
            let told = model.fit_from_dyn(dataset, &wrapped).unwrap_err();
            assert!(matches!(told, Error::InvalidParameter { name: "start", .. }), "{told}");
            assert!(told.is_invalid_input() && told.to_string().ends_with("got last"), "{told}");
        }
        let other = ["y".to_owned()];
        let dataset = Dataset::new(&other, &records, &targets, &rows, 1).unwrap();
        let told = warm.fit_from_dyn(dataset, first.as_ref()).unwrap_err();
        assert!(matches!(told, Error::FeatureMismatch { index: 0, .. }), "{told}");
    }
}
