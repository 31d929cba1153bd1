use std::time::Duration;

use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::Transport;

/// Configures a live source of candles.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `transport` | polling | where new candles come from | with `websocket` only if built so |
/// | `margin_ms` | 2,000 | how long after its close a candle is asked for and taken for final | 0 to 600,000 |
/// | `retry_ms` | 1,000 | wait before a candle that is not there yet, or not certain, is asked for again; doubles | 10 to 600,000 |
/// | `backoff_ms` | 1,000 | wait after a failure; doubles from one to the next | 10 to `max_backoff_ms` |
/// | `max_backoff_ms` | 60,000 | longest such wait, unless the exchange asks for more | ≤ 3,600,000 |
/// | `idle_timeout_ms` | 60,000 | a stream that says nothing for so long is connected anew | 100 to 3,600,000 |
/// | `capacity` | 64 | candles kept for a reader that is busy; then the source waits | 1 to 65,536 |
///
/// The margin is for exchanges that publish late or revise what they have just published, and for
/// the second that their clock cannot be told to. A failure is one that the HTTP client's own
/// repetitions did not overcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveParams {
    /// Where new candles come from.
    pub transport: Transport,
    /// How long after its close a candle is final, in ms.
    pub margin_ms: u64,
    /// First wait for a candle that is not there yet, in ms.
    pub retry_ms: u64,
    /// First wait after a failure, in ms.
    pub backoff_ms: u64,
    /// Longest wait after a failure, in ms.
    pub max_backoff_ms: u64,
    /// After how long a silent stream is connected anew, in ms; twice the time between the pings
    /// that an exchange wants, if that is longer.
    pub idle_timeout_ms: u64,
    /// Most candles that wait for the reader.
    pub capacity: usize,
}

impl Default for LiveParams {
    fn default() -> Self {
        Self {
            transport: Transport::Polling,
            margin_ms: 2_000,
            retry_ms: 1_000,
            backoff_ms: 1_000,
            max_backoff_ms: 60_000,
            idle_timeout_ms: 60_000,
            capacity: 64,
        }
    }
}

impl LiveParams {
    pub(super) fn validate(&self) -> Result<()> {
        let within = |name, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::invalid_parameter(name, format!("between {low} and {high}"), value))
            }
        };
        if self.transport == Transport::WebSocket && !cfg!(feature = "websocket") {
            let requirement = "polling without the feature `websocket`";
            return Err(Error::invalid_parameter("transport", requirement, self.transport));
        }
        within("margin_ms", self.margin_ms, 0, 600_000)?;
        within("retry_ms", self.retry_ms, 10, 600_000)?;
        within("max_backoff_ms", self.max_backoff_ms, 10, 3_600_000)?;
        within("backoff_ms", self.backoff_ms, 10, self.max_backoff_ms)?;
        within("idle_timeout_ms", self.idle_timeout_ms, 100, 3_600_000)?;
        within("capacity", u64::try_from(self.capacity).unwrap_or(u64::MAX), 1, 65_536)
    }

    pub(super) fn margin_millis(&self) -> i64 {
        i64::try_from(self.margin_ms).unwrap_or(i64::MAX)
    }

    /// The wait before a candle that is late is asked for another time.
    pub(super) fn retry(&self, before: u32) -> Duration {
        doubled(self.retry_ms, before)
    }

    /// The wait after so many failures in a row.
    pub(super) fn backoff(&self, failures: u32) -> Duration {
        doubled(self.backoff_ms, failures.saturating_sub(1))
            .min(Duration::from_millis(self.max_backoff_ms))
    }
}

fn doubled(millis: u64, times: u32) -> Duration {
    Duration::from_millis(millis.saturating_mul(2_u64.saturating_pow(times)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let params = LiveParams::default();
        let seconds = |duration: Duration| duration.as_secs();
        assert_eq!([0, 1, 5].map(|n| seconds(params.retry(n))), [1, 2, 32]);
        assert_eq!([1, 2, 6, 7, 99].map(|n| seconds(params.backoff(n))), [1, 2, 32, 60, 60]);
    }

    #[cfg(not(feature = "websocket"))]
    #[test]
    fn streams_are_refused_where_they_are_not_built_in() {
        let params = LiveParams { transport: Transport::WebSocket, ..LiveParams::default() };
        let error = params.validate().unwrap_err().to_string();
        assert!(error.contains("`transport` must be polling"), "{error}");
    }

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        let refused = |change: fn(&mut LiveParams)| {
            let mut params = LiveParams::default();
            change(&mut params);
            params.validate().unwrap_err().to_string()
        };
        assert!(LiveParams::default().validate().is_ok());
        assert!(refused(|p| p.margin_ms = 600_001).contains("`margin_ms`"));
        assert!(refused(|p| p.retry_ms = 0).contains("`retry_ms`"));
        assert!(refused(|p| p.backoff_ms = 60_001).contains("`backoff_ms`"));
        assert!(refused(|p| p.max_backoff_ms = 0).contains("`max_backoff_ms`"));
        assert!(refused(|p| p.idle_timeout_ms = 99).contains("`idle_timeout_ms`"));
        assert!(refused(|p| p.capacity = 0).contains("between 1 and 65536, got 0"));
    }
}
