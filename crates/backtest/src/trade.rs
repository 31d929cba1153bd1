use forecastle_core::Timestamp;
use serde::{Deserialize, Serialize};

/// Names a position's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Bought first: gains when the price rises.
    Long,
    /// Sold first: gains when the price falls.
    Short,
}

impl Side {
    /// +1 for long, −1 for short.
    pub const fn sign(self) -> f64 {
        match self {
            Self::Long => 1.0,
            Self::Short => -1.0,
        }
    }
}

/// Names why a position was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExitReason {
    /// A decision to be flat.
    Signal,
    /// A decision for the other side.
    Reverse,
    /// The stop was touched.
    StopLoss,
    /// The target was touched.
    TakeProfit,
    /// It had been held for the longest time allowed.
    MaxBars,
    /// The candles ended: closed at the last close.
    EndOfData,
    /// Closing it left no equity: the account is closed.
    Bankrupt,
}

/// Holds one closed trade; the field names are the columns of the CSV.
///
/// Bars are rows of the candles, from 0. Money is in quote currency. With the side's sign s,
///
/// ```text
/// gross = s · size · (exit_price − entry_price)
/// costs = size · (|entry_fill − entry_price| + |exit_fill − exit_price| + fee · (entry_fill + exit_fill))
/// net   = gross − costs
/// ```
///
/// and the account's equity is its initial capital plus the sum of `net`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trade {
    /// The side.
    pub side: Side,
    /// Units of the base currency.
    pub size: f64,
    /// What the decision multiplied the size by.
    pub scale: f64,
    /// The bar at whose close it was decided.
    pub decision_bar: usize,
    /// The bar at whose open it was entered.
    pub entry_bar: usize,
    /// When that bar opened.
    pub entry_time: Timestamp,
    /// The candle's price at the entry.
    pub entry_price: f64,
    /// The price paid or received after spread and slippage.
    pub entry_fill: f64,
    /// The bar in which it was left.
    pub exit_bar: usize,
    /// When that bar opened.
    pub exit_time: Timestamp,
    /// The candle's price at the exit, or the stop's or target's.
    pub exit_price: f64,
    /// The price received or paid after spread and slippage.
    pub exit_fill: f64,
    /// `exit_bar − entry_bar`.
    pub bars_held: usize,
    /// Why it was left.
    pub reason: ExitReason,
    /// Gain at the candles' prices.
    pub gross: f64,
    /// Fees, spread and slippage of both sides.
    pub costs: f64,
    /// `gross − costs`.
    pub net: f64,
}

impl Trade {
    /// Notional of both sides at the candles' prices.
    pub fn traded(&self) -> f64 {
        self.size * (self.entry_price + self.exit_price)
    }
}

/// Holds an open position.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Position {
    /// The side.
    pub side: Side,
    /// Units of the base currency.
    pub size: f64,
    /// What the decision multiplied the size by.
    pub scale: f64,
    /// The bar at whose close it was decided.
    pub decision_bar: usize,
    /// The bar at whose open it was entered.
    pub entry_bar: usize,
    /// When that bar opened.
    pub entry_time: Timestamp,
    /// The candle's price at the entry.
    pub entry_price: f64,
    /// The price paid or received after spread and slippage.
    pub entry_fill: f64,
    /// Fee, spread and slippage of the entry.
    pub entry_costs: f64,
    /// Price at which a loss is taken.
    pub stop_loss: Option<f64>,
    /// Price at which a profit is taken.
    pub take_profit: Option<f64>,
    /// The bar at whose open it is left at the latest.
    pub leave_bar: Option<usize>,
}
