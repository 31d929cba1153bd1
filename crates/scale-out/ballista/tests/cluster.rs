//! Real schedulers, executors and clients on loopback, and executors that die.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stdout, reason = "a long test says what it saw")]

#[path = "cluster/errors.rs"]
mod errors;
#[path = "cluster/harness.rs"]
mod harness;
#[path = "cluster/kills.rs"]
mod kills;
#[path = "cluster/programs.rs"]
mod programs;
#[path = "cluster/results.rs"]
mod results;
