pub(crate) mod adam_w;
pub(crate) mod autoencoder;
pub(crate) mod device;
pub(crate) mod fit;
pub(crate) mod gru;
pub(crate) mod learner;
pub(crate) mod model;
pub(crate) mod network;
pub(crate) mod transformer;
pub(crate) mod weights;

pub use device::Device;
pub use fit::{Torch, TorchParams};
pub use model::TorchModel;
