//! Integration tests across crates: one binary, so that they link once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

#[path = "../examples/support/conformance.rs"]
mod conformance;
mod dependencies;
mod exchanges;
mod golden;
mod leaks;
mod live;
mod panel;
mod pipeline;
mod proof;
mod shared;
mod tuning;
