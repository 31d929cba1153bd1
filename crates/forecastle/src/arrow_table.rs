use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, StringBuilder, TimestampMillisecondBuilder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use forecastle_core::{Error, Result};

use crate::{Cell, ColumnType, Record};

/// The Arrow schema of records (feature `arrow`): times as UTC timestamps in milliseconds, numbers as
/// 64-bit floats, counts as unsigned 64-bit integers, text as UTF-8; any of them may be null.
pub fn arrow_schema<R: Record>() -> SchemaRef {
    let fields = R::COLUMNS.iter().zip(R::TYPES).map(|(name, kind)| {
        let kind = match kind {
            ColumnType::Time => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            ColumnType::Float => DataType::Float64,
            ColumnType::Count => DataType::UInt64,
            ColumnType::Bool => DataType::Boolean,
            ColumnType::Text => DataType::Utf8,
        };
        Field::new(*name, kind, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Turns records into an Arrow record batch (feature `arrow`), as [`arrow_schema`] says.
///
/// # Errors
/// As [`ArrowTable::finish`].
///
/// # Examples
/// ```
/// use forecastle::market_data::{Simulator, SimulatorParams};
/// use forecastle::{Pipeline, TableRow, arrow_schema, record_batch};
///
/// let candles = Simulator::new(SimulatorParams { n: 100, ..Default::default() })?.series()?;
/// let report = Pipeline::builder().models([]).build()?.fit(&candles)?.run(&candles)?;
/// let batch = record_batch(report.rows())?;
/// assert_eq!(batch.num_rows(), 100);
/// assert_eq!(batch.schema(), arrow_schema::<TableRow>());
/// # Ok::<(), forecastle::Error>(())
/// ```
pub fn record_batch<R: Record>(rows: impl IntoIterator<Item = R>) -> Result<RecordBatch> {
    let mut table = ArrowTable::<R>::new();
    rows.into_iter().for_each(|row| table.push(&row));
    table.finish()
}

/// Collects records as Arrow columns (feature `arrow`).
#[derive(Debug)]
pub struct ArrowTable<R> {
    columns: Vec<Column>,
    length: usize,
    records: PhantomData<fn(R)>,
}

#[derive(Debug)]
enum Column {
    Time(TimestampMillisecondBuilder),
    Float(Float64Builder),
    Count(UInt64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
}

impl<R: Record> Default for ArrowTable<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Record> ArrowTable<R> {
    /// Starts without rows, and without memory for them.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// Starts without rows, with memory for so many.
    pub fn with_capacity(rows: usize) -> Self {
        let column = |kind: &ColumnType| match kind {
            ColumnType::Time => {
                let times = TimestampMillisecondBuilder::with_capacity(rows);
                Column::Time(times.with_timezone("UTC"))
            }
            ColumnType::Float => Column::Float(Float64Builder::with_capacity(rows)),
            ColumnType::Count => Column::Count(UInt64Builder::with_capacity(rows)),
            ColumnType::Bool => Column::Bool(BooleanBuilder::with_capacity(rows)),
            ColumnType::Text => Column::Text(StringBuilder::with_capacity(rows, 0)),
        };
        Self { columns: R::TYPES.iter().map(column).collect(), length: 0, records: PhantomData }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends a record.
    pub fn push(&mut self, record: &R) {
        let mut columns = self.columns.iter_mut();
        record.visit(&mut |_, cell| {
            if let Some(column) = columns.next() {
                column.push(cell);
            }
        });
        self.length += 1;
    }

    /// Appends a row of nulls.
    pub fn push_null(&mut self) {
        self.columns.iter_mut().for_each(|column| column.push(Cell::Null));
        self.length += 1;
    }

    /// The columns so far; the table is empty then.
    pub fn take_columns(&mut self) -> Vec<ArrayRef> {
        self.length = 0;
        self.columns.iter_mut().map(Column::finish).collect()
    }

    /// The rows so far; the table is empty then.
    ///
    /// # Errors
    /// - [`Error::Component`] for a record whose cells are not as its columns say.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        RecordBatch::try_new(arrow_schema::<R>(), self.take_columns())
            .map_err(|e| Error::component("Arrow table", e))
    }
}

impl Column {
    /// Appends a cell; one of another type is null.
    fn push(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Time(to), Cell::Time(time)) => to.append_value(time.as_millis()),
            (Self::Float(to), Cell::Float(value)) => to.append_value(value),
            (Self::Count(to), Cell::Count(count)) => to.append_value(count),
            (Self::Bool(to), Cell::Bool(flag)) => to.append_value(flag),
            (Self::Text(to), Cell::Text(text)) => to.append_value(text),
            (Self::Time(to), _) => to.append_null(),
            (Self::Float(to), _) => to.append_null(),
            (Self::Count(to), _) => to.append_null(),
            (Self::Bool(to), _) => to.append_null(),
            (Self::Text(to), _) => to.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Time(from) => Arc::new(from.finish()),
            Self::Float(from) => Arc::new(from.finish()),
            Self::Count(from) => Arc::new(from.finish()),
            Self::Bool(from) => Arc::new(from.finish()),
            Self::Text(from) => Arc::new(from.finish()),
        }
    }
}
