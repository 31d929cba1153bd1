//! Bytes as CSV, plain and gzip: refused with a row, or a valid series.
#![no_main]

use forecastle_core::Error;
use forecastle_market_data::{ReadOptions, read_csv_from};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let options = ReadOptions { max_rows: 10_000, max_line_bytes: 1_024, ..ReadOptions::default() };
    match read_csv_from(bytes, "fuzz", &options) {
        Ok(loaded) => {
            let report = loaded.report;
            assert_eq!(report.rows_in, report.rows_out + report.dropped + report.duplicates);
            assert!(loaded.series.view().open_time().is_sorted_by(|a, b| a < b));
        }
        Err(Error::Record { row, .. }) => assert!(row > 0),
        Err(error) => panic!("no row: {error:?}"),
    }
});
