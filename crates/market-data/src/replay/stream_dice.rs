use std::collections::BTreeMap;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::stream_fault::{ReplayStreams, StreamFaultKind};

/// Draws the faults of streams.
#[derive(Debug)]
pub(super) struct StreamDice {
    probabilities: BTreeMap<StreamFaultKind, f64>,
    rng: Xoshiro256PlusPlus,
}

impl StreamDice {
    pub(super) fn new(streams: &ReplayStreams) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(streams.seed);
        Self { probabilities: streams.probabilities.clone(), rng }
    }

    /// Whether a fault happens now.
    pub(super) fn strikes(&mut self, kind: StreamFaultKind) -> bool {
        let probability = self.probabilities.get(&kind).copied().unwrap_or(0.0);
        let unit = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }

    /// Any byte.
    pub(super) fn byte(&mut self) -> u8 {
        self.rng.next_u64().to_le_bytes()[0]
    }
}
