use forecastle_core::{Dataset, Error, Fit, Result};
use serde::{Deserialize, Serialize};

use crate::train;
use crate::{BinnedMatrix, Boosting, Loss};

/// Most bins a feature can have; the missing values have one more of their own.
pub(crate) const MAX_BINS: usize = 255;

/// Says in which order a tree's leaves are split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Growth {
    /// Level by level, XGBoost's `depthwise`. A limit on leaves cuts off the last level.
    #[default]
    DepthWise,
    /// The leaf with the largest gain first, LightGBM's way and XGBoost's `lossguide`.
    LeafWise,
}

/// Stops a fit when the end of the training rows no longer gains by further trees.
///
/// The last `validation_share` of the selected rows is held back; the rows before it whose labels
/// reach into it (the dataset's horizon) are purged. The model keeps the trees up to its best round.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `patience` | 20 | rounds without a better validation loss before the fit stops | ≥ 1 |
/// | `validation_share` | 0.2 | share of the selected rows held back, the latest ones | between 0 and 1 |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// Rounds without a better validation loss before the fit stops.
    #[doc(alias = "early_stopping_rounds")]
    pub patience: usize,
    /// Share of the selected rows held back.
    #[doc(alias = "validation_fraction")]
    pub validation_share: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { patience: 20, validation_share: 0.2 }
    }
}

/// Sets up gradient boosting of regression trees.
///
/// With predictions `ŷ = base + Σ η·treeₖ(x)`, round `k` grows the tree that lowers
/// `Σ wᵢ·loss(yᵢ, ŷᵢ)` most by Newton's step: a split gains
/// `G_L²/(H_L+λ) + G_R²/(H_R+λ) − G²/(H+λ)`, where `G` and `H` sum the loss's first and second
/// derivatives over a node (each `G` first drawn toward 0 by `l1`), and a leaf answers `−G/(H+λ)`.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `n_rounds` | 100 | trees | ≥ 1 |
/// | `learning_rate` | 0.03 | η, share of each tree that is taken | above 0, ≤ 1 |
/// | `max_depth` | 3 | levels of splits; 0 is no limit and wants `max_leaves` | ≤ 64 |
/// | `max_leaves` | 0 | leaves of a tree; 0 is no limit | 0 or ≥ 2 |
/// | `growth` | depth-wise | which leaf is split next | |
/// | `l1` | 0 | draws leaves to 0 | ≥ 0 |
/// | `l2` | 1 | λ, shrinks leaves, small ones most | ≥ 0 |
/// | `min_child_weight` | 50 | least `H` of a child: rows, or the sum of their weights | ≥ 0 |
/// | `gamma` | 0 | a split must gain more than this | ≥ 0 |
/// | `subsample` | 0.5 | share of rows a tree sees, drawn without replacement | above 0, ≤ 1 |
/// | `colsample_bytree` | 0.5 | share of features a tree sees | above 0, ≤ 1 |
/// | `colsample_bylevel` | 1 | share of those that each level sees | above 0, ≤ 1 |
/// | `max_bins` | 255 | bins a feature, missing values apart | 2 to 255 |
/// | `loss` | squared | what to minimise | see [`Loss`] |
/// | `early_stopping` | off | when to stop before `n_rounds` | see [`EarlyStopping`] |
/// | `seed` | 0 | of row and column sampling | |
/// | `base_score` | the loss's best constant | prediction before the first tree | finite |
///
/// The defaults suit returns of market data, where nearly everything is noise: shallow, slow,
/// half-sampled trees with well-filled leaves. For a table with a strong signal take depth 6,
/// `min_child_weight` 1 and no sampling.
///
/// # Errors
/// [`fit`](Fit::fit) gives
/// - [`Error::InvalidParameter`] when a parameter is outside its range.
/// - [`Error::NotEnoughData`] when no selected row has a positive weight, or early stopping leaves
///   nothing to learn from.
/// - [`Error::Numerical`] when the targets are so large that the loss overflows.
/// - [`Error::Cancelled`] when the dataset's observer asks to stop.
///
/// # Examples
/// ```
/// use forecastle_core::{Dataset, Fit, PredictExt, Rows};
/// use forecastle_models_tree::BoostingParams;
/// use ndarray::{Array1, Array2};
///
/// let names = ["x".to_owned()];
/// let records = Array2::from_shape_fn((400, 1), |(i, _)| i as f64);
/// let targets = Array1::from_shape_fn(400, |i| if i < 200 { -1.0 } else { 1.0 });
/// let rows = Rows::from(0..400);
/// let dataset = Dataset::new(&names, &records, &targets, &rows, 1)?;
///
/// let params = BoostingParams { learning_rate: 0.3, ..Default::default() };
/// let model = params.fit(dataset)?;
/// assert!((model.predict(&records)?[399] - 1.0).abs() < 0.01);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// - J. H. Friedman, *Greedy function approximation: a gradient boosting machine*, 2001,
///   doi:10.1214/aos/1013203451.
/// - T. Chen, C. Guestrin, *XGBoost: a scalable tree boosting system*, 2016,
///   doi:10.1145/2939672.2939785.
/// - G. Ke et al., *LightGBM: a highly efficient gradient boosting decision tree*, 2017.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoostingParams {
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
    /// Share of rows a tree sees.
    pub subsample: f64,
    /// Share of features a tree sees.
    pub colsample_bytree: f64,
    /// Share of the tree's features that each level sees.
    pub colsample_bylevel: f64,
    /// Bins a feature, missing values apart.
    #[doc(alias = "max_bin")]
    pub max_bins: usize,
    /// What to minimise.
    #[doc(alias = "objective")]
    pub loss: Loss,
    /// When to stop before `n_rounds`.
    #[doc(alias = "early_stopping_rounds")]
    pub early_stopping: Option<EarlyStopping>,
    /// Of row and column sampling.
    #[doc(alias = "random_state")]
    pub seed: u64,
    /// Prediction before the first tree; `None` is the loss's best constant.
    pub base_score: Option<f64>,
}

impl Default for BoostingParams {
    fn default() -> Self {
        Self {
            n_rounds: 100,
            learning_rate: 0.03,
            max_depth: 3,
            max_leaves: 0,
            growth: Growth::DepthWise,
            l1: 0.0,
            l2: 1.0,
            min_child_weight: 50.0,
            gamma: 0.0,
            subsample: 0.5,
            colsample_bytree: 0.5,
            colsample_bylevel: 1.0,
            max_bins: MAX_BINS,
            loss: Loss::Squared,
            early_stopping: None,
            seed: 0,
            base_score: None,
        }
    }
}

impl BoostingParams {
    /// Checks every parameter's range; a fit does so first.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first parameter outside its range.
    pub fn check(&self) -> Result<()> {
        at_least("n_rounds", self.n_rounds, 1)?;
        share("learning_rate", self.learning_rate)?;
        if self.max_depth > 64 {
            return Err(Error::invalid_parameter("max_depth", "<= 64", self.max_depth));
        }
        if self.max_leaves == 1 || (self.max_leaves == 0 && self.max_depth == 0) {
            let requirement = ">= 2, or 0 with a max_depth";
            return Err(Error::invalid_parameter("max_leaves", requirement, self.max_leaves));
        }
        not_negative("l1", self.l1)?;
        not_negative("l2", self.l2)?;
        not_negative("min_child_weight", self.min_child_weight)?;
        not_negative("gamma", self.gamma)?;
        share("subsample", self.subsample)?;
        share("colsample_bytree", self.colsample_bytree)?;
        share("colsample_bylevel", self.colsample_bylevel)?;
        check_max_bins(self.max_bins)?;
        self.loss.check()?;
        if let Some(stopping) = self.early_stopping {
            at_least("patience", stopping.patience, 1)?;
            let held_back = stopping.validation_share;
            if !(held_back > 0.0 && held_back < 1.0) {
                let requirement = "above 0 and below 1";
                return Err(Error::invalid_parameter("validation_share", requirement, held_back));
            }
        }
        match self.base_score {
            Some(score) if !score.is_finite() => {
                Err(Error::invalid_parameter("base_score", "finite", score))
            }
            _ => Ok(()),
        }
    }

    /// Fits on features that are binned already, so that the folds of a split, or several parameter
    /// sets, share the work.
    ///
    /// The matrix must be made from the dataset's own records. Its bins are those of the rows it was
    /// made with: made with more rows than the dataset selects, the positions of the bin edges (and
    /// nothing else) know of the others.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the matrix has another number of rows.
    /// - [`Error::FeatureMismatch`] when it has other features.
    /// - As [`fit`](Fit::fit).
    pub fn fit_binned(&self, matrix: &BinnedMatrix, dataset: Dataset<'_>) -> Result<Boosting> {
        self.check()?;
        train::fit(self, Some(matrix), dataset, None)
    }

    /// Most trees that a model can have by [`fit_from`](Fit::fit_from).
    pub const MAX_TREES: usize = 10_000;

    /// Whether `n_rounds` more trees leave a start within [`MAX_TREES`](Self::MAX_TREES).
    pub(crate) fn can_go_on_from(&self, trees: usize) -> bool {
        trees.saturating_add(self.n_rounds) <= Self::MAX_TREES
    }
}

impl Fit for BoostingParams {
    type Fitted = Boosting;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Boosting> {
        self.check()?;
        train::fit(self, None, dataset, None)
    }

    /// Fits further trees behind those of an earlier fit, as XGBoost's `xgb_model` and LightGBM's
    /// `init_model` do.
    ///
    /// The start's trees and base score stay as they are, and its predictions are where the first
    /// new tree begins; `n_rounds` counts the new trees, `base_score` is not looked at. On the same
    /// rows, without early stopping, `n` rounds and `m` more are the same bits as `n + m` at once:
    /// rows and columns are drawn by the number of the tree, so no new tree draws what an old one
    /// drew. With early stopping the start is round 0, and comes back as it is when no round betters
    /// it.
    ///
    /// Every refit adds trees and none forgets one, so a forest that is refitted with its full
    /// `n_rounds` again and again learns the noise of the rows that its windows share, and takes
    /// longer than a cold fit. Take few: on hourly candles, with windows that moved on by a tenth, a
    /// tenth of the rounds took a third to a half of a cold fit's time and forecast as well, all of them
    /// forecast 2 % worse. Rows that early stopping holds back must be new to the start, or it looks
    /// better than it is. A start that would come to more than [`MAX_TREES`](Self::MAX_TREES) trees is
    /// left and the fit begins anew.
    ///
    /// # Errors
    /// - [`Error::FeatureMismatch`] when `start` has other features, or in another order.
    /// - As [`fit`](Fit::fit).
    ///
    /// # Examples
    /// ```
    /// use forecastle_core::{Dataset, Fit, Rows};
    /// use forecastle_models_tree::BoostingParams;
    /// use ndarray::{Array1, Array2};
    ///
    /// let names = ["x".to_owned()];
    /// let records = Array2::from_shape_fn((600, 1), |(i, _)| (i % 100) as f64);
    /// let targets = Array1::from_shape_fn(600, |i| (i % 100) as f64);
    /// let (first, moved) = (Rows::from(0..500), Rows::from(100..600));
    /// let dataset = Dataset::new(&names, &records, &targets, &first, 1)?;
    ///
    /// let start = BoostingParams::default().fit(dataset)?;
    /// let few = BoostingParams { n_rounds: 10, ..Default::default() };
    /// let model = few.fit_from(dataset.with_rows(&moved)?, &start)?;
    /// assert_eq!(model.n_trees(), 110);
    /// # Ok::<(), forecastle_core::Error>(())
    /// ```
    fn fit_from(&self, dataset: Dataset<'_>, start: &Boosting) -> Result<Boosting> {
        self.check()?;
        train::fit(self, None, dataset, Some(start))
    }
}

pub(crate) fn check_max_bins(max_bins: usize) -> Result<()> {
    if (2..=MAX_BINS).contains(&max_bins) {
        return Ok(());
    }
    Err(Error::invalid_parameter("max_bins", "between 2 and 255", max_bins))
}

fn at_least(name: &'static str, value: usize, least: usize) -> Result<()> {
    if value >= least {
        return Ok(());
    }
    Err(Error::invalid_parameter(name, format!(">= {least}"), value))
}

fn not_negative(name: &'static str, value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::invalid_parameter(name, ">= 0 and finite", value))
}

fn share(name: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value <= 1.0 {
        return Ok(());
    }
    Err(Error::invalid_parameter(name, "above 0 and <= 1", value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_outside_its_range_is_named() {
        let ok = BoostingParams::default();
        ok.check().unwrap();
        let early = |patience, validation_share| Some(EarlyStopping { patience, validation_share });
        let cases = [
            ("n_rounds", BoostingParams { n_rounds: 0, ..ok }),
            ("learning_rate", BoostingParams { learning_rate: 0.0, ..ok }),
            ("learning_rate", BoostingParams { learning_rate: f64::NAN, ..ok }),
            ("max_depth", BoostingParams { max_depth: 65, ..ok }),
            ("max_leaves", BoostingParams { max_leaves: 1, ..ok }),
            ("max_leaves", BoostingParams { max_depth: 0, ..ok }),
            ("l1", BoostingParams { l1: -1.0, ..ok }),
            ("l2", BoostingParams { l2: f64::INFINITY, ..ok }),
            ("min_child_weight", BoostingParams { min_child_weight: f64::NAN, ..ok }),
            ("gamma", BoostingParams { gamma: -0.1, ..ok }),
            ("subsample", BoostingParams { subsample: 1.1, ..ok }),
            ("colsample_bytree", BoostingParams { colsample_bytree: 0.0, ..ok }),
            ("colsample_bylevel", BoostingParams { colsample_bylevel: -0.5, ..ok }),
            ("max_bins", BoostingParams { max_bins: 1, ..ok }),
            ("max_bins", BoostingParams { max_bins: 256, ..ok }),
            ("delta", BoostingParams { loss: Loss::Huber { delta: 0.0 }, ..ok }),
            ("alpha", BoostingParams { loss: Loss::Quantile { alpha: 1.0 }, ..ok }),
            ("patience", BoostingParams { early_stopping: early(0, 0.2), ..ok }),
            ("validation_share", BoostingParams { early_stopping: early(5, 1.0), ..ok }),
            ("base_score", BoostingParams { base_score: Some(f64::NAN), ..ok }),
        ];
        for (expected, params) in cases {
            match params.check() {
                Err(Error::InvalidParameter { name, .. }) => assert_eq!(name, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }
}
