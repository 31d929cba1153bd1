use serde::{Deserialize, Serialize};

/// Says how a fit went.
///
/// Losses are weighted means of [`Loss::value`](crate::Loss::value) a row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FitReport {
    /// Trees that were grown.
    pub rounds: usize,
    /// Trees that were kept: all, or those up to the best validation loss.
    #[doc(alias = "best_iteration")]
    pub best_round: usize,
    /// Prediction before the first tree.
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
