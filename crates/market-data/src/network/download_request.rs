use forecastle_core::{Timeframe, Timestamp};

/// Asks for the candles of one market.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DownloadRequest {
    /// The unified symbol, or the exchange's own id.
    pub symbol: String,
    /// How long each candle lasts.
    pub timeframe: Timeframe,
    /// Earliest open time wanted; without it the newest candles are given.
    pub since: Option<Timestamp>,
    /// Open times from here on are not wanted.
    pub until: Option<Timestamp>,
    /// Most candles wanted: with `since` the first, without it the last.
    pub limit: Option<usize>,
    /// Whether the candle that has not closed yet is given too.
    pub unfinished: bool,
    /// Whether a hole in a page is asked about a second time. It costs one request a page with
    /// holes, and finds what a server left out.
    pub check_gaps: bool,
    /// Whether the next page is asked for while one is read. Where pages do not come full such a
    /// request may be in vain; soon none is made there any more.
    pub read_ahead: bool,
}

impl DownloadRequest {
    /// Asks for the newest candles.
    pub fn new(symbol: impl Into<String>, timeframe: Timeframe) -> Self {
        Self {
            symbol: symbol.into(),
            timeframe,
            since: None,
            until: None,
            limit: None,
            unfinished: false,
            check_gaps: true,
            read_ahead: true,
        }
    }

    /// This request from an open time on.
    pub fn since(self, since: impl Into<Option<Timestamp>>) -> Self {
        Self { since: since.into(), ..self }
    }

    /// This request up to an open time, exclusive.
    pub fn until(self, until: impl Into<Option<Timestamp>>) -> Self {
        Self { until: until.into(), ..self }
    }

    /// This request for at most so many candles.
    pub fn limit(self, limit: impl Into<Option<usize>>) -> Self {
        Self { limit: limit.into(), ..self }
    }
}
