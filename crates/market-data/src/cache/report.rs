use std::ops::Range;
use std::path::PathBuf;

use forecastle_core::{CandleSeries, RepairReport, Timestamp};
use serde::{Deserialize, Serialize};

/// States what a cached series was made from.
///
/// Both are texts of the caller's. Once recorded they do not change: candles of another volume
/// unit or from another host in one series would be wrong numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeriesMetadata {
    /// What the volume counts, such as `base`, `quote`, `contracts`.
    pub volume_unit: Option<String>,
    /// Who gave the candles, such as `api.kraken.com`.
    pub source_host: Option<String>,
}

/// States a damaged file that was set aside; its time is missing again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// The file as it is called now, or as it was called where it is gone.
    pub file: PathBuf,
    /// The time that it covered, empty where that is not known.
    pub covered: Range<Timestamp>,
    /// What is wrong with it.
    pub reason: String,
}

/// Holds candles from the cache, and says what it does not hold.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CachedCandles {
    /// The candles.
    pub series: CandleSeries,
    /// Their number and gaps; nothing is repaired here.
    pub report: RepairReport,
    /// Parts of the range that were never fetched, or are damaged.
    pub uncovered: Vec<Range<Timestamp>>,
    /// Files found damaged on the way.
    pub quarantined: Vec<Quarantined>,
}

/// Counts what became of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendReport {
    /// The range that is known now because of this page; empty when nothing in it is final.
    pub covered: Range<Timestamp>,
    /// Candles that the cache did not have.
    pub stored: usize,
    /// Candles that it had with other numbers; the new ones stand.
    pub revised: usize,
    /// Candles that it had just so.
    pub unchanged: usize,
    /// Candles left out because they had not closed.
    pub unfinished: usize,
    /// Files found damaged on the way.
    pub quarantined: Vec<Quarantined>,
}

/// Counts what a download did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FillReport {
    /// Candles of the range that the cache already had.
    pub cached: usize,
    /// Pages fetched.
    pub pages: usize,
    /// Candles in them.
    pub fetched: usize,
    /// Candles that the cache did not have.
    pub stored: usize,
    /// Candles that it had with other numbers; the new ones stand.
    pub revised: usize,
    /// Candles that it had just so.
    pub unchanged: usize,
    /// Candles left out because they had not closed, counted once a page.
    pub unfinished: usize,
    /// Files found damaged on the way, their time fetched again.
    pub quarantined: Vec<Quarantined>,
}

/// Says what the cache holds of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeriesSummary {
    /// What it was made from.
    pub metadata: SeriesMetadata,
    /// The ranges that were fetched, silence included.
    pub covered: Vec<Range<Timestamp>>,
    /// Candles.
    pub rows: u64,
    /// Segment files.
    pub files: usize,
}
