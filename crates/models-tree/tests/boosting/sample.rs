//! Data for the tests.

use forecastle_core::{Dataset, Fit, Rows};
use forecastle_models_tree::{Boosting, BoostingParams, Growth, Loss};
use ndarray::{Array1, Array2};

/// Owns what a [`Dataset`] borrows.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) names: Vec<String>,
    pub(crate) records: Array2<f64>,
    pub(crate) targets: Array1<f64>,
    pub(crate) weights: Option<Array1<f64>>,
    pub(crate) rows: Rows,
    pub(crate) horizon: usize,
}

impl Sample {
    pub(crate) fn new(records: Array2<f64>, targets: Array1<f64>) -> Self {
        Self {
            names: (0..records.ncols()).map(|j| format!("x{j}")).collect(),
            rows: Rows::from(0..records.nrows()),
            records,
            targets,
            weights: None,
            horizon: 1,
        }
    }

    pub(crate) fn dataset(&self) -> Dataset<'_> {
        let Self { names, records, targets, rows, horizon, .. } = self;
        let dataset = Dataset::new(names, records, targets, rows, *horizon).unwrap();
        match &self.weights {
            Some(weights) => dataset.with_weights(weights).unwrap(),
            None => dataset,
        }
    }

    pub(crate) fn fit(&self, params: BoostingParams) -> Boosting {
        params.fit(self.dataset()).unwrap()
    }
}

/// A small generator, uniform in 0..1.
pub(crate) fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A curved function of three features, noise, and `width - 3` features of noise.
pub(crate) fn curved(seed: u64, n: usize, width: usize) -> Sample {
    let mut random = uniform(seed);
    let records = Array2::from_shape_simple_fn((n, width), &mut random);
    let noise: Vec<f64> = (0..n).map(|_| random() + random() + random() - 1.5).collect();
    let targets = Array1::from_shape_fn(n, |i| {
        let x = |j: usize| records[[i, j]];
        10.0 * (x(0) * x(1)).sin() + 5.0 * (x(2) - 0.5).abs() + noise[i]
    });
    Sample::new(records, targets)
}

/// A strong learner without sampling.
pub(crate) fn plain() -> BoostingParams {
    BoostingParams {
        n_rounds: 50,
        learning_rate: 0.1,
        max_depth: 4,
        l2: 1.0,
        min_child_weight: 1.0,
        subsample: 1.0,
        colsample_bytree: 1.0,
        ..Default::default()
    }
}

/// Parameter sets that between them switch on everything.
pub(crate) fn parameter_sets() -> Vec<BoostingParams> {
    let early = forecastle_models_tree::EarlyStopping { patience: 3, validation_share: 0.25 };
    let sampled = BoostingParams {
        subsample: 0.6,
        colsample_bytree: 0.7,
        colsample_bylevel: 0.7,
        seed: 11,
        ..plain()
    };
    let mut sets = vec![
        BoostingParams { min_child_weight: 10.0, ..Default::default() },
        BoostingParams { l1: 0.5, gamma: 0.1, max_bins: 16, ..plain() },
        BoostingParams { early_stopping: Some(early), ..sampled },
        BoostingParams { growth: Growth::LeafWise, max_leaves: 9, max_depth: 0, ..plain() },
        BoostingParams { max_leaves: 6, base_score: Some(0.25), ..sampled },
    ];
    for loss in
        [Loss::Squared, Loss::Absolute, Loss::Huber { delta: 0.5 }, Loss::Quantile { alpha: 0.3 }]
    {
        for growth in [Growth::DepthWise, Growth::LeafWise] {
            sets.push(BoostingParams { loss, growth, max_leaves: 12, n_rounds: 20, ..sampled });
            sets.push(BoostingParams { loss, growth, n_rounds: 20, ..plain() });
        }
    }
    sets
}

/// The mean squared error of the rows.
pub(crate) fn mse(sample: &Sample, predicted: &Array1<f64>, rows: std::ops::Range<usize>) -> f64 {
    let n = rows.len() as f64;
    rows.map(|i| (sample.targets[i] - predicted[i]).powi(2)).sum::<f64>() / n
}
