//! How a record says that candles are streamed, before any check.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::expression::Template;
use super::http_request::Method;
use super::market::MarketKind;
use super::record::{Body, Column, Response, VolumeUnit};

/// How candles of some kinds of markets are streamed over a WebSocket.
///
/// Messages are told apart by patterns: objects whose fields must be there with these values, beside
/// whatever else a message holds. So a server can write what a client recognises.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Channel {
    pub(super) kinds: Vec<MarketKind>,
    #[serde(default)]
    pub(super) host: Option<Template>,
    #[serde(default)]
    pub(super) path: Option<Template>,
    /// The request whose answer names the address, in place of `host` and `path`.
    #[serde(default)]
    pub(super) bootstrap: Option<Bootstrap>,
    #[serde(default)]
    pub(super) timeframes: Option<BTreeMap<String, String>>,
    /// What the server says first; nothing is sent before.
    #[serde(default)]
    pub(super) ready: Option<Body>,
    pub(super) subscribe: Vec<Body>,
    pub(super) subscribed: Body,
    pub(super) refused: Template,
    pub(super) message: Template,
    #[serde(default)]
    pub(super) unknown_symbol: Vec<String>,
    #[serde(default)]
    pub(super) ping: Option<Ping>,
    /// The fields of binary messages; without it they are JSON like the others.
    #[serde(default)]
    pub(super) protobuf: Option<ProtobufMessage>,
    /// What a message with candles looks like, but for its rows.
    pub(super) candles: Body,
    #[serde(default)]
    pub(super) closed: Option<ClosedFlag>,
    pub(super) volume: VolumeUnit,
    pub(super) response: Response,
}

/// A request that must come before a connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bootstrap {
    #[serde(default)]
    pub(super) method: Method,
    pub(super) host: Template,
    pub(super) path: Template,
    /// Where the WebSocket's address stands in the answer.
    pub(super) endpoint: Vec<String>,
    /// Parameters of that address and where their values stand.
    #[serde(default)]
    pub(super) query: BTreeMap<String, Vec<String>>,
}

/// What keeps a connection open.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ping {
    pub(super) every_ms: u64,
    /// A text, or a JSON object; without it a ping frame of the protocol is sent.
    #[serde(default)]
    pub(super) send: Option<Body>,
    /// How the server answers.
    #[serde(default)]
    pub(super) answer: Option<Body>,
}

/// The fields of a protobuf message by the names under which they are read.
pub(super) type ProtobufMessage = BTreeMap<String, ProtobufField>;

/// The number of a field, or of a message inside a message.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum ProtobufField {
    Scalar(u32),
    Message { field: u32, message: ProtobufMessage },
}

/// The field of a row that says that its candle has closed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClosedFlag {
    pub(super) column: Column,
    pub(super) value: serde_json::Value,
}
