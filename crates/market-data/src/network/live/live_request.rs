use forecastle_core::{Error, Result, Timeframe, Timestamp};
use serde::{Deserialize, Serialize};

use super::LiveParams;

/// Asks for the candles of one market from a time on, and for all that will come.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `symbol` | | the unified symbol, or the exchange's own id | |
/// | `timeframe` | | how long each candle lasts | one that the exchange offers |
/// | `after` | none | open time of the last candle that is known: what follows comes first | |
/// | `history` | none | so many closed candles come first | ≤ 1,000,000; not with `after` |
/// | `params` | [`LiveParams`] | margins and waits | |
///
/// With neither `after` nor `history` the first candle is the one in progress.
///
/// # Examples
/// ```
/// use forecastle_core::Timeframe;
/// use forecastle_market_data::LiveRequest;
///
/// let request = LiveRequest::new("BTC/USDT", Timeframe::MINUTE).history(500);
/// assert_eq!((request.after, request.history), (None, Some(500)));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LiveRequest {
    /// The unified symbol, or the exchange's own id.
    pub symbol: String,
    /// How long each candle lasts.
    pub timeframe: Timeframe,
    /// The open time of the last candle that the caller has.
    #[serde(default)]
    pub after: Option<Timestamp>,
    /// How many closed candles come first.
    #[serde(default)]
    pub history: Option<usize>,
    /// Margins and waits.
    #[serde(default)]
    pub params: LiveParams,
}

impl LiveRequest {
    /// Asks for candles from the one in progress on.
    pub fn new(symbol: impl Into<String>, timeframe: Timeframe) -> Self {
        let (symbol, params) = (symbol.into(), LiveParams::default());
        Self { symbol, timeframe, after: None, history: None, params }
    }

    /// This request for every candle that opens after `open_time`.
    #[must_use]
    pub fn after(self, open_time: impl Into<Option<Timestamp>>) -> Self {
        Self { after: open_time.into(), ..self }
    }

    /// This request with the last `n` closed candles first.
    #[must_use]
    pub fn history(self, n: impl Into<Option<usize>>) -> Self {
        Self { history: n.into(), ..self }
    }

    /// This request with other margins and waits.
    #[must_use]
    pub fn params(self, params: LiveParams) -> Self {
        Self { params, ..self }
    }

    pub(super) fn validate(&self) -> Result<()> {
        const MOST: usize = 1_000_000;
        self.params.validate()?;
        match self.history {
            Some(n) if n > MOST => {
                Err(Error::invalid_parameter("history", format!("<= {MOST}"), n))
            }
            Some(n) if self.after.is_some() => {
                Err(Error::invalid_parameter("history", "left out where `after` is given", n))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_told_in_one_way_only() {
        let request = LiveRequest::new("A/B", Timeframe::MINUTE);
        let zero = Timestamp::from_millis(0);
        assert!(request.validate().is_ok());
        assert!(request.clone().after(zero).validate().is_ok());
        assert!(request.clone().history(1_000_000).validate().is_ok());
        assert!(request.clone().history(1_000_001).validate().is_err());
        assert!(request.clone().after(zero).history(0).validate().is_err());
        let params = LiveParams { capacity: 0, ..LiveParams::default() };
        assert!(request.params(params).validate().is_err());
    }

    #[test]
    fn a_request_is_read_from_a_configuration() {
        let request: LiveRequest = serde_json::from_str(
            r#"{"symbol": "BTC/USDT", "timeframe": "1m", "params": {"margin_ms": 500}}"#,
        )
        .unwrap();
        let params = LiveParams { margin_ms: 500, ..LiveParams::default() };
        assert_eq!(request, LiveRequest::new("BTC/USDT", Timeframe::MINUTE).params(params));
        let unknown = r#"{"symbol": "A/B", "timeframe": "1m", "margin": 1}"#;
        assert!(serde_json::from_str::<LiveRequest>(unknown).is_err());
    }
}
