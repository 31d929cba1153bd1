use forecastle_core::Timestamp;
use forecastle_market_data::{
    ColumnLayout, FileFormat, Provenance, ReadOptions, TimeEncoding, TimeResolution, read_csv_from,
};

use crate::read;

const FIRST: i64 = 1_704_067_200_000;

fn times(text: &str) -> Vec<i64> {
    let loaded = read(text).unwrap();
    loaded.series.view().open_time().iter().map(|t| t.as_millis()).collect()
}

#[test]
fn every_spelling_of_time_gives_the_same_instants() {
    let expected = [FIRST, FIRST + 3_600_000];
    for (first, second) in [
        ("1704067200", "1704070800"),
        ("1704067200.0", "1704070800.0"),
        ("1704067200000", "1704070800000"),
        ("1704067200000000", "1704070800000000"),
        ("1704067200000000000", "1704070800000000000"),
        ("2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z"),
        ("2024-01-01 00:00:00", "2024-01-01 01:00:00"),
        ("2024-01-01T02:00:00+02:00", "2024-01-01T03:00:00+02:00"),
        ("\"2024.01.01 00:00\"", "2024.01.01 01:00"),
    ] {
        let text = format!("{first},1,2,0.5,1.5,10\n{second},1,2,0.5,1.5,10\n");
        assert_eq!(times(&text), expected, "{first}");
        let text = format!(
            "volume;close;low;high;open;date\r\n10;1.5;0.5;2;1;{first}\r\n10;1.5;0.5;2;1;{second}\r\n"
        );
        assert_eq!(times(&text), expected, "{first}");
    }
    let days = [FIRST, FIRST + 86_400_000];
    assert_eq!(times("20240101,1,2,0.5,1.5,10\n20240102,1,2,0.5,1.5,10\n"), days);
}

#[test]
fn date_and_time_in_two_columns_are_one_time() {
    let expected = [FIRST, FIRST + 60_000];
    let text = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<VOL>\n\
                2024.01.01\t00:00:00\t1\t2\t0.5\t1.5\t1\n2024.01.01\t00:01:00\t1\t2\t0.5\t1.5\t1\n";
    assert_eq!(times(text), expected);
    let text =
        "date,time,open,high,low,close\n20240101,00:00,1,2,0.5,1.5\n20240101,00:01,1,2,0.5,1.5\n";
    assert_eq!(times(text), expected);
    let text = "date,time,open,high,low,close\n01/01/24,1704067200,1,2,0.5,1.5\n01/01/24,1704067260,1,2,0.5,1.5\n";
    assert_eq!(times(text), expected);
    let text = "date,time,open,high,low,close\n2024-01-01,0130,1,2,0.5,1.5\n";
    assert_eq!(
        read(text).unwrap_err().to_string(),
        "test.csv, row 2: time \"0130\" is neither HH:MM:SS nor a whole time"
    );
}

#[test]
fn a_byte_order_mark_blank_lines_and_quotes_are_no_obstacle() {
    let text = "\u{feff}\r\n\"Open Time\", Open ,High,Low,Close,\"Volume\"\r\n\r\n\
                \"2024-01-01\",\"1\", 2 ,0.5,1.5,10\r\n   \r\n2024-01-02,1,2,0.5,1.5,10";
    let loaded = read(text).unwrap();
    assert_eq!(loaded.series.len(), 2);
    assert_eq!(loaded.series.timeframe().to_string(), "1d");
}

#[test]
fn the_info_says_how_the_file_was_understood() {
    let loaded = read("t;o;h;l;c\n1704067200;1;2;0.5;1.5\n1704067500;1;2;0.5;1.5\n").unwrap();
    assert_eq!(loaded.series.view().volume(), [0.0, 0.0]);
    let info = loaded.info;
    assert_eq!((info.format, info.layout), (FileFormat::Csv, ColumnLayout::Named));
    assert_eq!(info.delimiter, Some(';'));
    assert_eq!(info.time, TimeEncoding::Number(TimeResolution::Seconds));
    assert_eq!((info.symbol, info.timeframe), (Provenance::FileName, Provenance::Inferred));
    assert_eq!(
        info.to_string(),
        "CSV, named columns, times in seconds, timeframe from the most frequent step, no volume \
         column: every volume is 0"
    );
    assert_eq!(loaded.series.timeframe().to_string(), "5m");
    assert_eq!(loaded.series.symbol().to_string(), "test");
}

#[test]
fn a_symbol_column_names_the_market_and_must_not_change() {
    let text = "date,symbol,open,high,low,close\n2024-01-01,BTC/USDT,1,2,0.5,1.5\n";
    let loaded = read(text).unwrap();
    assert_eq!(loaded.series.symbol().to_string(), "BTC/USDT");
    assert_eq!(loaded.info.symbol, Provenance::File);
    let mixed = format!("{text}2024-01-01,ETH/USDT,1,2,0.5,1.5\n");
    assert_eq!(
        read(&mixed).unwrap_err().to_string(),
        "test.csv, row 3: symbol \"ETH/USDT\" after \"BTC/USDT\": a file holds one market"
    );
}

#[test]
fn one_row_is_taken_as_an_hour_and_says_so() {
    let loaded = read("2024-01-01,1,2,0.5,1.5,10").unwrap();
    assert_eq!(loaded.series.timeframe().to_string(), "1h");
    assert_eq!(loaded.info.timeframe, Provenance::Assumed);
    assert_eq!(loaded.info.layout, ColumnLayout::Positional);
}

#[test]
fn monthly_rows_are_calendar_months() {
    let rows: String = (1..=12).map(|m| format!("2023-{m:02}-01,1,2,0.5,1.5,10\n")).collect();
    let loaded = read(&rows).unwrap();
    assert_eq!(loaded.series.timeframe().to_string(), "1M");
    assert_eq!(loaded.report.gaps, 0);
}

#[test]
fn missing_and_impossible_numbers_are_repaired_and_counted() {
    let text = "time,open,high,low,close,volume\n\
                2024-01-01,1,2,0.5,1.5,nan\n\
                2024-01-02,1,2,0.5,,10\n\
                2024-01-03,1,2,0.5,null,10\n\
                2024-01-04,1,2,0.5,inf,10\n\
                2024-01-05,1,0.5,2,1.5,10\n\
                2024-01-06,-1,2,0.5,1.5,10\n\
                2024-01-07,1,2,0.5,1.5,-3\n\
                2024-01-07,1,2,0.5,1.6,4\n";
    let loaded = read(text).unwrap();
    let report = loaded.report;
    assert_eq!((report.rows_in, report.rows_out), (8, 2));
    assert_eq!((report.dropped, report.duplicates, report.volume_repaired), (5, 1, 2));
    assert_eq!(loaded.series.view().close(), [1.5, 1.6]);
}

#[test]
fn options_overrule_the_file() {
    let text =
        "timestamp,open,high,low,close\n0,1,2,0.5,1.5\n60000,1,2,0.5,1.5\n120000,1,2,0.5,1.5\n";
    assert_eq!(read(text).unwrap().series.timeframe().to_string(), "1000m");
    let options = ReadOptions {
        symbol: Some("A/B".parse().unwrap()),
        now: Some(Timestamp::from_millis(179_999)),
        time_resolution: Some(TimeResolution::Milliseconds),
        ..ReadOptions::default()
    };
    let loaded = read_csv_from(text.as_bytes(), "x", &options).unwrap();
    assert_eq!(loaded.series.timeframe().to_string(), "1m");
    assert_eq!(loaded.series.symbol().to_string(), "A/B");
    assert_eq!((loaded.series.len(), loaded.report.unclosed), (2, 1));
}
