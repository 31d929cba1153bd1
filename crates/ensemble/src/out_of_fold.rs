use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use forecastle_core::{
    Dataset, DynFit, Error, FeatureTable, Predict, PredictExt, Progress, ProgressEvent, Result,
    Rows, Split, WalkForward, check_feature_names,
};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tracing::{debug, debug_span};

const STAGE: &str = "stacking";

/// Names a base model and the table it reads.
///
/// Tables may differ from base to base (a Kalman filter reads log closes, a ridge scale-free
/// features); their rows must be the same bars.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// The model's name in results; distinct.
    pub name: &'a str,
    /// The model, unfitted.
    pub model: &'a dyn DynFit,
    /// What it reads, `(n_bars, n_features)`.
    pub table: &'a FeatureTable,
}

/// Lets every base forecast blocks it has not seen: walk forward, learn from the past of a block,
/// purged by the horizon, and forecast the block.
///
/// - `targets`: `(n_bars,)`, returns, so that zero is the naive forecast
/// - `rows`: the labelled rows; blocks are laid over the bars from the first of them to `horizon`
///   bars past the last, and every bar of a block is forecast, so that the newest bars, whose labels
///   are not known yet, have an out-of-fold forecast too
///
/// Models with a [lookback](Predict::lookback) get the rows before the block as context, back to
/// the first row in which their table is complete. Folds and bases run in parallel; the numbers do
/// not depend on the number of threads. `progress` hears of every forecast block in the stage
/// `stacking`, and of the bases' own steps in theirs, from several fits at once.
///
/// # Errors
/// - [`Error::InvalidParameter`] without bases, with two of one name, or with bad `folds`.
/// - [`Error::Shape`] when tables and targets differ in length.
/// - [`Error::NotEnoughData`] when a fold has nothing to learn from or to judge.
/// - [`Error::Cancelled`] when `progress` asks to stop.
/// - Whatever a base returns; of several, the earliest fold's, then the first base's.
pub fn out_of_fold(
    bases: &[Base<'_>],
    targets: &ArrayRef1<f64>,
    rows: &Rows,
    folds: &WalkForward,
    progress: &dyn Progress,
) -> Result<OutOfFold> {
    check_bases(bases, targets.len(), rows)?;
    let first = rows.iter().next().unwrap_or(0);
    let mut splits =
        folds.split(first..rows.end().saturating_add(folds.horizon).min(targets.len()))?;
    for split in &mut splits {
        split.train = intersection(rows, &split.train)?;
        if split.train.is_empty() {
            return Err(Error::not_enough_data("a fold of the stacking", 1, 0));
        }
    }
    let tasks: Vec<_> =
        (0..splits.len()).flat_map(|fold| (0..bases.len()).map(move |base| (fold, base))).collect();
    let done = AtomicU64::new(0);
    let span = debug_span!("out_of_fold", bases = bases.len(), folds = splits.len());
    let run = |&(fold, base): &(usize, usize)| -> Result<Array1<f64>> {
        let (split, base): (&Split, &Base<'_>) = (&splits[fold], &bases[base]);
        // Told by name: the task may run on any thread.
        let span = debug_span!(parent: &span, "fold", fold, base = base.name);
        let _entered = span.enter();
        let fitted = fit(base, targets, &split.train, folds.horizon, progress, None)?;
        let block = predict_block(fitted.as_ref(), base.table, split.test.clone())?;
        debug!(rows = split.train.len(), forecasts = block.len(), "forecast");
        let count = done.fetch_add(1, Ordering::Relaxed) + 1;
        progress.update(&ProgressEvent::new(STAGE, count, Some(tasks.len() as u64)));
        Ok(block)
    };
    let blocks: Vec<Result<Array1<f64>>> = tasks.par_iter().with_max_len(1).map(run).collect();
    let mut predictions = Array2::from_elem((targets.len(), bases.len()), f64::NAN);
    for (&(fold, base), block) in tasks.iter().zip(blocks) {
        let test = splits[fold].test.clone();
        predictions.slice_mut(s![test, base]).assign(&block?);
    }
    let mut known = Array1::from_elem(targets.len(), f64::NAN);
    let start = splits.first().map_or(0, |split| split.test.start);
    for row in rows.from_row(start).iter() {
        known[row] = targets[row];
    }
    Ok(OutOfFold {
        names: bases.iter().map(|base| base.name.to_owned()).collect(),
        horizon: folds.horizon,
        folds: splits,
        predictions,
        targets: known,
    })
}

/// Checks what every base needs: a name of its own, a table over the same bars.
fn check_bases(bases: &[Base<'_>], n_bars: usize, rows: &Rows) -> Result<()> {
    if bases.is_empty() {
        return Err(Error::invalid_parameter("bases", "at least one model", 0));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = bases.iter().find(|base| !seen.insert(base.name)) {
        return Err(Error::invalid_parameter("bases", "of distinct names", twice.name));
    }
    if let Some(base) = bases.iter().find(|base| base.table.n_rows() != n_bars) {
        let actual = format!("{} rows for {:?}", base.table.n_rows(), base.name);
        return Err(Error::shape("table", format!("{n_bars} rows"), actual));
    }
    if rows.end() > n_bars {
        let expected = format!("row numbers below {n_bars}");
        return Err(Error::shape("rows", expected, (rows.end() - 1).to_string()));
    }
    Ok(())
}

fn intersection(a: &Rows, b: &Rows) -> Result<Rows> {
    let parts = b.ranges().iter().map(|r| a.from_row(r.start).before(r.end));
    Rows::new(parts.flat_map(|rows| rows.ranges().to_vec()))
}

/// Fits a base, from an earlier model on where there is one.
pub(crate) fn fit(
    base: &Base<'_>,
    targets: &ArrayRef1<f64>,
    rows: &Rows,
    horizon: usize,
    progress: &dyn Progress,
    start: Option<&dyn Predict>,
) -> Result<Box<dyn Predict>> {
    if progress.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let dataset = Dataset::from_table(base.table, targets, rows, horizon)?;
    let dataset = dataset.with_progress(progress);
    match start {
        Some(start) => base.model.fit_from_dyn(dataset, start),
        None => base.model.fit_dyn(dataset),
    }
}

/// Forecasts the rows of `block` with the history that the model reads and nothing after them.
pub(crate) fn predict_block(
    model: &dyn Predict,
    table: &FeatureTable,
    block: Range<usize>,
) -> Result<Array1<f64>> {
    check_feature_names(model.feature_names(), table.names())?;
    let ready = table.first_ready_row().min(block.start);
    let context = model.lookback().context(block.start - ready);
    let from = block.start - context;
    let records = table.values().slice(s![from..block.end, ..]);
    Ok(model.predict(&records)?.slice_move(s![context..]))
}

/// Holds the bases' forecasts of rows they had not learnt from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct OutOfFold {
    names: Vec<String>,
    horizon: usize,
    folds: Vec<Split>,
    predictions: Array2<f64>,
    targets: Array1<f64>,
}

impl OutOfFold {
    /// The bases' names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Bars that a label reaches into the future.
    pub fn horizon(&self) -> usize {
        self.horizon
    }

    /// What each fold learnt from and was judged on, in time order.
    pub fn folds(&self) -> &[Split] {
        &self.folds
    }

    /// `(n_bars, n_bases)`, NaN outside the folds' blocks.
    pub fn predictions(&self) -> &ArrayRef2<f64> {
        &self.predictions
    }

    /// `(n_bars,)`: the labels of the judged rows, NaN elsewhere.
    pub fn targets(&self) -> &ArrayRef1<f64> {
        &self.targets
    }

    /// All bars that were forecast: the blocks follow each other without a gap.
    pub fn rows(&self) -> Range<usize> {
        match (self.folds.first(), self.folds.last()) {
            (Some(first), Some(last)) => first.test.start..last.test.end,
            _ => 0..0,
        }
    }

    /// Forecasts and labels of the labelled rows that were forecast below `limit`:
    /// `(n, n_bases)`, `(n,)`.
    pub fn labelled(&self, limit: usize) -> (Array2<f64>, Array1<f64>) {
        let rows = self.rows();
        let end = rows.end.min(limit);
        let known = (rows.start..end).filter(|&t| self.targets[t].is_finite());
        let known: Vec<usize> = known.collect();
        let predictions = Array2::from_shape_fn((known.len(), self.names.len()), |(i, j)| {
            self.predictions[[known[i], j]]
        });
        (predictions, known.iter().map(|&t| self.targets[t]).collect())
    }
}

/// The same without the NaN frame.
#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    names: Vec<String>,
    horizon: usize,
    n_bars: usize,
    train: Vec<Rows>,
    test: Vec<Range<usize>>,
    /// Row by row over the blocks.
    predictions: Vec<f64>,
    labelled: Vec<(usize, f64)>,
}

impl From<OutOfFold> for Saved {
    fn from(table: OutOfFold) -> Self {
        let rows = table.rows();
        let labelled = table.targets.indexed_iter().filter(|(_, v)| v.is_finite());
        Self {
            horizon: table.horizon,
            n_bars: table.targets.len(),
            predictions: table.predictions.slice(s![rows, ..]).iter().copied().collect(),
            labelled: labelled.map(|(t, &v)| (t, v)).collect(),
            train: table.folds.iter().map(|fold| fold.train.clone()).collect(),
            test: table.folds.iter().map(|fold| fold.test.clone()).collect(),
            names: table.names,
        }
    }
}

impl TryFrom<Saved> for OutOfFold {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        let refuse = |reason: &str| Err(Error::artifact(format!("out-of-fold table: {reason}")));
        let Saved { n_bars, .. } = saved;
        if saved.test.len() != saved.train.len() || saved.names.is_empty() {
            return refuse("a fold or the names are missing");
        }
        let split = |(train, test)| Split { train, test };
        let folds: Vec<Split> = saved.train.into_iter().zip(saved.test).map(split).collect();
        let ordered = folds.windows(2).all(|pair| pair[0].test.end == pair[1].test.start);
        let inside = |fold: &Split| fold.test.start <= fold.test.end && fold.test.end <= n_bars;
        if !ordered || !folds.iter().all(inside) {
            return refuse("its blocks do not follow each other");
        }
        let mut table = Self {
            horizon: saved.horizon,
            folds,
            // Checked against the numbers below, before anything of that size is made.
            predictions: Array2::zeros((0, 0)),
            targets: Array1::zeros(0),
            names: saved.names,
        };
        let rows = table.rows();
        let shape = (rows.len(), table.names.len());
        let Ok(block) = Array2::from_shape_vec(shape, saved.predictions) else {
            return refuse("it holds another number of forecasts than its blocks have");
        };
        table.predictions = Array2::from_elem((n_bars, shape.1), f64::NAN);
        table.predictions.slice_mut(s![rows.clone(), ..]).assign(&block);
        table.targets = Array1::from_elem(n_bars, f64::NAN);
        for (t, value) in saved.labelled {
            if !rows.contains(&t) {
                return refuse("a label lies outside its blocks");
            }
            table.targets[t] = value;
        }
        Ok(table)
    }
}
