use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forecastle_core::Timestamp;
use serde::Serialize;

use crate::exchange::ExchangeError;

/// Says what a live source did and found so far, and its latest readings.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct LiveReport {
    /// The exchange.
    pub exchange: String,
    /// The symbol, as asked for.
    pub symbol: String,
    /// The timeframe, as CCXT writes it.
    pub timeframe: String,
    /// Candles given.
    pub candles: u64,
    /// The open time of the latest one.
    pub last_candle: Option<Timestamp>,
    /// How long after its close that one came, in ms, by the server's clock.
    pub delay_ms: Option<i64>,
    /// Times that the exchange was asked for what has closed.
    pub polls: u64,
    /// Those that came too early: the candle was not there yet.
    pub early_polls: u64,
    /// Requests sent for candles, repetitions included.
    pub requests: u64,
    /// Bytes of the answers, decompressed.
    pub bytes: u64,
    /// Times that more than one candle was behind.
    pub backfills: u64,
    /// Candles given of which a later one had closed already.
    pub backfilled: u64,
    /// Places where candles are missing.
    pub gaps: u64,
    /// Candles missing there: the exchange has none, asked once more.
    pub missing: u64,
    /// Candles that came again; they are not given again.
    pub duplicates: u64,
    /// Candles that came after a later one was given; they are not given.
    pub out_of_order: u64,
    /// Rows that are no valid candle.
    pub invalid: u64,
    /// Candles whose volume was missing or negative and counts as 0.
    pub volume_repaired: u64,
    /// Failures that were waited out.
    pub errors: u64,
    /// The same by [kind](crate::ExchangeError::kind).
    pub errors_by_kind: BTreeMap<&'static str, u64>,
    /// What the latest failure said.
    pub last_error: Option<String>,
    /// Candles that a stream gave before they were asked for over HTTP.
    pub streamed: u64,
    /// Times that a stream had to be connected anew.
    pub reconnects: u64,
    /// Messages of a stream that could not be read.
    pub malformed_messages: u64,
    /// The server's clock minus ours, once an answer told; 0 while that may be it.
    pub clock_skew_ms: Option<i64>,
}

/// A report that the source writes and its reader looks at.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedReport(Arc<Mutex<LiveReport>>);

impl SharedReport {
    pub(super) fn new(report: LiveReport) -> Self {
        Self(Arc::new(Mutex::new(report)))
    }

    /// Counts a failure.
    pub(super) fn note_failure(&self, error: &ExchangeError) {
        let mut report = self.lock();
        report.errors += 1;
        *report.errors_by_kind.entry(error.kind()).or_default() += 1;
        report.last_error = Some(error.to_string());
    }

    /// The report, for a moment.
    pub(super) fn lock(&self) -> MutexGuard<'_, LiveReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
