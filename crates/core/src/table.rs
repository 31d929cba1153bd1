use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayRef1, ArrayRef2, ArrayView1, ShapeBuilder, s};

use crate::{Error, Result, Timestamp};

/// Holds named columns over consecutive candles: `(n_bars, n_features)`, column-major.
///
/// NaN means "not ready yet" (or, for models that say so, "missing").
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureTable {
    names: Arc<[String]>,
    open_time: Vec<Timestamp>,
    values: Array2<f64>,
}

impl FeatureTable {
    /// Makes a table.
    ///
    /// - `values`: `(open_time.len(), names.len())`
    ///
    /// # Errors
    /// - [`Error::Shape`] when the shapes do not fit.
    /// - [`Error::InvalidParameter`] when a name occurs twice.
    pub fn new(names: &[String], open_time: &[Timestamp], values: Array2<f64>) -> Result<Self> {
        let expected = (open_time.len(), names.len());
        if values.dim() != expected {
            let actual = format!("{:?}", values.dim());
            return Err(Error::shape("values", format!("shape {expected:?}"), actual));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(Error::invalid_parameter("names", "distinct", twice));
        }
        Ok(Self { names: names.into(), open_time: open_time.to_vec(), values })
    }

    /// Makes a table of NaN.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a name occurs twice.
    pub fn filled_nan(names: &[String], open_time: &[Timestamp]) -> Result<Self> {
        let shape = (open_time.len(), names.len());
        Self::new(names, open_time, Array2::from_elem(shape.f(), f64::NAN))
    }

    /// The column names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The rows' open times.
    pub fn open_time(&self) -> &[Timestamp] {
        &self.open_time
    }

    /// The numbers, `(n_bars, n_features)`.
    pub fn values(&self) -> &ArrayRef2<f64> {
        &self.values
    }

    /// The numbers, to write to.
    pub fn values_mut(&mut self) -> &mut ArrayRef2<f64> {
        &mut self.values
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.values.nrows()
    }

    /// Number of columns.
    pub fn n_features(&self) -> usize {
        self.values.ncols()
    }

    /// A column by name.
    pub fn column(&self, name: &str) -> Option<ArrayView1<'_, f64>> {
        let index = self.names.iter().position(|n| n == name)?;
        Some(self.values.column(index))
    }

    /// The first row in which every column is finite, or `n_rows()` when there is none.
    pub fn first_ready_row(&self) -> usize {
        let ready = |row: ArrayView1<'_, f64>| row.iter().all(|v| v.is_finite());
        self.values.rows().into_iter().position(ready).unwrap_or(self.n_rows())
    }

    /// The given rows as a table of its own; a range that reaches outside is cut to the table.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        let end = rows.end.min(self.n_rows());
        let start = rows.start.min(end);
        let mut values = Array2::zeros((end - start, self.n_features()).f());
        values.assign(&self.values.slice(s![start..end, ..]));
        Self {
            names: Arc::clone(&self.names),
            open_time: self.open_time[start..end].to_vec(),
            values,
        }
    }

    /// This table with further columns on the right.
    ///
    /// # Errors
    /// - [`Error::Shape`] when a column has another length.
    /// - [`Error::InvalidParameter`] when a name occurs twice.
    pub fn with_columns(&self, columns: &[(String, &ArrayRef1<f64>)]) -> Result<Self> {
        let mut names = self.names.to_vec();
        let width = self.n_features();
        let mut values = Array2::zeros((self.n_rows(), width + columns.len()).f());
        values.slice_mut(s![.., ..width]).assign(&self.values);
        for (i, (name, column)) in columns.iter().enumerate() {
            if column.len() != self.n_rows() {
                let expected = format!("{} rows", self.n_rows());
                return Err(Error::shape("column", expected, column.len().to_string()));
            }
            names.push(name.clone());
            values.column_mut(width + i).assign(column);
        }
        Self::new(&names, &self.open_time, values)
    }
}

/// Compares feature names and their order.
///
/// # Errors
/// - [`Error::FeatureMismatch`] with the first position that differs.
pub fn check_feature_names(expected: &[String], actual: &[String]) -> Result<()> {
    let longest = expected.len().max(actual.len());
    match (0..longest).find(|&i| expected.get(i) != actual.get(i)) {
        None => Ok(()),
        Some(index) => Err(Error::FeatureMismatch {
            index,
            expected: expected.get(index).cloned(),
            actual: actual.get(index).cloned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&n| n.to_owned()).collect()
    }

    fn times(n: i64) -> Vec<Timestamp> {
        (0..n).map(Timestamp::from_millis).collect()
    }

    #[test]
    fn shapes_and_duplicate_names_are_refused() {
        let values = array![[1.0, 2.0], [3.0, 4.0]];
        assert!(FeatureTable::new(&names(&["a"]), &times(2), values.clone()).is_err());
        assert!(FeatureTable::new(&names(&["a", "a"]), &times(2), values.clone()).is_err());
        let table = FeatureTable::new(&names(&["a", "b"]), &times(2), values).unwrap();
        assert_eq!(table.column("b").unwrap().to_vec(), [2.0, 4.0]);
        let c = array![5.0, 6.0];
        let wider = table.with_columns(&[("c".to_owned(), &c)]).unwrap();
        assert_eq!(wider.slice(1..9).values(), &array![[3.0, 4.0, 6.0]]);
        assert!(table.with_columns(&[("a".to_owned(), &c)]).is_err());
    }

    #[test]
    fn a_mismatch_names_the_first_difference() {
        let error = check_feature_names(&names(&["a", "b"]), &names(&["a"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "feature 1 is None, the model was fitted with Some(\"b\") there"
        );
    }
}
