use forecastle_core::{Error, Result};
use ndarray::ArrayRef1;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use crate::subsamples::{Directions, directions};

/// Names the share of right directions that chance is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DirectionChance {
    /// ½: a coin.
    #[default]
    Half,
    /// The share of the direction that most moves took: always saying the same, with hindsight which.
    MajorityClass,
}

/// Parametrises [`binomial_direction_test`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `horizon` | 1 | bars ahead of the forecasts: every h-th row is taken, so that no two share a bar | ≥ 1 |
/// | `offset` | none | the first row to take; `None` combines all h of them | < `horizon` |
/// | `chance` | half | the share of right directions under the null hypothesis | |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BinomialDirectionParams {
    /// Bars ahead of the forecasts.
    pub horizon: usize,
    /// The first row to take.
    pub offset: Option<usize>,
    /// The share of right directions under the null hypothesis.
    pub chance: DirectionChance,
}

impl Default for BinomialDirectionParams {
    fn default() -> Self {
        Self { horizon: 1, offset: None, chance: DirectionChance::Half }
    }
}

/// Holds the outcome of a binomial test of directions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BinomialDirection {
    /// Probability of so many right directions or more by chance.
    pub p_value: f64,
    /// Share of right directions.
    pub accuracy: f64,
    /// The share that chance is granted.
    pub chance: f64,
    /// Mean number of rows with a direction in a subsample.
    pub n: f64,
    /// Subsamples that the figures are means of.
    pub n_subsamples: usize,
}

/// Tests exactly whether more directions were right than a coin, or the more frequent direction,
/// would have been.
///
/// With n rows that share no bar, of which k were forecast rightly, the p-value is the probability of k
/// or more successes among n of the binomial distribution.
///
/// From a given offset (and for horizon 1) that is all. Otherwise the p-values from the h offsets,
/// which depend on each other in unknown ways, are combined into twice their mean, which is a valid
/// p-value whatever the dependence: exact tests stay exact, at the price of power. The other figures
/// are plain means. A row in which the move or the forecast is exactly 0 has no direction and is left
/// out. `None` when no row is left, as for the naive forecast.
///
/// Against [`DirectionChance::MajorityClass`] the rate is taken from the same moves and then as known.
/// A coin is the wrong yardstick in a trending market, where
/// [`pesaran_timmermann`](crate::pesaran_timmermann) asks the better question.
///
/// - `actual`, `predicted`: `(n,)`, moves in consecutive rows
///
/// # Errors
/// - [`Error::InvalidParameter`] when `horizon` is 0 or `offset` is not below it.
/// - [`Error::Shape`] when the lengths differ.
/// - [`Error::NotEnoughData`] when there is no row.
/// - [`Error::NonFinite`] when a number is NaN or infinite.
///
/// # References
/// - C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of
///   the binomial", *Biometrika* 26 (1934), 404–413, doi:10.1093/biomet/26.4.404.
/// - V. Vovk, R. Wang, "Combining p-values via averaging", *Biometrika* 107 (2020), 791–808,
///   doi:10.1093/biomet/asaa027.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{BinomialDirectionParams, binomial_direction_test};
/// use ndarray::array;
///
/// let (actual, predicted) = (array![0.1, -0.2, 0.3, -0.1], array![1.0, -1.0, 1.0, 1.0]);
/// let test = binomial_direction_test(&actual, &predicted, &BinomialDirectionParams::default())?;
/// // Three or four heads of four coins: (4 + 1) / 16.
/// assert!(test.is_some_and(|t| (t.p_value - 0.3125).abs() < 1e-15 && t.accuracy == 0.75));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn binomial_direction_test(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
    params: &BinomialDirectionParams,
) -> Result<Option<BinomialDirection>> {
    let mut subsamples = directions(actual, predicted, params.horizon, params.offset)?;
    subsamples.retain(|counts| counts.n > 0);
    if subsamples.is_empty() {
        return Ok(None);
    }
    let count = subsamples.len() as f64;
    let (mut p_value, mut accuracy, mut chance, mut rows) = (0.0, 0.0, 0.0, 0.0);
    for counts in &subsamples {
        let n = counts.n as f64;
        let rate = match params.chance {
            DirectionChance::Half => 0.5,
            DirectionChance::MajorityClass => counts.up.max(counts.n - counts.up) as f64 / n,
        };
        p_value += tail(counts, rate)?;
        accuracy += counts.hits as f64 / n;
        chance += rate;
        rows += n;
    }
    let factor = if subsamples.len() > 1 { 2.0 } else { 1.0 };
    Ok(Some(BinomialDirection {
        p_value: (factor * p_value / count).min(1.0),
        accuracy: accuracy / count,
        chance: chance / count,
        n: rows / count,
        n_subsamples: subsamples.len(),
    }))
}

/// The probability of at least so many hits.
fn tail(counts: &Directions, rate: f64) -> Result<f64> {
    let Some(fewer) = counts.hits.checked_sub(1) else {
        return Ok(1.0);
    };
    let binomial = Binomial::new(rate, counts.n as u64)
        .map_err(|e| Error::component("binomial distribution", e))?;
    Ok(binomial.sf(fewer as u64))
}
