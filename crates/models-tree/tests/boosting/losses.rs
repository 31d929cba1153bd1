use forecastle_core::PredictExt;
use forecastle_models_tree::{BoostingParams, Loss};
use ndarray::Array1;

use crate::sample::{curved, mse, parameter_sets, plain};

#[test]
fn the_reported_loss_is_that_of_the_predictions() {
    let mut sample = curved(12, 700, 4);
    for weighted in [false, true] {
        if weighted {
            sample.weights = Some(Array1::from_shape_fn(700, |i| 0.5 + (i % 3) as f64));
        }
        for params in parameter_sets() {
            if params.early_stopping.is_some() {
                continue;
            }
            let model = sample.fit(params);
            let predicted = model.predict(&sample.records).unwrap();
            let weight = |i: usize| sample.weights.as_ref().map_or(1.0, |w| w[i]);
            let total: f64 = (0..700).map(weight).sum();
            let loss = |i: usize| weight(i) * params.loss.value(sample.targets[i], predicted[i]);
            let expected = (0..700).map(loss).sum::<f64>() / total;
            let report = model.report();
            let told = report.train_loss[params.n_rounds - 1];
            assert!((told - expected).abs() < 1e-12 * (1.0 + expected), "{params:?}");
            assert_eq!((report.rounds, report.best_round), (params.n_rounds, params.n_rounds));
            assert_eq!(model.n_trees(), params.n_rounds);
        }
    }
}

#[test]
fn every_loss_falls() {
    let sample = curved(12, 700, 4);
    for loss in
        [Loss::Squared, Loss::Absolute, Loss::Huber { delta: 0.5 }, Loss::Quantile { alpha: 0.3 }]
    {
        let report = sample.fit(BoostingParams { loss, ..plain() }).report().clone();
        let (first, last) = (report.train_loss[0], report.train_loss[49]);
        assert!(last < 0.6 * first, "{loss:?}: {first} to {last}");
    }
}

#[test]
fn quantile_forecasts_lie_above_their_share_of_new_targets() {
    let sample = curved(13, 4000, 4);
    for alpha in [0.1, 0.5, 0.9] {
        let mut train = sample.clone();
        train.rows = forecastle_core::Rows::from(0..2000);
        let loss = Loss::Quantile { alpha };
        let params =
            BoostingParams { loss, max_depth: 3, min_child_weight: 50.0, n_rounds: 100, ..plain() };
        let predicted = train.fit(params).predict(&sample.records).unwrap();
        let below = (2000..4000).filter(|&i| sample.targets[i] <= predicted[i]).count();
        let share = below as f64 / 2000.0;
        assert!((share - alpha).abs() < 0.05, "{alpha}: {share}");
    }
}

#[test]
fn absolute_and_huber_losses_shrug_off_outliers() {
    let clean = curved(14, 2000, 4);
    let mut dirty = clean.clone();
    (0..2000).step_by(50).for_each(|i| dirty.targets[i] += 500.0);
    let error = |loss| {
        let params = BoostingParams { loss, min_child_weight: 20.0, ..plain() };
        let predicted = dirty.fit(params).predict(&clean.records).unwrap();
        mse(&clean, &predicted, 0..2000)
    };
    let squared = error(Loss::Squared);
    for loss in [Loss::Absolute, Loss::Huber { delta: 1.0 }] {
        let robust = error(loss);
        assert!(robust < 0.02 * squared && robust < 1.0, "{loss:?}: {robust} against {squared}");
    }
}

#[test]
fn the_learning_speed_of_renewed_leaves_does_not_depend_on_the_unit() {
    let sample = curved(15, 500, 3);
    let mut scaled = sample.clone();
    scaled.targets *= 1024.0;
    for loss in [Loss::Absolute, Loss::Quantile { alpha: 0.7 }] {
        let params = BoostingParams { loss, ..plain() };
        let a = sample.fit(params).predict(&sample.records).unwrap() * 1024.0;
        let b = scaled.fit(params).predict(&sample.records).unwrap();
        let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-9, "{loss:?}: {worst}");
    }
}
