use forecastle_core::{Artifact, Error, Load, Predict, PredictExt};
use forecastle_models_tree::{Boosting, Loss};
use ndarray::array;
use serde_json::{Value, json};

use crate::fixtures::{NAMES, OTHER_VERSIONS, distance, load};

#[test]
fn models_of_xgboost_predict_what_it_predicted() {
    for name in NAMES.into_iter().chain(OTHER_VERSIONS) {
        let fixture = load(name);
        let told = fixture.model.predict(&fixture.records).unwrap();
        let worst = distance(&told, &fixture.predictions);
        assert!(worst < 1e-6, "{name}: {worst:e}");
    }
}

#[test]
fn rows_are_rounded_to_single_precision_as_xgboost_rounds_them() {
    for name in ["missing", "deep"] {
        let fixture = load(name);
        for shift in [1e-9, -1e-9] {
            let records = fixture.records.mapv(|x| {
                let moved = x * (1.0 + shift);
                if x.is_nan() || f64::from(moved as f32) == x { moved } else { x }
            });
            assert!(records.iter().zip(&fixture.records).any(|(a, b)| a != b && !a.is_nan()));
            let told = fixture.model.predict(&records).unwrap();
            assert_eq!(told, fixture.model.predict(&fixture.records).unwrap(), "{name}");
        }
    }
}

#[test]
fn a_row_on_a_threshold_goes_right_and_the_single_below_it_left() {
    let mut document: Value = serde_json::from_slice(&load("plain").json).unwrap();
    let model = &mut document["learner"]["gradient_booster"]["model"];
    let stump = json!({
        "base_weights": [0.0, -1.0, 2.0], "default_left": [0, 0, 0], "id": 0,
        "left_children": [1, -1, -1], "right_children": [2, -1, -1],
        "loss_changes": [3.0, 0.0, 0.0], "parents": [2147483647, 0, 0],
        "split_conditions": [0.1_f32, -1.0, 2.0], "split_indices": [2, 0, 0],
        "split_type": [0, 0, 0], "sum_hessian": [5.0, 2.0, 3.0],
        "tree_param": {"num_deleted": "0", "num_feature": "5", "num_nodes": "3",
            "size_leaf_vector": "1"},
    });
    model["trees"] = json!([stump]);
    model["tree_info"] = json!([0]);
    model["iteration_indptr"] = json!([0, 1]);
    model["gbtree_model_param"]["num_trees"] = json!("1");
    document["learner"]["learner_model_param"]["base_score"] = json!("[0E0]");
    let model = Boosting::from_xgboost_json(document.to_string().as_bytes(), None).unwrap();
    let at = |x: f64| model.predict_row(&[0.0, 0.0, x, 0.0, 0.0]).unwrap();
    assert_eq!(at(f64::from(0.1_f32)), 2.0);
    assert_eq!(at(f64::from(0.1_f32.next_down())), -1.0);
    assert_eq!(at(f64::NAN), 2.0);
    // The single nearest to the double 0.1 is above it, and is the threshold.
    assert_eq!(at(0.1), 2.0);
}

#[test]
fn trees_after_the_best_iteration_are_dropped() {
    let fixture = load("early");
    let report = fixture.model.report();
    assert!(report.best_round < report.rounds);
    assert_eq!(fixture.model.n_trees(), report.best_round);
    let mut document: Value = serde_json::from_slice(&fixture.json).unwrap();
    document["learner"]["attributes"] = json!({});
    let whole = Boosting::from_xgboost_json(document.to_string().as_bytes(), None).unwrap();
    assert_eq!(whole.n_trees(), report.rounds);
    let told = whole.predict(&fixture.records).unwrap();
    assert!(distance(&told, &fixture.predictions) > 1e-3);
}

#[test]
fn rounds_of_several_trees_are_counted_whole() {
    let fixture = load("forest");
    assert_eq!((fixture.model.n_trees(), fixture.model.report().rounds), (12, 3));
    let mut document: Value = serde_json::from_slice(&fixture.json).unwrap();
    document["learner"]["attributes"]["best_iteration"] = json!("1");
    let best = |document: &Value| {
        Boosting::from_xgboost_json(document.to_string().as_bytes(), None).unwrap().n_trees()
    };
    assert_eq!(best(&document), 8);
    // Without the bounds of rounds, the number of trees a round says it.
    let model = document["learner"]["gradient_booster"]["model"].as_object_mut().unwrap();
    model.remove("iteration_indptr").unwrap();
    assert_eq!(best(&document), 8);
}

#[test]
fn names_loss_and_base_score_are_read() {
    let missing = load("missing").model;
    assert_eq!(missing.feature_names()[2], "vwap_z");
    assert_eq!(load("plain").model.feature_names(), ["f0", "f1", "f2", "f3", "f4"]);
    assert_eq!(load("quantile").model.params().loss, Loss::Quantile { alpha: 0.8 });
    let Loss::Huber { delta } = load("huber").model.params().loss else { panic!("another loss") };
    assert!((delta - 0.7).abs() < 1e-6);
    let absolute = load("absolute").model;
    assert_eq!(absolute.params().loss, Loss::Absolute);
    assert!(absolute.report().base_score > 49.0);
    assert!(missing.gain_importance()[0] > 0.2);
}

#[test]
fn names_may_be_given_to_a_model_that_has_none() {
    let fixture = load("plain");
    let names: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
    let named = Boosting::from_xgboost_json(&fixture.json, Some(&names)).unwrap();
    assert_eq!(named.feature_names(), names);
    let few = Boosting::from_xgboost_json(&fixture.json, Some(&names[..4]));
    assert!(matches!(few, Err(Error::Shape { .. })));
    let foreign = Boosting::from_xgboost_json(&load("missing").json, Some(&names));
    assert!(matches!(foreign, Err(Error::FeatureMismatch { index: 0, .. })));
}

#[test]
fn an_imported_model_is_saved_and_loaded_like_our_own() {
    let fixture = load("missing");
    let artifact = Artifact::from_bytes(&fixture.model.save().unwrap().to_bytes().unwrap());
    assert_eq!(Boosting::load(&artifact.unwrap()).unwrap(), fixture.model);
    let infinite = array![[0.0, f64::INFINITY, 0.0, 0.0, 0.0]];
    assert!(matches!(fixture.model.predict(&infinite), Err(Error::NonFinite { .. })));
}
