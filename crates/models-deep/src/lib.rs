//! GRU, Transformer encoder and autoencoder in pure Rust, or on libtorch.

mod activation;
mod adam;
mod aligned;
mod attention;
mod attention_head;
mod autoencoder_network;
mod dropout;
mod encoder_layer;
mod feed_forward;
mod fit_report;
#[cfg(test)]
mod gradient_check;
mod gru_cell;
mod gru_layer;
mod gru_network;
mod lanes;
mod last_attention;
mod layer_norm;
mod layout;
mod learner;
mod linear;
mod matrix;
mod native_learner;
mod network;
#[cfg(test)]
mod parity;
mod real;
mod samples;
mod simd;
#[cfg(feature = "tch")]
mod torch;
mod train;
mod training_params;
mod transformer_network;

pub use activation::Activation;
pub use fit_report::FitReport;
#[cfg(feature = "tch")]
pub use torch::Device;
pub use training_params::{EarlyStopping, Schedule, TrainingParams};
