use forecastle_core::{Artifact, Dataset, Error, PredictExt, Progress, Result, Standardizer};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayViewMut1, Axis};
use serde::{Deserialize, Serialize};

/// The selected rows, scaled and weighted-centred: what a linear solver sees.
#[derive(Debug)]
pub(crate) struct Design {
    pub(crate) scaling: Scaling,
    /// `(n_rows, n_features)`, row-major, each row times the root of its weight.
    pub(crate) records: Array2<f64>,
    /// `(n_rows,)`, likewise.
    pub(crate) targets: Array1<f64>,
    /// Weighted mean of the targets.
    pub(crate) mean_target: f64,
}

/// How a column is brought to the solver's scale, and its mean there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scaling {
    standardizer: Option<Standardizer>,
    center: Vec<f64>,
}

impl Scaling {
    fn value(&self, column: usize, value: f64) -> f64 {
        match &self.standardizer {
            Some(standardizer) => standardizer.scale_value(column, value),
            None => value,
        }
    }
}

impl Design {
    pub(crate) fn new(dataset: Dataset<'_>, standardizer: Option<Standardizer>) -> Result<Self> {
        if dataset.progress().is_some_and(Progress::is_cancelled) {
            return Err(Error::Cancelled);
        }
        dataset.require_complete()?;
        let (mut records, mut targets) = dataset.gather();
        let weights = dataset.gather_weights();
        let total = weights.as_ref().map_or(dataset.n_rows() as f64, |w| w.sum());
        if total <= 0.0 {
            let requirement = "positive in at least one selected row";
            return Err(Error::invalid_parameter("weights", requirement, total));
        }
        let mut scaling =
            Scaling { standardizer, center: Vec::with_capacity(dataset.n_features()) };
        for mut row in records.rows_mut() {
            for (j, value) in row.iter_mut().enumerate() {
                *value = scaling.value(j, *value);
            }
        }
        // Sums over rows, then columns: the row-major matrix is walked in memory order.
        let mut sums = Array1::<f64>::zeros(records.ncols());
        for (i, row) in records.rows().into_iter().enumerate() {
            let weight = weights.as_ref().map_or(1.0, |w| w[i]);
            sums.scaled_add(weight, &row);
        }
        sums /= total;
        scaling.center = sums.to_vec();
        let weighted: f64 = match &weights {
            Some(weights) => weights.iter().zip(&targets).map(|(w, y)| w * y).sum(),
            None => targets.sum(),
        };
        let mean_target = weighted / total;
        targets -= mean_target;
        for mut row in records.rows_mut() {
            row -= &sums;
        }
        if let Some(weights) = &weights {
            let roots = weights.mapv(f64::sqrt);
            targets *= &roots;
            records *= &roots.insert_axis(Axis(1));
        }
        // Whatever a solver does with the columns, it squares them.
        let squares: f64 = records.iter().map(|v| v * v).sum();
        if !(mean_target.is_finite() && squares.is_finite()) {
            return Err(Error::numerical("linear model", "a column overflows"));
        }
        Ok(Self { scaling, records, targets, mean_target })
    }
}

/// A fitted linear model, `mean_target + Σ slope · (scaled value − center)`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Linear {
    feature_names: Vec<String>,
    numbers: Numbers,
    coefficients: Vec<f64>,
    intercept: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Numbers {
    scaling: Scaling,
    slopes: Vec<f64>,
    mean_target: f64,
}

impl Linear {
    pub(crate) fn new(
        feature_names: &[String],
        scaling: Scaling,
        slopes: Vec<f64>,
        mean_target: f64,
    ) -> Result<Self> {
        if slopes.iter().any(|v| !v.is_finite()) {
            let reason = "a coefficient is not finite";
            return Err(Error::numerical("linear model", reason));
        }
        let numbers = Numbers { scaling, slopes, mean_target };
        Self::from_numbers(feature_names, numbers)
    }

    fn from_numbers(feature_names: &[String], numbers: Numbers) -> Result<Self> {
        let p = feature_names.len();
        let standardizer = numbers.scaling.standardizer.as_ref();
        let widths = standardizer.map_or((p, p), |s| (s.mean().len(), s.scale().len()));
        if (numbers.slopes.len(), numbers.scaling.center.len()) != (p, p) || widths != (p, p) {
            return Err(Error::artifact(format!("its numbers are not for {p} features")));
        }
        let mut intercept = numbers.mean_target;
        let mut coefficients = Vec::with_capacity(p);
        for (j, (slope, center)) in numbers.slopes.iter().zip(&numbers.scaling.center).enumerate() {
            let (mean, scale) = standardizer.map_or((0.0, 1.0), |s| (s.mean()[j], s.scale()[j]));
            coefficients.push(slope / scale);
            intercept -= slope * center + slope / scale * mean;
        }
        Ok(Self { feature_names: feature_names.to_vec(), numbers, coefficients, intercept })
    }

    pub(crate) fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    /// Slopes in the features' own units.
    pub(crate) fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    pub(crate) fn intercept(&self) -> f64 {
        self.intercept
    }

    /// Adds column by column, so that a row's number does not depend on the rows around it.
    pub(crate) fn predict_into(
        &self,
        model: &(impl PredictExt + ?Sized),
        records: &ArrayRef2<f64>,
        out: &mut ArrayRef1<f64>,
    ) -> Result<()> {
        model.check_shapes(records, out)?;
        model.check_complete(records)?;
        let Numbers { scaling, slopes, mean_target } = &self.numbers;
        let mut out: ArrayViewMut1<'_, f64> = out.view_mut();
        out.fill(*mean_target);
        let columns = records.columns().into_iter().zip(slopes.iter().zip(&scaling.center));
        for (j, (column, (slope, center))) in columns.enumerate() {
            for (to, &value) in out.iter_mut().zip(column) {
                *to += slope * (scaling.value(j, value) - center);
            }
        }
        match out.iter().position(|v| !v.is_finite()) {
            None => Ok(()),
            Some(row) => {
                let reason = format!("the prediction of row {row} overflows");
                Err(Error::numerical("linear model", reason))
            }
        }
    }

    /// Saves the model with the penalty it was fitted under.
    pub(crate) fn save(&self, kind: &str, version: u32, alpha: f64) -> Result<Artifact> {
        Artifact::encode(kind, version, &self.feature_names, &(&self.numbers, alpha))
    }

    pub(crate) fn load(artifact: &Artifact, kind: &str, version: u32) -> Result<(Self, f64)> {
        let (numbers, alpha) = artifact.decode(kind, version)?;
        Ok((Self::from_numbers(artifact.feature_names(), numbers)?, alpha))
    }
}
