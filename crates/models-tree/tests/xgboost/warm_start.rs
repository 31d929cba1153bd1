use forecastle_core::{Error, Fit, Load, Predict, PredictExt, Rows};
use forecastle_models_tree::{
    AutoBoosting, AutoBoostingParams, BoostingEngine, BoostingParams, EarlyStopping, Loss, Xgboost,
    XgboostParams,
};

use crate::sample::{Sample, cases, holed, library, plain, sampled, table};

fn rounds(model: &Xgboost) -> (usize, usize) {
    let report = model.report().unwrap();
    (report.rounds, report.best_round)
}

#[test]
fn rounds_and_further_rounds_are_all_of_them_at_once() {
    let Some(library) = library() else { return };
    for (name, sample, params) in cases() {
        // XGBoost draws from its seed anew; what draws nothing is the same.
        let params = XgboostParams {
            n_rounds: 20,
            early_stopping: None,
            subsample: 1.0,
            colsample_bytree: 1.0,
            colsample_bylevel: 1.0,
            colsample_bynode: 1.0,
            ..params
        };
        let first = sample.fit(&library, XgboostParams { n_rounds: 13, ..params });
        let more = XgboostParams { n_rounds: 7, base_score: Some(99.0), ..params };
        let on = more.fit_from(sample.dataset(), &first).unwrap();
        let at_once = sample.fit(&library, params);
        assert_eq!((on.n_trees(), rounds(&on)), (20, (7, 7)), "{name}");
        assert_eq!(on.base_score(), at_once.base_score(), "{name}");
        let (told, expected) = (on.predict(&sample.records), at_once.predict(&sample.records));
        assert_eq!(told.unwrap(), expected.unwrap(), "{name}");
        let losses = &at_once.report().unwrap().train_loss;
        assert_eq!(on.report().unwrap().train_loss, losses[13..], "{name}");
    }
}

#[test]
fn new_trees_draw_by_another_seed_than_the_old_ones() {
    let Some(library) = library() else { return };
    let sample = holed();
    let start = sample.fit(&library, XgboostParams { n_rounds: 20, ..sampled() });
    let on = sampled().fit_from(sample.dataset(), &start).unwrap();
    let again = sampled().fit_from(sample.dataset(), &start).unwrap();
    assert_eq!(on.to_ubj().unwrap(), again.to_ubj().unwrap());
    // As if the seed of the new trees were that of the old ones.
    let same = XgboostParams { seed: sampled().seed.wrapping_sub(20), ..sampled() };
    let same = same.fit_from(sample.dataset(), &start).unwrap();
    assert_ne!(on.predict(&sample.records).unwrap(), same.predict(&sample.records).unwrap());
}

#[test]
fn early_stopping_takes_the_start_for_round_0() {
    let Some(library) = library() else { return };
    let sample = table();
    let early_stopping = Some(EarlyStopping { patience: 5, validation_share: 0.25 });
    let params = XgboostParams { learning_rate: 0.3, n_rounds: 500, early_stopping, ..plain() };
    let at_once = sample.fit(&library, params);
    let expected = at_once.predict(&sample.records).unwrap();
    let (all, best) = rounds(&at_once);
    let start = sample.fit(&library, XgboostParams { n_rounds: 4, ..params });
    assert_eq!((start.n_trees(), rounds(&start)), (4, (4, 4)));
    let on = params.fit_from(sample.dataset(), &start).unwrap();
    assert_eq!(rounds(&on), (all - 4, best - 4));
    assert_eq!(on.predict(&sample.records).unwrap(), expected);
    let again = params.fit_from(sample.dataset(), &at_once).unwrap();
    assert_eq!((again.n_trees(), rounds(&again)), (best, (5, 0)));
    assert_eq!(again.predict(&sample.records).unwrap(), expected);
    let losses = &at_once.report().unwrap().validation_loss;
    assert_eq!(again.report().unwrap().validation_loss, losses[best..]);
    let loaded = Xgboost::load(&again.save().unwrap()).unwrap();
    assert_eq!(loaded.predict(&sample.records).unwrap(), expected);
}

#[test]
fn a_start_without_trees_is_its_base_score() {
    let Some(library) = library() else { return };
    let mut sample = table();
    // A tail that goes the other way: no tree can help.
    let x = sample.records.column(0).to_owned();
    sample.targets = (0..600).map(|i| if i < 338 { x[i] } else { -x[i] }).collect();
    let early_stopping = Some(EarlyStopping { patience: 5, validation_share: 0.25 });
    let start = sample.fit(&library, XgboostParams { early_stopping, ..plain() });
    assert_eq!(start.n_trees(), 0);
    let mut other = table();
    other.rows = Rows::from(100..550);
    let on = plain().fit_from(other.dataset(), &start).unwrap();
    assert_eq!((on.n_trees(), on.base_score()), (50, start.base_score()));
    let cold = XgboostParams { base_score: Some(start.base_score()), ..plain() };
    let expected = other.fit(&library, cold).predict(&other.records).unwrap();
    assert_eq!(on.predict(&other.records).unwrap(), expected);
    let still = XgboostParams { early_stopping, ..plain() };
    let still = still.fit_from(sample.dataset(), &start).unwrap();
    assert_eq!((still.n_trees(), still.base_score()), (0, start.base_score()));
}

#[test]
fn what_does_not_fit_the_start_is_refused_and_too_many_trees_begin_anew() {
    let Some(library) = library() else { return };
    let sample = table();
    let start = sample.fit(&library, plain());
    let mut swapped = sample.clone();
    swapped.names.swap(0, 4);
    let told = plain().fit_from(swapped.dataset(), &start).unwrap_err();
    assert!(matches!(told, Error::FeatureMismatch { index: 0, .. }), "{told}");
    let huber = XgboostParams { loss: Loss::Huber { delta: 1.0 }, ..plain() };
    let told = huber.fit_from(sample.dataset(), &start).unwrap_err();
    assert!(matches!(told, Error::InvalidParameter { name: "loss", .. }), "{told}");
    let small = Sample { rows: Rows::from(0..20), ..table() };
    let stump = XgboostParams { max_depth: 1, ..plain() };
    let many = XgboostParams { n_rounds: BoostingParams::MAX_TREES - 49, ..stump };
    let anew = many.fit_from(small.dataset(), &start).unwrap();
    assert_eq!(anew.n_trees(), BoostingParams::MAX_TREES - 49);
    let on = stump.fit_from(small.dataset(), &anew).unwrap();
    assert_eq!(on.n_trees(), 50);
}

#[test]
fn the_engine_of_the_start_goes_on_and_another_one_is_refused() {
    let sample = table();
    let engine = |engine| AutoBoostingParams { engine, ..Default::default() };
    let auto = engine(BoostingEngine::Auto);
    let ours = engine(BoostingEngine::PureRust);
    let theirs = engine(BoostingEngine::Xgboost);
    let check = |params: AutoBoostingParams, start: &AutoBoosting| {
        let model = params.fit_from(sample.dataset(), start).unwrap();
        assert_eq!((model.engine(), model.reason()), (start.engine(), start.reason()));
        let expected = match (start.as_boosting(), start.as_xgboost()) {
            (Some(start), _) => {
                assert_eq!(model.as_boosting().unwrap().n_trees(), 2 * start.n_trees());
                let on = params.boosting.fit_from(sample.dataset(), start).unwrap();
                on.predict(&sample.records).unwrap()
            }
            (None, start) => {
                let start = start.unwrap();
                assert_eq!(model.as_xgboost().unwrap().n_trees(), 2 * start.n_trees());
                let params = XgboostParams::from(params.boosting);
                params.fit_from(sample.dataset(), start).unwrap().predict(&sample.records).unwrap()
            }
        };
        assert_eq!(model.predict(&sample.records).unwrap(), expected);
    };
    let refused = |params: AutoBoostingParams, start: &AutoBoosting| {
        let told = params.fit_from(sample.dataset(), start).unwrap_err();
        assert!(matches!(told, Error::InvalidParameter { name: "start", .. }), "{told}");
    };
    let start = ours.fit(sample.dataset()).unwrap();
    check(ours, &start);
    check(auto, &start);
    refused(theirs, &start);
    if library().is_none() {
        return;
    }
    let start = theirs.fit(sample.dataset()).unwrap();
    check(theirs, &start);
    check(auto, &start);
    refused(ours, &start);
}
