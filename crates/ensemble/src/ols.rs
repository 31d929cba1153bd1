use forecastle_core::{
    Artifact, Dataset, Error, Fit, Load, Lookback, Predict, Result, Standardizer,
};
use linfa::traits::Fit as _;
use linfa_linear::LinearRegression;
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};
use serde::{Deserialize, Serialize};

use crate::linear::{Design, Linear};

const VERSION: u32 = 1;
/// A column whose part outside the span of those before it is smaller than this share of its
/// length adds nothing but rounding; R's `lm` uses the same tolerance.
const ALIASED: f64 = 1e-7;

/// Fits ordinary least squares: minimises `Σ w (y − b − x·β)²`.
///
/// The plain yardstick for the other models: no penalty, no clipping. Columns are standardised and
/// centred before linfa-linear's QR, which keeps badly scaled data (NIST's Longley) exact to more
/// than nine digits; coefficients are reported in the features' own units. A constant column, and
/// one that is a combination of earlier columns, gets the coefficient 0, as in R's `lm`.
///
/// # Errors
/// - [`Error::NotEnoughData`] with fewer rows than features and one.
/// - [`Error::NonFinite`] when a selected row is incomplete.
///
/// # Examples
/// ```
/// use forecastle_core::{Dataset, Fit, Rows};
/// use forecastle_ensemble::OlsParams;
/// use ndarray::array;
///
/// let names = ["x".to_owned()];
/// let (records, targets) = (array![[0.0], [1.0], [2.0]], array![1.0, 3.0, 5.0]);
/// let rows = Rows::from(0..3);
/// let ols = OlsParams::default().fit(Dataset::new(&names, &records, &targets, &rows, 1)?)?;
/// assert!((ols.coefficients()[0] - 2.0).abs() < 1e-12 && (ols.intercept() - 1.0).abs() < 1e-12);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OlsParams {}

impl Fit for OlsParams {
    type Fitted = Ols;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Ols> {
        dataset.require_rows("ols", dataset.n_features() + 1)?;
        let design = Design::new(dataset, Some(Standardizer::fit(dataset, None)?))?;
        let kept = independent_columns(&design.records);
        let mut slopes = vec![0.0; dataset.n_features()];
        if !kept.is_empty() {
            for (&j, slope) in kept.iter().zip(solve(&design, &kept)?) {
                slopes[j] = slope;
            }
        }
        let names = dataset.feature_names();
        let linear = Linear::new(names, design.scaling, slopes, design.mean_target)?;
        Ok(Ols { linear })
    }
}

/// Modified Gram-Schmidt, twice for orthogonality: the columns that add a direction.
fn independent_columns(records: &Array2<f64>) -> Vec<usize> {
    let mut basis: Vec<Array1<f64>> = Vec::new();
    let mut kept = Vec::new();
    // A standardised column has length √n; a constant one is rounding noise around 0.
    let noise = (records.nrows() as f64).sqrt() * ALIASED;
    for (j, column) in records.columns().into_iter().enumerate() {
        let mut rest = column.to_owned();
        for _ in 0..2 {
            for unit in &basis {
                let along: f64 = rest.dot(unit);
                rest.scaled_add(-along, unit);
            }
        }
        let (length, left) = (column.dot(&column).sqrt(), rest.dot(&rest).sqrt());
        if length > noise && left > ALIASED * length {
            rest /= left;
            basis.push(rest);
            kept.push(j);
        }
    }
    kept
}

/// The only place where linfa and its ndarray are seen.
fn solve(design: &Design, kept: &[usize]) -> Result<Vec<f64>> {
    let records =
        ndarray16::Array2::from_shape_fn((design.records.nrows(), kept.len()), |(i, j)| {
            design.records[[i, kept[j]]]
        });
    let targets = ndarray16::Array1::from_iter(design.targets.iter().copied());
    let fitted = LinearRegression::new()
        .with_intercept(false)
        .fit(&linfa::Dataset::new(records, targets))
        .map_err(|error| Error::component("linfa-linear", error))?;
    Ok(fitted.params().to_vec())
}

/// Predicts by ordinary least squares; made by [`OlsParams`].
#[derive(Debug, Clone, PartialEq)]
pub struct Ols {
    linear: Linear,
}

impl Ols {
    /// Change of the forecast with each feature, in the feature's own units, `(n_features,)`.
    pub fn coefficients(&self) -> &[f64] {
        self.linear.coefficients()
    }

    /// The forecast where every feature is 0.
    pub fn intercept(&self) -> f64 {
        self.linear.intercept()
    }
}

impl Predict for Ols {
    fn feature_names(&self) -> &[String] {
        self.linear.feature_names()
    }

    fn lookback(&self) -> Lookback {
        Lookback::Rows(1)
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.linear.predict_into(self, records, out)
    }

    fn save(&self) -> Result<Artifact> {
        self.linear.save(Self::KIND, VERSION, 0.0)
    }
}

impl Load for Ols {
    const KIND: &'static str = "ols";

    fn load(artifact: &Artifact) -> Result<Self> {
        let (linear, _) = Linear::load(artifact, Self::KIND, VERSION)?;
        Ok(Self { linear })
    }
}
