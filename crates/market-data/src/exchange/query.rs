use forecastle_core::{Timeframe, Timestamp};

use super::Market;

/// Asks one exchange for one page of candles, in CCXT's terms, at a given time.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct CandleQuery<'m> {
    /// The market.
    pub market: &'m Market,
    /// How long each candle lasts.
    pub timeframe: Timeframe,
    /// Earliest open time wanted.
    pub since: Option<Timestamp>,
    /// Open times from here on are not wanted; only some exchanges can be told.
    pub until: Option<Timestamp>,
    /// Most candles wanted.
    pub limit: Option<u32>,
    /// The clock.
    pub now: Timestamp,
}

impl<'m> CandleQuery<'m> {
    /// Asks for the newest candles.
    pub fn new(market: &'m Market, timeframe: Timeframe, now: Timestamp) -> Self {
        Self { market, timeframe, since: None, until: None, limit: None, now }
    }

    /// This query from an open time on.
    pub fn since(self, since: impl Into<Option<Timestamp>>) -> Self {
        Self { since: since.into(), ..self }
    }

    /// This query up to an open time, exclusive.
    pub fn until(self, until: impl Into<Option<Timestamp>>) -> Self {
        Self { until: until.into(), ..self }
    }

    /// This query for at most so many candles.
    pub fn limit(self, limit: impl Into<Option<u32>>) -> Self {
        Self { limit: limit.into(), ..self }
    }
}
