//! One WebSocket connection of a replay server: the candle in progress and the close of each.

use std::sync::Arc;
use std::time::Duration;

use forecastle_core::{RawCandle, Timestamp};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::params::{NumberStyle, WireStyle};
use super::render::{self, Row};
use super::service::Service;
use super::stream_dice::StreamDice;
use super::stream_fault::StreamFaultKind;
use super::streams::Streams;
use crate::exchange::{ChannelShape, Payload};

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// How often the clock is looked at, which may be in quick motion.
const GLANCE: Duration = Duration::from_millis(2);

/// What the connections of a server share about streams.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) service: Arc<Service>,
    pub(super) streams: Streams,
}

struct Session {
    shared: Arc<Shared>,
    socket: Socket,
    /// The streams that this connection may subscribe to.
    offered: Vec<usize>,
    subscribed: Option<Progress>,
    /// A message that comes after the next one.
    held: Option<Payload>,
    silent: bool,
}

/// How far a stream has told.
#[derive(Debug, Clone, Copy)]
struct Progress {
    stream: usize,
    series: usize,
    /// The candle that was told last.
    row: usize,
    updated: Option<Timestamp>,
    turn: u64,
}

/// Why a connection ends: it was broken on purpose, or the other side is gone.
struct Ended;

/// Serves a connection until it ends.
pub(super) async fn serve(shared: Arc<Shared>, upgraded: Upgraded, offered: Vec<usize>) {
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let silent = false;
    let mut session = Session { shared, socket, offered, subscribed: None, held: None, silent };
    let _ = session.run().await;
}

impl Session {
    async fn run(&mut self) -> Result<(), Ended> {
        let ready =
            self.offered.first().and_then(|at| self.shared.streams.shape(*at)?.ready.clone());
        if let Some(ready) = ready {
            self.send(Message::text(ready)).await?;
        }
        loop {
            let next = timeout(GLANCE, self.socket.next()).await;
            if self.silent {
                // Pings are not answered either, but the connection stays until the client goes.
                if matches!(next, Ok(None | Some(Err(_)))) {
                    return Err(Ended);
                }
                sleep(GLANCE).await;
                continue;
            }
            match next {
                Ok(Some(Ok(Message::Text(text)))) => self.hear(&text).await?,
                Ok(Some(Ok(_))) | Err(_) => {}
                Ok(None | Some(Err(_))) => return Err(Ended),
            }
            self.tell().await?;
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        self.shared.service.statistics().messages += 1;
        self.socket.send(message).await.map_err(|_| Ended)
    }

    async fn hear(&mut self, text: &str) -> Result<(), Ended> {
        let shared = self.shared.clone();
        let shape = |at: usize| shared.streams.shape(at);
        let pinged = self.offered.iter().find(|at| shape(**at).is_some_and(|s| s.is_ping(text)));
        if let Some(pong) = pinged.and_then(|at| shape(*at)?.pong()) {
            return self.send(Message::text(pong)).await;
        }
        let json: Json = serde_json::from_str(text).unwrap_or_default();
        let Some(at) = shared.streams.subscribed(&self.offered, &json) else {
            let reason = "no such stream is served here".into();
            let frame = CloseFrame { code: CloseCode::Policy, reason };
            let _ = self.socket.close(Some(frame)).await;
            return Err(Ended);
        };
        if self.subscribed.is_some_and(|progress| progress.stream == at) {
            // Another message of the same subscription.
            return Ok(());
        }
        if self.strikes(StreamFaultKind::Unacknowledged) {
            self.silent = true;
            return Ok(());
        }
        if let Some(subscribed) = shape(at).map(ChannelShape::subscribed) {
            self.send(Message::text(subscribed)).await?;
        }
        let Some(series) = shared.streams.series(at) else { return Ok(()) };
        let now = shared.service.now();
        let begun =
            shared.service.stock(series).map_or(0, |stock| stock.existing(now, true).0.len());
        let row = begun.saturating_sub(1);
        self.subscribed = Some(Progress { stream: at, series, row, updated: None, turn: 0 });
        Ok(())
    }

    /// Tells what has closed since the last time, and how the candle in progress looks.
    async fn tell(&mut self) -> Result<(), Ended> {
        let Some(mut progress) = self.subscribed else { return Ok(()) };
        let shared = self.shared.clone();
        let (Some(stock), Some(shape)) =
            (shared.service.stock(progress.series), shared.streams.shape(progress.stream))
        else {
            return Ok(());
        };
        let now = shared.service.now();
        let begun = stock.existing(now, true).0.len();
        let update = i64::try_from(shared.service.params().streams.update_ms).unwrap_or(i64::MAX);
        while progress.row < begun && stock.has_closed(progress.row, now) {
            if let Some(candle) = stock.candle(progress.row) {
                self.candle(shape, candle, true).await?;
            }
            progress.row += 1;
            progress.updated = None;
        }
        let is_due = progress
            .updated
            .is_none_or(|told| now.millis_since(told).is_some_and(|passed| passed >= update));
        if progress.row < begun && is_due {
            progress.turn += 1;
            if let Some(candle) = stock.in_progress(progress.row, progress.turn) {
                self.candle(shape, candle, false).await?;
            }
            progress.updated = Some(now);
        }
        self.subscribed = Some(progress);
        Ok(())
    }

    /// Tells a candle, unless something goes wrong.
    async fn candle(
        &mut self,
        shape: &ChannelShape,
        candle: RawCandle,
        closed: bool,
    ) -> Result<(), Ended> {
        // As most exchanges write streams: prices as texts, volumes too where numbers are none.
        let style = WireStyle { numbers: NumberStyle::Mixed, ..self.shared.service.params().style };
        let mut text = String::new();
        render::one_row(&shape.row, &style, &Row { candle, damage: None }, &mut text);
        let payload = shape.candle(&text, closed);
        if self.strikes(StreamFaultKind::Dropped) {
            return Err(Ended);
        }
        if self.strikes(StreamFaultKind::Silent) {
            self.silent = true;
            return Ok(());
        }
        if self.strikes(StreamFaultKind::Delayed) {
            let late = self.shared.service.params().streams.delay_ms;
            sleep(Duration::from_millis(late)).await;
        }
        if self.strikes(StreamFaultKind::Garbage) {
            let bytes: Vec<u8> = (0..64).map(|_| self.dice(StreamDice::byte)).collect();
            self.send(Message::binary(bytes)).await?;
        }
        if self.strikes(StreamFaultKind::Oversized) {
            const LONG: usize = 3 << 20;
            return self.send(Message::text("x".repeat(LONG))).await;
        }
        if self.strikes(StreamFaultKind::Malformed) {
            let damaged = self.damaged(payload);
            return self.send(message(damaged)).await;
        }
        if self.held.is_none() && self.strikes(StreamFaultKind::Reordered) {
            self.held = Some(payload);
            return Ok(());
        }
        if self.strikes(StreamFaultKind::Repeated) {
            self.send(message(payload.clone())).await?;
        }
        self.send(message(payload)).await?;
        match self.held.take() {
            Some(held) => self.send(message(held)).await,
            None => Ok(()),
        }
    }

    /// A message cut short, or with nothing where its numbers were.
    fn damaged(&self, payload: Payload) -> Payload {
        match payload {
            Payload::Text(text) if self.dice(StreamDice::byte) < 128 => {
                let cut = text.len() / 2;
                Payload::Text(text.chars().take(cut).collect())
            }
            Payload::Text(text) => {
                let digits = |c: char| if c.is_ascii_digit() { 'x' } else { c };
                Payload::Text(text.chars().map(digits).collect())
            }
            Payload::Binary(mut bytes) => {
                bytes.truncate(bytes.len() / 2);
                Payload::Binary(bytes)
            }
        }
    }

    fn strikes(&self, kind: StreamFaultKind) -> bool {
        let strikes = self.dice(|dice| dice.strikes(kind));
        if strikes {
            *self.shared.service.statistics().stream_faults.entry(kind).or_default() += 1;
        }
        strikes
    }

    fn dice<T>(&self, draw: impl FnOnce(&mut StreamDice) -> T) -> T {
        draw(&mut self.shared.service.stream_dice())
    }
}

fn message(payload: Payload) -> Message {
    match payload {
        Payload::Text(text) => Message::text(text),
        Payload::Binary(bytes) => Message::binary(bytes),
    }
}
