use std::ops::Range;

use crate::activation::Activation;
use crate::aligned::Aligned;
use crate::dropout::Dropout;
use crate::encoder_layer::{AllWorkspace, EncoderLayer, EncoderLayerScratch, LastWorkspace};
use crate::layer_norm::{LayerNorm, LayerNormWorkspace};
use crate::layout::{Init, Layout};
use crate::linear::Linear;
use crate::matrix::Write;
use crate::network::{Network, WindowOrder};
use crate::real::Real;

/// Sizes of a [`TransformerNetwork`]; all at least 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TransformerShape {
    /// Numbers of a position; a multiple of `n_heads`.
    pub(crate) d_model: usize,
    pub(crate) n_heads: usize,
    pub(crate) n_layers: usize,
    /// Numbers between the linear layers of the feed-forward networks.
    pub(crate) feed_forward: usize,
    /// Share of numbers that training drops.
    pub(crate) dropout: f64,
    pub(crate) activation: Activation,
}

/// A Transformer encoder that reads a window and answers one number from its last position.
///
/// Records are projected to `d_model` numbers, learned positions are added, pre-norm encoder layers
/// follow, and a linear head reads the last position after a last layer norm. Weights have the
/// names and shapes of `PyTorch`'s `nn.TransformerEncoder(norm_first=True, batch_first=True)`. Its
/// layers are copies of one layer and begin equal; ours are drawn one by one.
///
/// Nothing reads the other positions of the last layer, so they are not computed.
///
/// # References
/// A. Vaswani et al., *Attention Is All You Need*, 2017, arXiv:1706.03762.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformerNetwork {
    layout: Layout,
    lookback: usize,
    dropout: f64,
    input: Linear,
    position: Range<usize>,
    /// All but the last.
    layers: Vec<EncoderLayer>,
    last_layer: EncoderLayer,
    norm: LayerNorm,
    head: Linear,
}

/// Room for a batch.
#[derive(Debug)]
pub struct TransformerWorkspace<T> {
    /// What goes through the layers, then its derivative: `(n, lookback, d_model)`
    stream: Aligned<T>,
    /// The same behind the last layer: `(n, d_model)`
    last: Aligned<T>,
    layers: Vec<AllWorkspace<T>>,
    last_layer: LastWorkspace<T>,
    norm: LayerNormWorkspace<T>,
    /// `(n, d_model)`
    d_norm: Aligned<T>,
    scratch: EncoderLayerScratch<T>,
}

impl TransformerNetwork {
    pub(crate) fn new(n_features: usize, lookback: usize, shape: TransformerShape) -> Self {
        let TransformerShape { d_model, n_heads, n_layers, feed_forward, dropout, activation } =
            shape;
        let mut layout = Layout::default();
        let input = Linear::new(&mut layout, "input", n_features, d_model);
        let position = layout.add("position.weight", &[lookback, d_model], Init::Normal(0.02));
        let sizes = [d_model, n_heads, lookback, feed_forward];
        let last = n_layers.saturating_sub(1);
        let layers =
            (0..last).map(|i| EncoderLayer::new(&mut layout, i, sizes, activation)).collect();
        let last_layer = EncoderLayer::new(&mut layout, last, sizes, activation);
        let norm = LayerNorm::new(&mut layout, "encoder.norm", d_model);
        let head = Linear::new(&mut layout, "head", d_model, 1);
        Self { layout, lookback, dropout, input, position, layers, last_layer, norm, head }
    }

    /// Heads of every layer's attention.
    #[cfg(feature = "tch")]
    pub(crate) fn n_heads(&self) -> usize {
        self.last_layer.n_heads()
    }

    /// The function inside every layer's feed-forward network.
    #[cfg(feature = "tch")]
    pub(crate) fn activation(&self) -> Activation {
        self.last_layer.activation()
    }

    fn d_model(&self) -> usize {
        self.input.n_outputs
    }
}

impl Network for TransformerNetwork {
    const ORDER: WindowOrder = WindowOrder::SampleMajor;

    type Workspace<T: Real> = TransformerWorkspace<T>;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn lookback(&self) -> usize {
        self.lookback
    }

    fn n_features(&self) -> usize {
        self.input.n_inputs
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }

    fn n_outputs(&self) -> usize {
        1
    }

    fn workspace<T: Real>(&self, capacity: usize) -> TransformerWorkspace<T> {
        let width = self.d_model();
        TransformerWorkspace {
            stream: Aligned::new(T::ZERO, capacity * self.lookback * width),
            last: Aligned::new(T::ZERO, capacity * width),
            layers: self.layers.iter().map(|layer| layer.workspace(capacity)).collect(),
            last_layer: self.last_layer.last_workspace(capacity),
            norm: self.norm.workspace(capacity),
            d_norm: Aligned::new(T::ZERO, capacity * width),
            scratch: self.last_layer.scratch(capacity),
        }
    }

    fn forward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        dropout: Option<Dropout>,
        workspace: &mut TransformerWorkspace<T>,
        outputs: &mut [T],
    ) {
        let n = outputs.len();
        let TransformerWorkspace { stream, last, layers, last_layer, norm, scratch, .. } =
            workspace;
        let stream = &mut stream[..n * self.lookback * self.d_model()];
        self.input.forward(weights, inputs, stream);
        let positions = &weights[self.position.clone()];
        for window in stream.chunks_exact_mut(positions.len()) {
            window.iter_mut().zip(positions).for_each(|(x, &position)| *x += position);
        }
        for (layer, workspace) in self.layers.iter().zip(layers) {
            layer.forward(weights, dropout, stream, workspace, scratch);
        }
        let last = &mut last[..n * self.d_model()];
        self.last_layer.forward_last(weights, dropout, stream, last, last_layer, scratch);
        self.norm.forward(weights, last, norm);
        self.head.forward(weights, &norm.outputs[..last.len()], outputs);
    }

    fn backward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        dropout: Option<Dropout>,
        d_outputs: &[T],
        workspace: &mut TransformerWorkspace<T>,
        gradients: &mut [T],
    ) {
        let n = d_outputs.len();
        let TransformerWorkspace { stream, last, layers, last_layer, norm, d_norm, scratch } =
            workspace;
        let (d_last, d_norm) = (&mut last[..n * self.d_model()], &mut d_norm[..n * self.d_model()]);
        self.head.backward_weights(&norm.outputs[..d_norm.len()], d_outputs, gradients);
        self.head.backward_inputs(weights, d_outputs, d_norm, Write::Replace);
        d_last.fill(T::ZERO);
        self.norm.backward(weights, d_norm, norm, d_last, gradients);
        let d = &mut stream[..n * self.lookback * self.d_model()];
        self.last_layer.backward_last(weights, dropout, d_last, d, last_layer, scratch, gradients);
        for (layer, workspace) in self.layers.iter().zip(layers).rev() {
            layer.backward(weights, dropout, d, workspace, scratch, gradients);
        }
        let d_positions = &mut gradients[self.position.clone()];
        for window in d.chunks_exact(d_positions.len()) {
            d_positions.iter_mut().zip(window).for_each(|(sum, &d)| *sum += d);
        }
        self.input.backward_weights(inputs, d, gradients);
    }
}

#[cfg(test)]
mod plain;

#[cfg(test)]
mod tests {
    use super::plain::Plain;
    use super::*;
    use crate::gradient_check::{check_network, noise};

    fn network(n_layers: usize, n_heads: usize, lookback: usize) -> TransformerNetwork {
        let activation = Activation::Gelu;
        let shape = TransformerShape {
            d_model: 8,
            n_heads,
            n_layers,
            feed_forward: 5,
            dropout: 0.3,
            activation,
        };
        TransformerNetwork::new(3, lookback, shape)
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for n_layers in [1, 2, 3] {
            for n_heads in [1, 2, 4] {
                for lookback in [1, 2, 7] {
                    for dropout in [None, Some(Dropout::new(0.3, 5))] {
                        check_network(&network(n_layers, n_heads, lookback), 3, dropout);
                    }
                }
            }
        }
    }

    #[test]
    fn outputs_are_those_of_the_full_model_in_plain_loops() {
        for n_layers in [1, 2, 3] {
            for n_heads in [1, 2, 4] {
                for lookback in [1, 2, 7, 19] {
                    let network = network(n_layers, n_heads, lookback);
                    let weights = noise(1, network.layout().len());
                    let window = lookback * 3;
                    let inputs = noise(2, 4 * window);
                    let mut workspace = network.workspace(5);
                    let mut outputs = [0.0; 4];
                    network.forward(&weights, &inputs, None, &mut workspace, &mut outputs);
                    let plain = Plain { network: &network, weights: &weights };
                    for (output, window) in outputs.iter().zip(inputs.chunks_exact(window)) {
                        let wanted = plain.answer(n_layers, n_heads, window);
                        assert!((output - wanted).abs() < 1e-12, "{output} {wanted}");
                        let mut one = [0.0];
                        network.predict_one(&weights, window, &mut workspace, &mut one);
                        assert!((one[0] - wanted).abs() < 1e-12);
                    }
                }
            }
        }
    }

    #[test]
    fn names_and_shapes_are_those_of_pytorch() {
        let network = network(2, 2, 7);
        let parameters = network.layout().parameters();
        let shapes: Vec<_> =
            parameters.iter().map(|p| (p.name.as_str(), p.shape.as_slice())).collect();
        let first: [(&str, &[usize]); 3] =
            [("input.weight", &[8, 3]), ("input.bias", &[8]), ("position.weight", &[7, 8])];
        assert_eq!(shapes[..3], first);
        let layer: [(&str, &[usize]); 12] = [
            ("self_attn.in_proj_weight", &[24, 8]),
            ("self_attn.in_proj_bias", &[24]),
            ("self_attn.out_proj.weight", &[8, 8]),
            ("self_attn.out_proj.bias", &[8]),
            ("linear1.weight", &[5, 8]),
            ("linear1.bias", &[5]),
            ("linear2.weight", &[8, 5]),
            ("linear2.bias", &[8]),
            ("norm1.weight", &[8]),
            ("norm1.bias", &[8]),
            ("norm2.weight", &[8]),
            ("norm2.bias", &[8]),
        ];
        for (i, shapes) in shapes[3..27].chunks_exact(12).enumerate() {
            let layer = layer.map(|(name, shape)| (format!("encoder.layers.{i}.{name}"), shape));
            assert!(
                shapes.iter().zip(&layer).all(|(a, b)| *a == (b.0.as_str(), b.1)),
                "{shapes:?}"
            );
        }
        let end: [(&str, &[usize]); 4] = [
            ("encoder.norm.weight", &[8]),
            ("encoder.norm.bias", &[8]),
            ("head.weight", &[1, 8]),
            ("head.bias", &[1]),
        ];
        assert_eq!(shapes[27..], end);
    }

    #[test]
    fn weights_are_drawn_as_pytorch_draws_them() {
        let network = network(2, 2, 7);
        let parameters = network.layout().parameters();
        let init = |name: &str| {
            let found = parameters.iter().find(|p| p.name.ends_with(name));
            found.unwrap_or_else(|| panic!("no {name}")).init
        };
        assert_eq!(init("input.bias"), Init::Uniform(1.0 / 3.0_f64.sqrt()));
        assert_eq!(init("position.weight"), Init::Normal(0.02));
        assert_eq!(init("in_proj_weight"), Init::Uniform((6.0_f64 / 32.0).sqrt()));
        assert_eq!(init("in_proj_bias"), Init::Constant(0.0));
        assert_eq!(init("out_proj.weight"), Init::Uniform(1.0 / 8.0_f64.sqrt()));
        assert_eq!(init("out_proj.bias"), Init::Constant(0.0));
        assert_eq!(init("norm2.weight"), Init::Constant(1.0));
        assert_eq!(init("norm2.bias"), Init::Constant(0.0));
        let weights = network.layout().draw(1);
        let drawn = |name: &str| {
            let found = parameters.iter().find(|p| p.name == name);
            &weights[found.unwrap_or_else(|| panic!("no {name}")).range.clone()]
        };
        let [first, second] =
            [0, 1].map(|i| drawn(&format!("encoder.layers.{i}.self_attn.in_proj_weight")));
        assert_ne!(first, second);
    }

    #[test]
    fn a_constant_window_without_positions_is_a_single_row() {
        let (long, short) = (network(2, 2, 7), network(2, 2, 1));
        let positions = |network: &TransformerNetwork, weights: &mut Vec<f64>| {
            weights[network.position.clone()].fill(0.0);
        };
        let mut weights = noise(1, short.layout().len());
        positions(&short, &mut weights);
        let mut long_weights = weights.clone();
        let place = long.position.start;
        long_weights.splice(place..place, vec![0.0; 6 * 8]);
        let row = noise(2, 3);
        let (mut one, mut seven) = ([0.0], [0.0]);
        short.forward(&weights, &row, None, &mut short.workspace(1), &mut one);
        let mut workspace = long.workspace(1);
        long.forward(&long_weights, &row.repeat(7), None, &mut workspace, &mut seven);
        assert!((one[0] - seven[0]).abs() < 1e-12, "{one:?} {seven:?}");
        let mut gradients = vec![0.0; long_weights.len()];
        long.backward(&long_weights, &row.repeat(7), None, &[1.0], &mut workspace, &mut gradients);
        assert!(gradients.iter().all(|g| g.is_finite()));
    }

    #[test]
    fn other_windows_change_nothing() {
        let network = network(2, 2, 7);
        let weights = network.layout().draw(1);
        let mut inputs: Vec<f32> = noise(2, 3 * 21).into_iter().map(|x| x as f32).collect();
        let mut workspace = network.workspace(3);
        let mut answer = |inputs: &[f32]| {
            let mut outputs = [0.0; 3];
            network.forward(&weights, inputs, None, &mut workspace, &mut outputs);
            outputs
        };
        let first = answer(&inputs);
        inputs[21..].iter_mut().for_each(|x| *x = 1e3 - *x);
        let second = answer(&inputs);
        assert_eq!(first[0], second[0]);
        assert_ne!(first[1], second[1]);
    }

    #[test]
    fn a_nan_in_a_window_comes_out() {
        let network = network(2, 2, 7);
        let weights = network.layout().draw(1);
        let mut inputs = vec![0.5_f32; 21];
        inputs[4] = f32::NAN;
        let mut outputs = [0.0];
        network.forward(&weights, &inputs, None, &mut network.workspace(1), &mut outputs);
        assert!(outputs[0].is_nan());
    }
}
