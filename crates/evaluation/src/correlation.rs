use forecastle_core::Result;
use ndarray::{Array1, ArrayRef1};

use crate::checks::pair;

/// Computes the information coefficient: Pearson's correlation of forecasts and outcomes.
///
/// - `actual`, `predicted`: `(n,)`, moves rather than levels (two unrelated price levels correlate)
///
/// `None` when either is constant (a spread of up to 1e-14 of its magnitude, which rounding leaves).
///
/// # Errors
/// - [`Error::Shape`](forecastle_core::Error::Shape) when the lengths differ.
/// - [`Error::NotEnoughData`](forecastle_core::Error::NotEnoughData) when there is no row.
/// - [`Error::NonFinite`](forecastle_core::Error::NonFinite) when a number is NaN or infinite.
///
/// # References
/// R. C. Grinold, R. N. Kahn, *Active Portfolio Management*, 2nd edition, 2000, chapter 6.
///
/// # Examples
/// ```
/// use forecastle_evaluation::information_coefficient;
/// use ndarray::array;
///
/// let actual = array![1.0, 2.0, 3.0];
/// let skill = information_coefficient(&actual, &array![2.0, 1.0, 3.0])?;
/// assert!(skill.is_some_and(|ic| (ic - 0.5).abs() < 1e-15));
/// assert_eq!(information_coefficient(&actual, &array![7.0, 7.0, 7.0])?, None);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "pearson_correlation")]
pub fn information_coefficient(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
) -> Result<Option<f64>> {
    pair(actual, predicted)?;
    let (Some((actual_scale, actual_mean)), Some((predicted_scale, predicted_mean))) =
        (scale_and_mean(actual), scale_and_mean(predicted))
    else {
        return Ok(None);
    };
    let (mut aa, mut pp, mut ap) = (0.0, 0.0, 0.0);
    for (a, p) in actual.iter().zip(predicted) {
        let (a, p) = (a / actual_scale - actual_mean, p / predicted_scale - predicted_mean);
        aa += a * a;
        pp += p * p;
        ap += a * p;
    }
    let noise = 1e-28 * actual.len() as f64;
    Ok((aa > noise && pp > noise).then(|| (ap / (aa * pp).sqrt()).clamp(-1.0, 1.0)))
}

/// Computes the rank information coefficient: Spearman's correlation of forecasts and outcomes, which
/// one wild move cannot decide.
///
/// - `actual`, `predicted`: `(n,)`, moves rather than levels
///
/// Equal numbers share the mean of their ranks. `None` when either is constant.
///
/// # Errors
/// As [`information_coefficient`].
///
/// # References
/// C. Spearman, "The proof and measurement of association between two things", *American Journal of
/// Psychology* 15 (1904), 72–101, doi:10.2307/1412159.
///
/// # Examples
/// ```
/// use forecastle_evaluation::rank_information_coefficient;
/// use ndarray::array;
///
/// let actual = array![1.0, 2.0, 1000.0];
/// let skill = rank_information_coefficient(&actual, &array![2.0, 1.0, 3.0])?;
/// assert!(skill.is_some_and(|ic| (ic - 0.5).abs() < 1e-15));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "spearman_correlation")]
pub fn rank_information_coefficient(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
) -> Result<Option<f64>> {
    pair(actual, predicted)?;
    information_coefficient(&ranks(actual), &ranks(predicted))
}

/// Ranks from 1; equal numbers share the mean of theirs.
fn ranks(values: &ArrayRef1<f64>) -> Array1<f64> {
    let mut order: Vec<(f64, usize)> = values.iter().copied().zip(0..).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut ranks = Array1::zeros(values.len());
    let mut before = 0;
    // By value, so that −0 and 0 are one.
    for equal in order.chunk_by(|a, b| a.0 == b.0) {
        let rank = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
        for &(_, row) in equal {
            if let Some(place) = ranks.get_mut(row) {
                *place = rank;
            }
        }
        before += equal.len();
    }
    ranks
}

/// The largest magnitude, and the mean in units of it; `None` for zeros.
fn scale_and_mean(values: &ArrayRef1<f64>) -> Option<(f64, f64)> {
    let scale = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let mean = values.iter().map(|v| v / scale).sum::<f64>() / values.len() as f64;
    (scale > 0.0).then_some((scale, mean))
}
