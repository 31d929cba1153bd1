use ndarray::{Array2, ArrayRef2};
use serde::{Deserialize, Serialize};

use crate::{Dataset, Error, Result};

/// Centres and scales columns by the mean and standard deviation of the training rows.
///
/// The standard deviation is the population's (ddof 0) and 1 for a constant column, as in
/// scikit-learn's `StandardScaler`. With a clip, scaled values are cut to `±clip`: one bad wick
/// would otherwise ruin a linear fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standardizer {
    mean: Vec<f64>,
    scale: Vec<f64>,
    clip: Option<f64>,
}

impl Standardizer {
    /// Takes means and scales from elsewhere, `(n_features,)` each.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the lengths differ.
    /// - [`Error::NonFinite`] when a mean is not finite.
    /// - [`Error::InvalidParameter`] when a scale is not positive and finite, or `clip` not positive.
    pub fn new(mean: Vec<f64>, scale: Vec<f64>, clip: Option<f64>) -> Result<Self> {
        check_clip(clip)?;
        if mean.len() != scale.len() {
            let expected = format!("{} numbers", mean.len());
            return Err(Error::shape("scale", expected, scale.len().to_string()));
        }
        if let Some(row) = mean.iter().position(|v| !v.is_finite()) {
            return Err(Error::NonFinite { what: "mean", row, column: String::new() });
        }
        match scale.iter().find(|&&v| !(v > 0.0 && v.is_finite())) {
            Some(&bad) => Err(Error::invalid_parameter("scale", "> 0 and finite", bad)),
            None => Ok(Self { mean, scale, clip }),
        }
    }

    /// Learns means and scales from the dataset's selected rows.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `clip` is not positive.
    /// - [`Error::NotEnoughData`] when no row is selected.
    /// - [`Error::NonFinite`] when a selected row is incomplete.
    /// - [`Error::Numerical`] when a column overflows.
    pub fn fit(dataset: Dataset<'_>, clip: Option<f64>) -> Result<Self> {
        check_clip(clip)?;
        dataset.require_rows("standardizer", 1)?;
        dataset.require_complete()?;
        let n = dataset.n_rows() as f64;
        let mut fitted = Self { mean: Vec::new(), scale: Vec::new(), clip };
        for (name, column) in dataset.feature_names().iter().zip(dataset.records().columns()) {
            let rows = || dataset.rows().iter().map(|i| column[i]);
            let mean = rows().sum::<f64>() / n;
            // The second sum is the rounding error of the mean (Chan, Golub, LeVeque 1983).
            let (squares, slip) =
                rows().fold((0.0, 0.0), |(q, s), v| (q + (v - mean) * (v - mean), s + (v - mean)));
            let variance = (squares - slip * slip / n) / n;
            if !mean.is_finite() || !variance.is_finite() {
                return Err(Error::numerical("standardizer", format!("column {name:?} overflows")));
            }
            // Constant up to rounding, by scikit-learn's bound on the variance.
            let noise = n * f64::EPSILON * variance + (n * mean * f64::EPSILON).powi(2);
            let variance = variance.max(0.0);
            fitted.mean.push(mean);
            fitted.scale.push(if variance <= noise { 1.0 } else { variance.sqrt() });
        }
        Ok(fitted)
    }

    /// Training means, `(n_features,)`.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Training scales, `(n_features,)`, never 0.
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// Scaled values are cut to plus and minus this.
    pub fn clip(&self) -> Option<f64> {
        self.clip
    }

    /// Scales one value of column `column`; the caller has checked the number of columns.
    pub fn scale_value(&self, column: usize, value: f64) -> f64 {
        let scaled = (value - self.mean[column]) / self.scale[column];
        match self.clip {
            // NaN stays NaN.
            Some(clip) => scaled.clamp(-clip, clip),
            None => scaled,
        }
    }

    /// Scales all rows: `(n_bars, n_features)`, row-major.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the number of columns differs from the fit's.
    pub fn transform(&self, records: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        if records.ncols() != self.mean.len() {
            let expected = format!("{} columns", self.mean.len());
            return Err(Error::shape("records", expected, records.ncols().to_string()));
        }
        Ok(Array2::from_shape_fn(records.dim(), |(i, j)| self.scale_value(j, records[[i, j]])))
    }
}

fn check_clip(clip: Option<f64>) -> Result<()> {
    match clip {
        Some(clip) if clip.is_nan() || clip <= 0.0 => {
            Err(Error::invalid_parameter("clip", "> 0", clip))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;
    use ndarray::array;

    #[test]
    fn a_column_that_overflows_is_an_error_and_not_constant() {
        let names = ["a".to_owned()];
        let records = array![[1e200], [-1e200], [1e200]];
        let targets = array![0.0, 0.0, 0.0];
        let rows = Rows::from(0..3);
        let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
        assert!(matches!(Standardizer::fit(dataset, None), Err(Error::Numerical { .. })));
    }

    #[test]
    fn parts_from_elsewhere_are_checked() {
        let made = Standardizer::new(vec![1.0], vec![2.0], Some(3.0)).unwrap();
        assert_eq!((made.scale_value(0, 5.0), made.scale_value(0, -9.0)), (2.0, -3.0));
        assert!(Standardizer::new(vec![1.0], vec![], None).is_err());
        assert!(Standardizer::new(vec![f64::NAN], vec![1.0], None).is_err());
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Standardizer::new(vec![0.0], vec![bad], None).is_err());
        }
        assert!(Standardizer::new(vec![0.0], vec![1.0], Some(f64::NAN)).is_err());
    }

    #[test]
    fn scales_like_scikit_learn_and_clips() {
        let names = ["a".to_owned(), "constant".to_owned()];
        let records = array![[1.0, 0.1], [3.0, 0.1], [5.0, 0.1], [1e9, 7.0]];
        let targets = array![0.0, 0.0, 0.0, 0.0];
        let rows = Rows::from(0..3);
        let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
        let fitted = Standardizer::fit(dataset, Some(5.0)).unwrap();
        assert_eq!(fitted.mean()[0], 3.0);
        assert_eq!(fitted.scale(), [(8.0_f64 / 3.0).sqrt(), 1.0]);
        let scaled = fitted.transform(&records).unwrap();
        assert!(scaled[[0, 1]].abs() < 1e-15);
        assert_eq!(scaled[[3, 0]], 5.0);
        assert!(fitted.transform(&array![[1.0]]).is_err());
        assert!(Standardizer::fit(dataset, Some(0.0)).is_err());
    }
}
