//! What goes wrong, how often, and never for ever.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use forecastle_core::{Error, Result};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// Names a way in which a server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// HTTP 429 with `Retry-After`.
    RateLimited,
    /// HTTP 500, 502 or 503.
    ServerError,
    /// The connection ends before any answer.
    Closed,
    /// The connection ends before the announced length of the body.
    CutOff,
    /// The connection ends amid a chunked body.
    CutOffChunked,
    /// A web page instead of JSON, with status 200.
    Html,
    /// No body at all, with status 200.
    Empty,
    /// A word, a null or an object where a number is due.
    WrongType,
    /// The body comes in small pieces, slowly.
    Slow,
    /// A row comes twice.
    RepeatedRow,
    /// The rows are out of order.
    UnorderedRows,
    /// Rows before the start that was asked for.
    OverlappingRows,
    /// A row is left out; asked for again, it is there.
    MissingRow,
    /// Fewer rows than asked for, another number each time.
    ShortPage,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::RateLimited,
        Self::ServerError,
        Self::Closed,
        Self::CutOff,
        Self::CutOffChunked,
        Self::Html,
        Self::Empty,
        Self::WrongType,
        Self::Slow,
        Self::RepeatedRow,
        Self::UnorderedRows,
        Self::OverlappingRows,
        Self::MissingRow,
        Self::ShortPage,
    ];

    /// Whether it leaves the client with no candles, so that it has to ask again.
    pub fn is_failure(self) -> bool {
        use FaultKind::*;
        matches!(
            self,
            RateLimited | ServerError | Closed | CutOff | CutOffChunked | Html | Empty | WrongType
        )
    }

    /// Whether status and headers are those of a success and only the content is wrong.
    pub fn is_wrong_content(self) -> bool {
        matches!(self, Self::Html | Self::Empty | Self::WrongType)
    }

    /// Its name in snake case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Closed => "closed",
            Self::CutOff => "cut_off",
            Self::CutOffChunked => "cut_off_chunked",
            Self::Html => "html",
            Self::Empty => "empty",
            Self::WrongType => "wrong_type",
            Self::Slow => "slow",
            Self::RepeatedRow => "repeated_row",
            Self::UnorderedRows => "unordered_rows",
            Self::OverlappingRows => "overlapping_rows",
            Self::MissingRow => "missing_row",
            Self::ShortPage => "short_page",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Configures the faults of a [`ReplayServer`](super::ReplayServer).
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `probabilities` | none | how often each kind happens to a request it can happen to | 0 to 1 |
/// | `most_in_a_row` | 3 | failures of one and the same request before it is let through | |
/// | `retry_after_s` | 0 | what a 429 asks the client to wait | |
/// | `slow_pause_ms` | 2 | between the pieces of a slow body | ≤ 60,000 |
/// | `seed` | 7 | same seed and same requests, same faults | |
///
/// A client that asks each request up to `most_in_a_row` + 1 times always gets through. A row that
/// was left out once is never left out again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// How often each kind happens.
    pub probabilities: BTreeMap<FaultKind, f64>,
    /// Most failures in a row of the same request.
    pub most_in_a_row: u32,
    /// Seconds in a `Retry-After`.
    pub retry_after_s: u64,
    /// Milliseconds between the pieces of a slow body.
    pub slow_pause_ms: u64,
    /// Decides which requests fail.
    pub seed: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            probabilities: BTreeMap::new(),
            most_in_a_row: 3,
            retry_after_s: 0,
            slow_pause_ms: 2,
            seed: 7,
        }
    }
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Each kind happens to one request in thirty.
    pub fn some() -> Self {
        Self::of(FaultKind::ALL, 1.0 / 30.0)
    }

    /// Each kind happens to one request in eight.
    pub fn many() -> Self {
        Self::of(FaultKind::ALL, 0.125)
    }

    /// These kinds happen with this probability each.
    pub fn of(kinds: impl IntoIterator<Item = FaultKind>, probability: f64) -> Self {
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
        if self.slow_pause_ms > 60_000 {
            let pause = self.slow_pause_ms;
            return Err(Error::invalid_parameter("slow_pause_ms", "<= 60000", pause));
        }
        Ok(())
    }

    pub(super) fn slow_pause(&self) -> Duration {
        Duration::from_millis(self.slow_pause_ms)
    }
}

/// Draws the faults of each request, and remembers what it must not do again.
#[derive(Debug)]
pub(super) struct FaultDice {
    faults: Faults,
    rng: Xoshiro256PlusPlus,
    /// Failures in a row of requests that have not been let through yet.
    failures: HashMap<u64, u32>,
    /// Rows, by series and place, that were left out once.
    left_out: HashSet<(usize, usize)>,
}

impl FaultDice {
    pub(super) fn new(faults: Faults) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(faults.seed);
        Self { faults, rng, failures: HashMap::new(), left_out: HashSet::new() }
    }

    /// Whether a fault that is no failure happens now.
    pub(super) fn strikes(&mut self, kind: FaultKind) -> bool {
        let probability = self.faults.probabilities.get(&kind).copied().unwrap_or(0.0);
        probability > 0.0 && self.unit() < probability
    }

    /// The failure, if any, that a request (by its hash) meets.
    pub(super) fn failure(&mut self, request: u64) -> Option<FaultKind> {
        let candidates = FaultKind::ALL.into_iter().filter(|kind| kind.is_failure());
        let struck: Vec<FaultKind> = candidates.filter(|kind| self.strikes(*kind)).collect();
        let chosen = if struck.is_empty() { None } else { struck.get(self.below(struck.len())) };
        let before = self.failures.get(&request).copied().unwrap_or(0);
        match chosen {
            Some(kind) if before < self.faults.most_in_a_row => {
                self.failures.insert(request, before + 1);
                Some(*kind)
            }
            _ => {
                self.failures.remove(&request);
                None
            }
        }
    }

    /// Whether a row may still be left out; it may not be another time.
    pub(super) fn leave_out(&mut self, series: usize, row: usize) -> bool {
        self.left_out.insert((series, row))
    }

    /// A whole number below `n`; 0 when that is none.
    pub(super) fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.rng.next_u64() % n).unwrap_or_default()
    }

    /// From 0 to below 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_fails_more_often_in_a_row_than_allowed() {
        let faults = Faults { most_in_a_row: 2, ..Faults::of(FaultKind::ALL, 1.0) };
        let mut dice = FaultDice::new(faults);
        let outcomes: Vec<bool> = (0..9).map(|_| dice.failure(1).is_some()).collect();
        assert_eq!(outcomes, [true, true, false, true, true, false, true, true, false]);
        assert!(dice.failure(2).is_some());
    }

    #[test]
    fn same_seed_same_faults_and_a_probability_is_kept() {
        let draw = |seed| {
            let mut dice = FaultDice::new(Faults { seed, ..Faults::of(FaultKind::ALL, 0.1) });
            (0..1_000_u64).map(|request| dice.failure(request)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        // 1 - 0.9^8 of them fail.
        let failed = draw(3).iter().flatten().count();
        assert!((500..640).contains(&failed), "{failed}");
    }

    #[test]
    fn a_row_is_left_out_only_once() {
        let mut dice = FaultDice::new(Faults::none());
        assert!(dice.leave_out(0, 5) && dice.leave_out(1, 5));
        assert!(!dice.leave_out(0, 5));
    }

    #[test]
    fn impossible_probabilities_are_refused() {
        assert!(Faults::of([FaultKind::Slow], 1.5).validate().is_err());
        assert!(Faults::of([FaultKind::Slow], f64::NAN).validate().is_err());
        assert!(Faults { slow_pause_ms: 60_001, ..Faults::none() }.validate().is_err());
        assert!(Faults::many().validate().is_ok());
    }
}
