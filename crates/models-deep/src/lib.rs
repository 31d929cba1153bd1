//! GRU, Transformer encoder and autoencoder in pure Rust, or on libtorch.
//!
//! - [`GruParams`] and [`TransformerParams`] learn a number a row from the last `lookback` rows;
//!   [`AutoencoderParams`] squeezes a row into a few latents. All three are trained by
//!   [`TrainingParams`] (`AdamW`, clipped gradients, a schedule, [`EarlyStopping`] on the latest rows)
//!   and give a [`NeuralModel`]: [`Gru`], [`Transformer`], [`Autoencoder`], with a [`FitReport`].
//! - [`WithLatents`] puts an autoencoder in front of any other model.
//! - Weights are safetensors with `PyTorch`'s names and layout, scalings and settings in the same
//!   file: [`NeuralModel::to_safetensors`], [`from_safetensors`](NeuralModel::from_safetensors),
//!   [`with_weights`](NeuralModel::with_weights) for what was trained elsewhere.
//! - [`fit_from`](forecastle_core::Fit::fit_from) trains on from an earlier model. Fits are spans of
//!   the crate `tracing` (`training`): the outcome is told at level debug, every epoch at level trace.
//! - With the cargo feature `tch`, `Torch` trains the same models on libtorch, on the processor or a
//!   GPU.
//!
//! Arithmetic is `f32`. One seed gives the same bits on any number of threads: batches are cut into the
//! same shards and their gradients added in the same order. Where early stopping finds no epoch better
//! than the mean of the training targets, a model forecasts that mean.
//!
//! ```
//! use forecastle_core::{Dataset, Fit, PredictExt, Rows};
//! use forecastle_models_deep::{Gru, GruParams, TrainingParams};
//! use ndarray::{Array1, Array2};
//!
//! // The target is the last row's value beside the one before.
//! let x = |t: usize| ((t * 7_919) % 1_009) as f64 / 1_009.0;
//! let records = Array2::from_shape_fn((600, 1), |(t, _)| x(t));
//! let targets = Array1::from_shape_fn(600, |t| x(t) - x(t.saturating_sub(1)));
//! let (names, rows) = (["x".to_owned()], Rows::from(0..500));
//! let dataset = Dataset::new(&names, &records, &targets, &rows, 1)?;
//!
//! let training = TrainingParams { epochs: 20, learning_rate: 0.02, ..Default::default() };
//! let gru = GruParams { hidden_size: 8, lookback: 4, training, ..Default::default() }.fit(dataset)?;
//! let report = gru.report();
//! assert!(report.validation_loss[report.best_epoch - 1] < 0.05);
//! assert_eq!(Gru::from_safetensors(&gru.to_safetensors()?)?.predict(&records)?, gru.predict(&records)?);
//! # Ok::<(), forecastle_core::Error>(())
//! ```
//!
//! What is not here: other layers and losses (convolutions, attention over several series,
//! classification), quantised weights, automatic differentiation.

mod activation;
mod adam;
mod aligned;
mod architecture;
mod attention;
mod attention_head;
mod autoencoder;
mod autoencoder_network;
mod autoencoder_params;
mod dropout;
mod encoder_layer;
mod feed_forward;
mod fit;
mod fit_report;
#[cfg(test)]
mod gradient_check;
mod gru_cell;
mod gru_layer;
mod gru_network;
mod gru_params;
mod lanes;
mod last_attention;
mod layer_norm;
mod layout;
mod learner;
mod linear;
mod matrix;
mod native_learner;
mod network;
mod neural_model;
#[cfg(test)]
mod parity;
mod prepared;
mod real;
mod samples;
mod scaling;
mod simd;
mod small_product;
#[cfg(feature = "tch")]
mod torch;
mod train;
mod training_params;
mod transformer_network;
mod transformer_params;
mod vectors;
mod weights_file;
mod with_latents;

pub use activation::Activation;
pub use architecture::NeuralParams;
pub use autoencoder::Autoencoder;
pub use autoencoder_params::AutoencoderParams;
pub use fit_report::FitReport;
pub use gru_params::{Gru, GruParams};
pub use neural_model::NeuralModel;
#[cfg(feature = "tch")]
pub use torch::{Device, Torch, TorchModel, TorchParams};
pub use training_params::{EarlyStopping, Schedule, TrainingParams};
pub use transformer_params::{Transformer, TransformerParams};
pub use with_latents::{LatentModel, WithLatents};
