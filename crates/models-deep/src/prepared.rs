use forecastle_core::{Dataset, Error, Result, Standardizer};
use ndarray::ArrayRef2;

use crate::samples::{Answers, Samples};
use crate::scaling::{TargetScaling, relative_weights};
use crate::training_params::TrainingParams;

/// Rows to learn from, at least: one says nothing about a spread.
const LEAST_HEAD: usize = 2;

/// Holds a dataset as networks read it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prepared {
    pub(crate) samples: Samples,
    /// Rows to learn from and rows to validate on, all with a positive weight.
    pub(crate) rows: [Vec<usize>; 2],
}

/// Splits off the rows that early stopping validates on; rows without a weight teach nothing and
/// are left out of both parts.
///
/// # Errors
/// - [`Error::NotEnoughData`] with the number of consecutive rows that would do.
pub(crate) fn split_rows(
    what: &'static str,
    dataset: Dataset<'_>,
    training: &TrainingParams,
    lookback: usize,
) -> Result<[Vec<usize>; 2]> {
    let n = dataset.n_rows();
    let share = training.early_stopping.map_or(0.0, |stopping| stopping.validation_share);
    let held_back = |n: usize| match share > 0.0 {
        true => ((n as f64 * share).ceil() as usize).clamp(1, n.max(1)),
        false => 0,
    };
    let (head, tail) = match held_back(n) {
        0 => (dataset.rows().clone(), forecastle_core::Rows::default()),
        tail => dataset.rows().split_tail(tail, dataset.horizon()),
    };
    let weight = relative_weights(dataset);
    let counts = |&row: &usize| weight(row) as f32 > 0.0;
    let head: Vec<usize> = head.iter().filter(counts).collect();
    let tail: Vec<usize> = tail.iter().filter(counts).collect();
    if head.len() >= LEAST_HEAD && (share == 0.0 || !tail.is_empty()) {
        return Ok([head, tail]);
    }
    let purged = if share > 0.0 { dataset.horizon() } else { 0 };
    let least = LEAST_HEAD.saturating_add(purged);
    let enough = |n: &usize| n.saturating_sub(held_back(*n)) >= least;
    let bound = ((least.saturating_add(1)) as f64 / (1.0 - share)).ceil() as usize;
    let needed = (1..=bound).rev().take_while(enough).last().unwrap_or(bound);
    if n >= needed.max(lookback) {
        let weighed = format!("{what} over rows with a weight");
        return Err(Error::not_enough_data(weighed, n.saturating_add(1), head.len() + tail.len()));
    }
    Err(Error::not_enough_data(what, needed.max(lookback), n))
}

impl Prepared {
    /// Standardises every bar up to the last selected one, once.
    ///
    /// History begins at the first complete row.
    ///
    /// # Errors
    /// - [`Error::NonFinite`] when a window holds an incomplete row.
    /// - [`Error::NotEnoughData`] when history is shorter than one window.
    pub(crate) fn new(
        what: &'static str,
        dataset: Dataset<'_>,
        rows: [Vec<usize>; 2],
        lookback: usize,
        standardizer: &Standardizer,
        target: Option<&TargetScaling>,
    ) -> Result<Self> {
        let end = dataset.rows().end();
        let first_bar = first_complete(dataset, end);
        if end - first_bar < lookback {
            return Err(Error::not_enough_data(what, lookback, end - first_bar));
        }
        require_windows(dataset, first_bar, lookback)?;
        let mut records = Vec::new();
        standardise_into(standardizer, dataset.records(), end, &mut records);
        let answers = match target {
            None => Answers::Records,
            Some(target) => {
                Answers::Targets((0..end).map(|i| target.scale(dataset.targets()[i])).collect())
            }
        };
        let weight = relative_weights(dataset);
        let weights = dataset.weights().map(|_| (0..end).map(|i| weight(i) as f32).collect());
        let n_features = dataset.n_features();
        Ok(Self { samples: Samples { records, n_features, first_bar, answers, weights }, rows })
    }
}

/// Writes the first `n` rows, standardised, row-major: `(n, n_features)`.
pub(crate) fn standardise_into(
    standardizer: &Standardizer,
    records: &ArrayRef2<f64>,
    n: usize,
    out: &mut Vec<f32>,
) {
    out.clear();
    out.reserve(n * records.ncols());
    for row in records.rows().into_iter().take(n) {
        out.extend(row.iter().enumerate().map(|(j, &v)| standardizer.scale_value(j, v) as f32));
    }
}

fn first_complete(dataset: Dataset<'_>, end: usize) -> usize {
    let rows = dataset.records().rows();
    let complete = rows.into_iter().take(end).position(|row| row.iter().all(|v| v.is_finite()));
    complete.unwrap_or(end)
}

/// Refuses an incomplete row inside a window that is read.
fn require_windows(dataset: Dataset<'_>, first_bar: usize, lookback: usize) -> Result<()> {
    let mut checked = first_bar;
    for range in dataset.rows().ranges() {
        let from = (range.start + 1).saturating_sub(lookback).max(checked);
        for row in from..range.end {
            let record = dataset.records().row(row);
            if let Some(j) = record.iter().position(|v| !v.is_finite()) {
                let column = dataset.feature_names()[j].clone();
                return Err(Error::NonFinite { what: "records", row, column });
            }
        }
        checked = checked.max(range.end);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EarlyStopping;
    use forecastle_core::Rows;
    use ndarray::{Array1, Array2};

    fn table(n: usize) -> ([String; 2], Array2<f64>, Array1<f64>) {
        let records = Array2::from_shape_fn((n, 2), |(i, j)| (i * (j + 1)) as f64);
        (["a".to_owned(), "b".to_owned()], records, Array1::from_iter((0..n).map(|i| i as f64)))
    }

    fn prepare(records: &Array2<f64>, rows: &Rows, lookback: usize) -> Result<Prepared> {
        let (names, _, targets) = table(records.nrows());
        let dataset = Dataset::new(&names, records, &targets, rows, 1)?;
        let standardizer = Standardizer::fit(dataset, None)?;
        let rows = [dataset.rows().iter().collect(), Vec::new()];
        Prepared::new("test", dataset, rows, lookback, &standardizer, Some(&TargetScaling::NONE))
    }

    #[test]
    fn history_begins_at_the_first_complete_row() {
        let (_, mut records, _) = table(10);
        records[[0, 0]] = f64::NAN;
        records[[2, 1]] = f64::NAN;
        // Row 1 is complete, so the hole in row 2 is inside history.
        let early = Rows::from(4..8);
        assert_eq!(prepare(&records, &early, 2).unwrap().samples.first_bar, 1);
        let error = prepare(&records, &early, 3).unwrap_err();
        assert!(
            matches!(&error, Error::NonFinite { row: 2, column, .. } if column == "b"),
            "{error}"
        );
        records[[1, 0]] = f64::NAN;
        assert_eq!(prepare(&records, &early, 5).unwrap().samples.first_bar, 3);
        let error = prepare(&records, &early, 6).unwrap_err();
        assert!(matches!(error, Error::NotEnoughData { needed: 6, available: 5, .. }), "{error}");
    }

    #[test]
    fn nothing_after_the_last_selected_row_is_read() {
        let (_, mut records, _) = table(10);
        let before = prepare(&records, &Rows::from(2..6), 3).unwrap();
        records.slice_mut(ndarray::s![6.., ..]).fill(f64::NAN);
        let after = prepare(&records, &Rows::from(2..6), 3).unwrap();
        assert_eq!(before, after);
        assert_eq!(after.samples.records.len(), 12);
    }

    #[test]
    fn the_tail_is_purged_and_the_needed_number_of_rows_is_the_smallest_that_works() {
        let (names, records, targets) = table(100);
        let stopping = EarlyStopping { patience: 1, validation_share: 0.2 };
        let training =
            TrainingParams { early_stopping: Some(stopping), ..TrainingParams::default() };
        let split = |n: usize, horizon: usize, lookback: usize| {
            let rows = Rows::from(0..n);
            let dataset = Dataset::new(&names, &records, &targets, &rows, horizon).unwrap();
            split_rows("test", dataset, &training, lookback)
        };
        let [head, tail] = split(100, 5, 32).unwrap();
        assert_eq!((head.last(), tail.first(), tail.len()), (Some(&74), Some(&80), 20));
        for (horizon, lookback) in [(1, 1), (5, 1), (7, 20), (0, 1)] {
            let error = split(1, horizon, lookback).unwrap_err();
            let Error::NotEnoughData { needed, .. } = error else { panic!("{error}") };
            assert!(split(needed, horizon, lookback).is_ok());
            if needed > lookback {
                assert!(split(needed - 1, horizon, lookback).is_err());
            }
        }
    }

    #[test]
    fn rows_without_a_weight_are_left_out() {
        let (names, records, targets) = table(10);
        let mut weights = Array1::from_elem(10, 2.0);
        weights[3] = 0.0;
        weights[8] = 0.0;
        let rows = Rows::from(0..10);
        let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
        let dataset = dataset.with_weights(&weights).unwrap();
        let stopping = EarlyStopping { patience: 1, validation_share: 0.3 };
        let training =
            TrainingParams { early_stopping: Some(stopping), ..TrainingParams::default() };
        let [head, tail] = split_rows("test", dataset, &training, 1).unwrap();
        assert_eq!((head, tail), (vec![0, 1, 2, 4, 5], vec![7, 9]));
        let none = Array1::zeros(10);
        let dataset = dataset.with_weights(&none).unwrap();
        assert!(split_rows("test", dataset, &training, 1).unwrap_err().is_not_enough_data());
    }
}
