use crate::activation::Activation;
use crate::dropout::Dropout;
use crate::layout::Layout;
use crate::linear::Linear;
use crate::matrix::Write;
use crate::network::{Network, WindowOrder};
use crate::real::Real;

/// Squeezes a row through fewer numbers and rebuilds it.
///
/// The encoder is a chain of linear layers with activations between them, the decoder the same
/// chain backwards. The names are those of two `torch.nn.Sequential`, whose activations take up a
/// number each: `encoder.0.weight`, `encoder.2.weight`, `decoder.0.weight`, …
#[derive(Debug, Clone, PartialEq)]
pub struct AutoencoderNetwork {
    layout: Layout,
    layers: Vec<Linear>,
    /// Layers of the encoder, the first of `layers`.
    n_encoding: usize,
    activation: Activation,
    n_features: usize,
}

impl AutoencoderNetwork {
    /// - `hidden`: widths between features and latents
    pub(crate) fn new(
        n_features: usize,
        hidden: &[usize],
        latents: usize,
        activation: Activation,
    ) -> Self {
        let mut widths = vec![n_features];
        widths.extend(hidden);
        widths.push(latents);
        let mut layout = Layout::default();
        let mut layers = Vec::new();
        for half in ["encoder", "decoder"] {
            for (i, pair) in widths.windows(2).enumerate() {
                let name = format!("{half}.{}", 2 * i);
                layers.push(Linear::new(&mut layout, &name, pair[0], pair[1]));
            }
            widths.reverse();
        }
        Self { layout, n_encoding: layers.len() / 2, layers, activation, n_features }
    }

    /// The function between linear layers.
    #[cfg(feature = "tch")]
    pub(crate) fn activation(&self) -> Activation {
        self.activation
    }

    /// Computes the latents of some rows.
    ///
    /// - `inputs`: `(batch, n_features)`
    /// - `latents`: `(batch, latents)`, replaced
    pub(crate) fn encode<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        workspace: &mut Workspace<T>,
        latents: &mut [T],
    ) {
        self.run(0..self.n_encoding, weights, inputs, workspace, latents);
    }

    /// Whether an activation follows a layer: not at the latents and not at the end.
    fn is_active(&self, layer: usize) -> bool {
        layer + 1 != self.n_encoding && layer + 1 != self.layers.len()
    }

    fn run<T: Real>(
        &self,
        layers: std::ops::Range<usize>,
        weights: &[T],
        inputs: &[T],
        workspace: &mut Workspace<T>,
        outputs: &mut [T],
    ) {
        let batch = inputs.len() / self.n_features;
        let last = layers.end.saturating_sub(1);
        for layer in layers {
            let linear = &self.layers[layer];
            let (before, rest) = workspace.layers.split_at_mut(layer);
            let input = match before.last() {
                None => inputs,
                Some(room) => &room.after[..batch * linear.n_inputs],
            };
            if layer == last {
                linear.forward(weights, input, outputs);
                continue;
            }
            let room = &mut rest[0];
            let n = batch * linear.n_outputs;
            if self.is_active(layer) {
                linear.forward(weights, input, &mut room.before[..n]);
                self.activation.forward(&room.before[..n], &mut room.after[..n]);
            } else {
                linear.forward(weights, input, &mut room.after[..n]);
            }
        }
    }
}

/// Room for a batch.
#[derive(Debug)]
pub struct Workspace<T> {
    /// One for every layer but the last.
    layers: Vec<Room<T>>,
    d_outputs: Vec<T>,
    d_inputs: Vec<T>,
}

/// What a layer gives: before and after its activation, `(batch, n_outputs)`.
#[derive(Debug)]
struct Room<T> {
    before: Vec<T>,
    after: Vec<T>,
}

impl Network for AutoencoderNetwork {
    const ORDER: WindowOrder = WindowOrder::SampleMajor;

    // Rows are cheap: sharing out fewer of them costs more than it saves.
    const SHARD: usize = 256;

    type Workspace<T: Real> = Workspace<T>;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn lookback(&self) -> usize {
        1
    }

    fn n_features(&self) -> usize {
        self.n_features
    }

    fn dropout(&self) -> f64 {
        0.0
    }

    fn n_outputs(&self) -> usize {
        self.n_features
    }

    fn workspace<T: Real>(&self, capacity: usize) -> Workspace<T> {
        let zeros = |width: usize| vec![T::ZERO; capacity * width];
        let room = |(i, layer): (usize, &Linear)| Room {
            before: if self.is_active(i) { zeros(layer.n_outputs) } else { Vec::new() },
            after: zeros(layer.n_outputs),
        };
        let inner = self.layers.split_last().map_or(&[][..], |(_, inner)| inner);
        let widest = inner.iter().map(|layer| layer.n_outputs).max().unwrap_or(0);
        Workspace {
            layers: inner.iter().enumerate().map(room).collect(),
            d_outputs: zeros(widest),
            d_inputs: zeros(widest),
        }
    }

    fn forward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        _dropout: Option<Dropout>,
        workspace: &mut Workspace<T>,
        outputs: &mut [T],
    ) {
        self.run(0..self.layers.len(), weights, inputs, workspace, outputs);
    }

    fn backward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        _dropout: Option<Dropout>,
        d_outputs: &[T],
        workspace: &mut Workspace<T>,
        gradients: &mut [T],
    ) {
        let batch = inputs.len() / self.n_features;
        let Workspace { layers: rooms, d_outputs: d_room, d_inputs: d_next } = workspace;
        for (layer, linear) in self.layers.iter().enumerate().rev() {
            let d = match rooms.get(layer) {
                None => d_outputs,
                Some(room) => {
                    let n = batch * linear.n_outputs;
                    let d = &mut d_room[..n];
                    if self.is_active(layer) {
                        self.activation.backward(&room.before[..n], &room.after[..n], d);
                    }
                    &*d
                }
            };
            match layer.checked_sub(1).and_then(|before| rooms.get(before)) {
                None => linear.backward_weights(inputs, d, gradients),
                Some(room) => {
                    let n = batch * linear.n_inputs;
                    linear.backward_weights(&room.after[..n], d, gradients);
                    linear.backward_inputs(weights, d, &mut d_next[..n], Write::Replace);
                    std::mem::swap(d_room, d_next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check_network, noise};

    #[test]
    fn gradients_agree_with_finite_differences() {
        for activation in [Activation::Tanh, Activation::Gelu, Activation::Relu] {
            for hidden in [&[][..], &[5], &[6, 4]] {
                check_network(&AutoencoderNetwork::new(7, hidden, 2, activation), 5, None);
            }
        }
    }

    #[test]
    fn names_are_those_of_two_sequentials() {
        let network = AutoencoderNetwork::new(3, &[5, 4], 2, Activation::Relu);
        let parameters = network.layout().parameters();
        let weights = parameters.iter().filter(|p| p.name.ends_with("weight"));
        let names: Vec<_> = weights.map(|p| (p.name.as_str(), p.shape.clone())).collect();
        let wanted = [
            ("encoder.0.weight", vec![5, 3]),
            ("encoder.2.weight", vec![4, 5]),
            ("encoder.4.weight", vec![2, 4]),
            ("decoder.0.weight", vec![4, 2]),
            ("decoder.2.weight", vec![5, 4]),
            ("decoder.4.weight", vec![3, 5]),
        ];
        assert_eq!(names, wanted);
        assert!(parameters.iter().any(|p| p.name == "encoder.4.bias" && p.shape == [2]));
    }

    #[test]
    fn latents_are_what_the_decoder_sees() {
        let network = AutoencoderNetwork::new(4, &[3], 2, Activation::Tanh);
        let weights: Vec<f64> = network.layout().draw(1).into_iter().map(f64::from).collect();
        let inputs = noise(2, 8);
        let mut workspace = network.workspace(2);
        let mut outputs = [0.0; 8];
        network.forward(&weights, &inputs, None, &mut workspace, &mut outputs);
        let seen = workspace.layers[1].after.clone();
        let mut latents = [0.0; 4];
        network.encode(&weights, &inputs, &mut workspace, &mut latents);
        assert_eq!(seen, latents);
        assert!(latents.iter().all(|&z| z != 0.0));
    }
}
