use tch::{TchError, Tensor};

use crate::activation::Activation;
use crate::autoencoder_network::AutoencoderNetwork;
use crate::torch::network::{Mode, TorchNetwork};
use crate::torch::weights::Weights;

impl TorchNetwork for AutoencoderNetwork {
    fn outputs(&self, weights: &Weights, inputs: &Tensor, _: Mode) -> Result<Tensor, TchError> {
        // Windows of one row: `(batch, 1, n_features)`.
        let rows = inputs.f_flatten(0, 1)?;
        let latents = chain(self.activation(), weights, "encoder", &rows)?;
        chain(self.activation(), weights, "decoder", &latents)
    }
}

/// Runs a `torch.nn.Sequential` of linear layers with activations between them.
fn chain(
    activation: Activation,
    weights: &Weights,
    name: &str,
    inputs: &Tensor,
) -> Result<Tensor, TchError> {
    let mut outputs = weights.linear(&format!("{name}.0"), inputs)?;
    for layer in 1.. {
        let name = format!("{name}.{}", 2 * layer);
        if weights.find(&format!("{name}.weight")).is_err() {
            break;
        }
        outputs = weights.linear(&name, &activate(activation, outputs)?)?;
    }
    Ok(outputs)
}

/// Applies an activation.
pub(crate) fn activate(activation: Activation, inputs: Tensor) -> Result<Tensor, TchError> {
    match activation {
        Activation::Identity => Ok(inputs),
        Activation::Relu => inputs.f_relu(),
        Activation::Gelu => inputs.f_gelu("none"),
        Activation::Tanh => inputs.f_tanh(),
    }
}
