use forecastle_core::{Error, Result};
use ndarray::ArrayRef1;

/// Refuses a vector that is empty or holds a NaN or an infinity.
pub(crate) fn finite_vector(what: &'static str, values: &ArrayRef1<f64>) -> Result<()> {
    if values.is_empty() {
        return Err(Error::not_enough_data(what, 1, 0));
    }
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(row) => Err(Error::NonFinite { what, row, column: String::new() }),
    }
}

/// Refuses vectors of different length.
pub(crate) fn same_length(what: &'static str, values: &ArrayRef1<f64>, rows: usize) -> Result<()> {
    if values.len() == rows {
        Ok(())
    } else {
        Err(Error::shape(what, format!("{rows} rows"), values.len().to_string()))
    }
}

/// Refuses anything but two finite vectors of the same positive length.
pub(crate) fn pair(actual: &ArrayRef1<f64>, predicted: &ArrayRef1<f64>) -> Result<()> {
    same_length("predicted", predicted, actual.len())?;
    finite_vector("actual", actual)?;
    finite_vector("predicted", predicted)
}

/// Refuses a result that overflowed.
pub(crate) fn in_range(what: &'static str, value: f64) -> Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(Error::numerical(what, "the errors overflow")) }
}
