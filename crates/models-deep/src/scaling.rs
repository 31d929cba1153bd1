use forecastle_core::{Dataset, Error, Result, Standardizer};
use serde::{Deserialize, Serialize};

/// Centres and scales targets by the weighted mean and standard deviation of the training rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetScaling {
    /// Weighted mean.
    pub(crate) mean: f64,
    /// Weighted standard deviation of the population, 1 for constant targets.
    pub(crate) scale: f64,
}

impl TargetScaling {
    /// For models without targets.
    pub(crate) const NONE: Self = Self { mean: 0.0, scale: 1.0 };

    /// Learns from the selected rows.
    pub(crate) fn fit(what: &'static str, dataset: Dataset<'_>) -> Result<Self> {
        let weight = relative_weights(dataset);
        let rows = || dataset.rows().iter().map(|row| (weight(row), dataset.targets()[row]));
        let total: f64 = rows().map(|(w, _)| w).sum();
        let mean = rows().map(|(w, y)| w * y).sum::<f64>() / total;
        let (squares, slip) = rows().fold((0.0, 0.0), |(q, s), (w, y)| {
            let d = y - mean;
            (q + w * d * d, s + w * d)
        });
        let variance = (squares - slip * slip / total) / total;
        if !mean.is_finite() || !variance.is_finite() {
            return Err(Error::numerical(what, "the targets overflow"));
        }
        // Constant up to rounding, as the standardizer of features sees it.
        let n = dataset.n_rows() as f64;
        let noise = n * f64::EPSILON * variance + (n * mean * f64::EPSILON).powi(2);
        let scale = if variance <= noise { 1.0 } else { variance.sqrt() };
        Ok(Self { mean, scale })
    }

    /// Whether it can have been learnt.
    pub(crate) fn is_valid(&self) -> bool {
        self.mean.is_finite() && self.scale > 0.0 && self.scale.is_finite()
    }

    pub(crate) fn scale(&self, target: f64) -> f32 {
        ((target - self.mean) / self.scale) as f32
    }

    pub(crate) fn unscale(&self, output: f32) -> f64 {
        self.mean + self.scale * f64::from(output)
    }
}

/// Weights relative to the largest one of the selected rows, so that no sum overflows; only ratios
/// count.
pub(crate) fn relative_weights(dataset: Dataset<'_>) -> impl Fn(usize) -> f64 {
    let weights = dataset.weights();
    let rows = dataset.rows().iter();
    let largest = weights.map_or(1.0, |w| rows.fold(0.0, |m: f64, row| m.max(w[row])));
    move |row| weights.map_or(1.0, |w| if largest > 0.0 { w[row] / largest } else { 0.0 })
}

/// Centres columns and divides all of them by one number, so that their ratios stay: the root of the
/// mean of their variances over the selected rows.
pub(crate) fn one_scale(dataset: Dataset<'_>, clip: Option<f64>) -> Result<Standardizer> {
    let mean = Standardizer::fit(dataset, clip)?.mean().to_vec();
    let mut squares = 0.0;
    for (column, mean) in dataset.records().columns().into_iter().zip(&mean) {
        squares += dataset.rows().iter().map(|row| (column[row] - mean).powi(2)).sum::<f64>();
    }
    let variance = squares / (dataset.n_rows() * mean.len()) as f64;
    let scale = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    let n_features = mean.len();
    Standardizer::new(mean, vec![scale; n_features], clip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecastle_core::Rows;
    use ndarray::array;

    #[test]
    fn targets_are_scaled_by_weighted_moments() {
        let names = ["a".to_owned()];
        let records = array![[1.0], [2.0], [3.0], [9.0]];
        let targets = array![1.0, 4.0, 100.0, f64::NAN];
        let rows = Rows::from(0..3);
        let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
        // Huge weights do not overflow; the third row does not count.
        let weights = array![1e308, 0.5e308, 0.0, 1.0];
        let fitted = TargetScaling::fit("test", dataset.with_weights(&weights).unwrap()).unwrap();
        assert!((fitted.mean - 2.0).abs() < 1e-15, "{fitted:?}");
        assert!((fitted.scale - 2.0_f64.sqrt()).abs() < 1e-15, "{fitted:?}");
        let flat = array![0.1, 0.1, 0.1, 0.0];
        let dataset = Dataset::new(&names, &records, &flat, &rows, 1).unwrap();
        assert_eq!(TargetScaling::fit("test", dataset).unwrap().scale, 1.0);
    }

    #[test]
    fn one_scale_keeps_the_ratios_of_columns() {
        let names = ["a".to_owned(), "b".to_owned()];
        let records = array![[1.0, 10.0], [3.0, 20.0]];
        let targets = array![0.0, 0.0];
        let rows = Rows::from(0..2);
        let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
        let fitted = one_scale(dataset, None).unwrap();
        assert_eq!(fitted.mean(), [2.0, 15.0]);
        // Variances 1 and 25.
        assert_eq!(fitted.scale(), [13.0_f64.sqrt(); 2]);
    }
}
