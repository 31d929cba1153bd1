use std::fs::File;
use std::path::Path;

use forecastle_core::Result;

use crate::failure::io_failure;
use crate::signature::{Signature, read_signature};
use crate::{LoadedCandles, ReadOptions};

/// Reads candles from a file, whatever its format: CSV, CSV in gzip, or Parquet.
///
/// The first bytes decide, not the name. Parquet needs the feature `parquet`. See
/// [`read_csv`](crate::read_csv) for what is understood, repaired and refused.
///
/// # Errors
/// Those of [`read_csv`](crate::read_csv) and `read_parquet`.
///
/// # Examples
/// ```
/// use forecastle_market_data::{ReadOptions, Simulator, SimulatorParams, read_candles, write_csv};
///
/// let simulated = Simulator::new(SimulatorParams { n: 100, ..Default::default() })?.series()?;
/// let path = std::env::temp_dir().join("forecastle-read-candles-example.csv.gz");
/// write_csv(&path, &simulated)?;
/// let loaded = read_candles(&path, &ReadOptions::default())?;
/// assert_eq!(loaded.series.view().close(), simulated.view().close());
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn read_candles(path: impl AsRef<Path>, options: &ReadOptions) -> Result<LoadedCandles> {
    let path = path.as_ref();
    let origin = path.display().to_string();
    let mut file = File::open(path).map_err(|e| io_failure("opening candles", &origin, e))?;
    let failed = |e| io_failure("reading candles", &origin, e);
    let (signature, head) = read_signature(&mut file).map_err(failed)?;
    if signature == Signature::Parquet {
        return read_parquet_file(path, &origin, options);
    }
    // The bytes already read go first, so that a pipe works too.
    let bytes = std::io::Read::chain(std::io::Cursor::new(head), file);
    crate::read_csv_from(bytes, &origin, options)
}

#[cfg(feature = "parquet")]
fn read_parquet_file(path: &Path, _: &str, options: &ReadOptions) -> Result<LoadedCandles> {
    crate::read_parquet(path, options)
}

#[cfg(not(feature = "parquet"))]
fn read_parquet_file(_: &Path, origin: &str, _: &ReadOptions) -> Result<LoadedCandles> {
    let reason = "this is a Parquet file, which this build cannot read: switch on the feature \
                  `parquet`";
    Err(crate::failure::record(origin, 1, reason))
}
