use tch::{TchError, Tensor};

use crate::network::Network;
use crate::torch::autoencoder::activate;
use crate::torch::network::{Mode, TorchNetwork};
use crate::torch::weights::Weights;
use crate::transformer_network::TransformerNetwork;

/// `PyTorch`'s own, in `nn.LayerNorm`.
const EPSILON: f64 = 1e-5;

impl TorchNetwork for TransformerNetwork {
    fn outputs(&self, weights: &Weights, inputs: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let mut stream = weights.linear("input", inputs)?;
        stream = stream.f_add(weights.find("position.weight")?)?;
        for layer in 0.. {
            let name = format!("encoder.layers.{layer}");
            if weights.find(&format!("{name}.linear1.weight")).is_err() {
                break;
            }
            stream = Layer { network: self, weights, name, mode }.outputs(stream)?;
        }
        let last = stream.f_select(1, self.lookback() as i64 - 1)?;
        weights.linear("head", &norm(weights, "encoder.norm", &last)?)
    }
}

/// `nn.TransformerEncoderLayer` with `norm_first`.
struct Layer<'a> {
    network: &'a TransformerNetwork,
    weights: &'a Weights,
    name: String,
    mode: Mode,
}

impl Layer<'_> {
    /// - `stream`: `(batch, lookback, width)`, and so is what comes out
    fn outputs(&self, stream: Tensor) -> Result<Tensor, TchError> {
        let attended = self.attend(&self.norm("norm1", &stream)?)?;
        let stream = stream.f_add(&self.drop(attended)?)?;
        let inner = self.linear("linear1", &self.norm("norm2", &stream)?)?;
        let inner = self.drop(activate(self.network.activation(), inner)?)?;
        let outer = self.drop(self.linear("linear2", &inner)?)?;
        stream.f_add(&outer)
    }

    fn attend(&self, inputs: &Tensor) -> Result<Tensor, TchError> {
        let bias = self.weights.find(&format!("{}.self_attn.in_proj_bias", self.name))?;
        let weight = self.weights.find(&format!("{}.self_attn.in_proj_weight", self.name))?;
        let heads = self.network.n_heads() as i64;
        // (batch, lookback, 3 · width) → 3 of (batch, heads, lookback, width / heads)
        let projected = inputs.f_linear(weight, Some(bias))?;
        let parts = projected.f_unflatten(2, [3, heads, -1])?.f_permute([2, 0, 3, 1, 4])?;
        let [query, key, value] = [0, 1, 2].map(|part| parts.f_select(0, part));
        let mixed = Tensor::f_scaled_dot_product_attention(
            &query?,
            &key?,
            &value?,
            None::<Tensor>,
            self.dropout(),
            false,
            None,
            false,
        )?;
        self.linear("self_attn.out_proj", &mixed.f_transpose(1, 2)?.f_flatten(2, 3)?)
    }

    fn dropout(&self) -> f64 {
        if self.mode == Mode::Training { self.network.dropout() } else { 0.0 }
    }

    fn drop(&self, values: Tensor) -> Result<Tensor, TchError> {
        match self.dropout() {
            rate if rate > 0.0 => values.f_dropout(rate, true),
            _ => Ok(values),
        }
    }

    fn linear(&self, name: &str, inputs: &Tensor) -> Result<Tensor, TchError> {
        self.weights.linear(&format!("{}.{name}", self.name), inputs)
    }

    fn norm(&self, name: &str, inputs: &Tensor) -> Result<Tensor, TchError> {
        norm(self.weights, &format!("{}.{name}", self.name), inputs)
    }
}

fn norm(weights: &Weights, name: &str, inputs: &Tensor) -> Result<Tensor, TchError> {
    let weight = weights.find(&format!("{name}.weight"))?;
    let bias = weights.find(&format!("{name}.bias"))?;
    inputs.f_layer_norm(weight.size(), Some(weight), Some(bias), EPSILON, true)
}
