use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, TimestampMillisecondArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use forecastle_core::{CandleView, Error, Result, Timestamp};

/// The schema of candles in Arrow and Parquet (feature `arrow`).
///
/// `open_time` (UTC timestamp in milliseconds), `open`, `high`, `low`, `close`, `volume` (64-bit floats),
/// none with nulls.
pub fn candle_schema() -> SchemaRef {
    let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let values = ["open", "high", "low", "close", "volume"];
    let values = values.map(|name| Field::new(name, DataType::Float64, false));
    let fields: Vec<Field> =
        [Field::new("open_time", utc, false)].into_iter().chain(values).collect();
    Arc::new(Schema::new(fields))
}

/// Copies candles into an Arrow record batch (feature `arrow`), as [`candle_schema`] says.
///
/// # Errors
/// None in practice: the columns are as long as each other.
///
/// # Examples
/// See [`read_record_batches`](crate::read_record_batches).
pub fn record_batch(candles: CandleView<'_>) -> Result<RecordBatch> {
    batch(&candle_schema(), candles).map_err(|e| Error::component("Arrow candles", e))
}

pub(crate) fn batch(
    schema: &SchemaRef,
    rows: CandleView<'_>,
) -> std::result::Result<RecordBatch, ArrowError> {
    let times = rows.open_time().iter().copied().map(Timestamp::as_millis);
    let times = TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC");
    let mut columns: Vec<ArrayRef> = vec![Arc::new(times)];
    for values in [rows.open(), rows.high(), rows.low(), rows.close(), rows.volume()] {
        columns.push(Arc::new(Float64Array::from(values.to_vec())));
    }
    RecordBatch::try_new(Arc::clone(schema), columns)
}
