//! Reads `figures.json`, which `make_figures.py` writes; the versions of its tools stand there.

use ndarray::{Array1, Array2};
use serde_json::Value;

/// The figures of a test.
#[derive(Debug)]
pub(crate) struct Figures(Value);

#[allow(dead_code, reason = "every test reads its own part")]
impl Figures {
    pub(crate) fn read() -> Self {
        Self(serde_json::from_str(include_str!("figures.json")).unwrap())
    }

    /// The value at a path like `spa/0/plain_given`.
    pub(crate) fn at(&self, path: &str) -> &Value {
        self.0.pointer(&format!("/{path}")).unwrap()
    }

    pub(crate) fn number(&self, path: &str) -> f64 {
        self.at(path).as_f64().unwrap()
    }

    pub(crate) fn vector(&self, path: &str) -> Array1<f64> {
        serde_json::from_value::<Vec<f64>>(self.at(path).clone()).unwrap().into()
    }

    pub(crate) fn whole(&self, path: &str) -> Vec<usize> {
        serde_json::from_value(self.at(path).clone()).unwrap()
    }

    pub(crate) fn table(&self, path: &str) -> Array2<f64> {
        let rows: Vec<Vec<f64>> = serde_json::from_value(self.at(path).clone()).unwrap();
        Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
    }
}

/// Whether two numbers agree to a relative tolerance.
#[allow(dead_code, reason = "every test reads its own part")]
pub(crate) fn near(actual: f64, expected: f64, tolerance: f64) -> bool {
    (actual - expected).abs() <= tolerance * expected.abs().max(f64::MIN_POSITIVE)
}
