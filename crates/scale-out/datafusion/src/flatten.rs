use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::{
    SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch,
};
use arrow::datatypes::{FieldRef, Schema};
use arrow::error::ArrowError;

/// Replaces a column of structs by the structs' fields: `symbol, f` becomes `symbol, candles, open_time, …`.
///
/// # Errors
/// - [`ArrowError::SchemaError`] when there is no such column, or it holds no structs.
pub fn flatten(batch: &RecordBatch, column: &str) -> Result<RecordBatch, ArrowError> {
    let position = batch.schema().index_of(column)?;
    let mut fields: Vec<FieldRef> = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (i, (field, values)) in batch.schema().fields().iter().zip(batch.columns()).enumerate() {
        if i != position {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(values));
            continue;
        }
        let Some(structs) = values.as_struct_opt() else {
            let kind = values.data_type();
            return Err(ArrowError::SchemaError(format!(
                "column {column} is {kind}, not a struct"
            )));
        };
        fields.extend(structs.fields().iter().cloned());
        columns.extend(structs.columns().iter().cloned());
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Joins batches of one schema and sorts the rows by the given columns: what `ORDER BY` says, without the
/// exchange between partitions that it costs.
///
/// # Errors
/// - [`ArrowError::SchemaError`] when there are no batches or no such column.
pub fn sort_rows(batches: &[RecordBatch], by: &[&str]) -> Result<RecordBatch, ArrowError> {
    let Some(first) = batches.first() else {
        return Err(ArrowError::SchemaError("there are no batches".to_owned()));
    };
    let all = concat_batches(&first.schema(), batches)?;
    let keys = by.iter().map(|name| {
        let values = Arc::clone(all.column(all.schema().index_of(name)?));
        Ok(SortColumn {
            values,
            options: Some(SortOptions { descending: false, nulls_first: true }),
        })
    });
    let keys: Vec<SortColumn> = keys.collect::<Result<_, ArrowError>>()?;
    if keys.is_empty() || all.num_rows() == 0 {
        return Ok(all);
    }
    take_record_batch(&all, &lexsort_to_indices(&keys, None)?)
}
