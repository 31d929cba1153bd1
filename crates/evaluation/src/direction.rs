use forecastle_core::Result;
use ndarray::ArrayRef1;

use crate::checks::pair;

/// Computes the share of moves whose direction was forecast rightly.
///
/// - `actual`, `predicted`: `(n,)`, moves (returns, differences), not levels
///
/// A row in which the actual move or the forecast is exactly 0 has no direction to be right or wrong
/// about, and is left out. `None` when no row is left, as for the naive forecast.
///
/// # Errors
/// - [`Error::Shape`](forecastle_core::Error::Shape) when the lengths differ.
/// - [`Error::NotEnoughData`](forecastle_core::Error::NotEnoughData) when there is no row.
/// - [`Error::NonFinite`](forecastle_core::Error::NonFinite) when a number is NaN or infinite.
///
/// # Examples
/// ```
/// use forecastle_evaluation::directional_accuracy;
/// use ndarray::array;
///
/// let actual = array![0.1, -0.2, 0.3, 0.0, 0.1];
/// assert_eq!(directional_accuracy(&actual, &array![0.2, -0.1, -0.1, 0.5, 0.0])?, Some(2.0 / 3.0));
/// assert_eq!(directional_accuracy(&actual, &array![0.0, 0.0, 0.0, 0.0, 0.0])?, None);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "hit_rate")]
pub fn directional_accuracy(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
) -> Result<Option<f64>> {
    pair(actual, predicted)?;
    let (mut hits, mut moves) = (0_usize, 0_usize);
    for (&a, &p) in actual.iter().zip(predicted) {
        if a != 0.0 && p != 0.0 {
            moves += 1;
            hits += usize::from((a > 0.0) == (p > 0.0));
        }
    }
    Ok((moves > 0).then(|| hits as f64 / moves as f64))
}
