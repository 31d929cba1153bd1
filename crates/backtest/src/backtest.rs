use std::io::Write;

use forecastle_core::{CandleView, Error, Result};
use serde::{Deserialize, Serialize};

use crate::drawdown::Drawdown;
use crate::sizing::YEAR_MILLIS;
use crate::{
    Account, BacktestParams, Costs, Decision, Performance, PerformanceParams, Position,
    SkippedEntries, Trade,
};

/// Holds what came of decisions: the trades, and the equity at every close.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Backtest {
    /// The closed trades, in the order of their exits.
    pub trades: Vec<Trade>,
    /// Equity at each bar's close, an open position valued at that close: `(n_bars,)`.
    pub equity: Vec<f64>,
    /// Equity before the first bar.
    pub initial_capital: f64,
    /// What is still open; `None` when it was closed at the end.
    pub position: Option<Position>,
    /// The decision that waits for the next open.
    pub pending: Option<Decision>,
    /// Bars in which a position was held, for a part at least.
    pub bars_exposed: usize,
    /// Decisions to enter that could not be followed.
    pub skipped: SkippedEntries,
    /// The bar in which nothing was left, after which nothing was traded.
    pub bankrupt: Option<usize>,
    /// What trading cost.
    pub costs: Costs,
    /// Bars a year; `None` where the times do not say.
    pub periods_per_year: Option<f64>,
}

impl Backtest {
    pub(crate) fn new(
        params: &BacktestParams,
        candles: CandleView<'_>,
        mut account: Account,
        equity: Vec<f64>,
    ) -> Self {
        Self {
            position: account.position().copied(),
            pending: account.pending().copied(),
            bars_exposed: account.bars_exposed(),
            skipped: account.skipped(),
            bankrupt: account.bankrupt(),
            trades: account.take_closed(),
            equity,
            initial_capital: params.initial_capital,
            costs: params.costs,
            periods_per_year: params.periods_per_year.or_else(|| bars_per_year(candles)),
        }
    }

    /// Computes the figures.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first parameter outside its range.
    pub fn performance(&self, params: &PerformanceParams) -> Result<Performance> {
        params.check()?;
        Ok(Performance::new(
            &Outcome {
                equity: &self.equity,
                trades: &self.trades,
                initial_capital: self.initial_capital,
                bars_exposed: self.bars_exposed,
                bankrupt: self.bankrupt,
                costs: self.costs,
                periods_per_year: self.periods_per_year,
            },
            params,
        ))
    }

    /// Writes the trades as CSV with a header, numbers so that they read back to the same bits.
    ///
    /// # Errors
    /// - [`Error::Component`] when the writer fails.
    pub fn write_trades_csv(&self, to: impl Write) -> Result<()> {
        let failed = |e| Error::component("trades file", e);
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(to);
        writer.write_record(Trade::COLUMNS).map_err(failed)?;
        for trade in &self.trades {
            writer.serialize(trade).map_err(failed)?;
        }
        writer.flush().map_err(|e| Error::component("trades file", e))
    }

    /// Writes the equity as CSV with a header: `open_time`, `equity`, `drawdown` (the share lost since
    /// the highest equity so far).
    ///
    /// - `candles`: those of the backtest, for their times
    ///
    /// # Errors
    /// - [`Error::Shape`] when there is not one candle a bar.
    /// - [`Error::Component`] when the writer fails.
    pub fn write_equity_csv(&self, candles: CandleView<'_>, to: impl Write) -> Result<()> {
        if candles.len() != self.equity.len() {
            let expected = format!("{} rows", self.equity.len());
            return Err(Error::shape("candles", expected, candles.len().to_string()));
        }
        let failed = |e| Error::component("equity file", e);
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(to);
        writer.write_record(["open_time", "equity", "drawdown"]).map_err(failed)?;
        let mut drawdown = Drawdown::new(self.initial_capital);
        for (time, &equity) in candles.open_time().iter().zip(&self.equity) {
            writer.serialize((time, equity, drawdown.update(equity))).map_err(failed)?;
        }
        writer.flush().map_err(|e| Error::component("equity file", e))
    }
}

impl Trade {
    /// The columns of the CSV, in order.
    pub const COLUMNS: [&'static str; 17] = [
        "side",
        "size",
        "scale",
        "decision_bar",
        "entry_bar",
        "entry_time",
        "entry_price",
        "entry_fill",
        "exit_bar",
        "exit_time",
        "exit_price",
        "exit_fill",
        "bars_held",
        "reason",
        "gross",
        "costs",
        "net",
    ];
}

/// What figures are computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome<'a> {
    pub(crate) equity: &'a [f64],
    pub(crate) trades: &'a [Trade],
    pub(crate) initial_capital: f64,
    pub(crate) bars_exposed: usize,
    pub(crate) bankrupt: Option<usize>,
    pub(crate) costs: Costs,
    pub(crate) periods_per_year: Option<f64>,
}

/// Bars in a mean year, as many as there were in the candles' own time.
pub(crate) fn bars_per_year(candles: CandleView<'_>) -> Option<f64> {
    let times = candles.open_time();
    let span = times.last()?.millis_since(*times.first()?).filter(|&span| span > 0)?;
    Some((times.len() - 1) as f64 / (span as f64 / YEAR_MILLIS))
}
