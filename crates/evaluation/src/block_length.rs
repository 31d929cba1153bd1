use forecastle_core::Result;
use ndarray::ArrayRef1;
use serde::{Deserialize, Serialize};

use crate::checks::finite_vector;

/// Holds the block lengths that resample a series best.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BlockLength {
    /// Mean length for the stationary bootstrap.
    pub stationary: f64,
    /// Length for the circular bootstrap.
    pub circular: f64,
}

/// Estimates the block length with which a bootstrap tells the variance of a series' mean best.
///
/// ```text
/// (2 g² n / d)^(1/3),  g = Σ λ(k/m) |k| γₖ,  d = c (Σ λ(k/m) γₖ)²,  k = −m … m
/// ```
///
/// with autocovariances γ, weights λ(x) = min(1, 2(1 − |x|)), and c = 2 for the stationary and 4/3 for
/// the circular bootstrap. The band m is twice the lag behind which max(5, log₁₀ n) autocorrelations
/// in a row stay within ±2 sqrt(log₁₀ n / n). Neither length is above min(3 sqrt(n), n/3), rounded up;
/// a series that does not vary (up to rounding) has length 1, and no length is below 1.
///
/// - `values`: `(n,)`
///
/// # Errors
/// - [`Error::NotEnoughData`](forecastle_core::Error::NotEnoughData) when there is no row.
/// - [`Error::NonFinite`](forecastle_core::Error::NonFinite) when a number is NaN or infinite.
///
/// # References
/// - D. N. Politis, H. White, "Automatic block-length selection for the dependent bootstrap",
///   *Econometric Reviews* 23 (2004), 53–70, doi:10.1081/ETC-120028836.
/// - A. Patton, D. N. Politis, H. White, "Correction to 'Automatic block-length selection for the
///   dependent bootstrap'", *Econometric Reviews* 28 (2009), 372–375, doi:10.1080/07474930802459016.
///
/// # Examples
/// ```
/// use forecastle_evaluation::optimal_block_length;
/// use ndarray::Array1;
///
/// let wave: Array1<f64> = (0..200).map(|t| (f64::from(t) * 0.05).sin()).collect();
/// let length = optimal_block_length(&wave)?;
/// assert!(length.stationary > 20.0 && length.circular > length.stationary);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn optimal_block_length(values: &ArrayRef1<f64>) -> Result<BlockLength> {
    finite_vector("values", values)?;
    let rows = values.len();
    let n = rows as f64;
    let unit = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let single = BlockLength { stationary: 1.0, circular: 1.0 };
    if unit == 0.0 {
        return Ok(single);
    }
    let mean = values.iter().map(|v| v / unit).sum::<f64>() / n;
    let mut centred: Vec<f64> = values.iter().map(|v| v / unit - mean).collect();
    let spread = centred.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    if spread <= 1e-14 {
        return Ok(single);
    }
    centred.iter_mut().for_each(|v| *v /= spread);

    let quiet = 5.max(n.log10() as usize);
    let widest = (n.sqrt().ceil() as usize).saturating_add(quiet);
    let band = 2.0 * (n.log10() / n).sqrt();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let later = |lag: usize| centred.get(lag..).unwrap_or_default();
    let earlier = |lag: usize| centred.get(..rows.saturating_sub(lag)).unwrap_or_default();
    let (mut covariances, mut inside, mut width) = (Vec::new(), 0_usize, None);
    for lag in 0..=widest {
        if lag >= quiet && inside >= quiet && width.is_none() {
            width = Some(2 * (lag - quiet).max(1));
        }
        // Nothing more is needed once all lags in the band are there.
        if width.is_some_and(|width| lag > width) {
            break;
        }
        let cross = product(later(lag), earlier(lag));
        covariances.push(cross / n);
        let (after, before) = (later(lag + 1), earlier(lag + 1));
        let correlation = cross.abs() / (product(after, after) * product(before, before)).sqrt();
        inside = if correlation < band { inside + 1 } else { 0 };
    }
    let width = width.unwrap_or(widest).min(widest);

    let (mut g, mut variance) = (0.0, covariances.first().copied().unwrap_or_default());
    for (lag, covariance) in covariances.iter().enumerate().take(width + 1).skip(1) {
        let weight = (2.0 * (1.0 - lag as f64 / width as f64)).min(1.0);
        g += 2.0 * weight * lag as f64 * covariance;
        variance += 2.0 * weight * covariance;
    }
    let longest = (3.0 * n.sqrt()).min(n / 3.0).ceil();
    let length = |constant: f64| {
        let length = (2.0 * g * g * n / (constant * variance * variance)).cbrt();
        // Without any variance of the mean the lengths grow without limit.
        if length.is_nan() { longest } else { length.clamp(1.0, longest.max(1.0)) }
    };
    Ok(BlockLength { stationary: length(2.0), circular: length(4.0 / 3.0) })
}
