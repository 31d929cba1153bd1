use std::sync::Mutex;

use forecastle_core::{Fit, PredictExt, Progress, ProgressEvent, Rows};
use forecastle_models_tree::{BinnedMatrix, BoostingParams, EarlyStopping};

use crate::sample::{curved, plain};

fn stopping() -> BoostingParams {
    let early = EarlyStopping { patience: 5, validation_share: 0.25 };
    BoostingParams { n_rounds: 500, early_stopping: Some(early), learning_rate: 0.3, ..plain() }
}

#[test]
fn the_fit_stops_and_keeps_the_best_round() {
    let sample = curved(20, 800, 5);
    let model = sample.fit(stopping());
    let report = model.report();
    assert!(report.rounds < 500 && report.best_round + 5 == report.rounds, "{report:?}");
    assert_eq!(model.n_trees(), report.best_round);
    assert_eq!(report.validation_loss.len(), report.rounds);
    let least = report.validation_loss.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(report.validation_loss[report.best_round - 1], least);
    // The reported loss is that of the kept trees on the last quarter.
    let predicted = model.predict(&sample.records).unwrap();
    let squares = (600..800).map(|i| (sample.targets[i] - predicted[i]).powi(2));
    assert!((squares.sum::<f64>() / 200.0 - least).abs() < 1e-12);
}

#[test]
fn rows_whose_labels_reach_into_the_tail_are_purged() {
    let mut sample = curved(20, 800, 5);
    sample.horizon = 30;
    let report = sample.fit(stopping()).report().clone();
    assert_eq!((report.train_rows, report.validation_rows), (570, 200));
    // What is purged is not learnt from.
    let expected = sample.fit(stopping());
    sample.targets.slice_mut(ndarray::s![570..600]).fill(1e6);
    assert_eq!(sample.fit(stopping()), expected);
}

#[test]
fn without_a_signal_no_tree_is_kept() {
    let mut sample = curved(21, 400, 4);
    let mut random = crate::sample::uniform(99);
    sample.targets.iter_mut().for_each(|y| *y = random());
    // A tail whose targets go the other way: no tree can help.
    let x = sample.records.column(0).to_owned();
    for i in 0..400 {
        sample.targets[i] = if i < 300 { x[i] } else { -x[i] };
    }
    let model = sample.fit(stopping());
    assert_eq!((model.report().best_round, model.n_trees()), (0, 0));
    let base = model.report().base_score;
    assert!(model.predict(&sample.records).unwrap().iter().all(|&p| p == base));
}

#[test]
fn too_short_a_history_for_early_stopping_says_so() {
    let mut sample = curved(20, 20, 3);
    sample.horizon = 50;
    assert!(stopping().fit(sample.dataset()).unwrap_err().is_not_enough_data());
}

/// Rounds done, rounds in all, training and validation loss.
type Seen = (u64, Option<u64>, Option<f64>, Option<f64>);

#[derive(Default)]
struct Watch {
    seen: Mutex<Vec<Seen>>,
    stop_after: Option<usize>,
}

impl Progress for Watch {
    fn update(&self, event: &ProgressEvent<'_>) {
        assert_eq!(event.stage, "boosting");
        let seen = (event.done, event.total, event.loss, event.validation_loss);
        self.seen.lock().unwrap().push(seen);
    }

    fn is_cancelled(&self) -> bool {
        self.stop_after.is_some_and(|n| self.seen.lock().unwrap().len() >= n)
    }
}

#[test]
fn progress_is_told_every_round_and_can_stop_the_fit() {
    let sample = curved(22, 200, 3);
    let watch = Watch::default();
    let model = stopping().fit(sample.dataset().with_progress(&watch)).unwrap();
    let seen = watch.seen.into_inner().unwrap();
    let report = model.report();
    assert_eq!(seen.len(), report.rounds);
    for (i, &(done, total, loss, validation)) in seen.iter().enumerate() {
        assert_eq!((done, total), (i as u64 + 1, Some(500)));
        assert_eq!(loss, Some(report.train_loss[i]));
        assert_eq!(validation, Some(report.validation_loss[i]));
    }
    let impatient = Watch { stop_after: Some(2), ..Watch::default() };
    let error = stopping().fit(sample.dataset().with_progress(&impatient)).unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(impatient.seen.into_inner().unwrap().len(), 2);
}

#[test]
fn a_shared_matrix_serves_folds_early_stopping_and_sampling() {
    let mut sample = curved(23, 600, 4);
    let matrix = BinnedMatrix::new(sample.dataset(), 255).unwrap();
    assert_eq!((matrix.n_rows(), matrix.n_features()), (600, 4));
    assert_eq!((matrix.n_bins(0), matrix.n_bins(4)), (Some(255), None));
    for params in crate::sample::parameter_sets() {
        let params = BoostingParams { max_bins: 255, ..params };
        let shared = params.fit_binned(&matrix, sample.dataset()).unwrap();
        if params.early_stopping.is_none() {
            // With early stopping the edges know of the held-back rows.
            assert_eq!(shared, sample.fit(params), "{params:?}");
        }
    }
    sample.rows = Rows::new([0..100, 150..400]).unwrap();
    let fold = plain().fit_binned(&matrix, sample.dataset()).unwrap();
    assert_eq!(fold.report().train_rows, 350);
    let predicted = fold.predict(&sample.records).unwrap();
    let error = crate::sample::mse(&sample, &predicted, 400..600);
    assert!(error < 1.0, "{error}");
    sample.names.reverse();
    assert!(plain().fit_binned(&matrix, sample.dataset()).is_err());
    let other = curved(23, 599, 4);
    assert!(plain().fit_binned(&matrix, other.dataset()).is_err());
}
