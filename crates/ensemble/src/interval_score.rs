use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Judges prediction intervals by coverage, width and one score that weighs both.
///
/// The interval score (Winkler's) of a label `y` is the width of its interval plus `2/α` times the
/// distance by which `y` lies outside, `α = 1 − coverage`. It is proper: the quantiles `α/2` and
/// `1 − α/2` of the truth have the smallest mean, so that neither wide nor narrow intervals can
/// pretend. Compare methods by [`mean_score`](Self::mean_score) once their coverage is near the
/// wanted one.
///
/// # Examples
/// ```
/// use forecastle_ensemble::IntervalScore;
///
/// let score = IntervalScore::of(&[0.5, 1.2], &[(0.0, 1.0), (0.0, 1.0)], 0.9)?;
/// assert_eq!((score.n, score.coverage, score.mean_width), (2, 0.5, 1.0));
/// // (1 + (1 + 0.2 · 2 / 0.1)) / 2
/// assert!((score.mean_score - 3.0).abs() < 1e-12);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// - R. L. Winkler, *A Decision-Theoretic Approach to Interval Estimation*, JASA 67, 1972,
///   doi:10.1080/01621459.1972.10481224.
/// - T. Gneiting, A. E. Raftery, *Strictly Proper Scoring Rules, Prediction, and Estimation*, JASA
///   102, 2007, doi:10.1198/016214506000001437.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IntervalScore {
    /// Rows judged.
    pub n: usize,
    /// Share of labels inside, bounds included.
    pub coverage: f64,
    /// Mean of upper minus lower.
    pub mean_width: f64,
    /// Mean interval score; smaller is better.
    pub mean_score: f64,
}

impl IntervalScore {
    /// Judges intervals that were meant to hold a share `coverage` of the labels; rows with a NaN
    /// anywhere are left out.
    ///
    /// - `targets`: `(n_rows,)`
    /// - `intervals`: `(lower, upper)` a row
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `coverage` is not between 0 and 1.
    /// - [`Error::Shape`] when the lengths differ.
    /// - [`Error::NotEnoughData`] when no row is left.
    pub fn of(targets: &[f64], intervals: &[(f64, f64)], coverage: f64) -> Result<Self> {
        if !(coverage > 0.0 && coverage < 1.0) {
            return Err(Error::invalid_parameter("coverage", "between 0 and 1", coverage));
        }
        if intervals.len() != targets.len() {
            let expected = format!("{} rows", targets.len());
            return Err(Error::shape("intervals", expected, intervals.len().to_string()));
        }
        let (mut n, mut inside, mut width, mut score) = (0_usize, 0_usize, 0.0, 0.0);
        for (y, (lower, upper)) in targets.iter().zip(intervals) {
            if y.is_nan() || lower.is_nan() || upper.is_nan() {
                continue;
            }
            let outside = (lower - y).max(y - upper).max(0.0);
            n += 1;
            inside += usize::from(lower <= y && y <= upper);
            width += upper - lower;
            score += upper - lower + 2.0 / (1.0 - coverage) * outside;
        }
        if n == 0 {
            return Err(Error::not_enough_data("interval score", 1, 0));
        }
        let rows = n as f64;
        Ok(Self {
            n,
            coverage: inside as f64 / rows,
            mean_width: width / rows,
            mean_score: score / rows,
        })
    }
}
