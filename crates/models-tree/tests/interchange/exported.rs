use forecastle_core::{Dataset, Error, Fit, Predict, PredictExt, Rows};
use forecastle_models_tree::{Boosting, BoostingParams, Growth, Loss};
use ndarray::{Array1, Array2};
use serde_json::Value;

use crate::fixtures::{NAMES, distance, load};

/// A model of ours with missing values, its records and targets in single precision.
pub(crate) fn ours(params: BoostingParams) -> (Boosting, Array2<f64>) {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        f64::from((state >> 33) as f32 / (1_u64 << 31) as f32)
    };
    let records = Array2::from_shape_fn((500, 4), |(_, j)| {
        let x = uniform();
        if j == 1 && uniform() < 0.2 { f64::NAN } else { x }
    });
    let targets = Array1::from_shape_fn(500, |i| {
        let missing = if records[[i, 1]].is_nan() { 2.0 } else { 0.0 };
        (6.0 * records[[i, 0]]).sin() + missing + records[[i, 2]] * 0.5
    });
    let names: Vec<String> = ["x0", "hole", "x2", "x3"].map(str::to_owned).to_vec();
    let rows = Rows::from(0..500);
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
    (params.fit(dataset).unwrap(), records)
}

pub(crate) fn parameter_sets() -> Vec<BoostingParams> {
    let plain = BoostingParams {
        n_rounds: 30,
        learning_rate: 0.2,
        max_depth: 5,
        min_child_weight: 1.0,
        subsample: 1.0,
        colsample_bytree: 1.0,
        ..Default::default()
    };
    vec![
        plain,
        BoostingParams { growth: Growth::LeafWise, max_leaves: 9, max_depth: 0, ..plain },
        BoostingParams { loss: Loss::Absolute, ..plain },
        BoostingParams { loss: Loss::Quantile { alpha: 0.2 }, subsample: 0.5, ..plain },
        BoostingParams { loss: Loss::Huber { delta: 0.3 }, max_depth: 1, ..plain },
        BoostingParams { gamma: 1e9, ..plain },
    ]
}

fn round_trip(model: &Boosting) -> Boosting {
    Boosting::from_xgboost_json(&model.to_xgboost_json().unwrap(), None).unwrap()
}

#[test]
fn models_of_ours_come_back_with_the_same_predictions() {
    for params in parameter_sets() {
        let (model, records) = ours(params);
        let again = round_trip(&model);
        assert_eq!(again.feature_names(), model.feature_names());
        assert_eq!(again.n_trees(), model.n_trees());
        let (a, b) = (again.predict(&records).unwrap(), model.predict(&records).unwrap());
        let worst = distance(&a, &b);
        assert!(worst < 1e-6, "{params:?}: {worst:e}");
        // Once in single precision, nothing changes any more.
        assert_eq!(round_trip(&again).predict(&records).unwrap(), a);
    }
}

#[test]
fn models_of_xgboost_are_written_with_the_same_bits() {
    for name in NAMES {
        let fixture = load(name);
        let again = round_trip(&fixture.model);
        let (a, b) =
            (again.predict(&fixture.records).unwrap(), fixture.model.predict(&fixture.records));
        assert_eq!(a, b.unwrap(), "{name}");
    }
}

#[test]
fn a_split_of_missing_values_alone_is_kept() {
    // Everything known on one side: our threshold is then beyond every single.
    let names = ["x".to_owned()];
    let records = Array2::from_shape_fn((100, 1), |(i, _)| if i % 2 == 0 { f64::NAN } else { 3.0 });
    let targets = Array1::from_shape_fn(100, |i| if i % 2 == 0 { 1.0 } else { -1.0 });
    let rows = Rows::from(0..100);
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
    let params = BoostingParams { min_child_weight: 1.0, subsample: 1.0, ..Default::default() };
    let model = params.fit(dataset).unwrap();
    assert!(model.predict_row(&[3.0]).unwrap() < -0.5);
    let document: Value = serde_json::from_slice(&model.to_xgboost_json().unwrap()).unwrap();
    let tree = &document["learner"]["gradient_booster"]["model"]["trees"][0];
    // XGBoost walks to the left child's number plus one.
    assert_eq!(tree["left_children"], serde_json::json!([1, -1, -1]));
    assert_eq!(tree["right_children"], serde_json::json!([2, -1, -1]));
    let again = round_trip(&model);
    for x in [f64::NAN, 3.0, 0.0, f64::from(f32::MAX), f64::from(f32::MIN)] {
        let (a, b) = (again.predict_row(&[x]).unwrap(), model.predict_row(&[x]).unwrap());
        assert!((a - b).abs() < 1e-6, "{x:e}: {a} against {b}");
    }
}

#[test]
fn inner_nodes_tell_the_mean_of_their_leaves() {
    let (model, _) = ours(BoostingParams { n_rounds: 1, ..parameter_sets()[0] });
    let document: Value = serde_json::from_slice(&model.to_xgboost_json().unwrap()).unwrap();
    let tree = &document["learner"]["gradient_booster"]["model"]["trees"][0];
    let (weights, covers) = (&tree["base_weights"], &tree["sum_hessian"]);
    let leaves = tree["left_children"].as_array().unwrap();
    let leaves = leaves.iter().enumerate().filter(|(_, left)| left.as_i64() == Some(-1));
    let number = |list: &Value, i: usize| list[i].as_f64().unwrap();
    let sum: f64 = leaves.map(|(i, _)| number(weights, i) * number(covers, i)).sum();
    assert!((sum / number(covers, 0) - number(weights, 0)).abs() < 1e-6);
    assert_eq!(number(covers, 0), 500.0);
}

#[test]
fn what_xgboost_cannot_hold_is_refused() {
    let fit = |names: [&str; 2], scale: f64| {
        let names = names.map(str::to_owned);
        let records = Array2::from_shape_fn((60, 2), |(i, j)| ((i * (3 + j)) % 11) as f64);
        let targets = Array1::from_shape_fn(60, |i| scale * records[[i, 0]]);
        let rows = Rows::from(0..60);
        let params = BoostingParams { min_child_weight: 1.0, ..Default::default() };
        let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
        params.fit(dataset).unwrap().to_xgboost_json()
    };
    assert!(fit(["a", "b"], 1.0).is_ok());
    for names in [["a<b", "c"], ["a", "b[0]"], ["a", "b]"], ["a", "a"]] {
        let error = fit(names, 1.0).unwrap_err();
        assert!(matches!(error, Error::InvalidParameter { name: "feature_names", .. }));
    }
    assert!(matches!(fit(["a", "b"], 1e60), Err(Error::Numerical { .. })));
}
