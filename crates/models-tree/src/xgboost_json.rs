//! Models in XGBoost's JSON format.

use forecastle_core::Result;

use crate::Boosting;

mod read;
mod schema;
mod threshold;
mod write;

impl Boosting {
    /// Writes the model in XGBoost's JSON format, for `Booster.load_model` and the like of
    /// XGBoost 2.0 and later.
    ///
    /// XGBoost computes in single precision. A row whose numbers single precision holds goes to the
    /// same leaves there; others XGBoost rounds first, and a row that lies within that rounding of a
    /// threshold may go the other way. Leaves, base score and their sum are rounded too, each by at
    /// most 6e-8 of its size.
    ///
    /// The objective is the loss's XGBoost counterpart ([`Loss::Huber`](crate::Loss::Huber) becomes
    /// `reg:pseudohubererror`, another loss of the same purpose), which matters only if the training
    /// is continued. The parameters of the fit are not in the format.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when a feature name
    ///   holds `[`, `]` or `<`, or is there twice: XGBoost's Python package refuses these.
    /// - [`Error::Numerical`](forecastle_core::Error::Numerical) when a leaf or the base score is
    ///   beyond single precision.
    ///
    /// # Examples
    /// ```
    /// use forecastle_core::{Dataset, Fit, Rows};
    /// use forecastle_models_tree::{Boosting, BoostingParams};
    /// use ndarray::{Array1, Array2};
    ///
    /// let names = ["x".to_owned()];
    /// let records = Array2::from_shape_fn((400, 1), |(i, _)| i as f64);
    /// let targets = Array1::from_shape_fn(400, |i| if i < 200 { -1.0 } else { 1.0 });
    /// let rows = Rows::from(0..400);
    /// let dataset = Dataset::new(&names, &records, &targets, &rows, 1)?;
    /// let model = BoostingParams::default().fit(dataset)?;
    ///
    /// let json = model.to_xgboost_json()?;
    /// let again = Boosting::from_xgboost_json(&json, None)?;
    /// assert!((again.predict_row(&[7.0])? - model.predict_row(&[7.0])?).abs() < 1e-6);
    /// # Ok::<(), forecastle_core::Error>(())
    /// ```
    ///
    /// # References
    /// *Introduction to model IO*, XGBoost documentation,
    /// <https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html>.
    #[doc(alias = "save_model")]
    pub fn to_xgboost_json(&self) -> Result<Vec<u8>> {
        write::write(self)
    }

    /// Reads a model that XGBoost 2 or 3 wrote as JSON (`Booster.save_model("model.json")`).
    ///
    /// Every row goes to the leaves that it goes to in XGBoost, which rounds records to single
    /// precision before it compares; the leaves are summed in double precision here, so predictions
    /// differ by the rounding of XGBoost's own sum. NaN is missing, as it is there by default.
    ///
    /// - `feature_names`: for a model that has none (XGBoost calls them `f0`, `f1`, …, and so does
    ///   this when `None`); names that the model has must be these
    ///
    /// A model that was stopped early keeps the trees up to its `best_iteration` alone, as
    /// XGBoost's scikit-learn interface predicts. To keep the others, which a plain
    /// `Booster.predict` uses, save it after `booster.set_attr(best_iteration=None)`.
    ///
    /// Read are `gbtree` models of one output with numeric splits, whose objective is
    /// `reg:squarederror`, `reg:absoluteerror`, `reg:quantileerror` of one quantile or
    /// `reg:pseudohubererror`; boosted random forests too. [`params`](Self::params) then holds loss,
    /// base score and number of rounds, and defaults for what the format does not tell; the
    /// [`report`](Self::report) holds rounds and best round.
    ///
    /// # Errors
    /// - [`Error::Artifact`](forecastle_core::Error::Artifact) when the file is damaged or holds
    ///   what is not read: another booster, objective or version, categorical splits, several
    ///   outputs, trees deeper than 1,024, more than 65,536 features, UBJSON.
    /// - [`Error::FeatureMismatch`](forecastle_core::Error::FeatureMismatch) when the model has
    ///   other feature names than those given.
    /// - [`Error::Shape`](forecastle_core::Error::Shape) when it has none, and another number of
    ///   features.
    #[doc(alias = "load_model")]
    pub fn from_xgboost_json(json: &[u8], feature_names: Option<&[String]>) -> Result<Self> {
        read::read(json, feature_names)
    }
}
