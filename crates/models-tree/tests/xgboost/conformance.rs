use forecastle_core::conformance::{ModelSuite, noise};
use forecastle_core::{Load, Predict, PredictExt};
use forecastle_models_tree::{AutoBoosting, AutoBoostingParams, BoostingEngine, Xgboost};
use ndarray::{Array1, Array2, ShapeBuilder};

use crate::sample::{cases, holed, library, plain, sampled};

#[test]
fn every_parameter_set_keeps_the_contract() {
    if library().is_none() {
        return;
    }
    let suite = ModelSuite::new(noise(7, 400, 5).unwrap()).accepts_missing();
    for (name, _, params) in cases() {
        let load = |artifact: &_| Ok(Box::new(Xgboost::load(artifact)?) as Box<dyn Predict>);
        if let Err(violation) = suite.check(&params, load) {
            panic!("{name}: {violation}");
        }
    }
}

#[test]
fn boosting_by_either_engine_keeps_the_contract() {
    library();
    let suite = ModelSuite::new(noise(7, 400, 5).unwrap()).accepts_missing();
    let load = |artifact: &_| Ok(Box::new(AutoBoosting::load(artifact)?) as Box<dyn Predict>);
    for engine in [BoostingEngine::Auto, BoostingEngine::PureRust] {
        let params = AutoBoostingParams { engine, ..Default::default() };
        suite.check(&params, load).unwrap();
    }
}

#[test]
fn a_row_gives_the_same_bits_as_a_table_in_either_memory_order_and_on_any_thread() {
    let Some(library) = library() else { return };
    let sample = holed();
    let model = sample.fit(&library, sampled());
    // More rows than are predicted at a time.
    let records = Array2::from_shape_fn((10_000, 5), |(i, j)| sample.records[[i % 600, j]]);
    let row_major = model.predict(&records).unwrap();
    let mut columns = Array2::zeros(records.dim().f());
    columns.assign(&records);
    assert_eq!(model.predict(&columns).unwrap(), row_major);
    for (i, expected) in row_major.iter().enumerate().step_by(7) {
        let one = model.predict_row(&records.row(i).to_vec()).unwrap();
        assert_eq!(one.to_bits(), expected.to_bits());
    }
    let mut strided = Array1::zeros(20_000);
    let mut every_second = strided.slice_mut(ndarray::s![..;2]);
    model.predict_into(&records, &mut every_second).unwrap();
    assert_eq!(every_second, row_major);
    let bytes = model.to_ubj().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(model.predict(&records).unwrap(), row_major);
                    assert_eq!(model.to_ubj().unwrap(), bytes);
                }
            });
        }
    });
    assert!(model.predict_row(&[0.0; 4]).is_err());
    assert!(model.predict_row(&[0.0, 0.0, f64::INFINITY, 0.0, 0.0]).is_err());
    assert_eq!(model.predict(&Array2::zeros((0, 5))).unwrap().len(), 0);
}

#[test]
fn fits_side_by_side_draw_their_own_samples() {
    let Some(library) = library() else { return };
    let sample = holed();
    let expected = sample.fit(&library, sampled()).predict(&sample.records).unwrap();
    let other = sample.fit(&library, plain()).predict(&sample.records).unwrap();
    assert_ne!(expected, other);
    std::thread::scope(|scope| {
        for i in 0..6 {
            let (sample, expected, other, library) = (&sample, &expected, &other, &library);
            scope.spawn(move || {
                for round in 0..4 {
                    let (params, expected) = match (i + round) % 2 {
                        0 => (sampled(), expected),
                        _ => (plain(), other),
                    };
                    let model = sample.fit(library, params);
                    assert_eq!(model.predict(&sample.records).unwrap(), expected);
                }
            });
        }
    });
}
