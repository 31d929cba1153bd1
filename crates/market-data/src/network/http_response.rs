use std::time::Duration;

use forecastle_core::Timestamp;

/// Holds what a server answered, whatever the status, and what it took to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// How long the server asks to wait before the next request.
    pub retry_after: Option<Duration>,
    /// The server's clock when it answered, for the skew of one's own.
    pub date: Option<Timestamp>,
    /// The media type, in lower case and without parameters.
    pub content_type: Option<String>,
    /// The body, decompressed and complete.
    pub body: Vec<u8>,
    /// How often the request was sent.
    pub attempts: u32,
    /// How long the last attempt took.
    pub latency: Duration,
    /// How long all of it took.
    pub elapsed: Duration,
    /// How much of that was waiting on purpose: for the pace, a free connection or a repetition.
    pub waited: Duration,
}

impl HttpResponse {
    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
