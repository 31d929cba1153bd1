/// Names the columns of [`Indicators`](crate::Indicators), in order.
///
/// # Examples
/// ```
/// use forecastle_features::{INDICATOR_NAMES, Indicator};
///
/// assert_eq!(INDICATOR_NAMES[Indicator::Atr14.index()], "atr_14");
/// assert_eq!(Indicator::ALL.map(Indicator::name), INDICATOR_NAMES);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Indicator {
    /// `(high + low + close) / 3`.
    TypicalPrice,
    /// Volume-weighted average price over the anchor.
    Vwap,
    /// Its standard deviation.
    VwapSigma,
    /// One sigma above.
    VwapUpper1,
    /// One sigma below.
    VwapLower1,
    /// Two sigma above.
    VwapUpper2,
    /// Two sigma below.
    VwapLower2,
    /// `(close − vwap) / sigma`, 0 where sigma is flat.
    VwapZ,
    /// Mean of 5 closes.
    Sma5,
    /// Mean of 20 closes.
    Sma20,
    /// Sample standard deviation of 5 closes.
    Std5,
    /// Sample standard deviation of 20 closes.
    Std20,
    /// Wilder's average true range of 14.
    Atr14,
    /// Close less the close 5 rows ago.
    Momentum5,
    /// Close less the close 10 rows ago.
    Momentum10,
    /// Close 1 row ago.
    CloseLag1,
    /// Close 2 rows ago.
    CloseLag2,
    /// Close 3 rows ago.
    CloseLag3,
    /// Close 5 rows ago.
    CloseLag5,
    /// Close 10 rows ago.
    CloseLag10,
    /// Close 20 rows ago.
    CloseLag20,
    /// Least-squares line of 20 closes at the last row.
    Linreg20,
    /// Its slope a row.
    LinregSlope20,
}

/// The column names of [`Indicators`](crate::Indicators), in order.
pub const INDICATOR_NAMES: [&str; Indicator::ALL.len()] = [
    "typical_price",
    "vwap",
    "vwap_sigma",
    "vwap_upper_1",
    "vwap_lower_1",
    "vwap_upper_2",
    "vwap_lower_2",
    "vwap_z",
    "sma_5",
    "sma_20",
    "std_5",
    "std_20",
    "atr_14",
    "momentum_5",
    "momentum_10",
    "close_lag_1",
    "close_lag_2",
    "close_lag_3",
    "close_lag_5",
    "close_lag_10",
    "close_lag_20",
    "linreg_20",
    "linreg_slope_20",
];

impl Indicator {
    /// Every column, in order.
    pub const ALL: [Self; 23] = [
        Self::TypicalPrice,
        Self::Vwap,
        Self::VwapSigma,
        Self::VwapUpper1,
        Self::VwapLower1,
        Self::VwapUpper2,
        Self::VwapLower2,
        Self::VwapZ,
        Self::Sma5,
        Self::Sma20,
        Self::Std5,
        Self::Std20,
        Self::Atr14,
        Self::Momentum5,
        Self::Momentum10,
        Self::CloseLag1,
        Self::CloseLag2,
        Self::CloseLag3,
        Self::CloseLag5,
        Self::CloseLag10,
        Self::CloseLag20,
        Self::Linreg20,
        Self::LinregSlope20,
    ];

    /// The column's position in a row.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The column's name.
    pub const fn name(self) -> &'static str {
        INDICATOR_NAMES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_follow_the_order_of_all() {
        for (i, indicator) in Indicator::ALL.into_iter().enumerate() {
            assert_eq!(indicator.index(), i, "{indicator:?}");
        }
    }

    #[test]
    fn names_say_what_the_variants_say() {
        for indicator in Indicator::ALL {
            let plain = indicator.name().replace('_', "");
            assert_eq!(plain, format!("{indicator:?}").to_lowercase());
        }
    }
}
