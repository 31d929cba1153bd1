use std::sync::Mutex;

use forecastle_core::{Error, Fit, PredictExt, Progress, ProgressEvent, Rows};
use forecastle_models_tree::{EarlyStopping, Growth, Loss, XgboostError, XgboostParams};

use crate::sample::{holed, library, plain, sampled, table, weighted};

fn stopping() -> XgboostParams {
    let early = EarlyStopping { patience: 5, validation_share: 0.25 };
    XgboostParams { n_rounds: 500, early_stopping: Some(early), learning_rate: 0.3, ..plain() }
}

#[test]
fn the_fit_stops_and_keeps_the_best_round() {
    let Some(library) = library() else { return };
    let mut sample = table();
    sample.rows = Rows::from(0..600);
    let model = sample.fit(&library, stopping());
    let report = model.report().unwrap();
    assert!(report.rounds < 500 && report.best_round + 5 == report.rounds, "{report:?}");
    assert_eq!(model.n_trees(), report.best_round);
    assert_eq!(report.validation_loss.len(), report.rounds);
    let least = report.validation_loss.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(report.validation_loss[report.best_round - 1], least);
    let predicted = model.predict(&sample.records).unwrap();
    let loss = |from: usize, to: usize| {
        let squares = (from..to).map(|i| (sample.targets[i] - predicted[i]).powi(2));
        squares.sum::<f64>() / (to - from) as f64
    };
    // Those of the kept trees on the last quarter, and on what was learnt: one row is purged.
    assert!((loss(450, 600) - least).abs() < 1e-12);
    assert!((loss(0, 449) - report.train_loss[report.best_round - 1]).abs() < 1e-12);
    assert_eq!((report.train_rows, report.validation_rows), (449, 150));
    assert_eq!(report.base_score, model.base_score());
}

#[test]
fn rows_whose_labels_reach_into_the_tail_are_not_learnt_from() {
    let Some(library) = library() else { return };
    let mut sample = table();
    sample.rows = Rows::from(0..600);
    sample.horizon = 30;
    let expected = sample.fit(&library, stopping()).to_ubj().unwrap();
    sample.targets.slice_mut(ndarray::s![420..450]).fill(1e6);
    assert_eq!(sample.fit(&library, stopping()).to_ubj().unwrap(), expected);
    sample.targets[419] = 1e6;
    assert_ne!(sample.fit(&library, stopping()).to_ubj().unwrap(), expected);
    sample.horizon = 600;
    assert!(stopping().fit_with(&library, sample.dataset()).unwrap_err().is_not_enough_data());
}

#[test]
fn without_a_signal_no_tree_is_kept() {
    let Some(library) = library() else { return };
    for base_score in [None, Some(0.25)] {
        let mut sample = table();
        // The tail goes the other way: no tree can help.
        for i in 0..450 {
            let x = sample.records[[i, 0]];
            sample.targets[i] = if i < 337 { x } else { -x };
        }
        let model = sample.fit(&library, XgboostParams { base_score, ..stopping() });
        let report = model.report().unwrap();
        assert_eq!((report.best_round, model.n_trees()), (0, 0));
        assert_eq!(base_score.unwrap_or(report.base_score), report.base_score);
        let predicted = model.predict(&sample.records).unwrap();
        assert!(predicted.iter().all(|&p| p == report.base_score), "{predicted}");
        assert_eq!(model.gain_importance().sum(), 0.0);
    }
}

#[test]
fn an_objective_of_ones_own_equals_the_built_in_one() {
    let Some(library) = library() else { return };
    for sample in [holed(), weighted(holed())] {
        for params in [plain(), sampled(), stopping()] {
            let params = XgboostParams { base_score: Some(3.5), ..params };
            let built_in = sample.fit(&library, params);
            let squared = |target: f64, prediction: f64| (prediction - target, 1.0);
            let own = params.fit_objective(&library, sample.dataset(), squared).unwrap();
            assert_eq!(own.to_ubj().unwrap(), built_in.to_ubj().unwrap());
            let steep = |target: f64, prediction: f64| (prediction - target, 2.0);
            let other = params.fit_objective(&library, sample.dataset(), steep).unwrap();
            assert_ne!(other.to_ubj().unwrap(), built_in.to_ubj().unwrap());
        }
    }
}

#[test]
fn an_objective_of_ones_own_may_be_one_that_xgboost_lacks() {
    let Some(library) = library() else { return };
    let mut sample = table();
    // One target in ten is spoilt, and leaves of few rows would learn even so.
    (0..450).step_by(10).for_each(|i| sample.targets[i] += 1e3);
    let delta = 1.0;
    let params = XgboostParams {
        loss: Loss::Huber { delta },
        min_child_weight: 30.0,
        n_rounds: 200,
        ..plain()
    };
    assert!(params.fit_with(&library, sample.dataset()).is_err());
    let huber = |target: f64, prediction: f64| ((prediction - target).clamp(-delta, delta), 1.0);
    let model = params.fit_objective(&library, sample.dataset(), huber).unwrap();
    // Begins at the best constant of `loss`, near the median.
    let clean = table();
    assert!((model.base_score() - 3.5).abs() < 1.0, "{}", model.base_score());
    let predicted = model.predict(&sample.records).unwrap();
    let error = (450..600).map(|i| (clean.targets[i] - predicted[i]).abs()).sum::<f64>() / 150.0;
    let squared = XgboostParams { loss: Loss::Squared, ..params };
    let pulled = sample.fit(&library, squared).predict(&sample.records).unwrap();
    let worse = (450..600).map(|i| (clean.targets[i] - pulled[i]).abs()).sum::<f64>() / 150.0;
    assert!(error < 1.0 && worse > 20.0, "{error} against {worse}");
    let wild = |_, _| (f64::NAN, 1.0);
    let told = params.fit_objective(&library, sample.dataset(), wild);
    assert!(matches!(told, Err(Error::Numerical { .. })));
}

#[test]
fn quantiles_cover_their_share() {
    let Some(library) = library() else { return };
    for alpha in [0.1, 0.5, 0.9] {
        let sample = table();
        let params = XgboostParams { loss: Loss::Quantile { alpha }, n_rounds: 100, ..plain() };
        let predicted = sample.fit(&library, params).predict(&sample.records).unwrap();
        let below = (0..450).filter(|&i| sample.targets[i] <= predicted[i]).count() as f64 / 450.0;
        assert!((below - alpha).abs() < 0.1, "{alpha}: {below}");
    }
}

#[test]
fn a_fit_depends_on_the_seed_and_not_on_threads() {
    let Some(library) = library() else { return };
    let sample = holed();
    let fit = |params| sample.fit(&library, params).to_ubj().unwrap();
    let expected = fit(sampled());
    assert_eq!(fit(sampled()), expected);
    assert_ne!(fit(XgboostParams { seed: 12, ..sampled() }), expected);
    // Not promised by XGBoost, but so at this size.
    for threads in [0, 2, 3, 4] {
        assert_eq!(fit(XgboostParams { threads, ..sampled() }), expected, "{threads}");
    }
}

#[test]
fn leaf_wise_and_deep_trees_are_possible() {
    let Some(library) = library() else { return };
    let growth = Growth::LeafWise;
    for params in [
        XgboostParams { max_depth: 64, ..plain() },
        XgboostParams { max_depth: 64, growth, ..plain() },
        XgboostParams { max_depth: 0, max_leaves: 40, ..plain() },
        XgboostParams { max_bins: 65_536, ..plain() },
        XgboostParams { max_bins: 2, ..plain() },
        XgboostParams { learning_rate: 1e-7, min_child_weight: 1e30, ..plain() },
        XgboostParams { seed: u64::MAX, ..sampled() },
    ] {
        let sample = table();
        let model = sample.fit(&library, params);
        assert_eq!(model.n_trees(), 50);
        assert!(model.predict(&sample.records).unwrap().iter().all(|p| p.is_finite()));
    }
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
    let Some(library) = library() else { return };
    let sample = table();
    let watch = Watch::default();
    let dataset = sample.dataset().with_progress(&watch);
    let model = stopping().fit_with(&library, dataset).unwrap();
    let seen = watch.seen.into_inner().unwrap();
    let report = model.report().unwrap();
    assert_eq!(seen.len(), report.rounds);
    for (i, &(done, total, loss, validation)) in seen.iter().enumerate() {
        assert_eq!((done, total), (i as u64 + 1, Some(500)));
        assert_eq!(loss, Some(report.train_loss[i]));
        assert_eq!(validation, Some(report.validation_loss[i]));
    }
    let impatient = Watch { stop_after: Some(2), ..Watch::default() };
    let dataset = sample.dataset().with_progress(&impatient);
    assert!(stopping().fit_with(&library, dataset).unwrap_err().is_cancelled());
    assert_eq!(impatient.seen.into_inner().unwrap().len(), 2);
}

#[test]
fn the_library_found_is_the_one_that_fit_uses() {
    let Some(library) = library() else { return };
    let sample = table();
    let model = plain().fit(sample.dataset()).unwrap();
    assert_eq!(model.library().path(), library.path());
    assert_eq!(model.fitted_by(), library.version());
    assert_eq!(model.params(), Some(&plain()));
    // One a process.
    let copy = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("another-xgboost.so");
    std::fs::write(&copy, "no library").unwrap();
    let error = forecastle_models_tree::XgboostLibrary::open(&copy).unwrap_err();
    let Error::Component { source, .. } = &error else { panic!("{error}") };
    let told = source.downcast_ref::<XgboostError>().unwrap();
    assert!(matches!(told, XgboostError::Another { .. }), "{told}");
}

#[test]
fn importance_finds_the_features_that_matter() {
    let Some(library) = library() else { return };
    let sample = table();
    let params = XgboostParams { min_child_weight: 20.0, ..plain() };
    let model = sample.fit(&library, params);
    for importance in [model.gain_importance(), model.mean_gain_importance()] {
        assert!((importance.sum() - 1.0).abs() < 1e-12);
        let least: f64 = (0..3).map(|j| importance[j]).fold(1.0, f64::min);
        assert!(least > importance[3] && least > importance[4], "{importance}");
    }
    assert_eq!(model.gain_importance().len(), 5);
}
