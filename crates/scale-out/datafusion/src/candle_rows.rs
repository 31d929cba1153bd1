use std::cmp::Ordering;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, LargeListArray, PrimitiveArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, Int64Type, TimestampMillisecondType,
};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use forecastle::core::{RawCandle, Timestamp};
use std::sync::Arc;

/// The state of a group as columns: one list each.
const STATE: [&str; 6] = ["open_time", "open", "high", "low", "close", "volume"];

/// Holds a group's candles as they come, in no order.
#[derive(Debug, Default)]
pub(crate) struct CandleRows {
    rows: Vec<RawCandle>,
    /// Rows without a time.
    untimed: usize,
}

/// The fields of the state: lists with 64-bit offsets, since 32 bits overflow at 2³¹ candles.
pub(crate) fn state_fields(name: &str) -> Vec<FieldRef> {
    let fields = STATE.iter().enumerate().map(|(i, column)| {
        let item = if i == 0 { DataType::Int64 } else { DataType::Float64 };
        let list = DataType::LargeList(Arc::new(Field::new_list_field(item, true)));
        Arc::new(Field::new(format!("{name}[{column}]"), list, true))
    });
    fields.collect()
}

impl CandleRows {
    /// Number of rows, those without a time included.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.untimed
    }

    /// Appends rows from the six columns.
    pub(crate) fn push(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let [times, values @ ..] = columns else { return exec_err!("there is no column of times") };
        let [open, high, low, close, volume] = values else {
            return exec_err!("six columns of candles were expected, there are {}", columns.len());
        };
        let [open, high, low, close, volume] =
            [floats(open)?, floats(high)?, floats(low)?, floats(close)?, floats(volume)?];
        let time: &dyn Fn(usize) -> Option<i64> =
            if let Some(times) = times.as_primitive_opt::<Int64Type>() {
                &|i| value(times, i)
            } else if let Some(times) = times.as_primitive_opt::<TimestampMillisecondType>() {
                &|i| value(times, i)
            } else {
                return exec_err!("open_time is {}, not a time", times.data_type());
            };
        self.reserve(times.len());
        for i in 0..times.len() {
            let Some(millis) = time(i) else {
                self.untimed += 1;
                continue;
            };
            let number = |column: &Float64Array| value(column, i).unwrap_or(f64::NAN);
            self.rows.push(RawCandle {
                open_time: Timestamp::from_millis(millis),
                open: number(open),
                high: number(high),
                low: number(low),
                close: number(close),
                volume: number(volume),
            });
        }
        Ok(())
    }

    /// Makes room, a quarter more at least: twice as much would be twice the data in memory.
    fn reserve(&mut self, more: usize) {
        let needed = self.rows.len().saturating_add(more);
        if needed > self.rows.capacity() {
            let room = needed.max(self.rows.len() + self.rows.len() / 4);
            self.rows.reserve_exact(room - self.rows.len());
        }
    }

    /// Appends partial states.
    pub(crate) fn merge(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists: Vec<&LargeListArray> = states
            .iter()
            .map(|state| match state.as_list_opt::<i64>() {
                Some(list) => Ok(list),
                None => exec_err!("a state is {}, not a list", state.data_type()),
            })
            .collect::<Result<_>>()?;
        for i in 0..lists.first().map_or(0, arrow::array::Array::len) {
            if lists.iter().all(|list| list.is_valid(i)) {
                let columns: Vec<ArrayRef> = lists.iter().map(|list| list.value(i)).collect();
                self.push(&columns)?;
            }
        }
        Ok(())
    }

    /// The rows as a state; none are kept.
    pub(crate) fn take_state(&mut self) -> Result<Vec<ScalarValue>> {
        let Self { rows, untimed } = std::mem::take(self);
        let times = rows.iter().map(|row| Some(row.open_time.as_millis()));
        let times: Int64Array = times.chain(std::iter::repeat_n(None, untimed)).collect();
        let column = |value: fn(&RawCandle) -> f64| -> ArrayRef {
            let values = rows.iter().map(value).chain(std::iter::repeat_n(f64::NAN, untimed));
            Arc::new(Float64Array::from_iter_values(values))
        };
        let columns: [ArrayRef; 6] = [
            Arc::new(times),
            column(|row| row.open),
            column(|row| row.high),
            column(|row| row.low),
            column(|row| row.close),
            column(|row| row.volume),
        ];
        let list = |values: ArrayRef| {
            let end = i64::try_from(values.len()).unwrap_or(i64::MAX);
            let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, end]));
            let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            let list = LargeListArray::try_new(item, offsets, values, None)?;
            Ok(ScalarValue::LargeList(Arc::new(list)))
        };
        columns.into_iter().map(list).collect()
    }

    /// The rows in the one order that does not depend on how they came, or why there are none.
    pub(crate) fn take_sorted(&mut self) -> std::result::Result<Vec<RawCandle>, String> {
        let Self { mut rows, untimed } = std::mem::take(self);
        if untimed > 0 {
            return Err(format!("{untimed} rows have no open_time"));
        }
        rows.sort_unstable_by(compare);
        Ok(rows)
    }

    /// Memory of the rows.
    pub(crate) fn size(&self) -> usize {
        self.rows.capacity() * size_of::<RawCandle>()
    }
}

fn compare(a: &RawCandle, b: &RawCandle) -> Ordering {
    let values = |row: &RawCandle| [row.open, row.high, row.low, row.close, row.volume];
    let values = values(a).into_iter().zip(values(b));
    let differs = values.map(|(a, b)| a.total_cmp(&b)).find(|order| order.is_ne());
    a.open_time.cmp(&b.open_time).then(differs.unwrap_or(Ordering::Equal))
}

fn floats(array: &ArrayRef) -> Result<&Float64Array> {
    match array.as_primitive_opt::<Float64Type>() {
        Some(array) => Ok(array),
        None => exec_err!("a column of candles is {}, not DOUBLE", array.data_type()),
    }
}

fn value<T: arrow::datatypes::ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    i: usize,
) -> Option<T::Native> {
    array.is_valid(i).then(|| array.value(i))
}
