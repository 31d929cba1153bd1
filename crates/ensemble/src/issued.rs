use serde::{Deserialize, Serialize};

use crate::adaptive_level::EXPERTS;

/// An interval with what is needed to judge it once its label is known; made by
/// [`AdaptiveConformal::issue`](crate::AdaptiveConformal::issue).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Issued {
    pub(crate) band: [f64; 2],
    pub(crate) scale: f64,
    /// The lower and the upper bound, the same twice where one distance serves both.
    pub(crate) bounds: Option<[Bound; 2]>,
}

/// One bound as it was read off the scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bound {
    /// The score up to which labels are inside.
    pub(crate) reach: f64,
    pub(crate) clamp: Clamp,
    pub(crate) levels: [f64; EXPERTS],
}

/// Which score stands in for one beyond those kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Clamp {
    None,
    Largest,
    Smallest,
}

impl Issued {
    /// The interval, `(lower, upper)`; NaN where there were too few scores.
    ///
    /// Where a band shrinks past itself, both bounds are the point at which they met.
    pub fn interval(&self) -> (f64, f64) {
        let Some([below, above]) = self.bounds else {
            return (f64::NAN, f64::NAN);
        };
        let [low, high] = self.band;
        let (lower, upper) = (low - self.scale * below.reach, high + self.scale * above.reach);
        if lower <= upper {
            return (lower, upper);
        }
        let point = lower + 0.5 * (upper - lower);
        (point, point)
    }

    /// Whether there were enough scores for an interval.
    pub fn is_ready(&self) -> bool {
        self.bounds.is_some()
    }

    /// Whether the level asked for more than the largest or less than the smallest score kept.
    pub fn is_clamped(&self) -> bool {
        self.bounds.is_some_and(|bounds| bounds.iter().any(|b| b.clamp != Clamp::None))
    }

    /// How far a label lies below and above the band.
    pub(crate) fn scores(&self, label: f64) -> [f64; 2] {
        let [low, high] = self.band;
        [(low - label) / self.scale, (label - high) / self.scale]
    }
}
