//! From a message of a candle stream to what it says.

use std::time::Duration;

use forecastle_core::RawCandle;
use serde_json::Value as Json;

use super::channel::{CandleChannel, follow};
use super::channel_record::{Channel, ClosedFlag};
use super::error::{ExchangeError, ExchangeResult};
use super::message::{message_of, not_json};
use super::protobuf;
use super::record::{Column, Layout};
use super::response::{RootNames, says};
use super::row_reader::RowReader;

/// Tells what one message of a [`CandleChannel`] is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ChannelMessage {
    /// The server takes subscriptions from now on.
    Ready,
    /// The subscription is accepted.
    Subscribed,
    /// Candles as they are now, in the order of the message and in the channel's volume unit.
    Candles(Vec<ChannelCandle>),
    /// Something else: the answer to a ping, a heartbeat, another market.
    Other,
}

/// Holds a candle as a stream tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ChannelCandle {
    /// Its values so far.
    pub candle: RawCandle,
    /// Whether it has closed; `None` where the stream does not say.
    pub closed: Option<bool>,
}

/// States how a client keeps a connection open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeepAlive {
    /// How often.
    pub every: Duration,
    /// The message to send; `None` for a ping frame of the protocol.
    pub text: Option<String>,
}

impl CandleChannel {
    /// Reads a text message.
    ///
    /// # Errors
    /// - [`ExchangeError::Malformed`] when it is no message of the documented shape; a missing number
    ///   is never 0.
    /// - [`ExchangeError::UnknownSymbol`] or [`ExchangeError::Exchange`] when the subscription is
    ///   refused.
    pub fn read_text(&self, message: &str) -> ExchangeResult<ChannelMessage> {
        if matches!(&self.pong, Some(Json::String(pong)) if message.trim() == pong) {
            return Ok(ChannelMessage::Other);
        }
        let root: Json = serde_json::from_str(message)
            .map_err(|e| not_json(self.exchange.id(), message.as_bytes(), &e))?;
        self.read(&root, message.as_bytes())
    }

    /// Reads a binary message: protobuf where the exchange uses it, else JSON.
    ///
    /// # Errors
    /// Those of [`read_text`](Self::read_text).
    pub fn read_binary(&self, message: &[u8]) -> ExchangeResult<ChannelMessage> {
        let Some(fields) = &self.record()?.protobuf else {
            return match std::str::from_utf8(message) {
                Ok(text) => self.read_text(text),
                Err(_) => Err(self.exchange.malformed(None, "bytes that are no text")),
            };
        };
        let root = protobuf::decode(message, fields);
        let root = root.map_err(|reason| self.exchange.malformed(None, reason))?;
        if root.as_object().is_none_or(serde_json::Map::is_empty) {
            return Err(self.exchange.malformed(None, "none of its fields is known"));
        }
        self.read(&root, root.to_string().as_bytes())
    }

    fn read(&self, root: &Json, text: &[u8]) -> ExchangeResult<ChannelMessage> {
        let record = self.record()?;
        let names = RootNames { exchange: &self.exchange, root };
        let malformed = |reason: String| self.exchange.malformed(None, reason);
        // What a message makes of an expression is the message's fault.
        let refused = record.refused.value(&names).map_err(|e| malformed(e.to_string()))?;
        if refused.is_true() {
            return Err(self.refusal(record, root, text));
        }
        // An acknowledgement may name the channel just as its candles do.
        Ok(match &self.ready {
            Some(ready) if fits(ready, root) => ChannelMessage::Ready,
            _ if fits(&self.subscribed, root) => ChannelMessage::Subscribed,
            _ if fits(&self.candles, root) => {
                ChannelMessage::Candles(self.candles(record, root, text)?)
            }
            _ => ChannelMessage::Other,
        })
    }

    fn refusal(&self, record: &Channel, root: &Json, text: &[u8]) -> ExchangeError {
        let names = RootNames { exchange: &self.exchange, root };
        let own = self.exchange.text("websocket.message", &record.message, &names).ok().flatten();
        let own = own.filter(|message| !message.trim().is_empty());
        let message = super::message::plain_text(&own.unwrap_or_else(|| message_of(text)));
        let whole =
            format!("{message} {}", String::from_utf8_lossy(text.get(..512).unwrap_or(text)));
        let exchange = self.exchange.id().to_owned();
        if record.unknown_symbol.iter().any(|word| says(&whole, word)) {
            let symbol = self.market.symbol.clone();
            return ExchangeError::UnknownSymbol { exchange, symbol, hint: None };
        }
        // The status with which a connection becomes a WebSocket.
        ExchangeError::Exchange { exchange, status: 101, message }
    }

    fn candles(
        &self,
        record: &Channel,
        root: &Json,
        text: &[u8],
    ) -> ExchangeResult<Vec<ChannelCandle>> {
        let response = &record.response;
        let path = self.rows.join(".");
        let lacking = || self.exchange.malformed(Some(&path), "no rows there");
        let there = follow(root, &self.rows).ok_or_else(lacking)?;
        let is_lone_list = response.single && response.layout == Layout::Array;
        let mut reader = RowReader::new(response);
        let outcome = if is_lone_list {
            reader.read(&[], Json::Array(vec![there.clone()]).to_string().as_bytes())
        } else {
            reader.read(&self.rows, text)
        };
        if let Err(place) = outcome {
            return Err(ExchangeError::Malformed {
                exchange: self.exchange.id().to_owned(),
                row: place.row,
                field: place.field.map(str::to_owned),
                reason: place.reason,
            });
        }
        if !reader.found {
            return Err(lacking());
        }
        let rows: &[Json] = match there {
            Json::Array(rows) if !is_lone_list => rows,
            lone => std::slice::from_ref(lone),
        };
        if rows.len() != reader.candles.len() {
            return Err(self.exchange.malformed(Some(&path), "a row is given twice"));
        }
        let closed = |row: &Json| record.closed.as_ref().and_then(|flag| flag.read(row));
        let candles = reader.candles.into_iter().zip(rows);
        Ok(candles.map(|(candle, row)| ChannelCandle { candle, closed: closed(row) }).collect())
    }
}

impl ClosedFlag {
    /// Whether a row says that its candle has closed; `None` when it does not say.
    fn read(&self, row: &Json) -> Option<bool> {
        let said = match &self.column {
            Column::Position(position) => row.get(position),
            Column::Name(name) => row.get(name),
            Column::Names(names) => names.iter().find_map(|name| row.get(name)),
        };
        said.filter(|said| !said.is_null()).map(|said| *said == self.value)
    }
}

/// Whether a message holds all that a pattern does. Numbers and their texts are the same.
fn fits(pattern: &Json, message: &Json) -> bool {
    match (pattern, message) {
        (Json::Object(fields), Json::Object(_)) => fields
            .iter()
            .all(|(name, pattern)| message.get(name).is_some_and(|message| fits(pattern, message))),
        (Json::Array(patterns), Json::Array(messages)) => {
            patterns.len() <= messages.len()
                && patterns.iter().zip(messages).all(|(pattern, message)| fits(pattern, message))
        }
        (Json::String(text), Json::Number(number)) | (Json::Number(number), Json::String(text)) => {
            *text == number.to_string()
        }
        _ => pattern == message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pattern_fits_what_holds_more_and_not_what_holds_less() {
        let pattern = json!({"arg": {"channel": "candle1m"}, "list": [{"id": 1}]});
        let mut message =
            json!({"arg": {"channel": "candle1m", "x": 1}, "list": [{"id": "1"}, {}], "y": null});
        assert!(fits(&pattern, &message));
        message["list"][0]["id"] = json!("2");
        assert!(!fits(&pattern, &message));
        for other in [json!({}), json!([]), json!(null), json!({"arg": "candle1m", "list": []})] {
            assert!(!fits(&pattern, &other), "{other}");
        }
    }

    #[test]
    fn a_flag_that_is_missing_says_nothing() {
        let flag = ClosedFlag { column: Column::Position(2), value: json!("1") };
        let said = [json!([1, 2, "1"]), json!([1, 2, "0"]), json!([1, 2]), json!([1, 2, null])];
        assert_eq!(said.map(|row| flag.read(&row)), [Some(true), Some(false), None, None]);
    }
}
