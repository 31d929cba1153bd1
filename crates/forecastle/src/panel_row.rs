use std::fmt;

use forecastle_core::Signal;
use serde::Serialize;
use serde::ser::Serializer;

use crate::panel_source::PanelKey;
use crate::row::{joined, serialize_record};
use crate::{Cell, ColumnType, Record, SymbolForecast};

const KEY: [&str; 3] = ["exchange", "timeframe", "symbol"];
const N: usize = KEY.len() + SymbolForecast::COLUMNS.len();

/// Holds one line of a [`Panel`](crate::Panel)'s table: a symbol and its forecast.
///
/// Columns `exchange`, `timeframe`, `symbol`, then those of [`SymbolForecast`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PanelRow {
    /// Which symbol.
    pub key: PanelKey,
    /// What became of it.
    pub forecast: SymbolForecast,
}

impl Record for PanelRow {
    const COLUMNS: &'static [&'static str] =
        &joined::<&'static str, N>("", &[&KEY, SymbolForecast::COLUMNS]);
    const TYPES: &'static [ColumnType] = &joined::<ColumnType, N>(
        ColumnType::Text,
        &[&[ColumnType::Text; KEY.len()], SymbolForecast::TYPES],
    );

    fn visit(&self, visitor: &mut dyn FnMut(&'static str, Cell<'_>)) {
        let text = |text: &'_ Option<String>| text.clone();
        for (name, value) in
            [("exchange", text(&self.key.exchange)), ("timeframe", text(&self.key.timeframe))]
        {
            visitor(name, value.as_deref().map_or(Cell::Null, Cell::Text));
        }
        visitor("symbol", Cell::Text(&self.key.symbol));
        self.forecast.visit(visitor);
    }
}

impl Serialize for PanelRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_record(self, serializer)
    }
}

/// Counts what came of a panel's symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PanelSummary {
    /// Symbols in all.
    pub symbols: usize,
    /// Those without a row.
    pub failed: usize,
    /// Those with a row, whose models were skipped.
    pub without_models: usize,
    /// Candles that were used.
    pub candles: usize,
    /// BUY, SELL and HOLD.
    pub signals: [usize; 3],
    /// Symbols whose ensemble was judged out of fold.
    pub judged: usize,
    /// Of these, significantly better than naive (two-sided 5 %).
    pub better: usize,
    /// Of these, significantly worse.
    pub worse: usize,
}

impl PanelSummary {
    /// Symbols of which chance alone would make the ensemble significantly better, where none repeats the
    /// last price.
    pub fn better_by_chance(&self) -> f64 {
        0.025 * self.judged as f64
    }

    /// Counts a row.
    pub fn count(&mut self, row: &PanelRow) {
        let forecast = &row.forecast;
        self.symbols += 1;
        self.candles += forecast.candles;
        match &forecast.row {
            None => self.failed += 1,
            Some(row) => {
                self.without_models += usize::from(forecast.reason.is_some());
                let signal = match row.structure.signal() {
                    Signal::Buy => 0,
                    Signal::Sell => 1,
                    Signal::Hold => 2,
                };
                if let Some(count) = self.signals.get_mut(signal) {
                    *count += 1;
                }
            }
        }
        let ensemble = forecast.ensemble.as_ref();
        if let Some((statistic, p)) = ensemble.and_then(|e| Some((e.dm_statistic?, e.dm_p?))) {
            self.judged += 1;
            self.better += usize::from(p < 0.05 && statistic < 0.0);
            self.worse += usize::from(p < 0.05 && statistic > 0.0);
        }
    }
}

impl fmt::Display for PanelSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [buy, sell, hold] = self.signals;
        writeln!(
            f,
            "{} symbols, {} candles: {} failed, {} with too little history for models",
            self.symbols, self.candles, self.failed, self.without_models
        )?;
        writeln!(f, "{buy} BUY, {sell} SELL, {hold} HOLD")?;
        if self.judged > 0 {
            writeln!(
                f,
                "out of fold the ensemble is significantly better than \"the price stays where it is\" \
                 on {} of {} symbols, worse on {}; chance alone would give up to {:.1} each",
                self.better,
                self.judged,
                self.worse,
                self.better_by_chance()
            )?;
        }
        Ok(())
    }
}
