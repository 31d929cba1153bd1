use forecastle_core::{Error, PredictExt};
use forecastle_models_tree::Boosting;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixtures::load;

/// The reason of a refusal, `None` when the document is taken.
fn refusal(document: &Value) -> Option<String> {
    match Boosting::from_xgboost_json(document.to_string().as_bytes(), None) {
        Ok(_) => None,
        Err(Error::Artifact { reason }) => Some(reason),
        Err(other) => panic!("another error: {other}"),
    }
}

#[test]
fn what_our_trees_cannot_be_is_refused_by_name() {
    let whole: Value = serde_json::from_slice(&load("missing").json).unwrap();
    assert_eq!(refusal(&whole), None);
    let tree = "/learner/gradient_booster/model/trees/0";
    let objective = "/learner/objective/name";
    let param = "/learner/learner_model_param";
    let cases: Vec<(String, Value, &str)> = vec![
        ("/learner/gradient_booster/name".into(), json!("dart"), "\"dart\""),
        ("/learner/gradient_booster".into(), json!({"name": "gblinear"}), "\"gblinear\""),
        (objective.into(), json!("binary:logistic"), "\"binary:logistic\""),
        (objective.into(), json!("reg:gamma"), "\"reg:gamma\""),
        (objective.into(), json!("reg:quantileerror"), "quantile_alpha"),
        (objective.into(), json!("reg:pseudohubererror"), "huber_slope"),
        ("/version".into(), json!([1, 7, 6]), "1.7.6"),
        ("/version".into(), json!([4, 0, 0]), "4.0.0"),
        ("/version".into(), json!([]), "version"),
        (format!("{param}/num_class"), json!("3"), "num_class"),
        (format!("{param}/num_target"), json!("2"), "num_target"),
        (format!("{param}/num_feature"), json!("4294967296"), "num_feature"),
        (format!("{param}/num_feature"), json!("-1"), "num_feature"),
        (format!("{param}/num_feature"), json!("4"), "5 feature names"),
        (format!("{param}/base_score"), json!("[1E0,2E0]"), "base_score"),
        (format!("{param}/base_score"), json!("NaN"), "base_score"),
        (format!("{param}/base_score"), json!("1e39"), "base_score"),
        ("/learner/attributes/best_iteration".into(), json!("12"), "best_iteration"),
        ("/learner/attributes/best_iteration".into(), json!("x"), "best_iteration"),
        ("/learner/feature_types".into(), json!(["float", "c"]), "categorical"),
        ("/learner/gradient_booster/model/cats".into(), json!({"enc": [1]}), "categorical"),
        ("/learner/gradient_booster/model/tree_info/1".into(), json!(1), "output 1"),
        ("/learner/gradient_booster/model/iteration_indptr/3".into(), json!(9), "iteration_indptr"),
        ("/learner/gradient_booster/model/trees".into(), json!([]), "not as many"),
        (format!("{tree}/split_type/0"), json!(1), "categorical"),
        (format!("{tree}/categories"), json!([1]), "categorical"),
        (format!("{tree}/tree_param/size_leaf_vector"), json!("2"), "vectors"),
        (format!("{tree}/tree_param/num_nodes"), json!("2"), "long"),
        (format!("{tree}/sum_hessian"), json!([1.0]), "long"),
        (format!("{tree}/sum_hessian/1"), json!(-1.0), "negative cover"),
        (format!("{tree}/split_conditions/0"), json!(1e300), "range"),
        (format!("{tree}/split_conditions/0"), Value::Null, "null"),
        (format!("{tree}/split_indices/0"), json!(5), "does not exist"),
        (format!("{tree}/split_indices/0"), json!(-1), "does not exist"),
        (format!("{tree}/left_children/0"), json!(0), "absent or another's"),
        (format!("{tree}/left_children/1"), json!(1), "absent or another's"),
        (format!("{tree}/left_children/0"), json!(2), "absent or another's"),
        (format!("{tree}/left_children/0"), json!(99999), "absent or another's"),
        (format!("{tree}/left_children/0"), json!(-1), "one child"),
    ];
    for (at, value, expected) in cases {
        let mut forged = whole.clone();
        let Some(place) = forged.pointer_mut(&at) else {
            let (parent, key) = at.rsplit_once('/').unwrap();
            forged.pointer_mut(parent).unwrap()[key] = value.clone();
            check(&forged, &at, &value, expected);
            continue;
        };
        *place = value.clone();
        check(&forged, &at, &value, expected);
    }
}

fn check(forged: &Value, at: &str, value: &Value, expected: &str) {
    let reason = refusal(forged).unwrap_or_else(|| panic!("{at} = {value} is taken"));
    assert!(reason.contains(expected), "{at} = {value}: {reason}");
}

#[test]
fn several_quantiles_are_refused() {
    let mut document: Value = serde_json::from_slice(&load("quantile").json).unwrap();
    let param = &mut document["learner"]["objective"]["quantile_loss_param"];
    param["quantile_alpha"] = json!("[2E-1,8E-1]");
    assert!(refusal(&document).unwrap().contains("quantile_alpha"));
}

#[test]
fn a_tree_like_a_rope_is_taken_to_its_limit_and_refused_beyond() {
    let rope = |depth: usize| {
        let mut document: Value = serde_json::from_slice(&load("stump_free").json).unwrap();
        let model = &mut document["learner"]["gradient_booster"]["model"];
        let n = 2 * depth + 1;
        let inner = |i: usize| i.is_multiple_of(2) && i < n - 1;
        let tree = &mut model["trees"][0];
        let list = |of: &dyn Fn(usize) -> Value| Value::Array((0..n).map(of).collect());
        tree["left_children"] = list(&|i| if inner(i) { json!(i + 1) } else { json!(-1) });
        tree["right_children"] = list(&|i| if inner(i) { json!(i + 2) } else { json!(-1) });
        tree["split_conditions"] = list(&|i| json!(i as f64));
        for name in ["split_indices", "split_type", "default_left", "parents"] {
            tree[name] = list(&|_| json!(0));
        }
        for name in ["base_weights", "loss_changes", "sum_hessian"] {
            tree[name] = list(&|_| json!(1.0));
        }
        tree["tree_param"]["num_nodes"] = json!(n.to_string());
        document
    };
    assert_eq!(refusal(&rope(1024)), None);
    assert!(refusal(&rope(1025)).unwrap().contains("deeper"));
}

#[test]
fn foreign_bytes_are_refused() {
    for bytes in
        [&b""[..], b"{", b"null", b"[]", b"{}", b"{L\0\0\0\0\0\0\0\x07learner", b"\xff\xfe"]
    {
        let error = Boosting::from_xgboost_json(bytes, None).unwrap_err();
        assert!(matches!(error, Error::Artifact { .. }), "{bytes:?}");
    }
    let ubj = Boosting::from_xgboost_json(b"{L\0\0\0\0\0\0\0\x07learner", None).unwrap_err();
    assert!(ubj.to_string().contains("UBJSON"), "{ubj}");
    let nested = "[".repeat(1_000_000);
    assert!(Boosting::from_xgboost_json(nested.as_bytes(), None).is_err());
    let json = load("plain").json;
    for end in (0..json.len()).step_by(997) {
        assert!(Boosting::from_xgboost_json(&json[..end], None).is_err());
    }
}

/// Predicts with whatever is taken, so that a walk that leaves its tree would show.
fn survive(json: &[u8]) {
    if let Ok(model) = Boosting::from_xgboost_json(json, None) {
        let width = forecastle_core::Predict::n_features(&model);
        for x in [0.0, -1e30, 1e30, f64::NAN] {
            let row = vec![x; width];
            assert!(model.predict_row(&row).unwrap().is_finite());
        }
        let records = ndarray::Array2::from_elem((3, width), 0.5);
        assert!(model.predict(&records).unwrap().iter().all(|p| p.is_finite()));
        let _ = model.to_xgboost_json();
    }
}

/// Every number and numeric text of a document.
fn numbers<'a>(value: &'a mut Value, found: &mut Vec<&'a mut Value>) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|v| numbers(v, found)),
        Value::Object(map) => map.values_mut().for_each(|v| numbers(v, found)),
        Value::Number(_) | Value::String(_) => found.push(value),
        _ => (),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn prop_changed_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
    ) {
        let mut json = load("early").json;
        for (at, byte, digit) in changes {
            let at = at.index(json.len());
            json[at] = if digit { b'0' + byte % 10 } else { byte };
        }
        survive(&json);
    }

    #[test]
    fn prop_changed_numbers_never_panic(
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop_oneof![
                (-3_i64..40).prop_map(|v| json!(v)),
                any::<i64>().prop_map(|v| json!(v)),
                any::<f64>().prop_map(|v| json!(v)),
                any::<f32>().prop_map(|v| json!(v)),
                (-3_i64..40).prop_map(|v| json!(v.to_string())),
                any::<f64>().prop_map(|v| json!(v.to_string())),
            ]), 1..4),
    ) {
        let mut document: Value = serde_json::from_slice(&load("early").json).unwrap();
        let mut places = Vec::new();
        numbers(&mut document, &mut places);
        for (at, value) in changes {
            let at = at.index(places.len());
            *places[at] = value;
        }
        survive(document.to_string().as_bytes());
    }
}
