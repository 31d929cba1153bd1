//! From a market to what its candle stream is asked for, and where.

use std::fmt::Write as _;
use std::time::Duration;

use forecastle_core::{Timeframe, Timestamp};
use percent_encoding::utf8_percent_encode;
use serde_json::Value as Json;

use super::channel_message::KeepAlive;
use super::channel_record::Channel;
use super::definition::Exchange;
use super::error::{ExchangeError, ExchangeResult};
use super::expression::{Encoding, ExpressionError, Names, Template, Value};
use super::http_request::HttpRequest;
use super::market::{Market, MarketKind};
use super::query::CandleQuery;
use super::record::{Body, Need, VolumeUnit};
use super::request::{QUERY, market_name, query_name, unknown};

/// Longest address that a server may name.
const LONGEST_ADDRESS: usize = 4_096;

/// Knows how one market's candles are streamed over a WebSocket: where, what is sent, what comes.
///
/// It is a part of the exchange's record and touches no network: it writes messages and reads them.
/// A client fetches [`bootstrap_request`](Self::bootstrap_request) if there is one, connects to
/// [`address`](Self::address), waits for [`Ready`](super::ChannelMessage::Ready) if the channel
/// [`awaits_welcome`](Self::awaits_welcome), sends its [`subscriptions`](Self::subscriptions),
/// keeps the connection alive and reads what comes.
///
/// # Examples
/// ```
/// use forecastle_market_data::{ChannelMessage, Exchange, Market};
///
/// let market = Market::from_symbol("BTCUSDT", "BTC/USDT")?;
/// let now = "2024-01-01T00:00:30Z".parse()?;
/// let channel = Exchange::find("bybit")?.candle_channel(&market, "1m".parse()?)?;
/// assert_eq!(channel.address(now, None)?, "wss://stream.bybit.com/v5/public/spot");
/// assert_eq!(channel.subscriptions(now)?, [r#"{"args":["kline.1.BTCUSDT"],"op":"subscribe"}"#]);
///
/// let message = channel.read_text(
///     r#"{"topic": "kline.1.BTCUSDT", "data": [{"start": 1704067200000, "open": "42000",
///         "high": "42010", "low": "41990", "close": "42005", "volume": "1.5", "confirm": true}]}"#,
/// )?;
/// let ChannelMessage::Candles(candles) = message else { panic!("{message:?}") };
/// assert_eq!((candles[0].candle.close, candles[0].closed), (42005.0, Some(true)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct CandleChannel {
    pub(super) exchange: Exchange,
    index: usize,
    pub(super) market: Market,
    timeframe: Timeframe,
    code: String,
    /// The way to the rows of a message.
    pub(super) rows: Vec<String>,
    pub(super) ready: Option<Json>,
    pub(super) subscribed: Json,
    pub(super) candles: Json,
    pub(super) pong: Option<Json>,
}

impl Exchange {
    /// Finds the WebSocket channel of a market's candles.
    ///
    /// # Errors
    /// - [`ExchangeError::Refused`] when it has no such channel, or no candles of such markets.
    /// - [`ExchangeError::UnsupportedTimeframe`] with those that are streamed.
    /// - [`ExchangeError::KeyRequired`] when candles are given to holders of a key only.
    /// - [`ExchangeError::Record`] when the record does not fit the market.
    pub fn candle_channel(
        &self,
        market: &Market,
        timeframe: Timeframe,
    ) -> ExchangeResult<CandleChannel> {
        if self.needs_key().contains(&Need::Candles) {
            return Err(ExchangeError::KeyRequired {
                exchange: self.id().to_owned(),
                message: "its candles are given to holders of a key only".to_owned(),
            });
        }
        let Some(kind) = market.kind() else {
            return Err(self.no_channel("index", &market.symbol));
        };
        let Some(index) = self.channel_of(kind) else {
            return Err(self.no_channel(kind.as_str(), &market.symbol));
        };
        let table = self.channels.get(index).map(Vec::as_slice).unwrap_or_default();
        // Back-fill asks over HTTP: what cannot be had there is not streamed either.
        let (_, over_http) = self.endpoint(market, None)?;
        let both = |wanted: &Timeframe| over_http.iter().any(|(served, _)| served == wanted);
        let code = table.iter().find(|(served, _)| *served == timeframe && both(served));
        let Some((_, code)) = code else {
            let offered = table.iter().filter(|(served, _)| both(served));
            let offered: Vec<String> = offered.map(|(served, _)| served.to_string()).collect();
            return Err(ExchangeError::UnsupportedTimeframe {
                exchange: format!("the WebSocket of {}", self.id()),
                timeframe: timeframe.to_string(),
                offered: offered.join(" "),
            });
        };
        let mut channel = CandleChannel {
            exchange: self.clone(),
            index,
            market: market.clone(),
            timeframe,
            code: code.clone(),
            rows: Vec::new(),
            ready: None,
            subscribed: Json::Null,
            candles: Json::Null,
            pong: None,
        };
        channel.resolve()?;
        Ok(channel)
    }

    /// The timeframes that are streamed for one kind of market, shortest first; none without a
    /// channel.
    pub fn websocket_timeframes(&self, kind: MarketKind) -> Vec<Timeframe> {
        let over_http = self.timeframes(kind);
        let table = self.channel_of(kind).and_then(|index| self.channels.get(index));
        let streamed = table.into_iter().flatten().map(|(timeframe, _)| *timeframe);
        streamed.filter(|timeframe| over_http.contains(timeframe)).collect()
    }

    fn channel_of(&self, kind: MarketKind) -> Option<usize> {
        let serves = |kind: MarketKind| {
            self.record.websocket.iter().position(|channel| channel.kinds.contains(&kind))
        };
        serves(kind).or_else(|| serves(kind.fallback()?))
    }

    fn no_channel(&self, what: &str, symbol: &str) -> ExchangeError {
        ExchangeError::Refused {
            exchange: self.id().to_owned(),
            reason: format!("no WebSocket stream of {what} candles is known ({symbol}): poll them"),
        }
    }
}

impl CandleChannel {
    /// The exchange.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The market.
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// How long each candle lasts.
    pub fn timeframe(&self) -> Timeframe {
        self.timeframe
    }

    /// The unit in which the stream gives volumes.
    ///
    /// # Errors
    /// - [`ExchangeError::Record`] when the record does not fit the market.
    pub fn volume_unit(&self) -> ExchangeResult<VolumeUnit> {
        Ok(self.record()?.volume)
    }

    /// Whether messages say that a candle has closed, so that its values are final.
    pub fn says_closed(&self) -> bool {
        self.record().is_ok_and(|record| record.closed.is_some())
    }

    /// Whether nothing may be sent before the server has said that it is ready.
    pub fn awaits_welcome(&self) -> bool {
        self.ready.is_some()
    }

    /// The request whose answer [`address`](Self::address) needs, for exchanges that have one.
    ///
    /// # Errors
    /// - [`ExchangeError::Record`] when the record does not fit the market.
    pub fn bootstrap_request(&self) -> ExchangeResult<Option<HttpRequest>> {
        let Some(bootstrap) = &self.record()?.bootstrap else {
            return Ok(None);
        };
        let query = self.query(Timestamp::from_millis(0));
        let names = self.names(&query);
        let (host, path) = (&bootstrap.host, &bootstrap.path);
        let exchange = &self.exchange;
        exchange.assemble(bootstrap.method, host, path, &[], None, &names).map(Some)
    }

    /// Where to connect.
    ///
    /// # Errors
    /// - [`ExchangeError::Malformed`] when the answer to the bootstrap request names no address, or
    ///   one without TLS.
    /// - [`ExchangeError::Exchange`] and its like when that answer is an error.
    /// - [`ExchangeError::Record`] when the record does not fit the market.
    pub fn address(&self, now: Timestamp, bootstrap: Option<&[u8]>) -> ExchangeResult<String> {
        let record = self.record()?;
        if record.bootstrap.is_some() {
            return self.named_address(record, bootstrap.unwrap_or_default());
        }
        let query = self.query(now);
        let names = self.names(&query);
        let lacking = |field| self.wrong(field, "it has no value for this market");
        let host = record.host.as_ref().ok_or_else(|| lacking("host"))?;
        let host = self.exchange.text("websocket.host", host, &names)?;
        let mut address = self.host(&host.ok_or_else(|| lacking("host"))?)?;
        if let Some(path) = &record.path {
            let path = path.text(&names, Encoding::Path).map_err(|e| self.wrong("path", e))?;
            address.push_str(&path.ok_or_else(|| lacking("path"))?);
        }
        Ok(address)
    }

    /// The address that the answer to the bootstrap request names.
    fn named_address(&self, record: &Channel, answer: &[u8]) -> ExchangeResult<String> {
        self.exchange.refused(200, answer, None)?;
        let malformed = |reason: String| self.exchange.malformed(Some("the address"), reason);
        let root: Json = serde_json::from_slice(answer).map_err(|e| malformed(e.to_string()))?;
        let text = |steps: &[String]| {
            let value = follow(&root, steps).and_then(Json::as_str);
            value.ok_or_else(|| malformed(format!("no text at {}", steps.join("."))))
        };
        let Some(bootstrap) = &record.bootstrap else {
            return Err(self.wrong("bootstrap", "missing"));
        };
        let mut address = text(&bootstrap.endpoint)?.to_owned();
        // A server of one's own that is asked without TLS may name an address without it.
        let own = self.exchange.base_url.as_deref().is_some_and(|url| url.starts_with("http://"));
        let is_safe = address.starts_with("wss://") || own && address.starts_with("ws://");
        if !is_safe {
            let start: String = address.chars().take(40).collect();
            return Err(malformed(format!("wss:// expected, got {start:?}")));
        }
        for (name, steps) in &bootstrap.query {
            let separator = if address.contains('?') { '&' } else { '?' };
            let value = text(steps)?;
            let (name, value) =
                (utf8_percent_encode(name, QUERY), utf8_percent_encode(value, QUERY));
            let _ = write!(address, "{separator}{name}={value}");
        }
        if address.len() > LONGEST_ADDRESS {
            return Err(malformed(format!("longer than {LONGEST_ADDRESS} bytes")));
        }
        Ok(address)
    }

    /// What is sent to subscribe, in this order.
    ///
    /// # Errors
    /// - [`ExchangeError::Record`] when the record does not fit the market.
    pub fn subscriptions(&self, now: Timestamp) -> ExchangeResult<Vec<String>> {
        let bodies = self.record()?.subscribe.iter();
        bodies.map(|body| Ok(written(&self.message(body, now)?))).collect()
    }

    /// How the connection is kept open, where the client has to see to it.
    ///
    /// # Errors
    /// - [`ExchangeError::Record`] when the record does not fit the market.
    pub fn keep_alive(&self, now: Timestamp) -> ExchangeResult<Option<KeepAlive>> {
        let Some(ping) = &self.record()?.ping else {
            return Ok(None);
        };
        let text = match &ping.send {
            Some(body) => Some(written(&self.message(body, now)?)),
            None => None,
        };
        Ok(Some(KeepAlive { every: Duration::from_millis(ping.every_ms), text }))
    }

    /// Evaluates what does not change from message to message.
    fn resolve(&mut self) -> ExchangeResult<()> {
        let record = self.record()?;
        let at_rest = Timestamp::from_millis(0);
        let some = |body: Option<&Body>| match body {
            Some(body) => self.message(body, at_rest).map(Some),
            None => Ok(None),
        };
        let ready = some(record.ready.as_ref())?;
        let pong = some(record.ping.as_ref().and_then(|ping| ping.answer.as_ref()))?;
        let subscribed = self.message(&record.subscribed, at_rest)?;
        let candles = self.message(&record.candles, at_rest)?;
        let query = self.query(at_rest);
        let names = self.names(&query);
        let step = |step: &Template| {
            let text = self.exchange.text("websocket.response.rows", step, &names)?;
            text.ok_or_else(|| self.wrong("response.rows", "a step is absent"))
        };
        let rows = record.response.rows.iter().map(step).collect::<ExchangeResult<_>>()?;
        (self.rows, self.ready, self.pong) = (rows, ready, pong);
        (self.subscribed, self.candles) = (subscribed, candles);
        Ok(())
    }

    pub(super) fn record(&self) -> ExchangeResult<&Channel> {
        let channel = self.exchange.record.websocket.get(self.index);
        channel.ok_or_else(|| self.exchange.wrong_record("websocket", "missing"))
    }

    fn query(&self, now: Timestamp) -> CandleQuery<'_> {
        CandleQuery::new(&self.market, self.timeframe, now)
    }

    fn names<'q>(&'q self, query: &'q CandleQuery<'q>) -> ChannelNames<'q> {
        ChannelNames { exchange: &self.exchange, query, code: &self.code }
    }

    pub(super) fn message(&self, body: &Body, now: Timestamp) -> ExchangeResult<Json> {
        let query = self.query(now);
        let message = self.exchange.body(body, &self.names(&query))?;
        message.ok_or_else(|| self.wrong("message", "it has no value for this market"))
    }

    fn host(&self, name: &str) -> ExchangeResult<String> {
        let Some(url) = self.exchange.record.websocket_hosts.get(name) else {
            return Err(self.wrong("host", format!("no host is called {name:?}")));
        };
        let Some(base) = &self.exchange.base_url else {
            return Ok(url.clone());
        };
        // http becomes ws, https becomes wss.
        let base = base.strip_prefix("http").unwrap_or(base);
        let after = url.split_once("://").map_or(url.as_str(), |(_, after)| after);
        let path = after.find('/').and_then(|at| after.get(at..)).unwrap_or_default();
        Ok(format!("ws{base}{path}"))
    }

    pub(super) fn wrong(&self, field: &str, reason: impl ToString) -> ExchangeError {
        self.exchange.wrong_record(&format!("websocket[{}].{field}", self.index), reason)
    }
}

/// A text as it is, anything else as JSON.
pub(super) fn written(message: &Json) -> String {
    match message {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What stands at the end of a path.
pub(super) fn follow<'j>(root: &'j Json, steps: &[String]) -> Option<&'j Json> {
    steps.iter().try_fold(root, |at, step| match at {
        Json::Object(fields) => fields.get(step),
        Json::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The names that a market and a timeframe give to the templates of a channel.
struct ChannelNames<'q> {
    exchange: &'q Exchange,
    query: &'q CandleQuery<'q>,
    code: &'q str,
}

impl<'a> Names<'a> for ChannelNames<'_> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        if name == "timeframe" {
            return Ok(Value::text(self.code));
        }
        let value = query_name(self.query, name).or_else(|| market_name(self.query.market, name));
        value.map_or_else(|| unknown(name), Ok)
    }

    fn currency(&self, code: &str) -> String {
        self.exchange.currency(code)
    }
}
