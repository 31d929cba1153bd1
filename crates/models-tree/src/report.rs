use serde::{Deserialize, Serialize};

/// Says how a fit went.
///
/// Losses are weighted means of [`Loss::value`](crate::Loss::value) a row. After a warm start the
/// numbers are those of this fit alone: rounds begin behind the start's trees, and a `best_round` of
/// 0 says that the start could not be bettered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FitReport {
    /// Trees that were grown.
    pub rounds: usize,
    /// Trees that were kept: all, or those up to the best validation loss.
    #[doc(alias = "best_iteration")]
    pub best_round: usize,
    /// Prediction before the first tree, of the start after a warm one.
    pub base_score: f64,
    /// Rows with a positive weight that were learnt from.
    pub train_rows: usize,
    /// Rows with a positive weight that early stopping held back.
    pub validation_rows: usize,
    /// Loss over the training rows after each round, `(rounds,)`.
    pub train_loss: Vec<f64>,
    /// Loss over the held-back rows after each round, `(rounds,)`; empty without early stopping.
    pub validation_loss: Vec<f64>,
}

impl FitReport {
    /// Hands the outcome to whoever listens.
    pub(crate) fn tell(&self) {
        let kept = |losses: &[f64]| {
            self.best_round.checked_sub(1).and_then(|round| losses.get(round).copied())
        };
        tracing::debug!(
            rounds = self.rounds,
            best_round = self.best_round,
            train_rows = self.train_rows,
            validation_rows = self.validation_rows,
            train_loss = kept(&self.train_loss),
            validation_loss = kept(&self.validation_loss),
            "fitted"
        );
    }
}
