use forecastle_core::{Error, Result, Symbol, Timeframe, Timestamp};
use serde::{Deserialize, Serialize};

use crate::TimeResolution;

/// Says how to read a file of candles.
///
/// The default reads everything [`read_candles`](crate::read_candles) can find out by itself.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `symbol` | from the file | the market | |
/// | `timeframe` | from the times | how long each candle lasts | |
/// | `now` | none | drop candles that had not closed then | |
/// | `time_resolution` | from the times | what whole-number times count | |
/// | `max_rows` | 20,000,000 | more rows are an error; one-minute candles of 38 years | ≥ 1 |
/// | `max_line_bytes` | 65,536 | a longer line is an error | 64 to 2^30 |
///
/// ```
/// use forecastle_market_data::{ReadOptions, read_csv_from};
///
/// let options = ReadOptions { symbol: Some("BTC/USDT".parse()?), ..ReadOptions::default() };
/// let text = "1704067200,1,2,0.5,1.5,10\n1704070800,1.5,2,1,1.8,12\n";
/// let loaded = read_csv_from(text.as_bytes(), "memory", &options)?;
/// assert_eq!(loaded.series.symbol().to_string(), "BTC/USDT");
/// assert_eq!(loaded.series.timeframe().to_string(), "1h");
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOptions {
    /// The market; from the file's own metadata or its name when `None`.
    pub symbol: Option<Symbol>,
    /// How long each candle lasts; the most frequent step when `None`, one hour in a file with
    /// fewer than two different times.
    pub timeframe: Option<Timeframe>,
    /// When the file was made: a candle with `open_time + timeframe > now` is dropped as unclosed.
    pub now: Option<Timestamp>,
    /// What whole-number times count; told from their size when `None`.
    pub time_resolution: Option<TimeResolution>,
    /// Most rows; bounds memory against a hostile compressed file.
    pub max_rows: usize,
    /// Longest line of a text file, in bytes.
    pub max_line_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            symbol: None,
            timeframe: None,
            now: None,
            time_resolution: None,
            max_rows: 20_000_000,
            max_line_bytes: 64 * 1024,
        }
    }
}

impl ReadOptions {
    pub(crate) fn validate(&self) -> Result<()> {
        if self.max_rows == 0 {
            return Err(Error::invalid_parameter("max_rows", ">= 1", self.max_rows));
        }
        if !(64..=1 << 30).contains(&self.max_line_bytes) {
            let requirement = "between 64 and 1073741824";
            return Err(Error::invalid_parameter(
                "max_line_bytes",
                requirement,
                self.max_line_bytes,
            ));
        }
        Ok(())
    }
}
