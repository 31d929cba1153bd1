//! Downloads through the replay server: every exchange, with everything going wrong.
#![allow(clippy::unwrap_used, reason = "tests")]

mod every_exchange;
mod paging;
mod read_ahead;
mod venue;
