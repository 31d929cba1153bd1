use std::fs;

use forecastle_market_data::{
    FileFormat, ReadOptions, TimeEncoding, TimeResolution, read_candles, read_csv_from, write_csv,
    write_csv_gz_to, write_csv_to,
};
use proptest::prelude::*;

use crate::{any_series, options_of};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn prop_csv_gives_back_every_bit(series in any_series()) {
        let mut text = Vec::new();
        write_csv_to(&mut text, &series).unwrap();
        let loaded = read_csv_from(&text[..], "x", &options_of(&series)).unwrap();
        prop_assert_eq!(loaded.info.time, TimeEncoding::Number(TimeResolution::Milliseconds));
        prop_assert!(!loaded.report.is_repaired());
        prop_assert_eq!(loaded.series, series);
    }

    #[test]
    fn prop_gzip_gives_back_every_bit(series in any_series()) {
        let mut bytes = Vec::new();
        write_csv_gz_to(&mut bytes, &series).unwrap();
        let loaded = read_csv_from(&bytes[..], "x", &options_of(&series)).unwrap();
        prop_assert_eq!(loaded.info.format, FileFormat::CsvGzip);
        prop_assert_eq!(loaded.series, series);
    }

    #[test]
    fn prop_shuffled_and_repeated_rows_give_the_same_series(
        (series, order) in any_series().prop_flat_map(|series| {
            let order: Vec<usize> = (0..series.len()).chain(0..series.len().min(5)).collect();
            (Just(series), Just(order).prop_shuffle())
        })
    ) {
        let mut text = Vec::new();
        write_csv_to(&mut text, &series).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut shuffled = format!("{}\n", lines[0]);
        for row in &order {
            shuffled.push_str(lines[row + 1]);
            shuffled.push('\n');
        }
        let loaded = read_csv_from(shuffled.as_bytes(), "x", &options_of(&series)).unwrap();
        prop_assert_eq!(loaded.report.duplicates, order.len() - series.len());
        prop_assert_eq!(loaded.series, series);
    }
}

#[test]
fn files_are_told_apart_by_content_and_written_by_name() {
    let series = crate::simulator::series(500);
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("BTC.csv");
    let gzip = folder.path().join("BTC.csv.gz");
    write_csv(&plain, &series).unwrap();
    write_csv(&gzip, &series).unwrap();
    assert!(fs::read(&plain).unwrap().starts_with(b"timestamp,open,high,low,close,volume\n"));
    assert!(fs::read(&gzip).unwrap().starts_with(&[0x1f, 0x8b]));
    let misnamed = folder.path().join("BTC.txt");
    fs::copy(&gzip, &misnamed).unwrap();
    for (path, format) in
        [(&plain, FileFormat::Csv), (&gzip, FileFormat::CsvGzip), (&misnamed, FileFormat::CsvGzip)]
    {
        let loaded = read_candles(path, &ReadOptions::default()).unwrap();
        assert_eq!(loaded.info.format, format);
        assert_eq!(loaded.series.symbol().to_string(), "BTC");
        assert_eq!(loaded.series.timeframe(), series.timeframe());
        assert_eq!(loaded.series.view().close(), series.view().close());
        assert_eq!(loaded.series.view().volume(), series.view().volume());
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let error = write_csv("no/such/folder/x.csv", &crate::simulator::series(1)).unwrap_err();
    assert_eq!(error.to_string(), "writing candles failed");
}
