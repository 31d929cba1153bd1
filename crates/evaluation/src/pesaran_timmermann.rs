use forecastle_core::Result;
use ndarray::ArrayRef1;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::subsamples::{Directions, directions};

/// Parametrises [`pesaran_timmermann`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `horizon` | 1 | bars ahead of the forecasts: every h-th row is taken, so that no two share a bar | ≥ 1 |
/// | `offset` | none | the first row to take; `None` averages over all h of them | < `horizon` |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PesaranTimmermannParams {
    /// Bars ahead of the forecasts.
    pub horizon: usize,
    /// The first row to take.
    pub offset: Option<usize>,
}

impl Default for PesaranTimmermannParams {
    fn default() -> Self {
        Self { horizon: 1, offset: None }
    }
}

/// Holds the outcome of a Pesaran-Timmermann test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PesaranTimmermann {
    /// The statistic; positive when directions were forecast better than their frequencies allow by
    /// chance.
    pub statistic: f64,
    /// Probability of a statistic at least as large if forecasts and moves were independent.
    pub p_value: f64,
    /// Share of right directions.
    pub accuracy: f64,
    /// The share that independence would give.
    pub expected_accuracy: f64,
    /// Mean number of rows with a direction in a subsample.
    pub n: f64,
    /// Subsamples that the figures are means of.
    pub n_subsamples: usize,
}

/// Tests whether the directions of moves were forecast better than by chance, whatever the
/// frequencies of up and down among moves and forecasts.
///
/// A forecast that always says up in a rising market is right most of the time and knows nothing.
/// With the share of right directions P̂, and P* = pq + (1 − p)(1 − q) that independence gives for
/// shares p and q of upward moves and forecasts, the statistic is
///
/// ```text
/// (P̂ − P*) / sqrt(V(P̂) − V(P*)),    V(P̂) − V(P*) = 4 p (1 − p) q (1 − q) (n − 1) / n²
/// ```
///
/// which is n / sqrt(n − 1) times the correlation of the directions, and compared with the standard
/// normal distribution. The right side is the authors' variance, multiplied out.
///
/// Moves over h bars overlap, and their directions with them, so the test would take every row for
/// news where only every h-th is. Here it is run on every h-th row, from each of the h offsets, and the
/// statistic is the mean of the h. Each is standard normal if there is no skill, and a mean of such is
/// no wider whatever their correlation: the p-value is an upper bound (below ½). Neither the luck of
/// one offset nor the choice of it decides. A row in which the move or the forecast is exactly 0 has no
/// direction and is left out; so is a subsample in which moves or forecasts all go one way. `None`
/// when none is left.
///
/// - `actual`, `predicted`: `(n,)`, moves in consecutive rows
///
/// # Errors
/// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when `horizon` is 0 or
///   `offset` is not below it.
/// - [`Error::Shape`](forecastle_core::Error::Shape) when the lengths differ.
/// - [`Error::NotEnoughData`](forecastle_core::Error::NotEnoughData) when there is no row.
/// - [`Error::NonFinite`](forecastle_core::Error::NonFinite) when a number is NaN or infinite.
///
/// # References
/// M. H. Pesaran, A. Timmermann, "A simple nonparametric test of predictive performance", *Journal of
/// Business & Economic Statistics* 10 (1992), 461–465, doi:10.1080/07350015.1992.10509922.
///
/// Their test of 2009 for serially correlated directions (*Journal of the American Statistical
/// Association* 104, 325–337, doi:10.1198/jasa.2009.0113) fits a regression for the dependence instead;
/// rows that share no bar need no such model.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{PesaranTimmermannParams, pesaran_timmermann};
/// use ndarray::array;
///
/// let actual = array![0.1, -0.2, 0.3, -0.1, 0.2, 0.1, -0.3, -0.1];
/// let params = PesaranTimmermannParams::default();
/// let always_up = array![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
/// assert_eq!(pesaran_timmermann(&actual, &always_up, &params)?, None);
/// let test = pesaran_timmermann(&actual, &actual, &params)?;
/// assert!(test.is_some_and(|t| t.accuracy == 1.0 && t.p_value < 0.002));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn pesaran_timmermann(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
    params: &PesaranTimmermannParams,
) -> Result<Option<PesaranTimmermann>> {
    let subsamples = directions(actual, predicted, params.horizon, params.offset)?;
    let readings: Vec<Reading> = subsamples.iter().filter_map(reading).collect();
    if readings.is_empty() {
        return Ok(None);
    }
    let count = readings.len() as f64;
    let mean = |of: fn(&Reading) -> f64| readings.iter().map(of).sum::<f64>() / count;
    let statistic = mean(|r| r.statistic);
    Ok(Some(PesaranTimmermann {
        statistic,
        p_value: Normal::standard().sf(statistic),
        accuracy: mean(|r| r.accuracy),
        expected_accuracy: mean(|r| r.expected),
        n: mean(|r| r.n),
        n_subsamples: readings.len(),
    }))
}

struct Reading {
    statistic: f64,
    accuracy: f64,
    expected: f64,
    n: f64,
}

/// The test on one subsample; `None` when moves or forecasts go one way only.
fn reading(counts: &Directions) -> Option<Reading> {
    let varies = |up: usize| up > 0 && up < counts.n;
    if !varies(counts.up) || !varies(counts.said_up) {
        return None;
    }
    let n = counts.n as f64;
    let (p, q, accuracy) =
        (counts.up as f64 / n, counts.said_up as f64 / n, counts.hits as f64 / n);
    let expected = p * q + (1.0 - p) * (1.0 - q);
    let variance = 4.0 * p * (1.0 - p) * q * (1.0 - q) * (n - 1.0) / (n * n);
    Some(Reading { statistic: (accuracy - expected) / variance.sqrt(), accuracy, expected, n })
}
