//! What reading and writing XGBoost's models must show.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod exported;
mod fixtures;
mod hostile;
mod imported;
mod live;
