use crate::simd::vectorised;
use crate::training_params::TrainingParams;

/// Numbers whose squares are summed side by side, so that the sum vectorises.
const LANES: usize = 16;

/// Moves weights by `AdamW`, in the arithmetic of `PyTorch`: constants and bias corrections in
/// `f64`, weights and moments in `f32`.
///
/// # References
/// I. Loshchilov, F. Hutter, *Decoupled Weight Decay Regularization*, 2019, arXiv:1711.05101.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AdamW {
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
    weight_decay: f64,
    steps: i32,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl AdamW {
    pub(crate) fn new(params: &TrainingParams, n_weights: usize) -> Self {
        Self {
            beta_1: params.beta_1,
            beta_2: params.beta_2,
            epsilon: params.epsilon,
            weight_decay: params.weight_decay,
            steps: 0,
            first: vec![0.0; n_weights],
            second: vec![0.0; n_weights],
        }
    }

    /// Takes one step along `gradients · factor`.
    pub(crate) fn step(
        &mut self,
        weights: &mut [f32],
        gradients: &[f32],
        factor: f64,
        learning_rate: f64,
    ) {
        self.steps = self.steps.saturating_add(1);
        let keep = (1.0 - learning_rate * self.weight_decay) as f32;
        let (beta_2, epsilon) = (self.beta_2 as f32, self.epsilon as f32);
        let (fresh_1, fresh_2) = ((1.0 - self.beta_1) as f32, (1.0 - self.beta_2) as f32);
        let size = (learning_rate / (1.0 - self.beta_1.powi(self.steps))) as f32;
        let root = (1.0 / (1.0 - self.beta_2.powi(self.steps)).sqrt()) as f32;
        let factor = factor as f32;
        let (first, second) = (&mut self.first, &mut self.second);
        vectorised(
            #[inline(always)]
            || {
                let moments = first.iter_mut().zip(second.iter_mut());
                for ((weight, &gradient), (first, second)) in
                    weights.iter_mut().zip(gradients).zip(moments)
                {
                    let gradient = gradient * factor;
                    *first += (gradient - *first) * fresh_1;
                    *second = *second * beta_2 + gradient * gradient * fresh_2;
                    *weight = *weight * keep - size * (*first / (second.sqrt() * root + epsilon));
                }
            },
        );
    }
}

/// What gradients are multiplied by so that their norm is at most `clip`, as
/// `torch.nn.utils.clip_grad_norm_` does; their squares are summed in `f64` and a fixed order.
pub(crate) fn clip_factor(gradients: &[f32], clip: Option<f64>) -> f64 {
    let Some(clip) = clip else { return 1.0 };
    let (blocks, rest) = gradients.as_chunks::<LANES>();
    let mut sums = vectorised(
        #[inline(always)]
        || {
            let mut sums = [0.0_f64; LANES];
            for block in blocks {
                for (sum, &g) in sums.iter_mut().zip(block) {
                    *sum += f64::from(g) * f64::from(g);
                }
            }
            sums
        },
    );
    for (sum, &g) in sums.iter_mut().zip(rest) {
        *sum += f64::from(g) * f64::from(g);
    }
    (clip / (sums.iter().sum::<f64>().sqrt() + 1e-6)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_steps_are_those_computed_by_hand() {
        let params = TrainingParams { weight_decay: 0.1, ..TrainingParams::default() };
        let mut adam = AdamW::new(&params, 2);
        let mut weights = [1.0_f32, -0.5];
        // With bias corrections by hand: m1 = 0.1·g, v1 = 0.001·g², both corrections undo the
        // factor, so the first step is lr · g / (|g| + ε).
        adam.step(&mut weights, &[0.5, -2.0], 1.0, 0.1);
        assert!((f64::from(weights[0]) - (0.99 - 0.1)).abs() < 1e-7);
        assert!((f64::from(weights[1]) - (-0.495 + 0.1)).abs() < 1e-7);
        // g = 1: m2 = 0.09·0.5 ⁄ … : m̂ = (0.9·0.05 + 0.1) / 0.19, v̂ = (0.999·0.00025 + 0.001) / 0.001999.
        adam.step(&mut weights, &[1.0, 0.0], 1.0, 0.1);
        let m = (0.9 * 0.05 + 0.1) / 0.19;
        let v = (0.999 * 0.000_25 + 0.001) / 0.001_999;
        let second = 0.89 * 0.99 - 0.1 * m / (f64::sqrt(v) + 1e-8);
        assert!((f64::from(weights[0]) - second).abs() < 1e-6, "{} {second}", weights[0]);
        // g = −4, clipped to −1 by the factor.
        adam.step(&mut weights, &[-4.0, 0.0], 0.25, 0.05);
        let m = (0.9 * 0.145 - 0.1) / (1.0 - 0.9_f64.powi(3));
        let v = (0.999 * (0.999 * 0.000_25 + 0.001) + 0.001) / (1.0 - 0.999_f64.powi(3));
        let third = second * 0.995 - 0.05 * m / (v.sqrt() + 1e-8);
        assert!((f64::from(weights[0]) - third).abs() < 1e-6, "{} {third}", weights[0]);
    }

    #[test]
    fn gradients_are_clipped_by_their_norm_as_in_pytorch() {
        let gradients: Vec<f32> = (0..100).map(|i| if i == 37 { 3.0 } else { 0.0 }).collect();
        assert_eq!(clip_factor(&gradients, None), 1.0);
        assert_eq!(clip_factor(&gradients, Some(4.0)), 1.0);
        assert_eq!(clip_factor(&gradients, Some(1.5)), 1.5 / (3.0 + 1e-6));
        // The number past the last whole block counts too.
        let gradients = [vec![0.0; 16], vec![3.0, 4.0]].concat();
        assert_eq!(clip_factor(&gradients, Some(1.0)), 1.0 / (5.0 + 1e-6));
    }
}
