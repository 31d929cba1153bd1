use forecastle_core::conformance::{ModelSuite, noise};
use forecastle_core::{Load, Predict};
use forecastle_models_tree::Boosting;
use ndarray::Array2;

use crate::sample::{curved, parameter_sets, plain};

#[test]
fn every_parameter_set_keeps_the_contract() {
    let suite = ModelSuite::new(noise(7, 400, 5).unwrap()).accepts_missing();
    for params in parameter_sets() {
        let load = |artifact: &_| Ok(Box::new(Boosting::load(artifact)?) as Box<dyn Predict>);
        if let Err(violation) = suite.check(&params, load) {
            panic!("{params:?}: {violation}");
        }
    }
}

#[test]
fn large_nodes_are_shared_between_threads_without_a_changed_bit() {
    // Enough rows for the paths that split one node's rows over several threads.
    let mut sample = curved(5, 150_000, 9);
    sample.weights = None;
    let mut params = plain();
    params.n_rounds = 3;
    params.max_depth = 5;
    for weighted in [false, true] {
        if weighted {
            sample.weights = Some((0..150_000).map(|i| 0.1 + f64::from(i % 13)).collect());
        }
        let models: Vec<Vec<u8>> = [1, 2, 3, 16]
            .into_iter()
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| sample.fit(params).save().unwrap().to_bytes().unwrap())
            })
            .collect();
        assert!(models.windows(2).all(|pair| pair[0] == pair[1]), "weighted: {weighted}");
    }
}

#[test]
fn a_row_gives_the_same_bits_as_a_table_in_either_memory_order() {
    use forecastle_core::PredictExt;
    let mut sample = curved(2, 1003, 5);
    for i in (0..1003).step_by(7) {
        sample.records[[i, i % 5]] = f64::NAN;
    }
    let model = sample.fit(parameter_sets()[2]);
    let row_major = model.predict(&sample.records).unwrap();
    let mut columns = Array2::zeros(ndarray::ShapeBuilder::f((1003, 5)));
    columns.assign(&sample.records);
    assert_eq!(model.predict(&columns).unwrap(), row_major);
    for (row, expected) in sample.records.rows().into_iter().zip(&row_major) {
        let one = model.predict_row(&row.to_vec()).unwrap();
        assert_eq!(one.to_bits(), expected.to_bits());
    }
    let mut strided = ndarray::Array1::zeros(2006);
    let mut every_second = strided.slice_mut(ndarray::s![..;2]);
    model.predict_into(&sample.records, &mut every_second).unwrap();
    assert_eq!(every_second, row_major);
    assert!(model.predict_row(&[0.0; 4]).is_err());
    assert!(model.predict_row(&[0.0, 0.0, f64::INFINITY, 0.0, 0.0]).is_err());
}
