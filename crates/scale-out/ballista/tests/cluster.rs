//! Real schedulers, executors and clients on loopback, and executors that die.

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
