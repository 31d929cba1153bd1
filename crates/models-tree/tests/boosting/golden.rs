//! Figures of other programs, made by `tests/data/make_friedman1.py` with scikit-learn 1.9.1 and
//! XGBoost 3.2.0.

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
fn absolute_and_quantile_stumps_equal_scikit_learn() {
    let sample = friedman1();
    let test_loss = |loss: Loss| {
        let model = sample.fit(BoostingParams { loss, ..stumps() });
        let predicted = model.predict(&sample.records).unwrap();
        let value = |i: usize| loss.value(sample.targets[i], predicted[i]);
        (200..1200).map(value).sum::<f64>() / 1000.0
    };
    let absolute = test_loss(Loss::Absolute);
    assert!((absolute - 1.969_793_169_062_198_6).abs() < 1e-9, "{absolute}");
    let quantile = test_loss(Loss::Quantile { alpha: 0.8 });
    assert!((quantile - 0.728_585_044_089_964_6).abs() < 1e-9, "{quantile}");
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
    let base = BoostingParams { base_score: Some(14.0), ..plain() };
    let leaf_wise =
        BoostingParams { growth: Growth::LeafWise, max_leaves: 7, max_depth: 0, ..base };
    let cases = [
        ("plain", &whole, base, 0.419_532_437_225_940_5),
        ("l1", &whole, BoostingParams { l1: 3.0, l2: 0.0, ..base }, 0.580_323_674_989_016_2),
        (
            "weights",
            &weigh(&whole),
            BoostingParams { min_child_weight: 5.0, ..base },
            0.402_100_867_880_084_8,
        ),
        ("missing", &missing, base, 0.620_084_025_602_736_1),
        (
            "missing and weights",
            &weigh(&missing),
            BoostingParams { max_depth: 3, ..base },
            1.262_048_303_932_104_4,
        ),
        ("leaf-wise", &whole, leaf_wise, 1.045_946_551_788_836_7),
        (
            "depth-wise leaves",
            &whole,
            BoostingParams { max_leaves: 7, ..base },
            1.474_599_736_214_236_7,
        ),
    ];
    for (name, sample, params, expected) in cases {
        let model = sample.fit(params);
        let loss = *model.report().train_loss.last().unwrap();
        // XGBoost computes in f32.
        assert!((loss - expected).abs() < 2e-5 * expected, "{name}: {loss}, XGBoost {expected}");
    }
}
