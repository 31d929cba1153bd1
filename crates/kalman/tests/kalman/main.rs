//! Tests of the crate through its public interface.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod csv;
mod external_truths;
mod filter;
mod golden;
mod likelihood;
mod model;
