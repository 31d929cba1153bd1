use std::fmt;

/// Watches a long computation and may stop it.
///
/// Called from worker threads, seldom (a fold, a boosting round, an epoch), so it may draw.
pub trait Progress: Send + Sync {
    /// Takes a sign of progress.
    fn update(&self, event: &ProgressEvent<'_>);

    /// Whether the computation should stop with [`Error::Cancelled`](crate::Error::Cancelled).
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// States how far a stage has come.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ProgressEvent<'a> {
    /// The stage, e.g. `boosting` or `stacking`.
    pub stage: &'a str,
    /// Steps done.
    pub done: u64,
    /// Steps in all, where known.
    pub total: Option<u64>,
    /// Training loss, where there is one.
    pub loss: Option<f64>,
    /// Validation loss, where there is one.
    pub validation_loss: Option<f64>,
}

impl<'a> ProgressEvent<'a> {
    /// Makes an event without losses.
    pub fn new(stage: &'a str, done: u64, total: Option<u64>) -> Self {
        Self { stage, done, total, loss: None, validation_loss: None }
    }

    /// This event with its losses.
    pub fn with_loss(self, loss: f64, validation_loss: Option<f64>) -> Self {
        Self { loss: Some(loss), validation_loss, ..self }
    }
}

/// Ignores everything.
impl Progress for () {
    fn update(&self, _event: &ProgressEvent<'_>) {}
}

/// Passes a wish to stop on and keeps the steps of a part quiet, for a computation that counts its
/// parts itself.
#[derive(Clone, Copy)]
pub struct Quiet<'a>(pub &'a dyn Progress);

impl Progress for Quiet<'_> {
    fn update(&self, _event: &ProgressEvent<'_>) {}

    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

impl fmt::Debug for Quiet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Quiet")
    }
}
