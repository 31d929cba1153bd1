use std::io::{self, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use forecastle_core::Error;
use forecastle_market_data::{
    FileSource, ReadOptions, Simulator, SimulatorParams, read_candles, read_csv, read_csv_from,
    write_csv_gz_to,
};
use proptest::prelude::*;

use crate::read;

const HEADER: &str = "timestamp,open,high,low,close,volume\n";
const ROW: &str = "1704067200000,1,2,0.5,1.5,10\n";

/// The message of the error that these bytes give.
fn refusal(bytes: &[u8]) -> String {
    let error = read_csv_from(bytes, "test.csv", &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Record { .. }), "{error:?}");
    error.to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn text_that_is_no_number_is_refused_with_row_and_field() {
    let text = format!("{HEADER}{ROW}1704070800000,1,2,0.5,one,10\n");
    assert_eq!(refusal(text.as_bytes()), "test.csv, row 3: close \"one\" is not a number");
    let text = format!("{ROW}\n\n1704070800000,1,2,\"0,5\",1,10\n");
    assert_eq!(refusal(text.as_bytes()), "test.csv, row 4: low \"0,5\" is not a number");
    let text = format!("{ROW}yesterday,1,2,0.5,1,10\n");
    assert_eq!(
        refusal(text.as_bytes()),
        "test.csv, row 2: time \"yesterday\" is not a whole number"
    );
    let text = format!("{HEADER}01/02/2024,1,2,0.5,1,10\n");
    assert_eq!(
        refusal(text.as_bytes()),
        "test.csv, row 2: time \"01/02/2024\" is not a time (RFC 3339 or Unix)"
    );
    let text = format!("{HEADER},1,2,0.5,1,10\n");
    assert_eq!(
        refusal(text.as_bytes()),
        "test.csv, row 2: time \"\" is not a time (RFC 3339 or Unix)"
    );
}

#[test]
fn another_number_of_fields_is_refused() {
    let text = format!("{HEADER}{ROW}1704070800000,1,2\n");
    assert_eq!(refusal(text.as_bytes()), "test.csv, row 3: the row has 3 fields, the header has 6");
    let text = format!("{ROW}1704070800000,1,2,0.5,1,10,7\n");
    assert_eq!(
        refusal(text.as_bytes()),
        "test.csv, row 2: the row has 7 fields, the first row has 6"
    );
    let text = format!("{HEADER}{ROW}total: 1 row\n");
    assert_eq!(refusal(text.as_bytes()), "test.csv, row 3: the row has 1 fields, the header has 6");
}

#[test]
fn a_wrong_or_missing_header_is_refused() {
    assert_eq!(
        refusal(b"timestamp,open,high,low,price,volume\n1,2,3,4,5,6\n"),
        "test.csv, row 1: the header names no column `close`: timestamp, open, high, low, price, \
         volume"
    );
    assert_eq!(
        refusal(b"p,q,r,x,y,z\n1,2,3,4,5,6\n"),
        "test.csv, row 1: \"p,q,r,x,y,z\" is neither a header that names time, open, high, low \
         and close nor a row of these numbers"
    );
    assert_eq!(
        refusal(b"{\"open\": 1}"),
        "test.csv, row 1: \"{\\\"open\\\": 1}\" is neither a header that names time, open, high, \
         low and close nor a row of these numbers"
    );
}

#[test]
fn a_file_without_rows_is_refused() {
    assert_eq!(refusal(b""), "test.csv, row 1: the file holds no rows");
    assert_eq!(refusal(b"\n \r\n"), "test.csv, row 3: the file holds no rows");
    assert_eq!(refusal(HEADER.as_bytes()), "test.csv, row 2: the file holds a header and no rows");
    assert_eq!(refusal(&gzip(b"")), "test.csv, row 1: the file holds no rows");
}

#[test]
fn mixed_time_units_are_refused() {
    let text = format!("{HEADER}{ROW}1704070800,1,2,0.5,1.5,10\n");
    assert_eq!(
        refusal(text.as_bytes()),
        "test.csv, row 3: time 1704070800 looks like seconds, that of row 2 like milliseconds"
    );
}

#[test]
fn truncated_gzip_names_the_row_it_ends_in() {
    let simulator = Simulator::new(SimulatorParams { n: 2_000, ..Default::default() }).unwrap();
    let mut bytes = Vec::new();
    write_csv_gz_to(&mut bytes, &simulator.series().unwrap()).unwrap();
    let end = "the gzip data ends early: the file is cut off";
    let message = refusal(&bytes[..bytes.len() / 2]);
    assert!(message.ends_with(end), "{message}");
    let row: u64 = message["test.csv, row ".len()..].split(':').next().unwrap().parse().unwrap();
    assert!((800..1_200).contains(&row), "half of 2,000 rows, not row {row}");
    // Without the trailer's last byte all rows are there, and still the file is refused.
    assert_eq!(refusal(&bytes[..bytes.len() - 1]), format!("test.csv, row 2002: {end}"));
    assert_eq!(refusal(&bytes[..2]), format!("test.csv, row 1: {end}"));
}

#[test]
fn damaged_gzip_is_refused() {
    let mut bytes = gzip(format!("{HEADER}{ROW}").as_bytes());
    let checksum = bytes.len() - 6;
    bytes[checksum] ^= 0xff;
    let message = refusal(&bytes);
    assert!(message.starts_with("test.csv, row 3: the gzip data is damaged"), "{message}");
    let mut bytes = gzip(format!("{HEADER}{ROW}").as_bytes());
    bytes.extend_from_slice(b"and then something else");
    assert!(refusal(&bytes).contains("gzip"));
}

#[test]
fn several_gzip_members_are_one_file() {
    let mut bytes = gzip(HEADER.as_bytes());
    bytes.extend(gzip(ROW.as_bytes()));
    let loaded = read_csv_from(&bytes[..], "x", &ReadOptions::default()).unwrap();
    assert_eq!(loaded.series.len(), 1);
}

#[test]
fn binary_noise_and_invalid_text_are_refused() {
    assert_eq!(
        refusal(b"\x00\x01\x02\x03 noise"),
        "test.csv, row 1: byte 1 is 0x00: this is not text"
    );
    let mut text = format!("{HEADER}{ROW}").into_bytes();
    text.extend_from_slice(b"1704070800000,1,\xff\xfe,0.5,1.5,10\n");
    assert_eq!(refusal(&text), "test.csv, row 3: byte 17 is not UTF-8 text");
    // Also where the column is not read.
    let text = b"date,open,high,low,close,note\n2024-01-01,1,2,0.5,1.5,caf\xe9\n";
    assert_eq!(refusal(text), "test.csv, row 2: byte 27 is not UTF-8 text");
    read("date,open,high,low,close,note\n2024-01-01,1,2,0.5,1.5,café\n").unwrap();
}

#[test]
fn other_formats_are_named() {
    for (magic, name) in [
        (&b"PK\x03\x04...."[..], "a zip file"),
        (b"\xff\xfet\x00i\x00", "UTF-16 text"),
        (b"\x28\xb5\x2f\xfd....", "a Zstandard file"),
        (b"BZh91AY", "a bzip2 file"),
        (b"\xfd7zXZ\x00..", "an xz file"),
    ] {
        let expected = format!("test.csv, row 1: this is {name}, not CSV text, plain or gzip");
        assert_eq!(refusal(magic), expected);
    }
    assert_eq!(refusal(b"PAR1...."), "test.csv, row 1: this is a Parquet file, not CSV");
}

/// Counts what is read from it.
struct Counted<'a, R>(R, &'a mut u64);

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        *self.1 += read as u64;
        Ok(read)
    }
}

#[test]
fn a_line_of_two_gigabytes_fails_within_the_limit() {
    let expected = "test.csv, row 3: the line is longer than 65536 bytes";
    let start = format!("{HEADER}{ROW}");
    let endless = start.as_bytes().chain(io::repeat(b'1').take(2 << 30));
    let mut read = 0;
    let error = read_csv_from(Counted(endless, &mut read), "test.csv", &ReadOptions::default())
        .unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert!(read < 512 * 1024, "read {read} bytes of the line");

    let mut long = start.into_bytes();
    long.resize(64 << 20, b'1');
    let bytes = gzip(&long);
    let mut read = 0;
    let error = read_csv_from(Counted(&bytes[..], &mut read), "test.csv", &ReadOptions::default())
        .unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert!(read < bytes.len() as u64 / 4, "read {read} of {} bytes", bytes.len());
}

#[test]
fn more_rows_than_allowed_are_refused() {
    let options = ReadOptions { max_rows: 2, ..ReadOptions::default() };
    let two = "2024-01-01,1,2,0.5,1.5,10\n2024-01-02,1,2,0.5,1.5,10\n";
    assert_eq!(read_csv_from(two.as_bytes(), "x", &options).unwrap().series.len(), 2);
    let three = format!("{two}2024-01-03,1,2,0.5,1.5,10\n");
    let error = read_csv_from(three.as_bytes(), "x", &options).unwrap_err();
    assert_eq!(error.to_string(), "x, row 3: the file holds more than 2 rows");
}

#[test]
fn limits_outside_their_range_are_refused() {
    let options = ReadOptions { max_line_bytes: 1, ..ReadOptions::default() };
    let error = read_csv_from(ROW.as_bytes(), "x", &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameter `max_line_bytes` must be between 64 and 1073741824, got 1"
    );
    let options = ReadOptions { max_rows: 0, ..ReadOptions::default() };
    assert!(read_csv_from(ROW.as_bytes(), "x", &options).unwrap_err().is_invalid_input());
}

#[test]
fn steps_shorter_than_a_second_are_refused() {
    let text = "1704067200000,1,2,0.5,1.5,10\n1704067200500,1,2,0.5,1.5,10\n";
    assert_eq!(
        refusal(text.as_bytes()),
        "test.csv, row 1: the most frequent step between times is 500 ms, which is no timeframe \
         of whole seconds; give the timeframe"
    );
}

#[test]
fn a_file_that_cannot_be_opened_is_named_with_the_reason() {
    let missing = Path::new("no/such/file.csv");
    let errors = [
        read_csv(missing, &ReadOptions::default()).unwrap_err(),
        read_candles(missing, &ReadOptions::default()).unwrap_err(),
        FileSource::open(missing, &ReadOptions::default()).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.to_string(), "opening candles failed");
        let file = std::error::Error::source(&error).unwrap();
        assert_eq!(file.to_string(), missing.display().to_string());
        let source = file.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.kind(), io::ErrorKind::NotFound);
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(read_candles(folder.path(), &ReadOptions::default()).is_err());
}

/// Bytes that look like a file until they do not.
fn nearly_a_file() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(HEADER.as_bytes().to_vec()),
        Just(ROW.as_bytes().to_vec()),
        "[0-9]{1,20}".prop_map(String::into_bytes),
        r"-?[0-9]{0,9}\.?[0-9]{0,9}(e-?[0-9]{1,4})?".prop_map(String::into_bytes),
        "(nan|inf|null|2024-0[0-9]-[0-9]{2}|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)"
            .prop_map(String::into_bytes),
        "(date|time|timestamp_ms|unix|open|o|High|LOW|close|vol|volume btc|symbol)"
            .prop_map(String::into_bytes),
        "[,;\t\"\r\n ]{1,4}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A reader may refuse anything, but what it gives must be a valid series.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let options = ReadOptions { max_line_bytes: 256, max_rows: 1_000, ..ReadOptions::default() };
    match read_csv_from(bytes, "test.csv", &options) {
        Ok(loaded) => {
            let report = loaded.report;
            prop_assert_eq!(report.rows_out, loaded.series.len());
            prop_assert_eq!(report.rows_in, report.rows_out + report.dropped + report.duplicates);
            prop_assert!(loaded.series.view().open_time().is_sorted_by(|a, b| a < b));
        }
        Err(error) => prop_assert!(matches!(error, Error::Record { row: 1.., .. }), "{:?}", error),
    }
    Ok(())
}

/// Cases in the long run, e.g. `FORECASTLE_FUZZ_CASES=1000000`.
fn cases() -> u32 {
    let cases = std::env::var("FORECASTLE_FUZZ_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(5_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn prop_bytes_that_resemble_a_file_never_panic(bytes in nearly_a_file()) {
        check(&bytes)?;
    }

    #[test]
    fn prop_arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&bytes)?;
    }

    #[test]
    fn prop_damaged_gzip_never_panics(
        bytes in nearly_a_file(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()
    ) {
        let mut bytes = gzip(&bytes);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        check(&bytes)?;
    }
}
