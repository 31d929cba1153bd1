//! Histogram gradient boosting in pure Rust, and XGBoost where it is installed.
//!
//! [`BoostingParams`] learns boosted regression trees from a
//! [`Dataset`](forecastle_core::Dataset) and gives a [`Boosting`] model: squared, absolute, Huber
//! and quantile [`Loss`], depth- and leaf-wise [`Growth`], L1/L2, row and column sampling, sample
//! weights, missing values with a learnt direction, [`EarlyStopping`] on the latest rows, gain and
//! permutation importance. [`BinnedMatrix`] bins features once for many fits.
//!
//! Features are cut into at most 255 bins, and a node's splits are found from sums over bins. The
//! sums are whole numbers and therefore exact: the same data and seed give the same bits on any
//! number of threads, however the work is shared out.
//!
//! [`XgboostParams`] fits with XGBoost's own library, which is loaded at run time
//! ([`XgboostLibrary`]): nothing has to be installed to compile. [`AutoBoostingParams`] takes
//! XGBoost where it is found and our own booster otherwise, and says which, and why.
//!
//! [`Boosting`] models are written and read in XGBoost's JSON format
//! ([`to_xgboost_json`](Boosting::to_xgboost_json),
//! [`from_xgboost_json`](Boosting::from_xgboost_json)), and [`explain`](Boosting::explain) tells
//! by exact SHAP values which features moved a forecast.
//!
//! [`fit_from`](forecastle_core::Fit::fit_from) goes on from an earlier model, with either library.
//! Fits are spans of the crate `tracing` (`boosting`): the outcome is told at level debug, every round
//! at level trace.
//!
//! ```
//! use forecastle_core::{Dataset, Fit, PredictExt, Rows};
//! use forecastle_models_tree::{BoostingParams, Loss};
//! use ndarray::{Array1, Array2};
//!
//! let names = ["x".to_owned(), "y".to_owned()];
//! let records = Array2::from_shape_fn((500, 2), |(i, j)| ((i * (7 + j)) % 100) as f64);
//! let targets = Array1::from_shape_fn(500, |i| if records[[i, 0]] > 50.0 { 3.0 } else { 1.0 });
//! let (train, all) = (Rows::from(0..400), Rows::from(0..500));
//! let dataset = Dataset::new(&names, &records, &targets, &train, 1)?;
//!
//! let params = BoostingParams { learning_rate: 0.2, loss: Loss::Absolute, ..Default::default() };
//! let model = params.fit(dataset)?;
//! assert!((model.predict_row(&[80.0, 0.0])? - 3.0).abs() < 0.1);
//! assert!(model.gain_importance()[0] > 0.5);
//! let importance = model.permutation_importance(dataset.with_rows(&all)?, 3, 7)?;
//! assert!(importance[0] > 10.0 * importance[1].abs());
//! # Ok::<(), forecastle_core::Error>(())
//! ```
//!
//! What is not here: classification and ranking (forecasts are numbers), categorical splits,
//! monotone constraints, DART; boosting libraries other than XGBoost.

mod accumulator;
mod auto_boosting;
mod binning;
mod boosting;
mod columns;
mod forest;
mod grow;
mod histogram;
mod importance;
mod loss;
mod matrix;
mod params;
mod partition;
mod quantile;
mod quantised;
mod report;
mod sampling;
mod shap;
mod simd;
mod split;
mod train;
mod tree;
mod xgboost;
mod xgboost_json;

pub use auto_boosting::{AutoBoosting, AutoBoostingParams, BoostingEngine};
pub use boosting::Boosting;
pub use loss::Loss;
pub use matrix::BinnedMatrix;
pub use params::{BoostingParams, EarlyStopping, Growth};
pub use report::FitReport;
pub use shap::{Contribution, Explanation};
pub use xgboost::{
    Xgboost, XgboostError, XgboostLibrary, XgboostParams, XgboostSearch, XgboostVersion,
};
