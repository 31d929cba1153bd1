use forecastle_core::{Error, Result};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};

use crate::NAIVE;

/// Holds the rows in which the actual return and every model's prediction are there, naive first.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{DmParams, Leaderboard, diebold_mariano};
/// use ndarray::array;
///
/// let mut board = Leaderboard::new(1, &array![0.1, -0.2, f64::NAN, 0.3])?;
/// board.add("a", &array![0.1, -0.1, 0.1, 0.1])?;
/// board.add("b", &array![0.0, -0.1, 0.1, 0.2])?;
/// let judged = board.judged()?;
/// assert_eq!(judged.rows(), [0, 1, 3]);
/// assert_eq!(judged.names(), ["naive", "a", "b"]);
/// let errors = judged.errors();
/// let test = diebold_mariano(&errors.column(1), &errors.column(2), &DmParams::default())?;
/// assert!(test.statistic > 0.0);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedRows {
    rows: Vec<usize>,
    names: Vec<String>,
    actual: Array1<f64>,
    predicted: Array2<f64>,
}

impl JudgedRows {
    pub(crate) fn new(actual: &Array1<f64>, models: &[(String, Array1<f64>)]) -> Result<Self> {
        let there = |t: &usize| {
            let known = |values: &Array1<f64>| values.get(*t).is_some_and(|v| !v.is_nan());
            known(actual) && models.iter().all(|(_, predicted)| known(predicted))
        };
        let rows: Vec<usize> = (0..actual.len()).filter(there).collect();
        if rows.is_empty() {
            return Err(Error::not_enough_data("leaderboard", 1, 0));
        }
        let mut names = vec![NAIVE.to_owned()];
        let mut predicted = Array2::zeros((rows.len(), models.len() + 1));
        for ((name, values), mut column) in
            models.iter().zip(predicted.columns_mut().into_iter().skip(1))
        {
            names.push(name.clone());
            column.assign(&values.select(Axis(0), &rows));
        }
        let actual = actual.select(Axis(0), &rows);
        Ok(Self { rows, names, actual, predicted })
    }

    /// The rows' numbers among those the leaderboard was given.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The names, naive first.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// `(n,)` actual log returns.
    pub fn actual(&self) -> &ArrayRef1<f64> {
        &self.actual
    }

    /// `(n, n_names)` predicted log returns; naive's are 0.
    pub fn predicted(&self) -> &ArrayRef2<f64> {
        &self.predicted
    }

    /// `(n, n_names)` errors, actual minus predicted.
    pub fn errors(&self) -> Array2<f64> {
        Array2::from_shape_fn(self.predicted.dim(), |(t, j)| {
            let at = |value: Option<&f64>| value.copied().unwrap_or_default();
            at(self.actual.get(t)) - at(self.predicted.get((t, j)))
        })
    }
}
