//! From a request to an answer, with or without a fault.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use forecastle_core::Timestamp;

use super::fault::{FaultDice, FaultKind};
use super::page::{Bounds, page};
use super::params::{BodyEncoding, ReplayParams};
use super::pattern::{Asked, Pattern};
use super::render::{self, Row};
use super::routes::{Found, Routes};
use super::statistics::ReplayStatistics;
use super::stock::Stock;
#[cfg(feature = "websocket")]
use super::stream_dice::StreamDice;
use crate::exchange::{ExchangeResult, Method};

/// Everything that the connections of a server share.
#[derive(Debug)]
pub(super) struct Service {
    params: ReplayParams,
    routes: Routes,
    stocks: Vec<Stock>,
    dice: Mutex<FaultDice>,
    statistics: Mutex<ReplayStatistics>,
    turn: AtomicU64,
    #[cfg(feature = "websocket")]
    stream_dice: Mutex<StreamDice>,
}

/// One request as far as it matters.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) accepts: String,
    pub(super) body: Vec<u8>,
}

/// One answer.
#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) encoding: Option<&'static str>,
    pub(super) retry_after_s: Option<u64>,
    pub(super) body: Vec<u8>,
    pub(super) delivery: Delivery,
}

/// How a body goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    Slow,
    CutOff,
    CutOffChunked,
    Never,
}

impl Service {
    pub(super) fn new(params: ReplayParams) -> ExchangeResult<Self> {
        Ok(Self {
            routes: Routes::new(&params)?,
            stocks: params.series.iter().map(|series| Stock::new(series.candles.clone())).collect(),
            dice: Mutex::new(FaultDice::new(params.faults.clone())),
            statistics: Mutex::default(),
            turn: AtomicU64::new(0),
            #[cfg(feature = "websocket")]
            stream_dice: Mutex::new(StreamDice::new(&params.streams)),
            params,
        })
    }

    pub(super) fn params(&self) -> &ReplayParams {
        &self.params
    }

    pub(super) fn statistics(&self) -> MutexGuard<'_, ReplayStatistics> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dice(&self) -> MutexGuard<'_, FaultDice> {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answer(&self, request: &Request) -> Reply {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.statistics().requests += 1;
        let found = self.routes.find(request.method, &request.target, &request.body);
        let mut hasher = DefaultHasher::new();
        match &found {
            Found::Nothing(nothing) => {
                self.statistics().unknown += 1;
                let body = error_body(nothing.status, &nothing.message);
                return Reply::json(nothing.status, body);
            }
            Found::List(_) => {
                self.statistics().market_requests += 1;
                (&request.target, &request.body).hash(&mut hasher);
            }
            Found::Candles { series, asked, .. } => {
                self.statistics().candle_requests += 1;
                (series, asked.start, asked.end, asked.count).hash(&mut hasher);
            }
        }
        let mut failure = self.dice().failure(hasher.finish());
        if let Some(kind) = failure
            && let Some(reply) = self.failed(kind)
        {
            self.count(kind);
            return reply;
        }
        let text = match found {
            Found::Candles { series, pattern, asked } => {
                let mut rows = self.rows(series, pattern, &asked, turn);
                if failure == Some(FaultKind::WrongType) && !self.damage(&mut rows, pattern) {
                    // A page without rows has no field to damage.
                    failure = Some(FaultKind::Empty);
                }
                render::answer(&pattern.shape, &self.params.style, &rows).into_bytes()
            }
            Found::List(answer) => {
                if failure == Some(FaultKind::WrongType) {
                    failure = Some(FaultKind::Empty);
                }
                answer.to_vec()
            }
            Found::Nothing(_) => Vec::new(),
        };
        let text = if failure == Some(FaultKind::Empty) { Vec::new() } else { text };
        self.statistics().bytes += u64::try_from(text.len()).unwrap_or_default();
        let (encoding, body) = self.encoded(text, &request.accepts, turn);
        let delivery = match failure {
            // A body of a byte or none cannot be cut.
            Some(FaultKind::CutOff) => Delivery::CutOff,
            Some(FaultKind::CutOffChunked) => Delivery::CutOffChunked,
            _ if self.dice().strikes(FaultKind::Slow) => {
                self.count(FaultKind::Slow);
                Delivery::Slow
            }
            _ => Delivery::Whole,
        };
        if let Some(kind) = failure {
            self.count(kind);
        }
        Reply { encoding, delivery, ..Reply::json(200, body) }
    }

    fn count(&self, kind: FaultKind) {
        *self.statistics().faults.entry(kind).or_default() += 1;
    }

    /// The answers that need no content.
    fn failed(&self, kind: FaultKind) -> Option<Reply> {
        let retry_after_s = Some(self.params.faults.retry_after_s);
        let too_many = error_body(429, "Too Many Requests");
        Some(match kind {
            FaultKind::RateLimited => Reply { retry_after_s, ..Reply::json(429, too_many) },
            FaultKind::ServerError => match self.dice().below(3) {
                0 => Reply::json(500, error_body(500, "Internal Server Error")),
                1 => Reply::html(502, "502 Bad Gateway"),
                _ => Reply::json(503, error_body(503, "Service Unavailable")),
            },
            FaultKind::Closed => {
                Reply { delivery: Delivery::Never, ..Reply::json(200, Vec::new()) }
            }
            FaultKind::Html => Reply::html(200, "We are down for maintenance"),
            FaultKind::Empty => Reply::json(200, Vec::new()),
            _ => return None,
        })
    }

    /// As of when candles are served.
    pub(super) fn now(&self) -> Timestamp {
        earlier((self.params.clock)(), self.params.delay_ms)
    }

    #[cfg(feature = "websocket")]
    pub(super) fn stock(&self, series: usize) -> Option<&Stock> {
        self.stocks.get(series)
    }

    #[cfg(feature = "websocket")]
    pub(super) fn stream_dice(&self) -> MutexGuard<'_, StreamDice> {
        self.stream_dice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self, series: usize, pattern: &Pattern, asked: &Asked, turn: u64) -> Vec<Row> {
        let Some(stock) = self.stocks.get(series) else {
            return Vec::new();
        };
        let now = self.now();
        let (times, in_progress) = stock.existing(now, self.params.unfinished);
        let final_at = earlier(now, self.params.revision_ms);
        let count = |rows: u32| usize::try_from(rows).unwrap_or(usize::MAX);
        let cap = self.params.page_cap.or(pattern.shape.max_rows);
        let depth = pattern.shape.depth.filter(|_| self.params.depth).map(count);
        let mut most = cap.map_or(usize::MAX, count).max(1);
        let mut dice = self.dice();
        let mut struck = Vec::new();
        let asked_rows = asked.count.unwrap_or(usize::MAX).min(most).min(times.len());
        if asked_rows > 2 && pattern.may_be_cut() && dice.strikes(FaultKind::ShortPage) {
            most = 2 + dice.below(asked_rows - 2);
            struck.push(FaultKind::ShortPage);
        }
        let bounds = Bounds { paging: pattern.shape.paging, most, depth };
        let mut range = page(times, asked, &bounds);
        let before = 3.min(range.start);
        if before > 0
            && !range.is_empty()
            && asked.start.is_some()
            && dice.strikes(FaultKind::OverlappingRows)
        {
            range.start -= 1 + dice.below(before);
            struck.push(FaultKind::OverlappingRows);
        }
        let last = times.len().saturating_sub(1);
        let mut unfinished = 0;
        let mut rows = Vec::with_capacity(range.len() + 1);
        let mut left_out = None;
        if range.len() > 2 && dice.strikes(FaultKind::MissingRow) {
            let row = range.start + dice.below(range.len() - 1);
            left_out = Some(row).filter(|row| dice.leave_out(series, *row));
            struck.extend(left_out.map(|_| FaultKind::MissingRow));
        }
        for row in range.filter(|row| Some(*row) != left_out) {
            let candle = if in_progress && row == last {
                unfinished = 1;
                stock.in_progress(row, turn)
            } else if self.params.revision_ms > 0 && !stock.has_closed(row, final_at) {
                stock.in_progress(row, turn)
            } else {
                stock.candle(row)
            };
            rows.extend(candle.map(|candle| Row { candle, damage: None }));
        }
        if !rows.is_empty() && dice.strikes(FaultKind::RepeatedRow) {
            let at = dice.below(rows.len());
            let repeated = rows.get(at).copied();
            let to = if dice.below(2) == 0 { at } else { rows.len() };
            repeated.into_iter().for_each(|row| rows.insert(to, row));
            struck.push(FaultKind::RepeatedRow);
        }
        if rows.len() > 1 && dice.strikes(FaultKind::UnorderedRows) {
            for at in (1..rows.len()).rev() {
                rows.swap(at, dice.below(at + 1));
            }
            struck.push(FaultKind::UnorderedRows);
        }
        drop(dice);
        struck.into_iter().for_each(|kind| self.count(kind));
        let mut statistics = self.statistics();
        statistics.rows += u64::try_from(rows.len()).unwrap_or_default();
        statistics.unfinished += unfinished;
        rows
    }

    /// Puts something that is no number into one field; false when there is none.
    fn damage(&self, rows: &mut [Row], pattern: &Pattern) -> bool {
        const INSTEAD: [&str; 7] = ["null", "\"n/a\"", "{}", "true", "\"NaN\"", "[]", "\"\""];
        let mut dice = self.dice();
        let fields: Vec<usize> = pattern
            .shape
            .rows
            .fields
            .iter()
            .enumerate()
            .filter_map(|(index, field)| field.is_some().then_some(index))
            .collect();
        let field = fields.get(dice.below(fields.len())).copied().unwrap_or_default();
        let instead = INSTEAD.get(dice.below(INSTEAD.len())).copied().unwrap_or("null");
        let at = dice.below(rows.len());
        let row = rows.get_mut(at);
        row.map(|row| row.damage = Some((field, instead))).is_some()
    }

    /// The body as the client takes it.
    fn encoded(&self, body: Vec<u8>, accepts: &str, turn: u64) -> (Option<&'static str>, Vec<u8>) {
        let wanted = match self.params.style.encoding {
            BodyEncoding::Alternating if turn.is_multiple_of(2) => BodyEncoding::Gzip,
            BodyEncoding::Alternating => BodyEncoding::Brotli,
            other => other,
        };
        let takes =
            |name: &str| accepts.split(',').any(|one| one.trim().split(';').next() == Some(name));
        match wanted {
            BodyEncoding::Gzip if takes("gzip") => match gzip(&body) {
                Some(packed) => (Some("gzip"), packed),
                None => (None, body),
            },
            BodyEncoding::Brotli if takes("br") => match brotli(&body) {
                Some(packed) => (Some("br"), packed),
                None => (None, body),
            },
            _ => (None, body),
        }
    }
}

fn earlier(time: Timestamp, millis: u64) -> Timestamp {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    Timestamp::from_millis(time.as_millis().saturating_sub(millis))
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn brotli(body: &[u8]) -> Option<Vec<u8>> {
    const BUFFER: usize = 4_096;
    let mut packed = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut packed, BUFFER, 2, 20);
    writer.write_all(body).ok()?;
    drop(writer);
    Some(packed)
}

impl Reply {
    pub(super) fn json(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type: "application/json",
            encoding: None,
            retry_after_s: None,
            body,
            delivery: Delivery::Whole,
        }
    }

    fn html(status: u16, words: &str) -> Self {
        let page = format!(
            "<!DOCTYPE html><html><head><title>{words}</title></head><body><h1>{words}</h1></body></html>"
        );
        Self { content_type: "text/html; charset=utf-8", ..Self::json(status, page.into_bytes()) }
    }
}

fn error_body(code: u16, message: &str) -> Vec<u8> {
    serde_json::json!({ "code": code, "msg": message }).to_string().into_bytes()
}
