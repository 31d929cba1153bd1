use std::io::{self, Write};

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
    let failed = |e: csv::Error| Error::component("CSV output", io::Error::from(e));
    let mut writer = csv::WriterBuilder::new().flexible(false).from_writer(out);
    let mut line = csv::ByteRecord::new();
    let mut float = zmij::Buffer::new();
    writer.write_record(R::COLUMNS).map_err(failed)?;
    for row in rows {
        line.clear();
        row.visit(&mut |_, cell| match cell {
            Cell::Null => line.push_field(b""),
            Cell::Time(time) => line.push_field(time.as_millis().to_string().as_bytes()),
            Cell::Float(value) => line.push_field(float.format_finite(value).as_bytes()),
            Cell::Count(count) => line.push_field(count.to_string().as_bytes()),
            Cell::Bool(flag) => line.push_field(if flag { b"true" } else { b"false" }),
            Cell::Text(text) => line.push_field(text.as_bytes()),
        });
        writer.write_byte_record(&line).map_err(failed)?;
    }
    writer.flush().map_err(|e| Error::component("CSV output", e))
}
