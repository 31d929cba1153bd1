use forecastle_core::{Error, Result};
use ndarray::{ArrayRef1, s};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::checks::pair;
use crate::{information_coefficient, rank_information_coefficient};

/// Parametrises [`ic_stability`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `block_rows` | 100 | rows a block's coefficient is computed from | ≥ 3 |
/// | `horizon` | 1 | bars ahead: h − 1 rows between blocks are left out, so that no two share a bar | ≥ 1 |
/// | `ranked` | false | rank coefficients instead of linear ones | |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IcStabilityParams {
    /// Rows in a block.
    pub block_rows: usize,
    /// Bars ahead of the forecasts.
    pub horizon: usize,
    /// Rank coefficients.
    pub ranked: bool,
}

impl Default for IcStabilityParams {
    fn default() -> Self {
        Self { block_rows: 100, horizon: 1, ranked: false }
    }
}

/// Tells how steady an information coefficient is in time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IcStability {
    /// Blocks with a coefficient.
    pub n_blocks: usize,
    /// Blocks without one, because a side was constant in them; they are left out.
    pub n_undefined: usize,
    /// Mean of the blocks' coefficients.
    pub mean: f64,
    /// Their standard deviation (ddof 1).
    pub standard_deviation: f64,
    /// The ICIR, mean over standard deviation, per block; `None` when that is 0.
    pub ratio: Option<f64>,
    /// Student's t of the mean, `ratio · sqrt(n_blocks)`.
    pub t_statistic: Option<f64>,
    /// Its two-sided p-value, with `n_blocks − 1` degrees of freedom.
    pub p_value: Option<f64>,
}

/// Computes the information ratio of the information coefficient (ICIR): its mean over its standard
/// deviation in consecutive blocks of rows that share no bar.
///
/// One coefficient over all rows can come from a single episode; this asks whether it is there most
/// of the time. The ratio grows with the square root of a block's length, so it compares between
/// models, not between block lengths; its t statistic has no such unit. Rows that are left over at the
/// end are not used.
///
/// - `actual`, `predicted`: `(n,)`, moves in consecutive rows
///
/// # Errors
/// - [`Error::InvalidParameter`] when `block_rows` is below 3 or `horizon` is 0.
/// - [`Error::Shape`] when the lengths differ.
/// - [`Error::NotEnoughData`] when there are not two blocks with a coefficient.
/// - [`Error::NonFinite`] when a number is NaN or infinite.
///
/// # References
/// R. C. Grinold, R. N. Kahn, *Active Portfolio Management*, 2nd edition, 2000, chapter 6.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{IcStabilityParams, ic_stability};
/// use ndarray::array;
///
/// let actual = array![1.0, 2.0, 3.0, 1.0, 2.0, 3.0];
/// let predicted = array![1.0, 2.0, 3.0, 2.0, 1.0, 3.0];
/// let params = IcStabilityParams { block_rows: 3, ..IcStabilityParams::default() };
/// let steady = ic_stability(&actual, &predicted, &params)?;
/// // Coefficients of 1 and ½.
/// assert!((steady.mean - 0.75).abs() < 1e-15);
/// assert!(steady.t_statistic.is_some_and(|t| (t - 3.0).abs() < 1e-13));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "icir")]
pub fn ic_stability(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
    params: &IcStabilityParams,
) -> Result<IcStability> {
    let &IcStabilityParams { block_rows, horizon, ranked } = params;
    if block_rows < 3 {
        return Err(Error::invalid_parameter("block_rows", ">= 3", block_rows));
    }
    if horizon == 0 {
        return Err(Error::invalid_parameter("horizon", ">= 1", 0));
    }
    pair(actual, predicted)?;
    let coefficient = if ranked { rank_information_coefficient } else { information_coefficient };
    let step = block_rows.saturating_add(horizon - 1);
    let (mut coefficients, mut n_undefined) = (Vec::new(), 0);
    for start in (0..actual.len()).step_by(step) {
        let end = start.saturating_add(block_rows);
        if end > actual.len() {
            break;
        }
        match coefficient(&actual.slice(s![start..end]), &predicted.slice(s![start..end]))? {
            Some(value) => coefficients.push(value),
            None => n_undefined += 1,
        }
    }
    let n_blocks = coefficients.len();
    if n_blocks < 2 {
        return Err(Error::not_enough_data("ic_stability, in blocks,", 2, n_blocks));
    }
    let n = n_blocks as f64;
    let mean = coefficients.iter().sum::<f64>() / n;
    let squares: f64 = coefficients.iter().map(|c| (c - mean) * (c - mean)).sum();
    let standard_deviation = (squares / (n - 1.0)).sqrt();
    // Up to what rounding leaves of equal coefficients.
    let ratio = (standard_deviation > 1e-14).then(|| mean / standard_deviation);
    let t_statistic = ratio.map(|ratio| ratio * n.sqrt());
    let student = StudentsT::new(0.0, 1.0, n - 1.0)
        .map_err(|e| Error::component("Student's t distribution", e))?;
    let p_value = t_statistic.map(|t| (2.0 * student.cdf(-t.abs())).min(1.0));
    Ok(IcStability { n_blocks, n_undefined, mean, standard_deviation, ratio, t_statistic, p_value })
}
