use forecastle_core::{Error, Result};
use ndarray::ArrayRef1;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::LongRunVariance;
use crate::checks::{finite_vector, in_range, same_length};

/// Names what an error of a forecast costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Loss {
    /// e².
    #[default]
    Squared,
    /// |e|.
    Absolute,
}

/// Names what the test holds against equal accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alternative {
    /// The accuracies differ.
    #[default]
    TwoSided,
    /// The first forecast costs less: it is better.
    Less,
    /// The first forecast costs more: it is worse.
    Greater,
}

/// Parametrises [`diebold_mariano`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `horizon` | 1 | bars ahead of the forecasts: their errors are correlated up to h − 1 | ≥ 1 |
/// | `loss` | squared | what an error costs | |
/// | `alternative` | two-sided | what is held against equal accuracy | |
/// | `variance` | rectangular | estimate of the long-run variance | |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DmParams {
    /// Bars ahead of the forecasts.
    pub horizon: usize,
    /// What an error costs.
    pub loss: Loss,
    /// What is held against equal accuracy.
    pub alternative: Alternative,
    /// Estimate of the long-run variance.
    pub variance: LongRunVariance,
}

impl Default for DmParams {
    fn default() -> Self {
        Self {
            horizon: 1,
            loss: Loss::Squared,
            alternative: Alternative::TwoSided,
            variance: LongRunVariance::Rectangular,
        }
    }
}

/// Holds the outcome of a Diebold-Mariano test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DieboldMariano {
    /// The corrected statistic; negative when the first forecast costs less.
    pub statistic: f64,
    /// Probability of a statistic at least as extreme if both were equally accurate.
    pub p_value: f64,
    /// Mean loss of the first forecast minus that of the second.
    pub mean_difference: f64,
    /// Number of rows.
    pub n: usize,
    /// The variance estimate that was used: Bartlett's when the rectangular one was not positive, and
    /// the number of lags where it was left to the rule.
    pub variance: LongRunVariance,
}

/// Tests whether two forecasts of the same values are equally accurate.
///
/// With the loss differential dₜ = L(aₜ) − L(bₜ), its mean d̄ over n rows, its autocovariances γₖ
/// (divided by n) and the horizon h, the statistic is
///
/// ```text
/// d̄ / sqrt((γ₀ + 2 Σ γₖ) / n) · sqrt((n + 1 − 2h + h(h − 1)/n) / n),    k = 1 … h − 1
/// ```
///
/// compared with Student's t of n − 1 degrees of freedom. The second factor is the correction of
/// Harvey, Leybourne and Newbold for short samples. [`LongRunVariance`] has other weights of the
/// autocovariances, and other lags. A long-run variance that is not positive, which the rectangular
/// estimate can give, is replaced by Bartlett's, and the result says so. The cost is linear in rows
/// times lags.
///
/// Losses that are equal in every row give statistic 0 (p = 1 two-sided, ½ one-sided); a difference
/// that is the same in every row has no variance and gives an infinite statistic.
///
/// - `errors_a`, `errors_b`: `(n,)`, forecast errors in consecutive rows
///
/// # Errors
/// - [`Error::InvalidParameter`] when `horizon` is 0.
/// - [`Error::Shape`] when the lengths differ.
/// - [`Error::NotEnoughData`] when there are not more rows than the horizon, or fewer than 2.
/// - [`Error::NonFinite`] when an error is NaN or infinite.
/// - [`Error::Numerical`] when a loss overflows.
///
/// # References
/// - F. X. Diebold, R. S. Mariano, "Comparing predictive accuracy", *Journal of Business & Economic
///   Statistics* 13 (1995), 253–263, doi:10.1080/07350015.1995.10524599.
/// - D. Harvey, S. Leybourne, P. Newbold, "Testing the equality of prediction mean squared errors",
///   *International Journal of Forecasting* 13 (1997), 281–291, doi:10.1016/S0169-2070(96)00719-4.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{Alternative, DmParams, diebold_mariano};
/// use ndarray::array;
///
/// let actual = array![10.0, 20.0, 30.0, 40.0, 50.0];
/// let a = &actual - &array![11.0, 21.0, 29.0, 42.0, 53.0];
/// let b = &actual - &array![13.0, 26.0, 24.0, 40.0, 59.0];
/// let params = DmParams { alternative: Alternative::Less, ..DmParams::default() };
/// let test = diebold_mariano(&a, &b, &params)?;
/// assert!((test.statistic - -2.223).abs() < 1e-3 && (test.p_value - 0.04516).abs() < 1e-5);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn diebold_mariano(
    errors_a: &ArrayRef1<f64>,
    errors_b: &ArrayRef1<f64>,
    params: &DmParams,
) -> Result<DieboldMariano> {
    let (n, horizon) = (errors_a.len(), params.horizon);
    if horizon == 0 {
        return Err(Error::invalid_parameter("horizon", ">= 1", 0));
    }
    same_length("errors_b", errors_b, n)?;
    if n <= horizon.max(1) {
        let needed = horizon.saturating_add(1);
        return Err(Error::not_enough_data("Diebold-Mariano test", needed, n));
    }
    finite_vector("errors_a", errors_a)?;
    finite_vector("errors_b", errors_b)?;
    let loss = |e: f64| match params.loss {
        Loss::Squared => e * e,
        Loss::Absolute => e.abs(),
    };
    let mut differences: Vec<f64> =
        errors_a.iter().zip(errors_b).map(|(&a, &b)| loss(a) - loss(b)).collect();
    // In units of the largest, so that no square of a tiny or a huge one leaves the range.
    let scale = differences.iter().fold(0.0_f64, |m, d| m.max(d.abs()));
    if differences.iter().any(|d| !d.is_finite()) {
        return Err(Error::numerical("Diebold-Mariano test", "a loss overflows"));
    }
    let unit = if scale > 0.0 { scale } else { 1.0 };
    let count = n as f64;
    let mean = differences.iter().map(|d| d / unit).sum::<f64>() / count;
    differences.iter_mut().for_each(|d| *d = *d / unit - mean);

    let (variance, used) = params.variance.of(&differences, horizon);
    let h = horizon as f64;
    let correction = ((count + 1.0 - 2.0 * h + h * (h - 1.0) / count) / count).sqrt();
    let statistic = if mean == 0.0 {
        0.0
    } else if variance > 0.0 {
        mean / (variance / count).sqrt() * correction
    } else {
        f64::INFINITY.copysign(mean)
    };
    Ok(DieboldMariano {
        statistic,
        p_value: p_value(statistic, count - 1.0, params.alternative)?,
        mean_difference: in_range("Diebold-Mariano test", mean * unit)?,
        n,
        variance: used,
    })
}

fn p_value(statistic: f64, freedom: f64, alternative: Alternative) -> Result<f64> {
    let student = StudentsT::new(0.0, 1.0, freedom)
        .map_err(|e| Error::component("Student's t distribution", e))?;
    // The lower tail of −|t| is the same as the upper one of |t| and keeps its digits; the
    // distribution function is not asked about infinity.
    let tail = if statistic.is_infinite() { 0.0 } else { student.cdf(-statistic.abs()) };
    let inside = if statistic < 0.0 { tail } else { 1.0 - tail };
    Ok(match alternative {
        Alternative::TwoSided => (2.0 * tail).min(1.0),
        Alternative::Less => inside,
        Alternative::Greater if statistic < 0.0 => 1.0 - tail,
        Alternative::Greater => tail,
    })
}
