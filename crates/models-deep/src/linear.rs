use std::ops::Range;

use crate::layout::{Init, Layout};
use crate::matrix::{Matrix, MatrixMut, Write, product};
use crate::real::Real;

/// `y = x · Wᵀ + b`, with `W`: `(n_outputs, n_inputs)`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Linear {
    pub(crate) n_inputs: usize,
    pub(crate) n_outputs: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl Linear {
    /// Adds `name.weight` and `name.bias`, drawn as `PyTorch` does: uniform within `1/√n_inputs`.
    pub(crate) fn new(layout: &mut Layout, name: &str, n_inputs: usize, n_outputs: usize) -> Self {
        let init = Init::Uniform(1.0 / (n_inputs as f64).sqrt());
        Self::with_init(
            layout,
            [&format!("{name}.weight"), &format!("{name}.bias")],
            n_inputs,
            n_outputs,
            [init; 2],
        )
    }

    /// Adds a weight and a bias under their own names and draws.
    pub(crate) fn with_init(
        layout: &mut Layout,
        [weight, bias]: [&str; 2],
        n_inputs: usize,
        n_outputs: usize,
        [weight_init, bias_init]: [Init; 2],
    ) -> Self {
        let weight = layout.add(weight, &[n_outputs, n_inputs], weight_init);
        let bias = layout.add(bias, &[n_outputs], bias_init);
        Self { n_inputs, n_outputs, weight, bias }
    }

    /// `(n_outputs, n_inputs)`, row-major.
    pub(crate) fn weight<'a, T>(&self, weights: &'a [T]) -> &'a [T] {
        &weights[self.weight.clone()]
    }

    /// `(n_outputs,)`.
    pub(crate) fn bias<'a, T>(&self, weights: &'a [T]) -> &'a [T] {
        &weights[self.bias.clone()]
    }

    /// Where the gradient of the weight goes: `(n_outputs, n_inputs)`.
    pub(crate) fn weight_mut<'a, T>(&self, gradients: &'a mut [T]) -> &'a mut [T] {
        &mut gradients[self.weight.clone()]
    }

    /// Where the gradient of the bias goes: `(n_outputs,)`.
    pub(crate) fn bias_mut<'a, T>(&self, gradients: &'a mut [T]) -> &'a mut [T] {
        &mut gradients[self.bias.clone()]
    }

    /// - `inputs`: `(n, n_inputs)`
    /// - `outputs`: `(n, n_outputs)`, replaced
    pub(crate) fn forward<T: Real>(&self, weights: &[T], inputs: &[T], outputs: &mut [T]) {
        let n = outputs.len() / self.n_outputs;
        let bias = self.bias(weights);
        outputs.chunks_exact_mut(self.n_outputs).for_each(|row| row.copy_from_slice(bias));
        let weight = Matrix::new(self.weight(weights), self.n_outputs, self.n_inputs);
        let inputs = Matrix::new(inputs, n, self.n_inputs);
        product(MatrixMut::new(outputs, n, self.n_outputs), Write::Add, inputs, weight.t());
    }

    /// As [`forward`](Self::forward), added to `outputs`: a residual connection.
    pub(crate) fn forward_add<T: Real>(&self, weights: &[T], inputs: &[T], outputs: &mut [T]) {
        let n = outputs.len() / self.n_outputs;
        let bias = self.bias(weights);
        for row in outputs.chunks_exact_mut(self.n_outputs) {
            for (y, &b) in row.iter_mut().zip(bias) {
                *y += b;
            }
        }
        let weight = Matrix::new(self.weight(weights), self.n_outputs, self.n_inputs);
        let inputs = Matrix::new(inputs, n, self.n_inputs);
        product(MatrixMut::new(outputs, n, self.n_outputs), Write::Add, inputs, weight.t());
    }

    /// Adds the gradients of weight and bias.
    ///
    /// - `inputs`: `(n, n_inputs)`, as they went forward
    /// - `d_outputs`: `(n, n_outputs)`
    pub(crate) fn backward_weights<T: Real>(
        &self,
        inputs: &[T],
        d_outputs: &[T],
        gradients: &mut [T],
    ) {
        let n = d_outputs.len() / self.n_outputs;
        let d = Matrix::new(d_outputs, n, self.n_outputs);
        let weight =
            MatrixMut::new(&mut gradients[self.weight.clone()], self.n_outputs, self.n_inputs);
        product(weight, Write::Add, d.t(), Matrix::new(inputs, n, self.n_inputs));
        let bias = &mut gradients[self.bias.clone()];
        for row in d_outputs.chunks_exact(self.n_outputs) {
            for (sum, &d) in bias.iter_mut().zip(row) {
                *sum += d;
            }
        }
    }

    /// `d_inputs = d_outputs · W`, or added to it: `(n, n_inputs)`.
    pub(crate) fn backward_inputs<T: Real>(
        &self,
        weights: &[T],
        d_outputs: &[T],
        d_inputs: &mut [T],
        write: Write,
    ) {
        let n = d_outputs.len() / self.n_outputs;
        let weight = Matrix::new(self.weight(weights), self.n_outputs, self.n_inputs);
        let d = Matrix::new(d_outputs, n, self.n_outputs);
        product(MatrixMut::new(d_inputs, n, self.n_inputs), write, d, weight);
    }
}
