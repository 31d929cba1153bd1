/// The mean of a series over its standard error, the error robust to autocorrelation.
///
/// Labels `horizon` bars long overlap, so neighbouring products of forecast and label are
/// correlated: the long-run variance sums autocovariances with Bartlett weights (Newey and West
/// 1987) over twice the horizon, at least their rule of thumb `4 (n/100)^(2/9)`. 0 when the mean is
/// not positive, infinite when a positive mean has no variance.
pub(crate) fn t_statistic(values: &[f64], horizon: usize) -> f64 {
    let n = values.len();
    if n < 2 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    if mean.is_nan() || mean <= 0.0 {
        return 0.0;
    }
    let centred: Vec<f64> = values.iter().map(|v| v - mean).collect();
    let rule = (4.0 * (n as f64 / 100.0).powf(2.0 / 9.0)).floor() as usize;
    let lags = horizon.saturating_mul(2).max(rule).min(n - 1);
    let autocovariance = |lag: usize| -> f64 {
        centred.iter().zip(&centred[lag..]).map(|(a, b)| a * b).sum::<f64>() / n as f64
    };
    let weight = |lag: usize| 1.0 - lag as f64 / (lags + 1) as f64;
    let tail: f64 = (1..=lags).map(|lag| weight(lag) * autocovariance(lag)).sum();
    let variance = autocovariance(0) + 2.0 * tail;
    mean / (variance.max(0.0) / (n - 1) as f64).sqrt()
}

/// How much of the weights the evidence supports: the non-negative garrote `1 − (threshold / t)²`,
/// 0 up to the threshold and near 1 far beyond it.
pub(crate) fn garrote(t: f64, threshold: f64) -> f64 {
    if t > threshold { 1.0 - (threshold / t).powi(2) } else { 0.0 }
}

/// How much of the weights the evidence supports: firm shrinkage, 0 up to `none`, 1 from `clear` on and
/// in between `clear (t − none) / (t (clear − none))`.
///
/// Unlike the garrote it reaches 1: a forecast that is nearly kept is worse than one that is kept in
/// every row, and of two forecasts that differ so little the worse one is found out.
pub(crate) fn firm(t: f64, none: f64, clear: f64) -> f64 {
    if t <= none {
        0.0
    } else if t >= clear {
        1.0
    } else {
        clear * (t - none) / (t * (clear - none))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_values_carry_less_evidence_than_independent_ones() {
        let table = forecastle_core::conformance::noise(1, 1000, 1).unwrap().0;
        let noise = |i: usize| table.values()[[i, 0]];
        let independent: Vec<f64> = (0..1000).map(|i| 0.2 + noise(i)).collect();
        let repeated: Vec<f64> = (0..1000).map(|i| 0.2 + noise(i / 10)).collect();
        let naive = |v: &[f64]| {
            let mean = v.iter().sum::<f64>() / 1000.0;
            mean / (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1000.0 / 999.0).sqrt()
        };
        let (a, b) = (t_statistic(&independent, 1), t_statistic(&repeated, 10));
        assert!((a / naive(&independent) - 1.0).abs() < 0.4, "{a} {}", naive(&independent));
        let inflation = naive(&repeated) / b;
        assert!((2.0..4.5).contains(&inflation), "√10 expected, got {inflation}");
    }

    #[test]
    fn no_gain_is_no_evidence() {
        assert_eq!(t_statistic(&[], 1), 0.0);
        assert_eq!(t_statistic(&[1.0], 1), 0.0);
        assert_eq!(t_statistic(&[-1.0, 0.5, -0.2], 1), 0.0);
        assert_eq!(t_statistic(&[0.0; 9], 1), 0.0);
        assert_eq!(t_statistic(&[0.5; 9], 1), f64::INFINITY);
        assert_eq!(garrote(1.9, 2.0), 0.0);
        assert_eq!(garrote(4.0, 2.0), 0.75);
        assert_eq!(garrote(f64::INFINITY, 2.0), 1.0);
        assert_eq!(garrote(f64::INFINITY, 0.0), 1.0);
        assert_eq!(garrote(1.0, 0.0), 1.0);
    }

    #[test]
    fn clear_evidence_takes_nothing_away() {
        assert_eq!((firm(2.0, 2.0, 5.0), firm(5.0, 2.0, 5.0)), (0.0, 1.0));
        assert_eq!((firm(3.0, 2.0, 5.0), firm(f64::INFINITY, 2.0, 5.0)), (5.0 / 9.0, 1.0));
        assert!(firm(4.999, 2.0, 5.0) > 0.999 && firm(2.001, 2.0, 5.0) < 0.001);
        assert_eq!(firm(2.0, 2.0, 2.0), 0.0);
        assert_eq!(firm(2.1, 2.0, 2.0), 1.0);
    }
}
