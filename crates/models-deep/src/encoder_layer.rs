use crate::activation::Activation;
use crate::aligned::Aligned;
use crate::attention::{SelfAttention, SelfAttentionWorkspace};
use crate::attention_head::HeadScratch;
use crate::dropout::Dropout;
use crate::feed_forward::{FeedForward, FeedForwardWorkspace};
use crate::last_attention::LastAttentionWorkspace;
use crate::layer_norm::{LayerNorm, LayerNormWorkspace};
use crate::layout::Layout;
use crate::linear::Linear;
use crate::real::Real;

/// Places where a layer drops numbers.
const SITES: u64 = 4;
const SHARES: u64 = 0;
const ATTENTION: u64 = 1;
const HIDDEN: u64 = 2;
const FEED_FORWARD: u64 = 3;

/// One layer of a Transformer encoder, pre-norm: `h = x + attention(norm(x))`, then
/// `y = h + feed_forward(norm(h))`.
///
/// # References
/// R. Xiong et al., *On Layer Normalization in the Transformer Architecture*, 2020,
/// arXiv:2002.04745.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EncoderLayer {
    attention: SelfAttention,
    feed_forward: FeedForward,
    norm1: LayerNorm,
    norm2: LayerNorm,
    index: usize,
}

/// What a layer leaves for its backward pass; `A` is its attention's part.
#[derive(Debug)]
pub(crate) struct EncoderLayerWorkspace<T, A> {
    attention: A,
    feed_forward: FeedForwardWorkspace<T>,
    norm1: LayerNormWorkspace<T>,
    norm2: LayerNormWorkspace<T>,
}

/// Of a layer at all positions.
pub(crate) type AllWorkspace<T> = EncoderLayerWorkspace<T, SelfAttentionWorkspace<T>>;
/// Of a layer at the last position alone.
pub(crate) type LastWorkspace<T> = EncoderLayerWorkspace<T, LastAttentionWorkspace<T>>;

/// Room that all layers of the same shape share.
#[derive(Debug)]
pub(crate) struct EncoderLayerScratch<T> {
    head: HeadScratch<T>,
    /// `(n, width)`
    narrow: Aligned<T>,
    /// `(n, max(3 · width, hidden))`
    wide: Aligned<T>,
}

impl EncoderLayer {
    /// Adds the weights of `PyTorch`'s `TransformerEncoderLayer` under `encoder.layers.{index}`.
    pub(crate) fn new(
        layout: &mut Layout,
        index: usize,
        [width, n_heads, lookback, hidden]: [usize; 4],
        activation: Activation,
    ) -> Self {
        let name = format!("encoder.layers.{index}");
        let attention =
            SelfAttention::new(layout, &format!("{name}.self_attn"), [width, n_heads, lookback]);
        let feed_forward = FeedForward::new(layout, &name, [width, hidden], activation);
        let norm1 = LayerNorm::new(layout, &format!("{name}.norm1"), width);
        let norm2 = LayerNorm::new(layout, &format!("{name}.norm2"), width);
        Self { attention, feed_forward, norm1, norm2, index }
    }

    /// Heads of the attention.
    #[cfg(feature = "tch")]
    pub(crate) fn n_heads(&self) -> usize {
        self.attention.n_heads
    }

    /// The function inside the feed-forward network.
    #[cfg(feature = "tch")]
    pub(crate) fn activation(&self) -> Activation {
        self.feed_forward.activation
    }

    /// Room for up to `n` windows through [`forward`](Self::forward).
    pub(crate) fn workspace<T: Real>(&self, n: usize) -> AllWorkspace<T> {
        let tokens = n * self.attention.lookback;
        EncoderLayerWorkspace {
            attention: self.attention.workspace(n),
            feed_forward: self.feed_forward.workspace(tokens),
            norm1: self.norm1.workspace(tokens),
            norm2: self.norm2.workspace(tokens),
        }
    }

    /// Room for up to `n` windows through [`forward_last`](Self::forward_last).
    pub(crate) fn last_workspace<T: Real>(&self, n: usize) -> LastWorkspace<T> {
        EncoderLayerWorkspace {
            attention: self.attention.last_workspace(n),
            feed_forward: self.feed_forward.workspace(n),
            norm1: self.norm1.workspace(n * self.attention.lookback),
            norm2: self.norm2.workspace(n),
        }
    }

    /// Room that layers share, for up to `n` windows.
    pub(crate) fn scratch<T: Real>(&self, n: usize) -> EncoderLayerScratch<T> {
        let tokens = n * self.attention.lookback;
        let wide = (3 * self.attention.width).max(self.feed_forward.linear1.n_outputs);
        EncoderLayerScratch {
            head: self.attention.head_scratch(),
            narrow: Aligned::new(T::ZERO, tokens * self.attention.width),
            wide: Aligned::new(T::ZERO, tokens * wide),
        }
    }

    /// - `stream`: `(n, lookback, width)`, replaced
    pub(crate) fn forward<T: Real>(
        &self,
        weights: &[T],
        dropout: Option<Dropout>,
        stream: &mut [T],
        workspace: &mut AllWorkspace<T>,
        scratch: &mut EncoderLayerScratch<T>,
    ) {
        let attention = &mut workspace.attention;
        self.norm1.forward(weights, stream, &mut workspace.norm1);
        let inputs = &workspace.norm1.outputs[..stream.len()];
        let sited = self.sited(dropout, SHARES);
        self.attention.forward(weights, inputs, sited, attention, &mut scratch.head);
        let context = &attention.context()[..stream.len()];
        let sited = self.sited(dropout, ATTENTION);
        add_linear(&self.attention.out_proj, weights, context, sited, stream, &mut scratch.narrow);
        self.forward_feed(weights, dropout, stream, workspace, scratch);
    }

    /// Computes the last position of every window alone, which is all that comes out of a network's
    /// last layer: the same numbers as those of [`forward`](Self::forward) but for rounding.
    ///
    /// - `stream`: `(n, lookback, width)`, kept
    /// - `last`: `(n, width)`, replaced
    pub(crate) fn forward_last<T: Real>(
        &self,
        weights: &[T],
        dropout: Option<Dropout>,
        stream: &[T],
        last: &mut [T],
        workspace: &mut LastWorkspace<T>,
        scratch: &mut EncoderLayerScratch<T>,
    ) {
        let attention = &mut workspace.attention;
        self.norm1.forward(weights, stream, &mut workspace.norm1);
        let inputs = &workspace.norm1.outputs[..stream.len()];
        self.attention.forward_last(weights, inputs, self.sited(dropout, SHARES), attention);
        let width = self.attention.width;
        let windows = stream.chunks_exact(self.attention.lookback * width);
        for (last, window) in last.chunks_exact_mut(width).zip(windows) {
            last.copy_from_slice(&window[window.len() - width..]);
        }
        let context = &attention.context()[..last.len()];
        let sited = self.sited(dropout, ATTENTION);
        add_linear(&self.attention.out_proj, weights, context, sited, last, &mut scratch.narrow);
        self.forward_feed(weights, dropout, last, workspace, scratch);
    }

    /// - `d_stream`: the derivative by the outputs becomes that by the inputs
    pub(crate) fn backward<T: Real>(
        &self,
        weights: &[T],
        dropout: Option<Dropout>,
        d_stream: &mut [T],
        workspace: &mut AllWorkspace<T>,
        scratch: &mut EncoderLayerScratch<T>,
        gradients: &mut [T],
    ) {
        self.backward_feed(weights, dropout, d_stream, workspace, scratch, gradients);
        let attention = &mut workspace.attention;
        let EncoderLayerScratch { head, narrow, wide } = scratch;
        let narrow = &mut narrow[..d_stream.len()];
        narrow.copy_from_slice(d_stream);
        if let Some((dropout, site)) = self.sited(dropout, ATTENTION) {
            dropout.apply(site, narrow);
        }
        self.attention.backward(
            weights,
            &workspace.norm1.outputs[..d_stream.len()],
            self.sited(dropout, SHARES),
            attention,
            head,
            wide,
            narrow,
            gradients,
        );
        self.norm1.backward(weights, narrow, &workspace.norm1, d_stream, gradients);
    }

    /// - `d_last`: by the outputs, `(n, width)`; overwritten
    /// - `d_stream`: by the inputs, `(n, lookback, width)`, replaced
    #[allow(clippy::too_many_arguments, reason = "what a backward pass reads and writes")]
    pub(crate) fn backward_last<T: Real>(
        &self,
        weights: &[T],
        dropout: Option<Dropout>,
        d_last: &mut [T],
        d_stream: &mut [T],
        workspace: &mut LastWorkspace<T>,
        scratch: &mut EncoderLayerScratch<T>,
        gradients: &mut [T],
    ) {
        self.backward_feed(weights, dropout, d_last, workspace, scratch, gradients);
        let attention = &mut workspace.attention;
        // The residual connection, for the last positions alone.
        let width = self.attention.width;
        d_stream.fill(T::ZERO);
        let windows = d_stream.chunks_exact_mut(self.attention.lookback * width);
        for (window, d_last) in windows.zip(d_last.chunks_exact(width)) {
            let start = window.len() - width;
            window[start..].copy_from_slice(d_last);
        }
        if let Some((dropout, site)) = self.sited(dropout, ATTENTION) {
            dropout.apply(site, d_last);
        }
        let narrow = &mut scratch.narrow[..d_stream.len()];
        self.attention.backward_last(
            weights,
            &workspace.norm1.outputs[..d_stream.len()],
            d_last,
            self.sited(dropout, SHARES),
            attention,
            narrow,
            gradients,
        );
        self.norm1.backward(weights, narrow, &workspace.norm1, d_stream, gradients);
    }

    /// `stream += feed_forward(norm2(stream))`, for any number of positions.
    fn forward_feed<T: Real, A>(
        &self,
        weights: &[T],
        dropout: Option<Dropout>,
        stream: &mut [T],
        workspace: &mut EncoderLayerWorkspace<T, A>,
        scratch: &mut EncoderLayerScratch<T>,
    ) {
        self.norm2.forward(weights, stream, &mut workspace.norm2);
        let inputs = &workspace.norm2.outputs[..stream.len()];
        let feed = &mut workspace.feed_forward;
        self.feed_forward.forward(weights, inputs, self.sited(dropout, HIDDEN), feed);
        let linear2 = &self.feed_forward.linear2;
        let active = &feed.active()[..stream.len() / linear2.n_outputs * linear2.n_inputs];
        let sited = self.sited(dropout, FEED_FORWARD);
        add_linear(linear2, weights, active, sited, stream, &mut scratch.narrow);
    }

    fn backward_feed<T: Real, A>(
        &self,
        weights: &[T],
        dropout: Option<Dropout>,
        d_stream: &mut [T],
        workspace: &mut EncoderLayerWorkspace<T, A>,
        scratch: &mut EncoderLayerScratch<T>,
        gradients: &mut [T],
    ) {
        let EncoderLayerScratch { narrow, wide, .. } = scratch;
        let narrow = &mut narrow[..d_stream.len()];
        narrow.copy_from_slice(d_stream);
        if let Some((dropout, site)) = self.sited(dropout, FEED_FORWARD) {
            dropout.apply(site, narrow);
        }
        self.feed_forward.backward(
            weights,
            &workspace.norm2.outputs[..d_stream.len()],
            self.sited(dropout, HIDDEN),
            &mut workspace.feed_forward,
            wide,
            narrow,
            gradients,
        );
        self.norm2.backward(weights, narrow, &workspace.norm2, d_stream, gradients);
    }

    /// Dropout with its place in the network; none at a rate of 0.
    fn sited(&self, dropout: Option<Dropout>, site: u64) -> Option<(Dropout, u64)> {
        let dropout = dropout.filter(Dropout::drops)?;
        Some((dropout, self.index as u64 * SITES + site))
    }
}

/// `stream += dropout(linear(x))`.
fn add_linear<T: Real>(
    linear: &Linear,
    weights: &[T],
    x: &[T],
    dropout: Option<(Dropout, u64)>,
    stream: &mut [T],
    narrow: &mut [T],
) {
    let Some((dropout, site)) = dropout else { return linear.forward_add(weights, x, stream) };
    let narrow = &mut narrow[..stream.len()];
    linear.forward(weights, x, narrow);
    dropout.apply(site, narrow);
    for (stream, &x) in stream.iter_mut().zip(narrow.iter()) {
        *stream += x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check_layer, noise};

    const WIDTH: usize = 6;
    const LOOKBACK: usize = 4;

    fn made() -> (EncoderLayer, Vec<f64>, Vec<f64>) {
        let mut layout = Layout::default();
        let sizes = [WIDTH, 2, LOOKBACK, 5];
        let layer = EncoderLayer::new(&mut layout, 1, sizes, Activation::Gelu);
        let weights = noise(1, layout.len());
        (layer, weights, noise(2, 2 * LOOKBACK * WIDTH))
    }

    fn outputs(
        layer: &EncoderLayer,
        weights: &[f64],
        inputs: &[f64],
        dropout: Option<Dropout>,
    ) -> Vec<f64> {
        let mut stream = inputs.to_vec();
        let (mut workspace, mut scratch) = (layer.workspace(2), layer.scratch(2));
        layer.forward(weights, dropout, &mut stream, &mut workspace, &mut scratch);
        stream
    }

    fn last_outputs(
        layer: &EncoderLayer,
        weights: &[f64],
        inputs: &[f64],
        dropout: Option<Dropout>,
    ) -> Vec<f64> {
        let mut last = vec![9.0; inputs.len() / LOOKBACK];
        let (mut workspace, mut scratch) = (layer.last_workspace(2), layer.scratch(2));
        layer.forward_last(weights, dropout, inputs, &mut last, &mut workspace, &mut scratch);
        last
    }

    #[test]
    fn gradients_agree_with_finite_differences_at_all_positions() {
        for dropout in [None, Some(Dropout::new(0.4, 3))] {
            let (layer, weights, inputs) = made();
            let backward = |weights: &[f64], inputs: &[f64], d: &[f64]| {
                let (mut workspace, mut scratch) = (layer.workspace(3), layer.scratch(3));
                let mut stream = inputs.to_vec();
                layer.forward(weights, dropout, &mut stream, &mut workspace, &mut scratch);
                let (mut d, mut gradients) = (d.to_vec(), vec![0.0; weights.len()]);
                let room = (&mut workspace, &mut scratch);
                layer.backward(weights, dropout, &mut d, room.0, room.1, &mut gradients);
                [d, gradients]
            };
            let forward =
                |weights: &[f64], inputs: &[f64]| outputs(&layer, weights, inputs, dropout);
            check_layer([&weights, &inputs], forward, backward);
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences_at_the_last_position() {
        for dropout in [None, Some(Dropout::new(0.4, 3))] {
            let (layer, weights, inputs) = made();
            let backward = |weights: &[f64], inputs: &[f64], d: &[f64]| {
                let (mut workspace, mut scratch) = (layer.last_workspace(3), layer.scratch(3));
                let mut last = vec![9.0; d.len()];
                let room = (&mut workspace, &mut scratch);
                layer.forward_last(weights, dropout, inputs, &mut last, room.0, room.1);
                let (mut d, mut d_stream) = (d.to_vec(), vec![9.0; inputs.len()]);
                let mut gradients = vec![0.0; weights.len()];
                layer.backward_last(
                    weights,
                    dropout,
                    &mut d,
                    &mut d_stream,
                    &mut workspace,
                    &mut scratch,
                    &mut gradients,
                );
                [d_stream, gradients]
            };
            let forward =
                |weights: &[f64], inputs: &[f64]| last_outputs(&layer, weights, inputs, dropout);
            check_layer([&weights, &inputs], forward, backward);
        }
    }

    #[test]
    fn the_last_position_alone_is_that_of_all_positions() {
        let (layer, weights, inputs) = made();
        let all = outputs(&layer, &weights, &inputs, None);
        let last = last_outputs(&layer, &weights, &inputs, None);
        for (all, last) in all.chunks_exact(LOOKBACK * WIDTH).zip(last.chunks_exact(WIDTH)) {
            for (a, b) in all[all.len() - WIDTH..].iter().zip(last) {
                assert!((a - b).abs() < 1e-12, "{a} {b}");
            }
        }
    }

    #[test]
    fn dropout_moves_outputs_at_every_place() {
        let (layer, weights, inputs) = made();
        let without = outputs(&layer, &weights, &inputs, None);
        assert_eq!(without, outputs(&layer, &weights, &inputs, Some(Dropout::new(0.0, 3))));
        assert_ne!(without, outputs(&layer, &weights, &inputs, Some(Dropout::new(0.4, 3))));
        let sites = [SHARES, ATTENTION, HIDDEN, FEED_FORWARD];
        let sites = sites.map(|site| layer.sited(Some(Dropout::new(0.4, 3)), site));
        assert_eq!(sites.map(|site| site.map(|(_, site)| site)), [4, 5, 6, 7].map(Some));
    }
}
