use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Says how the learning rate moves while a network trains.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Schedule {
    /// It stays.
    #[default]
    Constant,
    /// It rises in a line over the first `warm_up` share of all steps, then falls to 0 along half a
    /// cosine.
    Cosine {
        /// Share of the steps, 0 to below 1.
        warm_up: f64,
    },
}

impl Schedule {
    /// What the learning rate is multiplied by in a step.
    ///
    /// - `step`: from 0
    /// - `n_steps`: steps if training runs to the last epoch
    pub(crate) fn factor(&self, step: usize, n_steps: usize) -> f64 {
        match *self {
            Self::Constant => 1.0,
            Self::Cosine { warm_up } => {
                let (n, step) = (n_steps.max(1) as f64, step as f64);
                let rise = (warm_up * n).floor();
                if step < rise {
                    (step + 1.0) / rise
                } else {
                    let done = ((step - rise) / (n - rise).max(1.0)).min(1.0);
                    0.5 * (1.0 + (std::f64::consts::PI * done).cos())
                }
            }
        }
    }
}

/// Stops training when the end of the training rows no longer gains by further epochs.
///
/// The last `validation_share` of the selected rows is held back; the rows before it whose labels
/// reach into it (the dataset's horizon) are purged. The model keeps the weights of its best epoch. When
/// no epoch is better than the mean of the training targets it forecasts that mean, and a warm start
/// that gains nothing stays where it began, or forecasts the mean where that is better. What a warm
/// start has learnt from must not be held back, or it looks better than it is: windows that roll on
/// see to that.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `patience` | 3 | epochs without a better validation loss before training stops | ≥ 1 |
/// | `validation_share` | 0.15 | share of the selected rows held back, the latest ones | between 0 and 1 |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs without a better validation loss before training stops.
    pub patience: usize,
    /// Share of the selected rows held back.
    #[doc(alias = "validation_fraction")]
    pub validation_share: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { patience: 3, validation_share: 0.15 }
    }
}

/// Sets up training: `AdamW` on mini-batches of the squared error.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `epochs` | 10 | passes over the training rows, at most | ≥ 1 |
/// | `batch_size` | 64 | rows a step | ≥ 1 |
/// | `learning_rate` | 0.001 | of `AdamW` | > 0 |
/// | `schedule` | constant | how it moves | see [`Schedule`] |
/// | `beta_1`, `beta_2` | 0.9, 0.999 | memories of the gradient and its square | 0 to below 1 |
/// | `epsilon` | 1e-8 | keeps steps finite | > 0 |
/// | `weight_decay` | 0.01 | share of each weight taken away a step, times the learning rate; 0 is plain Adam | ≥ 0 |
/// | `gradient_clip` | 1 | largest norm of all gradients together | > 0 |
/// | `shuffle` | on | whether each epoch goes through the rows in another order | |
/// | `early_stopping` | on | when to stop before `epochs` | see [`EarlyStopping`] |
/// | `seed` | 0 | of first weights, order of rows and dropout | |
///
/// # References
/// - D. P. Kingma, J. Ba, *Adam: A Method for Stochastic Optimization*, 2015, arXiv:1412.6980.
/// - I. Loshchilov, F. Hutter, *Decoupled Weight Decay Regularization*, 2019, arXiv:1711.05101.
/// - R. Pascanu, T. Mikolov, Y. Bengio, *On the difficulty of training recurrent neural networks*,
///   2013, arXiv:1211.5063 (gradient clipping).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingParams {
    /// Passes over the training rows, at most.
    pub epochs: usize,
    /// Rows a step.
    pub batch_size: usize,
    /// Learning rate.
    #[doc(alias = "lr")]
    pub learning_rate: f64,
    /// How the learning rate moves.
    pub schedule: Schedule,
    /// Memory of the gradient.
    #[doc(alias = "betas")]
    pub beta_1: f64,
    /// Memory of the gradient's square.
    pub beta_2: f64,
    /// Keeps steps finite.
    #[doc(alias = "eps")]
    pub epsilon: f64,
    /// Share of each weight taken away a step, times the learning rate.
    pub weight_decay: f64,
    /// Largest norm of all gradients together; `None` for no limit.
    #[doc(alias = "clip_grad_norm_")]
    pub gradient_clip: Option<f64>,
    /// Whether each epoch goes through the rows in another order.
    pub shuffle: bool,
    /// When to stop before `epochs`; `None` to go through with all of them.
    pub early_stopping: Option<EarlyStopping>,
    /// Seed of first weights, order of rows and dropout.
    pub seed: u64,
}

impl Default for TrainingParams {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 64,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            gradient_clip: Some(1.0),
            shuffle: true,
            early_stopping: Some(EarlyStopping::default()),
            seed: 0,
        }
    }
}

impl TrainingParams {
    /// Checks every range.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`].
    pub(crate) fn validate(&self) -> Result<()> {
        let refuse =
            |name, range: &str, value: f64| Err(Error::invalid_parameter(name, range, value));
        if self.epochs == 0 {
            return Err(Error::invalid_parameter("epochs", ">= 1", 0));
        }
        if self.batch_size == 0 {
            return Err(Error::invalid_parameter("batch_size", ">= 1", 0));
        }
        let positive = |v: f64| v > 0.0 && v.is_finite();
        if !positive(self.learning_rate) {
            return refuse("learning_rate", "> 0", self.learning_rate);
        }
        for (name, beta) in [("beta_1", self.beta_1), ("beta_2", self.beta_2)] {
            if !(0.0..1.0).contains(&beta) {
                return refuse(name, ">= 0 and < 1", beta);
            }
        }
        if !positive(self.epsilon) {
            return refuse("epsilon", "> 0", self.epsilon);
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return refuse("weight_decay", ">= 0", self.weight_decay);
        }
        if let Some(clip) = self.gradient_clip
            && !positive(clip)
        {
            return refuse("gradient_clip", "> 0", clip);
        }
        if let Schedule::Cosine { warm_up } = self.schedule
            && !(0.0..1.0).contains(&warm_up)
        {
            return refuse("warm_up", ">= 0 and < 1", warm_up);
        }
        if let Some(EarlyStopping { patience, validation_share: share }) = self.early_stopping {
            if patience == 0 {
                return Err(Error::invalid_parameter("patience", ">= 1", 0));
            }
            if !(share > 0.0 && share < 1.0) {
                return refuse("validation_share", "between 0 and 1", share);
            }
        }
        Ok(())
    }
}
