use std::sync::Arc;

use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
    UInt32Array,
};
use forecastle_core::Error;
use forecastle_market_data::{
    FileFormat, Provenance, ReadOptions, TimeEncoding, TimeResolution, read_candles, read_csv,
    read_parquet, read_parquet_bytes, write_parquet, write_parquet_to,
};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use crate::any_series;

fn bytes_of(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn prices() -> Vec<(&'static str, ArrayRef)> {
    let column = |v: [f64; 2]| Arc::new(Float64Array::from(v.to_vec())) as ArrayRef;
    vec![
        ("open", column([1.0, 1.0])),
        ("high", column([2.0, 2.0])),
        ("low", column([0.5, 0.5])),
        ("close", column([1.5, 1.25])),
    ]
}

fn with_time(time: ArrayRef) -> Vec<u8> {
    let mut columns = vec![("open_time", time)];
    columns.extend(prices());
    bytes_of(columns)
}

fn read(bytes: Vec<u8>) -> forecastle_core::Result<forecastle_market_data::LoadedCandles> {
    read_parquet_bytes(bytes, "test.parquet", &ReadOptions::default())
}

fn refusal(bytes: Vec<u8>) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn a_file_is_told_by_content_and_carries_its_market() {
    let series = crate::simulator::series(100_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("candles.bin");
    write_parquet(&path, &series).unwrap();
    for loaded in
        [read_candles(&path, &ReadOptions::default()), read_parquet(&path, &ReadOptions::default())]
    {
        let loaded = loaded.unwrap();
        assert_eq!(loaded.series, series);
        assert_eq!(loaded.info.format, FileFormat::Parquet);
        assert_eq!(
            (loaded.info.symbol, loaded.info.timeframe),
            (Provenance::File, Provenance::File)
        );
        assert_eq!(loaded.info.time, TimeEncoding::Number(TimeResolution::Milliseconds));
    }
    let error = read_csv(&path, &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.ends_with("row 1: this is a Parquet file, not CSV"), "{error}");
    let few = ReadOptions { max_rows: 99_999, ..ReadOptions::default() };
    let error = read_parquet(&path, &few).unwrap_err().to_string();
    assert!(error.ends_with("row 100000: the file holds more than 99999 rows"), "{error}");
}

#[test]
fn every_type_of_time_is_read() {
    let expected = [1_704_067_200_000, 1_704_153_600_000_i64];
    let scaled = |by: i64| expected.map(|t| t * by).to_vec();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(expected.map(|t| t / 1_000).to_vec())),
        Arc::new(Int64Array::from(expected.to_vec())),
        Arc::new(Int64Array::from(scaled(1_000_000))),
        Arc::new(UInt32Array::from(vec![1_704_067_200, 1_704_153_600])),
        Arc::new(TimestampSecondArray::from(expected.map(|t| t / 1_000).to_vec())),
        Arc::new(TimestampMicrosecondArray::from(scaled(1_000)).with_timezone("UTC")),
        Arc::new(TimestampNanosecondArray::from(scaled(1_000_000))),
        Arc::new(Date32Array::from(vec![19_723, 19_724])),
        Arc::new(StringArray::from(vec!["2024-01-01", "2024-01-02T00:00:00Z"])),
    ];
    for column in columns {
        let kind = column.data_type().clone();
        let loaded = read(with_time(column)).unwrap_or_else(|e| panic!("{kind}: {e}"));
        let times: Vec<i64> =
            loaded.series.view().open_time().iter().map(|t| t.as_millis()).collect();
        assert_eq!(times, expected, "{kind}");
        assert_eq!(loaded.series.timeframe().to_string(), "1d");
        assert!(!loaded.info.has_volume);
    }
}

#[test]
fn prices_may_be_narrow_whole_decimal_or_missing() {
    let decimal = Decimal128Array::from(vec![Some(20_001), Some(30_001)]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("Volume", Arc::new(Int64Array::from(vec![Some(7), None]))),
        ("Close", Arc::new(Float64Array::from(vec![Some(1.5), Some(1.5)]))),
        ("Low", Arc::new(Float32Array::from(vec![0.5_f32, 0.5]))),
        ("High", Arc::new(decimal.with_precision_and_scale(12, 4).unwrap())),
        ("Open", Arc::new(UInt32Array::from(vec![1, 1]))),
        ("note", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("Date", Arc::new(Date32Array::from(vec![19_723, 19_724]))),
    ];
    let loaded = read(bytes_of(columns)).unwrap();
    assert_eq!(loaded.series.view().high(), [2.0001, 3.0001]);
    assert_eq!(loaded.series.view().volume(), [7.0, 0.0]);
    assert_eq!(loaded.report.volume_repaired, 1);
}

#[test]
fn wrong_columns_are_refused() {
    assert_eq!(
        refusal(bytes_of(prices())),
        "test.parquet, row 1: the header names no time column: open, high, low, close"
    );
    assert_eq!(
        refusal(with_time(Arc::new(Float64Array::from(vec![1.0, 2.0])))),
        "test.parquet, row 1: the time column holds Float64, not times"
    );
    assert_eq!(
        refusal(with_time(Arc::new(Int64Array::from(vec![Some(1_704_067_200), None])))),
        "test.parquet, row 2: the time is null"
    );
    assert_eq!(
        refusal(with_time(Arc::new(StringArray::from(vec!["2024-01-01", "tomorrow"])))),
        "test.parquet, row 2: time \"tomorrow\" is not RFC 3339"
    );
    let mut columns = prices();
    columns[1].1 = Arc::new(StringArray::from(vec!["2", "2"]));
    columns.push(("t", Arc::new(Int64Array::from(vec![1, 2]))));
    assert_eq!(
        refusal(bytes_of(columns)),
        "test.parquet, row 1: column `high` holds Utf8, not numbers"
    );
    let none: Vec<(&str, ArrayRef)> =
        prices().into_iter().map(|(n, a)| (n, a.slice(0, 0))).collect();
    let mut columns = vec![("t", Arc::new(Int64Array::from(Vec::<i64>::new())) as ArrayRef)];
    columns.extend(none);
    assert_eq!(refusal(bytes_of(columns)), "test.parquet, row 1: the file holds no rows");
}

#[test]
fn a_cut_off_file_is_refused() {
    let mut bytes = Vec::new();
    write_parquet_to(&mut bytes, &crate::simulator::series(1_000)).unwrap();
    for length in [0, 4, 8, bytes.len() / 2, bytes.len() - 1] {
        let message = refusal(bytes[..length].to_vec());
        assert!(message.contains("test.parquet, row 1: the Parquet data is damaged"), "{message}");
    }
}

fn cases() -> u32 {
    let cases = std::env::var("FORECASTLE_FUZZ_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(2_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn prop_parquet_gives_back_every_bit(series in any_series()) {
        let mut bytes = Vec::new();
        write_parquet_to(&mut bytes, &series).unwrap();
        prop_assert_eq!(read(bytes).unwrap().series, series);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn prop_damaged_parquet_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..8)
    ) {
        let mut bytes = Vec::new();
        write_parquet_to(&mut bytes, &crate::simulator::series(50)).unwrap();
        for (at, byte, in_footer) in damage {
            // Half of the damage goes to the footer, where most of the structure is.
            let start = if in_footer { bytes.len() - 900 } else { 0 };
            let at = start + at.index(bytes.len() - start);
            bytes[at] = byte;
        }
        match read(bytes) {
            Ok(loaded) => prop_assert!(!loaded.info.origin.is_empty()),
            Err(error) => prop_assert!(matches!(error, Error::Record { .. }), "{:?}", error),
        }
    }
}
