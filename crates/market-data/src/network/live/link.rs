//! A stream's connection: made, subscribed, kept open, and made again when it breaks.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use forecastle_core::Candle;
use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tracing::{debug, info, trace, warn};

use super::feed::{Feed, Stop};
use super::inbox::Inbox;
use super::patience::{Patience, Verdict};
use super::socket::{self, Socket};
use super::{LiveParams, ServerClock, SharedReport};
use crate::exchange::{
    CandleChannel, ChannelCandle, ChannelMessage, ExchangeError, ExchangeResult, HttpRequest,
    KeepAlive,
};
use crate::network::backoff::Backoff;
use crate::network::candle_pages::contract_size;
use crate::network::{ExchangeClient, HttpClientParams, tls};

/// One stream, through all its connections.
pub(super) struct Link {
    channel: CandleChannel,
    client: ExchangeClient,
    clock: ServerClock,
    params: LiveParams,
    report: SharedReport,
    tls: Arc<rustls::ClientConfig>,
    backoff: Backoff,
    /// What a volume is multiplied by so that it counts base currency.
    volume_scale: f64,
    /// A request to the same place, by which waits are told how long they are in quick motion.
    there: HttpRequest,
}

/// So many messages in a row that cannot be read, and the connection is left.
const MOST_MALFORMED: u32 = 16;
/// The server's clock may be so far ahead of what is known of it.
pub(super) const LATE_CLOCK_MS: i64 = 5_000;
/// A connection that lasted so long was a good one, whatever ended it.
const LONG_MS: i64 = 30_000;
/// Never shorter, however quick the clock's motion: what the machine needs to keep up.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

impl Link {
    pub(super) fn new(channel: CandleChannel, feed: &Feed) -> Result<Self, Stop> {
        let client = feed.client().clone();
        let params = feed.params().clone();
        let tls = tls::client_config().map_err(|error| {
            let (exchange, reason) = (client.exchange().id().to_owned(), error.to_string());
            Stop::Failed(ExchangeError::InvalidRequest { exchange, reason })
        })?;
        let backoff = Backoff::new(&HttpClientParams {
            base_delay_ms: params.backoff_ms,
            max_delay_ms: params.max_backoff_ms,
            ..client.http().params().clone()
        });
        let unit = channel.volume_unit().map_err(Stop::Failed)?;
        let there = match channel.bootstrap_request().map_err(Stop::Failed)? {
            Some(request) => request,
            None => {
                let address = channel.address(feed.clock().now(), None).map_err(Stop::Failed)?;
                HttpRequest::get(address.replacen("ws", "http", 1))
            }
        };
        Ok(Self {
            volume_scale: contract_size(channel.market(), unit).unwrap_or(1.0),
            clock: feed.clock().clone(),
            report: feed.report().clone(),
            tls: Arc::new(tls),
            channel,
            client,
            params,
            backoff,
            there,
        })
    }

    /// Connects again and again; gives the error that makes it no use.
    pub(super) async fn run(&mut self, inbox: &Inbox) -> ExchangeError {
        let mut patience = Patience::default();
        let mut connections = 0_u64;
        loop {
            let (error, lasted) = self.converse(inbox, &mut connections).await;
            // What breaks off as soon as it is there has not succeeded.
            if lasted.is_some_and(|lasted| lasted >= LONG_MS) {
                patience.succeed();
            }
            let was_open = patience.failures() == 0;
            let verdict = patience.judge(&error, &self.params, self.clock.now());
            self.report.note_failure(&error);
            let is_final = !matches!(error, ExchangeError::Exchange { .. });
            let wait = match verdict {
                Verdict::End if is_final => return error,
                Verdict::End => Duration::from_millis(self.params.max_backoff_ms),
                // A random part, so that many that broke off together do not come back together.
                Verdict::Wait(asked) => {
                    let own = self.backoff.delay(patience.failures().max(1));
                    if matches!(error, ExchangeError::RateLimited { .. }) {
                        asked.max(own)
                    } else {
                        own
                    }
                }
            };
            if was_open {
                warn!(%error, ?wait, "no stream for now");
            } else {
                debug!(%error, ?wait, failures = patience.failures(), "still no stream");
            }
            sleep(self.in_motion(wait, SHORTEST_WAIT)).await;
        }
    }

    /// One connection from its beginning to its end, which is always an error; and for how many
    /// milliseconds it was subscribed, if it was.
    async fn converse(&self, inbox: &Inbox, connections: &mut u64) -> (ExchangeError, Option<i64>) {
        let patient = Duration::from_millis(self.client.http().params().connect_timeout_ms);
        let deadline = Instant::now() + patient;
        let opening = timeout_at(deadline, self.open());
        let (mut socket, mut first) = match opening.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return (error, None),
            Err(_) => return (self.timed_out(patient), None),
        };
        if *connections > 0 {
            self.report.lock().reconnects += 1;
        }
        *connections += 1;
        info!(connections = *connections, "subscribed");
        inbox.connected();
        // What came with the acknowledgement, or in its place.
        if let Some(candles) = first.take() {
            self.take(candles, inbox);
        }
        let begun = self.clock.own().now();
        let error = self.listen(&mut socket, inbox).await;
        (error, self.clock.own().now().millis_since(begun))
    }

    /// Connects, subscribes and waits for the acknowledgement; gives candles that came in its
    /// place.
    async fn open(&self) -> ExchangeResult<(Socket, Option<Vec<ChannelCandle>>)> {
        let now = self.clock.now();
        let answer = match self.channel.bootstrap_request()? {
            Some(request) => Some(self.client.ask_plainly(&request).await?),
            None => None,
        };
        let address = self.channel.address(now, answer.as_deref())?;
        let agent = &self.client.http().params().user_agent;
        let mut socket = socket::connect(self.id(), &address, &self.tls, agent).await?;
        debug!("connected");
        if self.channel.awaits_welcome() {
            while !matches!(self.hear(&mut socket).await?, ChannelMessage::Ready) {}
        }
        for message in self.channel.subscriptions(now)? {
            socket.send(Message::text(message)).await.map_err(|e| self.broken(e))?;
        }
        loop {
            match self.hear(&mut socket).await? {
                ChannelMessage::Subscribed => return Ok((socket, None)),
                ChannelMessage::Candles(candles) => return Ok((socket, Some(candles))),
                _ => {}
            }
        }
    }

    /// The next message that can be read.
    async fn hear(&self, socket: &mut Socket) -> ExchangeResult<ChannelMessage> {
        let mut malformed = 0;
        loop {
            let Some(message) = socket.next().await else { return Err(self.closed("no more")) };
            if let Some(message) = self.read(message, &mut malformed)? {
                return Ok(message);
            }
        }
    }

    /// Takes candles as they come, until something is wrong.
    async fn listen(&self, socket: &mut Socket, inbox: &Inbox) -> ExchangeError {
        let keep_alive = match self.channel.keep_alive(self.clock.now()) {
            Ok(keep_alive) => keep_alive,
            Err(error) => return error,
        };
        let idle = self.idle(keep_alive.as_ref());
        // Where the exchange wants nothing, a ping of the protocol tells whether it is there.
        let every = match &keep_alive {
            Some(ping) => self.in_motion(ping.every, SHORTEST_IDLE / 4),
            None => idle / 2,
        };
        let mut heard = Instant::now();
        let mut ping = heard + every;
        let mut malformed = 0;
        let mut given_up = pin!(inbox.given_up());
        loop {
            let waited = {
                let next = pin!(timeout_at((heard + idle).min(ping), socket.next()));
                match select(given_up.as_mut(), next).await {
                    // It answers, but of candles it says nothing.
                    Either::Left(_) => return self.timed_out(heard.elapsed().max(idle)),
                    Either::Right((waited, _)) => waited,
                }
            };
            match waited {
                Ok(Some(message)) => {
                    heard = Instant::now();
                    match self.read(message, &mut malformed) {
                        Ok(Some(ChannelMessage::Candles(candles))) => self.take(candles, inbox),
                        Ok(_) => {}
                        Err(error) => return error,
                    }
                }
                Ok(None) => return self.closed("it says no more"),
                Err(_) if heard.elapsed() >= idle => return self.timed_out(idle),
                Err(_) => {}
            }
            if Instant::now() >= ping {
                let sent = timeout_at(Instant::now() + idle, socket.send(self.ping()));
                match sent.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return self.broken(error),
                    Err(_) => return self.timed_out(idle),
                }
                ping = Instant::now() + every;
            }
        }
    }

    /// Reads a message; `None` for one without meaning here.
    fn read(
        &self,
        message: Result<Message, SocketError>,
        malformed: &mut u32,
    ) -> ExchangeResult<Option<ChannelMessage>> {
        let read = match message {
            Ok(Message::Text(text)) => self.channel.read_text(&text),
            Ok(Message::Binary(bytes)) => self.channel.read_binary(&bytes),
            Ok(Message::Close(frame)) => {
                let reason = frame.map_or_else(String::new, |frame| frame.to_string());
                return Err(self.closed(&reason));
            }
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => return Ok(None),
            Err(error) => return Err(self.broken(error)),
        };
        match read {
            Ok(message) => {
                *malformed = 0;
                Ok(Some(message))
            }
            Err(error @ ExchangeError::Malformed { .. }) => {
                debug!(%error, "a message that cannot be read");
                self.report.lock().malformed_messages += 1;
                *malformed += 1;
                if *malformed >= MOST_MALFORMED { Err(error) } else { Ok(None) }
            }
            Err(error) => Err(error),
        }
    }

    fn take(&self, candles: Vec<ChannelCandle>, inbox: &Inbox) {
        if !candles.is_empty() {
            inbox.told();
        }
        let latest = self.clock.now().as_millis().saturating_add(LATE_CLOCK_MS);
        for told in candles {
            let mut row = told.candle;
            row.volume *= self.volume_scale;
            let candle = Candle::try_from(row).ok();
            let candle = candle.filter(|candle| candle.open_time().as_millis() <= latest);
            let Some(candle) = candle else {
                debug!(?row, "a row of a message is no candle");
                self.report.lock().invalid += 1;
                continue;
            };
            trace!(open = %candle.open_time(), closed = ?told.closed, "told");
            match told.closed {
                Some(true) => inbox.closed(candle),
                // The stream will say when it has closed.
                Some(false) => {}
                None => inbox.seen(candle),
            }
        }
    }

    fn ping(&self) -> Message {
        let keep_alive = self.channel.keep_alive(self.clock.now()).ok().flatten();
        match keep_alive.and_then(|keep_alive| keep_alive.text) {
            Some(text) => Message::text(text),
            None => Message::Ping(Vec::new().into()),
        }
    }

    /// After so long without a word the connection counts as dead.
    fn idle(&self, keep_alive: Option<&KeepAlive>) -> Duration {
        let least = keep_alive.map_or(Duration::ZERO, |ping| ping.every * 2);
        let idle = Duration::from_millis(self.params.idle_timeout_ms).max(least);
        self.in_motion(idle, SHORTEST_IDLE)
    }

    /// How long a wait is by a clock in quick motion: on this machine as much shorter, elsewhere as
    /// long as ever.
    fn in_motion(&self, wait: Duration, shortest: Duration) -> Duration {
        self.client.http().in_motion(&self.there, wait).max(shortest.min(wait))
    }

    fn id(&self) -> &str {
        self.client.exchange().id()
    }

    fn host(&self) -> String {
        let address = self.channel.address(self.clock.now(), None).unwrap_or_default();
        let after = address.split_once("://").map_or("", |(_, after)| after);
        let host = after.split(['/', '?']).next().unwrap_or_default();
        if host.is_empty() { "the WebSocket".to_owned() } else { host.to_owned() }
    }

    fn closed(&self, reason: &str) -> ExchangeError {
        let reason = crate::exchange::plain_text(reason);
        let reason = format!("the server closed the connection: {reason}");
        ExchangeError::Unreachable { exchange: self.id().to_owned(), host: self.host(), reason }
    }

    fn timed_out(&self, after: Duration) -> ExchangeError {
        ExchangeError::TimedOut { exchange: self.id().to_owned(), host: self.host(), after }
    }

    /// What a broken connection means; a message that broke it counts as one that cannot be read.
    fn broken(&self, error: SocketError) -> ExchangeError {
        if socket::is_malformed(&error) {
            self.report.lock().malformed_messages += 1;
        }
        socket::failure(self.id(), &self.host(), error)
    }
}
