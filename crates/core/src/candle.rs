use serde::{Deserialize, Serialize};

use crate::{Error, Result, Timestamp};

/// Holds one row of OHLCV as it arrived, before any check.
///
/// Readers produce these; [`CandleSeries::from_raw`](crate::CandleSeries::from_raw) repairs and
/// counts, [`Candle::try_from`] checks one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RawCandle {
    /// When the candle opened.
    pub open_time: Timestamp,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Traded volume in base currency.
    pub volume: f64,
}

/// Holds one valid OHLCV candle.
///
/// The type keeps the invariant: prices finite and positive,
/// `low <= min(open, close) <= max(open, close) <= high`, volume finite and not negative.
///
/// ```
/// use forecastle_core::{Candle, Timestamp};
///
/// let candle = Candle::new(Timestamp::from_millis(0), 100.0, 101.0, 98.0, 100.5, 12.0)?;
/// assert_eq!(candle.typical_price(), (101.0 + 98.0 + 100.5) / 3.0);
/// assert!(Candle::new(Timestamp::from_millis(0), 100.0, 99.0, 98.0, 100.5, 12.0).is_err());
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawCandle", into = "RawCandle")]
pub struct Candle {
    raw: RawCandle,
}

impl Candle {
    /// Makes a candle.
    ///
    /// # Errors
    /// - [`Error::InvalidCandle`] when the invariant does not hold.
    pub fn new(
        open_time: Timestamp,
        open: f64,
        high: f64,
        low: f64,
        close: f64,
        volume: f64,
    ) -> Result<Self> {
        Self::try_from(RawCandle { open_time, open, high, low, close, volume })
    }

    pub(crate) const fn from_valid(raw: RawCandle) -> Self {
        Self { raw }
    }

    /// When the candle opened.
    pub const fn open_time(&self) -> Timestamp {
        self.raw.open_time
    }

    /// First price.
    pub const fn open(&self) -> f64 {
        self.raw.open
    }

    /// Highest price.
    pub const fn high(&self) -> f64 {
        self.raw.high
    }

    /// Lowest price.
    pub const fn low(&self) -> f64 {
        self.raw.low
    }

    /// Last price.
    pub const fn close(&self) -> f64 {
        self.raw.close
    }

    /// Traded volume in base currency.
    pub const fn volume(&self) -> f64 {
        self.raw.volume
    }

    /// `(high + low + close) / 3`.
    pub const fn typical_price(&self) -> f64 {
        (self.raw.high + self.raw.low + self.raw.close) / 3.0
    }
}

/// The rule a raw candle breaks, or `None` for a valid one.
pub(crate) fn violation(raw: &RawCandle) -> Option<&'static str> {
    let prices = [raw.open, raw.high, raw.low, raw.close];
    if prices.iter().any(|p| !p.is_finite()) {
        Some("a price is not finite")
    } else if prices.iter().any(|&p| p <= 0.0) {
        Some("a price is not positive")
    } else if raw.high < raw.low {
        Some("high is below low")
    } else if raw.low > raw.open.min(raw.close) {
        Some("low is above open or close")
    } else if raw.high < raw.open.max(raw.close) {
        Some("high is below open or close")
    } else if !raw.volume.is_finite() {
        Some("volume is not finite")
    } else if raw.volume < 0.0 {
        Some("volume is negative")
    } else {
        None
    }
}

impl TryFrom<RawCandle> for Candle {
    type Error = Error;

    fn try_from(raw: RawCandle) -> Result<Self> {
        match violation(&raw) {
            None => Ok(Self { raw }),
            Some(reason) => Err(Error::InvalidCandle { open_time: raw.open_time, reason }),
        }
    }
}

impl From<Candle> for RawCandle {
    fn from(candle: Candle) -> Self {
        candle.raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(o: f64, h: f64, l: f64, c: f64, v: f64) -> Option<&'static str> {
        let open_time = Timestamp::from_millis(0);
        violation(&RawCandle { open_time, open: o, high: h, low: l, close: c, volume: v })
    }

    #[test]
    fn every_rule_of_the_invariant_is_enforced() {
        assert_eq!(reason(1.0, 2.0, 0.5, 1.5, 0.0), None);
        assert_eq!(reason(1.0, 1.0, 1.0, 1.0, 3.0), None);
        assert_eq!(reason(f64::NAN, 2.0, 0.5, 1.5, 0.0), Some("a price is not finite"));
        assert_eq!(reason(1.0, f64::INFINITY, 0.5, 1.5, 0.0), Some("a price is not finite"));
        assert_eq!(reason(1.0, 2.0, 0.0, 1.5, 0.0), Some("a price is not positive"));
        assert_eq!(reason(1.0, 0.5, 2.0, 1.5, 0.0), Some("high is below low"));
        assert_eq!(reason(1.0, 2.0, 1.2, 1.5, 0.0), Some("low is above open or close"));
        assert_eq!(reason(1.0, 1.4, 0.5, 1.5, 0.0), Some("high is below open or close"));
        assert_eq!(reason(1.0, 2.0, 0.5, 1.5, f64::NAN), Some("volume is not finite"));
        assert_eq!(reason(1.0, 2.0, 0.5, 1.5, -1.0), Some("volume is negative"));
    }
}
