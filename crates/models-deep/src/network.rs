use std::fmt::Debug;

use crate::dropout::Dropout;
use crate::layout::Layout;
use crate::real::Real;

/// Says how the windows of a batch lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowOrder {
    /// `(lookback, batch, n_features)`: all windows' first rows, then all second rows.
    TimeMajor,
    /// `(batch, lookback, n_features)`: window after window.
    SampleMajor,
}

/// A network with a forward and a backward pass: shapes and nothing learnt.
///
/// Weights come in as one flat vector, laid out as [`layout`](Self::layout) says; so do gradients.
/// A workspace holds what the forward pass leaves for the backward pass.
///
/// # Contract
/// - `inputs`: `batch` windows in [`ORDER`](Self::ORDER), `batch` at most the workspace's capacity
/// - outputs: `(batch, n_outputs)`
/// - Bits depend on the arguments alone; one window's outputs do not depend on the others' values.
///   All runs on the calling thread.
pub trait Network: Clone + Debug + PartialEq + Send + Sync + 'static {
    /// How windows lie in memory.
    const ORDER: WindowOrder;

    /// Windows of a training batch that are worked on together; threads share out such shards.
    const SHARD: usize = 32;

    /// Room for one batch.
    type Workspace<T: Real>: Debug + Send;

    /// The weights' names, shapes and places.
    fn layout(&self) -> &Layout;

    /// Rows of a window.
    fn lookback(&self) -> usize;

    /// Numbers in a row of a window.
    fn n_features(&self) -> usize;

    /// Share of numbers that training drops.
    fn dropout(&self) -> f64;

    /// Numbers that come out of a window.
    fn n_outputs(&self) -> usize;

    /// Makes room for batches of up to `capacity` windows.
    fn workspace<T: Real>(&self, capacity: usize) -> Self::Workspace<T>;

    /// Computes the outputs and keeps what [`backward`](Self::backward) needs.
    ///
    /// - `dropout`: `None` outside training
    /// - `outputs`: `(batch, n_outputs)`, replaced
    fn forward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        dropout: Option<Dropout>,
        workspace: &mut Self::Workspace<T>,
        outputs: &mut [T],
    );

    /// Adds the loss's derivative by every weight to `gradients`, after a
    /// [`forward`](Self::forward) with the same weights, inputs and dropout.
    ///
    /// - `d_outputs`: `(batch, n_outputs)`, the loss's derivative by every output
    fn backward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        dropout: Option<Dropout>,
        d_outputs: &[T],
        workspace: &mut Self::Workspace<T>,
        gradients: &mut [T],
    );

    /// Computes the outputs of one window without dropout, by the shortest way.
    ///
    /// - `input`: `(lookback, n_features)`
    /// - `output`: `(n_outputs,)`, replaced
    ///
    /// The default is a batch of one. One row in a live run must be fast: networks write their own.
    fn predict_one<T: Real>(
        &self,
        weights: &[T],
        input: &[T],
        workspace: &mut Self::Workspace<T>,
        output: &mut [T],
    ) {
        self.forward(weights, input, None, workspace, output);
    }
}
