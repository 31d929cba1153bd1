//! Figures of other programs, made by `tests/data/make_friedman1.py` with scikit-learn 1.9.1,
//! XGBoost 3.2.0 and NumPy.

use std::io::Read;

use forecastle_core::{PredictExt, Rows};
use forecastle_models_tree::{BoostingParams, Growth, Loss};
use ndarray::{Array1, Array2};

use crate::sample::{Sample, mse, plain};

/// scikit-learn's `make_friedman1(1200, random_state=0, noise=1.0)`; the first 200 rows to learn.
fn friedman1() -> Sample {
    let packed: &[u8] = include_bytes!("../data/friedman1.csv.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let table: Vec<Vec<f64>> =
        text.lines().map(|l| l.split(',').map(|v| v.parse().unwrap()).collect()).collect();
    assert_eq!(table.len(), 1200);
    let mut sample = Sample::new(
        Array2::from_shape_fn((1200, 10), |(i, j)| table[i][j]),
        table.iter().map(|row| row[10]).collect(),
    );
    sample.rows = Rows::from(0..200);
    sample
}

fn stumps() -> BoostingParams {
    BoostingParams { n_rounds: 100, max_depth: 1, l2: 0.0, min_child_weight: 0.0, ..plain() }
}

#[test]
fn stumps_on_friedman1_equal_scikit_learn() {
    let sample = friedman1();
    let predicted = sample.fit(stumps()).predict(&sample.records).unwrap();
    let error = mse(&sample, &predicted, 200..1200);
    assert!((error - 5.009_154_859_960_321).abs() < 1e-9, "{error}");
}

#[test]
fn absolute_and_quantile_stumps_equal_numpy() {
    let sample = friedman1();
    let test_loss = |loss: Loss| {
        let model = sample.fit(BoostingParams { loss, ..stumps() });
        let predicted = model.predict(&sample.records).unwrap();
        let value = |i: usize| loss.value(sample.targets[i], predicted[i]);
        (200..1200).map(value).sum::<f64>() / 1000.0
    };
    let absolute = test_loss(Loss::Absolute);
    assert!((absolute - 2.011_213_547_309_464).abs() < 1e-9, "{absolute}");
    let quantile = test_loss(Loss::Quantile { alpha: 0.75 });
    assert!((quantile - 0.830_281_217_498_729_9).abs() < 1e-9, "{quantile}");
}

#[test]
fn training_errors_equal_xgboost() {
    let mut missing = friedman1();
    for i in 0..1200 {
        for j in 0..10 {
            if (i * 7 + j * 3) % 11 == 0 {
                missing.records[[i, j]] = f64::NAN;
            }
        }
    }
    let weigh = |sample: &Sample| Sample {
        weights: Some(Array1::from_shape_fn(1200, |i| 0.25 + (i % 4) as f64)),
        ..sample.clone()
    };
    let whole = friedman1();
    let base = BoostingParams { n_rounds: 10, base_score: Some(14.0), ..plain() };
    let leaf_wise =
        BoostingParams { growth: Growth::LeafWise, max_leaves: 7, max_depth: 0, ..base };
    let cases = [
        ("plain", &whole, base, 7.629_760_562_359_935),
        ("l1", &whole, BoostingParams { l1: 3.0, l2: 0.0, ..base }, 7.615_860_207_796_679),
        (
            "weights",
            &weigh(&whole),
            BoostingParams { min_child_weight: 5.0, ..base },
            6.683_680_400_403_893,
        ),
        ("missing", &missing, base, 8.665_575_958_564_384),
        (
            "missing and weights",
            &weigh(&missing),
            BoostingParams { max_depth: 3, ..base },
            9.300_886_703_494_626,
        ),
        ("leaf-wise", &whole, leaf_wise, 10.108_117_859_203_26),
        (
            "depth-wise leaves",
            &whole,
            BoostingParams { max_leaves: 7, ..base },
            10.759_443_760_942_995,
        ),
    ];
    for (name, sample, params, expected) in cases {
        let model = sample.fit(params);
        let loss = *model.report().train_loss.last().unwrap();
        // XGBoost computes in f32.
        assert!((loss - expected).abs() < 1e-6 * expected, "{name}: {loss}, XGBoost {expected}");
    }
}
