use tch::{Kind, TchError, Tensor};

use crate::gru_network::GruNetwork;
use crate::network::{Network, WindowOrder};
use crate::torch::network::{Mode, TorchNetwork};
use crate::torch::weights::Weights;

impl TorchNetwork for GruNetwork {
    fn outputs(&self, weights: &Weights, inputs: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let (time, batch) = match Self::ORDER {
            WindowOrder::TimeMajor => (0, 1),
            WindowOrder::SampleMajor => (1, 0),
        };
        let mut tensors = Vec::new();
        for layer in 0.. {
            let names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];
            let found = names.map(|name| weights.find(&format!("gru.{name}_l{layer}")).ok());
            match found.into_iter().collect::<Option<Vec<_>>>() {
                Some(found) => tensors.extend(found),
                None => break,
            }
        }
        let n_layers = (tensors.len() / 4) as i64;
        let hidden_size = weights.find("gru.weight_hh_l0")?.size().last().copied().unwrap_or(0);
        let n = inputs.size().get(batch).copied().unwrap_or(0);
        let start = Tensor::f_zeros([n_layers, n, hidden_size], (Kind::Float, weights.device()))?;
        let training = mode == Mode::Training;
        let dropout = self.dropout();
        let (_, states) =
            inputs.f_gru(&start, &tensors, true, n_layers, dropout, training, false, time == 1)?;
        weights.linear("head", &states.f_select(0, n_layers - 1)?)
    }
}
