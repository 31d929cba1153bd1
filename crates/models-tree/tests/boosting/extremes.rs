use forecastle_core::{Error, Fit, PredictExt};
use forecastle_models_tree::{Boosting, BoostingParams, EarlyStopping, Loss};
use ndarray::{Array1, Array2, Axis, array, concatenate};

use crate::sample::{Sample, curved, parameter_sets, plain, uniform};

/// What every model must be able to do, whatever it was fitted on.
fn use_it(model: &Boosting, records: &Array2<f64>) {
    let predicted = model.predict(records).unwrap();
    assert!(predicted.iter().all(|p| p.is_finite()), "{:?}", model.params());
    let mut values = Array2::zeros((records.nrows(), records.ncols() + 1));
    model.shap_values_into(records, &mut values).unwrap();
    let size = predicted.iter().fold(values[[0, records.ncols()]].abs(), |m, p| m.max(p.abs()));
    for (sum, p) in values.sum_axis(Axis(1)).iter().zip(&predicted) {
        assert!((sum - p).abs() <= 1e-9 * size, "{:?}: {sum} is not {p}", model.params());
    }
    let again = Boosting::from_xgboost_json(&model.to_xgboost_json().unwrap(), None).unwrap();
    for (row, p) in records.mapv(|x| f64::from(x as f32)).rows().into_iter().zip(&predicted) {
        let (told, same) = (again.predict_row(&row.to_vec()), model.predict_row(&row.to_vec()));
        assert!((told.unwrap() - same.unwrap()).abs() <= 1e-6 * size.max(p.abs()));
    }
}

/// Targets of a Cauchy distribution, which has no variance, around a step of the first feature.
fn heavy_tailed(n: usize) -> Sample {
    let mut sample = curved(31, n, 4);
    let mut random = uniform(32);
    for i in 0..n {
        let step = if sample.records[[i, 0]] > 0.5 { 2.0 } else { -2.0 };
        sample.targets[i] = step + 0.3 * (std::f64::consts::PI * (random() - 0.5)).tan();
    }
    sample
}

#[test]
fn heavy_tailed_targets_are_learnt_by_the_robust_losses_and_break_none() {
    let mut sample = heavy_tailed(2000);
    sample.targets[900] = 1e6;
    sample.targets[901] = -1e6;
    for params in parameter_sets() {
        use_it(&sample.fit(params), &sample.records);
    }
    for loss in [Loss::Absolute, Loss::Huber { delta: 0.5 }] {
        let model = sample.fit(BoostingParams { loss, min_child_weight: 20.0, ..plain() });
        let predicted = model.predict(&sample.records).unwrap();
        let right = (0..2000).filter(|&i| {
            let step = if sample.records[[i, 0]] > 0.5 { 2.0 } else { -2.0 };
            (predicted[i] - step).abs() < 0.5
        });
        assert!(right.count() > 1800, "{loss:?}");
    }
}

#[test]
fn a_target_of_a_million_deviations_in_the_held_back_tail_only_stops_the_fit() {
    let mut sample = curved(33, 800, 4);
    sample.targets[799] = 1e6;
    let early = EarlyStopping { patience: 5, validation_share: 0.2 };
    let model = sample.fit(BoostingParams { early_stopping: Some(early), ..plain() });
    let report = model.report();
    assert!(report.validation_loss.iter().all(|loss| loss.is_finite()));
    assert!(model.predict(&sample.records).unwrap().iter().all(|p| p.abs() < 20.0));
    use_it(&model, &sample.records);
}

#[test]
fn up_to_255_distinct_values_are_told_apart_and_more_share_bins() {
    for (distinct, exact) in [(254, true), (255, true), (256, false), (1000, false)] {
        let n = 4 * distinct;
        let records = Array2::from_shape_fn((n, 1), |(i, _)| (i % distinct) as f64);
        let targets = records.column(0).to_owned();
        let sample = Sample::new(records, targets);
        let params =
            BoostingParams { n_rounds: 1, learning_rate: 1.0, max_depth: 64, l2: 0.0, ..plain() };
        let params = BoostingParams { min_child_weight: 0.0, base_score: Some(0.3), ..params };
        let model = sample.fit(params);
        let predicted = model.predict(&sample.records).unwrap();
        let wrong = (0..distinct).filter(|&i| (predicted[i] - sample.targets[i]).abs() > 1e-9);
        // Values that share a bin are told as their mean.
        let least = if exact { 0 } else { distinct - 255 };
        let wrong = wrong.count();
        assert!(wrong >= least && (wrong == 0) == exact, "{distinct}: {wrong}");
        use_it(&model, &sample.records);
    }
}

#[test]
fn tables_without_information_give_models_that_can_be_used() {
    let sample = curved(34, 60, 3);
    let tables = [
        Array2::from_elem((60, 3), 7.0),
        Array2::from_elem((60, 3), f64::NAN),
        Array2::from_elem((60, 1), f64::from(f32::MAX)),
        concatenate![Axis(1), Array2::from_elem((60, 1), f64::NAN), sample.records],
    ];
    for records in tables {
        let sample = Sample::new(records, sample.targets.clone());
        for params in parameter_sets() {
            use_it(&sample.fit(params), &sample.records);
        }
    }
    let one = Sample::new(array![[1.0, f64::NAN]], array![42.5]);
    use_it(&one.fit(plain()), &one.records);
}

#[test]
fn copies_of_one_row_forecast_their_mean() {
    let records = Array2::from_shape_fn((90, 3), |(_, j)| [0.1, f64::NAN, -5.0][j]);
    let targets = Array1::from_shape_fn(90, |i| f64::from((i % 3) as u8));
    let sample = Sample::new(records, targets);
    let model = sample.fit(plain());
    assert!(model.predict(&sample.records).unwrap().iter().all(|p| (p - 1.0).abs() < 1e-12));
    use_it(&model, &sample.records);
}

#[test]
fn weights_of_zero_and_of_very_different_size_are_no_trouble() {
    let mut sample = curved(35, 400, 3);
    let weight = |i: usize| [0.0, 1e-12, 1.0, 1e12][i % 4];
    sample.weights = Some(Array1::from_shape_fn(400, weight));
    for params in parameter_sets() {
        match params.fit(sample.dataset()) {
            Ok(model) => use_it(&model, &sample.records),
            Err(error) => panic!("{params:?}: {error}"),
        }
    }
    sample.weights = Some(Array1::zeros(400));
    for params in parameter_sets() {
        assert!(matches!(params.fit(sample.dataset()), Err(Error::NotEnoughData { .. })));
    }
}
