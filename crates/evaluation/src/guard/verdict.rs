use serde::{Deserialize, Serialize};

/// Says whether a guard objects to a forecast, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GuardVerdict {
    /// What was measured, in the guard's own terms.
    pub score: f64,
    /// Where the guard starts to object.
    pub threshold: f64,
    /// Whether it objects.
    pub beyond: bool,
    /// Why, to be shown in place of a signal: `novelty p 0.0003 < 0.001: volume_log_ratio 12.3 sd`;
    /// `None` when it does not object.
    pub reason: Option<String>,
}

impl GuardVerdict {
    /// Makes a verdict; `reason` is asked for only where the guard objects.
    pub(super) fn new(
        score: f64,
        threshold: f64,
        beyond: bool,
        reason: impl FnOnce() -> String,
    ) -> Self {
        Self { score, threshold, beyond, reason: beyond.then(reason) }
    }
}
