//! A WebSocket server that does what a test says, beside a replay server for HTTP.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forecastle_core::CandleSeries;
use forecastle_market_data::{
    Exchange, ExchangeClient, HttpClient, LiveCandles, LiveClock, LiveParams, LiveRequest,
    ReplayParams, ReplaySeries, ReplayServer, Simulator, SimulatorParams, Transport,
    sample_markets,
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::bench::http;

/// The record of which one exchange is made whose stream is at another address.
const RECORD: &str = include_str!("../../exchanges/bybit.toml");
/// So many candles have closed when the clock starts.
const BEFORE: usize = 30;
/// How long a candle takes in real time.
const PACE: Duration = Duration::from_millis(150);

/// One connection of a client.
pub(crate) struct Connection {
    socket: WebSocketStream<TcpStream>,
    /// How many came before.
    pub(crate) number: usize,
}

impl Connection {
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        let _ = self.socket.send(Message::text(text.into())).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: Vec<u8>) {
        let _ = self.socket.send(Message::binary(bytes)).await;
    }

    /// The next text; none when the client is gone.
    pub(crate) async fn hear(&mut self) -> Option<String> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Text(text) => return Some(text.to_string()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Takes the subscription and acknowledges it.
    pub(crate) async fn acknowledge(&mut self) {
        self.hear().await;
        self.send(r#"{"success":true,"ret_msg":"subscribe","conn_id":"1","op":"subscribe"}"#).await;
    }

    /// Says nothing until the client is gone.
    pub(crate) async fn stay(mut self) {
        while self.hear().await.is_some() {}
    }
}

pub(crate) type Script = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A market whose candles are served over HTTP by a replay server and streamed by a script.
pub(crate) struct Scripted {
    pub(crate) series: Arc<CandleSeries>,
    pub(crate) clock: LiveClock,
    pub(crate) connections: Arc<AtomicUsize>,
    exchange: Exchange,
    symbol: String,
    _server: ReplayServer,
}

impl Scripted {
    pub(crate) async fn start(script: fn(Connection) -> Script) -> Self {
        Self::with_record(script, |record| record).await
    }

    /// With a change to the record.
    pub(crate) async fn with_record(
        script: fn(Connection) -> Script,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    if let Ok(socket) = accept_async(stream).await {
                        script(Connection { socket, number }).await;
                    }
                });
            }
        });
        Self::at(&format!("ws://{address}"), connections, change)
    }

    /// With a stream at any address.
    pub(crate) fn at(
        stream: &str,
        connections: Arc<AtomicUsize>,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let bybit = Exchange::find("bybit").unwrap();
        let markets = sample_markets(&bybit).unwrap().markets;
        let market = markets.into_iter().find(|market| market.linear == Some(true)).unwrap();
        let start = "2024-03-01T00:00:00Z".parse().unwrap();
        let params = SimulatorParams {
            n: 500,
            timeframe: "1m".parse().unwrap(),
            start,
            ..SimulatorParams::default()
        };
        let series = Arc::new(Simulator::new(params).unwrap().series().unwrap());
        let now = series.view().open_time()[BEFORE].checked_add_millis(30_000).unwrap();
        let clock = LiveClock::accelerated(now, 60.0 / PACE.as_secs_f64()).unwrap();
        let symbol = market.symbol.clone();
        let served = ReplaySeries::new(bybit, market, series.clone());
        let server = ReplayServer::start(ReplayParams::new(vec![served], clock.clock())).unwrap();
        let record = RECORD
            .replace("https://api.bybit.com", &server.url_of("bybit"))
            .replace("wss://stream.bybit.com", stream);
        let exchange = Exchange::parse(&change(record)).unwrap();
        Self { series, clock, connections, exchange, symbol, _server: server }
    }

    pub(crate) fn live(&self) -> LiveCandles {
        let http = HttpClient::new(http()).unwrap();
        let client = ExchangeClient::new(self.exchange.clone(), http, self.clock.clock());
        let params = LiveParams {
            transport: Transport::WebSocket,
            margin_ms: 10_000,
            capacity: 4,
            ..LiveParams::default()
        };
        let request = LiveRequest::new(&self.symbol, self.series.timeframe()).params(params);
        client.live(request, self.clock.clone()).unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Asserts that these candles are consecutive ones of those served.
    pub(crate) fn check(&self, taken: &[forecastle_core::Candle]) {
        let view = self.series.view();
        let first = view.open_time().iter().position(|open| *open == taken[0].open_time()).unwrap();
        for (at, candle) in taken.iter().enumerate() {
            assert_eq!(Some(*candle), view.candle(first + at), "{at}");
        }
    }
}
