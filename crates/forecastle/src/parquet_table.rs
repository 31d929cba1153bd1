use std::io::Write;

use forecastle_core::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::{ArrowTable, Record, arrow_schema};

/// Records kept before they are encoded.
const BATCH: usize = 8_192;

/// Writes records as a Parquet file (feature `parquet`): columns and types of
/// [`arrow_schema`], compressed with Zstandard.
///
/// # Errors
/// - [`Error::Component`] when writing fails.
///
/// # Examples
/// ```
/// use forecastle::market_data::{Simulator, SimulatorParams};
/// use forecastle::{Pipeline, write_parquet};
///
/// let candles = Simulator::new(SimulatorParams { n: 100, ..Default::default() })?.series()?;
/// let report = Pipeline::builder().models([]).build()?.fit(&candles)?.run(&candles)?;
/// let mut file = Vec::new();
/// write_parquet(report.rows(), &mut file)?;
/// assert_eq!(&file[..4], b"PAR1");
/// # Ok::<(), forecastle::Error>(())
/// ```
pub fn write_parquet<R: Record>(
    rows: impl IntoIterator<Item = R>,
    out: impl Write + Send,
) -> Result<()> {
    let mut table = ParquetTable::new(out)?;
    for row in rows {
        table.push(&row)?;
    }
    table.finish()
}

/// Writes records as a Parquet file, one by one (feature `parquet`).
pub struct ParquetTable<R, W: Write + Send> {
    writer: ArrowWriter<W>,
    rows: ArrowTable<R>,
}

impl<R: Record, W: Write + Send> std::fmt::Debug for ParquetTable<R, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetTable").field("waiting", &self.rows.len()).finish_non_exhaustive()
    }
}

impl<R: Record, W: Write + Send> ParquetTable<R, W> {
    /// Starts a file.
    ///
    /// # Errors
    /// - [`Error::Component`] when writing fails.
    pub fn new(out: W) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let writer = ArrowWriter::try_new(out, arrow_schema::<R>(), Some(properties));
        Ok(Self { writer: writer.map_err(failed)?, rows: ArrowTable::new() })
    }

    /// Appends a record.
    ///
    /// # Errors
    /// - [`Error::Component`] when writing fails.
    pub fn push(&mut self, record: &R) -> Result<()> {
        self.rows.push(record);
        if self.rows.len() < BATCH { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        let batch = self.rows.finish()?;
        self.writer.write(&batch).map_err(failed)
    }

    /// Ends the file, which cannot be read before.
    ///
    /// # Errors
    /// - [`Error::Component`] when writing fails.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.writer.close().map(drop).map_err(failed)
    }
}

fn failed(error: ParquetError) -> Error {
    Error::component("Parquet output", error)
}
