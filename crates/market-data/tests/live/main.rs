//! Live candles through the replay server: every exchange, with everything going wrong, in time
//! that leaps from one wait to the next.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod every_exchange;
mod failures;
mod polling;
mod time;
mod venue;
