//! GRU, Transformer encoder and autoencoder in pure Rust, or on libtorch.

mod activation;
mod dropout;
#[cfg(test)]
mod gradient_check;
mod gru_cell;
mod gru_layer;
mod gru_network;
mod layout;
mod learner;
mod linear;
mod matrix;
mod network;
mod real;
mod samples;
mod simd;
mod training_params;

pub use activation::Activation;
pub use training_params::{EarlyStopping, Schedule, TrainingParams};
