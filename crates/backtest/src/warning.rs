use std::fmt;

use serde::{Deserialize, Serialize};

/// Names a reason to distrust a result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "warning", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// Too good: an annual Sharpe ratio above 4 is a defect more often than a discovery.
    HighSharpe {
        /// The annual ratio.
        sharpe: f64,
    },
    /// Too good: a side costs less than a hundredth of a percent in all.
    CostsNearZero {
        /// Fee, half-spread and slippage together.
        side_bps: f64,
    },
    /// Fewer than 30 trades say little.
    FewTrades {
        /// How many there were.
        n_trades: usize,
    },
    /// There are fewer returns than it takes to call the Sharpe ratio positive.
    ShortTrackRecord {
        /// Returns that it takes, [`minimum_track_record_length`](crate::minimum_track_record_length).
        needed: f64,
        /// Returns that there are.
        available: usize,
    },
    /// Nothing was left.
    Bankrupt {
        /// The bar in which that happened.
        bar: usize,
    },
}

impl Warning {
    /// The annual Sharpe ratio above which a result is too good.
    pub const HIGH_SHARPE: f64 = 4.0;
    /// The costs of a side, in basis points, below which they are near zero.
    pub const LOW_COSTS_BPS: f64 = 1.0;
    /// The number of trades below which they are few.
    pub const FEW_TRADES: usize = 30;

    /// Whether the result is too good to be believed as it stands.
    pub const fn is_too_good(&self) -> bool {
        matches!(self, Self::HighSharpe { .. } | Self::CostsNearZero { .. })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HighSharpe { sharpe } => write!(
                f,
                "too good: a Sharpe ratio of {sharpe:.2} is above 4; look for prices from the future"
            ),
            Self::CostsNearZero { side_bps } => {
                write!(f, "too good: a side costs {side_bps} bps in all, less than 1")
            }
            Self::FewTrades { n_trades } => {
                write!(f, "{n_trades} trades, fewer than 30, say little")
            }
            Self::ShortTrackRecord { needed, available } => write!(
                f,
                "{available} returns are too few to call the Sharpe ratio positive: it takes {:.0}",
                needed.ceil()
            ),
            Self::Bankrupt { bar } => write!(f, "bankrupt in bar {bar}"),
        }
    }
}
