use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forecastle_core::{
    BoxFuture, Candle, CandleRequest, CandleSource, RawCandle, Timeframe, Timestamp,
};
use tokio::sync::OnceCell;
use tracing::debug;

use super::live::ServerClock;
use super::{CandlePages, DownloadRequest, HttpClient, HttpResponse, Pace};
use crate::cache::Clock;
use crate::exchange::{
    CandleQuery, Exchange, ExchangeError, ExchangeResult, HttpRequest, Market, MarketList, Need,
    message_of, status_error,
};

/// Fetches candles and markets from one exchange.
///
/// All clones share the list of markets, which is fetched once, and with it the HTTP client's
/// connections and pace.
///
/// # Examples
/// ```no_run
/// use forecastle_market_data::{
///     DownloadRequest, Exchange, ExchangeClient, HttpClient, HttpClientParams, system_clock,
/// };
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let http = HttpClient::new(HttpClientParams::default())?;
/// let client = ExchangeClient::new(Exchange::find("kraken")?, http, system_clock());
/// let request = DownloadRequest::new("BTC/USD", "1h".parse()?).limit(500);
/// let download = client.download(&request).await?;
/// println!("{} candles, {:?}", download.series.len(), download.report);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ExchangeClient {
    exchange: Exchange,
    http: HttpClient,
    clock: Clock,
    server_clock: Option<ServerClock>,
    deadline: Option<Instant>,
    markets: Arc<OnceCell<MarketList>>,
    timeframes: Arc<[Timeframe]>,
}

/// The computer's own clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let millis = since_1970.map(|elapsed| elapsed.as_millis()).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    })
}

impl fmt::Debug for ExchangeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeClient").field("exchange", &self.exchange.id()).finish()
    }
}

impl ExchangeClient {
    /// Makes a client; nothing is sent yet. The clock tells which candles have closed.
    pub fn new(exchange: Exchange, http: HttpClient, clock: Clock) -> Self {
        let mut timeframes: Vec<Timeframe> =
            exchange.kinds().into_iter().flat_map(|kind| exchange.timeframes(kind)).collect();
        timeframes.sort_by_key(|timeframe| (timeframe.nominal_millis(), timeframe.to_string()));
        timeframes.dedup();
        let timeframes = timeframes.into();
        let (server_clock, deadline, markets) = (None, None, Arc::default());
        Self { exchange, http, clock, server_clock, deadline, markets, timeframes }
    }

    /// This client with an end to everything it does: past the deadline calls fail with
    /// [`ExchangeError::TimedOut`].
    pub fn with_deadline(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// This client in quick motion for a replay, as [`HttpClient::with_speed`] says.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) unless `speed` is at
    ///   least 1.
    pub fn with_speed(self, speed: f64) -> forecastle_core::Result<Self> {
        Ok(Self { http: self.http.with_speed(speed)?, ..self })
    }

    /// This client going by the server's time, and telling its clock from every answer.
    pub(super) fn with_server_clock(self, server_clock: ServerClock, clock: Clock) -> Self {
        Self { clock, server_clock: Some(server_clock), ..self }
    }

    /// The exchange it talks to.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    #[cfg(feature = "websocket")]
    pub(super) fn http(&self) -> &HttpClient {
        &self.http
    }

    /// The body of the answer to a request that is none for candles or markets.
    #[cfg(feature = "websocket")]
    pub(super) async fn ask_plainly(&self, request: &HttpRequest) -> ExchangeResult<Vec<u8>> {
        let read = |body: &[u8]| {
            self.exchange.refused(200, body, None)?;
            Ok(body.to_vec())
        };
        self.ask(request, read).await.map(|(body, _)| body)
    }

    /// What the time is.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The exchange's markets, fetched when first asked for.
    ///
    /// # Errors
    /// - [`ExchangeError::KeyRequired`] when the list is given to holders of a key only.
    /// - Whatever the exchange or the way to it gives.
    pub async fn markets(&self) -> ExchangeResult<&MarketList> {
        self.markets.get_or_try_init(|| self.fetch_markets()).await
    }

    /// The market of a unified symbol or of an exchange's own id.
    ///
    /// # Errors
    /// - [`ExchangeError::UnknownSymbol`] with the closest listed one.
    /// - Those of [`markets`](Self::markets).
    pub async fn market(&self, symbol: &str) -> ExchangeResult<Market> {
        if self.exchange.needs_key().contains(&Need::Markets)
            && let Some(market) = self.exchange.market_by_rule(symbol)?
        {
            return Ok(market);
        }
        let list = self.markets().await?;
        let found = list.find(symbol).cloned();
        found.ok_or_else(|| self.exchange.unknown(symbol, list.hint(symbol)))
    }

    async fn fetch_markets(&self) -> ExchangeResult<MarketList> {
        const MOST_PAGES: usize = 200;
        if self.exchange.needs_key().contains(&Need::Markets) {
            return Err(ExchangeError::KeyRequired {
                exchange: self.exchange.id().to_owned(),
                message: "its list of markets is given to holders of a key only".to_owned(),
            });
        }
        let mut answers: Vec<(HttpRequest, Vec<u8>)> = Vec::new();
        let mut waiting = self.exchange.market_requests(self.now())?;
        waiting.reverse();
        while let Some(request) = waiting.pop() {
            if answers.len() >= MOST_PAGES {
                let reason = format!("its list of markets has more than {MOST_PAGES} pages");
                return Err(self.malformed(reason));
            }
            let body = self.ask(&request, |body| {
                self.exchange.refused(200, body, None)?;
                serde_json::from_slice::<serde::de::IgnoredAny>(body)
                    .map_err(|e| self.malformed(e.to_string()))?;
                Ok(body.to_vec())
            });
            let (body, _) = body.await?;
            waiting.extend(self.exchange.following_market_requests(&request, &body)?);
            answers.push((request, body));
        }
        self.exchange.parse_markets(&answers)
    }

    fn malformed(&self, reason: String) -> ExchangeError {
        let exchange = self.exchange.id().to_owned();
        ExchangeError::Malformed { exchange, row: None, field: None, reason }
    }

    /// Asks for one page of candles as the query says and reads every row of the answer.
    ///
    /// # Errors
    /// - [`ExchangeError::KeyRequired`] when candles are given to holders of a key only.
    /// - Whatever the exchange or the way to it gives.
    pub async fn candles(
        &self,
        query: &CandleQuery<'_>,
    ) -> ExchangeResult<(Vec<RawCandle>, HttpResponse)> {
        let request = self.candle_request(query)?;
        self.ask_candles(query, &request, None, false).await
    }

    /// The request for one page of candles.
    pub(super) fn candle_request(&self, query: &CandleQuery<'_>) -> ExchangeResult<HttpRequest> {
        if self.exchange.needs_key().contains(&Need::Candles) {
            return Err(ExchangeError::KeyRequired {
                exchange: self.exchange.id().to_owned(),
                message: "its candles are given to holders of a key only".to_owned(),
            });
        }
        self.exchange.candle_request(query)
    }

    /// [`candles`](Self::candles) with its request, and with the first answer if it is here
    /// already.
    pub(super) async fn ask_candles(
        &self,
        query: &CandleQuery<'_>,
        request: &HttpRequest,
        mut answer: Option<HttpResponse>,
        aside: bool,
    ) -> ExchangeResult<(Vec<RawCandle>, HttpResponse)> {
        let mut attempts = 0;
        loop {
            let mut response = match answer.take() {
                Some(answer) => answer,
                None => self.send(request).await?,
            };
            let outcome = if response.is_success() {
                self.read_candles(query, &mut response, aside).await
            } else {
                Err(self.refusal(&response, Some(query)))
            };
            attempts += 1;
            match outcome {
                Ok(candles) => return Ok((candles, response)),
                Err(error) => self.rest(error, request, &response, attempts).await?,
            }
        }
    }

    /// Reads an answer; a long one, on request, in a thread of its own, so that meanwhile other
    /// requests go on.
    pub(super) async fn read_candles(
        &self,
        query: &CandleQuery<'_>,
        response: &mut HttpResponse,
        aside: bool,
    ) -> ExchangeResult<Vec<RawCandle>> {
        const LONG: usize = 1 << 13;
        if !aside || response.body.len() < LONG {
            return self.exchange.parse_candles(query, &response.body);
        }
        let (exchange, market) = (self.exchange.clone(), query.market.clone());
        let (timeframe, now) = (query.timeframe, query.now);
        let (since, until, limit) = (query.since, query.until, query.limit);
        let body = std::mem::take(&mut response.body);
        let read = tokio::task::spawn_blocking(move || {
            let query = CandleQuery { market: &market, timeframe, since, until, limit, now };
            (exchange.parse_candles(&query, &body), body)
        });
        let Ok((candles, body)) = read.await else {
            return Err(self.malformed("it could not be read".to_owned()));
        };
        response.body = body;
        candles
    }

    /// Walks through the candles of a market page by page.
    ///
    /// # Errors
    /// - Those of [`market`](Self::market) and of the record.
    pub async fn pages(&self, request: DownloadRequest) -> ExchangeResult<CandlePages> {
        let market = self.market(&request.symbol).await?;
        CandlePages::new(self.clone(), market, request)
    }

    /// Sends a request and reads the answer; an answer that cannot be read, or in which the
    /// exchange asks to wait, is asked for again as often as the HTTP client repeats.
    async fn ask<T>(
        &self,
        request: &HttpRequest,
        read: impl Fn(&[u8]) -> ExchangeResult<T>,
    ) -> ExchangeResult<(T, HttpResponse)> {
        let mut attempts = 0;
        loop {
            let response = self.send(request).await?;
            let outcome = if response.is_success() {
                read(&response.body)
            } else {
                Err(self.refusal(&response, None))
            };
            attempts += 1;
            match outcome {
                Ok(value) => return Ok((value, response)),
                Err(error) => self.rest(error, request, &response, attempts).await?,
            }
        }
    }

    /// Waits before a request is repeated.
    ///
    /// # Errors
    /// The error, when repeating is no use.
    async fn rest(
        &self,
        error: ExchangeError,
        request: &HttpRequest,
        response: &HttpResponse,
        attempts: u32,
    ) -> ExchangeResult<()> {
        // What a status says was repeated by the HTTP client already.
        let again = response.is_success()
            && (error.is_transient() || matches!(error, ExchangeError::Malformed { .. }));
        let params = self.http.params();
        if !again || attempts > params.max_retries {
            return Err(error);
        }
        let delay = params.base_delay_ms.saturating_mul(1 << attempts.min(16));
        let delay = Duration::from_millis(delay.min(params.max_delay_ms));
        let delay = self.http.in_motion(request, delay);
        if self.deadline.is_some_and(|deadline| Instant::now() + delay >= deadline) {
            return Err(error);
        }
        debug!(exchange = self.exchange.id(), %error, attempts, wait = ?delay, "asking again");
        tokio::time::sleep(delay).await;
        Ok(())
    }

    pub(super) async fn send(&self, request: &HttpRequest) -> ExchangeResult<HttpResponse> {
        let id = self.exchange.id();
        let sent = self.own_time();
        let response = match self.deadline {
            Some(deadline) => self.http.send_until(id, request, self.pace(), deadline).await,
            None => self.http.send(id, request, self.pace()).await,
        };
        self.learn_time(sent, response)
    }

    /// Sends a request that is not repeated, whatever comes of it.
    pub(super) async fn send_once(&self, request: &HttpRequest) -> ExchangeResult<HttpResponse> {
        let sent = self.own_time();
        let sending = self.http.send_once(self.exchange.id(), request, self.pace(), self.deadline);
        self.learn_time(sent, sending.await)
    }

    fn own_time(&self) -> Option<Timestamp> {
        self.server_clock.as_ref().map(|clock| clock.own().now())
    }

    fn learn_time(
        &self,
        sent: Option<Timestamp>,
        response: ExchangeResult<HttpResponse>,
    ) -> ExchangeResult<HttpResponse> {
        if let (Some(clock), Some(sent), Ok(response)) = (&self.server_clock, sent, &response) {
            clock.observe(sent, response);
        }
        response
    }

    fn pace(&self) -> Pace {
        // Every POST of a record asks a question and changes nothing.
        Pace::every(self.exchange.min_interval()).with_repeatable_post()
    }

    /// The error of an answer whose status is none of success.
    fn refusal(&self, response: &HttpResponse, query: Option<&CandleQuery<'_>>) -> ExchangeError {
        let own = self.exchange.refused(response.status, &response.body, query).err();
        match own {
            Some(error @ ExchangeError::UnknownSymbol { .. }) => error,
            Some(ExchangeError::RateLimited { exchange, message, .. }) => {
                let retry_after = response.retry_after;
                ExchangeError::RateLimited { exchange, retry_after, message }
            }
            Some(ExchangeError::Exchange { message, .. }) => {
                status_error(self.exchange.id(), response.status, response.retry_after, &message)
            }
            _ => status_error(
                self.exchange.id(),
                response.status,
                response.retry_after,
                &message_of(&response.body),
            ),
        }
    }
}

impl CandleSource for ExchangeClient {
    fn id(&self) -> &str {
        self.exchange.id()
    }

    fn timeframes(&self) -> &[Timeframe] {
        &self.timeframes
    }

    fn fetch<'a>(
        &'a self,
        request: &'a CandleRequest,
    ) -> BoxFuture<'a, forecastle_core::Result<Vec<Candle>>> {
        Box::pin(async move {
            let mut wanted = DownloadRequest::new(request.symbol.to_string(), request.timeframe);
            wanted.since = request.since;
            wanted.until = request.until;
            wanted.limit = request.limit;
            // One page is all that is wanted.
            wanted.read_ahead = false;
            let mut pages = self.pages(wanted).await?;
            while let Some(page) = pages.next_page().await? {
                let mut candles: Vec<Candle> =
                    page.candles.into_iter().filter_map(|raw| Candle::try_from(raw).ok()).collect();
                if candles.is_empty() {
                    continue;
                }
                let most = request.limit.unwrap_or(usize::MAX);
                match request.since {
                    Some(_) => candles.truncate(most),
                    None => drop(candles.drain(..candles.len().saturating_sub(most))),
                }
                return Ok(candles);
            }
            Ok(Vec::new())
        })
    }
}
