use tch::{TchError, Tensor};

use crate::training_params::TrainingParams;

/// Takes `AdamW`'s steps as `torch.optim.AdamW` does, after `clip_grad_norm_`.
#[derive(Debug)]
pub(crate) struct AdamW {
    mean: Tensor,
    square: Tensor,
    step: i32,
}

impl AdamW {
    /// Remembers nothing yet of the gradients of `weights`.
    pub(crate) fn new(weights: &Tensor) -> Result<Self, TchError> {
        Ok(Self { mean: weights.f_zeros_like()?, square: weights.f_zeros_like()?, step: 0 })
    }

    /// Changes the weights; call it without gradient tracking.
    ///
    /// - `weights`, `gradient`: `(n,)`
    pub(crate) fn step(
        &mut self,
        weights: &mut Tensor,
        mut gradient: Tensor,
        learning_rate: f64,
        params: &TrainingParams,
    ) -> Result<(), TchError> {
        if let Some(limit) = params.gradient_clip {
            let norm = gradient.f_norm()?.f_add_scalar_(1e-6)?;
            let share = norm.f_reciprocal()?.f_mul_scalar_(limit)?.f_clamp_max(1.0)?;
            let _ = gradient.f_mul_(&share)?;
        }
        self.step += 1;
        let (beta_1, beta_2) = (params.beta_1, params.beta_2);
        let correction_1 = 1.0 - beta_1.powi(self.step);
        let correction_2 = 1.0 - beta_2.powi(self.step);
        let _ = weights.f_mul_scalar_(1.0 - learning_rate * params.weight_decay)?;
        let _ = self.mean.f_lerp_(&gradient, 1.0 - beta_1)?;
        let square = gradient.f_square_()?.f_mul_scalar_(1.0 - beta_2)?;
        let _ = self.square.f_mul_scalar_(beta_2)?.f_add_(&square)?;
        let root = self.square.f_sqrt()?.f_div_scalar_(correction_2.sqrt())?;
        let root = { root }.f_add_scalar_(params.epsilon)?;
        let change = self.mean.f_div(&root)?.f_mul_scalar_(-learning_rate / correction_1)?;
        let _ = weights.f_add_(&change)?;
        Ok(())
    }
}
