//! The registry of exchanges, its record language, and the sweep over it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod answers;
mod guide;
mod records;
mod refusals;
mod registry;
mod sweep;
mod symbols;
#[allow(dead_code, reason = "shared with the tests of downloads")]
#[path = "../download/venue.rs"]
mod venue;
