use serde::{Deserialize, Serialize};

/// Names an estimate of the variance of a mean whose terms are correlated.
///
/// Forecasts h bars ahead err in common for h − 1 bars, so autocovariances up to lag h − 1 belong into
/// the variance; the first two estimates stop there. Where forecasts are worse than optimal their
/// errors are correlated for longer, and [`NeweyWest`](Self::NeweyWest) goes further.
///
/// # References
/// - W. K. Newey, K. D. West, "A simple, positive semi-definite, heteroskedasticity and
///   autocorrelation consistent covariance matrix", *Econometrica* 55 (1987), 703–708,
///   doi:10.2307/1913610.
/// - W. K. Newey, K. D. West, "Automatic lag selection in covariance matrix estimation", *Review of
///   Economic Studies* 61 (1994), 631–653, doi:10.2307/2297912.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{DmParams, LongRunVariance, diebold_mariano};
/// use ndarray::array;
///
/// let (a, b) = (array![0.1, -0.4, 0.3, 0.2, -0.1, 0.3], array![0.5, -0.2, 0.4, 0.6, 0.1, -0.5]);
/// let automatic = LongRunVariance::NeweyWest { lags: None };
/// let test = diebold_mariano(&a, &b, &DmParams { variance: automatic, ..DmParams::default() })?;
/// assert_eq!(test.variance, LongRunVariance::NeweyWest { lags: Some(2) });
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LongRunVariance {
    /// All autocovariances up to lag h − 1 alike, as Diebold and Mariano have it; may come out
    /// negative.
    #[default]
    Rectangular,
    /// Autocovariances up to lag h − 1, the k-th weighted 1 − k/h; never negative.
    Bartlett,
    /// Autocovariances up to `lags`, the k-th weighted 1 − k/(lags + 1); never negative.
    NeweyWest {
        /// The lags; `None` takes ⌊4 (n/100)^(2/9)⌋ of them, or h − 1 if that is more.
        #[serde(default)]
        lags: Option<usize>,
    },
}

impl LongRunVariance {
    /// The long-run variance of centred terms, and the estimate that gave it.
    pub(crate) fn of(self, centred: &[f64], horizon: usize) -> (f64, Self) {
        let n = centred.len();
        let covariance = |lag: usize| {
            let later = centred.get(lag..).unwrap_or_default();
            centred.iter().zip(later).map(|(x, y)| x * y).sum::<f64>() / n as f64
        };
        let last = horizon.saturating_sub(1);
        let lags = match self {
            Self::Rectangular | Self::Bartlett => last,
            Self::NeweyWest { lags } => lags.unwrap_or_else(|| automatic_lags(n).max(last)),
        };
        let width = lags as f64 + 1.0;
        let variance = covariance(0);
        let (mut rectangular, mut bartlett) = (variance, variance);
        // Later ones have no terms.
        for lag in 1..=lags.min(n.saturating_sub(1)) {
            let term = 2.0 * covariance(lag);
            rectangular += term;
            bartlett += (1.0 - lag as f64 / width) * term;
        }
        match self {
            Self::Rectangular if rectangular > 0.0 || lags == 0 => (rectangular, self),
            Self::Rectangular | Self::Bartlett => (bartlett, Self::Bartlett),
            Self::NeweyWest { .. } => (bartlett, Self::NeweyWest { lags: Some(lags) }),
        }
    }
}

/// The number of lags that Newey and West propose for Bartlett's weights, without their pilot
/// estimate.
fn automatic_lags(n: usize) -> usize {
    (4.0 * (n as f64 / 100.0).powf(2.0 / 9.0)).floor() as usize
}
