use forecastle_core::{Error, Result};
use ndarray::{ArrayRef1, ArrayRef2};

use crate::checks::{finite_vector, in_range, pair, same_length};

/// Computes the mean pinball loss of forecasts of a quantile τ: what the forecast fell short by
/// weighs τ, what it overshot by 1 − τ.
///
/// - `actual`, `predicted`: `(n,)`
/// - `quantile`: τ, inside (0, 1)
///
/// The true quantile has the least expected loss. At τ = ½ it is half of the [`mae`](crate::mae).
///
/// # Errors
/// - [`Error::InvalidParameter`] when the quantile is not inside (0, 1).
/// - [`Error::Shape`] when the lengths differ.
/// - [`Error::NotEnoughData`] when there is no row.
/// - [`Error::NonFinite`] when a number is NaN or infinite.
/// - [`Error::Numerical`] when an error overflows.
///
/// # References
/// R. Koenker, G. Bassett, "Regression quantiles", *Econometrica* 46 (1978), 33–50,
/// doi:10.2307/1913643.
///
/// # Examples
/// ```
/// use ndarray::array;
/// let (actual, predicted) = (array![1.0, 2.0], array![2.0, 0.0]);
/// let loss = forecastle_evaluation::pinball_loss(&actual, &predicted, 0.75)?;
/// assert_eq!(loss, (0.25 * 1.0 + 0.75 * 2.0) / 2.0);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "quantile_loss")]
pub fn pinball_loss(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
    quantile: f64,
) -> Result<f64> {
    check_quantile("quantile", quantile)?;
    pair(actual, predicted)?;
    let cost = |(a, p): (&f64, &f64)| {
        let short = a - p;
        if short >= 0.0 { quantile * short } else { (quantile - 1.0) * short }
    };
    // Divided before they are summed: the sum of finite losses does not overflow.
    let n = actual.len() as f64;
    in_range("pinball loss", actual.iter().zip(predicted).map(|row| cost(row) / n).sum())
}

/// Computes the pinball loss averaged over quantiles; twice that is about the CRPS where the
/// quantiles are many and evenly spaced.
///
/// - `actual`: `(n,)`
/// - `predicted`: `(n, n_quantiles)`
/// - `quantiles`: `(n_quantiles,)`, each inside (0, 1)
///
/// # Errors
/// As [`pinball_loss`], and:
/// - [`Error::Shape`] when `predicted` does not have a row per actual value and a column per quantile.
/// - [`Error::NotEnoughData`] when there is no quantile.
///
/// # References
/// T. Gneiting, R. Ranjan, "Comparing density forecasts using threshold- and quantile-weighted scoring
/// rules", *Journal of Business & Economic Statistics* 29 (2011), 411–422,
/// doi:10.1198/jbes.2010.08110.
///
/// # Examples
/// ```
/// use ndarray::array;
/// let (actual, predicted) = (array![1.0, 2.0], array![[0.0, 1.0], [2.0, 4.0]]);
/// let loss = forecastle_evaluation::mean_pinball_loss(&actual, &predicted, &array![0.25, 0.75])?;
/// assert_eq!(loss, (0.25 + 0.5) / 4.0);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn mean_pinball_loss(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef2<f64>,
    quantiles: &ArrayRef1<f64>,
) -> Result<f64> {
    finite_vector("quantiles", quantiles)?;
    same_length("quantiles", quantiles, predicted.ncols())?;
    let n_quantiles = quantiles.len() as f64;
    let mut mean = 0.0;
    for (column, &quantile) in predicted.columns().into_iter().zip(quantiles) {
        check_quantile("quantiles", quantile)?;
        mean += pinball_loss(actual, &column, quantile)? / n_quantiles;
    }
    in_range("pinball loss", mean)
}

fn check_quantile(name: &'static str, quantile: f64) -> Result<()> {
    if quantile > 0.0 && quantile < 1.0 {
        Ok(())
    } else {
        Err(Error::invalid_parameter(name, "inside (0, 1)", quantile))
    }
}
