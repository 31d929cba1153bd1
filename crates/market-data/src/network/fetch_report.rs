use std::time::Duration;

use forecastle_core::{RepairReport, Timeframe, Timestamp};
use serde::Serialize;

use crate::exchange::VolumeUnit;

/// Says what a download did and what it found: nothing is repaired, dropped or missed in silence.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FetchReport {
    /// The exchange.
    pub exchange: String,
    /// The unified symbol.
    pub symbol: String,
    /// The timeframe, as CCXT writes it.
    pub timeframe: String,
    /// Pages asked for.
    pub pages: usize,
    /// Pages without a candle: listing gaps, or the time before the listing.
    pub empty_pages: usize,
    /// Requests sent, repetitions included.
    pub requests: u64,
    /// Those of them made ahead for a page that then was another, or came to nothing.
    pub discarded: usize,
    /// Bytes of the answers, decompressed.
    pub bytes: u64,
    /// Rows read.
    pub rows: usize,
    /// Rows that came twice; the later one counts.
    pub duplicates: usize,
    /// Rows outside the time that was asked for.
    pub outside: usize,
    /// Candles dropped because they had not closed yet by the clock.
    pub unfinished: usize,
    /// Requests that asked once more about a hole.
    pub gap_checks: usize,
    /// Candles that only a second request brought.
    pub recovered: usize,
    /// What building the series repaired, and the gaps that are left.
    pub repair: RepairReport,
    /// How far the candles open after the grid of midnight UTC, when all do by the same.
    pub anchor_offset_ms: Option<i64>,
    /// Candles that do not lie on one grid.
    pub off_grid: usize,
    /// The unit in which the exchange counts volume.
    pub volume_unit: VolumeUnit,
    /// Whether the volume was converted to base currency.
    pub volume_converted: bool,
    /// Why older candles than these cannot be had, if so.
    pub truncated: Option<String>,
    /// The server's clock minus ours, from the latest answer that told.
    pub clock_skew_ms: Option<i64>,
    /// Time spent in requests.
    #[serde(rename = "elapsed_s", serialize_with = "seconds")]
    pub elapsed: Duration,
    /// The part of it spent waiting for the exchange's pace and pauses.
    #[serde(rename = "waited_s", serialize_with = "seconds")]
    pub waited: Duration,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

impl FetchReport {
    pub(super) fn new(exchange: &str, symbol: &str, timeframe: String, unit: VolumeUnit) -> Self {
        Self {
            exchange: exchange.to_owned(),
            symbol: symbol.to_owned(),
            timeframe,
            pages: 0,
            empty_pages: 0,
            requests: 0,
            discarded: 0,
            bytes: 0,
            rows: 0,
            duplicates: 0,
            outside: 0,
            unfinished: 0,
            gap_checks: 0,
            recovered: 0,
            repair: RepairReport::default(),
            anchor_offset_ms: None,
            off_grid: 0,
            volume_unit: unit,
            volume_converted: false,
            truncated: None,
            clock_skew_ms: None,
            elapsed: Duration::ZERO,
            waited: Duration::ZERO,
        }
    }

    /// This report with nothing done yet.
    pub(super) fn fresh(&self) -> Self {
        let (exchange, symbol, timeframe) = (&self.exchange, &self.symbol, self.timeframe.clone());
        let volume_converted = self.volume_converted;
        Self { volume_converted, ..Self::new(exchange, symbol, timeframe, self.volume_unit) }
    }

    /// Adds what a part of the download did.
    pub(super) fn add(&mut self, part: &Self) {
        self.pages += part.pages;
        self.empty_pages += part.empty_pages;
        self.requests += part.requests;
        self.discarded += part.discarded;
        self.bytes += part.bytes;
        self.rows += part.rows;
        self.duplicates += part.duplicates;
        self.outside += part.outside;
        self.unfinished += part.unfinished;
        self.gap_checks += part.gap_checks;
        self.recovered += part.recovered;
        self.truncated = self.truncated.take().or_else(|| part.truncated.clone());
        self.clock_skew_ms = part.clock_skew_ms.or(self.clock_skew_ms);
        self.elapsed += part.elapsed;
        self.waited += part.waited;
    }

    /// Notes on which grid the candles lie.
    pub(super) fn note(&mut self, grid: &Grid) {
        self.off_grid = grid.off;
        self.anchor_offset_ms = grid.offset.filter(|offset| *offset != 0 && grid.off == 0);
    }
}

/// How far candles open after the grid of midnight UTC.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Grid {
    /// How far the first one does.
    offset: Option<i64>,
    /// How many do otherwise.
    off: usize,
}

impl Grid {
    pub(super) fn see(&mut self, times: &[Timestamp], timeframe: Timeframe) {
        let offset = |time: &Timestamp| {
            timeframe.floor(*time).and_then(|floor| time.millis_since(floor)).unwrap_or_default()
        };
        let Some(first) = self.offset.or_else(|| times.first().map(offset)) else { return };
        self.offset = Some(first);
        self.off += times.iter().filter(|time| offset(time) != first).count();
    }
}
