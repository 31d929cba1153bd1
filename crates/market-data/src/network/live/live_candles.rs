use std::pin::Pin;
use std::task::{Context, Poll};

use forecastle_core::{Candle, Error, Result};
use futures_core::Stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, info, info_span, warn};

use super::feed::{Source, Stop};
use super::live_report::SharedReport;
use super::polling::poll;
#[cfg(feature = "websocket")]
use super::streaming::stream;
use super::{LiveClock, LiveReport, LiveRequest, ServerClock, Transport};
use crate::exchange::ExchangeResult;
use crate::network::ExchangeClient;

/// Gives the closed candles of one market as they come, without an end.
///
/// - **Each once, in order.** Open times increase strictly; what comes again is dropped and counted.
/// - **None left out.** Whatever breaks off for however long, everything that the exchange has from
///   the start that was asked for is given before what follows. Where it has nothing it is asked
///   once more, then counted as missing: gaps are never filled.
/// - **Closed.** A candle is given when it has closed by the *server's* clock, which is told by the
///   `Date` of its answers, and [`margin_ms`](crate::LiveParams::margin_ms) have passed; a clock of
///   one's own that is minutes wrong does no harm.
/// - **No end.** Failures are waited out and counted. Only what asking again cannot change (an
///   unknown symbol, a timeframe that is not offered, a key that is wanted, a blocked region) is
///   given as an error; it is the last item.
///
/// A task works for it, which ends when this is dropped. It keeps no more than
/// [`capacity`](crate::LiveParams::capacity) candles for a reader that is busy and asks for the
/// rest when there is room again.
///
/// It implements `futures_core::Stream`; [`next`](Self::next) does without.
#[derive(Debug)]
pub struct LiveCandles {
    receiver: mpsc::Receiver<ExchangeResult<Candle>>,
    report: SharedReport,
    task: JoinHandle<()>,
}

impl ExchangeClient {
    /// Gives the candles of a market from a time on, and every further one when it has closed.
    ///
    /// By polling: one request of a few rows for each candle, after its close and a margin. All
    /// sources of one [`HttpClient`](crate::HttpClient) queue for the pace of each host: a thousand
    /// symbols whose candles close at the same instant come as fast as the exchange admits
    /// requests, in 50 s at one in 50 ms; more than it admits in the length of a candle are too
    /// many.
    ///
    /// With [`Transport::WebSocket`](super::Transport::WebSocket) from a stream, which polling
    /// completes.
    ///
    /// The clock takes the place of the client's own. In quick motion the waits for the pace and
    /// after failures are so, too, as [`with_speed`](Self::with_speed) says.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] if the request or its parameters are out of range.
    /// - [`Error::Component`] outside a tokio runtime.
    ///
    /// What the exchange says comes through the source.
    ///
    /// # Examples
    /// ```no_run
    /// use forecastle_market_data::{
    ///     Exchange, ExchangeClient, HttpClient, HttpClientParams, LiveClock, LiveRequest,
    ///     system_clock,
    /// };
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let http = HttpClient::new(HttpClientParams::default())?;
    /// let client = ExchangeClient::new(Exchange::find("okx")?, http, system_clock());
    /// let request = LiveRequest::new("BTC/USDT", "1m".parse()?).history(100);
    /// let mut candles = client.live(request, LiveClock::system())?;
    /// while let Some(candle) = candles.next().await {
    ///     let candle = candle?;
    ///     println!("{} {}", candle.open_time(), candle.close());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn live(&self, request: LiveRequest, clock: LiveClock) -> Result<LiveCandles> {
        request.validate()?;
        let runtime =
            Handle::try_current().map_err(|error| Error::component("the live source", error))?;
        let report = SharedReport::new(LiveReport {
            exchange: self.exchange().id().to_owned(),
            symbol: request.symbol.clone(),
            timeframe: request.timeframe.to_string(),
            ..LiveReport::default()
        });
        let span = info_span!(
            "live",
            exchange = self.exchange().id(),
            symbol = %request.symbol,
            timeframe = %request.timeframe
        );
        let (sender, receiver) = mpsc::channel(request.params.capacity);
        let client = self.clone().with_speed(clock.speed())?;
        let clock = ServerClock::new(clock);
        let client = client.with_server_clock(clock.clone(), clock.clock());
        let source = Source { client, clock, request, sender, report: report.clone() };
        let task = runtime.spawn(run(source).instrument(span));
        Ok(LiveCandles { receiver, report, task })
    }
}

async fn run(source: Source) {
    let sender = source.sender.clone();
    info!("begins");
    let Err(stop) = match source.request.params.transport {
        Transport::Polling => poll(source).await,
        #[cfg(feature = "websocket")]
        Transport::WebSocket => stream(source).await,
        // The request was checked.
        #[cfg(not(feature = "websocket"))]
        Transport::WebSocket => poll(source).await,
    };
    if let Stop::Failed(error) = stop {
        warn!(%error, "ends");
        // Whoever reads no more needs no error.
        let _ = sender.send(Err(error)).await;
    }
}

impl LiveCandles {
    /// The next candle, when it has closed; `None` after an error.
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<ExchangeResult<Candle>> {
        self.receiver.recv().await
    }

    /// What was done and found so far.
    pub fn report(&self) -> LiveReport {
        self.report.lock().clone()
    }
}

impl Stream for LiveCandles {
    type Item = ExchangeResult<Candle>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().receiver.poll_recv(context)
    }
}

impl Drop for LiveCandles {
    fn drop(&mut self) {
        self.task.abort();
    }
}
