use forecastle_core::Result;
use ndarray::{Array2, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};

use crate::BootstrapParams;
use crate::elimination::{Elimination, eliminate};
use crate::resampled_means::{Centred, Resampling, check_losses, resampled_means};

/// Names the statistic by which models that are worse than the rest are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum McsStatistic {
    /// `T_max`: the largest t statistic of a model's loss against the mean of all.
    #[default]
    Max,
    /// `T_R`: the largest t statistic of a loss difference between any two.
    Range,
}

/// Parametrises [`model_confidence_set`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `statistic` | max | how models that are worse than the rest are found | |
/// | `horizon` | 1 | bars ahead of the forecasts: an automatic block is no shorter | ≥ 1 |
/// | `bootstrap` | 1000 stationary, automatic length | how the losses are resampled | see [`BootstrapParams`] |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct McsParams {
    /// How models that are worse than the rest are found.
    pub statistic: McsStatistic,
    /// Bars ahead of the forecasts.
    pub horizon: usize,
    /// How the losses are resampled.
    pub bootstrap: BootstrapParams,
}

impl Default for McsParams {
    fn default() -> Self {
        Self { statistic: McsStatistic::Max, horizon: 1, bootstrap: BootstrapParams::default() }
    }
}

/// Tells which of many models may be the best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelConfidenceSet {
    /// A p-value per model, in the order of the columns; 1 for the last that is left.
    pub p_values: Vec<f64>,
    /// The models in the order in which they were eliminated, the last that is left included; models
    /// with identical losses go together.
    pub elimination: Vec<usize>,
    /// Block length of the bootstrap; `None` when the rows were given or nothing had to be drawn.
    pub block_length: Option<usize>,
    /// Replications.
    pub n_resamples: usize,
}

impl ModelConfidenceSet {
    /// Whether a model is in the set that holds the best one with a probability of at least
    /// 1 − `size`: whether its p-value is at least `size`. A model that does not exist is not.
    pub fn contains(&self, model: usize, size: f64) -> bool {
        self.p_values.get(model).is_some_and(|p| *p >= size)
    }

    /// The models in that set, in the order of the columns.
    pub fn models(&self, size: f64) -> Vec<usize> {
        (0..self.p_values.len()).filter(|&model| self.contains(model, size)).collect()
    }
}

/// Computes the Model Confidence Set: the models that cannot be told from the best one, with p-values.
///
/// Many models compared in pairs will show "significant" differences by luck alone. Here all are
/// tested for equal accuracy at once; where that is refused the worst goes, and the rest are tested
/// again until one is left. A model's p-value is the largest of the tests up to its elimination. The
/// set of models with p ≥ α holds the best with a probability of at least 1 − α: a set of one says
/// which is best, a set of all that the data cannot tell.
///
/// Variances and distributions come from one bootstrap of the rows in blocks; the same seed gives the
/// same bits on any number of threads. The p-values are shares of replications, so with 1000 of them a
/// p of 0.05 has a standard error of 0.007. The cost is rows / block length × models × replications,
/// and replications × models³ / 6 for the eliminations.
///
/// Models with the same loss in every row are one model: they enter once and share the p-value, so
/// adding a copy changes nothing. A difference that is the same in every row (up to rounding, 1e-14 of
/// the losses) has no variance and is decisive.
///
/// - `losses`: `(n, n_models)`, what each model's error cost in consecutive rows
///
/// # Errors
/// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when `horizon`
///   or `block_length` is 0, or `n_resamples` not 1 to 1 000 000.
/// - [`Error::Shape`](forecastle_core::Error::Shape) when there is no model.
/// - [`Error::NotEnoughData`](forecastle_core::Error::NotEnoughData) when there are fewer than 2 rows,
///   or fewer than two blocks.
/// - [`Error::NonFinite`](forecastle_core::Error::NonFinite) when a loss is NaN or infinite.
///
/// # References
/// P. R. Hansen, A. Lunde, J. M. Nason, "The model confidence set", *Econometrica* 79 (2011), 453–497,
/// doi:10.3982/ECTA5771.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{McsParams, model_confidence_set};
/// use ndarray::Array2;
///
/// // Two models that take turns in being better, and one that is worse than both.
/// let losses = Array2::from_shape_fn((200, 3), |(t, j)| match j {
///     2 => 1.2 + 0.5 * (t as f64 * 0.9).sin(),
///     _ => 1.0 + 0.5 * (t as f64 * 0.7 + j as f64).sin(),
/// });
/// let set = model_confidence_set(&losses, &McsParams::default())?;
/// assert_eq!((set.models(0.1), set.elimination[0]), (vec![0, 1], 2));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "mcs")]
pub fn model_confidence_set(
    losses: &ArrayRef2<f64>,
    params: &McsParams,
) -> Result<ModelConfidenceSet> {
    params.bootstrap.check(params.horizon)?;
    check_losses(losses)?;
    let distinct = Distinct::new(losses);
    let n_resamples = params.bootstrap.n_resamples;
    if distinct.columns.len() == 1 {
        return Ok(distinct.share(&[Elimination { model: 0, p_value: 1.0 }], None, n_resamples));
    }
    let centred = Centred::new(distinct.select(losses));
    let mut against_mean = centred.values.clone();
    for mut row in against_mean.rows_mut() {
        let mean = row.sum() / distinct.columns.len() as f64;
        row.mapv_inplace(|v| v - mean);
    }
    let bootstrap = params.bootstrap.bootstrap(&against_mean, params.horizon)?;
    let drawn = resampled_means(&centred.values, Resampling::Drawn(bootstrap, n_resamples))?;
    let order = eliminate(&centred, &drawn, params.statistic);
    Ok(distinct.share(&order, Some(bootstrap.block_length), n_resamples))
}

/// Computes the Model Confidence Set from given resampled rows, of another bootstrap or another
/// program's.
///
/// - `losses`: `(n, n_models)`
/// - `indices`: `(n_resamples, n)`, the rows of each replication
///
/// # Errors
/// As [`model_confidence_set`], and:
/// - [`Error::Shape`](forecastle_core::Error::Shape) when a replication does not have n rows.
/// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when a row does not exist.
/// - [`Error::NotEnoughData`](forecastle_core::Error::NotEnoughData) when there is no replication.
pub fn model_confidence_set_from(
    losses: &ArrayRef2<f64>,
    statistic: McsStatistic,
    indices: &ArrayRef2<usize>,
) -> Result<ModelConfidenceSet> {
    check_losses(losses)?;
    let distinct = Distinct::new(losses);
    let centred = Centred::new(distinct.select(losses));
    let drawn = resampled_means(&centred.values, Resampling::Given(indices))?;
    let order = eliminate(&centred, &drawn, statistic);
    Ok(distinct.share(&order, None, indices.nrows()))
}

/// The columns that differ, and which of them each column is.
struct Distinct {
    columns: Vec<usize>,
    member: Vec<usize>,
}

impl Distinct {
    fn new(losses: &ArrayRef2<f64>) -> Self {
        let (mut columns, mut member) = (Vec::<usize>::new(), Vec::new());
        for (j, column) in losses.columns().into_iter().enumerate() {
            let same = |&i: &usize| losses.column(i) == column;
            let known = columns.iter().position(same).unwrap_or_else(|| {
                columns.push(j);
                columns.len() - 1
            });
            member.push(known);
        }
        Self { columns, member }
    }

    fn select(&self, losses: &ArrayRef2<f64>) -> Array2<f64> {
        losses.select(Axis(1), &self.columns)
    }

    /// Gives each column what the distinct one got.
    fn share(
        &self,
        order: &[Elimination],
        block_length: Option<usize>,
        n_resamples: usize,
    ) -> ModelConfidenceSet {
        let mut p_values = vec![1.0; self.member.len()];
        let mut elimination = Vec::with_capacity(self.member.len());
        for step in order {
            for (model, place) in p_values.iter_mut().enumerate() {
                if self.member.get(model) == Some(&step.model) {
                    *place = step.p_value;
                    elimination.push(model);
                }
            }
        }
        ModelConfidenceSet { p_values, elimination, block_length, n_resamples }
    }
}
