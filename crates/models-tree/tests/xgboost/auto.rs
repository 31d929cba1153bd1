use forecastle_core::{Error, Fit, Load, Predict, PredictExt};
use forecastle_models_tree::{
    AutoBoosting, AutoBoostingParams, BoostingEngine, BoostingParams, Loss, XgboostLibrary,
    XgboostParams,
};
use ndarray::Array2;

use crate::sample::{Sample, library, table};

#[test]
fn xgboost_speaks_where_it_is_found_and_the_model_says_so() {
    let Some(library) = library() else { return };
    let sample = table();
    let params = AutoBoostingParams::default();
    let model = params.fit(sample.dataset()).unwrap();
    assert_eq!(model.engine(), format!("XGBoost {}", library.version()));
    assert!(model.reason().contains(library.path().to_str().unwrap()), "{}", model.reason());
    let xgboost = sample.fit(&library, XgboostParams::from(params.boosting));
    let expected = xgboost.predict(&sample.records).unwrap();
    assert_eq!(model.predict(&sample.records).unwrap(), expected);
    assert_eq!(model.predict_row(&sample.records.row(0).to_vec()).unwrap(), expected[0]);
    assert_eq!(model.gain_importance(), xgboost.gain_importance());
    assert_eq!(model.report(), xgboost.report());
    assert!(model.as_xgboost().is_some() && model.as_boosting().is_none());
    let loaded = AutoBoosting::load(&model.save().unwrap()).unwrap();
    assert_eq!((loaded.engine(), loaded.reason()), (model.engine(), model.reason()));
    assert_eq!(loaded.predict(&sample.records).unwrap(), expected);
}

#[test]
fn what_xgboost_cannot_do_is_done_by_ours() {
    let Some(library) = library() else { return };
    let huber = BoostingParams { loss: Loss::Huber { delta: 1.0 }, ..Default::default() };
    let params = AutoBoostingParams::from(huber);
    let sample = table();
    let model = params.fit_found(Ok(library), sample.dataset()).unwrap();
    assert_eq!(model.engine(), "histogram gradient boosting, pure Rust");
    assert!(model.reason().contains("loss"), "{}", model.reason());
    let asked = AutoBoostingParams { engine: BoostingEngine::Xgboost, ..params };
    let told = asked.fit_found(Ok(library), sample.dataset());
    assert!(matches!(told, Err(Error::InvalidParameter { name: "loss", .. })));
    let empty = Sample::new(Array2::zeros((20, 0)), (0..20).map(f64::from).collect());
    let model = AutoBoostingParams::default().fit_found(Ok(library), empty.dataset()).unwrap();
    assert!(model.as_boosting().is_some() && model.reason().contains("columns"));
    // A parameter that is wrong for both is no reason to change the engine.
    let wrong = BoostingParams { n_rounds: 0, ..Default::default() };
    let told = AutoBoostingParams::from(wrong).fit_found(Ok(library), sample.dataset());
    assert!(matches!(told, Err(Error::InvalidParameter { name: "n_rounds", .. })));
}

#[test]
fn an_engine_can_be_asked_for() {
    let found = XgboostLibrary::find().is_ok();
    let sample = table();
    let ours = AutoBoostingParams { engine: BoostingEngine::PureRust, ..Default::default() };
    let model = ours.fit(sample.dataset()).unwrap();
    assert_eq!(model.reason(), "asked for");
    let boosting = ours.boosting.fit(sample.dataset()).unwrap();
    assert_eq!(model.as_boosting(), Some(&boosting));
    let theirs = AutoBoostingParams { engine: BoostingEngine::Xgboost, ..ours };
    assert_eq!(theirs.fit(sample.dataset()).is_ok(), found);
}

#[test]
fn parameters_are_read_from_text_and_unknown_keys_refused() {
    let text = "engine = \"pure_rust\"\nxgboost_threads = 2\n[boosting]\nn_rounds = 7\n";
    let params: AutoBoostingParams = toml::from_str(text).unwrap();
    let boosting = BoostingParams { n_rounds: 7, ..Default::default() };
    let engine = BoostingEngine::PureRust;
    assert_eq!(params, AutoBoostingParams { engine, boosting, xgboost_threads: 2 });
    let back: AutoBoostingParams = toml::from_str(&toml::to_string(&params).unwrap()).unwrap();
    assert_eq!(back, params);
    assert!(toml::from_str::<AutoBoostingParams>("engines = \"auto\"").is_err());
    let xgboost: XgboostParams = toml::from_str("threads = 4\nloss = \"absolute\"").unwrap();
    assert_eq!((xgboost.threads, xgboost.loss), (4, Loss::Absolute));
    assert_eq!(xgboost.n_rounds, BoostingParams::default().n_rounds);
    assert!(toml::from_str::<XgboostParams>("eta = 0.1").is_err());
}
