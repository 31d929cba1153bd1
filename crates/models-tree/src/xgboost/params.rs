use forecastle_core::{Dataset, Error, Fit, Result};
use serde::{Deserialize, Serialize};

use super::train::{self, Extras};
use super::{Xgboost, XgboostLibrary};
use crate::{BoostingParams, EarlyStopping, Growth, Loss};

/// Sets up gradient boosting by XGBoost's library, with histograms (`tree_method` `hist`) on the
/// processor.
///
/// What has the name of a parameter of [`BoostingParams`] means the same and has the same default.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `n_rounds` | 100 | trees | ≥ 1 |
/// | `learning_rate` | 0.03 | share of each tree that is taken | above 0, ≤ 1 |
/// | `max_depth` | 3 | levels of splits; 0 is no limit and wants `max_leaves` | ≤ 64 |
/// | `max_leaves` | 0 | leaves of a tree; 0 is no limit | 0 or ≥ 2 |
/// | `growth` | depth-wise | which leaf is split next | |
/// | `l1` | 0 | draws leaves to 0 | ≥ 0 |
/// | `l2` | 1 | shrinks leaves, small ones most | ≥ 0 |
/// | `min_child_weight` | 50 | least sum of second derivatives in a child | ≥ 0 |
/// | `gamma` | 0 | a split must gain more than this | ≥ 0 |
/// | `subsample` | 0.5 | chance of a row to be seen by a tree | above 0, ≤ 1 |
/// | `colsample_bytree` | 0.5 | share of features a tree sees | above 0, ≤ 1 |
/// | `colsample_bylevel` | 1 | share of those that each level sees | above 0, ≤ 1 |
/// | `colsample_bynode` | 1 | share of those that each split sees | above 0, ≤ 1 |
/// | `max_bins` | 255 | bins a feature | 2 to 65536 |
/// | `loss` | squared | what to minimise: squared, absolute or quantile | see [`Loss`] |
/// | `early_stopping` | off | when to stop before `n_rounds` | see [`EarlyStopping`] |
/// | `threads` | 1 | threads of a fit; 0 is one a processor | ≤ 1024 |
/// | `seed` | 0 | of row and column sampling; the lower 63 bits count | |
/// | `base_score` | XGBoost's estimate | prediction before the first tree | finite in `f32` |
///
/// XGBoost computes in `f32`: records beyond its range count as its largest number, targets and
/// weights beyond it are refused, rows whose weight rounds to 0 are left out. [`Loss::Huber`] is
/// refused, since XGBoost's pseudo-Huber loss is another one.
///
/// The library's version, the data, the parameters (with `threads`) and the seed decide the model to
/// the bit, whatever pool of threads the fit runs in. Other numbers of `threads` may round sums
/// another way; 1 to 8 gave the same bits wherever this was tried, but XGBoost does not promise it,
/// and `threads = 0` asks the machine. Fits that run side by side, like the folds of a stack, do
/// best with one each.
///
/// # Errors
/// [`fit`](Fit::fit) gives
/// - [`Error::InvalidParameter`] when a parameter is outside its range.
/// - [`Error::Component`] with an [`XgboostError`](crate::XgboostError) when there is no library or
///   a call fails.
/// - [`Error::NotEnoughData`] when no selected row has a weight, or early stopping leaves nothing to
///   learn from.
/// - [`Error::Shape`] when there is no feature.
/// - [`Error::Numerical`] when targets, weights or the model leave the range of `f32`.
/// - [`Error::Cancelled`] when the dataset's observer asks to stop.
///
/// # Examples
/// ```
/// use forecastle_core::{Dataset, PredictExt, Rows};
/// use forecastle_models_tree::{XgboostLibrary, XgboostParams};
/// use ndarray::{Array1, Array2};
///
/// let names = ["x".to_owned()];
/// let records = Array2::from_shape_fn((400, 1), |(i, _)| i as f64);
/// let targets = Array1::from_shape_fn(400, |i| if i < 200 { -1.0 } else { 1.0 });
/// let rows = Rows::from(0..400);
/// let dataset = Dataset::new(&names, &records, &targets, &rows, 1)?;
///
/// if let Ok(library) = XgboostLibrary::find() {
///     let params = XgboostParams { learning_rate: 0.3, ..Default::default() };
///     let model = params.fit_with(&library, dataset)?;
///     assert!((model.predict(&records)?[399] - 1.0).abs() < 0.01);
/// }
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// T. Chen, C. Guestrin, *XGBoost: a scalable tree boosting system*, 2016,
/// doi:10.1145/2939672.2939785.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct XgboostParams {
    /// Trees to grow.
    #[doc(alias = "num_boost_round")]
    #[doc(alias = "n_estimators")]
    pub n_rounds: usize,
    /// Share of each tree that is taken.
    #[doc(alias = "eta")]
    pub learning_rate: f64,
    /// Levels of splits, 0 for no limit.
    pub max_depth: usize,
    /// Leaves of a tree, 0 for no limit.
    pub max_leaves: usize,
    /// Which leaf is split next.
    #[doc(alias = "grow_policy")]
    pub growth: Growth,
    /// Draws leaves to 0.
    #[doc(alias = "alpha")]
    #[doc(alias = "reg_alpha")]
    pub l1: f64,
    /// Shrinks leaves.
    #[doc(alias = "lambda")]
    #[doc(alias = "reg_lambda")]
    pub l2: f64,
    /// Least sum of second derivatives in a child: rows, or the sum of their weights.
    pub min_child_weight: f64,
    /// Gain that a split must exceed.
    #[doc(alias = "min_split_loss")]
    pub gamma: f64,
    /// Chance of a row to be seen by a tree.
    pub subsample: f64,
    /// Share of features a tree sees.
    pub colsample_bytree: f64,
    /// Share of the tree's features that each level sees.
    pub colsample_bylevel: f64,
    /// Share of the level's features that each split sees.
    pub colsample_bynode: f64,
    /// Bins a feature.
    #[doc(alias = "max_bin")]
    pub max_bins: usize,
    /// What to minimise.
    #[doc(alias = "objective")]
    pub loss: Loss,
    /// When to stop before `n_rounds`.
    #[doc(alias = "early_stopping_rounds")]
    pub early_stopping: Option<EarlyStopping>,
    /// Threads of a fit, 0 for one a processor.
    #[doc(alias = "nthread")]
    #[doc(alias = "n_jobs")]
    pub threads: usize,
    /// Of row and column sampling.
    #[doc(alias = "random_state")]
    pub seed: u64,
    /// Prediction before the first tree; `None` is XGBoost's estimate.
    pub base_score: Option<f64>,
}

impl Default for XgboostParams {
    fn default() -> Self {
        BoostingParams::default().into()
    }
}

impl From<BoostingParams> for XgboostParams {
    /// The same boosting on one thread.
    fn from(params: BoostingParams) -> Self {
        Self {
            n_rounds: params.n_rounds,
            learning_rate: params.learning_rate,
            max_depth: params.max_depth,
            max_leaves: params.max_leaves,
            growth: params.growth,
            l1: params.l1,
            l2: params.l2,
            min_child_weight: params.min_child_weight,
            gamma: params.gamma,
            subsample: params.subsample,
            colsample_bytree: params.colsample_bytree,
            colsample_bylevel: params.colsample_bylevel,
            colsample_bynode: 1.0,
            max_bins: params.max_bins,
            loss: params.loss,
            early_stopping: params.early_stopping,
            threads: 1,
            seed: params.seed,
            base_score: params.base_score,
        }
    }
}

impl XgboostParams {
    /// Checks every parameter's range; a fit does so first.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first parameter outside its range.
    pub fn check(&self) -> Result<()> {
        self.check_all_but_loss()?;
        match self.loss {
            Loss::Huber { .. } => {
                let requirement = "squared, absolute or quantile with XGBoost";
                Err(Error::invalid_parameter("loss", requirement, "huber"))
            }
            Loss::Squared | Loss::Absolute | Loss::Quantile { .. } => Ok(()),
        }
    }

    fn check_all_but_loss(&self) -> Result<()> {
        self.shared().check()?;
        if !(2..=65_536).contains(&self.max_bins) {
            return Err(Error::invalid_parameter("max_bins", "between 2 and 65536", self.max_bins));
        }
        if !(self.colsample_bynode > 0.0 && self.colsample_bynode <= 1.0) {
            let value = self.colsample_bynode;
            return Err(Error::invalid_parameter("colsample_bynode", "above 0 and <= 1", value));
        }
        if self.threads > 1024 {
            return Err(Error::invalid_parameter("threads", "<= 1024", self.threads));
        }
        match self.base_score {
            Some(score) if !(score as f32).is_finite() => {
                Err(Error::invalid_parameter("base_score", "finite as a 32-bit number", score))
            }
            _ => Ok(()),
        }
    }

    /// What our own booster shares, for its checks.
    fn shared(&self) -> BoostingParams {
        BoostingParams {
            n_rounds: self.n_rounds,
            learning_rate: self.learning_rate,
            max_depth: self.max_depth,
            max_leaves: self.max_leaves,
            growth: self.growth,
            l1: self.l1,
            l2: self.l2,
            min_child_weight: self.min_child_weight,
            gamma: self.gamma,
            subsample: self.subsample,
            colsample_bytree: self.colsample_bytree,
            colsample_bylevel: self.colsample_bylevel,
            loss: self.loss,
            early_stopping: self.early_stopping,
            seed: self.seed,
            base_score: self.base_score,
            ..BoostingParams::default()
        }
    }

    /// Fits with a library; [`fit`](Fit::fit) finds one first.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit).
    pub fn fit_with(&self, library: &XgboostLibrary, dataset: Dataset<'_>) -> Result<Xgboost> {
        self.check()?;
        train::fit(self, library, dataset, Extras::default())
    }

    /// Fits with an objective of one's own: `derivatives(target, prediction)` gives the first and
    /// the second derivative of a row's loss by its prediction.
    ///
    /// A row's weight multiplies both. `loss`, which may be any here, judges the rounds for early
    /// stopping and gives the default `base_score`, its best constant.
    ///
    /// # Errors
    /// - As [`fit`](Fit::fit).
    /// - [`Error::Numerical`] when a derivative is not finite.
    ///
    /// # Examples
    /// ```no_run
    /// use forecastle_models_tree::{Loss, XgboostLibrary, XgboostParams};
    /// # fn fit(dataset: forecastle_core::Dataset<'_>) -> forecastle_core::Result<()> {
    /// let params = XgboostParams { loss: Loss::Huber { delta: 1.0 }, ..Default::default() };
    /// let huber = |target: f64, prediction: f64| ((prediction - target).clamp(-1.0, 1.0), 1.0);
    /// let model = params.fit_objective(&XgboostLibrary::find()?, dataset, huber)?;
    /// # Ok(()) }
    /// ```
    #[doc(alias = "custom_objective")]
    #[doc(alias = "obj")]
    pub fn fit_objective(
        &self,
        library: &XgboostLibrary,
        dataset: Dataset<'_>,
        derivatives: impl Fn(f64, f64) -> (f64, f64),
    ) -> Result<Xgboost> {
        self.check_all_but_loss()?;
        let extras = Extras { derivatives: Some(&derivatives), start: None };
        train::fit(self, library, dataset, extras)
    }

    /// Whether `n_rounds` more trees leave a start within [`BoostingParams::MAX_TREES`].
    pub(super) fn can_go_on_from(&self, trees: usize) -> bool {
        self.shared().can_go_on_from(trees)
    }

    /// The seed of a fit that goes on from a model.
    pub(super) fn seed_after(&self, start: &Xgboost) -> u64 {
        self.seed.wrapping_add(start.n_trees() as u64)
    }

    /// XGBoost's names and values.
    pub(super) fn settings(&self, custom_objective: bool) -> Vec<(&'static str, String)> {
        let growth = match self.growth {
            Growth::DepthWise => "depthwise",
            Growth::LeafWise => "lossguide",
        };
        // As Python prints them, since XGBoost's own reading of numbers depends on the form.
        let number = |value: f64| format!("{value:?}");
        let mut settings = vec![
            ("verbosity", "0".to_owned()),
            ("disable_default_eval_metric", "1".to_owned()),
            ("booster", "gbtree".to_owned()),
            ("tree_method", "hist".to_owned()),
            ("nthread", self.threads.to_string()),
            ("seed", (self.seed & (u64::MAX >> 1)).to_string()),
            ("eta", number(self.learning_rate)),
            ("max_depth", self.max_depth.to_string()),
            ("max_leaves", self.max_leaves.to_string()),
            ("grow_policy", growth.to_owned()),
            ("alpha", number(self.l1)),
            ("lambda", number(self.l2)),
            ("min_child_weight", number(self.min_child_weight)),
            ("gamma", number(self.gamma)),
            ("subsample", number(self.subsample)),
            ("colsample_bytree", number(self.colsample_bytree)),
            ("colsample_bylevel", number(self.colsample_bylevel)),
            ("colsample_bynode", number(self.colsample_bynode)),
            ("max_bin", self.max_bins.to_string()),
        ];
        let objective = match self.loss {
            // Without the renewal of leaves that the others bring.
            _ if custom_objective => "reg:squarederror",
            Loss::Absolute => "reg:absoluteerror",
            Loss::Quantile { alpha } => {
                settings.push(("quantile_alpha", number(alpha)));
                "reg:quantileerror"
            }
            Loss::Squared | Loss::Huber { .. } => "reg:squarederror",
        };
        settings.push(("objective", objective.to_owned()));
        settings
    }
}

impl Fit for XgboostParams {
    type Fitted = Xgboost;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Xgboost> {
        self.check()?;
        self.fit_with(&XgboostLibrary::find()?, dataset)
    }

    /// Fits further trees behind those of an earlier fit, with the start's library: XGBoost's
    /// continued training, `xgb_model` in Python.
    ///
    /// What [`BoostingParams::fit_from`] says of trees, early stopping and repeated refits holds here
    /// too. XGBoost begins its random numbers anew, so the seed of the new trees is `seed` plus the
    /// start's number of trees; without sampling `n` rounds and `m` more are those of `n + m` at
    /// once.
    ///
    /// # Errors
    /// - [`Error::FeatureMismatch`](forecastle_core::Error::FeatureMismatch) when `start` has other
    ///   features, or in another order.
    /// - As [`fit`](Fit::fit).
    fn fit_from(&self, dataset: Dataset<'_>, start: &Xgboost) -> Result<Xgboost> {
        self.check()?;
        let extras = Extras { derivatives: None, start: Some(start) };
        train::fit(self, &start.library(), dataset, extras)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_outside_its_range_is_named() {
        let ok = XgboostParams::default();
        ok.check().unwrap();
        let cases = [
            ("n_rounds", XgboostParams { n_rounds: 0, ..ok }),
            ("gamma", XgboostParams { gamma: f64::NAN, ..ok }),
            ("max_bins", XgboostParams { max_bins: 1, ..ok }),
            ("max_bins", XgboostParams { max_bins: 65_537, ..ok }),
            ("colsample_bynode", XgboostParams { colsample_bynode: 0.0, ..ok }),
            ("threads", XgboostParams { threads: 1025, ..ok }),
            ("base_score", XgboostParams { base_score: Some(1e39), ..ok }),
            ("loss", XgboostParams { loss: Loss::Huber { delta: 1.0 }, ..ok }),
        ];
        for (expected, params) in cases {
            match params.check() {
                Err(Error::InvalidParameter { name, .. }) => assert_eq!(name, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
        XgboostParams { max_bins: 1024, ..ok }.check().unwrap();
    }
}
