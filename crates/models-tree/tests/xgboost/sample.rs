//! Data for the tests, and the library they run on.

use forecastle_core::{Dataset, Rows};
use forecastle_models_tree::{EarlyStopping, Growth, Loss, Xgboost, XgboostLibrary, XgboostParams};
use ndarray::{Array1, Array2};

/// The library, or `None` with the reason printed where XGBoost is not installed. One that is named
/// by `FORECASTLE_XGBOOST_LIB` must be there.
pub(crate) fn library() -> Option<XgboostLibrary> {
    match XgboostLibrary::find() {
        Ok(library) => Some(library),
        Err(error) => {
            let named = std::env::var_os("FORECASTLE_XGBOOST_LIB").is_some_and(|v| !v.is_empty());
            let reason = std::error::Error::source(&error).unwrap();
            assert!(!named, "{reason}");
            skip(&reason.to_string());
            None
        }
    }
}

#[allow(clippy::print_stderr, reason = "says why a test did not run")]
pub(crate) fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

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

    pub(crate) fn fit(&self, library: &XgboostLibrary, params: XgboostParams) -> Xgboost {
        params.fit_with(library, self.dataset()).unwrap()
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

/// 600 rows of 5 features, the first 450 to learn; the data of `predictions.py`.
pub(crate) fn table() -> Sample {
    let mut random = uniform(7);
    let records = Array2::from_shape_simple_fn((600, 5), &mut random);
    let noise: Vec<f64> = (0..600).map(|_| random() + random() + random() - 1.5).collect();
    let targets = Array1::from_shape_fn(600, |i| {
        let x = |j: usize| records[[i, j]];
        10.0 * x(0) * x(1) + 5.0 * (x(2) - 0.5).abs() + noise[i]
    });
    let mut sample = Sample::new(records, targets);
    sample.rows = Rows::from(0..450);
    sample
}

/// The same with holes.
pub(crate) fn holed() -> Sample {
    let mut sample = table();
    for ((i, j), value) in sample.records.indexed_iter_mut() {
        if (i * 7 + j * 3) % 11 == 0 {
            *value = f64::NAN;
        }
    }
    sample
}

pub(crate) fn weighted(sample: Sample) -> Sample {
    let weights = Array1::from_shape_fn(sample.targets.len(), |i| 0.25 + (i % 4) as f64);
    Sample { weights: Some(weights), ..sample }
}

/// A strong learner without sampling.
pub(crate) fn plain() -> XgboostParams {
    XgboostParams {
        n_rounds: 50,
        learning_rate: 0.1,
        max_depth: 4,
        min_child_weight: 1.0,
        subsample: 1.0,
        colsample_bytree: 1.0,
        ..Default::default()
    }
}

pub(crate) fn sampled() -> XgboostParams {
    XgboostParams {
        subsample: 0.6,
        colsample_bytree: 0.8,
        colsample_bylevel: 0.8,
        colsample_bynode: 0.8,
        seed: 11,
        ..plain()
    }
}

/// The cases of `predictions.py`: name, data, parameters.
pub(crate) fn cases() -> Vec<(&'static str, Sample, XgboostParams)> {
    let plain = plain();
    let stopping = Some(EarlyStopping { patience: 5, validation_share: 0.25 });
    let growth = Growth::LeafWise;
    vec![
        ("plain", table(), plain),
        ("threads", table(), XgboostParams { threads: 3, ..plain }),
        ("sampled", table(), sampled()),
        (
            "regularised",
            table(),
            XgboostParams { l1: 0.5, l2: 0.3, gamma: 0.1, max_bins: 16, ..plain },
        ),
        ("leaf_wise", table(), XgboostParams { growth, max_leaves: 9, max_depth: 0, ..plain }),
        ("leaves", table(), XgboostParams { max_leaves: 6, base_score: Some(0.25), ..plain }),
        ("absolute", table(), XgboostParams { loss: Loss::Absolute, ..plain }),
        ("quantile", table(), XgboostParams { loss: Loss::Quantile { alpha: 0.3 }, ..plain }),
        ("weights", weighted(table()), XgboostParams { min_child_weight: 5.0, ..plain }),
        ("missing", holed(), plain),
        ("missing_and_weights", weighted(holed()), sampled()),
        (
            "early",
            table(),
            XgboostParams { learning_rate: 0.3, n_rounds: 500, early_stopping: stopping, ..plain },
        ),
    ]
}
