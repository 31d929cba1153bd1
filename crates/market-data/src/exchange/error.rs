use std::time::Duration;

use forecastle_core::Error;

/// A result whose error is [`ExchangeError`].
pub type ExchangeResult<T> = Result<T, ExchangeError>;

/// Says why an exchange gave no candles or markets, in the categories a caller can act on.
///
/// It converts into core's [`Error`], where it travels as the source of
/// [`Error::Component`], transient when [`ExchangeError::is_transient`] says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// No record has this id.
    #[error("no exchange is called {name:?}{}", did_you_mean(.hint))]
    UnknownExchange {
        /// The name asked for.
        name: String,
        /// The closest known id.
        hint: Option<String>,
    },
    /// The exchange lists no such market.
    #[error("{exchange} has no market {symbol:?}{}", did_you_mean(.hint))]
    UnknownSymbol {
        /// The exchange.
        exchange: String,
        /// The symbol asked for.
        symbol: String,
        /// The closest listed symbol.
        hint: Option<String>,
    },
    /// The exchange offers no candles of this length for this kind of market.
    #[error("{exchange} has no {timeframe} candles there, it offers {offered}")]
    UnsupportedTimeframe {
        /// The exchange.
        exchange: String,
        /// The timeframe asked for.
        timeframe: String,
        /// What it offers, separated by blanks.
        offered: String,
    },
    /// The exchange cannot answer such a request, as its record says.
    #[error("{exchange} refuses this request: {reason}")]
    Refused {
        /// The exchange.
        exchange: String,
        /// The rule.
        reason: String,
    },
    /// The request cannot be sent as it is: no web address, no valid header.
    #[error("{exchange}: the request cannot be sent: {reason}")]
    InvalidRequest {
        /// The exchange.
        exchange: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The call needs an API key, and Forecastle carries none.
    #[error("{exchange} wants an API key: {message}")]
    KeyRequired {
        /// The exchange.
        exchange: String,
        /// The exchange's own words, or what its record says.
        message: String,
    },
    /// The exchange asks to slow down.
    #[error("{exchange} limits the rate: {message}")]
    RateLimited {
        /// The exchange.
        exchange: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// Its own words.
        message: String,
    },
    /// The exchange does not serve this address or country.
    #[error("{exchange} does not serve this region (HTTP {status}): {message}")]
    BlockedByRegion {
        /// The exchange.
        exchange: String,
        /// The HTTP status.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// The exchange answered with an error of its own.
    #[error("{exchange} answered HTTP {status}: {message}")]
    Exchange {
        /// The exchange.
        exchange: String,
        /// The HTTP status.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// The answer does not have the documented shape.
    #[error("{exchange} sent a malformed answer{}: {reason}", place(.row, .field))]
    Malformed {
        /// The exchange.
        exchange: String,
        /// The row, counted from 1 in the order of the answer.
        row: Option<u64>,
        /// The field or path.
        field: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
    /// The answer is longer than a client takes.
    #[error("{exchange} sent more than {limit} bytes")]
    TooLarge {
        /// The exchange.
        exchange: String,
        /// The bound.
        limit: u64,
    },
    /// The host could not be reached, or the connection broke.
    #[error("{exchange}: cannot reach {host}: {reason}")]
    Unreachable {
        /// The exchange.
        exchange: String,
        /// The host.
        host: String,
        /// The innermost cause, in the operating system's words.
        reason: String,
    },
    /// No answer came in time.
    #[error("{exchange}: {host} gave no answer within {} s", .after.as_secs_f64())]
    TimedOut {
        /// The exchange.
        exchange: String,
        /// The host.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// An exchange's record is wrong.
    #[error("record {file}, {field}: {reason}")]
    Record {
        /// The record's file.
        file: String,
        /// The field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ExchangeError {
    /// Its category in snake case, for counters.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownExchange { .. } => "unknown_exchange",
            Self::UnknownSymbol { .. } => "unknown_symbol",
            Self::UnsupportedTimeframe { .. } => "unsupported_timeframe",
            Self::Refused { .. } => "refused",
            Self::InvalidRequest { .. } => "invalid_request",
            Self::KeyRequired { .. } => "key_required",
            Self::RateLimited { .. } => "rate_limited",
            Self::BlockedByRegion { .. } => "blocked_by_region",
            Self::Exchange { .. } => "exchange",
            Self::Malformed { .. } => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed_out",
            Self::Record { .. } => "record",
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Exchange { status, .. } => *status >= 500,
            _ => false,
        }
    }
}

impl From<ExchangeError> for Error {
    fn from(error: ExchangeError) -> Self {
        let transient = error.is_transient();
        Self::Component { component: "the exchange", transient, source: Box::new(error) }
    }
}

fn did_you_mean(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!(", did you mean {hint:?}?")).unwrap_or_default()
}

fn place(row: &Option<u64>, field: &Option<String>) -> String {
    let row = row.map(|row| format!(", row {row}")).unwrap_or_default();
    let field = field.as_ref().map(|field| format!(", field `{field}`")).unwrap_or_default();
    row + &field
}
