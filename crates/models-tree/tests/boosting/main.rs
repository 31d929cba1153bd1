//! What boosting must show from outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod conformance;
mod degenerate;
mod extremes;
mod golden;
mod losses;
mod model;
mod oracle;
mod sample;
mod stopping;
mod warm_start;
