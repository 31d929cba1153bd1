use std::fmt;
use std::path::PathBuf;

use forecastle_core::{CandleSeries, Error, RepairReport, Result, Timestamp};
use forecastle_market_data::{CacheKey, CandleCache, ReadOptions, read_candles};

/// Says where one symbol's candles come from; they are read when their turn comes.
#[derive(Debug, Clone)]
pub struct PanelSource {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    File(PathBuf, ReadOptions),
    Cached(CandleCache, CacheKey),
    Series(Box<CandleSeries>),
}

/// Holds one symbol's candles, read, and what was repaired in them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PanelInput {
    /// The candles.
    pub series: CandleSeries,
    /// What was repaired in them.
    pub repairs: RepairReport,
}

/// Names one symbol of a panel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct PanelKey {
    /// The exchange, where it is known.
    pub exchange: Option<String>,
    /// How long each candle lasts; `None` where that could not be read.
    pub timeframe: Option<String>,
    /// The market; the file's name where its candles could not be read.
    pub symbol: String,
}

impl fmt::Display for PanelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(exchange) = &self.exchange {
            write!(f, "{exchange} ")?;
        }
        f.write_str(&self.symbol)?;
        match &self.timeframe {
            Some(timeframe) => write!(f, " {timeframe}"),
            None => Ok(()),
        }
    }
}

impl PanelSource {
    /// A file of candles, as [`read_candles`] reads it.
    pub fn file(path: impl Into<PathBuf>, options: ReadOptions) -> Self {
        Self { kind: Kind::File(path.into(), options) }
    }

    /// Everything that a download cache holds of a series.
    pub fn cached(cache: CandleCache, key: CacheKey) -> Self {
        Self { kind: Kind::Cached(cache, key) }
    }

    /// Candles in memory.
    pub fn series(series: CandleSeries) -> Self {
        Self { kind: Kind::Series(Box::new(series)) }
    }

    /// Reads the candles, and the symbol's name, which also candles that cannot be read have.
    pub(crate) fn load(&self) -> (PanelKey, Result<PanelInput>) {
        let of_series = |exchange: Option<String>, read: Result<PanelInput>, name: &str| {
            let (timeframe, symbol) = match &read {
                Ok(input) => {
                    let series = &input.series;
                    (Some(series.timeframe().to_string()), series.symbol().to_string())
                }
                Err(_) => (None, name.to_owned()),
            };
            (PanelKey { exchange, timeframe, symbol }, read)
        };
        match &self.kind {
            Kind::File(path, options) => {
                let read = read_candles(path, options)
                    .map(|loaded| PanelInput { series: loaded.series, repairs: loaded.report });
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
                of_series(None, read, &name)
            }
            Kind::Cached(cache, key) => {
                let named = PanelKey {
                    exchange: Some(key.exchange().to_owned()),
                    timeframe: Some(key.timeframe().to_string()),
                    symbol: key.symbol().to_string(),
                };
                (named, read_cached(cache, key))
            }
            Kind::Series(series) => of_series(None, Ok(whole((**series).clone())), ""),
        }
    }
}

/// Candles in which nothing was repaired.
fn whole(series: CandleSeries) -> PanelInput {
    let mut repairs = RepairReport::default();
    (repairs.rows_in, repairs.rows_out) = (series.len(), series.len());
    (repairs.gaps, repairs.missing) = series.gaps();
    PanelInput { series, repairs }
}

fn read_cached(cache: &CandleCache, key: &CacheKey) -> Result<PanelInput> {
    let all = Timestamp::from_millis(i64::MIN)..Timestamp::from_millis(i64::MAX);
    let cached = cache.read(key, all).map_err(|e| Error::component("download cache", e))?;
    // A damaged file leaves a hole that only its name tells of.
    if let Some(damaged) = cached.quarantined.first() {
        return Err(Error::component(
            "download cache",
            Damaged { file: damaged.file.display().to_string(), reason: damaged.reason.clone() },
        ));
    }
    Ok(PanelInput { series: cached.series, repairs: cached.report })
}

/// A file of the cache that is not as it was written.
#[derive(Debug)]
struct Damaged {
    file: String,
    reason: String,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was set aside ({}): fetch its range again", self.file, self.reason)
    }
}

impl std::error::Error for Damaged {}
