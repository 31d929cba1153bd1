use std::fmt;

use serde::{Deserialize, Serialize};

/// Says how far the price stands from its VWAP, measured by z = (close − VWAP) / σ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regime {
    /// |z| ≤ 1.
    MeanReversion,
    /// 1 < |z| ≤ 2.
    Transition,
    /// |z| > 2.
    Trend,
}

impl Regime {
    /// The name in tables: `mean_reversion`, `transition`, `trend`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MeanReversion => "mean_reversion",
            Self::Transition => "transition",
            Self::Trend => "trend",
        }
    }
}

/// Mean-Reversion, Transition, Trend.
impl fmt::Display for Regime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::MeanReversion => "Mean-Reversion",
            Self::Transition => "Transition",
            Self::Trend => "Trend",
        })
    }
}

/// Says on which side of its VWAP the price closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Close above VWAP.
    Bullish,
    /// Close below VWAP.
    Bearish,
    /// Close equal to VWAP.
    Neutral,
}

impl Direction {
    /// The name in tables: `bullish`, `bearish`, `neutral`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bullish => "bullish",
            Self::Bearish => "bearish",
            Self::Neutral => "neutral",
        }
    }

    /// +1, −1 or 0.
    pub const fn sign(self) -> i8 {
        match self {
            Self::Bullish => 1,
            Self::Bearish => -1,
            Self::Neutral => 0,
        }
    }
}

/// Bullish, Bearish, Neutral.
impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bullish => "Bullish",
            Self::Bearish => "Bearish",
            Self::Neutral => "Neutral",
        })
    }
}

/// Says what the rules would do at the close of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// Open or keep a long position.
    Buy,
    /// Open or keep a short position.
    Sell,
    /// Do nothing.
    #[default]
    Hold,
}

impl Signal {
    /// The name in tables: `BUY`, `SELL`, `HOLD`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "BUY",
            Self::Sell => "SELL",
            Self::Hold => "HOLD",
        }
    }

    /// +1, −1 or 0.
    pub const fn sign(self) -> i8 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
            Self::Hold => 0,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
