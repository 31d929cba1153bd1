//! Candle streams: the documented messages, and the client against local servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bench;
mod hostile_messages;
mod live;
mod messages;
mod scripted;
mod stream_records;
mod subscriptions;
mod unruly_servers;
