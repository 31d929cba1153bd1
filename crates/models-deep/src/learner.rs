use forecastle_core::Result;

use crate::samples::Samples;

/// A network in training, on whatever does the arithmetic: ours or libtorch.
///
/// Weights come out as the flat vector of the network's [`Layout`](crate::layout::Layout). The
/// loss of rows is the mean of their squared errors (over an answer's numbers too), weighted by the
/// samples' weights.
///
/// # Contract
/// The bits of weights and losses do not depend on the number of threads on the pure backend, and
/// not on which rows were asked for before.
pub(crate) trait Learner {
    /// The weights as they are.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    fn weights(&mut self) -> Result<Vec<f32>>;

    /// Takes one step of `AdamW` on the rows, with dropout; returns their loss before the step.
    ///
    /// # Errors
    /// Whatever the backend fails with. A loss that is not finite is returned, not an error, and the
    /// step is not taken.
    fn step(&mut self, samples: &Samples, rows: &[usize], learning_rate: f64) -> Result<f64>;

    /// The loss of rows, without dropout.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    fn loss(&mut self, samples: &Samples, rows: &[usize]) -> Result<f64>;
}
