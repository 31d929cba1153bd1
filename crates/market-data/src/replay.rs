//! A server for tests and offline use that answers as any exchange of the registry does.

mod body;
#[cfg(test)]
mod coverage;
mod fault;
mod market_samples;
mod page;
mod params;
mod pattern;
mod probe;
mod render;
mod routes;
mod server;
mod service;
mod slot;
mod statistics;
mod stock;
#[cfg(feature = "websocket")]
mod stream_dice;
mod stream_fault;
#[cfg(feature = "websocket")]
mod stream_session;
#[cfg(feature = "websocket")]
mod streams;

pub use fault::{FaultKind, Faults};
pub use market_samples::{sample_market_answers, sample_markets};
pub use params::{BodyEncoding, NumberStyle, ReplayParams, ReplaySeries, RowOrder, WireStyle};
pub use server::ReplayServer;
pub use statistics::ReplayStatistics;
pub use stream_fault::{ReplayStreams, StreamFaultKind};
