use std::borrow::Cow;

use forecastle_core::{
    Dataset, Error, Predict, Progress, ProgressEvent, Result, Rows, check_feature_names,
};
use rayon::prelude::*;
use tracing::{debug_span, trace};

use crate::accumulator::{Cell, Cells, Packed, Quantizer, Scale, Wide};
use crate::boosting::{Boosting, Content};
use crate::forest::Forest;
use crate::grow::{Grower, Soil};
use crate::loss::Loss;
use crate::matrix::{BinnedMatrix, row_number};
use crate::params::{BoostingParams, EarlyStopping};
use crate::report::FitReport;
use crate::sampling::{Purpose, generator, sample_rows, sample_size};
use crate::split::{SplitRules, soften};
use crate::tree::Tree;

/// Rows that one task updates. Losses are summed a chunk at a time and the chunks in order, so the
/// number of threads changes nothing.
const CHUNK: usize = 8192;

/// Fits checked parameters.
///
/// - `start`: a model whose trees to keep and to go on from
pub(crate) fn fit(
    params: &BoostingParams,
    shared: Option<&BinnedMatrix>,
    dataset: Dataset<'_>,
    start: Option<&Boosting>,
) -> Result<Boosting> {
    if let Some(start) = start {
        check_feature_names(start.feature_names(), dataset.feature_names())?;
    }
    let start = start.filter(|start| params.can_go_on_from(start.n_trees()));
    let first_round = start.map_or(0, Boosting::n_trees);
    let span = debug_span!(
        "boosting",
        rows = dataset.n_rows(),
        features = dataset.n_features(),
        n_rounds = params.n_rounds,
        start_trees = first_round,
    );
    let _entered = span.enter();
    if let Some(matrix) = shared {
        matrix.check_fits(dataset)?;
    }
    row_number(dataset.records().nrows())?;
    dataset.require_rows("boosting", 1)?;
    let (head, tail) = hold_back(params.early_stopping, dataset)?;
    let rows = learnt_rows(dataset.with_rows(&head)?)?;
    let matrix = match shared {
        None => Cow::Owned(BinnedMatrix::of_rows(dataset, &rows, params.max_bins)),
        Some(matrix) if rows.len() == matrix.n_rows() => Cow::Borrowed(matrix),
        Some(matrix) => Cow::Owned(matrix.select(&rows)),
    };
    let mut training = State::new(dataset, &rows);
    let base_score = match (start, params.base_score) {
        (Some(start), _) => start.base_score(),
        (None, Some(score)) => score,
        (None, None) => params.loss.best_constant(&mut training.weighted_targets()),
    };
    let begin = |state: &mut State, rows: &[u32]| match start {
        Some(start) => start.predict_rows(dataset.records(), rows, &mut state.predictions),
        None => {
            state.predictions.fill(base_score);
            Ok(())
        }
    };
    begin(&mut training, &rows)?;
    let validation = if tail.is_empty() {
        None
    } else {
        let rows = learnt_rows(dataset.with_rows(&tail)?)?;
        let matrix = match shared {
            None => matrix.bin_rows(dataset.records(), &rows),
            Some(shared) => shared.select(&rows),
        };
        let mut state = State::new(dataset, &rows);
        begin(&mut state, &rows)?;
        Some((matrix, state))
    };
    let report = FitReport {
        base_score,
        train_rows: rows.len(),
        validation_rows: validation.as_ref().map_or(0, |(matrix, _)| matrix.n_rows()),
        ..FitReport::default()
    };
    let mut fit = Trainer {
        params,
        matrix: &matrix,
        training,
        validation,
        rows: Vec::new(),
        left_out: Vec::new(),
        first_round,
        forest: start.map_or_else(Forest::default, |start| start.forest().clone()),
        report,
    };
    fit.run(dataset)?;
    let Trainer { forest, report, .. } = fit;
    report.tell();
    let content = Content { params: *params, base_score, forest, report };
    Ok(Boosting::new(dataset.feature_names().to_vec(), content))
}

/// The selected rows to learn from and, with early stopping, those to validate on.
pub(crate) fn hold_back(
    early_stopping: Option<EarlyStopping>,
    dataset: Dataset<'_>,
) -> Result<(Rows, Rows)> {
    let Some(stopping) = early_stopping else {
        return Ok((dataset.rows().clone(), Rows::default()));
    };
    let n = dataset.n_rows();
    let tail = ((n as f64 * stopping.validation_share).ceil() as usize).clamp(1, n);
    let (head, tail) = dataset.rows().split_tail(tail, dataset.horizon());
    if head.is_empty() {
        let needed = tail.len().saturating_add(dataset.horizon()).saturating_add(1);
        return Err(Error::not_enough_data("boosting with early stopping", needed, n));
    }
    Ok((head, tail))
}

/// The selected rows that count: weight above 0.
pub(crate) fn learnt_rows(dataset: Dataset<'_>) -> Result<Vec<u32>> {
    row_number(dataset.records().nrows())?;
    let counts = |&row: &usize| dataset.weights().is_none_or(|weights| weights[row] > 0.0);
    let rows: Vec<u32> = dataset.rows().iter().filter(counts).map(|row| row as u32).collect();
    if rows.is_empty() {
        return Err(Error::not_enough_data("boosting over rows with a weight", 1, 0));
    }
    Ok(rows)
}

/// Rows with their predictions so far.
struct State {
    targets: Vec<f64>,
    weights: Option<Vec<f64>>,
    total_weight: f64,
    predictions: Vec<f64>,
}

impl State {
    fn new(dataset: Dataset<'_>, rows: &[u32]) -> Self {
        let pick = |from: &ndarray::ArrayRef1<f64>| -> Vec<f64> {
            rows.iter().map(|&row| from[row as usize]).collect()
        };
        let weights = dataset.weights().map(pick);
        Self {
            targets: pick(dataset.targets()),
            total_weight: weights.as_ref().map_or(rows.len() as f64, |w| w.iter().sum()),
            weights,
            predictions: vec![0.0; rows.len()],
        }
    }

    fn weight(&self, row: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights[row])
    }

    fn weighted_targets(&self) -> Vec<(f64, f64)> {
        let row = |(i, &target): (usize, &f64)| (target, self.weight(i));
        self.targets.iter().enumerate().map(row).collect()
    }

    /// Changes the predictions a chunk at a time and returns the mean loss and the largest gradient,
    /// whose chunks go to `gradients` if that is not empty.
    fn update(
        &mut self,
        loss: Loss,
        gradients: &mut [f64],
        change: impl Fn(usize, &mut [f64]) + Sync,
    ) -> (f64, f64) {
        let (targets, weights) = (&self.targets, self.weights.as_deref());
        let one = |i: usize, predictions: &mut [f64], gradients: &mut [f64]| {
            let from = i * CHUNK;
            change(from, predictions);
            let rows = from..from + predictions.len();
            let weights = weights.map(|w| &w[rows.clone()]);
            measure(loss, &targets[rows], weights, predictions, gradients)
        };
        let n = self.predictions.len();
        let sums: Vec<(f64, f64)> = if n <= CHUNK {
            vec![one(0, &mut self.predictions, gradients)]
        } else if gradients.is_empty() {
            let chunks = self.predictions.par_chunks_mut(CHUNK).enumerate();
            chunks.map(|(i, predictions)| one(i, predictions, &mut [])).collect()
        } else {
            let chunks = self.predictions.par_chunks_mut(CHUNK);
            let chunks = chunks.zip(gradients.par_chunks_mut(CHUNK)).enumerate();
            chunks.map(|(i, (predictions, gradients))| one(i, predictions, gradients)).collect()
        };
        let (sum, largest) =
            sums.into_iter().fold((0.0, 0.0_f64), |(s, m), (l, g)| (s + l, m.max(g)));
        (sum / self.total_weight, largest)
    }
}

/// The weighted loss of a chunk and its largest gradient.
fn measure(
    loss: Loss,
    targets: &[f64],
    weights: Option<&[f64]>,
    predictions: &[f64],
    gradients: &mut [f64],
) -> (f64, f64) {
    let (mut sum, mut largest) = (0.0, 0.0_f64);
    let mut rows = |loss: Loss| {
        for (i, (&y, &p)) in targets.iter().zip(predictions).enumerate() {
            let w = weights.map_or(1.0, |weights| weights[i]);
            sum += w * loss.value(y, p);
            if let Some(out) = gradients.get_mut(i) {
                *out = w * loss.gradient(y, p);
                largest = largest.max(out.abs());
            }
        }
    };
    // A loop of its own for each loss.
    match loss {
        Loss::Squared => rows(Loss::Squared),
        Loss::Absolute => rows(Loss::Absolute),
        Loss::Huber { delta } => rows(Loss::Huber { delta }),
        Loss::Quantile { alpha } => rows(Loss::Quantile { alpha }),
    }
    (sum, largest)
}

/// Holds what a fit needs from round to round.
struct Trainer<'a> {
    params: &'a BoostingParams,
    matrix: &'a BinnedMatrix,
    training: State,
    validation: Option<(BinnedMatrix, State)>,
    /// The rows of the last tree, in the order of its leaves' ranges.
    rows: Vec<u32>,
    /// The rows it was not grown on, increasing.
    left_out: Vec<u32>,
    /// Trees of the start: its rounds come before this fit's.
    first_round: usize,
    forest: Forest,
    report: FitReport,
}

impl Trainer<'_> {
    fn run(&mut self, dataset: Dataset<'_>) -> Result<()> {
        let overflow = || Error::numerical("boosting", "the loss overflows; scale the targets");
        let (params, loss) = (self.params, self.params.loss);
        let n = self.training.targets.len();
        let mut quantizer = Quantizer::new(n, self.training.weights.as_deref());
        let mut packed: Option<Grower<Packed>> = None;
        let mut wide: Option<Grower<Wide>> = None;
        let mut gradients = vec![0.0; n];
        let (start, mut largest) = self.training.update(loss, &mut gradients, |_, _| ());
        if !start.is_finite() {
            return Err(overflow());
        }
        let base = |(_, state): &mut (_, State)| state.update(loss, &mut [], |_, _| ()).0;
        let mut best = (self.validation.as_mut().map_or(f64::INFINITY, base), 0);
        for round in 0..params.n_rounds {
            if dataset.progress().is_some_and(Progress::is_cancelled) {
                return Err(Error::Cancelled);
            }
            let drawn = self.first_round + round;
            self.sample(drawn);
            let mut tree = match quantizer.quantize(&gradients, largest) {
                Cells::Packed(cells, scale) => self.grow(&mut packed, cells, scale, drawn),
                Cells::Wide(cells, scale) => self.grow(&mut wide, cells, scale, drawn),
            };
            if loss.renews_leaves() {
                self.renew_leaves(&mut tree);
            }
            let train_loss;
            (train_loss, largest) = self.advance(&tree, &mut gradients);
            if !train_loss.is_finite() {
                return Err(overflow());
            }
            self.forest.push(&tree, self.matrix.features(), params.learning_rate);
            self.report.rounds = round + 1;
            self.report.train_loss.push(train_loss);
            let validation_loss = self.validate(&tree);
            trace!(round = round + 1, train_loss, validation_loss, "round");
            if let Some(progress) = dataset.progress() {
                let (done, total) = (round as u64 + 1, params.n_rounds as u64);
                let event = ProgressEvent::new("boosting", done, Some(total));
                progress.update(&event.with_loss(train_loss, validation_loss));
            }
            if let (Some(loss), Some(stopping)) = (validation_loss, params.early_stopping) {
                self.report.validation_loss.push(loss);
                if loss < best.0 {
                    best = (loss, round + 1);
                } else if round + 1 - best.1 >= stopping.patience {
                    break;
                }
            }
        }
        self.report.best_round = self.report.rounds;
        if self.validation.is_some() {
            self.report.best_round = best.1;
            self.forest.truncate(self.first_round + best.1);
        }
        Ok(())
    }

    /// Draws the rows of a tree.
    fn sample(&mut self, round: usize) {
        let n = self.training.targets.len();
        let wanted = sample_size(n, self.params.subsample);
        if wanted == n {
            self.rows.clear();
            self.rows.extend(0..n as u32);
        } else {
            let mut random = generator(self.params.seed, Purpose::Rows, round);
            sample_rows(&mut random, n as u32, wanted, &mut self.rows, &mut self.left_out);
        }
    }

    fn grow<C: Cell>(
        &mut self,
        grower: &mut Option<Grower<C>>,
        cells: &[C],
        scale: Scale,
        round: usize,
    ) -> Tree {
        let soil = Soil {
            params: self.params,
            matrix: self.matrix,
            cells,
            rules: SplitRules::new(self.params, scale),
            round,
        };
        let grower = grower.get_or_insert_with(|| Grower::new(self.matrix));
        grower.grow(&soil, &mut self.rows)
    }

    /// Lets each leaf answer what suits the residuals of its rows best, shrunk as the Newton step
    /// would be: with residuals that all equal `r`, both give the same.
    fn renew_leaves(&self, tree: &mut Tree) {
        let State { targets, predictions, .. } = &self.training;
        let BoostingParams { loss, l1, l2, .. } = *self.params;
        let best = |leaf: &crate::tree::Leaf| {
            let rows = self.rows[leaf.rows.clone()].iter().map(|&row| row as usize);
            let residual = |i: usize| (targets[i] - predictions[i], self.training.weight(i));
            let mut residuals: Vec<(f64, f64)> = rows.map(residual).collect();
            let weight: f64 = residuals.iter().map(|row| row.1).sum();
            soften(weight * loss.best_constant(&mut residuals), l1) / (weight + l2)
        };
        let values: Vec<f64> = tree.leaves.par_iter().map(best).collect();
        for (leaf, value) in tree.leaves.iter().zip(values) {
            tree.nodes[leaf.node as usize].value = value;
        }
    }

    /// Adds a tree to the training predictions; returns loss and largest gradient.
    fn advance(&mut self, tree: &Tree, gradients: &mut [f64]) -> (f64, f64) {
        let rate = self.params.learning_rate;
        let (rows, left_out) = (&self.rows, &self.left_out);
        let blocks = self.matrix.blocks();
        let change = |from: usize, predictions: &mut [f64]| {
            let to = from + predictions.len();
            for leaf in &tree.leaves {
                let value = rate * tree.nodes[leaf.node as usize].value;
                // Increasing within a leaf.
                for &row in between(&rows[leaf.rows.clone()], from, to) {
                    predictions[row as usize - from] += value;
                }
            }
            for &row in between(left_out, from, to) {
                predictions[row as usize - from] += rate * tree.value(blocks, row as usize);
            }
        };
        self.training.update(self.params.loss, gradients, change)
    }

    /// Adds a tree to the validation predictions; returns the loss.
    fn validate(&mut self, tree: &Tree) -> Option<f64> {
        let rate = self.params.learning_rate;
        let (matrix, state) = self.validation.as_mut()?;
        let change = |from: usize, predictions: &mut [f64]| {
            for (i, prediction) in predictions.iter_mut().enumerate() {
                *prediction += rate * tree.value(matrix.blocks(), from + i);
            }
        };
        Some(state.update(self.params.loss, &mut [], change).0)
    }
}

/// The rows of an increasing list that lie in `from..to`.
fn between(rows: &[u32], from: usize, to: usize) -> &[u32] {
    let first = rows.partition_point(|&row| (row as usize) < from);
    let rest = &rows[first..];
    &rest[..rest.partition_point(|&row| (row as usize) < to)]
}
