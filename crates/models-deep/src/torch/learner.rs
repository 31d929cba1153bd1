use std::sync::{Mutex, PoisonError};

use forecastle_core::{Error, Result};
use tch::{TchError, Tensor};

use crate::dropout::part_key;
use crate::learner::Learner;
use crate::samples::Samples;
use crate::torch::adam_w::AdamW;
use crate::torch::network::{Mode, TorchNetwork, windows};
use crate::torch::weights::Weights;
use crate::training_params::TrainingParams;

/// libtorch has one generator for all threads: whoever drops out seeds it and draws under this lock,
/// so that fits beside each other draw what each would draw alone.
static GENERATOR: Mutex<()> = Mutex::new(());

/// Wraps libtorch's error.
pub(crate) fn failed(error: TchError) -> Error {
    Error::component("libtorch", error)
}

/// A network in training on libtorch.
#[derive(Debug)]
pub(crate) struct TorchLearner<N> {
    network: N,
    params: TrainingParams,
    weights: Weights,
    optimizer: AdamW,
    steps: u64,
    windows: Vec<f32>,
}

impl<N: TorchNetwork> TorchLearner<N> {
    /// Starts from weights in the order of the network's layout.
    ///
    /// # Errors
    /// - [`Error::Component`].
    pub(crate) fn new(
        network: N,
        params: &TrainingParams,
        weights: &[f32],
        device: tch::Device,
    ) -> Result<Self> {
        let mut weights = Weights::new(network.layout(), weights, device, true).map_err(failed)?;
        let optimizer = AdamW::new(weights.flat()).map_err(failed)?;
        Ok(Self { network, params: *params, weights, optimizer, steps: 0, windows: Vec::new() })
    }

    /// The mean squared error of a batch, a tensor without dimensions.
    fn batch_loss(
        &mut self,
        samples: &Samples,
        rows: &[usize],
        mode: Mode,
    ) -> Result<Tensor, TchError> {
        let device = self.weights.device();
        let inputs = windows(&self.network, samples, rows, &mut self.windows, device)?;
        let mut answers = vec![0.0; rows.len() * samples.n_answers()];
        samples.answers_into(rows, &mut answers);
        let shape = [rows.len() as i64, samples.n_answers() as i64];
        let answers = Tensor::f_from_slice(&answers)?.f_view(shape)?.f_to_device(device)?;
        let outputs = self.network.outputs(&self.weights, &inputs, mode)?;
        if samples.weights.is_none() {
            return outputs.f_mse_loss(&answers, tch::Reduction::Mean);
        }
        let errors = outputs.f_sub(&answers)?.f_square()?.f_mean_dim(1, false, None)?;
        let weights: Vec<f32> = rows.iter().map(|&row| samples.weight(row)).collect();
        let weights = Tensor::f_from_slice(&weights)?.f_to_device(device)?;
        let sum = errors.f_mul(&weights)?.f_sum(None)?;
        sum.f_div_scalar(samples.total_weight(rows))
    }

    fn try_step(
        &mut self,
        samples: &Samples,
        rows: &[usize],
        learning_rate: f64,
    ) -> Result<f64, TchError> {
        let loss = if self.network.dropout() > 0.0 {
            let _drawing = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
            tch::manual_seed(part_key(self.params.seed, self.steps) as i64);
            self.batch_loss(samples, rows, Mode::Training)?
        } else {
            self.batch_loss(samples, rows, Mode::Training)?
        };
        self.steps += 1;
        let value = loss.f_double_value(&[])?;
        if !value.is_finite() {
            return Ok(value);
        }
        let tensors = self.weights.tensors();
        let gradients = Tensor::f_run_backward(&[loss], &tensors, false, false)?;
        tch::no_grad(|| {
            let flat = Tensor::f_flatten_dense_tensors(&gradients)?;
            self.optimizer.step(self.weights.flat(), flat, learning_rate, &self.params)
        })?;
        Ok(value)
    }
}

impl<N: TorchNetwork> Learner for TorchLearner<N> {
    fn weights(&mut self) -> Result<Vec<f32>> {
        self.weights.to_vec().map_err(failed)
    }

    fn step(&mut self, samples: &Samples, rows: &[usize], learning_rate: f64) -> Result<f64> {
        self.try_step(samples, rows, learning_rate).map_err(failed)
    }

    fn loss(&mut self, samples: &Samples, rows: &[usize]) -> Result<f64> {
        let loss = tch::no_grad(|| self.batch_loss(samples, rows, Mode::Prediction));
        loss.and_then(|loss| loss.f_double_value(&[])).map_err(failed)
    }
}
