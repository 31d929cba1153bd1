use crate::activation::Activation;
use crate::aligned::Aligned;
use crate::dropout::Dropout;
use crate::layout::Layout;
use crate::linear::Linear;
use crate::matrix::Write;
use crate::real::Real;

/// Two linear layers with an activation between them, for every position by itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FeedForward {
    pub(crate) linear1: Linear,
    pub(crate) linear2: Linear,
    pub(crate) activation: Activation,
}

/// What a feed-forward network leaves for its backward pass.
#[derive(Debug)]
pub(crate) struct FeedForwardWorkspace<T> {
    /// Before the activation: `(n, hidden)`
    hidden: Aligned<T>,
    /// After activation and dropout: `(n, hidden)`
    active: Aligned<T>,
}

impl<T> FeedForwardWorkspace<T> {
    /// What the second linear layer reads: `(n, hidden)`.
    pub(crate) fn active(&self) -> &[T] {
        &self.active
    }
}

impl FeedForward {
    /// Adds `name.linear1` and `name.linear2`.
    pub(crate) fn new(
        layout: &mut Layout,
        name: &str,
        [width, hidden]: [usize; 2],
        activation: Activation,
    ) -> Self {
        let linear1 = Linear::new(layout, &format!("{name}.linear1"), width, hidden);
        let linear2 = Linear::new(layout, &format!("{name}.linear2"), hidden, width);
        Self { linear1, linear2, activation }
    }

    /// Room for up to `n` positions.
    pub(crate) fn workspace<T: Real>(&self, n: usize) -> FeedForwardWorkspace<T> {
        let room = || Aligned::new(T::ZERO, n * self.linear1.n_outputs);
        FeedForwardWorkspace { hidden: room(), active: room() }
    }

    /// Leaves what the second linear layer reads in the workspace.
    ///
    /// - `inputs`: `(n, width)`
    pub(crate) fn forward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        dropout: Option<(Dropout, u64)>,
        workspace: &mut FeedForwardWorkspace<T>,
    ) {
        let length = self.hidden_len(inputs);
        let (hidden, active) = (&mut workspace.hidden[..length], &mut workspace.active[..length]);
        self.linear1.forward(weights, inputs, hidden);
        self.activation.forward(hidden, active);
        if let Some((dropout, site)) = dropout {
            dropout.apply(site, active);
        }
    }

    /// - `inputs`: `(n, width)`
    /// - `d`: the derivative by the outputs of the second linear layer becomes that by the inputs
    /// - `d_hidden`: room for `(n, hidden)`
    #[allow(clippy::too_many_arguments, reason = "what a backward pass reads and writes")]
    pub(crate) fn backward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        dropout: Option<(Dropout, u64)>,
        workspace: &mut FeedForwardWorkspace<T>,
        d_hidden: &mut [T],
        d: &mut [T],
        gradients: &mut [T],
    ) {
        let length = self.hidden_len(inputs);
        let (hidden, active) = (&workspace.hidden[..length], &mut workspace.active[..length]);
        let d_hidden = &mut d_hidden[..length];
        self.linear2.backward_weights(active, d, gradients);
        self.linear2.backward_inputs(weights, d, d_hidden, Write::Replace);
        if let Some((dropout, site)) = dropout {
            dropout.apply(site, d_hidden);
            // Derivatives are read off the activation's own outputs, before dropout.
            self.activation.forward(hidden, active);
        }
        self.activation.backward(hidden, active, d_hidden);
        self.linear1.backward_weights(inputs, d_hidden, gradients);
        self.linear1.backward_inputs(weights, d_hidden, d, Write::Replace);
    }

    fn hidden_len<T>(&self, inputs: &[T]) -> usize {
        inputs.len() / self.linear1.n_inputs * self.linear1.n_outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check_layer, noise};

    #[test]
    fn gradients_agree_with_finite_differences() {
        use Activation::{Gelu, Identity, Relu, Tanh};
        for activation in [Identity, Relu, Gelu, Tanh] {
            for dropout in [None, Some((Dropout::new(0.4, 3), 8))] {
                let (width, hidden, n) = (3, 7, 4);
                let mut layout = Layout::default();
                let feed = FeedForward::new(&mut layout, "f", [width, hidden], activation);
                let weights = noise(1, layout.len());
                let inputs = noise(2, n * width);
                let forward = |weights: &[f64], inputs: &[f64]| {
                    let mut workspace = feed.workspace(n);
                    feed.forward(weights, inputs, dropout, &mut workspace);
                    let mut outputs = vec![0.0; inputs.len()];
                    feed.linear2.forward(weights, workspace.active(), &mut outputs);
                    outputs
                };
                let backward = |weights: &[f64], inputs: &[f64], d: &[f64]| {
                    let mut workspace = feed.workspace(n + 1);
                    feed.forward(weights, inputs, dropout, &mut workspace);
                    let (mut d, mut room) = (d.to_vec(), vec![9.0; n * hidden]);
                    let mut gradients = vec![0.0; weights.len()];
                    feed.backward(
                        weights,
                        inputs,
                        dropout,
                        &mut workspace,
                        &mut room,
                        &mut d,
                        &mut gradients,
                    );
                    [d, gradients]
                };
                check_layer([&weights, &inputs], forward, backward);
            }
        }
    }
}
