//! What boosting must show from outside.
#![allow(clippy::unwrap_used, reason = "tests")]

mod conformance;
mod degenerate;
mod golden;
mod losses;
mod model;
mod oracle;
mod sample;
mod stopping;
