use forecastle_core::{
    Artifact, Dataset, Error, Fit, Load, Lookback, Predict, Result, Standardizer,
};
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use ndarray::{Array1, ArrayRef1, ArrayRef2};
use serde::{Deserialize, Serialize};

use crate::linear::{Design, Linear};

const VERSION: u32 = 1;

/// Fits ridge regression exactly: minimises `Σ w (y − b − z·β)² + alpha · ‖β‖²`.
///
/// `z` are the features, standardised and clipped; the intercept `b` is not penalised. The normal
/// equations are solved by Cholesky and refined once against the data, so the result agrees with
/// scikit-learn's `Ridge` to rounding.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `alpha` | number of rows | penalty; see below | ≥ 0 |
/// | `clip` | 5 | scaled values are cut to ± this many standard deviations; one bad wick otherwise ruins the fit | > 0 |
/// | `standardize` | true | centre and scale columns by the training rows; off: neither that nor clipping | |
///
/// Without `alpha` the penalty is the mean squared length of the centred columns, which for
/// standardised columns is the number of rows (the sum of weights). It halves the coefficient of a
/// feature that stands alone, and suppresses directions in which features hardly differ from each
/// other. Market returns carry so little signal beside noise that weaker penalties lose to the
/// naive forecast; where much can be predicted, this one costs about one percent of the error.
///
/// # Errors
/// - [`Error::InvalidParameter`] when a parameter is outside its range.
/// - [`Error::NotEnoughData`] with fewer than 2 rows.
/// - [`Error::NonFinite`] when a selected row is incomplete.
///
/// # Examples
/// ```
/// use forecastle_core::{Dataset, Fit, Rows};
/// use forecastle_ensemble::RidgeParams;
/// use ndarray::array;
///
/// let names = ["x".to_owned()];
/// let (records, targets) = (array![[-1.0], [1.0]], array![-1.0, 1.0]);
/// let rows = Rows::from(0..2);
/// let dataset = Dataset::new(&names, &records, &targets, &rows, 1)?;
/// let ridge = RidgeParams { alpha: Some(2.0), ..Default::default() }.fit(dataset)?;
/// assert_eq!(ridge.coefficients(), [0.5]);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// A. E. Hoerl, R. W. Kennard, *Ridge Regression: Biased Estimation for Nonorthogonal Problems*,
/// Technometrics 12, 1970, doi:10.1080/00401706.1970.10488634.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RidgeParams {
    /// Penalty on the squared coefficients; `None` is the mean squared length of the columns.
    #[serde(alias = "l2")]
    #[doc(alias = "l2")]
    pub alpha: Option<f64>,
    /// Scaled values are cut to `±clip`.
    pub clip: Option<f64>,
    /// Whether columns are standardised first.
    pub standardize: bool,
}

impl Default for RidgeParams {
    fn default() -> Self {
        Self { alpha: None, clip: Some(5.0), standardize: true }
    }
}

impl Fit for RidgeParams {
    type Fitted = Ridge;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Ridge> {
        if let Some(alpha) = self.alpha
            && !(alpha >= 0.0 && alpha.is_finite())
        {
            return Err(Error::invalid_parameter("alpha", ">= 0", alpha));
        }
        dataset.require_rows("ridge", 2)?;
        let standardizer = match self.standardize {
            true => Some(Standardizer::fit(dataset, self.clip)?),
            false => None,
        };
        let design = Design::new(dataset, standardizer)?;
        let (alpha, slopes) = solve(&design, self.alpha)?;
        let names = dataset.feature_names();
        let linear = Linear::new(names, design.scaling, slopes, design.mean_target)?;
        Ok(Ridge { linear, alpha })
    }
}

fn solve(design: &Design, alpha: Option<f64>) -> Result<(f64, Vec<f64>)> {
    let (z, y) = (&design.records, &design.targets);
    let p = z.ncols();
    let product = z.t().dot(z);
    let mut gram = DMatrix::from_fn(p, p, |i, j| product[[i, j]]);
    let moving = gram.diagonal().iter().filter(|&&d| d > 0.0).count();
    let alpha = alpha.unwrap_or_else(|| gram.trace() / moving.max(1) as f64);
    for j in 0..p {
        gram[(j, j)] += alpha;
    }
    let solver = Solver::new(gram)?;
    let gradient = |slopes: &DVector<f64>| -> DVector<f64> {
        let beta = Array1::from_iter(slopes.iter().copied());
        let slope = z.t().dot(&(y - &z.dot(&beta)));
        DVector::from_fn(p, |j, _| slope[j] - alpha * slopes[j])
    };
    let mut slopes = solver.solve(&gradient(&DVector::zeros(p)));
    // One refinement against the data itself undoes the rounding of the Gram matrix.
    slopes += solver.solve(&gradient(&slopes));
    Ok((alpha, slopes.iter().copied().collect()))
}

/// Solves with the penalised Gram matrix; where it is singular (no penalty and dependent columns),
/// by the pseudo-inverse, which gives the shortest solution.
enum Solver {
    Cholesky(nalgebra::Cholesky<f64, nalgebra::Dyn>),
    Eigen(SymmetricEigen<f64, nalgebra::Dyn>, f64),
}

impl Solver {
    fn new(gram: DMatrix<f64>) -> Result<Self> {
        if gram.iter().any(|v| !v.is_finite()) {
            return Err(Error::numerical("ridge", "the Gram matrix overflows"));
        }
        let p = gram.nrows() as f64;
        let largest = gram.diagonal().max();
        if let Some(cholesky) = gram.clone().cholesky() {
            let pivots = cholesky.l_dirty().diagonal();
            let smallest = pivots.iter().fold(f64::INFINITY, |m, &v| m.min(v * v));
            if smallest > p * f64::EPSILON * 1e2 * largest {
                return Ok(Self::Cholesky(cholesky));
            }
        }
        let eigen = SymmetricEigen::new(gram);
        let floor = eigen.eigenvalues.amax() * p * f64::EPSILON * 1e2;
        Ok(Self::Eigen(eigen, floor))
    }

    fn solve(&self, b: &DVector<f64>) -> DVector<f64> {
        match self {
            Self::Cholesky(cholesky) => cholesky.solve(b),
            Self::Eigen(eigen, floor) => {
                let mut along = eigen.eigenvectors.tr_mul(b);
                for (value, eigenvalue) in along.iter_mut().zip(eigen.eigenvalues.iter()) {
                    *value = if *eigenvalue > *floor { *value / eigenvalue } else { 0.0 };
                }
                &eigen.eigenvectors * along
            }
        }
    }
}

/// Predicts by ridge regression; made by [`RidgeParams`].
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    linear: Linear,
    alpha: f64,
}

impl Ridge {
    /// Change of the forecast with each feature inside the clip, in the feature's own units,
    /// `(n_features,)`.
    pub fn coefficients(&self) -> &[f64] {
        self.linear.coefficients()
    }

    /// The forecast where every feature is 0, were there no clip.
    pub fn intercept(&self) -> f64 {
        self.linear.intercept()
    }

    /// The penalty used.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }
}

impl Predict for Ridge {
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
        self.linear.save(Self::KIND, VERSION, self.alpha)
    }
}

impl Load for Ridge {
    const KIND: &'static str = "ridge";

    fn load(artifact: &Artifact) -> Result<Self> {
        let (linear, alpha) = Linear::load(artifact, Self::KIND, VERSION)?;
        Ok(Self { linear, alpha })
    }
}
