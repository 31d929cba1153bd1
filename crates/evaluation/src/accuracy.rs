use forecastle_core::{Error, Result};
use ndarray::{Array1, ArrayRef1};
use ndarray_stats::DeviationExt;

use crate::checks::{finite_vector, in_range, pair};

/// Computes the mean absolute error, `mean |y − ŷ|`.
///
/// - `actual`, `predicted`: `(n,)`
///
/// # Errors
/// - [`Error::Shape`] when the lengths differ.
/// - [`Error::NotEnoughData`] when there is no row.
/// - [`Error::NonFinite`] when a number is NaN or infinite.
/// - [`Error::Numerical`] when an error overflows.
///
/// # Examples
/// ```
/// use ndarray::array;
/// assert_eq!(forecastle_evaluation::mae(&array![1.0, 2.0], &array![1.5, 1.0])?, 0.75);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "mean_absolute_error")]
pub fn mae(actual: &ArrayRef1<f64>, predicted: &ArrayRef1<f64>) -> Result<f64> {
    pair(actual, predicted)?;
    let error = actual.mean_abs_err(predicted);
    in_range("mae", error.map_err(|e| Error::component("mean absolute error", e))?)
}

/// Computes the root of the mean squared error, `sqrt(mean (y − ŷ)²)`.
///
/// - `actual`, `predicted`: `(n,)`
///
/// # Errors
/// As [`mae`].
///
/// # Examples
/// ```
/// use ndarray::array;
/// let (actual, predicted) = (array![1.0, 2.0], array![4.0, 6.0]);
/// assert_eq!(forecastle_evaluation::rmse(&actual, &predicted)?, 12.5_f64.sqrt());
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "root_mean_squared_error")]
pub fn rmse(actual: &ArrayRef1<f64>, predicted: &ArrayRef1<f64>) -> Result<f64> {
    pair(actual, predicted)?;
    let errors = actual.iter().zip(predicted).map(|(a, p)| a - p);
    // Squares of the errors themselves would leave the range of numbers before the errors do.
    let largest = actual.linf_dist(predicted).map_err(|e| Error::component("largest error", e))?;
    if largest == 0.0 {
        return Ok(0.0);
    }
    let squares: f64 = errors.map(|e| (e / largest) * (e / largest)).sum();
    in_range("rmse", largest * (squares / actual.len() as f64).sqrt())
}

/// Computes the mean absolute scaled error: the MAE divided by the MAE that the naive forecast made
/// in the training window.
///
/// - `actual`, `predicted`: `(n,)`
/// - `naive_errors`: `(n_train,)`, what the naive forecast missed by in the training window, at the
///   same horizon; for log returns, the training returns themselves
///
/// Below 1 the forecast beats what naive did in training. `None` when naive never erred there.
///
/// # Errors
/// As [`mae`].
///
/// # References
/// R. J. Hyndman, A. B. Koehler, "Another look at measures of forecast accuracy", *International
/// Journal of Forecasting* 22 (2006), 679–688, doi:10.1016/j.ijforecast.2006.03.001.
///
/// # Examples
/// ```
/// use ndarray::array;
/// let (actual, predicted) = (array![1.0, 2.0], array![1.5, 1.0]);
/// let mase = forecastle_evaluation::mase(&actual, &predicted, &array![-1.0, 2.0])?;
/// assert_eq!(mase, Some(0.5));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "mean_absolute_scaled_error")]
pub fn mase(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
    naive_errors: &ArrayRef1<f64>,
) -> Result<Option<f64>> {
    finite_vector("naive_errors", naive_errors)?;
    let scale = mae(naive_errors, &Array1::zeros(naive_errors.len()))?;
    Ok(ratio(mae(actual, predicted)?, scale))
}

/// Computes the root mean squared scaled error: the RMSE divided by the RMSE that the naive forecast
/// made in the training window.
///
/// - `actual`, `predicted`: `(n,)`
/// - `naive_errors`: `(n_train,)`, what the naive forecast missed by in the training window, at the
///   same horizon; for log returns, the training returns themselves
///
/// Below 1 the forecast beats what naive did in training. `None` when naive never erred there.
///
/// # Errors
/// As [`mae`].
///
/// # References
/// S. Makridakis, E. Spiliotis, V. Assimakopoulos, "The M5 competition: background, organization, and
/// implementation", *International Journal of Forecasting* 38 (2022), 1325–1336,
/// doi:10.1016/j.ijforecast.2021.07.007.
///
/// # Examples
/// ```
/// use ndarray::array;
/// let (actual, predicted) = (array![1.0, 2.0], array![4.0, 6.0]);
/// let rmsse = forecastle_evaluation::rmsse(&actual, &predicted, &array![-5.0, 5.0])?;
/// assert_eq!(rmsse, Some(12.5_f64.sqrt() / 5.0));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "root_mean_squared_scaled_error")]
pub fn rmsse(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
    naive_errors: &ArrayRef1<f64>,
) -> Result<Option<f64>> {
    finite_vector("naive_errors", naive_errors)?;
    let scale = rmse(naive_errors, &Array1::zeros(naive_errors.len()))?;
    Ok(ratio(rmse(actual, predicted)?, scale))
}

/// Computes the MAE divided by that of another forecast of the same rows.
///
/// - `actual`, `predicted`, `baseline`: `(n,)`
///
/// `None` when the baseline never errs.
///
/// # Errors
/// As [`mae`].
pub fn relative_mae(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
    baseline: &ArrayRef1<f64>,
) -> Result<Option<f64>> {
    Ok(ratio(mae(actual, predicted)?, mae(actual, baseline)?))
}

/// Computes the RMSE divided by that of another forecast of the same rows (Theil's U when the
/// baseline is naive).
///
/// - `actual`, `predicted`, `baseline`: `(n,)`
///
/// `None` when the baseline never errs.
///
/// # Errors
/// As [`mae`].
///
/// # Examples
/// ```
/// use ndarray::array;
/// let (actual, predicted, naive) = (array![2.0, -2.0], array![1.0, -1.0], array![0.0, 0.0]);
/// let relative = forecastle_evaluation::relative_rmse(&actual, &predicted, &naive)?;
/// assert_eq!(relative, Some(0.5));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn relative_rmse(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
    baseline: &ArrayRef1<f64>,
) -> Result<Option<f64>> {
    Ok(ratio(rmse(actual, predicted)?, rmse(actual, baseline)?))
}

pub(crate) fn ratio(error: f64, scale: f64) -> Option<f64> {
    let ratio = error / scale;
    (scale > 0.0 && ratio.is_finite()).then_some(ratio)
}
