//! Reads the tests' tables.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

/// Holds a table of numbers and texts.
pub(crate) struct Csv {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Csv {
    /// Reads a file beside the crate's manifest; `None`, with a note, where there is none.
    pub(crate) fn open(path: &str) -> Option<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let Ok(mut file) = File::open(&path) else {
            eprintln!("skipped: {} is not here", path.display());
            return None;
        };
        let mut text = String::new();
        if path.extension().is_some_and(|e| e == "gz") {
            GzDecoder::new(file).read_to_string(&mut text).unwrap();
        } else {
            file.read_to_string(&mut text).unwrap();
        }
        let mut lines = text.lines();
        let header = split(lines.next().unwrap());
        let rows = lines.map(split).collect();
        Some(Self { header, rows })
    }

    /// A column as numbers, empty cells as NaN.
    pub(crate) fn column(&self, name: &str) -> Vec<f64> {
        let index = self.header.iter().position(|h| h == name).unwrap();
        let number = |cell: &String| match cell.as_str() {
            "" => f64::NAN,
            text => text.parse().unwrap(),
        };
        self.rows.iter().map(|row| number(&row[index])).collect()
    }
}

/// Splits a line at its commas, but for those between quotation marks.
fn split(line: &str) -> Vec<String> {
    let mut quoted = false;
    let comma = |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    line.split(comma).map(str::to_owned).collect()
}

/// The largest absolute difference.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let largest = |worst: f64, (x, y): (&f64, &f64)| {
        assert!(x.is_finite() && y.is_finite());
        worst.max((x - y).abs())
    };
    a.iter().zip(b).fold(0.0, largest)
}
