//! Candles from exchanges, files and a simulator.
//!
//! - **Files**: [`read_candles`] reads CSV, plain or in gzip, and Parquet (feature `parquet`),
//!   told apart by content; with the feature `arrow`, `read_record_batches` takes what is in memory.
//!   [`LoadedCandles`] holds the series, what was repaired in it and how the file was understood; [`write_csv`] and `write_parquet` write it back, bit for bit.
//! - **Simulator**: [`Simulator`] makes candles from a seed, labelled [`SIMULATED_LABEL`].
//! - **Exchanges**: [`Exchange`] knows how each of 90 exchanges is asked for candles and markets and
//!   reads its answers, without any network. With the feature `network` (on by default)
//!   [`ExchangeClient`] fetches them: page by page, with a report, in the exchange's pace; and
//!   [`sweep`] finds out which work without a key.
//! - **Live**: [`ExchangeClient::live`] gives every further candle when it has closed, by the
//!   server's clock, each once and none left out, through whatever outage; by polling or, with the
//!   feature `websocket`, from a stream. [`CandleChannel`] writes and reads the messages.
//! - **Cache**: [`CandleCache`] keeps what was fetched; [`CachedSource`] puts it before any source.
//! - **Replay**: with the feature `replay`, `ReplayServer` answers and streams as any exchange does,
//!   with faults.
//! - **Sources**: [`FileSource`], [`SeriesSource`] and [`ExchangeClient`] serve page by page through
//!   core's [`CandleSource`](forecastle_core::CandleSource).
//!
//! ```
//! use forecastle_market_data::{ReadOptions, read_csv_from};
//!
//! let text = "\
//! Date,Open,High,Low,Close,Volume
//! 2024-01-02,101,103,100,102,12
//! 2024-01-01,100,102,99,101,10
//! 2024-01-03,102,104,101,nan,11
//! 2024-01-05,103,105,102,104,9
//! ";
//! let loaded = read_csv_from(text.as_bytes(), "ACME.csv", &ReadOptions::default())?;
//! assert_eq!(loaded.series.symbol().to_string(), "ACME");
//! assert_eq!(loaded.series.view().close(), [101.0, 102.0, 104.0]);
//! assert_eq!((loaded.report.out_of_order, loaded.report.dropped), (1, 1));
//! assert_eq!((loaded.report.gaps, loaded.report.missing), (1, 2));
//! # Ok::<(), forecastle_core::Error>(())
//! ```
//!
//! # What is a repair and what is an error
//! A row whose numbers are missing or impossible is dropped and counted, because feeds have such
//! rows. Text that is no number, a row with another number of fields, a missing column or damaged
//! data is an [`Error::Record`](forecastle_core::Error::Record) with file and row, because to go
//! on would mean to guess. Hostile files cost bounded memory: see [`ReadOptions`].
//!
//! # What is not here
//! Signed requests, order books, tick data, decimal commas and dates such as `01/02/2024`, which mean
//! two days. Gaps are counted, never filled.

#[cfg(feature = "arrow")]
mod arrow_read;
#[cfg(feature = "arrow")]
mod arrow_write;
mod cache;
mod csv_layout;
mod csv_read;
mod csv_write;
mod exchange;
mod failure;
mod line_reader;
mod loaded;
#[cfg(feature = "network")]
mod network;
mod number;
#[cfg(feature = "parquet")]
mod parquet_read;
#[cfg(feature = "parquet")]
mod parquet_write;
mod read;
mod read_options;
#[cfg(feature = "replay")]
mod replay;
mod series_source;
mod signature;
mod simulator;
mod time_field;
mod timeframe_inference;

#[cfg(feature = "arrow")]
pub use arrow_read::read_record_batches;
#[cfg(feature = "arrow")]
pub use arrow_write::{candle_schema, record_batch};
pub use cache::{
    AppendReport, CacheError, CacheFormat, CacheKey, CacheResult, CachedCandles, CachedSource,
    CandleCache, Clock, FetchedPage, FillReport, Quarantined, SeriesMetadata, SeriesSummary,
};
pub use csv_read::{read_csv, read_csv_from};
pub use csv_write::{write_csv, write_csv_gz_to, write_csv_to};
pub use exchange::{
    CandleChannel, CandleQuery, CandleTerms, ChannelCandle, ChannelMessage, Exchange,
    ExchangeError, ExchangeResult, HttpRequest, KeepAlive, Market, MarketKind, MarketList,
    MarketType, Method, Need, Paging, VolumeUnit, message_of, status_error,
};
pub use loaded::{ColumnLayout, FileFormat, LoadInfo, LoadedCandles, Provenance, TimeEncoding};
#[cfg(feature = "network")]
pub use network::{
    CandlePage, CandlePages, Download, DownloadRequest, ExchangeClient, FetchReport, HttpClient,
    HttpClientParams, HttpResponse, LiveCandles, LiveClock, LiveParams, LiveReport, LiveRequest,
    Pace, SweepOutcome, SweepParams, SweepRow, Transport, sweep, system_clock,
};
#[cfg(feature = "parquet")]
pub use parquet_read::{read_parquet, read_parquet_bytes};
#[cfg(feature = "parquet")]
pub use parquet_write::{write_parquet, write_parquet_to};
pub use read::read_candles;
pub use read_options::ReadOptions;
#[cfg(feature = "replay")]
pub use replay::{
    BodyEncoding, FaultKind, Faults, NumberStyle, ReplayParams, ReplaySeries, ReplayServer,
    ReplayStatistics, ReplayStreams, RowOrder, StreamFaultKind, WireStyle, sample_market_answers,
    sample_markets,
};
pub use series_source::{FileSource, SeriesSource};
pub use simulator::{SIMULATED_LABEL, SimulatedCandles, Simulator, SimulatorParams, is_simulated};
pub use time_field::TimeResolution;
