//! The registry of exchanges, its record language, and the sweep over it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod answers;
mod records;
mod refusals;
mod registry;
