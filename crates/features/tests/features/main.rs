//! Integration tests of the features crate, one binary.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod conformance;
mod degenerate;
mod golden;
mod saved;
mod series;
mod ta_lib_parity;
