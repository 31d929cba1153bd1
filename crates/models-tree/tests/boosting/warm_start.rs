use forecastle_core::{Dataset, DynFit, Error, Fit, Load, Predict, PredictExt, Rows};
use forecastle_models_tree::{Boosting, BoostingParams, EarlyStopping, Loss};
use ndarray::{Array1, s};

use crate::sample::{Sample, curved, parameter_sets, plain};

/// Holes, and weights of which some are 0.
fn rough() -> Sample {
    let mut sample = curved(31, 1500, 5);
    for ((i, j), value) in sample.records.indexed_iter_mut() {
        if (i * 7 + j * 3) % 11 == 0 {
            *value = f64::NAN;
        }
    }
    sample.weights = Some((0..1500).map(|i| f64::from(i % 5)).collect());
    sample
}

fn bits(values: &Array1<f64>) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// That two models have the same trees, whatever they say of their fits.
fn same_trees(a: &Boosting, b: &Boosting, sample: &Sample, what: &str) {
    assert_eq!(a.n_trees(), b.n_trees(), "{what}");
    let (told, expected) =
        (a.predict(&sample.records).unwrap(), b.predict(&sample.records).unwrap());
    assert_eq!(bits(&told), bits(&expected), "{what}");
    assert_eq!(bits(&a.gain_importance()), bits(&b.gain_importance()), "{what}");
}

fn stopping(patience: usize) -> Option<EarlyStopping> {
    Some(EarlyStopping { patience, validation_share: 0.25 })
}

#[test]
fn rounds_and_further_rounds_are_all_of_them_at_once() {
    for sample in [curved(30, 900, 5), rough()] {
        for params in parameter_sets() {
            let params = BoostingParams { early_stopping: None, n_rounds: 20, ..params };
            let first = sample.fit(BoostingParams { n_rounds: 13, ..params });
            let more = BoostingParams { n_rounds: 7, ..params };
            let on = more.fit_from(sample.dataset(), &first).unwrap();
            let at_once = sample.fit(params);
            same_trees(&on, &at_once, &sample, &format!("{params:?}"));
            let (report, whole) = (on.report(), at_once.report());
            assert_eq!((report.rounds, report.best_round), (7, 7));
            assert_eq!(report.base_score.to_bits(), whole.base_score.to_bits());
            assert_eq!(report.train_loss, whole.train_loss[13..]);
        }
    }
}

#[test]
fn a_start_from_a_file_gives_the_bytes_that_the_model_itself_gives() {
    let sample = rough();
    let params = BoostingParams { n_rounds: 9, ..parameter_sets()[4] };
    let start = sample.fit(params);
    let loaded = Boosting::load(&start.save().unwrap()).unwrap();
    let fit = |start: &Boosting, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let model = pool.install(|| params.fit_from(sample.dataset(), start)).unwrap();
        assert_eq!(Boosting::load(&model.save().unwrap()).unwrap(), model);
        model.save().unwrap().to_bytes().unwrap()
    };
    let expected = fit(&start, 1);
    for threads in [1, 2, 5] {
        assert_eq!(fit(&loaded, threads), expected, "{threads} threads");
    }
}

#[test]
fn new_rows_are_learnt_and_the_base_score_and_the_old_trees_stay() {
    let mut sample = curved(32, 1600, 4);
    // From here on everything is 8 higher.
    sample.targets.slice_mut(s![800..]).map_inplace(|y| *y += 8.0);
    sample.rows = Rows::from(0..800);
    let start = sample.fit(plain());
    sample.rows = Rows::from(800..1400);
    let params = BoostingParams { base_score: Some(1e6), ..plain() };
    let model = params.fit_from(sample.dataset(), &start).unwrap();
    assert_eq!(model.report().base_score, start.report().base_score);
    assert_eq!(model.n_trees(), 100);
    let error = |model: &Boosting| {
        let predicted = model.predict(&sample.records).unwrap();
        crate::sample::mse(&sample, &predicted, 1400..1600)
    };
    assert!(error(&start) > 50.0 && error(&model) < 1.0, "{} {}", error(&start), error(&model));
    // The trees of the start, 0 of its own.
    let idle = BoostingParams { early_stopping: stopping(1), learning_rate: 1e-300, ..plain() };
    let idle = idle.fit_from(sample.dataset(), &start).unwrap();
    same_trees(&idle, &start, &sample, "no gain");
}

#[test]
fn early_stopping_takes_the_start_for_round_0() {
    let sample = curved(33, 900, 5);
    let sampled = BoostingParams { subsample: 0.7, colsample_bytree: 0.6, seed: 5, ..plain() };
    let params = BoostingParams {
        n_rounds: 400,
        learning_rate: 0.3,
        early_stopping: stopping(6),
        ..sampled
    };
    let at_once = sample.fit(params);
    let (rounds, best) = (at_once.report().rounds, at_once.report().best_round);
    assert!(best > 10 && rounds == best + 6);
    // A part of the way, on the rows that early stopping leaves.
    let part = BoostingParams { n_rounds: 7, ..params };
    let start = part.fit(sample.dataset()).unwrap();
    assert_eq!(start.report().best_round, 7);
    let on = params.fit_from(sample.dataset(), &start).unwrap();
    same_trees(&on, &at_once, &sample, "the rest of the way");
    assert_eq!((on.report().rounds, on.report().best_round), (rounds - 7, best - 7));
    // What cannot be bettered comes back, after as many rounds as are waited for.
    let again = params.fit_from(sample.dataset(), &at_once).unwrap();
    same_trees(&again, &at_once, &sample, "no way left");
    assert_eq!((again.report().rounds, again.report().best_round), (6, 0));
    assert_eq!(again.report().validation_loss, at_once.report().validation_loss[best..]);
}

#[test]
fn another_loss_goes_on_from_where_the_start_is() {
    let sample = curved(34, 900, 4);
    let start = sample.fit(plain());
    let absolute = BoostingParams { loss: Loss::Absolute, n_rounds: 60, ..plain() };
    let model = absolute.fit_from(sample.dataset(), &start).unwrap();
    let mean = |model: &Boosting| {
        let error = &sample.targets - &model.predict(&sample.records).unwrap();
        error.mapv(f64::abs).sum() / 900.0
    };
    assert!((model.report().train_loss[59] - mean(&model)).abs() < 1e-12);
    assert!(mean(&model) < 0.9 * mean(&start), "{} {}", mean(&model), mean(&start));
}

#[test]
fn a_start_with_other_features_is_refused() {
    let sample = curved(35, 300, 4);
    let start = sample.fit(plain());
    let told = |sample: &Sample| plain().fit_from(sample.dataset(), &start).unwrap_err();
    let mut swapped = sample.clone();
    swapped.names.swap(1, 2);
    assert!(matches!(told(&swapped), Error::FeatureMismatch { index: 1, .. }));
    let fewer = curved(35, 300, 3);
    assert!(matches!(told(&fewer), Error::FeatureMismatch { index: 3, .. }));
    // The same behind `dyn`, and parameters are checked first.
    let wrong = BoostingParams { n_rounds: 0, ..plain() };
    let model: &dyn DynFit = &wrong;
    let told = model.fit_from_dyn(sample.dataset(), &start).unwrap_err();
    assert!(matches!(told, Error::InvalidParameter { name: "n_rounds", .. }), "{told}");
    let model: &dyn DynFit = &plain();
    let on = model.fit_from_dyn(sample.dataset(), &start).unwrap();
    let expected = plain().fit_from(sample.dataset(), &start).unwrap();
    let (on, expected) = (on.predict(&sample.records), expected.predict(&sample.records));
    assert_eq!(on.unwrap(), expected.unwrap());
}

#[test]
fn a_forest_that_would_outgrow_its_bound_is_begun_anew() {
    let sample = curved(36, 60, 3);
    let params = |n_rounds| BoostingParams { n_rounds, max_depth: 1, ..plain() };
    let start = sample.fit(params(BoostingParams::MAX_TREES - 5));
    let fit = |n_rounds| params(n_rounds).fit_from(sample.dataset(), &start).unwrap();
    assert_eq!(fit(5).n_trees(), BoostingParams::MAX_TREES);
    assert_eq!(fit(6), sample.fit(params(6)));
}

#[test]
fn too_few_rows_and_overflow_are_told_as_by_a_cold_fit() {
    let sample = curved(37, 200, 3);
    let start = sample.fit(plain());
    let none = Rows::default();
    let dataset = Dataset::new(&sample.names, &sample.records, &sample.targets, &none, 1).unwrap();
    assert!(plain().fit_from(dataset, &start).unwrap_err().is_not_enough_data());
    let huge = Array1::from_elem(200, 1e300);
    let dataset = Dataset::new(&sample.names, &sample.records, &huge, &sample.rows, 1).unwrap();
    assert!(matches!(plain().fit_from(dataset, &start), Err(Error::Numerical { .. })));
}
