//! The neural models, as a caller uses them.

#![allow(clippy::unwrap_used, reason = "tests")]

mod adding;
mod autoencoder;
mod conformance;
mod files;
mod latents;
mod training;
