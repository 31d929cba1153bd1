use std::io::{self, Write};

use forecastle_core::{
    CandleSeries, Error, FeatureTable, RepairReport, Result, Symbol, Target, Timeframe, Timestamp,
};
use forecastle_evaluation::ReliabilityRow;
use forecastle_features::{INDICATOR_NAMES, VwapAnchor};
use forecastle_models_tree::Explanation;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use crate::skill::ENSEMBLE;
use crate::{ForecastRow, MarketStructure, ModelSummary, TableRow, write_csv};

/// Says which rows of a report to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RowSelection {
    /// The last row: "the forecast".
    #[default]
    Last,
    /// Every row, oldest first.
    All,
}

/// Says why a column of the final table is empty, or a guard missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedModel {
    /// The column.
    pub model: String,
    /// Why.
    pub reason: String,
}

/// States how well the ensemble's interval kept its word on rows that it had not seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IntervalSummary {
    /// Coverage asked for.
    pub level: f64,
    /// Share of judged rows inside the interval made for them before.
    pub realised_coverage: f64,
    /// Rows judged.
    pub n: usize,
    /// Mean width, as a share of the price.
    pub mean_width: f64,
}

/// States what stands beside the table: for the run as a whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunInfo {
    /// Forecastle's version.
    pub version: &'static str,
    /// The market.
    pub symbol: Symbol,
    /// How long each candle lasts.
    pub timeframe: Timeframe,
    /// Where the candles come from, when the caller said so.
    pub source: Option<String>,
    /// Whether the candles are simulated.
    pub simulated: bool,
    /// Number of candles.
    pub rows: usize,
    /// Open time of the first candle.
    pub first_open_time: Option<Timestamp>,
    /// Open time of the last candle.
    pub last_open_time: Option<Timestamp>,
    /// Open time of the last candle that the models know.
    pub fitted_until: Option<Timestamp>,
    /// Bars ahead.
    pub horizon: usize,
    /// Anchor of VWAP.
    pub vwap: VwapAnchor,
    /// What the models learn.
    pub target: Target,
    /// Seed of everything random.
    pub seed: u64,
    /// What was repaired in the input, when the caller said so.
    pub input: Option<RepairReport>,
    /// VWAP of the whole window; non-causal except in the last row.
    pub global_vwap: Option<f64>,
    /// Its standard deviation.
    pub global_vwap_sigma: Option<f64>,
    /// Naive, every model and the ensemble, judged on the same out-of-fold rows.
    pub models: Vec<ModelSummary>,
    /// Weight left to the naive forecast.
    pub naive_weight: Option<f64>,
    /// The ensemble's interval.
    pub interval: Option<IntervalSummary>,
    /// What became of the ensemble's confidence on rows that it had not seen, by deciles of what was
    /// told, without empty ones; empty where it has had no direction to be confident of.
    pub reliability: Vec<ReliabilityRow>,
    /// What moved the boosted forecast of the last candle, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// Columns that are empty, and why.
    pub skipped: Vec<SkippedModel>,
    /// What a reader must know before trusting the numbers.
    pub warnings: Vec<String>,
}

impl RunInfo {
    /// Says plainly what a reader must know before trusting the numbers.
    pub(crate) fn find_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.simulated {
            warnings.push("these candles are simulated; nothing here is a market".to_owned());
        }
        if let Some(ensemble) = self.models.iter().find(|m| m.model == ENSEMBLE) {
            let ratio = ensemble.relative_rmse.unwrap_or(1.0);
            let p = ensemble.dm_p.unwrap_or(1.0);
            let better = ratio < 1.0 && p < 0.05;
            if self.naive_weight.is_some_and(|weight| weight >= 1.0) {
                warnings.push(
                    "no model earned a weight out of fold: the ensemble repeats the last price"
                        .to_owned(),
                );
            } else if !better {
                warnings.push(format!(
                    "out of fold the ensemble is not significantly better than \"the price stays \
                     where it is\" (RMSE {ratio:.4} of naive, Diebold-Mariano p {p:.2}): do not \
                     trade on it"
                ));
            }
        }
        if let Some(interval) = self.interval {
            let error = (interval.level * (1.0 - interval.level) / interval.n as f64).sqrt();
            // Overlapping labels make the rows fewer than they seem.
            let error = error * (self.horizon as f64).sqrt();
            if (interval.realised_coverage - interval.level).abs() > 3.0 * error {
                warnings.push(format!(
                    "the {:.0} % interval held {:.1} % of what came: errors change over time",
                    100.0 * interval.level,
                    100.0 * interval.realised_coverage,
                ));
            }
        }
        warnings
    }
}

/// Holds the final table, one row a bar, and what stands beside it.
///
/// Rows are put together when they are asked for; the report keeps columns.
#[derive(Debug, Clone)]
pub struct Report {
    pub(crate) run: RunInfo,
    pub(crate) candles: CandleSeries,
    pub(crate) structure: MarketStructure,
    pub(crate) indicators: FeatureTable,
    /// As long as the candles, or empty when nothing was learnt.
    pub(crate) forecasts: Vec<ForecastRow>,
    /// Why a row's signal is held; as long as the forecasts.
    pub(crate) guards: Vec<Option<String>>,
}

impl Report {
    /// What stands beside the table.
    pub fn run_info(&self) -> &RunInfo {
        &self.run
    }

    /// This report, saying where its candles come from and what was repaired in them.
    pub fn with_input(mut self, source: impl Into<String>, repairs: RepairReport) -> Self {
        self.run.source = Some(source.into());
        self.run.input = Some(repairs);
        self
    }

    /// This report with what moved the boosted forecast of its last candle, as
    /// [`FittedPipeline::explain`](crate::FittedPipeline::explain) tells.
    pub fn with_explanation(mut self, explanation: Explanation) -> Self {
        self.run.explanation = Some(explanation);
        self
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.candles.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.candles.is_empty()
    }

    /// One row; `None` past the end.
    pub fn row(&self, index: usize) -> Option<TableRow> {
        let candle = self.candles.view().candle(index)?;
        let mut indicators = [f64::NAN; INDICATOR_NAMES.len()];
        for (to, from) in indicators.iter_mut().zip(self.indicators.values().row(index)) {
            *to = *from;
        }
        let guard = self.guards.get(index).cloned().flatten();
        let structure = self.structure.row(candle, indicators, guard.is_some());
        let forecast = self.forecasts.get(index).copied().unwrap_or_default();
        Some(TableRow { structure, forecast, guard })
    }

    /// The last row: "the forecast".
    pub fn forecast(&self) -> Option<TableRow> {
        self.row(self.len().checked_sub(1)?)
    }

    /// The rows, oldest first.
    pub fn rows(&self) -> impl Iterator<Item = TableRow> + '_ {
        (0..self.len()).filter_map(|i| self.row(i))
    }

    /// The selected rows, oldest first.
    pub fn select(&self, selection: RowSelection) -> impl Iterator<Item = TableRow> + '_ {
        let first = match selection {
            RowSelection::Last => self.len().saturating_sub(1),
            RowSelection::All => 0,
        };
        (first..self.len()).filter_map(|i| self.row(i))
    }

    /// Writes the selected rows as CSV.
    ///
    /// # Errors
    /// - [`Error::Component`] when writing fails.
    pub fn write_csv(&self, selection: RowSelection, out: impl Write) -> Result<()> {
        write_csv(self.select(selection), out)
    }

    /// Writes `{"run": {…}, "rows": [{…}]}`.
    ///
    /// # Errors
    /// - [`Error::Component`] when writing fails.
    pub fn write_json(&self, selection: RowSelection, mut out: impl Write) -> Result<()> {
        serde_json::to_writer_pretty(&mut out, &Document { report: self, selection })
            .map_err(|e| Error::component("JSON output", io::Error::from(e)))?;
        writeln!(out).map_err(|e| Error::component("JSON output", e))
    }
}

/// Serialises a report row by row.
struct Document<'a> {
    report: &'a Report,
    selection: RowSelection,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Rows<'a>(&'a Document<'a>);
        impl Serialize for Rows<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut seq = serializer.serialize_seq(None)?;
                for row in self.0.report.select(self.0.selection) {
                    seq.serialize_element(&row)?;
                }
                seq.end()
            }
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("run", &self.report.run)?;
        map.serialize_entry("rows", &Rows(self))?;
        map.end()
    }
}
