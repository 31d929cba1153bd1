use serde::{Deserialize, Serialize};

use super::{Luck, Point};

/// Holds what a trial lost: the number to minimise and, where there are some, its parts.
///
/// A plain number converts into one without parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialLoss {
    /// What is minimised.
    pub loss: f64,
    /// The loss of every fold, in order; their mean is the loss, or there are none.
    pub fold_losses: Vec<f64>,
}

impl TrialLoss {
    /// Makes the loss of a trial as the mean over folds; NaN without folds.
    pub fn mean_of(fold_losses: Vec<f64>) -> Self {
        let loss = fold_losses.iter().sum::<f64>() / fold_losses.len() as f64;
        Self { loss, fold_losses }
    }
}

impl From<f64> for TrialLoss {
    fn from(loss: f64) -> Self {
        Self { loss, fold_losses: Vec::new() }
    }
}

/// Records one trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number, from 0, in the order of the search.
    pub number: usize,
    /// What was tried.
    pub point: Point,
    /// What it lost, or why it failed.
    pub outcome: Result<TrialLoss, String>,
}

impl Trial {
    /// What it lost; `None` when it failed.
    pub fn loss(&self) -> Option<f64> {
        self.outcome.as_ref().ok().map(|outcome| outcome.loss)
    }

    /// Its loss in every fold; empty without folds or when it failed.
    pub fn fold_losses(&self) -> &[f64] {
        self.outcome.as_ref().map_or(&[], |outcome| &outcome.fold_losses)
    }
}

/// Records a search: every trial, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchReport {
    /// Every trial, failed ones too.
    pub trials: Vec<Trial>,
}

impl SearchReport {
    /// Number of trials done, failed ones included: what a result that was selected must be deflated
    /// by.
    pub fn n_trials(&self) -> usize {
        self.trials.len()
    }

    /// The trial of the least loss, the earliest of equal ones; `None` when all failed.
    pub fn best(&self) -> Option<&Trial> {
        self.ranked().first().copied()
    }

    /// The trials that did not fail, best first.
    pub fn ranked(&self) -> Vec<&Trial> {
        let mut ranked: Vec<(f64, &Trial)> =
            self.trials.iter().filter_map(|t| t.loss().map(|loss| (loss, t))).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        ranked.into_iter().map(|(_, trial)| trial).collect()
    }

    /// The losses of the trials that did not fail, in their order.
    pub fn losses(&self) -> Vec<f64> {
        self.trials.iter().filter_map(Trial::loss).collect()
    }

    /// How many independent trials these are worth: with the mean correlation ρ of every two trials'
    /// fold losses, `ρ + (1 − ρ) · n` (between 1 and n), over the trials that did not fail.
    ///
    /// Settings that lose in the same folds are not independent tries. A Sharpe ratio is deflated by
    /// this number; the full count is the cautious choice. `None` with fewer than 3 folds or 2 trials,
    /// or when no trial's loss varies.
    ///
    /// # References
    /// D. H. Bailey, M. López de Prado, "The deflated Sharpe ratio: correcting for selection bias,
    /// backtest overfitting, and non-normality", *Journal of Portfolio Management* 40 (2014), 94–107,
    /// doi:10.3905/jpm.2014.40.5.094, appendix 3.
    pub fn effective_trials(&self) -> Option<f64> {
        let folds: Vec<&[f64]> =
            self.trials.iter().map(Trial::fold_losses).filter(|f| f.len() >= 3).collect();
        let n_folds = folds.first()?.len();
        let standardised: Vec<Vec<f64>> =
            folds.iter().filter(|f| f.len() == n_folds).filter_map(|f| standardise(f)).collect();
        let n = standardised.len() as f64;
        if n < 2.0 {
            return None;
        }
        // The length of the mean of unit vectors holds the mean of all their products.
        let squares: f64 = (0..n_folds)
            .map(|k| standardised.iter().map(|z| z[k]).sum::<f64>())
            .map(|sum| sum * sum)
            .sum();
        let correlation = (squares - n) / (n * (n - 1.0));
        let all = self.losses().len() as f64;
        Some((correlation + (1.0 - correlation) * all).clamp(1.0, all))
    }

    /// How much of the best trial's advantage luck alone would give; `None` with fewer than 2 trials
    /// that did not fail.
    pub fn luck(&self) -> Option<Luck> {
        Luck::new(self)
    }
}

/// Centred and of length 1; `None` for a constant.
fn standardise(values: &[f64]) -> Option<Vec<f64>> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let length = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>().sqrt();
    (length > 0.0).then(|| values.iter().map(|v| (v - mean) / length).collect())
}
