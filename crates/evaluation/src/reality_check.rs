use forecastle_core::Result;
use ndarray::{Array2, ArrayRef1, ArrayRef2};
use serde::{Deserialize, Serialize};

use crate::BootstrapParams;
use crate::checks::{finite_vector, same_length};
use crate::resampled_means::{Centred, ROUNDING, Resampling, check_losses, resampled_means};

/// Parametrises [`reality_check`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `horizon` | 1 | bars ahead of the forecasts: an automatic block is no shorter | ≥ 1 |
/// | `studentize` | true | whether Hansen's test divides each advantage by its standard error | |
/// | `bootstrap` | 1000 stationary, automatic length | how the losses are resampled | see [`BootstrapParams`] |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RealityCheckParams {
    /// Bars ahead of the forecasts.
    pub horizon: usize,
    /// Whether Hansen's test divides each advantage by its standard error.
    pub studentize: bool,
    /// How the losses are resampled.
    pub bootstrap: BootstrapParams,
}

impl Default for RealityCheckParams {
    fn default() -> Self {
        Self { horizon: 1, studentize: true, bootstrap: BootstrapParams::default() }
    }
}

/// Holds the p-values of Hansen's test of superior predictive ability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SuperiorAbility {
    /// Whether advantages were divided by their standard errors.
    pub studentized: bool,
    /// The largest advantage, times sqrt(n), over its standard error if studentized; infinite when an
    /// advantage is the same in every row.
    pub statistic: f64,
    /// A lower bound: a model worse than the benchmark counts as if it were worse in truth by as much.
    pub lower: f64,
    /// Hansen's: a model that is far worse than the benchmark is left aside.
    pub consistent: f64,
    /// An upper bound: every model counts as good as the benchmark, however bad. Without studentizing
    /// this is White's p-value.
    pub upper: f64,
}

/// Tells whether the best of many models beats a benchmark beyond the luck of having many.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RealityCheck {
    /// The model with the least mean loss, as a column.
    pub best: usize,
    /// Mean loss of the benchmark minus the best model's.
    pub advantage: f64,
    /// White's p-value: the probability of so large a best advantage were all models as good as the
    /// benchmark.
    pub p_value: f64,
    /// Hansen's p-values, which bad models and noisy ones cannot spoil.
    pub superior_ability: SuperiorAbility,
    /// Mean block length of the bootstrap; `None` when the rows were given.
    pub block_length: Option<usize>,
    /// Replications.
    pub n_resamples: usize,
}

/// Tests whether any of many models is better than a benchmark: White's reality check and Hansen's
/// test of superior predictive ability.
///
/// The best of many models looks good by luck alone. White's test asks how good the best of so many
/// looks in resampled rows, where each model's advantage over the benchmark is centred at 0. Adding bad
/// models makes it lose power; Hansen's divides each advantage by its standard error, and leaves those
/// uncentred that lie below −sqrt(2 log log n) standard errors. His `consistent` p-value is the one to
/// read, between two bounds.
///
/// Standard errors come from the same bootstrap. Where no model is better than the benchmark there is
/// nothing to test: Hansen's p-values are 1 if studentized (his statistic is then 0; without, the
/// negative statistic is compared as it is). A model with the benchmark's loss in every row never
/// counts as better. An advantage that is the same in every row (up to rounding, 1e-14 of the losses)
/// has no variance and is decisive. The same seed gives the same bits on any number of threads.
///
/// - `benchmark`: `(n,)` losses of the benchmark in consecutive rows
/// - `losses`: `(n, n_models)` losses of the models
///
/// # Errors
/// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when `horizon`
///   or `block_length` is 0, or `n_resamples` not 1 to 1 000 000.
/// - [`Error::Shape`](forecastle_core::Error::Shape) when the lengths differ or there is no model.
/// - [`Error::NotEnoughData`](forecastle_core::Error::NotEnoughData) when there are fewer than 2 rows,
///   or fewer than two blocks.
/// - [`Error::NonFinite`](forecastle_core::Error::NonFinite) when a loss or a difference is not finite.
///
/// # References
/// - H. White, "A reality check for data snooping", *Econometrica* 68 (2000), 1097–1126,
///   doi:10.1111/1468-0262.00152.
/// - P. R. Hansen, "A test for superior predictive ability", *Journal of Business & Economic
///   Statistics* 23 (2005), 365–380, doi:10.1198/073500105000000063.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{RealityCheckParams, reality_check};
/// use ndarray::{Array1, Array2};
///
/// let naive: Array1<f64> = (0..200).map(|t| 1.0 + 0.5 * (t as f64 * 0.9).sin()).collect();
/// let losses = Array2::from_shape_fn((200, 2), |(t, j)| {
///     1.2 - 0.5 * j as f64 + 0.5 * (t as f64 * 0.7).sin()
/// });
/// let check = reality_check(&naive, &losses, &RealityCheckParams::default())?;
/// assert_eq!(check.best, 1);
/// assert!(check.p_value < 0.01 && check.superior_ability.consistent < 0.01);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "spa")]
#[doc(alias = "superior_predictive_ability")]
pub fn reality_check(
    benchmark: &ArrayRef1<f64>,
    losses: &ArrayRef2<f64>,
    params: &RealityCheckParams,
) -> Result<RealityCheck> {
    params.bootstrap.check(params.horizon)?;
    let advantages = Advantages::new(benchmark, losses)?;
    let columns = &advantages.columns.values;
    let bootstrap = params.bootstrap.bootstrap(columns, params.horizon)?;
    let resampling = Resampling::Drawn(bootstrap, params.bootstrap.n_resamples);
    let drawn = resampled_means(columns, resampling)?;
    Ok(advantages.check(&drawn, params.studentize, Some(bootstrap.block_length)))
}

/// Runs [`reality_check`] on given resampled rows, of another bootstrap or another program's.
///
/// - `benchmark`: `(n,)`
/// - `losses`: `(n, n_models)`
/// - `indices`: `(n_resamples, n)`, the rows of each replication
///
/// # Errors
/// As [`reality_check`], and:
/// - [`Error::Shape`](forecastle_core::Error::Shape) when a replication does not have n rows.
/// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when a row does not exist.
/// - [`Error::NotEnoughData`](forecastle_core::Error::NotEnoughData) when there is no replication.
pub fn reality_check_from(
    benchmark: &ArrayRef1<f64>,
    losses: &ArrayRef2<f64>,
    studentize: bool,
    indices: &ArrayRef2<usize>,
) -> Result<RealityCheck> {
    let advantages = Advantages::new(benchmark, losses)?;
    let drawn = resampled_means(&advantages.columns.values, Resampling::Given(indices))?;
    Ok(advantages.check(&drawn, studentize, None))
}

/// The benchmark's loss minus each model's.
struct Advantages {
    columns: Centred,
    /// The largest loss behind each column, in its unit: what its rounding is measured by.
    magnitudes: Vec<f64>,
}

/// One model in Hansen's test.
struct Rival {
    column: usize,
    /// What its mean is multiplied by: 1 over the standard error, or 1; 0 without variance.
    scale: f64,
    /// What its resampled means are moved by, before they are scaled: lower, consistent, upper.
    shifts: [f64; 3],
}

impl Advantages {
    fn new(benchmark: &ArrayRef1<f64>, losses: &ArrayRef2<f64>) -> Result<Self> {
        same_length("benchmark", benchmark, losses.nrows())?;
        finite_vector("benchmark", benchmark)?;
        check_losses(losses)?;
        let differences = Array2::from_shape_fn(losses.dim(), |(t, j)| {
            let at = |value: Option<&f64>| value.copied().unwrap_or(f64::NAN);
            at(benchmark.get(t)) - at(losses.get((t, j)))
        });
        check_losses(&differences)?;
        let columns = Centred::new(differences);
        let largest = |m: f64, v: &f64| m.max(v.abs());
        let own = benchmark.iter().fold(0.0, largest);
        let magnitudes =
            losses.columns().into_iter().map(|c| c.iter().fold(own, largest) / columns.unit);
        let magnitudes = magnitudes.collect();
        Ok(Self { columns, magnitudes })
    }

    fn check(&self, drawn: &[f64], studentize: bool, block_length: Option<usize>) -> RealityCheck {
        let means = &self.columns.means;
        let k = means.len();
        let (mut best, mut advantage) = (0, f64::NEG_INFINITY);
        for (j, &mean) in means.iter().enumerate() {
            if mean > advantage {
                (best, advantage) = (j, mean);
            }
        }
        let maximum = |row: &[f64]| row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let simulated: Vec<f64> = drawn.chunks(k).map(maximum).collect();
        RealityCheck {
            best,
            advantage: advantage * self.columns.unit,
            p_value: share_at_least(&simulated, advantage),
            superior_ability: self.superior_ability(drawn, studentize),
            block_length,
            n_resamples: drawn.len() / k,
        }
    }

    fn superior_ability(&self, drawn: &[f64], studentize: bool) -> SuperiorAbility {
        let k = self.columns.means.len();
        let n = self.columns.values.nrows() as f64;
        let n_resamples = drawn.len() as f64 / k as f64;
        // What lies further below 0 than this many standard errors is left uncentred.
        let threshold = -(2.0 * n.ln().ln().max(0.0)).sqrt();
        let mut largest = f64::NEG_INFINITY;
        let mut rivals = Vec::with_capacity(k);
        for (column, (&mean, magnitude)) in
            self.columns.means.iter().zip(&self.magnitudes).enumerate()
        {
            let terms = drawn.iter().skip(column).step_by(k);
            let error = (terms.map(|d| d * d).sum::<f64>() / n_resamples).sqrt();
            let certain = error <= ROUNDING * magnitude;
            let scale = match (certain, studentize) {
                (true, _) => 0.0,
                (false, true) => 1.0 / error,
                (false, false) => 1.0,
            };
            let statistic = match (certain, studentize) {
                (true, true) if mean.abs() <= ROUNDING * magnitude => 0.0,
                (true, true) => f64::INFINITY.copysign(mean),
                (true, false) => mean,
                (false, _) => mean * scale,
            };
            largest = largest.max(statistic);
            let far_below = mean < threshold * error;
            let shifts = [mean.min(0.0), if far_below { mean } else { 0.0 }, 0.0];
            rivals.push(Rival { column, scale, shifts });
        }
        // Without standard errors the unit of the losses stays in.
        let unit = if studentize { 1.0 } else { self.columns.unit * n.sqrt() };
        if studentize && largest <= 0.0 {
            let (statistic, lower, consistent, upper) = (0.0, 1.0, 1.0, 1.0);
            return SuperiorAbility { studentized: true, statistic, lower, consistent, upper };
        }
        let p_value = |which: usize| {
            let maximum = |row: &[f64]| {
                let terms = rivals.iter().map(|rival| {
                    let shift = rival.shifts.get(which).copied().unwrap_or_default();
                    let value = row.get(rival.column).copied().unwrap_or_default();
                    // Without variance a column resamples to its shift.
                    if rival.scale > 0.0 { (value + shift) * rival.scale } else { shift.min(0.0) }
                });
                terms.fold(f64::NEG_INFINITY, f64::max)
            };
            let simulated: Vec<f64> = drawn.chunks(k).map(maximum).collect();
            share_at_least(&simulated, largest)
        };
        SuperiorAbility {
            studentized: studentize,
            statistic: largest * unit,
            lower: p_value(0),
            consistent: p_value(1),
            upper: p_value(2),
        }
    }
}

/// The share of numbers that reach a limit: ties with the benchmark are no evidence against it.
fn share_at_least(values: &[f64], limit: f64) -> f64 {
    values.iter().filter(|v| **v >= limit).count() as f64 / values.len() as f64
}
