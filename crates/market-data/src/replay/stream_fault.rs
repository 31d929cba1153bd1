//! What goes wrong with a candle stream.

use std::collections::BTreeMap;
use std::fmt;

use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Names a way in which a candle stream fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StreamFaultKind {
    /// A connection is refused with HTTP 503.
    Refused,
    /// A subscription is not acknowledged, and nothing follows.
    Unacknowledged,
    /// The connection breaks in place of a message.
    Dropped,
    /// Nothing comes any more, though the connection stays open.
    Silent,
    /// A message comes late, and with it all that follow.
    Delayed,
    /// A message comes twice.
    Repeated,
    /// A message comes after the one that follows it.
    Reordered,
    /// A message is cut short or has no number where one is due.
    Malformed,
    /// Bytes that mean nothing come before a message.
    Garbage,
    /// A message longer than any client takes comes in place of one.
    Oversized,
}

impl StreamFaultKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Refused,
        Self::Unacknowledged,
        Self::Dropped,
        Self::Silent,
        Self::Delayed,
        Self::Repeated,
        Self::Reordered,
        Self::Malformed,
        Self::Garbage,
        Self::Oversized,
    ];

    /// Its name in snake case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unacknowledged => "unacknowledged",
            Self::Dropped => "dropped",
            Self::Silent => "silent",
            Self::Delayed => "delayed",
            Self::Repeated => "repeated",
            Self::Reordered => "reordered",
            Self::Malformed => "malformed",
            Self::Garbage => "garbage",
            Self::Oversized => "oversized",
        }
    }
}

impl fmt::Display for StreamFaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Configures the candle streams of a [`ReplayServer`](super::ReplayServer) and their faults.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `update_ms` | 1,000 | how often the candle in progress is told, by the server's clock | 1 to 86,400,000 |
/// | `probabilities` | none | how often each kind happens to a connection or message | 0 to 1 |
/// | `delay_ms` | 20 | how late a delayed message comes, in real time | ≤ 60,000 |
/// | `seed` | 7 | same seed and same messages, same faults | |
///
/// Streams are served with the feature `websocket`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayStreams {
    /// How often the candle in progress is told, in ms of the server's clock.
    pub update_ms: u64,
    /// How often each kind of fault happens.
    pub probabilities: BTreeMap<StreamFaultKind, f64>,
    /// How late a delayed message comes, in ms.
    pub delay_ms: u64,
    /// Decides what fails.
    pub seed: u64,
}

impl Default for ReplayStreams {
    fn default() -> Self {
        Self { update_ms: 1_000, probabilities: BTreeMap::new(), delay_ms: 20, seed: 7 }
    }
}

impl ReplayStreams {
    /// These kinds happen with this probability each.
    pub fn of(kinds: impl IntoIterator<Item = StreamFaultKind>, probability: f64) -> Self {
        let probabilities = kinds.into_iter().map(|kind| (kind, probability)).collect();
        Self { probabilities, ..Self::default() }
    }

    pub(super) fn validate(&self) -> Result<()> {
        for (kind, probability) in &self.probabilities {
            if !(0.0..=1.0).contains(probability) {
                let requirement = format!("between 0 and 1 for {kind}");
                return Err(Error::invalid_parameter("probabilities", requirement, probability));
            }
        }
        if self.delay_ms > 60_000 {
            return Err(Error::invalid_parameter("delay_ms", "<= 60000", self.delay_ms));
        }
        if !(1..=86_400_000).contains(&self.update_ms) {
            let requirement = "between 1 and 86400000";
            return Err(Error::invalid_parameter("update_ms", requirement, self.update_ms));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_out_of_range_are_refused() {
        assert!(ReplayStreams::of(StreamFaultKind::ALL, 0.1).validate().is_ok());
        assert!(ReplayStreams::of([StreamFaultKind::Silent], 1.5).validate().is_err());
        assert!(ReplayStreams::of([StreamFaultKind::Silent], f64::NAN).validate().is_err());
        for streams in [
            ReplayStreams { update_ms: 0, ..ReplayStreams::default() },
            ReplayStreams { delay_ms: 60_001, ..ReplayStreams::default() },
        ] {
            assert!(streams.validate().is_err(), "{streams:?}");
        }
    }
}
