use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, Date32Array, Decimal128Array, PrimitiveArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray,
};
use forecastle_core::{RawCandle, Result, Timestamp};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{FileMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;

use crate::csv_layout::{Role, VALUE_NAMES, VOLUME, from_names, normalized};
use crate::failure::{io_failure, quoted, record};
use crate::loaded::Contents;
use crate::time_field::{Magnitudes, parse_calendar};
use crate::{ColumnLayout, FileFormat, LoadedCandles, ReadOptions, TimeEncoding, TimeResolution};

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

/// Where a column stands in the batches, and whether it is there at all.
type Places = [Option<usize>; VALUE_NAMES.len()];

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

    let fields = builder.schema().fields();
    let names: Vec<String> = fields.iter().map(|f| normalized(f.name().as_bytes())).collect();
    let (roles, resolution) = from_names(&names).map_err(|reason| record(origin, 1, reason))?;
    let wanted: Vec<usize> = (roles.iter().enumerate())
        .filter(|(_, role)| matches!(role, Role::Time | Role::Value(_)))
        .map(|(at, _)| at)
        .collect();
    // A projection keeps the file's order.
    let place = |role: Role| wanted.iter().position(|&at| roles.get(at) == Some(&role));
    let time_place = place(Role::Time);
    let places: Places = std::array::from_fn(|index| place(Role::Value(index)));
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.iter().copied());
    let batches = builder
        .with_projection(mask)
        .with_batch_size(BATCH)
        .build()
        .map_err(|e| damaged(1, e.to_string()))?;

    let mut rows: Vec<RawCandle> = Vec::new();
    let mut times = Times::new(options.time_resolution.or(resolution));
    for batch in batches {
        let batch = batch.map_err(|e| damaged(rows.len() + 1, e.to_string()))?;
        if rows.len() + batch.num_rows() > options.max_rows {
            let reason = format!("the file holds more than {} rows", options.max_rows);
            return Err(record(origin, options.max_rows as u64 + 1, reason));
        }
        let read = read_batch(&batch, time_place, &places, &mut times, &mut rows);
        read.map_err(|(row, reason)| record(origin, row, reason))?;
    }
    if rows.is_empty() {
        return Err(record(origin, 1, "the file holds no rows"));
    }
    let time = times.settle(&mut rows).map_err(|(row, reason)| record(origin, row, reason))?;
    Ok(Contents {
        rows,
        first_row: 1,
        format: FileFormat::Parquet,
        layout: ColumnLayout::Named,
        delimiter: None,
        time,
        has_volume: places.get(VOLUME).is_some_and(Option::is_some),
        symbol,
        timeframe,
    })
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

/// A row, from 1, and what is wrong with it.
type Fault = (u64, String);

fn read_batch(
    batch: &RecordBatch,
    time_place: Option<usize>,
    places: &Places,
    times: &mut Times,
    rows: &mut Vec<RawCandle>,
) -> std::result::Result<(), Fault> {
    let before = rows.len();
    let column = |place: Option<usize>| place.and_then(|at| batch.columns().get(at));
    let Some(time) = column(time_place) else {
        return Err((before as u64 + 1, "there is no time column".to_owned()));
    };
    let times = times.read(time, before as u64 + 1)?;
    let mut values: [Vec<f64>; VALUE_NAMES.len()] = Default::default();
    for ((slot, place), name) in values.iter_mut().zip(places).zip(VALUE_NAMES) {
        *slot = match column(*place) {
            Some(array) => numbers(array).ok_or_else(|| {
                let reason = format!("column `{name}` holds {}, not numbers", array.data_type());
                (before as u64 + 1, reason)
            })?,
            None => vec![0.0; batch.num_rows()],
        };
    }
    let [open, high, low, close, volume] = values;
    let prices = open.into_iter().zip(high).zip(low).zip(close).zip(volume);
    for (open_time, ((((open, high), low), close), volume)) in times.into_iter().zip(prices) {
        rows.push(RawCandle { open_time, open, high, low, close, volume });
    }
    Ok(())
}

/// A column as numbers, NaN for null; `None` for another type.
fn numbers(array: &ArrayRef) -> Option<Vec<f64>> {
    fn cast<T: ArrowPrimitiveType>(
        array: &ArrayRef,
        convert: impl Fn(T::Native) -> f64,
    ) -> Option<Vec<f64>> {
        let array = array.as_any().downcast_ref::<PrimitiveArray<T>>()?;
        Some(array.iter().map(|value| value.map_or(f64::NAN, &convert)).collect())
    }
    cast::<Float64Type>(array, |v| v)
        .or_else(|| cast::<Float32Type>(array, f64::from))
        .or_else(|| cast::<Int64Type>(array, |v| v as f64))
        .or_else(|| cast::<UInt64Type>(array, |v| v as f64))
        .or_else(|| cast::<Int32Type>(array, f64::from))
        .or_else(|| cast::<UInt32Type>(array, f64::from))
        .or_else(|| cast::<Int16Type>(array, f64::from))
        .or_else(|| cast::<UInt16Type>(array, f64::from))
        .or_else(|| cast::<Int8Type>(array, f64::from))
        .or_else(|| cast::<UInt8Type>(array, f64::from))
        .or_else(|| decimals(array))
}

fn decimals(array: &ArrayRef) -> Option<Vec<f64>> {
    let array = array.as_any().downcast_ref::<Decimal128Array>()?;
    let number = |row: usize| match array.is_null(row) {
        true => f64::NAN,
        // Through the text, so that the last bit is right.
        false => array.value_as_string(row).parse().unwrap_or(f64::NAN),
    };
    Some((0..array.len()).map(number).collect())
}

/// Turns time columns into timestamps.
struct Times {
    given: Option<TimeResolution>,
    magnitudes: Magnitudes,
    encoding: TimeEncoding,
    /// Whether times are still the file's whole numbers.
    unsettled: bool,
}

impl Times {
    fn new(given: Option<TimeResolution>) -> Self {
        let encoding = TimeEncoding::Calendar;
        Self { given, magnitudes: Magnitudes::default(), encoding, unsettled: false }
    }

    fn read(
        &mut self,
        array: &ArrayRef,
        first_row: u64,
    ) -> std::result::Result<Vec<Timestamp>, Fault> {
        use TimeResolution::{Microseconds, Milliseconds, Nanoseconds, Seconds};
        let any = array.as_any();
        let (resolution, times) = if let Some(a) = any.downcast_ref::<TimestampMillisecondArray>() {
            (Some(Milliseconds), present(a, first_row)?)
        } else if let Some(a) = any.downcast_ref::<TimestampMicrosecondArray>() {
            (Some(Microseconds), present(a, first_row)?)
        } else if let Some(a) = any.downcast_ref::<TimestampNanosecondArray>() {
            (Some(Nanoseconds), present(a, first_row)?)
        } else if let Some(a) = any.downcast_ref::<TimestampSecondArray>() {
            (Some(Seconds), present(a, first_row)?)
        } else if let Some(a) = any.downcast_ref::<PrimitiveArray<Int64Type>>() {
            (None, present(a, first_row)?)
        } else if let Some(a) = any.downcast_ref::<PrimitiveArray<UInt64Type>>() {
            (None, present(a, first_row)?)
        } else if let Some(a) = any.downcast_ref::<PrimitiveArray<Int32Type>>() {
            (None, present(a, first_row)?)
        } else if let Some(a) = any.downcast_ref::<PrimitiveArray<UInt32Type>>() {
            (None, present(a, first_row)?)
        } else if let Some(a) = any.downcast_ref::<Date32Array>() {
            let days = present(a, first_row)?;
            return Ok(days.iter().map(|day| Timestamp::from_millis(day * 86_400_000)).collect());
        } else if let Some(a) = any.downcast_ref::<StringArray>() {
            return calendar(a, first_row);
        } else {
            let reason = format!("the time column holds {}, not times", array.data_type());
            return Err((first_row, reason));
        };
        if let Some(resolution) = resolution {
            self.encoding = TimeEncoding::Number(resolution);
            let stamps = (first_row..).zip(times).map(|(row, time)| {
                let out = || (row, format!("time {time} is out of range"));
                resolution.to_timestamp(time).ok_or_else(out)
            });
            return stamps.collect();
        }
        self.unsettled = true;
        for (row, &time) in (first_row..).zip(&times) {
            self.magnitudes.see(time, row);
        }
        Ok(times.into_iter().map(Timestamp::from_millis).collect())
    }

    fn settle(self, rows: &mut [RawCandle]) -> std::result::Result<TimeEncoding, Fault> {
        if !self.unsettled {
            return Ok(self.encoding);
        }
        let resolution = match self.given {
            Some(given) => given,
            None => self.magnitudes.resolution()?,
        };
        for (number, row) in (1..).zip(rows) {
            let time = row.open_time.as_millis();
            row.open_time = resolution.to_timestamp(time).ok_or_else(|| {
                (number, format!("time {time} in {} is out of range", resolution.name()))
            })?;
        }
        Ok(TimeEncoding::Number(resolution))
    }
}

/// The values of a column that must not be null.
fn present<T: ArrowPrimitiveType<Native: TryInto<i64>>>(
    array: &PrimitiveArray<T>,
    first_row: u64,
) -> std::result::Result<Vec<i64>, Fault> {
    let values = (first_row..).zip(array.iter()).map(|(row, value)| {
        let value = value.ok_or_else(|| (row, "the time is null".to_owned()))?;
        value.try_into().map_err(|_| (row, "the time is out of range".to_owned()))
    });
    values.collect()
}

fn calendar(array: &StringArray, first_row: u64) -> std::result::Result<Vec<Timestamp>, Fault> {
    let times = (first_row..).zip(array.iter()).map(|(row, text)| {
        let text = text.unwrap_or_default();
        let wrong = || (row, format!("time {} is not RFC 3339", quoted(text.as_bytes())));
        parse_calendar(text.trim().as_bytes()).ok_or_else(wrong)
    });
    times.collect()
}
