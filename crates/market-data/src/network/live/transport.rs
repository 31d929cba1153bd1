use std::fmt;

use serde::{Deserialize, Serialize};

/// Names how a live source learns of new candles.
///
/// Both give the same candles with the same guarantees; what a stream misses is asked for over
/// HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Transport {
    /// One request for each candle, after its close and a margin; every exchange.
    #[default]
    Polling,
    /// A WebSocket's messages, where the exchange's record has a stream for the market and timeframe
    /// (feature `websocket`).
    ///
    /// A candle comes when the stream says that it has closed; where the stream does not say so,
    /// when the next one has begun and an answer over HTTP has the same values. What neither gives
    /// comes as by polling.
    WebSocket,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        })
    }
}
