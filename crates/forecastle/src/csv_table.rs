use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;

use forecastle_core::{Error, Result};

use crate::{Cell, Record};

/// Writes records as CSV: a header, then a line a row, oldest first.
///
/// Numbers are written in the shortest form (at most 17 significant digits) that reads back to the
/// same bits, times as milliseconds, nothing as an empty field.
///
/// # Errors
/// - [`Error::Component`] when writing fails.
pub fn write_csv<R: Record>(rows: impl IntoIterator<Item = R>, out: impl Write) -> Result<()> {
    let mut table = CsvTable::new(out)?;
    rows.into_iter().try_for_each(|row| table.push(&row))?;
    table.finish()
}

/// Writes records as CSV, one by one, as [`write_csv`] does.
pub struct CsvTable<R, W: Write> {
    writer: csv::Writer<W>,
    line: csv::ByteRecord,
    records: PhantomData<fn(R)>,
}

impl<R, W: Write> fmt::Debug for CsvTable<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvTable").finish_non_exhaustive()
    }
}

impl<R: Record, W: Write> CsvTable<R, W> {
    /// Writes the header.
    ///
    /// # Errors
    /// - [`Error::Component`] when writing fails.
    pub fn new(out: W) -> Result<Self> {
        let mut writer = csv::WriterBuilder::new().flexible(false).from_writer(out);
        writer.write_record(R::COLUMNS).map_err(failed)?;
        Ok(Self { writer, line: csv::ByteRecord::new(), records: PhantomData })
    }

    /// Writes a record.
    ///
    /// # Errors
    /// - [`Error::Component`] when writing fails.
    pub fn push(&mut self, record: &R) -> Result<()> {
        let Self { writer, line, .. } = self;
        let mut float = zmij::Buffer::new();
        line.clear();
        record.visit(&mut |_, cell| match cell {
            Cell::Null => line.push_field(b""),
            Cell::Time(time) => line.push_field(time.as_millis().to_string().as_bytes()),
            Cell::Float(value) => line.push_field(float.format_finite(value).as_bytes()),
            Cell::Count(count) => line.push_field(count.to_string().as_bytes()),
            Cell::Bool(flag) => line.push_field(if flag { b"true" } else { b"false" }),
            Cell::Text(text) => line.push_field(text.as_bytes()),
        });
        writer.write_byte_record(line).map_err(failed)
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// - [`Error::Component`] when writing fails.
    pub fn finish(mut self) -> Result<()> {
        self.writer.flush().map_err(|e| Error::component("CSV output", e))
    }
}

fn failed(error: csv::Error) -> Error {
    Error::component("CSV output", io::Error::from(error))
}
