//! Writing a result to a file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::csv::WriterBuilder;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::parquet::arrow::ArrowWriter;

use crate::error::OutputError;

/// The format of a result file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// Comma-separated values with a header; fields of structs become columns `f.field`, lists
    /// become text.
    Csv,
    /// Parquet, with all types kept.
    Parquet,
}

impl OutputFormat {
    /// Tells the format by a file's name.
    ///
    /// # Errors
    ///
    /// - [`OutputError::Format`] the name ends neither in `.csv` nor in `.parquet`
    pub fn of(path: &Path) -> Result<Self, OutputError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(OutputError::Format { path: path.to_path_buf() }),
        }
    }
}

/// Writes a result to a file, in the format that its name asks for.
///
/// The file appears when it is complete: it is written beside its place and then moved there.
///
/// # Errors
///
/// - [`OutputError::Format`] the name ends neither in `.csv` nor in `.parquet`
/// - [`OutputError::Io`] the file cannot be written
/// - [`OutputError::Encode`] a column has no form in the format
pub fn write_output(
    path: &Path,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<(), OutputError> {
    let format = OutputFormat::of(path)?;
    let io = |source| OutputError::Io { path: path.to_path_buf(), source };
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".forecastle-").suffix(".partial");
    // Less the umask, as for any new file; a temporary one would be its owner's alone.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder).map_err(io)?;
    let encoded = match format {
        OutputFormat::Csv => write_csv(file.as_file(), schema, batches),
        OutputFormat::Parquet => write_parquet(file.as_file(), schema, batches),
    };
    encoded.map_err(|source| OutputError::Encode { path: path.to_path_buf(), source })?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

type Encoded = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn write_parquet(file: &File, schema: &SchemaRef, batches: &[RecordBatch]) -> Encoded {
    let mut writer = ArrowWriter::try_new(BufWriter::new(file), Arc::clone(schema), None)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.into_inner()?.flush()?;
    Ok(())
}

fn write_csv(file: &File, schema: &SchemaRef, batches: &[RecordBatch]) -> Encoded {
    let mut writer = WriterBuilder::new().with_header(true).build(BufWriter::new(file));
    for batch in batches {
        writer.write(&flatten(batch)?)?;
    }
    if batches.is_empty() {
        writer.write(&flatten(&RecordBatch::new_empty(Arc::clone(schema)))?)?;
    }
    writer.into_inner().flush()?;
    Ok(())
}

/// Turns every column into ones that CSV has a form for.
fn flatten(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut columns = Vec::new();
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        flatten_into(field.name().clone(), field, array, &mut columns)?;
    }
    let (fields, arrays): (Vec<FieldRef>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

fn flatten_into(
    name: String,
    field: &Field,
    array: &ArrayRef,
    columns: &mut Vec<(FieldRef, ArrayRef)>,
) -> Result<(), ArrowError> {
    match array.data_type() {
        DataType::Struct(fields) => {
            // Rows without the struct are rows without its fields.
            let (_, children, nulls) = array.as_struct().clone().into_parts();
            for (child, values) in fields.iter().zip(children) {
                let data = values.to_data();
                let joined = datafusion::arrow::buffer::NullBuffer::union(
                    nulls.as_ref(),
                    values.logical_nulls().as_ref(),
                );
                let values = match values.data_type() {
                    DataType::Null => values,
                    _ => datafusion::arrow::array::make_array(
                        data.into_builder().nulls(joined).build()?,
                    ),
                };
                flatten_into(format!("{name}.{}", child.name()), child, &values, columns)?;
            }
        }
        data_type if data_type.is_nested() => {
            let options = FormatOptions::new();
            let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
            let texts: StringArray = (0..array.len())
                .map(|row| array.is_valid(row).then(|| formatter.value(row).to_string()))
                .collect();
            columns.push((Arc::new(Field::new(name, DataType::Utf8, true)), Arc::new(texts)));
        }
        data_type => columns.push((
            Arc::new(Field::new(
                name,
                data_type.clone(),
                field.is_nullable() || array.null_count() > 0,
            )),
            Arc::clone(array),
        )),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Float64Array, ListArray, StructArray};
    use datafusion::arrow::buffer::NullBuffer;
    use datafusion::arrow::datatypes::{Fields, Float64Type};
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn batch() -> RecordBatch {
        let level: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 2.5]));
        let path: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([
            Some(vec![Some(1.0), None]),
            None,
        ]));
        let fields = Fields::from(vec![
            Field::new("level", DataType::Float64, true),
            Field::new("path", path.data_type().clone(), true),
        ]);
        let nulls = NullBuffer::from(vec![true, false]);
        let forecast: ArrayRef = Arc::new(StructArray::new(fields, vec![level, path], Some(nulls)));
        let symbol: ArrayRef = Arc::new(StringArray::from(vec!["BTC/USDT", "A,B"]));
        RecordBatch::try_from_iter_with_nullable([("symbol", symbol, false), ("f", forecast, true)])
            .unwrap()
    }

    #[test]
    fn csv_has_a_column_for_every_field_of_a_struct() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let batch = batch();
        write_output(&path, &batch.schema(), &[batch]).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "symbol,f.level,f.path\nBTC/USDT,1.5,\"[1.0, ]\"\n\"A,B\",,\n"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_result_without_rows_has_a_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        write_output(&path, &batch().schema(), &[]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "symbol,f.level,f.path\n");
    }

    #[test]
    fn parquet_gives_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.parquet");
        let batch = batch();
        write_output(&path, &batch.schema(), std::slice::from_ref(&batch)).unwrap();
        let read: Vec<_> = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap())
            .unwrap()
            .build()
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(read, [batch]);
    }

    #[cfg(unix)]
    #[test]
    fn whoever_may_read_a_new_file_may_read_the_result() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        let path = folder.path().join("out.csv");
        write_output(&path, &batch().schema(), &[batch()]).unwrap();
        let plain = folder.path().join("plain.csv");
        std::fs::write(&plain, "").unwrap();
        assert_eq!(mode(&path), mode(&plain));
    }

    #[test]
    fn other_formats_and_places_are_refused() {
        let batch = batch();
        for (path, wanted) in [("out.json", "csv"), ("out", "csv"), ("/nowhere/o.csv", "write")] {
            let error = write_output(Path::new(path), &batch.schema(), &[]).unwrap_err();
            assert!(error.to_string().contains(wanted), "{path}: {error}");
        }
    }
}
