//! What XGBoost must show from outside, where its library is found; see `sample::library`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod auto;
mod conformance;
mod degenerate;
mod interchange;
mod python;
mod sample;
mod search;
mod training;
mod warm_start;
