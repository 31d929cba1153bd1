use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forecastle_core::Timeframe;

use super::channel_record::Channel;
use super::error::{ExchangeError, ExchangeResult};
use super::market::MarketKind;
use super::name_check::check_names;
use super::record::{Column, Layout, Need, Paging, Record, Response, VolumeUnit};

/// Knows how one exchange is asked for candles and markets, and how it answers.
///
/// It is a checked record of the registry (`exchanges/<id>.toml`) and touches no network: it makes
/// requests and reads answers. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub(super) record: Arc<Record>,
    pub(super) endpoints: Arc<Vec<EndpointTimeframes>>,
    pub(super) channels: Arc<Vec<EndpointTimeframes>>,
    pub(super) base_url: Option<Arc<str>>,
    pub(super) min_interval: Duration,
}

/// An endpoint's timeframe table, parsed, shortest first.
pub(super) type EndpointTimeframes = Vec<(Timeframe, String)>;

impl Exchange {
    pub(super) fn from_record(record: Record, file: &str) -> ExchangeResult<Self> {
        let wrong = |field: String, reason: String| ExchangeError::Record {
            file: format!("{file}.toml"),
            field,
            reason,
        };
        if !(0.0..=600_000.0).contains(&record.rate_limit_ms) {
            let reason = format!("0 to 600000 expected, got {}", record.rate_limit_ms);
            return Err(wrong("rate_limit_ms".to_owned(), reason));
        }
        if let Some(code) = record.aliases.keys().find(|code| **code != code.to_uppercase()) {
            let reason = "upper case expected: codes are looked up so".to_owned();
            return Err(wrong(format!("aliases.{code}"), reason));
        }
        for (name, url) in &record.hosts {
            if !url.starts_with("https://") && !url.starts_with("http://") || url.ends_with('/') {
                let reason = format!("an address without a slash at its end expected, got {url:?}");
                return Err(wrong(format!("hosts.{name}"), reason));
            }
        }
        for (name, url) in &record.websocket_hosts {
            if !url.starts_with("wss://") && !url.starts_with("ws://") || url.ends_with('/') {
                let reason = format!(
                    "a WebSocket's address without a slash at its end expected, got {url:?}"
                );
                return Err(wrong(format!("websocket_hosts.{name}"), reason));
            }
        }
        check_names(&record).map_err(|(field, reason)| wrong(field, reason))?;
        if record.candles.is_empty() {
            return Err(wrong("candles".to_owned(), "at least one endpoint expected".to_owned()));
        }
        let mut endpoints = Vec::with_capacity(record.candles.len());
        for (index, endpoint) in record.candles.iter().enumerate() {
            let place = |field: &str| format!("candles[{index}].{field}");
            if endpoint.kinds.is_empty() {
                return Err(wrong(place("kinds"), "at least one expected".to_owned()));
            }
            let table = endpoint.timeframes.as_ref().unwrap_or(&record.timeframes);
            let timeframes = parse_timeframes(table);
            endpoints.push(timeframes.map_err(|(field, reason)| wrong(place(&field), reason))?);
            check_columns(&endpoint.response)
                .map_err(|(field, reason)| wrong(place(field), reason))?;
            if endpoint.max_rows == Some(0) {
                return Err(wrong(place("max_rows"), "at least 1 expected".to_owned()));
            }
        }
        let mut channels = Vec::with_capacity(record.websocket.len());
        for (index, channel) in record.websocket.iter().enumerate() {
            let place = |field: &str| format!("websocket[{index}].{field}");
            let table = channel.timeframes.as_ref().unwrap_or(&record.timeframes);
            let timeframes = parse_timeframes(table);
            channels.push(timeframes.map_err(|(field, reason)| wrong(place(&field), reason))?);
            check_channel(channel).map_err(|(field, reason)| wrong(place(field), reason))?;
        }
        let min_interval = Duration::from_secs_f64(record.rate_limit_ms / 1000.0);
        Ok(Self {
            record: Arc::new(record),
            endpoints: Arc::new(endpoints),
            channels: Arc::new(channels),
            base_url: None,
            min_interval,
        })
    }

    /// This exchange with every request sent to another address: a proxy, a replay server. Paths
    /// stay as they are.
    ///
    /// # Errors
    /// - [`ExchangeError::Record`] unless it is an `http://` or `https://` address.
    pub fn with_base_url(self, url: &str) -> ExchangeResult<Self> {
        let url = url.trim_end_matches('/');
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(char::is_whitespace)) {
            return Err(ExchangeError::Record {
                file: "the command line".to_owned(),
                field: "base URL".to_owned(),
                reason: format!("an address such as http://127.0.0.1:8080 expected, got {url:?}"),
            });
        }
        Ok(Self { base_url: Some(url.into()), ..self })
    }

    /// CCXT's id, `kraken`.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// The name people know.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// The exchange whose record it inherits: the same code behind another name.
    pub fn inherits(&self) -> Option<&str> {
        self.record.inherits.as_deref()
    }

    /// What a user should know about it, in one line.
    pub fn note(&self) -> Option<&str> {
        self.record.note.as_deref()
    }

    /// The least time between two requests.
    pub fn min_interval(&self) -> Duration {
        self.min_interval
    }

    /// This exchange in another pace than its public limit: for a server of your own.
    pub fn with_min_interval(self, min_interval: Duration) -> Self {
        Self { min_interval, ..self }
    }

    /// What it gives only to holders of a key.
    pub fn needs_key(&self) -> &[Need] {
        &self.record.needs_key
    }

    /// The addresses it is asked at: its own, or the one set by
    /// [`with_base_url`](Self::with_base_url).
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        let own = self.base_url.is_none().then(|| self.record.hosts.values());
        self.base_url.as_deref().into_iter().chain(own.into_iter().flatten().map(String::as_str))
    }

    /// The kinds of markets whose candles can be had.
    pub fn kinds(&self) -> Vec<MarketKind> {
        let mut kinds: Vec<MarketKind> =
            self.record.candles.iter().flat_map(|endpoint| endpoint.kinds.clone()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The timeframes of one kind of market, shortest first.
    pub fn timeframes(&self, kind: MarketKind) -> Vec<Timeframe> {
        let serves = |kind: MarketKind| {
            let of = self.record.candles.iter().zip(self.endpoints.iter());
            of.filter(move |(endpoint, _)| endpoint.kinds.contains(&kind))
        };
        let served = serves(kind).next().or_else(|| serves(kind.fallback()?).next());
        served.map(|(_, table)| table.iter().map(|(t, _)| *t).collect()).unwrap_or_default()
    }

    /// A currency's unified code.
    pub fn currency(&self, code: &str) -> String {
        let upper = code.to_uppercase();
        self.record.aliases.get(&upper).cloned().unwrap_or(upper)
    }

    pub(super) fn malformed(
        &self,
        field: Option<&str>,
        reason: impl Into<String>,
    ) -> ExchangeError {
        ExchangeError::Malformed {
            exchange: self.id().to_owned(),
            row: None,
            field: field.map(str::to_owned),
            reason: reason.into(),
        }
    }

    pub(super) fn wrong_record(&self, field: &str, reason: impl ToString) -> ExchangeError {
        ExchangeError::Record {
            file: format!("{}.toml", self.id()),
            field: field.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// States how an exchange's candles of one kind of market come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CandleTerms {
    /// The unit of the volume.
    pub volume: VolumeUnit,
    /// Which end of a request counts.
    pub paging: Paging,
    /// The most rows one answer holds.
    pub max_rows: Option<u32>,
    /// How many of the newest candles exist at all.
    pub depth: Option<u32>,
    /// How many rows the query asks for, after the record's defaults and caps.
    pub rows: Option<u32>,
    /// The stretch of time that one answer covers whatever is asked (a day's file).
    pub span_ms: Option<i64>,
}

/// A table of timeframes, shortest first; wrong is a field of it.
fn parse_timeframes(
    table: &BTreeMap<String, String>,
) -> Result<EndpointTimeframes, (String, String)> {
    if table.is_empty() {
        return Err(("timeframes".to_owned(), "empty".to_owned()));
    }
    let mut timeframes = EndpointTimeframes::with_capacity(table.len());
    for (unified, code) in table {
        let timeframe = unified.parse().map_err(|e: forecastle_core::Error| {
            (format!("timeframes.{unified}"), e.to_string())
        })?;
        timeframes.push((timeframe, code.clone()));
    }
    timeframes.sort_by_key(|(timeframe, _)| timeframe.nominal_millis());
    Ok(timeframes)
}

fn check_channel(channel: &Channel) -> Result<(), (&'static str, String)> {
    const FASTEST_PING_MS: u64 = 10;
    let response = &channel.response;
    check_columns(response)?;
    if channel.kinds.is_empty() {
        return Err(("kinds", "at least one expected".to_owned()));
    }
    if channel.host.is_some() == channel.bootstrap.is_some() {
        return Err(("host", "either `host` or `bootstrap` expected".to_owned()));
    }
    if channel.subscribe.is_empty() {
        return Err(("subscribe", "at least one message expected".to_owned()));
    }
    if response.layout == Layout::Columns {
        return Err(("response.layout", "rows expected: a stream has no columns".to_owned()));
    }
    let unused = !response.or_rows.is_empty()
        || response.open_time.is_some()
        || response.price_divisor.is_some()
        || response.volume_divisor.is_some();
    if unused {
        let reason = "`or_rows`, `open_time` and divisors are not for streams".to_owned();
        return Err(("response", reason));
    }
    if channel.ping.as_ref().is_some_and(|ping| ping.every_ms < FASTEST_PING_MS) {
        return Err(("ping.every_ms", format!("at least {FASTEST_PING_MS} expected")));
    }
    if let Some(flag) = &channel.closed {
        let by_position = response.layout == Layout::Array;
        if matches!(flag.column, Column::Position(_)) != by_position
            || !matches!(flag.value, serde_json::Value::Bool(_) | serde_json::Value::String(_))
        {
            let reason = "a column of this layout and true or a text expected".to_owned();
            return Err(("closed", reason));
        }
    }
    Ok(())
}

fn check_columns(response: &Response) -> Result<(), (&'static str, String)> {
    let by_position = response.layout == Layout::Array;
    let columns = [
        ("response.time", Some(&response.time)),
        ("response.open", Some(&response.open)),
        ("response.high", Some(&response.high)),
        ("response.low", Some(&response.low)),
        ("response.close", Some(&response.close)),
        ("response.volume", response.volume.as_ref()),
    ];
    for (field, column) in columns {
        let fits = match column {
            Some(Column::Position(position)) => by_position && *position < MAX_POSITION,
            Some(Column::Name(_)) => !by_position,
            Some(Column::Names(names)) => !by_position && !names.is_empty(),
            None => true,
        };
        if !fits {
            let expected = if by_position { "a position below 64" } else { "a name" };
            return Err((field, format!("{expected} expected for this layout")));
        }
    }
    Ok(())
}

/// Rows of arrays are read into as many places.
pub(super) const MAX_POSITION: usize = 64;

/// Hosts by name, for templates that choose one.
pub(super) type Hosts = BTreeMap<String, String>;
