use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use forecastle_core::{CandleSeries, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::arrow_write::{batch, candle_schema};
use crate::failure::io_failure;

/// Candles turned into Arrow arrays at once.
const BATCH: usize = 65_536;

/// Writes candles to a Parquet file (feature `parquet`).
///
/// Columns `open_time` (UTC timestamp in milliseconds), `open`, `high`, `low`, `close`, `volume`
/// (64-bit floats), none with nulls, compressed with Zstandard; symbol and timeframe stand in the
/// file's metadata under these names.
///
/// # Errors
/// - [`Error::Component`](forecastle_core::Error::Component) when the file cannot be written.
///
/// # Examples
/// See [`read_parquet`](crate::read_parquet).
pub fn write_parquet(path: impl AsRef<Path>, series: &CandleSeries) -> Result<()> {
    let origin = path.as_ref().display().to_string();
    let file = File::create(&path).map_err(|e| io_failure("writing candles", &origin, e))?;
    write(file, series).map_err(|e| io_failure("writing candles", &origin, e))
}

/// Writes candles as Parquet, as [`write_parquet`] does.
///
/// # Errors
/// - [`Error::Component`](forecastle_core::Error::Component) when the writer fails.
pub fn write_parquet_to(writer: impl Write + Send, series: &CandleSeries) -> Result<()> {
    write(writer, series).map_err(|e| io_failure("writing candles", "the writer", e))
}

fn write(writer: impl Write + Send, series: &CandleSeries) -> io::Result<()> {
    let schema = candle_schema();
    let metadata = vec![
        KeyValue::new("symbol".to_owned(), series.symbol().to_string()),
        KeyValue::new("timeframe".to_owned(), series.timeframe().to_string()),
    ];
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(metadata))
        .build();
    let failed = |e: ParquetError| match e {
        ParquetError::External(source) => io::Error::other(source),
        e => io::Error::other(e),
    };
    let mut writer =
        ArrowWriter::try_new(writer, Arc::clone(&schema), Some(properties)).map_err(failed)?;
    for start in (0..series.len()).step_by(BATCH) {
        let rows = series.view().slice(start..start.saturating_add(BATCH));
        writer.write(&batch(&schema, rows).map_err(io::Error::other)?).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(())
}
