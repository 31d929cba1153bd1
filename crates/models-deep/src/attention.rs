use crate::aligned::Aligned;
use crate::attention_head::{Head, HeadScratch};
use crate::dropout::Dropout;
use crate::lanes::padded;
use crate::layout::{Init, Layout};
use crate::linear::Linear;
use crate::matrix::Write;
use crate::real::Real;

/// Multi-head self-attention: every position asks all positions of its window.
///
/// # References
/// A. Vaswani et al., *Attention Is All You Need*, 2017, arXiv:1706.03762.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SelfAttention {
    pub(crate) width: usize,
    pub(crate) n_heads: usize,
    pub(crate) lookback: usize,
    /// Queries, keys and values in one product.
    pub(crate) in_proj: Linear,
    pub(crate) out_proj: Linear,
}

/// What self-attention leaves for its backward pass, for `n` windows.
#[derive(Debug)]
pub(crate) struct SelfAttentionWorkspace<T> {
    /// Queries, keys and values: `(n, lookback, 3 · width)`
    projected: Aligned<T>,
    /// Transposed, rows padded to whole lanes: `(n, n_heads, key, query)`
    shares: Aligned<T>,
    /// `(n, lookback, width)`
    context: Aligned<T>,
}

impl SelfAttention {
    /// Adds the weights of `PyTorch`'s `MultiheadAttention` under `name`.
    pub(crate) fn new(
        layout: &mut Layout,
        name: &str,
        [width, n_heads, lookback]: [usize; 3],
    ) -> Self {
        let xavier = Init::Uniform((6.0 / (4 * width) as f64).sqrt());
        let zero = Init::Constant(0.0);
        let in_proj = Linear::with_init(
            layout,
            [&format!("{name}.in_proj_weight"), &format!("{name}.in_proj_bias")],
            width,
            3 * width,
            [xavier, zero],
        );
        let out_proj = Linear::with_init(
            layout,
            [&format!("{name}.out_proj.weight"), &format!("{name}.out_proj.bias")],
            width,
            width,
            [Init::Uniform(1.0 / (width as f64).sqrt()), zero],
        );
        Self { width, n_heads, lookback, in_proj, out_proj }
    }

    /// Numbers of a query.
    pub(crate) fn head_width(&self) -> usize {
        self.width / self.n_heads
    }

    /// What scores are multiplied by.
    pub(crate) fn scale<T: Real>(&self) -> T {
        T::from_f64(1.0 / (self.head_width() as f64).sqrt())
    }

    /// Room for up to `n` windows.
    pub(crate) fn workspace<T: Real>(&self, n: usize) -> SelfAttentionWorkspace<T> {
        let tokens = n * self.lookback;
        SelfAttentionWorkspace {
            projected: Aligned::new(T::ZERO, tokens * 3 * self.width),
            shares: Aligned::new(T::ZERO, tokens * self.n_heads * padded(self.lookback)),
            context: Aligned::new(T::ZERO, tokens * self.width),
        }
    }

    /// Room for one head of one window, for all layers of the same shape.
    pub(crate) fn head_scratch<T: Real>(&self) -> HeadScratch<T> {
        HeadScratch::new(self.lookback, self.head_width())
    }

    /// Leaves what the heads answer in the workspace, before the last projection, which is
    /// `out_proj` of [`context`](SelfAttentionWorkspace::context).
    ///
    /// - `inputs`: `(n, lookback, width)`
    pub(crate) fn forward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        dropout: Option<(Dropout, u64)>,
        workspace: &mut SelfAttentionWorkspace<T>,
        scratch: &mut HeadScratch<T>,
    ) {
        let window = self.lookback * self.width;
        let SelfAttentionWorkspace { projected, shares, context } = workspace;
        let projected = &mut projected[..3 * inputs.len()];
        self.in_proj.forward(weights, inputs, projected);
        let windows = projected.chunks_exact(3 * window).zip(context.chunks_exact_mut(window));
        let mut shares = shares.chunks_exact_mut(self.lookback * padded(self.lookback));
        let mut index = 0;
        for (projected, context) in windows {
            for (h, shares) in (0..self.n_heads).zip(&mut shares) {
                let head = self.head(h, index, dropout);
                head.forward(projected, shares, context, scratch);
                index += 1;
            }
        }
    }

    /// - `inputs`: `(n, lookback, width)`
    /// - `d`: the derivative by the outputs of the last projection becomes that by the inputs
    /// - `d_projected`: room for `(n, lookback, 3 · width)`
    #[allow(clippy::too_many_arguments, reason = "what a backward pass reads and writes")]
    pub(crate) fn backward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        dropout: Option<(Dropout, u64)>,
        workspace: &mut SelfAttentionWorkspace<T>,
        scratch: &mut HeadScratch<T>,
        d_projected: &mut [T],
        d: &mut [T],
        gradients: &mut [T],
    ) {
        let window = self.lookback * self.width;
        let SelfAttentionWorkspace { projected, shares, context } = workspace;
        let context = &mut context[..inputs.len()];
        self.out_proj.backward_weights(context, d, gradients);
        // The context has done its work: its derivative takes its place.
        self.out_proj.backward_inputs(weights, d, context, Write::Replace);
        let windows = projected
            .chunks_exact(3 * window)
            .zip(context.chunks_exact(window))
            .zip(d_projected.chunks_exact_mut(3 * window));
        let mut shares = shares.chunks_exact(self.lookback * padded(self.lookback));
        let mut index = 0;
        for ((projected, d_context), d_projected) in windows {
            for (h, shares) in (0..self.n_heads).zip(&mut shares) {
                let head = self.head(h, index, dropout);
                head.backward(projected, shares, d_context, d_projected, scratch);
                index += 1;
            }
        }
        let d_projected = &d_projected[..3 * inputs.len()];
        self.in_proj.backward_weights(inputs, d_projected, gradients);
        self.in_proj.backward_inputs(weights, d_projected, d, Write::Replace);
    }

    fn head<T: Real>(&self, h: usize, index: usize, dropout: Option<(Dropout, u64)>) -> Head<T> {
        Head {
            width: self.width,
            head_width: self.head_width(),
            lookback: self.lookback,
            start: h * self.head_width(),
            scale: self.scale(),
            dropout: dropout.map(|(dropout, site)| {
                (dropout, site, index * self.lookback * padded(self.lookback))
            }),
        }
    }
}

impl<T> SelfAttentionWorkspace<T> {
    /// What the heads answered: `(n, lookback, width)`.
    pub(crate) fn context(&self) -> &[T] {
        &self.context
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check_layer, noise};

    const SHAPES: [[usize; 3]; 5] = [[4, 2, 1], [6, 2, 5], [6, 1, 3], [4, 4, 17], [16, 1, 4]];

    /// Both ways to compute attention, with the projection behind it.
    fn outputs(
        attention: &SelfAttention,
        weights: &[f64],
        inputs: &[f64],
        dropout: Option<(Dropout, u64)>,
        last: bool,
    ) -> Vec<f64> {
        let mut outputs = vec![0.0; inputs.len() / if last { attention.lookback } else { 1 }];
        let n = inputs.len() / (attention.lookback * attention.width);
        if last {
            let mut workspace = attention.last_workspace(n);
            attention.forward_last(weights, inputs, dropout, &mut workspace);
            let context = &workspace.context()[..outputs.len()];
            attention.out_proj.forward(weights, context, &mut outputs);
        } else {
            let mut workspace = attention.workspace(n);
            let mut scratch = attention.head_scratch();
            attention.forward(weights, inputs, dropout, &mut workspace, &mut scratch);
            let context = &workspace.context()[..outputs.len()];
            attention.out_proj.forward(weights, context, &mut outputs);
        }
        outputs
    }

    fn made(shape: [usize; 3]) -> (SelfAttention, Vec<f64>, Vec<f64>) {
        let mut layout = Layout::default();
        let attention = SelfAttention::new(&mut layout, "a", shape);
        let [width, _, lookback] = shape;
        let weights = noise(1, layout.len());
        (attention, weights, noise(2, 2 * lookback * width))
    }

    #[test]
    fn gradients_agree_with_finite_differences_at_all_positions() {
        for shape in SHAPES {
            for dropout in [None, Some((Dropout::new(0.4, 3), 8))] {
                let (attention, weights, inputs) = made(shape);
                let backward = |weights: &[f64], inputs: &[f64], d: &[f64]| {
                    let mut workspace = attention.workspace(3);
                    let mut scratch = attention.head_scratch();
                    attention.forward(weights, inputs, dropout, &mut workspace, &mut scratch);
                    let (mut d, mut wide) = (d.to_vec(), vec![9.0; 3 * inputs.len()]);
                    let mut gradients = vec![0.0; weights.len()];
                    attention.backward(
                        weights,
                        inputs,
                        dropout,
                        &mut workspace,
                        &mut scratch,
                        &mut wide,
                        &mut d,
                        &mut gradients,
                    );
                    [d, gradients]
                };
                let forward = |weights: &[f64], inputs: &[f64]| {
                    outputs(&attention, weights, inputs, dropout, false)
                };
                check_layer([&weights, &inputs], forward, backward);
            }
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences_at_the_last_position() {
        for shape in SHAPES {
            for dropout in [None, Some((Dropout::new(0.4, 3), 8))] {
                let (attention, weights, inputs) = made(shape);
                let backward = |weights: &[f64], inputs: &[f64], d: &[f64]| {
                    let mut workspace = attention.last_workspace(3);
                    attention.forward_last(weights, inputs, dropout, &mut workspace);
                    let mut d_inputs = vec![9.0; inputs.len()];
                    let mut gradients = vec![0.0; weights.len()];
                    attention.backward_last(
                        weights,
                        inputs,
                        d,
                        dropout,
                        &mut workspace,
                        &mut d_inputs,
                        &mut gradients,
                    );
                    [d_inputs, gradients]
                };
                let forward = |weights: &[f64], inputs: &[f64]| {
                    outputs(&attention, weights, inputs, dropout, true)
                };
                check_layer([&weights, &inputs], forward, backward);
            }
        }
    }

    #[test]
    fn the_last_position_alone_gets_what_it_gets_among_all() {
        for shape in SHAPES {
            let (attention, weights, inputs) = made(shape);
            let all = outputs(&attention, &weights, &inputs, None, false);
            let last = outputs(&attention, &weights, &inputs, None, true);
            let [width, _, lookback] = shape;
            for (all, last) in all.chunks_exact(lookback * width).zip(last.chunks_exact(width)) {
                for (a, b) in all[all.len() - width..].iter().zip(last) {
                    assert!((a - b).abs() < 1e-12, "{shape:?}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn huge_scores_pick_one_position_and_do_not_overflow() {
        let (attention, weights, inputs) = made([4, 2, 5]);
        let inputs: Vec<f32> = inputs.iter().map(|&x| 1e6 * x as f32).collect();
        let weights: Vec<f32> = weights.iter().map(|&x| x as f32).collect();
        let mut workspace = attention.workspace(2);
        let mut scratch = attention.head_scratch();
        attention.forward(&weights, &inputs, None, &mut workspace, &mut scratch);
        let mut last = attention.last_workspace(2);
        attention.forward_last(&weights, &inputs, None, &mut last);
        assert!(workspace.context().iter().chain(last.context()).all(|x| x.is_finite()));
        let windows = workspace.context().chunks_exact(20).zip(last.context().chunks_exact(4));
        for (window, (all, last)) in windows.enumerate() {
            for (column, (&a, &b)) in all[16..].iter().zip(last).enumerate() {
                assert!((a - b).abs() <= 1e-5 * a.abs(), "{a} {b}");
                // With all of a head's weight on one position, its value comes through.
                let mut values =
                    (0..5).map(|t| workspace.projected[(window * 5 + t) * 12 + 8 + column]);
                assert!(values.any(|value| (value - a).abs() <= 1e-5 * a.abs()), "{a}");
            }
        }
    }
}
