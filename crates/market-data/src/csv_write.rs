use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use forecastle_core::{CandleSeries, Result, Timestamp};

use crate::TimeResolution;
use crate::failure::io_failure;

/// Writes candles to a CSV file, in gzip where the name ends in `.gz`.
///
/// The header is `timestamp,open,high,low,close,volume`, times are milliseconds since the Unix
/// epoch, numbers the shortest text that reads back bit for bit. Where a reader could take the
/// times for seconds (only before March 1973) the first column is named `timestamp_ms`.
///
/// # Errors
/// - [`Error::Component`](forecastle_core::Error::Component) when the file cannot be written.
///
/// # Examples
/// See [`read_candles`](crate::read_candles).
pub fn write_csv(path: impl AsRef<Path>, series: &CandleSeries) -> Result<()> {
    let path = path.as_ref();
    let origin = path.display().to_string();
    let failed = |e| io_failure("writing candles", &origin, e);
    let file = BufWriter::new(File::create(path).map_err(failed)?);
    let gzip = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    if gzip { write_gzip(file, series) } else { write_text(file, series) }.map_err(failed)
}

/// Writes candles as CSV text, as [`write_csv`] does.
///
/// # Errors
/// - [`Error::Component`](forecastle_core::Error::Component) when the writer fails.
///
/// # Examples
/// ```
/// use forecastle_core::{Candle, CandleSeries, Timestamp};
/// use forecastle_market_data::write_csv_to;
///
/// let mut series = CandleSeries::empty("BTC/USDT".parse()?, "1h".parse()?);
/// let time = Timestamp::from_millis(1_704_067_200_000);
/// series.push(Candle::new(time, 1.0, 2.5, 0.5, 1e-8 + 1.0, 10.0)?)?;
/// let mut text = Vec::new();
/// write_csv_to(&mut text, &series)?;
/// assert_eq!(
///     String::from_utf8_lossy(&text),
///     "timestamp,open,high,low,close,volume\n1704067200000,1,2.5,0.5,1.00000001,10\n"
/// );
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn write_csv_to(writer: impl Write, series: &CandleSeries) -> Result<()> {
    write_text(writer, series).map_err(|e| io_failure("writing candles", "the writer", e))
}

/// Writes candles as CSV text in gzip, as [`write_csv`] does.
///
/// # Errors
/// - [`Error::Component`](forecastle_core::Error::Component) when the writer fails.
pub fn write_csv_gz_to(writer: impl Write, series: &CandleSeries) -> Result<()> {
    write_gzip(writer, series).map_err(|e| io_failure("writing candles", "the writer", e))
}

fn write_gzip(writer: impl Write, series: &CandleSeries) -> io::Result<()> {
    let mut encoder = GzEncoder::new(writer, Compression::default());
    write_text(&mut encoder, series)?;
    encoder.finish()?.flush()
}

fn write_text(mut writer: impl Write, series: &CandleSeries) -> io::Result<()> {
    const FLUSH_AT: usize = 64 * 1024;
    let view = series.view();
    let times = view.open_time();
    let mut text: Vec<u8> = Vec::with_capacity(FLUSH_AT + 4096);
    text.extend_from_slice(time_column(times).as_bytes());
    text.extend_from_slice(b",open,high,low,close,volume\n");
    let values = view.open().iter().zip(view.high()).zip(view.low());
    let values = values.zip(view.close()).zip(view.volume());
    for (time, ((((open, high), low), close), volume)) in times.iter().zip(values) {
        write!(text, "{}", time.as_millis())?;
        for value in [open, high, low, close, volume] {
            write_number(&mut text, *value)?;
        }
        text.push(b'\n');
        if text.len() >= FLUSH_AT {
            writer.write_all(&text)?;
            text.clear();
        }
    }
    writer.write_all(&text)?;
    writer.flush()
}

/// `timestamp`, unless a reader would take these milliseconds for seconds.
fn time_column(times: &[Timestamp]) -> &'static str {
    let largest = |time: &&Timestamp| time.as_millis().unsigned_abs();
    let resolution = |time: &Timestamp| TimeResolution::of_magnitude(time.as_millis());
    match times.iter().max_by_key(largest).map(resolution) {
        None | Some(TimeResolution::Milliseconds)
            if times.iter().all(|t| resolution(t) == TimeResolution::Milliseconds) =>
        {
            "timestamp"
        }
        _ => "timestamp_ms",
    }
}

fn write_number(text: &mut Vec<u8>, value: f64) -> io::Result<()> {
    // Both forms are the shortest that read back; the exponent keeps extremes short.
    match value.abs() {
        0.0 | 1e-7..1e16 => write!(text, ",{value}"),
        _ => write!(text, ",{value:e}"),
    }
}
