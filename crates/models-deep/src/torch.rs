mod adam_w;
mod autoencoder;
mod device;
mod gru;
pub(crate) mod learner;
pub(crate) mod network;
pub(crate) mod weights;

pub use device::Device;
