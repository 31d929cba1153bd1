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

use crate::csv_layout::{Role, VALUE_NAMES, VOLUME, from_names, normalized};
use crate::failure::{quoted, record};
use crate::loaded::Contents;
use crate::time_field::{Magnitudes, parse_calendar};
use crate::{FileFormat, LoadedCandles, ReadOptions, TimeEncoding, TimeResolution};

/// Reads candles from Arrow record batches of one schema (feature `arrow`).
///
/// Columns are found by the names that [`read_csv`](crate::read_csv) knows, others are left alone.
/// The time may be a timestamp of any unit, a date, a whole number or text; prices and volume
/// floats, integers or decimals, null meaning missing.
///
/// - `origin`: what errors call the batches; without a symbol in `options` it names that, too
///
/// # Errors
/// - [`Error::Record`](forecastle_core::Error::Record) with the row for contents that cannot be read, a
///   missing column, too many rows, and no rows at all.
/// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when a limit is outside
///   its range.
///
/// # Examples
/// ```
/// use forecastle_market_data::{
///     ReadOptions, Simulator, SimulatorParams, read_record_batches, record_batch,
/// };
///
/// let series = Simulator::new(SimulatorParams { n: 100, ..Default::default() })?.series()?;
/// let batch = record_batch(series.view())?;
/// let options = ReadOptions { symbol: Some(series.symbol().clone()), ..Default::default() };
/// assert_eq!(read_record_batches([&batch], "memory", &options)?.series, series);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn read_record_batches<'a>(
    batches: impl IntoIterator<Item = &'a RecordBatch>,
    origin: &str,
    options: &ReadOptions,
) -> Result<LoadedCandles> {
    options.validate()?;
    let mut rows = Vec::new();
    let mut state: Option<(Columns, Times)> = None;
    for batch in batches {
        let (columns, times) = match &mut state {
            Some(state) => state,
            None => {
                let schema = batch.schema();
                let names = schema.fields().iter().map(|field| field.name().as_str());
                let columns = columns_of(names).map_err(|reason| record(origin, 1, reason))?;
                let resolution = options.time_resolution.or(columns.resolution);
                state.insert((columns, Times::new(resolution)))
            }
        };
        if rows.len().saturating_add(batch.num_rows()) > options.max_rows {
            let reason = format!("there are more than {} rows", options.max_rows);
            return Err(record(origin, options.max_rows as u64 + 1, reason));
        }
        let read = read_batch(batch, columns, times, &mut rows);
        read.map_err(|(row, reason)| record(origin, row, reason))?;
    }
    let Some((columns, times)) = state.filter(|_| !rows.is_empty()) else {
        return Err(record(origin, 1, "there are no rows"));
    };
    let time = times.settle(&mut rows).map_err(|(row, reason)| record(origin, row, reason))?;
    Contents::of_columns(rows, FileFormat::Memory, time, columns.has_volume()).load(origin, options)
}

/// Where the columns of candles stand in a batch.
pub(crate) struct Columns {
    time: Option<usize>,
    values: [Option<usize>; VALUE_NAMES.len()],
    /// What the time column's name says of its numbers.
    pub(crate) resolution: Option<TimeResolution>,
}

/// Finds the columns by their names, or tells what is missing.
pub(crate) fn columns_of<'a>(
    names: impl Iterator<Item = &'a str>,
) -> std::result::Result<Columns, String> {
    let names: Vec<String> = names.map(|name| normalized(name.as_bytes())).collect();
    let (roles, resolution) = from_names(&names)?;
    let place = |role: Role| roles.iter().position(|&other| other == role);
    let values = std::array::from_fn(|index| place(Role::Value(index)));
    Ok(Columns { time: place(Role::Time), values, resolution })
}

impl Columns {
    /// The places in increasing order.
    #[cfg(feature = "parquet")]
    pub(crate) fn wanted(&self) -> Vec<usize> {
        let mut wanted: Vec<usize> = self.values.into_iter().chain([self.time]).flatten().collect();
        wanted.sort_unstable();
        wanted
    }

    /// The places in batches of nothing but the [`wanted`](Self::wanted) columns.
    #[cfg(feature = "parquet")]
    pub(crate) fn projected(&self) -> Self {
        let wanted = self.wanted();
        let place = |from: Option<usize>| from.and_then(|from| wanted.binary_search(&from).ok());
        Self { time: place(self.time), values: self.values.map(place), resolution: self.resolution }
    }

    pub(crate) fn has_volume(&self) -> bool {
        self.values.get(VOLUME).is_some_and(Option::is_some)
    }
}

/// A row, from 1, and what is wrong with it.
pub(crate) type Fault = (u64, String);

pub(crate) fn read_batch(
    batch: &RecordBatch,
    columns: &Columns,
    times: &mut Times,
    rows: &mut Vec<RawCandle>,
) -> std::result::Result<(), Fault> {
    let before = rows.len();
    let column = |place: Option<usize>| place.and_then(|at| batch.columns().get(at));
    let Some(time) = column(columns.time) else {
        return Err((before as u64 + 1, "there is no time column".to_owned()));
    };
    let times = times.read(time, before as u64 + 1)?;
    let mut values: [Vec<f64>; VALUE_NAMES.len()] = Default::default();
    for ((slot, place), name) in values.iter_mut().zip(&columns.values).zip(VALUE_NAMES) {
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
pub(crate) struct Times {
    given: Option<TimeResolution>,
    magnitudes: Magnitudes,
    encoding: TimeEncoding,
    /// Whether times are still the file's whole numbers.
    unsettled: bool,
}

impl Times {
    pub(crate) fn new(given: Option<TimeResolution>) -> Self {
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

    pub(crate) fn settle(self, rows: &mut [RawCandle]) -> std::result::Result<TimeEncoding, Fault> {
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
