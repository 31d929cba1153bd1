use std::ops::Range;

use crate::aligned::Aligned;
use crate::gru_cell::{self, LANES};
use crate::layout::{Init, Layout};
use crate::matrix::{Matrix, MatrixMut, Write, product};
use crate::real::Real;

/// The gates' places in `PyTorch`'s weights.
const R: usize = 0;
const Z: usize = 1;
const N: usize = 2;

/// Gates that inputs reach, in the order in which they lie here.
const BY_INPUT: [usize; 3] = [N, R, Z];

/// Gates that the state reaches, in the order in which they lie here.
const BY_STATE: [usize; 3] = [R, Z, N];

/// One layer of gated recurrent units, all time steps of a batch at once.
///
/// With `x` the step's input and `h` the state before it:
/// `r = σ(W_ir·x + b_ir + W_hr·h + b_hr)`, `z = σ(W_iz·x + b_iz + W_hz·h + b_hz)`,
/// `n = tanh(W_in·x + b_in + r·(W_hn·h + b_hn))`, and the next state is `(1 − z)·n + z·h`.
///
/// Weights lie as `PyTorch` has them, gates in the order r, z, n. Inside, a row of gates is
/// `[n | r | z | q]` with `q = W_hn·h + b_hn`, so that the gates that inputs reach (n, r, z) and those
/// that the state reaches (r, z, q) both lie side by side and each is one matrix product. Every
/// part is `width` numbers wide, `hidden_size` rounded up to whole vectors; what is beyond
/// `hidden_size` has weights of 0 and stays 0 in the states.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GruLayer {
    n_inputs: usize,
    hidden_size: usize,
    width: usize,
    is_first: bool,
    is_last: bool,
    weight_ih: Range<usize>,
    weight_hh: Range<usize>,
    bias_ih: Range<usize>,
    bias_hh: Range<usize>,
}

/// A batch of sequences: `(steps · batch, …)`, step after step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sequences<'a, T> {
    pub(crate) data: &'a [T],
    /// Numbers from one row to the next.
    pub(crate) stride: usize,
    pub(crate) steps: usize,
    pub(crate) batch: usize,
}

/// What a layer's forward pass leaves for its backward pass.
#[derive(Debug)]
pub(crate) struct LayerWorkspace<T> {
    /// `(lookback · batch, 4 · width)`: n, r, z, q; the backward pass replaces them by the loss's
    /// derivatives by what goes into n, r and z, and by q.
    gates: Aligned<T>,
    /// `(lookback · batch, width)`: the states.
    pub(crate) states: Aligned<T>,
    /// `(n_inputs, 3 · width)`: the input weights' transpose, n, r, z.
    input_weights: Aligned<T>,
    /// `(hidden_size, 3 · width)`: the state weights' transpose, r, z, n.
    state_weights: Aligned<T>,
    /// `(4 · width,)`: what a row of gates starts from.
    bias: Aligned<T>,
}

/// Room that all layers' backward passes use in turn.
#[derive(Debug)]
pub(crate) struct BackwardWorkspace<T> {
    /// `(batch, width)`: the loss's derivative by the states of the step at hand.
    pub(crate) d_state: Aligned<T>,
    /// `(lookback · batch, width)`: the loss's derivative by a layer's states, then by its inputs.
    pub(crate) d_sequence: Aligned<T>,
    /// `(3 · width, width)`: the state weights.
    state_weights: Aligned<T>,
    /// `(3 · width, max(n_inputs, width))`: gradients of weights.
    d_weights: Aligned<T>,
    /// `(4 · width,)`: sums of the gates' derivatives.
    d_bias: Aligned<T>,
}

impl<T: Real> BackwardWorkspace<T> {
    pub(crate) fn new(layers: &[GruLayer], steps: usize, batch: usize) -> Self {
        let width = layers.iter().map(|l| l.width).max().unwrap_or(0);
        let widest = layers.iter().map(|l| l.n_inputs.max(l.width)).max().unwrap_or(0);
        let sequence = if layers.len() > 1 { steps * batch * width } else { 0 };
        Self {
            d_state: Aligned::new(T::ZERO, batch * width),
            d_sequence: Aligned::new(T::ZERO, sequence),
            state_weights: Aligned::new(T::ZERO, 3 * width * width),
            d_weights: Aligned::new(T::ZERO, 3 * width * widest),
            d_bias: Aligned::new(T::ZERO, 4 * width),
        }
    }

    /// Takes the loss's derivative by the last layer's last states: `(batch, hidden_size)`.
    pub(crate) fn start(&mut self, d_last: &[T], hidden_size: usize) {
        let width = hidden_size.next_multiple_of(LANES);
        self.d_state.fill(T::ZERO);
        let rows = self.d_state.chunks_exact_mut(width).zip(d_last.chunks_exact(hidden_size));
        rows.for_each(|(to, from)| to[..hidden_size].copy_from_slice(from));
    }
}

impl GruLayer {
    /// Adds the weights of layer `k` of `n_layers` under `PyTorch`'s names and draws.
    pub(crate) fn new(
        layout: &mut Layout,
        [k, n_layers]: [usize; 2],
        n_inputs: usize,
        hidden_size: usize,
    ) -> Self {
        let init = Init::Uniform(1.0 / (hidden_size as f64).sqrt());
        let gates = 3 * hidden_size;
        let mut add =
            |name: &str, shape: &[usize]| layout.add(format!("gru.{name}_l{k}"), shape, init);
        Self {
            n_inputs,
            hidden_size,
            width: hidden_size.next_multiple_of(LANES),
            is_first: k == 0,
            is_last: k + 1 == n_layers,
            weight_ih: add("weight_ih", &[gates, n_inputs]),
            weight_hh: add("weight_hh", &[gates, hidden_size]),
            bias_ih: add("bias_ih", &[gates]),
            bias_hh: add("bias_hh", &[gates]),
        }
    }

    /// Numbers from one state to the next.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn workspace<T: Real>(&self, steps: usize, batch: usize) -> LayerWorkspace<T> {
        let (rows, width) = (steps * batch, self.width);
        LayerWorkspace {
            gates: Aligned::new(T::ZERO, rows * 4 * width),
            states: Aligned::new(T::ZERO, rows * width),
            input_weights: Aligned::new(T::ZERO, self.n_inputs * 3 * width),
            state_weights: Aligned::new(T::ZERO, self.hidden_size * 3 * width),
            bias: Aligned::new(T::ZERO, 4 * width),
        }
    }

    /// Lays the weights out for the forward pass.
    fn prepare<T: Real>(&self, weights: &[T], workspace: &mut LayerWorkspace<T>) {
        let (size, width) = (self.hidden_size, self.width);
        let lay = |weights: &[T], n_cols: usize, gates: [usize; 3], to: &mut [T]| {
            for (place, gate) in gates.into_iter().enumerate() {
                let from = &weights[gate * size * n_cols..][..size * n_cols];
                gru_cell::transpose(from, n_cols, &mut to[place * width..], 3 * width);
            }
        };
        let (input, state) = (&weights[self.weight_ih.clone()], &weights[self.weight_hh.clone()]);
        lay(input, self.n_inputs, BY_INPUT, &mut workspace.input_weights);
        lay(state, size, BY_STATE, &mut workspace.state_weights);
        let (bias_ih, bias_hh) = (&weights[self.bias_ih.clone()], &weights[self.bias_hh.clone()]);
        for i in 0..size {
            let bias = &mut workspace.bias;
            bias[i] = bias_ih[N * size + i];
            bias[width + i] = bias_ih[R * size + i] + bias_hh[R * size + i];
            bias[2 * width + i] = bias_ih[Z * size + i] + bias_hh[Z * size + i];
            bias[3 * width + i] = bias_hh[N * size + i];
        }
    }

    /// Computes the states of all steps.
    ///
    /// - `inputs`: rows of `n_inputs`
    pub(crate) fn forward<T: Real>(
        &self,
        weights: &[T],
        inputs: Sequences<'_, T>,
        workspace: &mut LayerWorkspace<T>,
    ) {
        self.prepare(weights, workspace);
        let batch = inputs.batch;
        let (width, rows) = (self.width, inputs.steps * batch);
        let LayerWorkspace { gates, states, input_weights, state_weights, bias } = workspace;
        let gates = &mut gates[..rows * 4 * width];
        gates.chunks_exact_mut(4 * width).for_each(|row| row.copy_from_slice(bias));
        product(
            MatrixMut::strided(gates, rows, 3 * width, 4 * width),
            Write::Add,
            Matrix::strided(inputs.data, rows, self.n_inputs, inputs.stride),
            Matrix::new(input_weights, self.n_inputs, 3 * width),
        );
        for (step, gates) in gates.chunks_exact_mut(batch * 4 * width).enumerate() {
            let (before, now) = states.split_at_mut(step * batch * width);
            let now = &mut now[..batch * width];
            let before = &before[before.len().saturating_sub(batch * width)..];
            if step > 0 && batch == 1 {
                let state = &before[..self.hidden_size];
                gru_cell::add_product(&mut gates[width..], state, state_weights, step % 2 == 0);
            } else if step > 0 {
                product(
                    MatrixMut::strided(&mut gates[width..], batch, 3 * width, 4 * width),
                    Write::Add,
                    Matrix::strided(before, batch, self.hidden_size, width),
                    Matrix::new(state_weights, self.hidden_size, 3 * width),
                );
            }
            gru_cell::forward(width, gates, before, now);
        }
    }

    /// Adds the gradients of the layer's weights and, in all layers but the first, writes the loss's
    /// derivative by the inputs.
    ///
    /// - `inputs`: as they went forward
    /// - `backward.d_state`: the loss's derivative by the last layer's last states; used up
    /// - `backward.d_sequence`: in other layers the loss's derivative by all states; replaced by
    ///   that by the inputs, rows `width` apart
    pub(crate) fn backward<T: Real>(
        &self,
        weights: &[T],
        inputs: Sequences<'_, T>,
        workspace: &mut LayerWorkspace<T>,
        backward: &mut BackwardWorkspace<T>,
        gradients: &mut [T],
    ) {
        self.go_back_in_time(weights, inputs, workspace, backward);
        self.add_gradients(inputs, workspace, backward, gradients);
        if !self.is_first {
            let rows = inputs.steps * inputs.batch;
            let weights = Matrix::new(&workspace.input_weights, self.n_inputs, 3 * self.width);
            let d = Matrix::strided(&workspace.gates, rows, 3 * self.width, 4 * self.width);
            let to = &mut backward.d_sequence;
            let to = MatrixMut::strided(to, rows, self.n_inputs, self.width);
            product(to, Write::Replace, d, weights.t());
        }
    }

    /// Replaces the gates of all steps by the loss's derivatives.
    fn go_back_in_time<T: Real>(
        &self,
        weights: &[T],
        Sequences { steps, batch, .. }: Sequences<'_, T>,
        workspace: &mut LayerWorkspace<T>,
        backward: &mut BackwardWorkspace<T>,
    ) {
        let (size, width) = (self.hidden_size, self.width);
        let BackwardWorkspace { d_state, d_sequence, state_weights, .. } = backward;
        let LayerWorkspace { gates, states, .. } = workspace;
        let places = state_weights.chunks_exact_mut(width * width);
        let places = places.flat_map(|gate| gate.chunks_exact_mut(width).take(size));
        let rows = weights[self.weight_hh.clone()].chunks_exact(size);
        places.zip(rows).for_each(|(to, from)| to[..size].copy_from_slice(from));
        let d_state = &mut d_state[..batch * width];
        if !self.is_last {
            d_state.fill(T::ZERO);
        }
        let gates = gates.chunks_exact_mut(batch * 4 * width).take(steps);
        for (step, gates) in gates.enumerate().rev() {
            if !self.is_last {
                gru_cell::add(d_state, &d_sequence[step * batch * width..][..batch * width]);
            }
            let before = match step {
                0 => &[],
                _ => &states[(step - 1) * batch * width..][..batch * width],
            };
            gru_cell::backward(width, gates, before, d_state);
            if step > 0 {
                product(
                    MatrixMut::new(d_state, batch, width),
                    Write::Add,
                    Matrix::strided(&gates[width..], batch, 3 * width, 4 * width),
                    Matrix::new(state_weights, 3 * width, width),
                );
            }
        }
    }

    /// Adds the gradients of all weights: sums over windows and steps, each one matrix product.
    fn add_gradients<T: Real>(
        &self,
        inputs: Sequences<'_, T>,
        workspace: &LayerWorkspace<T>,
        backward: &mut BackwardWorkspace<T>,
        gradients: &mut [T],
    ) {
        let (size, width, n_inputs) = (self.hidden_size, self.width, self.n_inputs);
        let rows = inputs.steps * inputs.batch;
        let gates = &workspace.gates[..rows * 4 * width];
        let BackwardWorkspace { d_weights, d_bias, .. } = backward;

        let d_input_weights = &mut d_weights[..3 * width * n_inputs];
        product(
            MatrixMut::new(d_input_weights, 3 * width, n_inputs),
            Write::Replace,
            Matrix::strided(gates, rows, 3 * width, 4 * width).t(),
            Matrix::strided(inputs.data, rows, n_inputs, inputs.stride),
        );
        let to = &mut gradients[self.weight_ih.clone()];
        for (gate, from) in BY_INPUT.into_iter().zip(d_input_weights.chunks_exact(width * n_inputs))
        {
            gru_cell::add(&mut to[gate * size * n_inputs..][..size * n_inputs], from);
        }

        // The first step starts from zeros: its state weights had no part.
        let rows = rows - inputs.batch;
        let d_state_weights = &mut d_weights[..3 * width * width];
        let later = &gates[gates.len() - rows * 4 * width..];
        product(
            MatrixMut::new(d_state_weights, 3 * width, width),
            Write::Replace,
            Matrix::strided(later.get(width..).unwrap_or(&[]), rows, 3 * width, 4 * width).t(),
            Matrix::new(&workspace.states, rows, width),
        );
        let to = gradients[self.weight_hh.clone()].chunks_exact_mut(size);
        let from = d_state_weights.chunks_exact(width * width);
        let from = from.flat_map(|gate| gate.chunks_exact(width).take(size));
        to.zip(from).for_each(|(to, from)| gru_cell::add(to, from));

        gru_cell::sum_rows(gates, d_bias);
        // Here n comes first and q last.
        for (range, places) in [(&self.bias_ih, [1, 2, 0]), (&self.bias_hh, [1, 2, 3])] {
            let to = gradients[range.clone()].chunks_exact_mut(size);
            to.zip(places).for_each(|(to, place)| gru_cell::add(to, &d_bias[place * width..]));
        }
    }
}
