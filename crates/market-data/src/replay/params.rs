use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use forecastle_core::CandleSeries;
use serde::{Deserialize, Serialize};

use super::fault::Faults;
use super::stream_fault::ReplayStreams;
use crate::cache::Clock;
use crate::exchange::{Exchange, HttpRequest, Market};

/// Configures a [`ReplayServer`](super::ReplayServer).
///
/// | Name | Default | Purpose |
/// |---|---|---|
/// | `series` | | the candles to serve, each with its exchange and market |
/// | `exchanges` | none | further exchanges, of which only market lists are served |
/// | `clock` | | what time it is there: later candles do not exist yet |
/// | `markets` | the crate's samples | answers that replace or complete an exchange's market lists |
/// | `style` | as most exchanges | how numbers, orders and bodies are written |
/// | `faults` | none | what goes wrong, and how often |
/// | `page_cap` | the record's | most rows of one answer, at least 1; `None`: the record's `max_rows` |
/// | `depth` | true | whether an exchange that keeps only its newest candles does so here |
/// | `unfinished` | true | whether the candle in progress is served, its values changing |
/// | `delay_ms` | 0 | how long after an instant candles are served as they were then |
/// | `revision_ms` | 0 | how long after its close a candle goes on changing |
/// | `streams` | no faults | candle streams over a WebSocket (feature `websocket`) and their faults |
/// | `bind` | a free port of 127.0.0.1 | where to listen |
#[derive(Clone)]
pub struct ReplayParams {
    /// The candles to serve.
    pub series: Vec<ReplaySeries>,
    /// Further exchanges whose market lists are served.
    pub exchanges: Vec<Exchange>,
    /// What time it is on the server.
    pub clock: Clock,
    /// Answers to requests for market lists, by exchange; they come before the samples.
    pub markets: Vec<(Exchange, HttpRequest, Vec<u8>)>,
    /// How answers are written.
    pub style: WireStyle,
    /// What goes wrong.
    pub faults: Faults,
    /// Most rows of one answer; `None` leaves it to the record.
    pub page_cap: Option<u32>,
    /// Whether the record's `depth` holds.
    pub depth: bool,
    /// Whether the candle that is open at the clock's time is served.
    pub unfinished: bool,
    /// How late candles are served, in ms: as they were so long ago.
    pub delay_ms: u64,
    /// How long after its close a candle goes on changing, in ms.
    pub revision_ms: u64,
    /// How candles are streamed over a WebSocket.
    pub streams: ReplayStreams,
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
}

impl ReplayParams {
    /// Serves these candles at this time, without faults.
    pub fn new(series: Vec<ReplaySeries>, clock: Clock) -> Self {
        Self {
            series,
            exchanges: Vec::new(),
            clock,
            markets: Vec::new(),
            style: WireStyle::default(),
            faults: Faults::none(),
            page_cap: None,
            depth: true,
            unfinished: true,
            delay_ms: 0,
            revision_ms: 0,
            streams: ReplayStreams::default(),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }
}

impl fmt::Debug for ReplayParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayParams")
            .field("series", &self.series)
            .field("style", &self.style)
            .field("faults", &self.faults)
            .field("page_cap", &self.page_cap)
            .field("depth", &self.depth)
            .field("unfinished", &self.unfinished)
            .field("delay_ms", &self.delay_ms)
            .field("revision_ms", &self.revision_ms)
            .field("streams", &self.streams)
            .field("bind", &self.bind)
            .finish_non_exhaustive()
    }
}

/// Holds candles of one market of one exchange.
#[derive(Clone)]
pub struct ReplaySeries {
    /// The exchange in whose format they are served.
    pub exchange: Exchange,
    /// The market they are served as.
    pub market: Market,
    /// The candles, the volume in the unit that the exchange uses.
    pub candles: Arc<CandleSeries>,
}

impl ReplaySeries {
    /// Serves candles, whatever symbol they carry, as those of a market.
    pub fn new(exchange: Exchange, market: Market, candles: impl Into<Arc<CandleSeries>>) -> Self {
        Self { exchange, market, candles: candles.into() }
    }
}

impl fmt::Debug for ReplaySeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (timeframe, n) = (self.candles.timeframe(), self.candles.len());
        write!(f, "{n} {timeframe} candles of {} as {}", self.market.symbol, self.exchange.id())
    }
}

/// States how answers are written where exchanges differ or change their minds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WireStyle {
    /// Numbers or texts.
    pub numbers: NumberStyle,
    /// Oldest or newest rows first.
    pub order: RowOrder,
    /// Which encodings of bodies are used, if the client takes them.
    pub encoding: BodyEncoding,
    /// Whether a lone row comes without its list where an exchange is known to do so.
    pub lone_rows: bool,
}

/// States whether numbers are written as JSON numbers or as texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NumberStyle {
    /// `1704067200000, 42000.5`.
    Json,
    /// `"1704067200000", "42000.5"`.
    Text,
    /// Times and volumes as numbers, prices as texts.
    #[default]
    Mixed,
}

/// States which rows come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RowOrder {
    /// The oldest.
    #[default]
    Ascending,
    /// The newest.
    Descending,
}

/// States how bodies are encoded, as far as the client's `Accept-Encoding` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BodyEncoding {
    /// Not at all.
    #[default]
    Identity,
    /// With gzip.
    Gzip,
    /// With Brotli.
    Brotli,
    /// By turns.
    Alternating,
}
