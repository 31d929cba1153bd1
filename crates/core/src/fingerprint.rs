use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Candle, CandleView, Timestamp};

/// Tells one run of candles from another: how many, from when to when, and a hash of every number.
///
/// Candles of the same bits in the same order give the same fingerprint, in one go or one by one. It
/// is made to notice other data, not to withstand someone who forges them.
///
/// ```
/// use forecastle_core::{Candle, CandleSeries, Fingerprint, Timestamp};
///
/// let candle = Candle::new(Timestamp::from_millis(0), 9.0, 11.0, 8.0, 10.0, 5.0)?;
/// let series = CandleSeries::from_candles("BTC/USDT".parse()?, "1h".parse()?, [candle])?;
/// let mut one_by_one = Fingerprint::default();
/// one_by_one.push(&candle);
/// assert_eq!(one_by_one, Fingerprint::of(series.view()));
/// assert_ne!(one_by_one, Fingerprint::default());
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Fingerprint {
    candles: u64,
    first_open_time: Option<Timestamp>,
    last_open_time: Option<Timestamp>,
    hash: u64,
}

impl Fingerprint {
    /// The fingerprint of all rows.
    pub fn of(candles: CandleView<'_>) -> Self {
        let mut fingerprint = Self::default();
        candles.iter().for_each(|candle| fingerprint.push(&candle));
        fingerprint
    }

    /// Takes the next candle in.
    pub fn push(&mut self, candle: &Candle) {
        let prices = [candle.open(), candle.high(), candle.low(), candle.close(), candle.volume()];
        // From the same bits on any machine.
        let time = candle.open_time().as_millis().cast_unsigned();
        self.hash = prices.iter().fold(mixed(self.hash, time), |h, v| mixed(h, v.to_bits()));
        self.candles = self.candles.saturating_add(1);
        self.first_open_time = self.first_open_time.or(Some(candle.open_time()));
        self.last_open_time = Some(candle.open_time());
    }

    /// Number of candles.
    pub const fn candles(&self) -> u64 {
        self.candles
    }

    /// Open time of the first.
    pub const fn first_open_time(&self) -> Option<Timestamp> {
        self.first_open_time
    }

    /// Open time of the last.
    pub const fn last_open_time(&self) -> Option<Timestamp> {
        self.last_open_time
    }

    /// The hash of every number.
    pub const fn hash(&self) -> u64 {
        self.hash
    }
}

/// The finisher of `SplitMix64` over both.
fn mixed(hash: u64, word: u64) -> u64 {
    let mut z = (hash ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `5000 candles, 2024-01-01T00:00:00Z to …, 0123456789abcdef`.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} candles", self.candles)?;
        if let (Some(first), Some(last)) = (self.first_open_time, self.last_open_time) {
            write!(f, ", {first} to {last}, {:016x}", self.hash)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candle(hour: i64, close: f64) -> Candle {
        let time = Timestamp::from_millis(hour * 3_600_000);
        Candle::new(time, close, close + 1.0, close - 1.0, close, 2.0).unwrap()
    }

    fn of(candles: &[Candle]) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        candles.iter().for_each(|candle| fingerprint.push(candle));
        fingerprint
    }

    #[test]
    fn one_number_one_time_or_another_order_changes_the_hash() {
        let (a, b) = (candle(0, 10.0), candle(1, 11.0));
        let next = f64::from_bits(11.0_f64.to_bits() + 1);
        let nearly = Candle::new(b.open_time(), 11.0, 12.0, 10.0, next, 2.0).unwrap();
        let whole = of(&[a, b]);
        for other in [of(&[a]), of(&[b, a]), of(&[a, nearly]), of(&[a, candle(2, 11.0)])] {
            assert_ne!(other.hash(), whole.hash());
        }
        assert_eq!((whole.candles(), whole.last_open_time()), (2, Some(b.open_time())));
    }
}
