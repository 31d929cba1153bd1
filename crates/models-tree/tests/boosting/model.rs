use forecastle_core::{Artifact, Load, Predict, PredictExt, Rows};
use forecastle_models_tree::{Boosting, BoostingParams, EarlyStopping, Growth, Loss};
use ndarray::{Array1, array};

use crate::sample::{Sample, curved, mse, parameter_sets, plain, uniform};

#[test]
fn a_missing_value_goes_the_way_that_was_learnt() {
    let n = 400;
    let mut random = uniform(1);
    let x: Vec<f64> = (0..n).map(|_| random()).collect();
    for missing_target in [0.0, 1.0] {
        let gone = |i: usize| i.is_multiple_of(4);
        let records =
            ndarray::Array2::from_shape_fn((n, 1), |(i, _)| if gone(i) { f64::NAN } else { x[i] });
        let targets = Array1::from_shape_fn(n, |i| match gone(i) {
            true => missing_target,
            false => f64::from(u8::from(x[i] > 0.5)),
        });
        let params = BoostingParams { n_rounds: 100, max_depth: 1, ..plain() };
        let model = Sample::new(records, targets).fit(params);
        let told = model.predict(&array![[0.2], [0.8], [f64::NAN]]).unwrap();
        assert!((told - array![0.0, 1.0, missing_target]).iter().all(|d| d.abs() < 0.01));
    }
}

#[test]
fn whether_a_value_is_missing_can_be_the_signal() {
    let n = 300;
    let records = ndarray::Array2::from_shape_fn((n, 1), |(i, _)| {
        if i % 3 == 0 { f64::NAN } else { ((i * 7919) % 100) as f64 }
    });
    let targets = Array1::from_shape_fn(n, |i| if i % 3 == 0 { 5.0 } else { -1.0 });
    let params = BoostingParams { n_rounds: 100, max_depth: 1, ..plain() };
    let model = Sample::new(records, targets).fit(params);
    let told = model.predict(&array![[0.0], [1e300], [f64::NAN]]).unwrap();
    assert!((told - array![-1.0, -1.0, 5.0]).iter().all(|d| d.abs() < 0.01));
}

#[test]
fn the_seed_decides_what_is_sampled() {
    let sample = curved(30, 500, 6);
    for params in [
        BoostingParams { subsample: 0.5, ..plain() },
        BoostingParams { colsample_bytree: 0.5, ..plain() },
        BoostingParams { colsample_bylevel: 0.5, ..plain() },
    ] {
        let with_seed =
            |seed| sample.fit(BoostingParams { seed, ..params }).predict(&sample.records).unwrap();
        assert_eq!(with_seed(1), with_seed(1));
        assert_ne!(with_seed(1), with_seed(2), "{params:?}");
    }
    let with_seed =
        |seed| sample.fit(BoostingParams { seed, ..plain() }).predict(&sample.records).unwrap();
    assert_eq!(with_seed(1), with_seed(2));
}

#[test]
fn a_column_sample_of_one_uses_one_feature_a_tree() {
    let sample = curved(30, 500, 6);
    let params =
        BoostingParams { n_rounds: 1, colsample_bytree: 0.01, learning_rate: 1.0, ..plain() };
    let mut used = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let importance = sample.fit(BoostingParams { seed, ..params }).gain_importance();
        let features: Vec<usize> = (0..6).filter(|&j| importance[j] > 0.0).collect();
        assert_eq!(features.len(), 1);
        used.extend(features);
    }
    assert_eq!(used.len(), 6);
}

#[test]
fn importance_finds_the_features_that_matter() {
    let sample = curved(31, 3000, 6);
    let mut train = sample.clone();
    train.rows = Rows::from(0..2000);
    let model = train.fit(BoostingParams { min_child_weight: 30.0, ..plain() });
    let gain = model.gain_importance();
    assert!((gain.sum() - 1.0).abs() < 1e-12);
    let mut test = sample.clone();
    test.rows = Rows::from(2000..3000);
    let permuted = model.permutation_importance(test.dataset(), 5, 3).unwrap();
    for informative in 0..3 {
        for noise in 3..6 {
            assert!(gain[informative] > 5.0 * gain[noise], "{gain}");
            assert!(permuted[informative] > 10.0 * permuted[noise].abs(), "{permuted}");
        }
    }
    assert_eq!(model.permutation_importance(test.dataset(), 5, 3).unwrap(), permuted);
    assert!(model.permutation_importance(test.dataset(), 0, 3).is_err());
    test.rows = Rows::from(0..1);
    assert!(model.permutation_importance(test.dataset(), 1, 3).unwrap_err().is_not_enough_data());
    test.names.reverse();
    test.rows = Rows::from(0..10);
    assert!(model.permutation_importance(test.dataset(), 1, 3).is_err());
}

#[test]
fn boosting_generalises_on_a_curved_function() {
    let sample = curved(32, 4000, 5);
    let mut train = sample.clone();
    train.rows = Rows::from(0..3000);
    let predicted = train.fit(BoostingParams { n_rounds: 200, ..plain() });
    let error = mse(&sample, &predicted.predict(&sample.records).unwrap(), 3000..4000);
    // The noise alone has a variance of 0.25, the targets of about 6.
    assert!(error < 0.33, "{error}");
}

#[test]
fn the_defaults_do_little_harm_on_pure_noise() {
    let mut sample = curved(33, 3000, 10);
    let mut random = uniform(5);
    sample.targets.iter_mut().for_each(|y| *y = random() - 0.5);
    let mut train = sample.clone();
    train.rows = Rows::from(0..1500);
    let error = |params: BoostingParams| {
        let predicted = train.fit(params).predict(&sample.records).unwrap();
        let mean =
            Array1::from_elem(3000, train.targets.slice(ndarray::s![..1500]).mean().unwrap());
        mse(&sample, &predicted, 1500..3000) / mse(&sample, &mean, 1500..3000)
    };
    let ours = error(BoostingParams::default());
    assert!(ours < 1.02, "{ours}");
    // The textbook's defaults for comparison: the test can tell the difference.
    let textbook = BoostingParams { n_rounds: 100, learning_rate: 0.3, max_depth: 6, ..plain() };
    assert!(error(textbook) > 1.1);
}

#[test]
fn a_saved_model_is_the_same_model_and_a_damaged_one_is_refused() {
    let sample = curved(34, 300, 4);
    for params in parameter_sets() {
        let model = sample.fit(params);
        let artifact = model.save().unwrap();
        assert_eq!(artifact.kind(), "boosting");
        assert_eq!(Boosting::load(&artifact).unwrap(), model);
        assert_eq!(model.params(), &params);
    }
    // The same trees under fewer names refer to features that are not there.
    let bytes = sample.fit(plain()).save().unwrap();
    let payload: Vec<u8> = bytes.to_bytes().unwrap();
    for cut in (0..payload.len()).step_by(997) {
        assert!(Artifact::from_bytes(&payload[..cut]).is_err());
    }
}

#[test]
fn parameters_are_read_from_text_and_unknown_keys_refused() {
    let text = r#"
        n_rounds = 7
        growth = "leaf_wise"
        max_leaves = 8
        loss = { quantile = { alpha = 0.9 } }
        early_stopping = { patience = 4 }
    "#;
    let params: BoostingParams = toml::from_str(text).unwrap();
    let expected = BoostingParams {
        n_rounds: 7,
        growth: Growth::LeafWise,
        max_leaves: 8,
        loss: Loss::Quantile { alpha: 0.9 },
        early_stopping: Some(EarlyStopping { patience: 4, ..Default::default() }),
        ..Default::default()
    };
    assert_eq!(params, expected);
    let back: BoostingParams = toml::from_str(&toml::to_string(&params).unwrap()).unwrap();
    assert_eq!(back, params);
    assert_eq!(
        toml::from_str::<BoostingParams>("loss = \"absolute\"").unwrap().loss,
        Loss::Absolute
    );
    assert!(toml::from_str::<BoostingParams>("n_round = 7").is_err());
}
