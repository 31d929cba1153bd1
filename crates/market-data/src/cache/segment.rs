use std::fmt;
use std::ops::Range;
use std::path::Path;

use forecastle_core::{Candle, CandleSeries, Timestamp};
use serde::{Deserialize, Serialize};

use super::{CacheKey, CacheResult};
use crate::{ReadOptions, TimeResolution, read_csv_from, write_csv_to};

/// Chooses how a cache writes candles; it reads both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CacheFormat {
    /// CSV text.
    #[default]
    Csv,
    /// Apache Parquet; needs the feature `parquet`.
    Parquet,
}

impl CacheFormat {
    /// The ending of its files' names: `csv`, `parquet`.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// Whether this build can read and write it.
    pub const fn is_supported(self) -> bool {
        match self {
            Self::Csv => true,
            Self::Parquet => cfg!(feature = "parquet"),
        }
    }

    fn of_extension(extension: &str) -> Option<Self> {
        [Self::Csv, Self::Parquet].into_iter().find(|format| format.extension() == extension)
    }
}

impl fmt::Display for CacheFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Csv => "CSV",
            Self::Parquet => "Parquet",
        })
    }
}

/// One fetched range and the file with its candles, which is written once and never changed.
///
/// A range without candles has no file. The file's name repeats all of this, so a folder can be
/// understood without its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Segment {
    /// Files of one folder have increasing numbers: of two for the same time, the later stands.
    pub(crate) sequence: u64,
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) rows: u64,
    pub(crate) crc32: u32,
    pub(crate) format: CacheFormat,
}

impl Segment {
    pub(crate) fn covered(&self) -> Range<Timestamp> {
        self.since..self.until
    }

    /// `0000000007_1704067200000_1707667200000_1000_89abcdef.csv`; `None` without candles.
    pub(crate) fn file_name(&self) -> Option<String> {
        let (since, until) = (self.since.as_millis(), self.until.as_millis());
        let (sequence, rows, crc32) = (self.sequence, self.rows, self.crc32);
        let extension = self.format.extension();
        let name = || format!("{sequence:010}_{since}_{until}_{rows}_{crc32:08x}.{extension}");
        (rows > 0).then(name)
    }

    /// Reads a name back; `None` for one that no segment has.
    pub(crate) fn from_file_name(name: &str) -> Option<Self> {
        let (stem, extension) = name.rsplit_once('.')?;
        let parts: Vec<&str> = stem.split('_').collect();
        let [sequence, since, until, rows, crc32] = parts.as_slice() else { return None };
        let segment = Self {
            sequence: sequence.parse().ok()?,
            since: Timestamp::from_millis(since.parse().ok()?),
            until: Timestamp::from_millis(until.parse().ok()?),
            rows: rows.parse().ok()?,
            crc32: u32::from_str_radix(crc32, 16).ok()?,
            format: CacheFormat::of_extension(extension)?,
        };
        (segment.file_name().as_deref() == Some(name) && segment.since < segment.until)
            .then_some(segment)
    }

    /// The candles from the file's bytes, or what is wrong with them.
    pub(crate) fn decode(
        &self,
        key: &CacheKey,
        path: &Path,
        bytes: Vec<u8>,
    ) -> CacheResult<Result<CandleSeries, String>> {
        let crc32 = crc32fast::hash(&bytes);
        if crc32 != self.crc32 {
            return Ok(Err(format!("the checksum is {crc32:08x}, not {:08x}", self.crc32)));
        }
        let options = ReadOptions {
            symbol: Some(key.symbol().clone()),
            timeframe: Some(key.timeframe()),
            time_resolution: Some(TimeResolution::Milliseconds),
            max_rows: usize::try_from(self.rows).unwrap_or(usize::MAX).max(1),
            ..ReadOptions::default()
        };
        let origin = path.display().to_string();
        let loaded = match self.format {
            CacheFormat::Csv => read_csv_from(bytes.as_slice(), &origin, &options),
            #[cfg(feature = "parquet")]
            CacheFormat::Parquet => crate::read_parquet_bytes(bytes, &origin, &options),
            #[cfg(not(feature = "parquet"))]
            CacheFormat::Parquet => {
                return Err(super::CacheError::FormatDisabled { path: path.to_owned() });
            }
        };
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(e) => return Ok(Err(e.to_string())),
        };
        let times = loaded.series.view().open_time();
        let inside = |time: Option<&Timestamp>| time.is_some_and(|t| self.covered().contains(t));
        if loaded.report.is_repaired() || times.len() as u64 != self.rows {
            return Ok(Err(format!("it holds {} good rows, not {}", times.len(), self.rows)));
        }
        if !inside(times.first()) || !inside(times.last()) {
            return Ok(Err("it holds candles of another time".to_owned()));
        }
        Ok(Ok(loaded.series))
    }
}

/// Candles as the bytes of a file.
pub(crate) fn encode(
    format: CacheFormat,
    key: &CacheKey,
    candles: &[Candle],
) -> CacheResult<Vec<u8>> {
    let (symbol, timeframe) = (key.symbol().clone(), key.timeframe());
    let series = CandleSeries::from_candles(symbol, timeframe, candles.iter().copied())?;
    // Full precision takes about 100 bytes a row.
    let mut bytes = Vec::with_capacity(128 + candles.len() * 104);
    match format {
        CacheFormat::Csv => write_csv_to(&mut bytes, &series)?,
        #[cfg(feature = "parquet")]
        CacheFormat::Parquet => crate::write_parquet_to(&mut bytes, &series)?,
        #[cfg(not(feature = "parquet"))]
        CacheFormat::Parquet => {
            return Err(super::CacheError::FormatDisabled { path: key.folder() });
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> Segment {
        Segment {
            sequence: 7,
            since: Timestamp::from_millis(-5),
            until: Timestamp::from_millis(1_704_067_200_000),
            rows: 3,
            crc32: 0x00ab_cdef,
            format: CacheFormat::Csv,
        }
    }

    #[test]
    fn a_name_says_all_that_a_manifest_does() {
        let name = segment().file_name().unwrap();
        assert_eq!(name, "0000000007_-5_1704067200000_3_00abcdef.csv");
        assert_eq!(Segment::from_file_name(&name), Some(segment()));
        assert_eq!(Segment { rows: 0, ..segment() }.file_name(), None);
    }

    #[test]
    fn other_names_are_no_segments() {
        for name in [
            "candles.csv",
            "7_-5_1704067200000_3_00abcdef.csv",
            "0000000007_-5_1704067200000_3_00ABCDEF.csv",
            "0000000007_-5_1704067200000_0_00abcdef.csv",
            "0000000007_5_5_3_00abcdef.csv",
            "0000000007_-5_1704067200000_3_00abcdef.csv.gz",
            "0000000007_-5_1704067200000_3_00abcdef_1.csv",
            ".0000000007_-5_1704067200000_3_00abcdef.csv.tmp",
            "",
        ] {
            assert_eq!(Segment::from_file_name(name), None, "{name}");
        }
    }
}
