use forecastle_core::Timestamp;
use serde::{Deserialize, Serialize};

/// Counts what a [`LivePipeline`](crate::LivePipeline) has seen and done; part of its saved state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LiveCounters {
    /// Candles taken.
    pub candles: u64,
    /// Open time of the last one.
    pub last_open_time: Option<Timestamp>,
    /// Steps between neighbours that are longer than the timeframe.
    pub gaps: u64,
    /// Candles missing inside those gaps.
    pub missing: u64,
    /// Candles of the last one's time that were passed over.
    pub duplicates: u64,
    /// Those of them whose numbers were others.
    pub revised: u64,
    /// Candles of an earlier time that were passed over.
    pub late: u64,
    /// Candles that were refused with an error.
    pub refused: u64,
    /// Updates that failed in a model; nothing changed.
    pub errors: u64,
    /// Candles whose signal a guard held.
    pub held: u64,
    /// Fits begun in the background.
    pub refits_begun: u64,
    /// Fits whose models took over.
    pub refits: u64,
    /// Fits that failed; the models before went on.
    pub refits_failed: u64,
}
