use std::ops::Range;
use std::slice::from_ref;

use forecastle_core::{Error, Result};
use nalgebra::{DMatrix, DVector};
use ndarray::{ArrayRef1, ArrayRef2};
use serde::{Deserialize, Serialize};

use crate::evidence::{firm, t_statistic};
use crate::simplex;

/// Blocks over which the weights are cross-fitted to judge their evidence.
const BLOCKS: usize = 5;
/// Rows below which no weights are learnt.
const FEWEST: usize = 10;

/// Says how the bases' forecasts are weighted.
///
/// What the weights leave of 1 belongs to the naive forecast, zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Meta {
    /// Weights ≥ 0 with a sum ≤ 1, shrunk toward the naive forecast by `l2` and by `evidence`.
    #[default]
    Simplex,
    /// Ridge regression without intercept: any sign, any sum.
    Ridge,
    /// Every base alike.
    Mean,
    /// All on the base with the smallest squared error; nothing where none beats the naive forecast.
    BestSingle,
}

/// Learns the weights of base forecasts from forecasts made out of fold.
///
/// The default, [`Meta::Simplex`], minimises `Σ (y − X·w)² + λ‖w‖²` subject to `w ≥ 0` and
/// `Σ w ≤ 1`, with `λ = l2 · Σ X² / n_bases`, so that units do not matter; then it asks whether
/// those weights are more than luck. In each of five blocks the forecast `f` is combined with
/// weights learnt on the other four (purged by the horizon), and `t` is the mean of `f · y` over its
/// standard error, autocorrelation included (the test of Clark and West for a forecast that nests
/// the naive one). All weights are multiplied by a firm shrinkage `s`: 0 up to `t = evidence`, 1 from
/// `t = clear_evidence` on, `clear_evidence (t − evidence) / (t (clear_evidence − evidence))` in
/// between; and `l2` by `1 − s`. On a market that cannot be forecast the ensemble *is* the naive
/// forecast, and where forecasts clearly help nothing is taken away.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `meta` | simplex | how to weight | |
/// | `l2` | 0.1 | penalty relative to the mean sum of squares of a base's forecasts; simplex and ridge | ≥ 0 |
/// | `evidence` | 2 | t statistic up to which every weight is 0; 0 switches the shrinkage off; simplex | ≥ 0 |
/// | `clear_evidence` | 5 | t statistic from which on nothing is taken away; simplex | ≥ `evidence` |
///
/// # References
/// - L. Breiman, *Stacked Regressions*, Machine Learning 24, 1996, doi:10.1007/BF00117832.
/// - H.-Y. Gao, A. G. Bruce, "`WaveShrink` with firm shrinkage", Statistica Sinica 7, 1997, 855–874.
/// - T. E. Clark, K. D. West, *Approximately normal tests for equal predictive accuracy in nested
///   models*, Journal of Econometrics 138, 2007, doi:10.1016/j.jeconom.2006.05.023.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetaParams {
    /// How to weight.
    pub meta: Meta,
    /// Penalty relative to the bases' mean sum of squares.
    pub l2: f64,
    /// The t statistic up to which every weight is 0.
    pub evidence: f64,
    /// The t statistic from which on nothing is taken away.
    pub clear_evidence: f64,
}

impl Default for MetaParams {
    fn default() -> Self {
        Self { meta: Meta::Simplex, l2: 0.1, evidence: 2.0, clear_evidence: 5.0 }
    }
}

impl MetaParams {
    /// Learns the weights, `(n_bases,)`.
    ///
    /// - `predictions`: `(n_rows, n_bases)`, out of fold; in-sample forecasts would reward the base
    ///   that overfits most
    /// - `targets`: `(n_rows,)`, returns
    /// - `horizon`: bars that a label reaches into the future
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range.
    /// - [`Error::Shape`] without bases, or when predictions and targets differ in length.
    /// - [`Error::NotEnoughData`] with fewer than 10 rows, or no more rows than bases.
    /// - [`Error::NonFinite`] when a number is not finite.
    pub fn weights(
        &self,
        predictions: &ArrayRef2<f64>,
        targets: &ArrayRef1<f64>,
        horizon: usize,
    ) -> Result<Vec<f64>> {
        self.check()?;
        let (n, m) = predictions.dim();
        if m == 0 || targets.len() != n {
            let expected = format!("{n} rows and at least one base");
            let actual = format!("{} rows and {m} bases", targets.len());
            return Err(Error::shape("targets", expected, actual));
        }
        let needed = FEWEST.max(m + 1);
        if n < needed {
            return Err(Error::not_enough_data("meta-model", needed, n));
        }
        check_finite("predictions", predictions.indexed_iter().map(|((i, _), v)| (i, v)))?;
        check_finite("targets", targets.indexed_iter())?;
        match self.meta {
            Meta::Simplex => {
                let all = 0..n;
                let all = from_ref(&all);
                if self.evidence == 0.0 {
                    return Ok(self.simplex(predictions, targets, all)?.iter().copied().collect());
                }
                let t = self.cross_fitted_t(predictions, targets, horizon)?;
                let kept = firm(t, self.evidence, self.clear_evidence);
                let eased = Self { l2: (1.0 - kept) * self.l2, ..*self };
                let weights = eased.simplex(predictions, targets, all)?;
                Ok(weights.iter().map(|w| w * kept).collect())
            }
            Meta::Ridge => {
                let Some((a, b)) = self.normal_equations(predictions, targets, from_ref(&(0..n)))
                else {
                    return Ok(vec![0.0; m]);
                };
                let solver = a.cholesky().ok_or_else(|| {
                    Error::numerical("ridge weights", "the Gram matrix is not positive definite")
                })?;
                Ok(solver.solve(&b).iter().copied().collect())
            }
            Meta::Mean => Ok(vec![1.0 / m as f64; m]),
            Meta::BestSingle => {
                let naive: f64 = targets.iter().map(|y| y * y).sum();
                let error = |j: usize| -> f64 {
                    let pairs = predictions.column(j);
                    pairs.iter().zip(targets).map(|(p, y)| (y - p) * (y - p)).sum()
                };
                let mut weights = vec![0.0; m];
                let best = (0..m).map(|j| (error(j), j)).min_by(|a, b| a.0.total_cmp(&b.0));
                if let Some((_, j)) = best.filter(|(error, _)| *error < naive) {
                    weights[j] = 1.0;
                }
                Ok(weights)
            }
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        for (name, value) in [("l2", self.l2), ("evidence", self.evidence)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::invalid_parameter(name, ">= 0", value));
            }
        }
        if !(self.clear_evidence.is_finite() && self.clear_evidence >= self.evidence) {
            let requirement = format!("finite and >= {} (evidence)", self.evidence);
            return Err(Error::invalid_parameter(
                "clear_evidence",
                requirement,
                self.clear_evidence,
            ));
        }
        Ok(())
    }

    fn simplex(
        &self,
        predictions: &ArrayRef2<f64>,
        targets: &ArrayRef1<f64>,
        rows: &[Range<usize>],
    ) -> Result<DVector<f64>> {
        match self.normal_equations(predictions, targets, rows) {
            Some((a, b)) => simplex::minimise(&a, &b),
            None => Ok(DVector::zeros(predictions.ncols())),
        }
    }

    /// `XᵀX + λI` and `Xᵀy` over the mean diagonal of `XᵀX`; `None` where all forecasts are zero.
    fn normal_equations(
        &self,
        predictions: &ArrayRef2<f64>,
        targets: &ArrayRef1<f64>,
        rows: &[Range<usize>],
    ) -> Option<(DMatrix<f64>, DVector<f64>)> {
        let m = predictions.ncols();
        let mut a = DMatrix::<f64>::zeros(m, m);
        let mut b = DVector::<f64>::zeros(m);
        for t in rows.iter().cloned().flatten() {
            for i in 0..m {
                let x = predictions[[t, i]];
                b[i] += x * targets[t];
                for j in 0..=i {
                    a[(i, j)] += x * predictions[[t, j]];
                }
            }
        }
        let scale = a.trace() / m as f64;
        if !(scale > 0.0 && scale.is_finite() && b.iter().all(|v| v.is_finite())) {
            return None;
        }
        for i in 0..m {
            for j in 0..i {
                a[(i, j)] /= scale;
                a[(j, i)] = a[(i, j)];
            }
            // The smallest penalty keeps twins solvable; they then share their weight.
            a[(i, i)] = a[(i, i)] / scale + self.l2.max(1e-10);
        }
        Some((a, b / scale))
    }

    /// The evidence that the weights forecast rows they were not learnt from.
    fn cross_fitted_t(
        &self,
        predictions: &ArrayRef2<f64>,
        targets: &ArrayRef1<f64>,
        horizon: usize,
    ) -> Result<f64> {
        let n = targets.len();
        let mut products = Vec::with_capacity(n);
        for k in 0..BLOCKS {
            let block = k * n / BLOCKS..(k + 1) * n / BLOCKS;
            let before = 0..block.start.saturating_sub(horizon);
            let after = block.end.saturating_add(horizon).min(n)..n;
            let weights = self.simplex(predictions, targets, &[before, after])?;
            for t in block {
                let row = predictions.row(t);
                let forecast: f64 = row.iter().zip(weights.iter()).map(|(p, w)| p * w).sum();
                products.push(forecast * targets[t]);
            }
        }
        Ok(t_statistic(&products, horizon))
    }
}

fn check_finite<'a>(
    what: &'static str,
    mut values: impl Iterator<Item = (usize, &'a f64)>,
) -> Result<()> {
    match values.find(|(_, v)| !v.is_finite()) {
        None => Ok(()),
        Some((row, _)) => Err(Error::NonFinite { what, row, column: String::new() }),
    }
}
