//! The download cache: what was fetched stays, and only what is missing is asked for again.

mod append;
mod candle_cache;
mod compaction;
mod coverage;
#[cfg(test)]
mod crashes;
mod durable;
mod error;
mod fill;
mod finished;
mod key;
mod manifest;
mod report;
mod segment;
mod series_folder;
mod source;

pub use candle_cache::CandleCache;
pub use error::{CacheError, CacheResult};
pub use fill::FetchedPage;
pub use key::CacheKey;
pub use report::{
    AppendReport, CachedCandles, FillReport, Quarantined, SeriesMetadata, SeriesSummary,
};
pub use segment::CacheFormat;
pub use source::{CachedSource, Clock};
