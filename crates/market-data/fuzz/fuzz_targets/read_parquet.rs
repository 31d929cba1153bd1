//! Bytes as Parquet: refused with a row, or a valid series.
#![no_main]

use forecastle_core::Error;
use forecastle_market_data::{ReadOptions, read_parquet_bytes};
use libfuzzer_sys::fuzz_target;

// The decoder's own panics are caught by the reader; libFuzzer's hook would abort before that.
fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |bytes: &[u8]| {
    let options = ReadOptions { max_rows: 10_000, ..ReadOptions::default() };
    match read_parquet_bytes(bytes.to_vec(), "fuzz", &options) {
        Ok(loaded) => assert!(loaded.series.view().open_time().is_sorted_by(|a, b| a < b)),
        Err(Error::Record { row, .. }) => assert!(row > 0),
        Err(error) => panic!("no row: {error:?}"),
    }
});
