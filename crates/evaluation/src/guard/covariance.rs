use forecastle_core::{Error, Result};
use ndarray::{Array2, ArrayRef2, Axis};

/// Holds a covariance matrix shrunk towards a multiple of the identity.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ShrunkCovariance {
    /// The matrix, `(n_features, n_features)`.
    pub covariance: Array2<f64>,
    /// The columns' means, `(n_features,)`.
    pub mean: Vec<f64>,
    /// Weight of the identity, from 0 to 1.
    pub shrinkage: f64,
}

/// Estimates a covariance matrix, shrunk as much as makes its expected squared error least.
///
/// `(1 − δ) S + δ (trace S / p) I`, where S is the covariance of the records (ddof 0) and δ is Ledoit's
/// and Wolf's estimate of the best weight. Unlike S it can always be inverted, unless every column is
/// constant.
///
/// - `records`: `(n, n_features)`
///
/// # Errors
/// - [`Error::NotEnoughData`] when there are fewer than 2 records.
/// - [`Error::NonFinite`] when a number is NaN or infinite.
/// - [`Error::Numerical`] when squares overflow.
///
/// # References
/// O. Ledoit, M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
/// *Journal of Multivariate Analysis* 88 (2004), 365–411, doi:10.1016/S0047-259X(03)00096-4.
///
/// # Examples
/// ```
/// use forecastle_evaluation::ledoit_wolf;
/// use ndarray::array;
///
/// let records = array![[1.0, 2.0], [2.0, 1.0], [3.0, 5.0], [4.0, 3.0]];
/// let shrunk = ledoit_wolf(&records)?;
/// assert!(shrunk.shrinkage > 0.0 && shrunk.covariance[[0, 1]] < 0.875);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn ledoit_wolf(records: &ArrayRef2<f64>) -> Result<ShrunkCovariance> {
    let (n, p) = records.dim();
    if n < 2 {
        return Err(Error::not_enough_data("a covariance", 2, n));
    }
    if let Some(((row, column), _)) = records.indexed_iter().find(|(_, v)| !v.is_finite()) {
        let column = column.to_string();
        return Err(Error::NonFinite { what: "records", row, column });
    }
    let rows = n as f64;
    let mean = records.sum_axis(Axis(0)) / rows;
    let centred = records.to_owned() - &mean;
    let mut covariance = centred.t().dot(&centred) / rows;
    // The target: the mean variance on the diagonal.
    let level = covariance.diag().sum() / (p as f64).max(1.0);
    let total: f64 = covariance.iter().map(|c| c * c).sum();
    // Σ over rows of |x|⁴ is Σ over pairs of columns of the mean squared products, times n.
    let fourth: f64 = centred
        .rows()
        .into_iter()
        .map(|row| {
            let power: f64 = row.iter().map(|v| v * v).sum();
            power * power
        })
        .sum();
    let noise = (fourth / rows - total) / rows;
    let distance = total - level * level * p as f64;
    if !noise.is_finite() || !distance.is_finite() {
        return Err(Error::numerical("a covariance", "squares overflow"));
    }
    let shrinkage = if noise > 0.0 && distance > 0.0 { (noise / distance).min(1.0) } else { 0.0 };
    covariance *= 1.0 - shrinkage;
    covariance.diag_mut().iter_mut().for_each(|v| *v += shrinkage * level);
    Ok(ShrunkCovariance { covariance, mean: mean.to_vec(), shrinkage })
}
