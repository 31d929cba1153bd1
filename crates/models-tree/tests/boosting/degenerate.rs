use forecastle_core::{Error, Fit, PredictExt, Rows};
use forecastle_models_tree::{BinnedMatrix, BoostingParams, Loss};
use ndarray::{Array1, Array2, Axis, array, concatenate};

use crate::sample::{Sample, curved, parameter_sets, plain};

#[test]
fn no_row_is_not_enough_data() {
    let mut sample = curved(1, 10, 3);
    sample.rows = Rows::default();
    for params in parameter_sets() {
        assert!(params.fit(sample.dataset()).unwrap_err().is_not_enough_data());
    }
    assert!(BinnedMatrix::new(sample.dataset(), 255).unwrap_err().is_not_enough_data());
    let empty = Sample::new(Array2::zeros((0, 2)), Array1::zeros(0));
    assert!(plain().fit(empty.dataset()).unwrap_err().is_not_enough_data());
}

#[test]
fn one_row_is_its_own_forecast() {
    let sample = Sample::new(array![[1.0, f64::NAN]], array![42.5]);
    for mut params in parameter_sets() {
        params.base_score = None;
        if params.early_stopping.take().is_some() {
            let stopping = BoostingParams { early_stopping: Some(Default::default()), ..params };
            assert!(stopping.fit(sample.dataset()).unwrap_err().is_not_enough_data());
        }
        let predicted = sample.fit(params).predict(&array![[9.0, 1.0], [f64::NAN, f64::NAN]]);
        assert_eq!(predicted.unwrap(), array![42.5, 42.5], "{params:?}");
    }
}

#[test]
fn columns_without_information_change_nothing() {
    let sample = curved(4, 300, 3);
    let n = sample.records.nrows();
    let constant = Array2::from_elem((n, 4), 7.0);
    let missing = Array2::from_elem((n, 5), f64::NAN);
    let wide = concatenate![Axis(1), constant, sample.records, missing];
    let wide = Sample::new(wide, sample.targets.clone());
    let narrow = sample.fit(plain());
    let model = wide.fit(plain());
    assert_eq!(model.predict(&wide.records).unwrap(), narrow.predict(&sample.records).unwrap());
    let importance = model.gain_importance();
    assert!((0..12).all(|j| (importance[j] > 0.0) == (4..7).contains(&j)), "{importance}");
}

#[test]
fn a_table_without_columns_or_information_forecasts_the_base_score() {
    for width in [0, 1, 9] {
        let records = Array2::from_elem((20, width), 3.0);
        let sample = Sample::new(records, (0..20).map(f64::from).collect());
        for params in [plain(), BoostingParams { loss: Loss::Absolute, ..plain() }] {
            let model = sample.fit(params);
            let predicted = model.predict(&sample.records).unwrap();
            assert!(predicted.iter().all(|p| (p - 9.5).abs() < 1e-12), "{predicted}");
            assert_eq!(model.gain_importance().sum(), 0.0);
            assert_eq!(model.predict_row(&vec![1.0; width]).unwrap(), predicted[0]);
        }
    }
}

#[test]
fn a_constant_target_is_learnt_exactly() {
    let mut sample = curved(4, 300, 3);
    sample.targets.fill(0.1);
    for params in parameter_sets() {
        let params = BoostingParams { base_score: None, ..params };
        let predicted = sample.fit(params).predict(&sample.records).unwrap();
        assert!(predicted.iter().all(|p| (p - 0.1).abs() < 1e-15), "{params:?}");
    }
}

#[test]
fn a_row_of_weight_zero_is_as_good_as_absent() {
    let whole = curved(6, 400, 3);
    let mut weighted = whole.clone();
    weighted.targets[17] = 1e9;
    weighted.records[[17, 0]] = -1e9;
    weighted.weights = Some(Array1::from_shape_fn(400, |i| f64::from(u8::from(i != 17))));
    let mut absent = weighted.clone();
    absent.rows = Rows::new([0..17, 18..400]).unwrap();
    for params in [plain(), BoostingParams { loss: Loss::Absolute, ..plain() }] {
        let a = weighted.fit(params).predict(&whole.records).unwrap();
        let b = absent.fit(params).predict(&whole.records).unwrap();
        assert_eq!(a, b);
    }
    weighted.weights = Some(Array1::zeros(400));
    assert!(plain().fit(weighted.dataset()).unwrap_err().is_not_enough_data());
}

#[test]
fn a_weight_of_two_is_a_row_given_twice() {
    let once = curved(6, 300, 3);
    let mut weighted = once.clone();
    weighted.weights = Some(Array1::from_shape_fn(300, |i| if i % 3 == 0 { 2.0 } else { 1.0 }));
    let index: Vec<usize> =
        (0..300).flat_map(|i| std::iter::repeat_n(i, if i % 3 == 0 { 2 } else { 1 })).collect();
    let twice =
        Sample::new(once.records.select(Axis(0), &index), once.targets.select(Axis(0), &index));
    for loss in
        [Loss::Squared, Loss::Absolute, Loss::Huber { delta: 0.5 }, Loss::Quantile { alpha: 0.25 }]
    {
        let params = BoostingParams { loss, max_bins: 40, ..plain() };
        let a = weighted.fit(params).predict(&once.records).unwrap();
        let b = twice.fit(params).predict(&once.records).unwrap();
        let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-9, "{loss:?}: {worst}");
    }
}

#[test]
fn one_giant_target_leaves_the_other_rows_forecast() {
    // One target of a million and more standard deviations among many rows: fixed-point
    // sums must not lose the others' gradients.
    let sane = curved(8, 100_000, 4);
    let params = BoostingParams {
        n_rounds: 40,
        learning_rate: 0.1,
        max_depth: 6,
        l2: 0.0,
        // Not the mean, which the giant moves by its share.
        base_score: sane.targets.mean(),
        ..plain()
    };
    let clean = sane.fit(params).predict(&sane.records).unwrap();
    for giant in [1e6, 1e9, 1e11] {
        // With little learnt of it, most of it stays in the way to the end.
        let mut wild = sane.clone();
        wild.targets[77_777] = giant;
        let model = wild.fit(params);
        let predicted = model.predict(&sane.records).unwrap();
        // The giant spoils the cells that it shares with others; most rows must not notice.
        let distance = |p: &Array1<f64>, i: usize| (p[i] - sane.targets[i]).abs();
        let median = |p: &Array1<f64>| {
            let mut all: Vec<f64> = (0..50_000).map(|i| distance(p, i)).collect();
            all.sort_by(f64::total_cmp);
            all[25_000]
        };
        let (told, expected) = (median(&predicted), median(&clean));
        assert!(told < 1.1 * expected, "{giant:e}: {told} against {expected}");
        let own = model.predict_row(&wild.records.row(77_777).to_vec()).unwrap();
        assert!(own > 1e-3 * giant, "{own:e}");
    }
}

#[test]
fn targets_of_any_unit_give_the_same_model() {
    let sample = curved(9, 500, 3);
    let params = BoostingParams { base_score: None, ..plain() };
    let expected = sample.fit(params).predict(&sample.records).unwrap();
    for exponent in [-900, -60, 60, 300] {
        let unit = 2.0_f64.powi(exponent);
        let mut scaled = sample.clone();
        scaled.targets *= unit;
        let told = scaled.fit(params).predict(&sample.records).unwrap();
        assert_eq!(told, &expected * unit, "2^{exponent}");
    }
    let mut huge = sample.clone();
    huge.targets *= 1e200;
    assert!(matches!(plain().fit(huge.dataset()), Err(Error::Numerical { .. })));
}

#[test]
fn duplicate_rows_and_ties_are_no_trouble() {
    let records = array![[1.0], [1.0], [1.0], [2.0], [2.0], [f64::MAX], [f64::MIN], [-0.0], [0.0]];
    let sample = Sample::new(records, array![1.0, 2.0, 3.0, 8.0, 8.0, 4.0, -4.0, 5.0, 5.0]);
    let params =
        BoostingParams { n_rounds: 300, l2: 0.0, min_child_weight: 0.0, max_depth: 5, ..plain() };
    let told = sample.fit(params).predict(&sample.records).unwrap();
    let expected = array![2.0, 2.0, 2.0, 8.0, 8.0, 4.0, -4.0, 5.0, 5.0];
    assert!((told - expected).iter().all(|d| d.abs() < 1e-9));
}

#[test]
fn unselected_rows_may_hold_anything() {
    let mut sample = curved(9, 300, 3);
    let expected = sample.fit(plain());
    sample.records =
        concatenate![Axis(0), sample.records, Array2::from_elem((5, 3), f64::INFINITY)];
    sample.targets = concatenate![Axis(0), sample.targets, Array1::from_elem(5, f64::NAN)];
    assert_eq!(sample.fit(plain()), expected);
    let matrix = BinnedMatrix::new(sample.dataset(), 255).unwrap();
    assert_eq!(plain().fit_binned(&matrix, sample.dataset()).unwrap(), expected);
}
