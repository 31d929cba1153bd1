use serde::{Deserialize, Serialize};

/// Says how a fit went.
///
/// Losses are weighted means of squared errors in units of the standardised target (of the scaled
/// features for an autoencoder): 1 is what a model reaches that knows the mean alone. The training loss is gathered on the way through an
/// epoch, before each step and with dropout, so it lags behind the validation loss.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FitReport {
    /// Epochs that were run.
    pub epochs: usize,
    /// The epoch, from 1, whose weights were kept: the last, or that of the best validation loss. 0
    /// says that no epoch was better than the mean of the training targets, or than the model that a
    /// warm start began with, and the better of the two was kept.
    #[doc(alias = "best_iteration")]
    pub best_epoch: usize,
    /// Rows with a positive weight that were learnt from.
    pub train_rows: usize,
    /// Rows with a positive weight that early stopping held back.
    pub validation_rows: usize,
    /// Numbers that were learnt.
    pub n_weights: usize,
    /// Loss over the held-back rows that an epoch must be below: that of the mean or, where that is
    /// lower, of the model that a warm start began with; `None` without early stopping.
    pub fallback_loss: Option<f64>,
    /// Loss over the training rows during each epoch, `(epochs,)`.
    pub train_loss: Vec<f64>,
    /// Loss over the held-back rows after each epoch, `(epochs,)`; empty without early stopping.
    pub validation_loss: Vec<f64>,
}

impl FitReport {
    /// Hands the outcome to whoever listens.
    pub(crate) fn tell(&self) {
        let kept = |losses: &[f64]| {
            self.best_epoch.checked_sub(1).and_then(|epoch| losses.get(epoch).copied())
        };
        tracing::debug!(
            epochs = self.epochs,
            best_epoch = self.best_epoch,
            train_rows = self.train_rows,
            validation_rows = self.validation_rows,
            n_weights = self.n_weights,
            train_loss = kept(&self.train_loss),
            validation_loss = kept(&self.validation_loss),
            fallback_loss = self.fallback_loss,
            "fitted"
        );
    }
}
