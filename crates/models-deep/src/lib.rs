//! GRU, Transformer encoder and autoencoder in pure Rust, or on libtorch.

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
