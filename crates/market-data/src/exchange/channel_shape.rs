//! A channel's record turned round: what a server must say for a client to understand it.

use forecastle_core::Timestamp;
use serde_json::{Map, Value as Json};

use super::answer_shape::RowShape;
use super::channel::{CandleChannel, written};
use super::channel_record::{ClosedFlag, ProtobufMessage};
use super::error::ExchangeResult;
use super::http_request::HttpRequest;
use super::protobuf;
use super::record::Column;

/// States what a server of one candle channel is asked and what it answers.
#[derive(Debug, Clone)]
pub(crate) struct ChannelShape {
    /// The WebSocket's path at the exchange.
    pub(crate) target: String,
    /// The request that must come first, and where in its answer which texts go.
    pub(crate) bootstrap: Option<(HttpRequest, Vec<Vec<String>>)>,
    pub(crate) ready: Option<String>,
    /// Each message that subscribes, as it is written at two instants.
    subscriptions: Vec<[Json; 2]>,
    subscribed: Json,
    ping: Option<[Json; 2]>,
    pong: Option<String>,
    candles: Json,
    path: Vec<String>,
    single: bool,
    closed: Option<ClosedFlag>,
    protobuf: Option<ProtobufMessage>,
    time: Column,
    pub(crate) row: RowShape,
}

/// A message as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payload {
    Text(String),
    Binary(Vec<u8>),
}

impl CandleChannel {
    /// The shape of what a server says.
    pub(crate) fn shape(&self) -> ExchangeResult<ChannelShape> {
        /// Where a server of an exchange that names its address may have one.
        const NAMED: &str = "/websocket";
        let record = self.record()?;
        let instants = [1_559_347_200_000, 1_598_918_400_123].map(Timestamp::from_millis);
        let twice = |body| -> ExchangeResult<[Json; 2]> {
            let [one, other] = instants.map(|now| self.message(body, now));
            Ok([one?, other?])
        };
        let subscriptions = record.subscribe.iter().map(twice).collect::<ExchangeResult<_>>()?;
        let ping = record.ping.as_ref().and_then(|ping| ping.send.as_ref());
        let bootstrap = match (self.bootstrap_request()?, &record.bootstrap) {
            (Some(request), Some(bootstrap)) => {
                let texts = bootstrap.query.values().cloned();
                Some((request, std::iter::once(bootstrap.endpoint.clone()).chain(texts).collect()))
            }
            _ => None,
        };
        let target = match &bootstrap {
            Some(_) => NAMED.to_owned(),
            None => {
                let address = self.address(instants[0], None)?;
                let after = address.split_once("://").map_or("", |(_, after)| after);
                after.find('/').and_then(|at| after.get(at..)).unwrap_or("/").to_owned()
            }
        };
        Ok(ChannelShape {
            target,
            bootstrap,
            ready: self.ready.as_ref().map(written),
            subscriptions,
            subscribed: self.subscribed.clone(),
            ping: ping.map(twice).transpose()?,
            pong: self.pong.as_ref().map(written),
            candles: self.candles.clone(),
            path: self.rows.clone(),
            single: record.response.single,
            closed: record.closed.clone(),
            protobuf: record.protobuf.clone(),
            time: record.response.time.clone(),
            row: RowShape::of(&record.response),
        })
    }
}

impl ChannelShape {
    /// Whether a message subscribes to this channel: all of it, or one of several messages.
    pub(crate) fn is_subscription(&self, message: &Json) -> bool {
        self.subscriptions.iter().any(|[one, other]| same(one, other, message))
    }

    /// Whether a message is a client's ping.
    pub(crate) fn is_ping(&self, message: &str) -> bool {
        let json: Option<Json> = serde_json::from_str(message).ok();
        self.ping.as_ref().is_some_and(|[one, other]| match one {
            Json::String(text) => text == message.trim(),
            _ => json.is_some_and(|message| same(one, other, &message)),
        })
    }

    pub(crate) fn pong(&self) -> Option<&str> {
        self.pong.as_deref()
    }

    pub(crate) fn subscribed(&self) -> String {
        written(&self.subscribed)
    }

    /// The answer to the bootstrap request: these texts where a client looks for them.
    pub(crate) fn bootstrap_answer(places: &[Vec<String>], texts: &[&str]) -> String {
        let mut answer = Json::Object(Map::new());
        for (at, steps) in places.iter().enumerate() {
            let text = texts.get(at).or(texts.last()).copied().unwrap_or_default();
            if let Some(place) = make(&mut answer, steps) {
                *place = text.into();
            }
        }
        answer.to_string()
    }

    /// A message with one row, which comes written as JSON.
    pub(crate) fn candle(&self, row: &str, closed: bool) -> Payload {
        let mut row: Json = serde_json::from_str(row).unwrap_or_default();
        if let Some(flag) = &self.closed {
            mark(&mut row, flag, closed);
        }
        if self.protobuf.is_some() {
            self.as_texts(&mut row);
        }
        let mut message = self.candles.clone();
        if let Some(place) = make(&mut message, &self.path) {
            let beside = match &*place {
                Json::Array(list) => list.first().cloned(),
                lone if self.single => Some(lone.clone()),
                _ => None,
            };
            // What the pattern says of each row stands in the row.
            if let (Some(Json::Object(beside)), Json::Object(row)) = (beside, &mut row) {
                row.extend(beside);
            }
            *place = if self.single { row } else { Json::Array(vec![row]) };
        }
        match &self.protobuf {
            Some(fields) => Payload::Binary(protobuf::encode(&message, fields)),
            None => Payload::Text(message.to_string()),
        }
    }

    /// Prices and volumes as texts, the time as a number.
    fn as_texts(&self, row: &mut Json) {
        let Json::Object(fields) = row else { return };
        for (name, value) in fields {
            let is_time = matches!(&self.time, Column::Name(time) if time == name);
            match value {
                Json::Number(number) if !is_time => *value = number.to_string().into(),
                Json::String(text) if is_time => {
                    *value = text.parse::<i64>().map_or(Json::Null, Json::from);
                }
                _ => {}
            }
        }
    }
}

/// Whether a message is `one`, where that does not change from instant to instant.
fn same(one: &Json, other: &Json, message: &Json) -> bool {
    match (one, other, message) {
        (Json::Object(one), Json::Object(other), Json::Object(fields)) => {
            one.len() == fields.len()
                && one.iter().all(|(name, one)| match (other.get(name), fields.get(name)) {
                    (Some(other), Some(message)) => same(one, other, message),
                    _ => false,
                })
        }
        (Json::Array(one), Json::Array(other), Json::Array(list)) => {
            one.len() == list.len()
                && one.iter().zip(other).zip(list).all(|((one, other), it)| same(one, other, it))
        }
        _ => one != other || one == message,
    }
}

/// The place at the end of a path, made if it is not there.
fn make<'j>(root: &'j mut Json, steps: &[String]) -> Option<&'j mut Json> {
    let Some((step, rest)) = steps.split_first() else {
        return Some(root);
    };
    let index = step.parse::<usize>().ok().filter(|index| *index < 16);
    let next = match (index, root) {
        (Some(index), root) if !root.is_object() => {
            if !root.is_array() {
                *root = Json::Array(Vec::new());
            }
            let list = root.as_array_mut()?;
            while list.len() <= index {
                list.push(Json::Null);
            }
            list.get_mut(index)?
        }
        (_, root) => {
            if !root.is_object() {
                *root = Json::Object(Map::new());
            }
            root.as_object_mut()?.entry(step.clone()).or_insert(Json::Null)
        }
    };
    make(next, rest)
}

/// Writes the flag into a row.
fn mark(row: &mut Json, flag: &ClosedFlag, closed: bool) {
    let value = match (&flag.value, closed) {
        (value, true) => value.clone(),
        (Json::Bool(value), false) => (!value).into(),
        (_, false) => "0".into(),
    };
    match (&flag.column, row) {
        (Column::Position(position), Json::Array(list)) => {
            while list.len() <= *position {
                list.push("0".into());
            }
            if let Some(place) = list.get_mut(*position) {
                *place = value;
            }
        }
        (Column::Name(name), Json::Object(fields)) => {
            fields.insert(name.clone(), value);
        }
        (Column::Names(names), Json::Object(fields)) => {
            fields.extend(names.first().map(|name| (name.clone(), value)));
        }
        _ => {}
    }
}
