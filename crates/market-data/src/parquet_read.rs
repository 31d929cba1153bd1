use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use forecastle_core::{RawCandle, Result};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{FileMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;

use crate::arrow_read::{Times, columns_of, read_batch};
use crate::failure::{io_failure, record};
use crate::loaded::Contents;
use crate::{FileFormat, LoadedCandles, ReadOptions};

/// Reads candles from a Parquet file (feature `parquet`).
///
/// Columns are found by the names that [`read_csv`](crate::read_csv) knows, others are not read.
/// The time may be a timestamp of any unit, a date, a whole number or text; prices and volume
/// floats, integers or decimals, null meaning missing. Symbol and timeframe come from the
/// metadata keys `symbol` and `timeframe` where [`write_parquet`](crate::write_parquet) left them.
///
/// The decoder of the `parquet` crate panics on some damaged pages (found by fuzzing release
/// 60.1). Such a panic is caught and becomes an error; the panic hook still reports it, and a
/// program built with `panic = "abort"` still ends.
///
/// # Errors
/// - [`Error::Record`](forecastle_core::Error::Record) with file and row for contents that cannot
///   be read, damaged data, a missing column, too many rows, and a file without candles.
/// - [`Error::Component`](forecastle_core::Error::Component) when the file cannot be opened.
/// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when a limit is outside
///   its range.
///
/// # Examples
/// ```
/// use forecastle_market_data::{
///     ReadOptions, Simulator, SimulatorParams, read_parquet_bytes, write_parquet_to,
/// };
///
/// let series = Simulator::new(SimulatorParams { n: 100, ..Default::default() })?.series()?;
/// let mut bytes = Vec::new();
/// write_parquet_to(&mut bytes, &series)?;
/// let loaded = read_parquet_bytes(bytes, "memory", &ReadOptions::default())?;
/// assert_eq!(loaded.series, series);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn read_parquet(path: impl AsRef<Path>, options: &ReadOptions) -> Result<LoadedCandles> {
    let origin = path.as_ref().display().to_string();
    let file = File::open(&path).map_err(|e| io_failure("opening candles", &origin, e))?;
    read_chunks(file, &origin, options)
}

/// Reads candles from the bytes of a Parquet file, as [`read_parquet`] does.
///
/// # Errors
/// Those of [`read_parquet`].
pub fn read_parquet_bytes(
    bytes: Vec<u8>,
    origin: &str,
    options: &ReadOptions,
) -> Result<LoadedCandles> {
    read_chunks(bytes::Bytes::from(bytes), origin, options)
}

fn read_chunks(
    chunks: impl ChunkReader + 'static,
    origin: &str,
    options: &ReadOptions,
) -> Result<LoadedCandles> {
    options.validate()?;
    // The decoder panics on some damaged pages; nothing it held outlives this call.
    let contents = catch_unwind(AssertUnwindSafe(|| parse(chunks, origin, options)));
    let contents = contents
        .unwrap_or_else(|_| Err(record(origin, 1, "the Parquet data is damaged: decoder failed")));
    contents?.load(origin, options)
}

/// Rows decoded at once.
const BATCH: usize = 16_384;

fn parse(
    chunks: impl ChunkReader + 'static,
    origin: &str,
    options: &ReadOptions,
) -> Result<Contents> {
    // The embedded Arrow schema adds nothing for these types, and is one more hostile input.
    let arrow = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let damaged = |row: usize, e: String| {
        record(origin, row as u64, format!("the Parquet data is damaged: {e}"))
    };
    let length = chunks.len();
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(chunks, arrow)
        .map_err(|e| damaged(1, e.to_string()))?;
    check_places(builder.metadata(), length).map_err(|reason| damaged(1, reason))?;
    let metadata = builder.metadata().file_metadata();
    let symbol = key_value(metadata, "symbol").and_then(|text| text.parse().ok());
    let timeframe = key_value(metadata, "timeframe").and_then(|text| text.parse().ok());

    let names = builder.schema().fields().iter().map(|field| field.name().as_str());
    let columns = columns_of(names).map_err(|reason| record(origin, 1, reason))?;
    let wanted = columns.wanted();
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let batches = builder
        .with_projection(mask)
        .with_batch_size(BATCH)
        .build()
        .map_err(|e| damaged(1, e.to_string()))?;

    let mut rows: Vec<RawCandle> = Vec::new();
    // A projection keeps the file's order.
    let columns = columns.projected();
    let mut times = Times::new(options.time_resolution.or(columns.resolution));
    for batch in batches {
        let batch = batch.map_err(|e| damaged(rows.len() + 1, e.to_string()))?;
        if rows.len() + batch.num_rows() > options.max_rows {
            let reason = format!("the file holds more than {} rows", options.max_rows);
            return Err(record(origin, options.max_rows as u64 + 1, reason));
        }
        let read = read_batch(&batch, &columns, &mut times, &mut rows);
        read.map_err(|(row, reason)| record(origin, row, reason))?;
    }
    if rows.is_empty() {
        return Err(record(origin, 1, "the file holds no rows"));
    }
    let time = times.settle(&mut rows).map_err(|(row, reason)| record(origin, row, reason))?;
    let contents = Contents::of_columns(rows, FileFormat::Parquet, time, columns.has_volume());
    Ok(Contents { symbol, timeframe, ..contents })
}

/// Refuses columns that lie outside the file, before the decoder believes them.
fn check_places(metadata: &ParquetMetaData, length: u64) -> std::result::Result<(), String> {
    let columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    for column in columns {
        let data = column.data_page_offset();
        let start = column.dictionary_page_offset().unwrap_or(data);
        let end = start.checked_add(column.compressed_size());
        let inside = end.and_then(|end| u64::try_from(end).ok()).is_some_and(|end| end <= length);
        let sizes = [start, data, column.compressed_size(), column.uncompressed_size()];
        if !inside || sizes.iter().any(|&size| size < 0) || column.num_values() < 0 {
            return Err("a column lies outside the file".to_owned());
        }
    }
    if metadata.row_groups().iter().any(|group| group.num_rows() < 0) {
        return Err("a row group has a negative number of rows".to_owned());
    }
    Ok(())
}

fn key_value<'a>(metadata: &'a FileMetaData, key: &str) -> Option<&'a str> {
    let pairs = metadata.key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
}
