use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::conformal::{ConformalParams, Sides};

/// Makes a band of quantile forecasts cover what it promises: conformalised quantile regression.
///
/// Quantile forecasts know when the market is wild, but not how far they are off. The score of a row
/// that was not learnt from is how far its label lies outside its band, negative inside:
/// `max(lower − y, y − upper)`. The band is widened, or narrowed, by the `⌈(n + 1)(1 − α)⌉`-th
/// smallest score, so that exchangeable rows fall inside with a probability of at least `coverage`,
/// however bad the quantile forecasts are; on two sides, each bound has its own scores and half of
/// the misses (a band so wide that it shrinks to a point then covers more than it promises). For rows that are not exchangeable,
/// [`AdaptiveConformal::issue_band`](crate::AdaptiveConformal::issue_band) does the same with a
/// level that adapts.
///
/// Bounds that cross are put in order first; a band that shrinks past itself becomes the point at
/// which its bounds met.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `coverage` | 0.9 | wanted share of labels inside | (0, 1) |
/// | `sides` | symmetric | one correction or two; two need twice the rows | |
///
/// # Examples
/// ```
/// use forecastle_ensemble::ConformalQuantilesParams;
///
/// // Nine labels, each further above the band [0, 1] than the one before.
/// let targets: Vec<f64> = (1..=9).map(|i| 1.0 + f64::from(i) / 8.0).collect();
/// let fitted = ConformalQuantilesParams::default().fit(&[0.0; 9], &[1.0; 9], &targets)?;
/// assert_eq!(fitted.interval(10.0, 12.0), (10.0 - 1.125, 12.0 + 1.125));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// - Y. Romano, E. Patterson, E. Candès, *Conformalized Quantile Regression*, Advances in Neural
///   Information Processing Systems 32, 2019, doi:10.48550/arXiv.1905.03222.
/// - V. Chernozhukov, I. Fernández-Val, A. Galichon, *Quantile and Probability Curves Without
///   Crossing*, Econometrica 78, 2010, doi:10.3982/ECTA7880.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConformalQuantilesParams {
    /// Wanted share of labels inside.
    pub coverage: f64,
    /// One correction or two.
    pub sides: Sides,
}

impl Default for ConformalQuantilesParams {
    fn default() -> Self {
        Self { coverage: 0.9, sides: Sides::Symmetric }
    }
}

impl ConformalQuantilesParams {
    /// Fits on quantile forecasts of rows that were not learnt from, and their labels.
    ///
    /// - `lower`, `upper`: `(n_rows,)`, commonly the quantiles `α/2` and `1 − α/2`
    /// - `targets`: `(n_rows,)`
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `coverage` is outside its range.
    /// - [`Error::Shape`] when the lengths differ.
    /// - [`Error::NotEnoughData`] when there are too few rows for the coverage, with the number
    ///   needed.
    /// - [`Error::NonFinite`] when a number is not finite.
    pub fn fit(&self, lower: &[f64], upper: &[f64], targets: &[f64]) -> Result<ConformalQuantiles> {
        let n = targets.len();
        for (what, actual) in [("lower", lower.len()), ("upper", upper.len())] {
            if actual != n {
                return Err(Error::shape(what, format!("{n} rows"), actual.to_string()));
            }
        }
        let [_, rank] = ConformalParams { coverage: self.coverage, sides: self.sides }.ranks(n)?;
        for (what, values) in [("lower", lower), ("upper", upper), ("targets", targets)] {
            if let Some(row) = values.iter().position(|v| !v.is_finite()) {
                return Err(Error::NonFinite { what, row, column: String::new() });
            }
        }
        let rows = lower.iter().zip(upper).zip(targets);
        let (mut below, mut above): (Vec<f64>, Vec<f64>) =
            rows.map(|((l, u), y)| (l.min(*u) - y, y - l.max(*u))).unzip();
        if self.sides == Sides::Symmetric {
            for (b, a) in below.iter_mut().zip(&above) {
                *b = b.max(*a);
            }
            above.clone_from(&below);
        }
        let at = |scores: &mut Vec<f64>| {
            scores.sort_unstable_by(f64::total_cmp);
            scores.get(rank - 1).copied().filter(|s| s.is_finite()).ok_or_else(|| {
                Error::numerical("conformal quantiles", "a label is too far from its band")
            })
        };
        let (below, above) = (at(&mut below)?, at(&mut above)?);
        Ok(ConformalQuantiles { params: *self, n_scores: n, below, above })
    }
}

/// Corrects bands of quantile forecasts; made by [`ConformalQuantilesParams`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct ConformalQuantiles {
    params: ConformalQuantilesParams,
    n_scores: usize,
    below: f64,
    above: f64,
}

impl ConformalQuantiles {
    /// The interval of a row whose quantiles are forecast as `lower` and `upper`; NaN for NaN.
    pub fn interval(&self, lower: f64, upper: f64) -> (f64, f64) {
        if lower.is_nan() || upper.is_nan() {
            return (f64::NAN, f64::NAN);
        }
        let (low, high) = (lower.min(upper) - self.below, lower.max(upper) + self.above);
        if low <= high {
            return (low, high);
        }
        let point = low + 0.5 * (high - low);
        (point, point)
    }

    /// What is taken off the lower bound and added to the upper one; negative where the band was
    /// too wide.
    pub fn corrections(&self) -> [f64; 2] {
        [self.below, self.above]
    }

    /// Number of rows behind the corrections.
    pub fn n_scores(&self) -> usize {
        self.n_scores
    }

    /// What was asked for.
    pub fn params(&self) -> &ConformalQuantilesParams {
        &self.params
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    params: ConformalQuantilesParams,
    n_scores: usize,
    below: f64,
    above: f64,
}

impl From<ConformalQuantiles> for Saved {
    fn from(fitted: ConformalQuantiles) -> Self {
        let ConformalQuantiles { params, n_scores, below, above } = fitted;
        Self { params, n_scores, below, above }
    }
}

impl TryFrom<Saved> for ConformalQuantiles {
    type Error = Error;

    fn try_from(Saved { params, n_scores, below, above }: Saved) -> Result<Self> {
        let ConformalQuantilesParams { coverage, sides } = params;
        ConformalParams { coverage, sides }.ranks(n_scores)?;
        if !(below.is_finite() && above.is_finite()) {
            return Err(Error::artifact("corrections of conformal quantiles are not finite"));
        }
        Ok(Self { params, n_scores, below, above })
    }
}
