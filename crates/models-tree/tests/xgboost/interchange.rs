//! Models as bytes: round trips, and bytes from anywhere.

use forecastle_core::{Artifact, Error, Load, Predict, PredictExt};
use forecastle_models_tree::{Xgboost, XgboostLibrary};
use serde_json::{Value, json};

use crate::sample::{cases, holed, library, plain, table, uniform};

#[test]
fn a_saved_model_is_the_same_model_in_every_form() {
    let Some(library) = library() else { return };
    for (name, sample, params) in cases() {
        let model = sample.fit(&library, params);
        let expected = model.predict(&sample.records).unwrap();
        let json = Xgboost::from_json(&library, &model.to_json().unwrap()).unwrap();
        let ubj = Xgboost::from_ubj(&library, &model.to_ubj().unwrap()).unwrap();
        let artifact = model.save().unwrap();
        assert_eq!(artifact.kind(), "xgboost");
        let loaded = Xgboost::load(&artifact).unwrap();
        assert_eq!((loaded.params(), loaded.report()), (model.params(), model.report()));
        for other in [json, ubj, loaded] {
            assert_eq!(other.predict(&sample.records).unwrap(), expected, "{name}");
            assert_eq!(other.feature_names(), sample.names);
            assert_eq!(other.fitted_by(), library.version());
            assert_eq!(other.n_trees(), model.n_trees());
            assert_eq!(other.gain_importance(), model.gain_importance());
            assert_eq!(other.to_ubj().unwrap(), model.to_ubj().unwrap());
        }
    }
}

#[test]
fn other_feature_names_are_refused() {
    let Some(library) = library() else { return };
    let sample = table();
    let model = sample.fit(&library, plain());
    let artifact = model.save().unwrap();
    let mut names = sample.names.clone();
    names.swap(0, 1);
    assert!(matches!(artifact.require_features(&names), Err(Error::FeatureMismatch { .. })));
    let mut named = sample.clone();
    named.names = vec!["a b".into(), "[c]".into(), "d<e".into(), "ü\"\\".into(), String::new()];
    let odd = named.fit(&library, plain());
    for other in [
        Xgboost::from_json(&library, &odd.to_json().unwrap()).unwrap(),
        Xgboost::from_ubj(&library, &odd.to_ubj().unwrap()).unwrap(),
    ] {
        assert_eq!(other.feature_names(), named.names);
    }
    named.names[0] = "with a \0".into();
    assert!(plain().fit_with(&library, named.dataset()).is_err());
}

/// A model of one tree of three nodes, as JSON.
fn small(library: &XgboostLibrary) -> Value {
    let mut params = plain();
    params.n_rounds = 1;
    params.max_depth = 1;
    let text = table().fit(library, params).to_json().unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_model_that_does_not_hold_together_never_reaches_the_library() {
    let Some(library) = library() else { return };
    let model = small(&library);
    let read = |model: &Value| Xgboost::from_json(&library, &model.to_string());
    let expected = read(&model).unwrap().to_ubj().unwrap();
    let pretty = format!("\n {}\n", serde_json::to_string_pretty(&model).unwrap());
    assert_eq!(Xgboost::from_json(&library, &pretty).unwrap().to_ubj().unwrap(), expected);
    let tree = "/learner/gradient_booster/model/trees/0";
    let at = |field: &str| format!("{tree}/{field}");
    let rounds =
        |field: &str| format!("/learner/gradient_booster/model/gbtree_model_param/{field}");
    let changes = [
        (at("left_children/0"), json!(3)),
        (at("left_children/0"), json!(-2)),
        (at("left_children/0"), json!(0)),
        (at("right_children/0"), json!(1)),
        (at("right_children/0"), json!(i64::MAX)),
        (at("left_children"), json!([-1])),
        (at("left_children/0"), json!("1")),
        (at("parents/1"), json!(2)),
        (at("split_indices/0"), json!(5)),
        (at("split_indices/0"), json!(-1)),
        (at("split_conditions/1"), json!(null)),
        (at("split_conditions"), json!([])),
        (at("default_left"), json!([0])),
        (at("base_weights"), json!(7)),
        (at("split_type/0"), json!(1)),
        (at("categories"), json!([1])),
        (at("tree_param/num_nodes"), json!("4")),
        (at("tree_param/num_nodes"), json!("99999999999999999999")),
        (at("tree_param/num_feature"), json!("6")),
        (at("tree_param/size_leaf_vector"), json!("2")),
        (tree.to_owned(), json!({})),
        ("/learner/gradient_booster/model/tree_info".into(), json!([1])),
        ("/learner/gradient_booster/model/iteration_indptr".into(), json!([0, 9])),
        (rounds("num_trees"), json!("2")),
        (rounds("num_parallel_tree"), json!("0")),
        (rounds("num_parallel_tree"), json!("2")),
        (rounds("num_trees"), json!("-1")),
        ("/learner/gradient_booster/name".into(), json!("dart")),
        ("/learner/learner_model_param/num_target".into(), json!("0")),
        ("/learner/learner_model_param/num_target".into(), json!("2")),
        ("/learner/learner_model_param/num_feature".into(), json!("4")),
        ("/learner/learner_model_param/num_feature".into(), json!("4000000000")),
        ("/learner/learner_model_param/num_class".into(), json!("3")),
        ("/learner/learner_model_param/base_score".into(), json!("NaN")),
        ("/learner/learner_model_param/base_score".into(), json!("[1E0,2E0]")),
        ("/learner/objective/name".into(), json!("binary:logistic")),
        ("/learner/feature_names".into(), json!(["x"])),
        ("/version".into(), json!([3])),
        ("/learner".into(), json!(null)),
    ];
    for (place, value) in changes {
        let mut hostile = model.clone();
        *hostile.pointer_mut(&place).unwrap_or_else(|| panic!("{place}")) = value.clone();
        let told = read(&hostile);
        assert!(matches!(told, Err(Error::Artifact { .. })), "{place} = {value}: {told:?}");
    }
    for text in ["", "{", "null", "[1]", "{\"learner\":", "\u{1}"] {
        assert!(Xgboost::from_json(&library, text).is_err());
        assert!(Xgboost::from_ubj(&library, text.as_bytes()).is_err());
    }
    // Whichever of two XGBoost would take.
    let text =
        model.to_string().replacen("\"parents\":", "\"left_children\":[9,9,9],\"parents\":", 1);
    assert!(matches!(Xgboost::from_json(&library, &text), Err(Error::Artifact { .. })));
    // What is left out altogether.
    fn fields(value: &Value, path: &str, out: &mut Vec<(String, String)>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    out.push((path.to_owned(), key.clone()));
                    fields(value, &format!("{path}/{key}"), out);
                }
            }
            Value::Array(array) => {
                for (i, value) in array.iter().enumerate() {
                    fields(value, &format!("{path}/{i}"), out);
                }
            }
            _ => (),
        }
    }
    let mut all = Vec::new();
    fields(&model, "", &mut all);
    assert!(all.len() > 30);
    for (place, key) in all {
        let mut partial = model.clone();
        partial.pointer_mut(&place).unwrap().as_object_mut().unwrap().remove(&key);
        // An error or a model that predicts, but never a crash.
        if let Ok(model) = read(&partial) {
            assert!(model.predict_row(&[0.5; 5]).unwrap().is_finite(), "{place}/{key}");
        }
    }
}

#[test]
fn a_model_of_a_newer_xgboost_is_refused_and_not_misread() {
    let Some(library) = library() else { return };
    let mut model = small(&library);
    let version = library.version();
    for (major, minor) in [(version.major, version.minor + 1), (version.major + 1, 0)] {
        model["version"] = json!([major, minor, 0]);
        let error = Xgboost::from_json(&library, &model.to_string()).unwrap_err();
        assert!(matches!(error, Error::Artifact { .. }));
        assert!(error.to_string().contains(&format!("XGBoost {major}.{minor}.0 wrote")), "{error}");
    }
    // Another patch writes the same.
    model["version"] = json!([version.major, version.minor, version.patch + 1]);
    Xgboost::from_json(&library, &model.to_string()).unwrap();
}

#[test]
fn damaged_bytes_are_an_error_or_a_model_but_never_a_crash() {
    let Some(library) = library() else { return };
    let mut params = plain();
    params.n_rounds = 3;
    let sample = holed();
    let bytes = sample.fit(&library, params).to_ubj().unwrap();
    for cut in (0..bytes.len()).step_by(7) {
        assert!(Xgboost::from_ubj(&library, &bytes[..cut]).is_err(), "cut at {cut}");
    }
    let mut random = uniform(3);
    let mut refused = 0;
    for _ in 0..3000 {
        let mut damaged = bytes.clone();
        for _ in 0..=(random() * 3.0) as usize {
            let at = (random() * damaged.len() as f64) as usize;
            damaged[at] = (random() * 256.0) as u8;
        }
        match Xgboost::from_ubj(&library, &damaged) {
            Ok(model) => drop(model.predict(&sample.records)),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 500, "{refused}");
}

#[test]
fn a_foreign_artifact_is_refused_without_a_library() {
    let names = ["x".to_owned()];
    let foreign = Artifact::encode("ridge", 1, &names, &1_u8).unwrap();
    assert!(matches!(Xgboost::load(&foreign), Err(Error::Artifact { .. })));
    let empty = Artifact::encode("xgboost", 1, &names, &()).unwrap();
    assert!(matches!(Xgboost::load(&empty), Err(Error::Artifact { .. })));
}
