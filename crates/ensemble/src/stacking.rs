use forecastle_core::{Error, FeatureTable, Predict, Progress, Result, Rows, WalkForward};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tracing::{debug, debug_span};

use crate::meta::MetaParams;
use crate::out_of_fold::{Base, OutOfFold, fit, out_of_fold, predict_block};

/// Stacks base models: out-of-fold forecasts, weights learnt from them, bases refitted on all rows.
///
/// | Name | Default | Purpose |
/// |---|---|---|
/// | `folds` | 5 blocks over the second half | where the out-of-fold forecasts come from |
/// | `meta` | [`MetaParams::default`] | how they are weighted |
///
/// # References
/// - D. H. Wolpert, *Stacked Generalization*, Neural Networks 5, 1992,
///   doi:10.1016/S0893-6080(05)80023-1.
/// - M. López de Prado, *Advances in Financial Machine Learning*, 2018, chapter 7.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StackingParams {
    /// Where the out-of-fold forecasts come from; its `horizon` is replaced by the fit's.
    pub folds: WalkForward,
    /// How they are weighted.
    pub meta: MetaParams,
}

impl StackingParams {
    /// Fits.
    ///
    /// - `targets`: `(n_bars,)`, returns, so that zero is the naive forecast
    /// - `rows`: the labelled rows
    /// - `horizon`: bars that a label reaches into the future
    ///
    /// # Errors
    /// As [`out_of_fold`] and [`MetaParams::weights`].
    pub fn fit(
        &self,
        bases: &[Base<'_>],
        targets: &ArrayRef1<f64>,
        rows: &Rows,
        horizon: usize,
        progress: &dyn Progress,
    ) -> Result<Stacking> {
        self.run(Task { bases, targets, rows, horizon, progress, start: None })
    }

    /// Fits with a warm start of the last fits: the bases on all rows begin with earlier models,
    /// where they [can](forecastle_core::Fit::fit_from).
    ///
    /// The out-of-fold fits stay cold. A start has seen rows that lie after most of the folds, and
    /// its forecasts of them would be remembered, not made; so the out-of-fold forecasts, the
    /// weights and the residuals are those of [`fit`](Self::fit) to the bit. They judge what a fit
    /// from nothing forecasts, and hold for the refitted bases as far as a warm fit forecasts alike:
    /// measure that before relying on it.
    ///
    /// - `start`: one model a base, in their order, such as [`Stacking::bases`] of the fit before
    /// - the rest as in [`fit`](Self::fit)
    ///
    /// # Errors
    /// - [`Error::Shape`] when there are more or fewer starts than bases.
    /// - [`Error::InvalidParameter`] when a start is not of the type that its base fits.
    /// - As [`fit`](Self::fit), and as the bases' `fit_from`.
    pub fn fit_from(
        &self,
        bases: &[Base<'_>],
        targets: &ArrayRef1<f64>,
        rows: &Rows,
        horizon: usize,
        progress: &dyn Progress,
        start: &[&dyn Predict],
    ) -> Result<Stacking> {
        if start.len() != bases.len() {
            let expected = format!("{} models, one a base", bases.len());
            return Err(Error::shape("start", expected, start.len().to_string()));
        }
        self.run(Task { bases, targets, rows, horizon, progress, start: Some(start) })
    }

    fn run(&self, task: Task<'_>) -> Result<Stacking> {
        let Task { bases, targets, rows, horizon, progress, start } = task;
        self.meta.check()?;
        let folds = WalkForward { horizon, ..self.folds };
        let (n, warm) = (bases.len(), start.is_some());
        let span =
            debug_span!("stacking", rows = rows.len(), horizon, bases = n, warm_start = warm);
        let refit = |(i, base): (usize, &Base<'_>)| {
            let span = debug_span!(parent: &span, "refit", base = base.name);
            let _entered = span.enter();
            let start = start.and_then(|start| start.get(i).copied());
            let fitted = fit(base, targets, rows, horizon, progress, start)?;
            debug!(rows = rows.len(), "refitted");
            Ok(fitted)
        };
        let (table, refitted) = rayon::join(
            || span.in_scope(|| out_of_fold(bases, targets, rows, &folds, progress)),
            || -> Vec<Result<Box<dyn Predict>>> {
                bases.par_iter().enumerate().with_max_len(1).map(refit).collect()
            },
        );
        let table = table?;
        let bases = refitted.into_iter().collect::<Result<_>>()?;
        let meta = MetaModel::fit(&self.meta, table, folds.embargo)?;
        let (weights, naive_weight) = (meta.weights(), meta.naive_weight());
        debug!(parent: &span, ?weights, naive_weight, "weighed");
        Stacking::from_parts(meta, bases)
    }
}

/// What a fit is given.
struct Task<'a> {
    bases: &'a [Base<'a>],
    targets: &'a ArrayRef1<f64>,
    rows: &'a Rows,
    horizon: usize,
    progress: &'a dyn Progress,
    start: Option<&'a [&'a dyn Predict]>,
}

/// Holds the weights of the bases and the out-of-fold forecasts they come from; serialisable.
///
/// Beside the weights of today it keeps the weights that were known at the start of each block, so
/// that [`sequential`](Self::sequential) can say what the ensemble would have forecast then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct MetaModel {
    out_of_fold: OutOfFold,
    weights: Vec<f64>,
    fold_weights: Vec<Option<Vec<f64>>>,
}

impl MetaModel {
    /// Learns the weights; those of a block from the rows whose labels were known before it.
    ///
    /// - `embargo`: further rows left out before a block
    ///
    /// # Errors
    /// As [`MetaParams::weights`], for all rows together; a block with too few rows before it has
    /// no weights.
    pub fn fit(params: &MetaParams, out_of_fold: OutOfFold, embargo: usize) -> Result<Self> {
        let horizon = out_of_fold.horizon();
        let learn = |limit: usize| {
            let (predictions, targets) = out_of_fold.labelled(limit);
            params.weights(&predictions, &targets, horizon)
        };
        let mut fold_weights = Vec::with_capacity(out_of_fold.folds().len());
        for fold in out_of_fold.folds() {
            let limit = fold.test.start.saturating_sub(horizon).saturating_sub(embargo);
            fold_weights.push(match learn(limit) {
                Ok(weights) => Some(weights),
                Err(error) if error.is_not_enough_data() => None,
                Err(error) => return Err(error),
            });
        }
        let weights = learn(usize::MAX)?;
        Ok(Self { out_of_fold, weights, fold_weights })
    }

    /// The bases' names.
    pub fn names(&self) -> &[String] {
        self.out_of_fold.names()
    }

    /// The bases' weights, `(n_bases,)`.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The weight of the naive forecast: what the others leave of 1.
    pub fn naive_weight(&self) -> f64 {
        1.0 - self.weights.iter().sum::<f64>()
    }

    /// The weights in force in each fold's block, learnt from earlier blocks alone; `None` where
    /// they hold too few rows, as in the first.
    pub fn fold_weights(&self) -> &[Option<Vec<f64>>] {
        &self.fold_weights
    }

    /// The bases' out-of-fold forecasts.
    pub fn out_of_fold(&self) -> &OutOfFold {
        &self.out_of_fold
    }

    /// The ensemble's forecast of every out-of-fold row with the weights known at the time,
    /// `(n_bars,)`, NaN elsewhere. Causal: nothing in row t was learnt after t.
    pub fn sequential(&self) -> Array1<f64> {
        let predictions = self.out_of_fold.predictions();
        let mut sequential = Array1::from_elem(predictions.nrows(), f64::NAN);
        for (fold, weights) in self.out_of_fold.folds().iter().zip(&self.fold_weights) {
            if let Some(weights) = weights {
                let block = predictions.slice(s![fold.test.clone(), ..]);
                for (t, row) in fold.test.clone().zip(block.rows()) {
                    sequential[t] = weighted(weights, row);
                }
            }
        }
        sequential
    }

    /// The rows of [`residuals`](Self::residuals), increasing.
    pub fn residual_rows(&self) -> Vec<usize> {
        self.errors().map(|(t, _)| t).collect()
    }

    /// Label minus sequential forecast, in time order, where both are known: what conformal
    /// intervals are made of.
    pub fn residuals(&self) -> Vec<f64> {
        self.errors().map(|(_, error)| error).collect()
    }

    fn errors(&self) -> impl Iterator<Item = (usize, f64)> {
        let errors = self.out_of_fold.targets().to_owned() - self.sequential();
        let errors = errors.into_iter().enumerate();
        errors.filter(|(_, error)| error.is_finite())
    }

    /// Weighs one row of base forecasts; NaN when any of them is.
    ///
    /// # Errors
    /// - [`Error::Shape`] when there are more or fewer forecasts than bases.
    pub fn combine_row(&self, predictions: &[f64]) -> Result<f64> {
        self.check_width(predictions.len())?;
        Ok(weighted(&self.weights, predictions))
    }

    /// Weighs base forecasts, `(n_bars, n_bases)`, into `(n_bars,)`; NaN in a row where any is.
    ///
    /// # Errors
    /// - [`Error::Shape`] when there are more or fewer columns than bases.
    pub fn combine(&self, predictions: &ArrayRef2<f64>) -> Result<Array1<f64>> {
        self.check_width(predictions.ncols())?;
        let rows = predictions.rows().into_iter();
        Ok(rows.map(|row| weighted(&self.weights, row)).collect())
    }

    fn check_width(&self, width: usize) -> Result<()> {
        let m = self.weights.len();
        if width != m {
            let expected = format!("{m} columns, one a base");
            return Err(Error::shape("predictions", expected, width.to_string()));
        }
        Ok(())
    }
}

fn weighted<'a>(weights: &[f64], row: impl IntoIterator<Item = &'a f64>) -> f64 {
    weights.iter().zip(row).map(|(w, p)| w * p).sum()
}

#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    out_of_fold: OutOfFold,
    weights: Vec<f64>,
    fold_weights: Vec<Option<Vec<f64>>>,
}

impl From<MetaModel> for Saved {
    fn from(model: MetaModel) -> Self {
        Self {
            out_of_fold: model.out_of_fold,
            weights: model.weights,
            fold_weights: model.fold_weights,
        }
    }
}

impl TryFrom<Saved> for MetaModel {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        let m = saved.out_of_fold.names().len();
        let fits = |weights: &Vec<f64>| weights.len() == m && weights.iter().all(|w| w.is_finite());
        if !fits(&saved.weights)
            || !saved.fold_weights.iter().flatten().all(fits)
            || saved.fold_weights.len() != saved.out_of_fold.folds().len()
        {
            return Err(Error::artifact("the weights do not fit the out-of-fold table"));
        }
        Ok(Self {
            out_of_fold: saved.out_of_fold,
            weights: saved.weights,
            fold_weights: saved.fold_weights,
        })
    }
}

/// Forecasts with several models, weighted; made by [`StackingParams::fit`].
///
/// To save it, save [`meta`](Self::meta) (it is `Serialize`) and every base through
/// [`Predict::save`]; [`from_parts`](Self::from_parts) puts them together again.
#[derive(Debug)]
pub struct Stacking {
    meta: MetaModel,
    bases: Vec<Box<dyn Predict>>,
}

impl Stacking {
    /// Joins weights and fitted bases, in the same order.
    ///
    /// # Errors
    /// - [`Error::Shape`] when their numbers differ.
    pub fn from_parts(meta: MetaModel, bases: Vec<Box<dyn Predict>>) -> Result<Self> {
        if bases.len() != meta.weights.len() {
            let expected = format!("{} models", meta.weights.len());
            return Err(Error::shape("bases", expected, bases.len().to_string()));
        }
        Ok(Self { meta, bases })
    }

    /// The two parts that [`from_parts`](Self::from_parts) joins.
    pub fn into_parts(self) -> (MetaModel, Vec<Box<dyn Predict>>) {
        (self.meta, self.bases)
    }

    /// Weights and out-of-fold forecasts.
    pub fn meta(&self) -> &MetaModel {
        &self.meta
    }

    /// The bases, fitted on all labelled rows.
    pub fn bases(&self) -> &[Box<dyn Predict>] {
        &self.bases
    }

    /// The bases' names.
    pub fn names(&self) -> &[String] {
        self.meta.names()
    }

    /// The bases' weights, `(n_bases,)`.
    pub fn weights(&self) -> &[f64] {
        self.meta.weights()
    }

    /// The weight of the naive forecast.
    pub fn naive_weight(&self) -> f64 {
        self.meta.naive_weight()
    }

    /// Every base's forecasts, `(n_bars, n_bases)`; a base's column is NaN before the first row in
    /// which its table is complete. Rows that were learnt from are fitted, not forecast: for those
    /// see [`OutOfFold`].
    ///
    /// - `tables`: one a base, in the order of the fit, over the same bars
    ///
    /// # Errors
    /// - [`Error::Shape`] when the number of tables or their lengths differ.
    /// - [`Error::FeatureMismatch`] when a table has other features than at the fit.
    /// - Whatever a base returns.
    pub fn predict_bases(&self, tables: &[&FeatureTable]) -> Result<Array2<f64>> {
        if tables.len() != self.bases.len() {
            let expected = format!("{} tables, one a base", self.bases.len());
            return Err(Error::shape("tables", expected, tables.len().to_string()));
        }
        let n = tables.first().map_or(0, |table| table.n_rows());
        if let Some(other) = tables.iter().find(|table| table.n_rows() != n) {
            let actual = other.n_rows().to_string();
            return Err(Error::shape("tables", format!("{n} rows each"), actual));
        }
        let predict = |base: &dyn Predict, table: &FeatureTable| {
            let ready = table.first_ready_row();
            Ok((ready, predict_block(base, table, ready..n)?))
        };
        let columns: Vec<Result<(usize, Array1<f64>)>> = self
            .bases
            .par_iter()
            .zip(tables)
            .map(|(base, table)| predict(base.as_ref(), table))
            .collect();
        let mut predictions = Array2::from_elem((n, self.bases.len()), f64::NAN);
        for (j, column) in columns.into_iter().enumerate() {
            let (ready, values) = column?;
            predictions.slice_mut(s![ready.., j]).assign(&values);
        }
        Ok(predictions)
    }

    /// Weighs base forecasts; see [`MetaModel::combine`].
    ///
    /// # Errors
    /// As there.
    pub fn combine(&self, predictions: &ArrayRef2<f64>) -> Result<Array1<f64>> {
        self.meta.combine(predictions)
    }

    /// The ensemble's forecasts, `(n_bars,)`, NaN where a base has none.
    ///
    /// # Errors
    /// As [`predict_bases`](Self::predict_bases).
    pub fn predict(&self, tables: &[&FeatureTable]) -> Result<Array1<f64>> {
        self.combine(&self.predict_bases(tables)?)
    }
}
