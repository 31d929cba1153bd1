//! Candle streams over WebSockets: the documented messages, and the client against a local server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod hostile_messages;
mod messages;
mod subscriptions;
