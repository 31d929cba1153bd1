use std::time::Duration;

use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Configures an [`HttpClient`](crate::HttpClient).
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `connect_timeout_ms` | 10,000 | name look-up, connection and TLS, of one attempt | 1 to 600,000 |
/// | `timeout_ms` | 30,000 | one attempt from its start to the last byte | 1 to 3,600,000 |
/// | `max_body_bytes` | 64 MiB | longest body, after decompression | 1 to 2^32 |
/// | `user_agent` | `forecastle/<version>` | the header, unless a request brings its own | visible ASCII |
/// | `max_retries` | 4 | repetitions after the first attempt | ≤ 20 |
/// | `base_delay_ms` | 500 | longest wait before the first repetition; doubles each time | 1 to `max_delay_ms` |
/// | `max_delay_ms` | 20,000 | longest such wait | ≤ 3,600,000 |
/// | `max_retry_after_ms` | 60,000 | a server that asks for more is not waited for | ≤ 3,600,000 |
/// | `jitter_seed` | none | seeds the spread of the waits; none: another one each time | |
/// | `max_connections_per_host` | 4 | requests under way at once to one host | 1 to 1,024 |
/// | `max_redirects` | 5 | how many are followed | ≤ 20 |
/// | `proxy_from_environment` | true | whether `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` count | |
///
/// A loopback address is always reached directly, proxy or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpClientParams {
    /// Longest time to look up the name, to connect and to agree on TLS, in ms.
    pub connect_timeout_ms: u64,
    /// Longest time of one attempt, from its start to the body's last byte, in ms.
    pub timeout_ms: u64,
    /// Most bytes of a body, after decompression.
    pub max_body_bytes: u64,
    /// The `User-Agent` of a request that has none.
    pub user_agent: String,
    /// How often a request is repeated after its first attempt.
    pub max_retries: u32,
    /// Longest wait before the first repetition, in ms; it doubles from one to the next.
    pub base_delay_ms: u64,
    /// Longest wait before any repetition that the server did not ask for, in ms.
    pub max_delay_ms: u64,
    /// Longest wait that a server may ask for, in ms; a longer one ends the repetitions.
    pub max_retry_after_ms: u64,
    /// Seed of the random part of the waits; `None` takes a new one for each client.
    pub jitter_seed: Option<u64>,
    /// Most requests under way at once to one host.
    pub max_connections_per_host: usize,
    /// Most redirects followed; never from https to http.
    pub max_redirects: usize,
    /// Whether a proxy named by the environment is used.
    pub proxy_from_environment: bool,
}

impl Default for HttpClientParams {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 10_000,
            timeout_ms: 30_000,
            max_body_bytes: 64 << 20,
            user_agent: concat!("forecastle/", env!("CARGO_PKG_VERSION")).to_owned(),
            max_retries: 4,
            base_delay_ms: 500,
            max_delay_ms: 20_000,
            max_retry_after_ms: 60_000,
            jitter_seed: None,
            max_connections_per_host: 4,
            max_redirects: 5,
            proxy_from_environment: true,
        }
    }
}

impl HttpClientParams {
    pub(super) fn validate(&self) -> Result<()> {
        let within = |name, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::invalid_parameter(name, format!("between {low} and {high}"), value))
            }
        };
        within("connect_timeout_ms", self.connect_timeout_ms, 1, 600_000)?;
        within("timeout_ms", self.timeout_ms, 1, MOST_MS)?;
        within("max_body_bytes", self.max_body_bytes, 1, 1 << 32)?;
        within("max_retries", u64::from(self.max_retries), 0, 20)?;
        within("max_delay_ms", self.max_delay_ms, 1, MOST_MS)?;
        within("base_delay_ms", self.base_delay_ms, 1, self.max_delay_ms)?;
        within("max_retry_after_ms", self.max_retry_after_ms, 0, MOST_MS)?;
        within("max_connections_per_host", count(self.max_connections_per_host), 1, 1_024)?;
        within("max_redirects", count(self.max_redirects), 0, 20)?;
        let agent = &self.user_agent;
        if agent.is_empty() || !agent.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            let requirement = "visible ASCII";
            return Err(Error::invalid_parameter("user_agent", requirement, agent.escape_debug()));
        }
        Ok(())
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(super) fn max_retry_after(&self) -> Duration {
        Duration::from_millis(self.max_retry_after_ms)
    }
}

const MOST_MS: u64 = 3_600_000;

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
