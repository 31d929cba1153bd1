use forecastle_core::{Error, Result};
use ndarray::{Array1, ArrayRef1};

use crate::accuracy::ratio;
use crate::checks::{finite_vector, in_range, pair, same_length};
use crate::rmse;

/// Computes the symmetric mean absolute percentage error, `mean 2|y − ŷ| / (|y| + |ŷ|)`, as a share
/// from 0 to 2.
///
/// - `actual`, `predicted`: `(n,)`, levels such as prices
///
/// Of the definitions in use this is the M4 competition's, with magnitudes in the denominator; times
/// 100 it is their percentage. A row in which both are 0 counts as 0. A naive return forecast of 0
/// costs 2 in every row whatever the return, so it is for levels, not for returns.
///
/// # Errors
/// - [`Error::Shape`] when the lengths differ.
/// - [`Error::NotEnoughData`] when there is no row.
/// - [`Error::NonFinite`] when a number is NaN or infinite.
///
/// # References
/// S. Makridakis, E. Spiliotis, V. Assimakopoulos, "The M4 Competition: 100,000 time series and 61
/// forecasting methods", *International Journal of Forecasting* 36 (2020), 54–74,
/// doi:10.1016/j.ijforecast.2019.04.014.
///
/// # Examples
/// ```
/// use ndarray::array;
/// let (actual, predicted) = (array![100.0, 0.0], array![300.0, 0.0]);
/// assert_eq!(forecastle_evaluation::smape(&actual, &predicted)?, 0.5);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "symmetric_mean_absolute_percentage_error")]
pub fn smape(actual: &ArrayRef1<f64>, predicted: &ArrayRef1<f64>) -> Result<f64> {
    pair(actual, predicted)?;
    let share = |(&a, &p): (&f64, &f64)| {
        // Halves where the sum of the whole would leave the range.
        let (a, p) = match (a.abs() + p.abs()).is_finite() {
            true => (a, p),
            false => (0.5 * a, 0.5 * p),
        };
        let size = a.abs() + p.abs();
        if size > 0.0 { 2.0 * ((a - p).abs() / size) } else { 0.0 }
    };
    let sum: f64 = actual.iter().zip(predicted).map(share).sum();
    in_range("smape", sum / actual.len() as f64)
}

/// Computes Theil's U2: the root mean squared relative error divided by that of "the value stays".
///
/// ```text
/// sqrt( Σ ((ŷₜ₊ₕ − yₜ₊ₕ) / yₜ)² / Σ ((yₜ₊ₕ − yₜ) / yₜ)² )
/// ```
///
/// - `actual`, `predicted`: `(n,)`, levels such as prices, h bars ahead
/// - `last`: `(n,)`, the level yₜ at the time of each forecast
///
/// Below 1 the forecast beats naive; `None` when naive never errs. For forecasts of returns, whose
/// naive is 0, this is [`relative_rmse`](crate::relative_rmse).
///
/// # Errors
/// - [`Error::Shape`] when the lengths differ.
/// - [`Error::NotEnoughData`] when there is no row.
/// - [`Error::NonFinite`] when a number is NaN or infinite.
/// - [`Error::Numerical`] when a last level is 0, or a relative error overflows.
///
/// # References
/// H. Theil, *Applied Economic Forecasting*, 1966, chapter 2.
///
/// # Examples
/// ```
/// use ndarray::array;
///
/// let (last, actual) = (array![100.0, 110.0], array![110.0, 99.0]);
/// let u2 = forecastle_evaluation::theil_u2(&actual, &array![105.0, 104.5], &last)?;
/// assert!(u2.is_some_and(|u2| (u2 - 0.5).abs() < 1e-15));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn theil_u2(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
    last: &ArrayRef1<f64>,
) -> Result<Option<f64>> {
    pair(actual, predicted)?;
    same_length("last", last, actual.len())?;
    finite_vector("last", last)?;
    if let Some(row) = last.iter().position(|&v| v == 0.0) {
        return Err(Error::numerical("theil_u2", format!("the last level in row {row} is 0")));
    }
    let relative = |from: &ArrayRef1<f64>, to: &ArrayRef1<f64>| -> Result<Array1<f64>> {
        let changes = from.iter().zip(to).zip(last).map(|((f, t), l)| (t - f) / l);
        let changes: Array1<f64> = changes.collect();
        match changes.iter().all(|v| v.is_finite()) {
            true => Ok(changes),
            false => Err(Error::numerical("theil_u2", "a relative change overflows")),
        }
    };
    let nothing = Array1::zeros(actual.len());
    let error = rmse(&relative(actual, predicted)?, &nothing)?;
    Ok(ratio(error, rmse(&relative(last, actual)?, &nothing)?))
}
