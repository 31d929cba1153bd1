//! Candles made up for tests: a seeded random walk.

use forecastle_core::{Candle, CandleSeries, Timestamp};

/// Makes random walks of 17-minute candles, so that sessions begin at odd rows.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    rows: usize,
    idle: Vec<bool>,
    price: f64,
    offset: f64,
}

impl Walk {
    pub(crate) fn new(rows: usize) -> Self {
        Self { rows, idle: vec![false; rows], price: 100.0, offset: 0.0 }
    }

    /// Rows without volume.
    pub(crate) fn idle(self, is_idle: impl Fn(usize) -> bool) -> Self {
        Self { idle: (0..self.rows).map(is_idle).collect(), ..self }
    }

    /// Multiplies every price.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self { price: self.price * factor, ..self }
    }

    /// Adds to every price.
    pub(crate) fn raised(self, offset: f64) -> Self {
        Self { offset, ..self }
    }

    pub(crate) fn series(&self, seed: u64) -> CandleSeries {
        let mut state = seed;
        let mut uniform = move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut close = 1.0_f64;
        let candles: Vec<_> = (0..self.rows)
            .map(|i| {
                let open = close;
                close *= 1.0 + 0.01 * (uniform() - 0.499);
                let high = open.max(close) * (1.0 + 0.002 * uniform());
                let low = open.min(close) * (1.0 - 0.002 * uniform());
                let volume = if self.idle[i] { 0.0 } else { 50.0 * uniform() + 1e-3 };
                let time = Timestamp::from_millis(1_699_999_200_000 + i as i64 * 1_020_000);
                let at = |price: f64| price * self.price + self.offset;
                Candle::new(time, at(open), at(high), at(low), at(close), volume).unwrap()
            })
            .collect();
        of(candles)
    }
}

pub(crate) fn of(candles: Vec<Candle>) -> CandleSeries {
    let (symbol, timeframe) = ("BTC/USDT".parse().unwrap(), "17m".parse().unwrap());
    CandleSeries::from_candles(symbol, timeframe, candles).unwrap()
}

/// Candles whose four prices are equal: `(price, volume)` a row.
pub(crate) fn flat(rows: &[(f64, f64)]) -> CandleSeries {
    let candle = |(i, &(p, volume)): (usize, &(f64, f64))| {
        Candle::new(Timestamp::from_millis(i as i64 * 1_020_000), p, p, p, p, volume).unwrap()
    };
    of(rows.iter().enumerate().map(candle).collect())
}
