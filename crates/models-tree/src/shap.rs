//! SHAP values of boosted trees.

use forecastle_core::{Error, Predict, Result};
use ndarray::{Array1, Array2, ArrayRef2, s};
use rayon::prelude::*;

use crate::Boosting;
use explainer::{Explainer, features_on_a_way};

mod explainer;
mod explanation;
mod quadrature;

pub use explanation::{Contribution, Explanation};

/// Rows that one task explains.
const CHUNK: usize = 32;

/// Distinct features on a way from a root to a leaf.
const MAX_FEATURES_ON_A_WAY: usize = 256;

impl Boosting {
    /// What each feature contributes to the forecast of one row, `(n_features + 1,)`: exact SHAP
    /// values, the model's expected prediction last, so that the sum is the prediction.
    ///
    /// As [`shap_values_into`](Self::shap_values_into) of a table of one row. Most of the time
    /// goes into preparing the trees: many rows are better given together.
    ///
    /// # Errors
    /// As [`shap_values_into`](Self::shap_values_into).
    pub fn shap_values(&self, row: &[f64]) -> Result<Array1<f64>> {
        if row.len() != self.n_features() {
            let expected = format!("{} features", self.n_features());
            return Err(Error::shape("row", expected, row.len().to_string()));
        }
        let records = Array2::from_shape_fn((1, row.len()), |(_, j)| row[j]);
        let mut out = Array2::zeros((1, row.len() + 1));
        self.shap_values_into(&records, &mut out)?;
        Ok(out.row(0).to_owned())
    }

    /// Writes what each feature contributes to the forecast of every row: exact, path-dependent
    /// SHAP values.
    ///
    /// - `records`: `(n, n_features)`; NaN is missing
    /// - `out`: `(n, n_features + 1)`, in the target's unit; the last column is the model's expected
    ///   prediction, and each row sums to its prediction
    ///
    /// A feature's SHAP value is the change of the forecast when the feature becomes known, the
    /// mean over every order in which the features can become known. While a feature is unknown, a
    /// split on it is answered by both children, weighted by their covers: the sums of second
    /// derivatives of the training rows that reached them, as XGBoost's `pred_contribs` weighs them.
    /// What features say together is shared among them; a contribution is no cause.
    ///
    /// The values are those of Lundberg's algorithm 2, computed as Owen's integral instead: for
    /// each leaf a polynomial, integrated exactly by Gauss-Legendre points. One tree of `L` leaves
    /// whose ways see `d` distinct features costs `O(L·d)` a row, and no digits are lost in deep
    /// trees. Rows are shared among threads; the bits do not depend on how many there are.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the shapes do not fit.
    /// - [`Error::NonFinite`] when a record is infinite.
    /// - [`Error::Numerical`] when a tree's way from root to leaf sees more than 256 distinct
    ///   features, the trees are too large for a quarter of a gigabyte, or a split (of an imported
    ///   model) has no cover.
    ///
    /// # Examples
    /// ```
    /// use forecastle_core::{Dataset, Fit, Rows};
    /// use forecastle_models_tree::BoostingParams;
    /// use ndarray::{Array1, Array2};
    ///
    /// let names = ["trend".to_owned(), "noise".to_owned()];
    /// let records = Array2::from_shape_fn((400, 2), |(i, j)| ((i * (7 + 4 * j)) % 100) as f64);
    /// let targets = Array1::from_shape_fn(400, |i| if records[[i, 0]] < 50.0 { -1.0 } else { 1.0 });
    /// let rows = Rows::from(0..400);
    /// let dataset = Dataset::new(&names, &records, &targets, &rows, 1)?;
    /// let model = BoostingParams { learning_rate: 0.2, ..Default::default() }.fit(dataset)?;
    ///
    /// let mut values = Array2::zeros((400, 3));
    /// model.shap_values_into(&records, &mut values)?;
    /// let prediction = model.predict_row(&[0.0, 0.0])?;
    /// assert!((values.row(0).sum() - prediction).abs() < 1e-12);
    /// assert!(values[[0, 0]] < -0.9 && values[[0, 1]].abs() < 0.05);
    /// # Ok::<(), forecastle_core::Error>(())
    /// ```
    ///
    /// # References
    /// - S. M. Lundberg, G. G. Erion, S.-I. Lee, *Consistent individualized feature attribution for
    ///   tree ensembles*, 2018, arXiv:1802.03888.
    /// - P. Yu, C. Xu, A. Bifet, J. Read, *Linear `TreeShap`*, 2022, arXiv:2209.08192.
    /// - G. Owen, *Multilinear extensions of games*, 1972, doi:10.1287/mnsc.18.5.64.
    #[doc(alias = "pred_contribs")]
    pub fn shap_values_into(
        &self,
        records: &ArrayRef2<f64>,
        out: &mut ArrayRef2<f64>,
    ) -> Result<()> {
        let width = self.n_features();
        let (n, columns) = records.dim();
        if columns != width {
            let expected = format!("{width} columns");
            return Err(Error::shape("records", expected, columns.to_string()));
        }
        if out.dim() != (n, width + 1) {
            let expected = format!("shape ({n}, {})", width + 1);
            return Err(Error::shape("out", expected, format!("{:?}", out.dim())));
        }
        self.check_finite_or_missing(records)?;
        match features_on_a_way(self.forest()) {
            0..=2 => self.explain_into::<1>(records, out),
            3..=4 => self.explain_into::<2>(records, out),
            5..=8 => self.explain_into::<4>(records, out),
            9..=16 => self.explain_into::<8>(records, out),
            17..=32 => self.explain_into::<16>(records, out),
            33..=64 => self.explain_into::<32>(records, out),
            65..=128 => self.explain_into::<64>(records, out),
            129..=MAX_FEATURES_ON_A_WAY => self.explain_into::<128>(records, out),
            features => {
                let reason = format!(
                    "a way from root to leaf sees {features} features, more than {MAX_FEATURES_ON_A_WAY}"
                );
                Err(Error::numerical("SHAP values", reason))
            }
        }
    }

    /// Which features moved the forecast of one row, the largest contribution first.
    ///
    /// # Errors
    /// As [`shap_values_into`](Self::shap_values_into).
    ///
    /// # Examples
    /// ```
    /// use forecastle_core::{Dataset, Fit, Rows};
    /// use forecastle_models_tree::BoostingParams;
    /// use ndarray::{Array1, Array2};
    ///
    /// let names = ["noise".to_owned(), "trend".to_owned()];
    /// let records = Array2::from_shape_fn((400, 2), |(i, j)| ((i * (11 - 4 * j)) % 100) as f64);
    /// let targets = Array1::from_shape_fn(400, |i| records[[i, 1]]);
    /// let rows = Rows::from(0..400);
    /// let dataset = Dataset::new(&names, &records, &targets, &rows, 1)?;
    /// let model = BoostingParams { learning_rate: 0.2, ..Default::default() }.fit(dataset)?;
    ///
    /// let explanation = model.explain(&[3.0, 90.0])?;
    /// let first = &explanation.contributions[0];
    /// assert_eq!((first.feature.as_str(), first.value), ("trend", 90.0));
    /// assert!(first.contribution > 30.0);
    /// # Ok::<(), forecastle_core::Error>(())
    /// ```
    pub fn explain(&self, row: &[f64]) -> Result<Explanation> {
        let values = self.shap_values(row)?;
        let prediction = self.predict_row(row)?;
        let features = self.feature_names().iter().zip(row).zip(&values);
        let mut contributions: Vec<Contribution> = features
            .map(|((feature, &value), &contribution)| Contribution {
                feature: feature.clone(),
                value,
                contribution,
            })
            .collect();
        contributions.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
        let base = values.last().copied().unwrap_or_default();
        Ok(Explanation { base, prediction, contributions })
    }

    fn check_finite_or_missing(&self, records: &ArrayRef2<f64>) -> Result<()> {
        for (name, column) in self.feature_names().iter().zip(records.columns()) {
            if let Some(row) = column.iter().position(|v| v.is_infinite()) {
                return Err(Error::NonFinite { what: "records", row, column: name.clone() });
            }
        }
        Ok(())
    }

    /// Shapes and records are right, and `M` points are enough.
    fn explain_into<const M: usize>(
        &self,
        records: &ArrayRef2<f64>,
        out: &mut ArrayRef2<f64>,
    ) -> Result<()> {
        let explainer = Explainer::<M>::new(self.forest())?;
        let expected = self.base_score() + explainer.expected();
        let (n, width) = records.dim();
        let stride = width + 1;
        let fresh = || (explainer.scratch(), vec![0.0; CHUNK.min(n) * width]);
        let chunk = |(scratch, rows): &mut (_, Vec<f64>), (i, out): (usize, &mut [f64])| {
            let n = out.len() / stride;
            for (to, from) in (i * CHUNK..i * CHUNK + n).enumerate() {
                for (j, &value) in records.row(from).iter().enumerate() {
                    rows[to * width + j] = value;
                }
            }
            out.fill(0.0);
            explainer.add_rows(&rows[..n * width], width, out, stride, scratch);
            for row in out.chunks_exact_mut(stride) {
                row[width] = expected;
            }
        };
        let fill = |slice: &mut [f64]| {
            if n <= CHUNK {
                let mut own = fresh();
                slice.chunks_mut(CHUNK * stride).enumerate().for_each(|part| chunk(&mut own, part));
            } else {
                slice.par_chunks_mut(CHUNK * stride).enumerate().for_each_init(fresh, chunk);
            }
        };
        if let Some(slice) = out.as_slice_mut() {
            fill(slice);
        } else {
            let mut whole = vec![0.0; n * stride];
            fill(&mut whole);
            for (i, row) in whole.chunks_exact(stride).enumerate() {
                out.slice_mut(s![i, ..]).assign(&ndarray::aview1(row));
            }
        }
        Ok(())
    }
}
