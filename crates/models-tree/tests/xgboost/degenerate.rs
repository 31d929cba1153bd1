//! Input at the edges, on both engines.

use forecastle_core::{Dataset, Error, Fit, Predict, PredictExt, Result, Rows};
use forecastle_models_tree::{BoostingParams, EarlyStopping, Loss, Xgboost, XgboostParams};
use ndarray::{Array1, Array2, Axis, array, concatenate};

use crate::sample::{Sample, holed, library, plain, table};

type Engine = Box<dyn Fn(Dataset<'_>) -> Result<Box<dyn Predict>>>;

/// Our own booster, and XGBoost where it is found, with the parameters of a strong learner changed.
fn engines(change: impl Fn(&mut XgboostParams)) -> Vec<Engine> {
    let mut params = plain();
    change(&mut params);
    let ours = BoostingParams {
        n_rounds: params.n_rounds,
        learning_rate: params.learning_rate,
        max_depth: params.max_depth,
        min_child_weight: params.min_child_weight,
        l2: params.l2,
        subsample: 1.0,
        colsample_bytree: 1.0,
        loss: params.loss,
        early_stopping: params.early_stopping,
        base_score: params.base_score,
        ..Default::default()
    };
    let mut engines: Vec<Engine> = vec![Box::new(move |dataset| Ok(Box::new(ours.fit(dataset)?)))];
    if let Some(library) = library() {
        engines.push(Box::new(move |dataset| Ok(Box::new(params.fit_with(&library, dataset)?))));
    }
    engines
}

const LOSSES: [Loss; 3] = [Loss::Squared, Loss::Absolute, Loss::Quantile { alpha: 0.25 }];

#[test]
fn no_row_or_no_weight_is_not_enough_data() {
    let mut sample = table();
    let mut weightless = table();
    sample.rows = Rows::default();
    weightless.weights = Some(Array1::zeros(600));
    let early = Some(EarlyStopping { patience: 5, validation_share: 0.25 });
    for stopping in [None, early] {
        for fit in engines(|params| params.early_stopping = stopping) {
            assert!(fit(sample.dataset()).unwrap_err().is_not_enough_data());
            assert!(fit(weightless.dataset()).unwrap_err().is_not_enough_data());
        }
    }
}

#[test]
fn one_row_is_its_own_forecast() {
    let sample = Sample::new(array![[1.0, f64::NAN]], array![42.5]);
    for loss in LOSSES {
        for fit in engines(|params| params.loss = loss) {
            let model = fit(sample.dataset()).unwrap();
            let told = model.predict(&array![[9.0, 1.0], [f64::NAN, f64::NAN]]).unwrap();
            assert!(told.iter().all(|p| (p - 42.5).abs() < 1e-4), "{loss:?}: {told}");
        }
    }
}

#[test]
fn a_constant_target_is_learnt() {
    let mut sample = holed();
    sample.targets.fill(0.1);
    for loss in LOSSES {
        for fit in engines(|params| params.loss = loss) {
            let told = fit(sample.dataset()).unwrap().predict(&sample.records).unwrap();
            assert!(told.iter().all(|p| (p - 0.1).abs() < 1e-6), "{loss:?}");
        }
    }
}

#[test]
fn columns_without_information_change_nothing() {
    let narrow = table();
    let constant = Array2::from_elem((600, 2), 7.0);
    let missing = Array2::from_elem((600, 3), f64::NAN);
    let records = concatenate![Axis(1), constant, narrow.records, missing];
    let mut wide = Sample::new(records, narrow.targets.clone());
    wide.rows = narrow.rows.clone();
    for fit in engines(|_| ()) {
        let expected = fit(narrow.dataset()).unwrap().predict(&narrow.records).unwrap();
        let told = fit(wide.dataset()).unwrap().predict(&wide.records).unwrap();
        assert_eq!(told, expected);
    }
}

#[test]
fn a_table_without_information_forecasts_the_mean() {
    for value in [3.0, f64::NAN] {
        let sample =
            Sample::new(Array2::from_elem((20, 4), value), (0..20).map(f64::from).collect());
        for fit in engines(|_| ()) {
            let told = fit(sample.dataset()).unwrap().predict(&sample.records).unwrap();
            assert!(told.iter().all(|p| (p - 9.5).abs() < 1e-5), "{told}");
        }
    }
}

#[test]
fn a_table_without_columns_is_refused_by_xgboost() {
    let Some(library) = library() else { return };
    let sample = Sample::new(Array2::zeros((20, 0)), (0..20).map(f64::from).collect());
    let told = plain().fit_with(&library, sample.dataset());
    assert!(matches!(told, Err(Error::Shape { .. })), "{told:?}");
}

#[test]
fn a_row_of_weight_zero_is_as_good_as_absent() {
    let whole = table();
    let mut weighted = whole.clone();
    weighted.targets[17] = 1e9;
    weighted.records[[17, 0]] = -1e9;
    weighted.weights = Some(Array1::from_shape_fn(600, |i| f64::from(u8::from(i != 17))));
    let mut absent = weighted.clone();
    absent.rows = Rows::new([0..17, 18..450]).unwrap();
    for fit in engines(|_| ()) {
        let a = fit(weighted.dataset()).unwrap().predict(&whole.records).unwrap();
        let b = fit(absent.dataset()).unwrap().predict(&whole.records).unwrap();
        assert_eq!(a, b);
    }
}

#[test]
fn a_giant_target_leaves_most_rows_forecast() {
    // About 1e6 standard deviations.
    let mut wild = table();
    wild.targets[77] = 2e6;
    for fit in engines(|params| {
        params.base_score = Some(3.5);
        params.l2 = 0.0;
        params.max_depth = 6;
        params.n_rounds = 100;
    }) {
        let told = fit(wild.dataset()).unwrap().predict(&wild.records).unwrap();
        assert!(told.iter().all(|p| p.is_finite()));
        assert!(told[77] > 1e5, "{}", told[77]);
        let mut errors: Vec<f64> = (0..450).map(|i| (told[i] - wild.targets[i]).abs()).collect();
        errors.sort_by(f64::total_cmp);
        assert!(errors[225] < 3.0, "{}", errors[225]);
    }
}

#[test]
fn duplicates_ties_and_the_ends_of_the_range_are_no_trouble() {
    let records = array![[1.0], [1.0], [1.0], [2.0], [2.0], [f64::MAX], [f64::MIN], [-0.0], [0.0]];
    let sample = Sample::new(records, array![1.0, 2.0, 3.0, 8.0, 8.0, 4.0, -4.0, 5.0, 5.0]);
    for fit in engines(|params| {
        params.n_rounds = 300;
        params.l2 = 0.0;
        params.min_child_weight = 0.0;
        params.max_depth = 5;
    }) {
        let told = fit(sample.dataset()).unwrap().predict(&sample.records).unwrap();
        let expected = array![2.0, 2.0, 2.0, 8.0, 8.0, 4.0, -4.0, 5.0, 5.0];
        // XGBoost takes no split that gains less than 1e-6.
        assert!((&told - &expected).iter().all(|d| d.abs() < 2e-3), "{told}");
    }
}

#[test]
fn targets_and_weights_beyond_32_bits_are_an_error() {
    let Some(library) = library() else { return };
    let fit = |sample: &Sample| plain().fit_with(&library, sample.dataset());
    let mut huge = table();
    huge.targets[3] = 1e39;
    assert!(matches!(fit(&huge), Err(Error::Numerical { .. })));
    let mut huge = table();
    huge.targets *= 1e37;
    assert!(!matches!(fit(&huge), Ok(model) if !model.predict_row(&[0.5; 5]).unwrap().is_finite()));
    let mut heavy = table();
    heavy.weights = Some(Array1::from_elem(600, 1e300));
    assert!(matches!(fit(&heavy), Err(Error::Numerical { .. })));
    heavy.weights = Some(Array1::from_elem(600, 1e-300));
    assert!(fit(&heavy).unwrap_err().is_not_enough_data());
}

#[test]
fn unselected_rows_may_hold_anything() {
    let Some(library) = library() else { return };
    let mut sample = table();
    let expected: Xgboost = sample.fit(&library, plain());
    sample.records.slice_mut(ndarray::s![450.., ..]).fill(f64::INFINITY);
    sample.targets.slice_mut(ndarray::s![450..]).fill(f64::NAN);
    let told = sample.fit(&library, plain());
    assert_eq!(told.to_ubj().unwrap(), expected.to_ubj().unwrap());
}
