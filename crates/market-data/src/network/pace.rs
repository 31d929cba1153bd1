use std::time::Duration;

/// Says how a request may be sent: how far from the one before it, and whether it may be repeated.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use forecastle_market_data::Pace;
///
/// let pace = Pace::every(Duration::from_millis(50)).with_repeatable_post();
/// assert!(pace.repeat_post);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// The shortest time between the starts of two requests to one host.
    pub min_interval: Duration,
    /// Whether a POST only reads, so that sending it again after a failure does no harm.
    /// A GET always may be repeated.
    pub repeat_post: bool,
}

impl Pace {
    /// Makes the pace of one request an interval; a POST is sent once.
    pub fn every(min_interval: Duration) -> Self {
        Self { min_interval, repeat_post: false }
    }

    /// Declares that a POST only reads and may be repeated.
    #[must_use]
    pub fn with_repeatable_post(self) -> Self {
        Self { repeat_post: true, ..self }
    }
}
