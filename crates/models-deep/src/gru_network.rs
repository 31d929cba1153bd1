use crate::aligned::Aligned;
use crate::dropout::Dropout;
use crate::gru_layer::{BackwardWorkspace, GruLayer, LayerWorkspace, Sequences};
use crate::layout::Layout;
use crate::linear::Linear;
use crate::matrix::Write;
use crate::network::{Network, WindowOrder};
use crate::real::Real;

/// A stack of gated recurrent units and a linear head on the last layer's last state: one number a
/// window.
///
/// It is `PyTorch`'s `nn.GRU(n_features, hidden_size, n_layers, batch_first, dropout)`, started from
/// zeros, and `nn.Linear(hidden_size, 1)`, under the same names (`gru.weight_ih_l0`, …,
/// `head.weight`), shapes and draws. Dropout falls on the states of every layer but the last.
///
/// # References
/// K. Cho et al., *Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
/// Translation*, 2014, arXiv:1406.1078; in the variant with the reset gate after the product.
#[derive(Debug, Clone, PartialEq)]
pub struct GruNetwork {
    n_features: usize,
    lookback: usize,
    dropout: f64,
    layout: Layout,
    layers: Vec<GruLayer>,
    head: Linear,
}

impl GruNetwork {
    /// Lays the network out; sizes are at least 1, `dropout` is a share below 1.
    pub fn new(
        n_features: usize,
        lookback: usize,
        hidden_size: usize,
        n_layers: usize,
        dropout: f64,
    ) -> Self {
        let mut layout = Layout::default();
        let layers = (0..n_layers)
            .map(|k| {
                let n_inputs = if k == 0 { n_features } else { hidden_size };
                GruLayer::new(&mut layout, [k, n_layers], n_inputs, hidden_size)
            })
            .collect();
        let head = Linear::new(&mut layout, "head", hidden_size, 1);
        Self { n_features, lookback, dropout, layout, layers, head }
    }
}

/// Room for a batch of windows on their way through a [`GruNetwork`].
#[derive(Debug)]
pub struct GruWorkspace<T> {
    layers: Vec<LayerWorkspace<T>>,
    /// `(layers but the last, lookback · batch, width)`: states as dropout left them.
    dropped: Vec<Aligned<T>>,
    /// `(batch, hidden_size)`: the last states.
    last: Vec<T>,
    /// `(batch, hidden_size)`: the loss's derivative by them.
    d_last: Vec<T>,
    backward: BackwardWorkspace<T>,
}

impl Network for GruNetwork {
    const ORDER: WindowOrder = WindowOrder::TimeMajor;

    type Workspace<T: Real> = GruWorkspace<T>;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn lookback(&self) -> usize {
        self.lookback
    }

    fn n_features(&self) -> usize {
        self.n_features
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }

    fn n_outputs(&self) -> usize {
        1
    }

    fn workspace<T: Real>(&self, capacity: usize) -> GruWorkspace<T> {
        let (steps, hidden_size) = (self.lookback, self.head.n_inputs);
        let between = self.layers.len().saturating_sub(1);
        let dropped = self.layers.iter().take(between);
        GruWorkspace {
            dropped: dropped.map(|l| Aligned::new(T::ZERO, steps * capacity * l.width())).collect(),
            layers: self.layers.iter().map(|l| l.workspace(steps, capacity)).collect(),
            last: vec![T::ZERO; capacity * hidden_size],
            d_last: vec![T::ZERO; capacity * hidden_size],
            backward: BackwardWorkspace::new(&self.layers, steps, capacity),
        }
    }

    fn forward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        dropout: Option<Dropout>,
        workspace: &mut GruWorkspace<T>,
        outputs: &mut [T],
    ) {
        let batch = outputs.len();
        if batch == 0 {
            return;
        }
        let GruWorkspace { layers, dropped, last, .. } = workspace;
        for (k, layer) in self.layers.iter().enumerate() {
            let (below, at) = layers.split_at_mut(k);
            let Some(at) = at.first_mut() else { continue };
            let inputs = self.inputs_of(k, batch, inputs, dropout, below, dropped);
            layer.forward(weights, inputs, at);
            if let (Some(dropout), Some(dropped)) = (dropout, dropped.get_mut(k)) {
                let states = &at.states[..self.lookback * batch * layer.width()];
                let dropped = &mut dropped[..states.len()];
                dropped.copy_from_slice(states);
                dropout.apply(k as u64, dropped);
            }
        }
        let (Some(layer), Some(at)) = (self.layers.last(), layers.last()) else { return };
        let (size, width) = (self.head.n_inputs, layer.width());
        let states = at.states[(self.lookback - 1) * batch * width..].chunks_exact(width);
        let last = &mut last[..batch * size];
        for (to, from) in last.chunks_exact_mut(size).zip(states) {
            to.copy_from_slice(&from[..size]);
        }
        self.head.forward(weights, last, outputs);
    }

    fn backward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        dropout: Option<Dropout>,
        d_outputs: &[T],
        workspace: &mut GruWorkspace<T>,
        gradients: &mut [T],
    ) {
        let (batch, size) = (d_outputs.len(), self.head.n_inputs);
        if batch == 0 {
            return;
        }
        let GruWorkspace { layers, dropped, last, d_last, backward } = workspace;
        let (last, d_last) = (&last[..batch * size], &mut d_last[..batch * size]);
        self.head.backward_weights(last, d_outputs, gradients);
        self.head.backward_inputs(weights, d_outputs, d_last, Write::Replace);
        backward.start(d_last, size);
        for (k, layer) in self.layers.iter().enumerate().rev() {
            let (below, at) = layers.split_at_mut(k);
            let Some(at) = at.first_mut() else { continue };
            let inputs = self.inputs_of(k, batch, inputs, dropout, below, dropped);
            layer.backward(weights, inputs, at, backward, gradients);
            if let (Some(dropout), Some(below)) = (dropout, k.checked_sub(1)) {
                let n = self.lookback * batch * layer.width();
                dropout.apply(below as u64, &mut backward.d_sequence[..n]);
            }
        }
    }
}

impl GruNetwork {
    /// What goes into layer `k`.
    fn inputs_of<'a, T: Real>(
        &self,
        k: usize,
        batch: usize,
        inputs: &'a [T],
        dropout: Option<Dropout>,
        below: &'a [LayerWorkspace<T>],
        dropped: &'a [Aligned<T>],
    ) -> Sequences<'a, T> {
        let steps = self.lookback;
        let below =
            k.checked_sub(1).and_then(|k| Some((&self.layers[k], below.get(k)?, dropped.get(k)?)));
        match below {
            None => Sequences { data: inputs, stride: self.n_features, steps, batch },
            Some((layer, states, dropped)) => {
                let data = if dropout.is_some() { dropped } else { &states.states };
                Sequences { data, stride: layer.width(), steps, batch }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check_network, noise, worst_error};

    /// `PyTorch`'s formulas, one window, number by number.
    fn plain(network: &GruNetwork, weights: &[f64], window: &[f64]) -> f64 {
        let get = |name: &str| {
            let all = network.layout().parameters();
            let p = all.iter().find(|p| p.name == name).unwrap();
            &weights[p.range.clone()]
        };
        let dot = |row: usize, w: &[f64], x: &[f64]| {
            (0..x.len()).map(|i| w[row * x.len() + i] * x[i]).sum::<f64>()
        };
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let size = network.head.n_inputs;
        let mut sequence: Vec<Vec<f64>> =
            window.chunks_exact(network.n_features).map(<[f64]>::to_vec).collect();
        for k in 0..network.layers.len() {
            let [wi, wh, bi, bh] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
                .map(|name| get(&format!("gru.{name}_l{k}")));
            let mut h = vec![0.0; size];
            for x in &mut sequence {
                let from_input = |row: usize| dot(row, wi, x) + bi[row];
                let from_state = |row: usize| dot(row, wh, &h) + bh[row];
                h = (0..size)
                    .map(|i| {
                        let r = sigmoid(from_input(i) + from_state(i));
                        let z = sigmoid(from_input(size + i) + from_state(size + i));
                        let n = (from_input(2 * size + i) + r * from_state(2 * size + i)).tanh();
                        (1.0 - z) * n + z * h[i]
                    })
                    .collect();
                x.clone_from(&h);
            }
        }
        dot(0, get("head.weight"), &sequence[network.lookback - 1]) + get("head.bias")[0]
    }

    /// Windows after windows, from those in the network's order.
    fn windows(network: &GruNetwork, inputs: &[f64], batch: usize) -> Vec<Vec<f64>> {
        let rows: Vec<&[f64]> = inputs.chunks_exact(network.n_features).collect();
        (0..batch)
            .map(|b| (0..network.lookback).flat_map(|t| rows[t * batch + b].to_vec()).collect())
            .collect()
    }

    fn weights_of(network: &GruNetwork) -> Vec<f64> {
        network.layout().draw(1).into_iter().map(|w| 3.0 * f64::from(w)).collect()
    }

    #[test]
    fn layout_is_that_of_pytorch() {
        let network = GruNetwork::new(5, 7, 4, 2, 0.1);
        let names: Vec<_> = network
            .layout()
            .parameters()
            .iter()
            .map(|p| (p.name.as_str(), p.shape.as_slice()))
            .collect();
        let wanted: [(&str, &[usize]); 10] = [
            ("gru.weight_ih_l0", &[12, 5]),
            ("gru.weight_hh_l0", &[12, 4]),
            ("gru.bias_ih_l0", &[12]),
            ("gru.bias_hh_l0", &[12]),
            ("gru.weight_ih_l1", &[12, 4]),
            ("gru.weight_hh_l1", &[12, 4]),
            ("gru.bias_ih_l1", &[12]),
            ("gru.bias_hh_l1", &[12]),
            ("head.weight", &[1, 4]),
            ("head.bias", &[1]),
        ];
        assert_eq!(names, wanted);
        let draws = network.layout().draw(0);
        assert!(draws.iter().all(|w| w.abs() <= 0.5) && draws.iter().any(|w| w.abs() > 0.45));
    }

    #[test]
    fn outputs_are_those_of_the_plain_formulas() {
        for (features, lookback, hidden, layers, batch) in [
            (1, 1, 1, 1, 1),
            (5, 7, 4, 1, 3),
            (26, 5, 17, 2, 9),
            (3, 4, 33, 3, 2),
            (4, 6, 48, 1, 20),
        ] {
            let network = GruNetwork::new(features, lookback, hidden, layers, 0.0);
            let weights = weights_of(&network);
            let inputs = noise(2, batch * lookback * features);
            let mut workspace = network.workspace::<f64>(batch + 2);
            let mut outputs = vec![f64::NAN; batch];
            network.forward(&weights, &inputs, None, &mut workspace, &mut outputs);
            for (window, y) in windows(&network, &inputs, batch).iter().zip(&outputs) {
                let wanted = plain(&network, &weights, window);
                assert!((y - wanted).abs() < 1e-12, "hidden {hidden}: {y} {wanted}");
                let mut one = [f64::NAN];
                network.predict_one(&weights, window, &mut workspace, &mut one);
                assert!((one[0] - wanted).abs() < 1e-12, "hidden {hidden}: {} {wanted}", one[0]);
            }
        }
    }

    #[test]
    fn one_window_is_predicted_as_in_a_batch_in_f32() {
        for (hidden, layers) in [(64, 1), (20, 3)] {
            let network = GruNetwork::new(26, 32, hidden, layers, 0.0);
            let weights: Vec<f32> =
                weights_of(&network).into_iter().map(|w| w as f32 / 3.0).collect();
            let inputs = noise(2, 8 * 32 * 26);
            let single: Vec<f32> = inputs.iter().map(|&x| x as f32).collect();
            let mut workspace = network.workspace::<f32>(8);
            let mut outputs = [f32::NAN; 8];
            network.forward(&weights, &single, None, &mut workspace, &mut outputs);
            for (window, y) in windows(&network, &inputs, 8).iter().zip(outputs) {
                let window: Vec<f32> = window.iter().map(|&x| x as f32).collect();
                let mut one = [f32::NAN];
                network.predict_one(&weights, &window, &mut workspace, &mut one);
                assert!((one[0] - y).abs() < 1e-6, "{} {y}", one[0]);
                // In a workspace that holds nothing else.
                let mut fresh = [f32::NAN];
                let mut workspace = network.workspace::<f32>(1);
                network.predict_one(&weights, &window, &mut workspace, &mut fresh);
                assert_eq!(one, fresh);
            }
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for layers in 1..=3 {
            for (lookback, batch) in [(2, 1), (2, 3), (7, 1), (7, 3)] {
                for dropout in [None, Some(Dropout::new(0.4, 9))] {
                    check_network(&GruNetwork::new(3, lookback, 5, layers, 0.4), batch, dropout);
                }
            }
        }
        check_network(&GruNetwork::new(2, 3, 17, 2, 0.0), 9, None);
    }

    #[test]
    fn a_single_step_has_gradients_by_all_but_the_state_weights() {
        for (layers, batch) in [(1, 1), (2, 1), (3, 3)] {
            let network = GruNetwork::new(3, 1, 5, layers, 0.0);
            let weights = weights_of(&network);
            let inputs = noise(2, batch * 3);
            let pull = noise(3, batch);
            let mut workspace = network.workspace::<f64>(batch);
            let mut outputs = vec![0.0; batch];
            let mut loss = |weights: &[f64]| {
                network.forward(weights, &inputs, None, &mut workspace, &mut outputs);
                outputs.iter().zip(&pull).map(|(y, p)| y * p).sum::<f64>()
            };
            loss(&weights);
            let mut gradients = vec![0.0; weights.len()];
            let (mut used, mut outputs) = (network.workspace::<f64>(batch), vec![0.0; batch]);
            network.forward(&weights, &inputs, None, &mut used, &mut outputs);
            network.backward(&weights, &inputs, None, &pull, &mut used, &mut gradients);
            let worst = worst_error(&weights, &gradients, &mut loss);
            assert!(worst < 1e-6, "{worst:e}");
            for p in network.layout().parameters() {
                let moved = gradients[p.range.clone()].iter().any(|&g| g != 0.0);
                assert_eq!(moved, !p.name.contains("weight_hh"), "{}", p.name);
            }
        }
    }

    #[test]
    fn other_windows_change_nothing() {
        let network = GruNetwork::new(6, 5, 20, 2, 0.5);
        let weights: Vec<f32> = network.layout().draw(1);
        let mut inputs: Vec<f32> = noise(2, 11 * 5 * 6).into_iter().map(|x| x as f32).collect();
        let mut workspace = network.workspace::<f32>(16);
        let mut outputs = [[0.0_f32; 11]; 2];
        for (round, outputs) in outputs.iter_mut().enumerate() {
            network.forward(&weights, &inputs, None, &mut workspace, outputs);
            if round == 0 {
                for (row, values) in inputs.chunks_exact_mut(6).enumerate() {
                    if row % 11 != 4 {
                        values.iter_mut().for_each(|v| *v = 3.0 - 7.0 * *v);
                    }
                }
            }
        }
        let [first, second] = outputs;
        assert_eq!(first[4].to_bits(), second[4].to_bits());
        assert!((0..11).all(|b| b == 4 || first[b] != second[b]));
    }

    #[test]
    fn no_windows_are_no_work() {
        let network = GruNetwork::new(3, 4, 6, 2, 0.5);
        let weights = weights_of(&network);
        let mut workspace = network.workspace::<f64>(2);
        let mut gradients = vec![0.0; weights.len()];
        network.forward(&weights, &[], None, &mut workspace, &mut []);
        network.backward(&weights, &[], None, &[], &mut workspace, &mut gradients);
        assert!(gradients.iter().all(|&g| g == 0.0));
    }

    #[test]
    fn dropout_falls_between_layers_alone() {
        let dropout = Some(Dropout::new(0.5, 3));
        for (layers, changes) in [(1, false), (2, true)] {
            let network = GruNetwork::new(3, 4, 6, layers, 0.5);
            let weights = weights_of(&network);
            let inputs = noise(2, 2 * 4 * 3);
            let mut workspace = network.workspace::<f64>(2);
            let (mut with, mut without) = ([0.0; 2], [0.0; 2]);
            network.forward(&weights, &inputs, dropout, &mut workspace, &mut with);
            network.forward(&weights, &inputs, None, &mut workspace, &mut without);
            assert_eq!(with != without, changes);
        }
    }
}
