use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::HttpClientParams;

/// Gives the waits between attempts: exponential, with a random half, so that clients that failed
/// together do not come back together.
#[derive(Debug)]
pub(super) struct Backoff {
    base: Duration,
    longest: Duration,
    jitter: Mutex<Xoshiro256PlusPlus>,
}

impl Backoff {
    pub(super) fn new(params: &HttpClientParams) -> Self {
        let seed = params.jitter_seed.unwrap_or_else(|| RandomState::new().hash_one(0_u64));
        Self {
            base: Duration::from_millis(params.base_delay_ms),
            longest: Duration::from_millis(params.max_delay_ms),
            jitter: Mutex::new(Xoshiro256PlusPlus::seed_from_u64(seed)),
        }
    }

    /// The wait after attempt `attempt`, counted from 1: between half and all of
    /// `base · 2^(attempt − 1)`, the longest wait at most.
    pub(super) fn delay(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let whole = self.base.saturating_mul(doubled).min(self.longest);
        let bits = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).next_u64() >> 11;
        let uniform = bits as f64 / (1_u64 << 53) as f64;
        whole.mul_f64(0.5 + 0.5 * uniform)
    }
}

/// Whether a status says that the same request may succeed in a moment.
pub(super) fn is_worth_repeating(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 507 | 509 | 520..=530 | 598 | 599)
}

/// Whether a status is about the sender rather than the request, so that every request to the
/// host has to wait.
pub(super) fn pauses_the_host(status: u16) -> bool {
    matches!(status, 418 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(seed: u64) -> Backoff {
        Backoff::new(&HttpClientParams {
            base_delay_ms: 100,
            max_delay_ms: 1_000,
            jitter_seed: Some(seed),
            ..HttpClientParams::default()
        })
    }

    #[test]
    fn waits_double_from_the_base_up_to_the_longest_with_a_random_half() {
        let backoff = backoff(1);
        for (attempt, whole) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (99, 1_000)] {
            for _ in 0..100 {
                let delay = backoff.delay(attempt);
                let whole = Duration::from_millis(whole);
                assert!(delay >= whole / 2 && delay <= whole, "{attempt}: {delay:?}");
            }
        }
    }

    #[test]
    fn the_seed_decides_the_waits() {
        let waits = |seed| {
            let backoff = backoff(seed);
            (1..6).map(|attempt| backoff.delay(attempt)).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
        let unseeded = || Backoff::new(&HttpClientParams::default()).delay(10);
        assert_ne!(unseeded(), unseeded());
    }

    #[test]
    fn what_is_missing_or_forbidden_is_not_asked_for_again() {
        for status in [200, 301, 400, 401, 403, 404, 418, 451, 501, 505] {
            assert!(!is_worth_repeating(status), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 520, 524] {
            assert!(is_worth_repeating(status), "{status}");
        }
    }
}
