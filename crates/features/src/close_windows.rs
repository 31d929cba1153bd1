//! Mean, deviation and slope of the last 5 and 20 closes.
//!
//! Twenty closes are four fives, 0, 5, 10 and 15 rows ago, so the longer window costs four merges
//! instead of twenty terms. Everything is made of differences from a close inside the window: equal
//! closes give their price and zeros to the bit, and an offset costs no digits.

use serde::{Deserialize, Serialize};

/// Five consecutive closes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Five {
    pub(crate) mean: f64,
    /// Sum of squared deviations from the mean.
    pub(crate) squares: f64,
    /// `Σ i·close[i]` for `i` from −2, the oldest, to 2.
    pub(crate) tilt: f64,
}

impl Five {
    /// - `closes`: oldest first
    #[inline(always)]
    pub(crate) fn new(closes: [f64; 5]) -> Self {
        let [a, b, middle, d, e] = closes;
        let (a, b, d, e) = (a - middle, b - middle, d - middle, e - middle);
        let sum = (a + b) + (d + e);
        Self {
            mean: middle + 0.2 * sum,
            // At least a fifth of the first term: the middle is one of the five.
            squares: ((a * a + b * b) + (d * d + e * e)) - 0.2 * (sum * sum),
            tilt: 2.0 * (e - a) + (d - b),
        }
    }

    /// Sample standard deviation.
    #[inline(always)]
    pub(crate) fn std(self) -> f64 {
        (0.25 * self.squares).sqrt()
    }
}

/// Twenty consecutive closes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Twenty {
    pub(crate) mean: f64,
    /// Sample standard deviation.
    pub(crate) std: f64,
    /// The least-squares line at the last row.
    pub(crate) line: f64,
    pub(crate) slope: f64,
}

/// `Σ (row − mean row)²` of 20 rows.
const SPREAD: f64 = 665.0;

impl Twenty {
    /// - `fives`: newest first
    #[inline(always)]
    pub(crate) fn new(fives: [Five; 4]) -> Self {
        let [a, b, c, d] = fives;
        let mean = 0.25 * ((a.mean + b.mean) + (c.mean + d.mean));
        let within = (a.squares + b.squares) + (c.squares + d.squares);
        let (p, q, r, s) = (a.mean - mean, b.mean - mean, c.mean - mean, d.mean - mean);
        let between = (p * p + q * q) + (r * r + s * s);
        let tilt = (a.tilt + b.tilt) + (c.tilt + d.tilt);
        let step = 37.5 * (a.mean - d.mean) + 12.5 * (b.mean - c.mean);
        let slope = (tilt + step) * (1.0 / SPREAD);
        Self {
            mean,
            std: ((within + 5.0 * between) * (1.0 / 19.0)).sqrt(),
            line: mean + 9.5 * slope,
            slope,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twenty(closes: &[f64; 20]) -> Twenty {
        let five = |from: usize| Five::new(std::array::from_fn(|i| closes[from + i]));
        Twenty::new([five(15), five(10), five(5), five(0)])
    }

    #[test]
    fn twenty_closes_equal_the_textbook_formulas() {
        let closes: [f64; 20] = std::array::from_fn(|i| 100.0 + ((i * i * 7) % 23) as f64);
        let mean = closes.iter().sum::<f64>() / 20.0;
        let variance = closes.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 19.0;
        let slope = (0..20).map(|i| (i as f64 - 9.5) * closes[i]).sum::<f64>() / SPREAD;
        let got = twenty(&closes);
        assert!((got.mean - mean).abs() < 1e-13);
        assert!((got.std - variance.sqrt()).abs() < 1e-13);
        assert!((got.slope - slope).abs() < 1e-14);
        assert!((got.line - (mean + 9.5 * slope)).abs() < 1e-12);
    }

    #[test]
    fn equal_closes_have_no_deviation_and_no_slope() {
        for price in [0.1, 1e9 + 0.3, 1.21e-8, 7.0 / 3.0] {
            let got = twenty(&[price; 20]);
            assert_eq!((got.mean, got.std, got.slope, got.line), (price, 0.0, 0.0, price));
        }
    }

    #[test]
    fn one_wick_in_five_keeps_the_squares_positive() {
        for at in 0..5 {
            let mut closes = [1.0; 5];
            closes[at] = 1e8;
            let five = Five::new(closes);
            let exact = 0.8 * (1e8_f64 - 1.0).powi(2);
            assert!((five.squares / exact - 1.0).abs() < 1e-14, "at {at}");
        }
    }
}
