//! GRU, Transformer encoder and autoencoder in pure Rust, or on libtorch.

mod activation;
mod adam;
mod aligned;
mod autoencoder_network;
mod dropout;
mod fit_report;
#[cfg(test)]
mod gradient_check;
mod gru_cell;
mod gru_layer;
mod gru_network;
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

pub use activation::Activation;
pub use fit_report::FitReport;
#[cfg(feature = "tch")]
pub use torch::Device;
pub use training_params::{EarlyStopping, Schedule, TrainingParams};
