use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Says whether both ends of an interval keep the same distance from the forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sides {
    /// One quantile of the absolute errors.
    #[default]
    Symmetric,
    /// A quantile of the errors on either side, each for half of the misses; needs twice the rows.
    Asymmetric,
}

/// Makes prediction intervals from errors on rows that were not learnt from.
///
/// With `n` errors and miss rate `α = 1 − coverage` the interval reaches to the
/// `⌈(n + 1)(1 − α)⌉`-th smallest: exchangeable errors fall inside with a probability of at least
/// `coverage`, at any `n` and for any distribution. Market errors are not exchangeable (their size
/// moves in clusters), so print the [`realised_coverage`], and use the scaled variant: errors over a
/// scale known at the time of the forecast, such as ATR over close.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `coverage` | 0.9 | wanted share of labels inside | (0, 1) |
/// | `sides` | symmetric | one distance or two | |
///
/// # Examples
/// ```
/// use forecastle_ensemble::ConformalParams;
///
/// let errors: Vec<f64> = (1..=9).map(|e| f64::from(e) / 100.0).collect();
/// let conformal = ConformalParams::default().fit(&errors)?;
/// assert_eq!(conformal.interval(1.0), (1.0 - 0.09, 1.0 + 0.09));
/// // Eight errors can not promise 90 %.
/// assert!(ConformalParams::default().fit(&errors[..8]).unwrap_err().is_not_enough_data());
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// - V. Vovk, A. Gammerman, G. Shafer, *Algorithmic Learning in a Random World*, 2005,
///   doi:10.1007/b106715.
/// - J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani, L. Wasserman, *Distribution-Free Predictive
///   Inference for Regression*, JASA 113, 2018, doi:10.1080/01621459.2017.1307116.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConformalParams {
    /// Wanted share of labels inside.
    pub coverage: f64,
    /// One distance or two.
    pub sides: Sides,
}

impl Default for ConformalParams {
    fn default() -> Self {
        Self { coverage: 0.9, sides: Sides::Symmetric }
    }
}

impl ConformalParams {
    /// Fits on residuals, label minus forecast.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `coverage` is outside its range.
    /// - [`Error::NotEnoughData`] when there are too few for the coverage, with the number needed.
    /// - [`Error::NonFinite`] when a residual is not finite.
    pub fn fit(&self, residuals: &[f64]) -> Result<SplitConformal> {
        let [_, _] = self.ranks(residuals.len())?;
        if let Some(row) = residuals.iter().position(|e| !e.is_finite()) {
            return Err(Error::NonFinite { what: "residuals", row, column: String::new() });
        }
        let mut errors = residuals.to_vec();
        errors.sort_unstable_by(f64::total_cmp);
        SplitConformal::try_from(Saved { params: *self, errors })
    }

    /// Fits on residuals over their scales; intervals are then asked for with a scale.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the lengths differ.
    /// - [`Error::InvalidParameter`] when a scale is not positive and finite.
    /// - As [`fit`](Self::fit).
    pub fn fit_scaled(&self, residuals: &[f64], scales: &[f64]) -> Result<SplitConformal> {
        if residuals.len() != scales.len() {
            let expected = format!("{} rows", residuals.len());
            return Err(Error::shape("scales", expected, scales.len().to_string()));
        }
        if let Some(scale) = scales.iter().find(|s| !(**s > 0.0 && s.is_finite())) {
            return Err(Error::invalid_parameter("scales", "> 0", scale));
        }
        let scaled: Vec<f64> = residuals.iter().zip(scales).map(|(e, s)| e / s).collect();
        self.fit(&scaled)
    }

    /// The ranks, from 1, of the order statistics that bound an interval.
    pub(crate) fn ranks(&self, n: usize) -> Result<[usize; 2]> {
        let miss = self.miss()?;
        let outside = left_outside(n, miss);
        if outside < 1.0 {
            return Err(Error::not_enough_data("conformal interval", fewest(miss), n));
        }
        // ⌈(n + 1)(1 − α)⌉ = n + 1 − ⌊(n + 1)α⌋
        let outside = outside as usize;
        Ok([outside, n + 1 - outside])
    }

    /// The share of misses that one bound of the scores answers for.
    pub(crate) fn miss(&self) -> Result<f64> {
        if !(self.coverage > 0.0 && self.coverage < 1.0) {
            return Err(Error::invalid_parameter("coverage", "between 0 and 1", self.coverage));
        }
        Ok(match self.sides {
            Sides::Symmetric => 1.0 - self.coverage,
            Sides::Asymmetric => (1.0 - self.coverage) / 2.0,
        })
    }
}

/// How many of `n` sorted scores a miss rate leaves at or beyond the bound, `⌊(n + 1)α⌋`.
pub(crate) fn left_outside(n: usize, miss: f64) -> f64 {
    exact((n as f64 + 1.0) * miss).floor()
}

/// The fewest scores that can promise a miss rate.
pub(crate) fn fewest(miss: f64) -> usize {
    exact(1.0 / miss).ceil() as usize - 1
}

/// Ranks are whole numbers up to rounding: (9 + 1) · 0.9 is 9, not a little more.
fn exact(x: f64) -> f64 {
    if (x - x.round()).abs() < 1e-9 * x.abs().max(1.0) { x.round() } else { x }
}

/// Gives prediction intervals and the probability of a forecast's sign; made by
/// [`ConformalParams`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct SplitConformal {
    params: ConformalParams,
    /// Increasing.
    errors: Vec<f64>,
    below: f64,
    above: f64,
}

impl SplitConformal {
    /// The interval around a forecast, `(lower, upper)`.
    pub fn interval(&self, prediction: f64) -> (f64, f64) {
        self.interval_scaled(prediction, 1.0)
    }

    /// The interval of a row whose scale is known, for [`ConformalParams::fit_scaled`]; NaN for a
    /// scale that is negative or not finite.
    pub fn interval_scaled(&self, prediction: f64, scale: f64) -> (f64, f64) {
        if !(scale >= 0.0 && scale.is_finite()) {
            return (f64::NAN, f64::NAN);
        }
        (prediction + scale * self.below, prediction + scale * self.above)
    }

    /// The share of errors under which the label has the forecast's sign, a label of exactly 0
    /// counted half: from 0 to 1, 0.5 for a forecast of 0, NaN for NaN.
    pub fn sign_probability(&self, prediction: f64) -> f64 {
        self.sign_probability_scaled(prediction, 1.0)
    }

    /// The same for a row whose scale is known.
    pub fn sign_probability_scaled(&self, prediction: f64, scale: f64) -> f64 {
        if prediction.is_nan() || !(scale > 0.0 && scale.is_finite()) {
            return f64::NAN;
        }
        if prediction == 0.0 {
            return 0.5;
        }
        let turn = -prediction / scale;
        let n = self.errors.len() as f64;
        let below = self.errors.partition_point(|&e| e < turn) as f64;
        let up_to = self.errors.partition_point(|&e| e <= turn) as f64;
        let negative = (below + 0.5 * (up_to - below)) / n;
        if prediction > 0.0 { 1.0 - negative } else { negative }
    }

    /// Number of errors behind the intervals.
    pub fn n_residuals(&self) -> usize {
        self.errors.len()
    }

    /// What was asked for.
    pub fn params(&self) -> &ConformalParams {
        &self.params
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    params: ConformalParams,
    errors: Vec<f64>,
}

impl From<SplitConformal> for Saved {
    fn from(fitted: SplitConformal) -> Self {
        Self { params: fitted.params, errors: fitted.errors }
    }
}

impl TryFrom<Saved> for SplitConformal {
    type Error = Error;

    fn try_from(Saved { params, errors }: Saved) -> Result<Self> {
        let [low, high] = params.ranks(errors.len())?;
        if !errors.is_sorted() || errors.iter().any(|e| !e.is_finite()) {
            return Err(Error::artifact("conformal errors are not finite and sorted"));
        }
        let at = |sorted: &[f64], rank: usize| sorted.get(rank - 1).copied().unwrap_or(f64::NAN);
        let (below, above) = match params.sides {
            Sides::Asymmetric => (at(&errors, low), at(&errors, high)),
            Sides::Symmetric => {
                let mut sizes: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
                sizes.sort_unstable_by(f64::total_cmp);
                let size = at(&sizes, high);
                (-size, size)
            }
        };
        Ok(Self { params, errors, below, above })
    }
}

/// The share of labels inside their intervals, bounds included; rows with a NaN anywhere are left
/// out, and `None` means that no row is left.
///
/// - `intervals`: `(lower, upper)` a row
pub fn realised_coverage(targets: &[f64], intervals: &[(f64, f64)]) -> Option<f64> {
    let rows = targets.iter().zip(intervals);
    let known = rows.filter(|(y, (l, u))| !(y.is_nan() || l.is_nan() || u.is_nan()));
    let (inside, n) = known.fold((0_usize, 0_usize), |(inside, n), (y, (lower, upper))| {
        (inside + usize::from(lower <= y && y <= upper), n + 1)
    });
    (n > 0).then(|| inside as f64 / n as f64)
}
