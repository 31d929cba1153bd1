use forecastle_core::{CandleSeries, Error, RepairReport, Result};
use serde::Serialize;
use serde::ser::Serializer;

use crate::row::{joined, serialize_record};
use crate::skill::ENSEMBLE;
use crate::{Cell, ColumnType, ModelSummary, Pipeline, Record, Report, TableRow};

const INPUT: [&str; 4] = ["candles", "dropped", "repaired", "missing"];
const SKILL: [&str; 4] =
    ["naive_weight", "ensemble_relative_rmse", "ensemble_dm_statistic", "ensemble_dm_p"];
const REASON: [&str; 1] = ["reason"];
const N: usize = INPUT.len() + TableRow::COLUMNS.len() + SKILL.len() + REASON.len();
const COLUMNS: [&str; N] = joined("", &[&INPUT, TableRow::COLUMNS, &SKILL, &REASON]);
const TYPES: [ColumnType; N] = joined(
    ColumnType::Float,
    &[
        &[ColumnType::Count; INPUT.len()],
        TableRow::TYPES,
        &[ColumnType::Float; SKILL.len()],
        &[ColumnType::Text],
    ],
);

/// Holds the last row of one symbol's table, what was repaired in its candles, and how the ensemble did
/// out of fold beside "the price stays where it is": one line where many symbols are forecast.
///
/// # Columns
/// - `candles`: those that were used; `dropped`: rows that were invalid, doubled or not closed;
///   `repaired`: volumes set to 0; `missing`: candles missing in gaps
/// - the columns of [`TableRow`]
/// - `naive_weight`, `ensemble_relative_rmse`, `ensemble_dm_statistic`, `ensemble_dm_p`: as in
///   [`ModelSummary`]
/// - `reason`: why the row, or its learnt part, is empty
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SymbolForecast {
    /// Candles that were used.
    pub candles: usize,
    /// What was repaired, before the last candles were chosen.
    pub repairs: RepairReport,
    /// The last row; `None` where there is none.
    pub row: Option<TableRow>,
    /// Weight left to naive.
    pub naive_weight: Option<f64>,
    /// The ensemble's skill out of fold; `None` where there is none.
    pub ensemble: Option<ModelSummary>,
    /// Why the row, or its learnt part, is empty.
    pub reason: Option<String>,
}

impl SymbolForecast {
    /// Fits a pipeline on the candles and keeps the last row; what fails becomes the `reason`.
    ///
    /// With the pipeline's number of threads; the numbers do not depend on it.
    pub fn new(pipeline: &Pipeline, candles: &CandleSeries, repairs: RepairReport) -> Self {
        let report = pipeline.fit(candles).and_then(|fitted| fitted.run(candles));
        match report.and_then(|report| Self::of(&report)) {
            Ok(forecast) => Self { candles: candles.len(), repairs, ..forecast },
            Err(error) => Self { candles: candles.len(), repairs, ..Self::failed(reason(&error)) },
        }
    }

    /// A symbol without a forecast.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self {
            candles: 0,
            repairs: RepairReport::default(),
            row: None,
            naive_weight: None,
            ensemble: None,
            reason: Some(reason.into()),
        }
    }

    fn of(report: &Report) -> Result<Self> {
        let row = report.forecast().ok_or_else(|| Error::not_enough_data("the forecast", 1, 0))?;
        let run = report.run_info();
        let learnt = |skipped: &&crate::SkippedModel| skipped.model == ENSEMBLE;
        Ok(Self {
            row: Some(row),
            naive_weight: run.naive_weight,
            ensemble: run.models.iter().find(|model| model.model == ENSEMBLE).cloned(),
            reason: run.skipped.iter().find(learnt).map(|skipped| skipped.reason.clone()),
            ..Self::failed("")
        })
    }
}

/// An error with its causes, in one line.
pub(crate) fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl Record for SymbolForecast {
    const COLUMNS: &'static [&'static str] = &COLUMNS;
    const TYPES: &'static [ColumnType] = &TYPES;

    fn visit(&self, visitor: &mut dyn FnMut(&'static str, Cell<'_>)) {
        let repairs = &self.repairs;
        let counts = [
            self.candles,
            repairs.duplicates + repairs.dropped + repairs.unclosed,
            repairs.volume_repaired,
            repairs.missing,
        ];
        for (name, count) in INPUT.into_iter().zip(counts) {
            visitor(name, Cell::Count(count as u64));
        }
        match &self.row {
            Some(row) => row.visit(visitor),
            None => TableRow::COLUMNS.iter().for_each(|name| visitor(name, Cell::Null)),
        }
        let ensemble = self.ensemble.as_ref();
        let skill = [
            self.naive_weight,
            ensemble.and_then(|model| model.relative_rmse),
            ensemble.and_then(|model| model.dm_statistic),
            ensemble.and_then(|model| model.dm_p),
        ];
        for (name, value) in SKILL.into_iter().zip(skill) {
            visitor(name, value.into());
        }
        visitor("reason", self.reason.as_deref().map_or(Cell::Null, Cell::Text));
    }
}

impl Serialize for SymbolForecast {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serialize_record(self, serializer)
    }
}
