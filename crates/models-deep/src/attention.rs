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
