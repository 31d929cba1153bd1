use std::fmt;
use std::path::Path;

use forecastle_core::{CandleSeries, RawCandle, RepairReport, Result, Symbol, TimeUnit, Timeframe};
use serde::Serialize;

use crate::failure::record;
use crate::timeframe_inference::{Inferred, infer_timeframe};
use crate::{ReadOptions, TimeResolution};

/// Holds candles from a file, what was repaired in them and how the file was understood.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LoadedCandles {
    /// The candles.
    pub series: CandleSeries,
    /// What was repaired, dropped or found missing.
    pub report: RepairReport,
    /// How the file was understood.
    pub info: LoadInfo,
}

impl LoadedCandles {
    /// Makes a series from rows as they arrived, as the readers of files do: repaired, counted, the
    /// timeframe from their times where `options` gives none.
    ///
    /// - `origin`: what errors call the rows; without a symbol in `options` it names that, too
    ///
    /// # Errors
    /// - [`Error::Record`](forecastle_core::Error::Record) for no rows at all, too many of them, and times
    ///   without a usual step.
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when a limit is outside its
    ///   range.
    pub fn from_rows(rows: Vec<RawCandle>, origin: &str, options: &ReadOptions) -> Result<Self> {
        options.validate()?;
        if rows.is_empty() {
            return Err(record(origin, 1, "there are no rows"));
        }
        if rows.len() > options.max_rows {
            let reason = format!("there are more than {} rows", options.max_rows);
            return Err(record(origin, options.max_rows as u64 + 1, reason));
        }
        let time = TimeEncoding::Number(TimeResolution::Milliseconds);
        Contents::of_columns(rows, FileFormat::Memory, time, true).load(origin, options)
    }
}

/// Names a file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FileFormat {
    /// Delimited text.
    Csv,
    /// Delimited text, compressed with gzip.
    CsvGzip,
    /// Apache Parquet.
    Parquet,
    /// None: rows in memory.
    Memory,
}

/// States how a file's columns were told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ColumnLayout {
    /// By their names.
    Named,
    /// By their positions: time, open, high, low, close, volume.
    Positional,
}

/// States how a file writes times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeEncoding {
    /// Whole numbers.
    Number(TimeResolution),
    /// Dates, alone or with a time, in UTC where no offset is given.
    Calendar,
    /// Eight digits, `YYYYMMDD`.
    CompactDate,
}

/// States where a symbol or timeframe came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Provenance {
    /// The caller gave it.
    Given,
    /// The file holds it.
    File,
    /// The file's name.
    FileName,
    /// The most frequent step between the file's times.
    Inferred,
    /// Nothing said so: the default.
    Assumed,
}

/// Says how a file was understood, so that a guess never stays silent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoadInfo {
    /// The file.
    pub origin: String,
    /// Its format.
    pub format: FileFormat,
    /// How its columns were told apart.
    pub layout: ColumnLayout,
    /// What separates its fields; `None` for Parquet.
    pub delimiter: Option<char>,
    /// How it writes times.
    pub time: TimeEncoding,
    /// Whether it has a volume column; without one every volume is 0.
    pub has_volume: bool,
    /// Where the symbol came from.
    pub symbol: Provenance,
    /// Where the timeframe came from.
    pub timeframe: Provenance,
}

impl fmt::Display for LoadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.format {
            FileFormat::Csv => "CSV",
            FileFormat::CsvGzip => "CSV (gzip)",
            FileFormat::Parquet => "Parquet",
            FileFormat::Memory => "rows in memory",
        };
        let layout = match self.layout {
            ColumnLayout::Named => "named columns",
            ColumnLayout::Positional => "columns by position",
        };
        let time = match self.time {
            TimeEncoding::Number(resolution) => resolution.name(),
            TimeEncoding::Calendar => "dates",
            TimeEncoding::CompactDate => "dates of eight digits",
        };
        write!(f, "{format}, {layout}, times in {time}")?;
        match self.timeframe {
            Provenance::Inferred => f.write_str(", timeframe from the most frequent step")?,
            Provenance::Assumed => f.write_str(", timeframe assumed")?,
            _ => {}
        }
        if !self.has_volume {
            f.write_str(", no volume column: every volume is 0")?;
        }
        Ok(())
    }
}

/// Everything a reader found in a file, times already in milliseconds.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) rows: Vec<RawCandle>,
    /// The row that the first candle stood in.
    pub(crate) first_row: u64,
    pub(crate) format: FileFormat,
    pub(crate) layout: ColumnLayout,
    pub(crate) delimiter: Option<char>,
    pub(crate) time: TimeEncoding,
    pub(crate) has_volume: bool,
    /// What the file itself says.
    pub(crate) symbol: Option<Symbol>,
    pub(crate) timeframe: Option<Timeframe>,
}

impl Contents {
    /// Rows that were found in named columns, which say neither symbol nor timeframe.
    pub(crate) fn of_columns(
        rows: Vec<RawCandle>,
        format: FileFormat,
        time: TimeEncoding,
        has_volume: bool,
    ) -> Self {
        Self {
            rows,
            first_row: 1,
            format,
            layout: ColumnLayout::Named,
            delimiter: None,
            time,
            has_volume,
            symbol: None,
            timeframe: None,
        }
    }

    /// Settles symbol and timeframe and repairs the rows.
    pub(crate) fn load(self, origin: &str, options: &ReadOptions) -> Result<LoadedCandles> {
        let (symbol, symbol_from) = match (&options.symbol, self.symbol) {
            (Some(given), _) => (given.clone(), Provenance::Given),
            (None, Some(own)) => (own, Provenance::File),
            (None, None) => (symbol_of_name(origin)?, Provenance::FileName),
        };
        let (timeframe, timeframe_from) = match (options.timeframe, self.timeframe) {
            (Some(given), _) => (given, Provenance::Given),
            (None, Some(own)) => (own, Provenance::File),
            (None, None) => match infer_timeframe(self.rows.iter().map(|row| row.open_time)) {
                Inferred::Timeframe(timeframe) => (timeframe, Provenance::Inferred),
                Inferred::TooFew => (Timeframe::new(1, TimeUnit::Hour)?, Provenance::Assumed),
                Inferred::NoTimeframe(length) => {
                    let reason = format!(
                        "the most frequent step between times is {length} ms, which is no \
                         timeframe of whole seconds; give the timeframe"
                    );
                    return Err(record(origin, self.first_row, reason));
                }
            },
        };
        let (series, report) = CandleSeries::from_raw(symbol, timeframe, self.rows, options.now);
        let info = LoadInfo {
            origin: origin.to_owned(),
            format: self.format,
            layout: self.layout,
            delimiter: self.delimiter,
            time: self.time,
            has_volume: self.has_volume,
            symbol: symbol_from,
            timeframe: timeframe_from,
        };
        Ok(LoadedCandles { series, report, info })
    }
}

/// A symbol from a file's name: `data/binance_BTCUSDT_1h.csv.gz` gives `binance_BTCUSDT_1h`.
fn symbol_of_name(origin: &str) -> Result<Symbol> {
    const LONGEST: usize = 100;
    const ENDINGS: [&str; 7] = [".gz", ".gzip", ".csv", ".tsv", ".txt", ".parquet", ".pq"];
    let name = Path::new(origin).file_name().map(|name| name.to_string_lossy());
    let mut stem = name.as_deref().unwrap_or_default();
    while let Some((head, _)) = ENDINGS.iter().find_map(|ending| {
        let (head, tail) = stem.split_at_checked(stem.len().checked_sub(ending.len())?)?;
        (tail.eq_ignore_ascii_case(ending) && !head.is_empty()).then_some((head, tail))
    }) {
        stem = head;
    }
    let mut symbol = String::new();
    for c in stem.chars() {
        let bad = c.is_whitespace() || c.is_control() || c == '/' || c == ':';
        let c = if bad { '_' } else { c };
        if symbol.len() + c.len_utf8() > LONGEST {
            break;
        }
        symbol.push(c);
    }
    if symbol.is_empty() { "unknown".parse() } else { symbol.parse() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_gives_a_symbol_whatever_it_holds() {
        for (name, symbol) in [
            ("../data/binance_BTCUSDT_1h.csv.gz", "binance_BTCUSDT_1h"),
            ("GOOG.CSV", "GOOG"),
            (".csv", ".csv"),
            ("a b:c.parquet", "a_b_c"),
            ("", "unknown"),
            ("..", "unknown"),
            ("é.gz", "é"),
        ] {
            assert_eq!(symbol_of_name(name).unwrap().to_string(), symbol, "{name:?}");
        }
        assert!(symbol_of_name(&"€".repeat(1_000)).is_ok());
    }
}
