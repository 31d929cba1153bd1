use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use forecastle_core::{Error, Result, Timestamp};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue,
    RETRY_AFTER,
};
#[cfg(feature = "websocket")]
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::sync::oneshot;
#[cfg(feature = "websocket")]
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::body::{ReplayBody, closed, read};
use super::params::ReplayParams;
use super::service::{Delivery, Reply, Request, Service};
use super::statistics::ReplayStatistics;
#[cfg(feature = "websocket")]
use super::stream_fault::StreamFaultKind;
#[cfg(feature = "websocket")]
use super::stream_session::{self, Shared};
#[cfg(feature = "websocket")]
use super::streams::Streams;
use crate::exchange::{Exchange, ExchangeResult, Method};

/// Serves candles in the wire format of any exchange of the registry, over HTTP on this machine.
///
/// It understands the requests that a record makes by making some itself and watching which
/// parameters move with the start, the end and the number of rows, and it writes answers by
/// turning the record's response rule round. So whatever exchange gets a record can be replayed,
/// without a line of code.
///
/// What it keeps of a real server: which end of a request counts, the most rows of an answer, how
/// far back candles reach, the candle in progress, the `Date` by its clock, and on request every
/// [`Fault`](super::Faults), candles that come late and candles that change after their close.
/// With the feature `websocket` it streams candles, too, where the record says how.
/// What it does not know: limits of rate, keys, and rows beyond time, prices and volume.
///
/// All exchanges answer below [`base_url`](Self::base_url) as they would below their own hosts;
/// where paths of several clash, put [`url_of`](Self::url_of) in its place. It runs in a thread of
/// its own until it is stopped or dropped.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use forecastle_market_data::{
///     CandleQuery, Exchange, ReplayParams, ReplaySeries, ReplayServer, Simulator,
///     SimulatorParams, sample_markets,
/// };
///
/// let candles = Simulator::new(SimulatorParams { n: 100, ..Default::default() })?.series()?;
/// let now = "2024-02-01T00:00:00Z".parse()?;
/// let exchange = Exchange::find("bitstamp")?;
/// let market = sample_markets(&exchange)?.markets.remove(0);
///
/// let series = ReplaySeries::new(exchange.clone(), market.clone(), candles);
/// let server = ReplayServer::start(ReplayParams::new(vec![series], Arc::new(move || now)))?;
/// let there = exchange.with_base_url(&server.base_url())?;
/// let query = CandleQuery::new(&market, "1h".parse()?, now).limit(10);
/// let request = there.candle_request(&query)?;
/// assert!(request.url.starts_with("http://127.0.0.1:"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReplayServer {
    address: SocketAddr,
    service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ReplayServer {
    /// Begins to listen.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] for impossible faults or a `page_cap` of 0.
    /// - [`Error::Component`] when the address is taken or a record cannot be turned round.
    pub fn start(params: ReplayParams) -> Result<Self> {
        params.faults.validate()?;
        params.streams.validate()?;
        if params.page_cap == Some(0) {
            return Err(Error::invalid_parameter("page_cap", ">= 1", 0));
        }
        let listening = |error| Error::component("the replay server", error);
        let listener = TcpListener::bind(params.bind).map_err(listening)?;
        listener.set_nonblocking(true).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        #[cfg(feature = "websocket")]
        let streams = Streams::new(&params, address)?;
        let service = Arc::new(Service::new(params)?);
        #[cfg(feature = "websocket")]
        let shared = Arc::new(Shared { service: service.clone(), streams });
        #[cfg(not(feature = "websocket"))]
        let shared = service.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(listening)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("replay server".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    tokio::spawn(accept(listener, shared));
                    // The sender's end counts as a stop, too.
                    let _ = stopped.await;
                });
                runtime.shutdown_timeout(Duration::from_millis(100));
            })
            .map_err(listening)?;
        Ok(Self { address, service, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens: `http://127.0.0.1:40123`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address below which one exchange alone answers.
    pub fn url_of(&self, exchange: &str) -> String {
        format!("http://{}/{exchange}", self.address)
    }

    /// An exchange with its requests sent here.
    ///
    /// # Errors
    /// - [`ExchangeError::Record`](crate::ExchangeError::Record) when that cannot be an address.
    pub fn redirect(&self, exchange: &Exchange) -> ExchangeResult<Exchange> {
        exchange.clone().with_base_url(&self.url_of(exchange.id()))
    }

    /// What it did so far.
    pub fn statistics(&self) -> ReplayStatistics {
        self.service.statistics().clone()
    }

    /// Ends it, and with it every connection; gives what it did.
    pub fn stop(mut self) -> ReplayStatistics {
        self.end();
        self.statistics()
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for ReplayServer {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for ReplayServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What connections share.
#[cfg(not(feature = "websocket"))]
type Shared = Service;

impl Shared {
    #[cfg(feature = "websocket")]
    fn service(&self) -> &Service {
        &self.service
    }

    #[cfg(not(feature = "websocket"))]
    fn service(&self) -> &Service {
        self
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file handles, perhaps: others may close some.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(shared.clone(), request));
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new());
            let connection = http.serve_connection(TokioIo::new(stream), answer);
            // Whatever breaks a connection is the other side's doing, or a fault.
            let _ = connection.with_upgrades().await;
        });
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
) -> std::io::Result<Response<ReplayBody>> {
    #[cfg(feature = "websocket")]
    if request.headers().contains_key(SEC_WEBSOCKET_KEY) {
        return Ok(upgrade(shared, request));
    }
    let service = shared.service();
    let (head, body) = request.into_parts();
    let method = match head.method {
        hyper::Method::GET => Method::Get,
        hyper::Method::POST => Method::Post,
        _ => return Ok(respond(Reply::json(405, Vec::new()), service)),
    };
    let accepts = head.headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let accepts = accepts.unwrap_or_default().to_owned();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let Some(body) = read(body).await else {
        return Ok(respond(Reply::json(413, Vec::new()), service));
    };
    #[cfg(feature = "websocket")]
    if let Some(answer) = shared.streams.bootstrap(method, &target) {
        return Ok(respond(Reply::json(200, answer.into_bytes()), service));
    }
    let reply = service.answer(&Request { method, target, accepts, body });
    if reply.delivery == Delivery::Never {
        return Err(closed());
    }
    Ok(respond(reply, service))
}

/// Makes a connection a WebSocket, if streams are served there.
#[cfg(feature = "websocket")]
fn upgrade(shared: Arc<Shared>, mut request: hyper::Request<Incoming>) -> Response<ReplayBody> {
    let service = shared.service();
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let offered = shared.streams.at(target);
    service.statistics().connections += 1;
    if service.stream_dice().strikes(StreamFaultKind::Refused) {
        *service.statistics().stream_faults.entry(StreamFaultKind::Refused).or_default() += 1;
        return respond(Reply::json(503, Vec::new()), service);
    }
    let key = request.headers().get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let accept = derive_accept_key(key.unwrap_or_default());
    let Ok(accept) = HeaderValue::from_str(&accept) else {
        return respond(Reply::json(400, Vec::new()), service);
    };
    if offered.is_empty() {
        return respond(Reply::json(404, Vec::new()), service);
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            stream_session::serve(shared, upgraded, offered).await;
        }
    });
    let mut response = Response::new(ReplayBody::whole(Vec::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

fn respond(reply: Reply, service: &Service) -> Response<ReplayBody> {
    let Reply { status, content_type, encoding, retry_after_s, mut body, delivery } = reply;
    let length = body.len();
    let mut cut = || {
        body.truncate(length / 2);
        std::mem::take(&mut body)
    };
    let body = match delivery {
        Delivery::CutOff | Delivery::CutOffChunked => ReplayBody::broken(cut()),
        Delivery::Slow => ReplayBody::slow(body, service.params().faults.slow_pause()),
        Delivery::Whole | Delivery::Never => ReplayBody::whole(body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut header = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    };
    header(CONTENT_TYPE, content_type.to_owned());
    http_date((service.params().clock)()).into_iter().for_each(|date| header(DATE, date));
    if delivery == Delivery::CutOff {
        header(CONTENT_LENGTH, length.max(1).to_string());
    }
    encoding.into_iter().for_each(|encoding| header(CONTENT_ENCODING, encoding.to_owned()));
    retry_after_s.into_iter().for_each(|seconds| header(RETRY_AFTER, seconds.to_string()));
    response
}

/// A time as HTTP writes it, `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(time: Timestamp) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(time.as_millis()).ok()?;
    DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()
}
