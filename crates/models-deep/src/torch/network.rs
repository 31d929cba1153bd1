use tch::{Device, TchError, Tensor};

use crate::network::{Network, WindowOrder};
use crate::samples::Samples;
use crate::torch::weights::Weights;

/// Says whether numbers are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They are, and gradients are wanted.
    Training,
    /// They are not.
    Prediction,
}

/// A network whose forward pass libtorch can run, under the same names of weights.
pub trait TorchNetwork: Network {
    /// Computes the outputs: `(batch, n_outputs)`.
    ///
    /// - `inputs`: `(lookback, batch, n_features)` or `(batch, lookback, n_features)`, as
    ///   [`ORDER`](Network::ORDER) says
    ///
    /// # Errors
    /// libtorch's own.
    fn outputs(&self, weights: &Weights, inputs: &Tensor, mode: Mode) -> Result<Tensor, TchError>;
}

/// Puts the windows that end at `rows` on a device, as [`TorchNetwork::outputs`] takes them.
///
/// - `buffer`: kept from batch to batch
pub(crate) fn windows<N: Network>(
    network: &N,
    samples: &Samples,
    rows: &[usize],
    buffer: &mut Vec<f32>,
    device: Device,
) -> Result<Tensor, TchError> {
    let (lookback, width) = (network.lookback(), samples.n_features);
    buffer.resize(rows.len() * lookback * width, 0.0);
    samples.windows_into(rows, lookback, N::ORDER, buffer);
    let (batch, lookback, width) = (rows.len() as i64, lookback as i64, width as i64);
    let shape = match N::ORDER {
        WindowOrder::TimeMajor => [lookback, batch, width],
        WindowOrder::SampleMajor => [batch, lookback, width],
    };
    Tensor::f_from_slice(buffer)?.f_view(shape)?.f_to_device(device)
}
