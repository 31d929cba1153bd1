use std::fmt::Write;
use std::path::Path;

use forecastle_market_data::{ReadOptions, read_csv_from};
use serde_json::Value;

/// The input rows of a case as a CSV file, null as an empty field.
fn csv(rows: &[Value]) -> String {
    let mut text = String::from("timestamp,open,high,low,close,volume\n");
    for row in rows {
        for (i, value) in row.as_array().unwrap().iter().enumerate() {
            let separator = if i == 0 { "" } else { "," };
            let number = value.as_f64().map_or_else(String::new, |v| v.to_string());
            write!(text, "{separator}{number}").unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn degenerate_input_loads_case_by_case() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/degenerate.json"));
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: {} belongs to the repository, not to the crate", path.display());
        return;
    };
    let cases: Value = serde_json::from_str(&text).unwrap();
    let cases = cases.as_object().unwrap();
    assert_eq!(cases.len(), 11);
    for (name, case) in cases {
        let rows_in = case["rows_in"].as_u64().unwrap() as usize;
        let rows_clean = case["rows_clean"].as_u64().unwrap() as usize;
        let text = csv(case["input"].as_array().unwrap());
        let loaded = read_csv_from(text.as_bytes(), name, &ReadOptions::default());
        if rows_in == 0 {
            let message = loaded.unwrap_err().to_string();
            assert_eq!(message, "empty, row 2: the file holds a header and no rows");
            continue;
        }
        let loaded = loaded.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((loaded.report.rows_in, loaded.series.len()), (rows_in, rows_clean), "{name}");
        assert_eq!(loaded.series.timeframe().to_string(), "1h", "{name}");
        let last = loaded.series.view().candle(rows_clean - 1).unwrap();
        assert_eq!(
            last.open_time().as_millis(),
            case["last"]["timestamp"].as_i64().unwrap(),
            "{name}"
        );
        assert_eq!(Some(last.close()), case["last"]["close"].as_f64(), "{name}");
    }
    let report = |name: &str| {
        let text = csv(cases[name]["input"].as_array().unwrap());
        read_csv_from(text.as_bytes(), name, &ReadOptions::default()).unwrap().report
    };
    assert_eq!(report("unsorted_dup").duplicates, 1);
    assert!(report("unsorted_dup").out_of_order > 0);
    assert_eq!((report("nan_bad").dropped, report("nan_bad").volume_repaired), (3, 2));
    assert!(report("gap").gaps > 0);
}
