use std::collections::BTreeMap;

use serde::Serialize;

use super::{FaultKind, StreamFaultKind};

/// Counts what a [`ReplayServer`](super::ReplayServer) did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct ReplayStatistics {
    /// Requests of any kind.
    pub requests: u64,
    /// Requests for candles of a series that is served.
    pub candle_requests: u64,
    /// Requests for market lists.
    pub market_requests: u64,
    /// Requests that got an error because nothing of the kind is served.
    pub unknown: u64,
    /// Rows of candles given, damaged ones too.
    pub rows: u64,
    /// Answers that held a candle in progress.
    pub unfinished: u64,
    /// Bytes of bodies before any encoding.
    pub bytes: u64,
    /// Faults by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// WebSocket connections.
    pub connections: u64,
    /// Messages sent over them.
    pub messages: u64,
    /// Faults of streams by kind.
    pub stream_faults: BTreeMap<StreamFaultKind, u64>,
}
