use serde::{Deserialize, Serialize};
use statrs::consts::EULER_MASCHERONI;
use statrs::distribution::{ContinuousCDF, Normal};

use super::{SearchReport, Trial};

/// Computes about how large the largest of `n` independent standard normal numbers is expected to be.
///
/// `(1 − γ) Φ⁻¹(1 − 1/n) + γ Φ⁻¹(1 − 1/(n e))` with Euler's constant γ, within 2 % of the truth from
/// n = 5 on; 0 for a single number.
///
/// # References
/// D. H. Bailey, M. López de Prado, "The deflated Sharpe ratio: correcting for selection bias,
/// backtest overfitting, and non-normality", *Journal of Portfolio Management* 40 (2014), 94–107,
/// doi:10.3905/jpm.2014.40.5.094.
///
/// # Examples
/// ```
/// // Of 100 forecasts without any skill the best one looks 2.5 standard errors good.
/// assert!((forecastle_evaluation::expected_maximum(100) - 2.53).abs() < 0.005);
/// ```
pub fn expected_maximum(n: usize) -> f64 {
    if n < 2 {
        return 0.0;
    }
    let normal = Normal::standard();
    let tail = 1.0 / n as f64;
    // By symmetry, from the lower tail: 1 − tail would round for a large n.
    let quantile = |tail: f64| -normal.inverse_cdf(tail);
    (1.0 - EULER_MASCHERONI) * quantile(tail)
        + EULER_MASCHERONI * quantile(tail / std::f64::consts::E)
}

/// Warns how much of the best trial's advantage is to be expected if no setting were better than
/// another.
///
/// The least of n noisy losses lies [`expected_maximum`]`(n)` standard deviations of the noise below
/// what it is worth, whatever the settings do. The noise is measured in two ways:
///
/// - [`from_folds`](Self::from_folds): how unsteady a trial's standing among the trials is from fold
///   to fold, pooled over all trials.
/// - [`if_all_equal`](Self::if_all_equal): the trials' whole spread, as the deflated Sharpe ratio has
///   it. Where settings do differ this is too much.
///
/// An advantage not far above `from_folds` is nothing to rely on. Both take trials as independent and
/// normal; trials that a search draws close together are less than n, so the figures are cautious.
/// Neither knows of noise that all folds share, such as a market that later changes: hold rows out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Luck {
    /// Trials that did not fail.
    pub n_trials: usize,
    /// [`expected_maximum`] of so many.
    pub expected_maximum: f64,
    /// Mean loss of the trials minus the least one.
    pub advantage: f64,
    /// Standard deviation of the trials' losses.
    pub dispersion: f64,
    /// What luck would give were `dispersion` all noise.
    pub if_all_equal: f64,
    /// Standard error of a trial's loss beside the others', from its folds; `None` with fewer than 2
    /// folds.
    pub fold_noise: Option<f64>,
    /// What luck would give from `fold_noise`.
    pub from_folds: Option<f64>,
}

impl Luck {
    pub(super) fn new(report: &SearchReport) -> Option<Self> {
        let losses = report.losses();
        if losses.len() < 2 {
            return None;
        }
        let n = losses.len() as f64;
        let mean = losses.iter().sum::<f64>() / n;
        let squares: f64 = losses.iter().map(|l| (l - mean) * (l - mean)).sum();
        let dispersion = (squares / (n - 1.0)).sqrt();
        let ranked = report.ranked();
        let least = ranked.first().and_then(|trial| trial.loss())?;
        let expected_maximum = expected_maximum(losses.len());
        let fold_noise = fold_noise(&ranked);
        Some(Self {
            n_trials: losses.len(),
            expected_maximum,
            advantage: mean - least,
            dispersion,
            if_all_equal: expected_maximum * dispersion,
            fold_noise,
            from_folds: fold_noise.map(|noise| expected_maximum * noise),
        })
    }
}

/// Standard error of a trial's mean over folds, after what the folds do to all trials alike is taken
/// out: the residual of a two-way layout.
fn fold_noise(trials: &[&Trial]) -> Option<f64> {
    let n_folds = trials.first()?.fold_losses().len();
    if n_folds < 2 || trials.len() < 2 || trials.iter().any(|t| t.fold_losses().len() != n_folds) {
        return None;
    }
    let (n, k) = (trials.len() as f64, n_folds as f64);
    let row_mean = |trial: &Trial| trial.fold_losses().iter().sum::<f64>() / k;
    let mut column_means = vec![0.0; n_folds];
    for trial in trials {
        for (mean, loss) in column_means.iter_mut().zip(trial.fold_losses()) {
            *mean += loss / n;
        }
    }
    let grand = column_means.iter().sum::<f64>() / k;
    let squares: f64 = trials
        .iter()
        .map(|trial| {
            let own = row_mean(trial) - grand;
            let losses = trial.fold_losses().iter().zip(&column_means);
            losses.map(|(loss, column)| (loss - column - own).powi(2)).sum::<f64>()
        })
        .sum();
    let variance = squares / ((n - 1.0) * (k - 1.0));
    Some((variance / k).sqrt())
}
