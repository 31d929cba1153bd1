//! What SHAP values must show.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "interchange/fixtures.rs"]
mod fixtures;

use forecastle_core::{Dataset, Error, Fit, Predict, PredictExt, Rows};
use forecastle_models_tree::{Boosting, BoostingParams, Loss};
use ndarray::{Array1, Array2, array, s};
use serde_json::{Value, json};

use fixtures::{NAMES, OTHER_VERSIONS, distance, load};

fn values(model: &Boosting, records: &Array2<f64>) -> Array2<f64> {
    let mut out = Array2::from_elem((records.nrows(), records.ncols() + 1), f64::NAN);
    model.shap_values_into(records, &mut out).unwrap();
    out
}

/// The largest distance of a row's sum from its prediction, as a share of the largest prediction.
fn gap(model: &Boosting, records: &Array2<f64>) -> f64 {
    let predicted = model.predict(records).unwrap();
    let sums = values(model, records).sum_axis(ndarray::Axis(1));
    let size = predicted.iter().fold(0.0_f64, |m, p| m.max(p.abs()));
    (sums - predicted).iter().fold(0.0_f64, |m, d| m.max(d.abs())) / size
}

fn ours(params: BoostingParams, width: usize) -> (Boosting, Array2<f64>) {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let records = Array2::from_shape_simple_fn((700, width), || {
        let x = uniform();
        if x < 0.1 { f64::NAN } else { x }
    });
    let known = |i: usize, j: usize| if records[[i, j]].is_nan() { 0.8 } else { records[[i, j]] };
    let targets = Array1::from_shape_fn(700, |i| {
        (9.0 * known(i, 0)).sin() + known(i, 1) * known(i, 2) + 100.0
    });
    let names: Vec<String> = (0..width).map(|j| format!("x{j}")).collect();
    let rows = Rows::from(0..700);
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
    (params.fit(dataset).unwrap(), records)
}

fn plain() -> BoostingParams {
    BoostingParams {
        n_rounds: 40,
        learning_rate: 0.2,
        max_depth: 6,
        min_child_weight: 1.0,
        subsample: 1.0,
        colsample_bytree: 1.0,
        ..Default::default()
    }
}

#[test]
fn values_are_those_of_xgboost() {
    for name in NAMES.into_iter().chain(OTHER_VERSIONS) {
        let fixture = load(name);
        let told = values(&fixture.model, &fixture.records);
        let worst = distance(&told, &fixture.contributions);
        assert!(worst < 1e-5, "{name}: {worst:e}");
        assert!(gap(&fixture.model, &fixture.records) < 1e-12, "{name}");
        let sums = told.sum_axis(ndarray::Axis(1));
        assert!(distance(&sums, &fixture.predictions) < 1e-6, "{name}");
    }
}

#[test]
fn values_sum_to_the_prediction_at_any_depth() {
    for max_depth in [1, 2, 3, 6, 12, 40] {
        for loss in [Loss::Squared, Loss::Absolute] {
            let params = BoostingParams { max_depth, loss, l2: 0.0, ..plain() };
            let (model, records) = ours(params, 9);
            let gap = gap(&model, &records);
            assert!(gap < 1e-12, "depth {max_depth}, {loss:?}: {gap:e}");
        }
    }
}

#[test]
fn a_feature_without_a_split_contributes_exactly_nothing() {
    let (model, mut records) = ours(plain(), 4);
    records.column_mut(3).fill(0.5);
    let names = model.feature_names().to_vec();
    let rows = Rows::from(0..700);
    let targets = records.column(0).mapv(|x| if x.is_nan() { 3.0 } else { x });
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
    let told = values(&plain().fit(dataset).unwrap(), &records);
    assert!(told.column(3).iter().all(|&v| v == 0.0));
    assert!(told.column(0).iter().any(|v| v.abs() > 0.3));
}

#[test]
fn the_expected_value_is_the_mean_prediction_of_the_training_rows() {
    let (model, records) = ours(plain(), 5);
    let expected = values(&model, &records)[[0, 5]];
    let mean = model.predict(&records).unwrap().mean().unwrap();
    assert!((expected - mean).abs() < 1e-9, "{expected} against {mean}");
}

#[test]
fn any_number_of_threads_and_any_layout_give_the_same_bits() {
    let (model, records) = ours(plain(), 6);
    let expected = values(&model, &records);
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| values(&model, &records)), expected);
    }
    let mut turned = Array2::from_elem((7, 700), f64::NAN).reversed_axes();
    model.shap_values_into(&records, &mut turned).unwrap();
    assert_eq!(turned, expected);
    for i in [0, 33, 699] {
        let row = model.shap_values(&records.row(i).to_vec()).unwrap();
        assert_eq!(row, expected.row(i));
    }
    let none = Array2::zeros((0, 6));
    assert_eq!(values(&model, &none).dim(), (0, 7));
}

#[test]
fn an_explanation_names_the_largest_contribution_first() {
    let (model, records) = ours(plain(), 5);
    let row = records.row(11).to_vec();
    let told = model.explain(&row).unwrap();
    let values = model.shap_values(&row).unwrap();
    assert_eq!(told.prediction, model.predict_row(&row).unwrap());
    assert_eq!(told.base, values[5]);
    assert_eq!(told.contributions.len(), 5);
    assert!(told.contributions.is_sorted_by(|a, b| a.contribution.abs() >= b.contribution.abs()));
    for entry in &told.contributions {
        let j: usize = entry.feature[1..].parse().unwrap();
        assert_eq!(entry.contribution, values[j]);
        assert!(entry.value == row[j] || (entry.value.is_nan() && row[j].is_nan()));
    }
}

#[test]
fn wrong_shapes_and_infinite_records_are_refused() {
    let (model, mut records) = ours(plain(), 4);
    let mut out = Array2::zeros((700, 5));
    assert!(matches!(model.shap_values(&[1.0; 5]), Err(Error::Shape { what: "row", .. })));
    let narrow = records.slice(s![.., ..3]).to_owned();
    assert!(matches!(model.shap_values_into(&narrow, &mut out), Err(Error::Shape { .. })));
    let mut small = Array2::zeros((700, 4));
    let error = model.shap_values_into(&records, &mut small).unwrap_err();
    assert!(matches!(error, Error::Shape { what: "out", .. }));
    records[[5, 2]] = f64::NEG_INFINITY;
    let error = model.shap_values_into(&records, &mut out).unwrap_err();
    assert!(matches!(error, Error::NonFinite { row: 5, .. }), "{error}");
}

/// A tree like a rope that splits `width` features in turn, as deep as given.
fn rope(depth: usize, width: usize) -> Boosting {
    let mut document: Value = serde_json::from_slice(&load("stump_free").json).unwrap();
    let n = 2 * depth + 1;
    let inner = |i: usize| i.is_multiple_of(2) && i < n - 1;
    let list = |of: &dyn Fn(usize) -> Value| Value::Array((0..n).map(of).collect());
    document["learner"]["feature_names"] = json!([]);
    document["learner"]["feature_types"] = json!([]);
    document["learner"]["learner_model_param"]["num_feature"] = json!(width.to_string());
    let tree = &mut document["learner"]["gradient_booster"]["model"]["trees"][0];
    tree["left_children"] = list(&|i| if inner(i) { json!(i + 1) } else { json!(-1) });
    tree["right_children"] = list(&|i| if inner(i) { json!(i + 2) } else { json!(-1) });
    tree["split_conditions"] = list(&|i| json!((i % 17) as f64 - 8.0));
    tree["split_indices"] = list(&|i| if inner(i) { json!(i / 2 % width) } else { json!(0) });
    tree["sum_hessian"] = list(&|i| json!(if i % 2 == 0 { (n - i) as f64 } else { 1.0 }));
    for name in ["split_type", "default_left", "parents", "base_weights", "loss_changes"] {
        tree[name] = list(&|_| json!(0));
    }
    tree["tree_param"]["num_nodes"] = json!(n.to_string());
    Boosting::from_xgboost_json(document.to_string().as_bytes(), None).unwrap()
}

#[test]
fn very_deep_trees_keep_their_digits_and_too_many_features_are_refused() {
    for (depth, width) in [(12, 12), (60, 60), (256, 256), (1024, 2), (1024, 100)] {
        let model = rope(depth, width);
        let records =
            Array2::from_shape_fn((9, width), |(i, j)| ((i * 5 + j * 3) % 9) as f64 - 1.0);
        let gap = gap(&model, &records);
        assert!(gap < 1e-9, "depth {depth}, {width} features: {gap:e}");
    }
    let error = rope(257, 257).shap_values(&vec![0.0; 257]).unwrap_err();
    assert!(matches!(error, Error::Numerical { .. }), "{error}");
    assert!(error.to_string().contains("257 features"), "{error}");
}

#[test]
fn a_model_without_columns_expects_its_base_score() {
    let records = Array2::zeros((3, 0));
    let (targets, rows) = (array![1.0, 2.0, 6.0], Rows::from(0..3));
    let model = plain().fit(Dataset::new(&[], &records, &targets, &rows, 1).unwrap()).unwrap();
    assert_eq!(values(&model, &records), array![[3.0], [3.0], [3.0]]);
}
