//! Models of `tests/data/make_xgboost_models.py`, for more than one test binary.
#![allow(dead_code, reason = "each binary uses its part")]

use std::io::Read;

use forecastle_models_tree::Boosting;
use ndarray::{Array1, Array2};
use serde_json::Value;

/// Every model but those of other versions.
pub(crate) const NAMES: [&str; 11] = [
    "plain",
    "missing",
    "leafwise",
    "early",
    "absolute",
    "quantile",
    "huber",
    "forest",
    "pruned",
    "deep",
    "stump_free",
];

/// Models of XGBoost 2.0, 2.1 and 3.4.
pub(crate) const OTHER_VERSIONS: [&str; 6] =
    ["early_2_0", "quantile_2_0", "early_2_1", "quantile_2_1", "early_3_4", "quantile_3_4"];

/// A model with what XGBoost says of some rows.
pub(crate) struct Fixture {
    pub(crate) json: Vec<u8>,
    pub(crate) model: Boosting,
    /// In single precision, NaN for missing.
    pub(crate) records: Array2<f64>,
    pub(crate) predictions: Array1<f64>,
    /// The expected value last.
    pub(crate) contributions: Array2<f64>,
}

pub(crate) fn load(name: &str) -> Fixture {
    let json = unpack(&format!("{name}.json.gz"));
    let told: Value = serde_json::from_slice(&unpack(&format!("{name}.rows.json.gz"))).unwrap();
    let model = Boosting::from_xgboost_json(&json, None).unwrap();
    Fixture {
        json,
        model,
        records: table(&told["records"]),
        predictions: numbers(&told["predictions"]).into(),
        contributions: table(&told["contributions"]),
    }
}

fn unpack(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/xgboost/");
    let packed = std::fs::File::open(format!("{folder}{name}")).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Numbers of single precision, null for NaN.
pub(crate) fn numbers(list: &Value) -> Vec<f64> {
    let single = |v: &Value| f64::from(v.as_f64().map_or(f32::NAN, |v| v as f32));
    list.as_array().unwrap().iter().map(single).collect()
}

pub(crate) fn table(rows: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = rows.as_array().unwrap().iter().map(numbers).collect();
    let width = rows[0].len();
    Array2::from_shape_vec((rows.len(), width), rows.concat()).unwrap()
}

/// The largest difference, as a share of the numbers' size where that is above 1.
pub(crate) fn distance<'a>(
    a: impl IntoIterator<Item = &'a f64>,
    b: impl IntoIterator<Item = &'a f64>,
) -> f64 {
    a.into_iter().zip(b).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max)
}
