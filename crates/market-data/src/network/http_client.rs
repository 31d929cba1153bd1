use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forecastle_core::{Error, Result};
use reqwest::redirect::Policy;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{Level, debug, enabled, warn};

use super::attempt::{Failure, Prepared, Reply};
use super::backoff::{Backoff, is_worth_repeating, pauses_the_host};
use super::host_gate::{HostGate, StillPaused};
use super::{HttpClientParams, HttpResponse, Pace, tls};
use crate::exchange::{ExchangeError, ExchangeResult, HttpRequest, Method};

/// Sends requests politely: paced for each host, in time, bounded in memory, repeated when safe.
///
/// A clone is cheap and shares everything: connections, the pace of each host and the pause that
/// a host has asked for. It knows nothing of exchanges; the name given with a request only stands
/// in the errors.
///
/// - **Pace.** Requests to one host (scheme, name and port) start first come, first served, at
///   least [`Pace::min_interval`] apart. A 429 or 418 pauses the host for everyone, for as long as
///   its `Retry-After` says.
/// - **Repetition.** Refused and broken connections, time-outs, cut-off bodies and the statuses
///   408, 425, 429, 500 and 502 onwards are tried again after a growing, randomised wait or the
///   server's `Retry-After`: a GET always, a POST only if [`Pace::repeat_post`] says that it
///   only reads. A certificate that is not trusted is final.
/// - **Bounds.** Each attempt has a time limit, the body a size limit that holds after
///   decompression (gzip, brotli), redirects a number; none leads from https to http.
///   [`HttpClient::send_until`] bounds the whole.
/// - **Status.** An answer with another status than success is an answer: what it means is for
///   [`status_error`](crate::status_error) and the exchange's record.
///
/// It needs a tokio runtime with I/O and time, and one client belongs to one runtime. TLS is
/// rustls with Mozilla's root certificates built in; `SSL_CERT_FILE` adds to them.
///
/// There is no HTTP/2, no cookie jar, no cache and no authentication.
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
///
/// use forecastle_market_data::{HttpClient, HttpClientParams, HttpRequest, Pace};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = HttpClient::new(HttpClientParams::default())?;
/// let request = HttpRequest::get("https://api.kraken.com/0/public/Time");
/// let response = client.send("kraken", &request, Pace::every(Duration::from_secs(1))).await?;
/// println!("HTTP {} after {} attempts", response.status, response.attempts);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HttpClient {
    shared: Arc<Shared>,
    speed: f64,
}

#[derive(Debug)]
struct Shared {
    params: HttpClientParams,
    /// Asks without a proxy.
    direct: reqwest::Client,
    /// Asks as the environment says.
    usual: reqwest::Client,
    backoff: Backoff,
    gates: Mutex<HashMap<String, Arc<HostGate>>>,
}

/// What the latest attempt brought.
type Outcome = std::result::Result<Reply, Failure>;

impl HttpClient {
    /// Makes a client; nothing is connected yet.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) if a parameter is
    ///   out of its range or `SSL_CERT_FILE` names a damaged file
    /// - [`Error::Component`](forecastle_core::Error::Component) if TLS cannot be set up
    pub fn new(params: HttpClientParams) -> Result<Self> {
        params.validate()?;
        let usual = reqwest_client(&params)?;
        let direct = if params.proxy_from_environment {
            reqwest_client(&HttpClientParams { proxy_from_environment: false, ..params.clone() })?
        } else {
            usual.clone()
        };
        let backoff = Backoff::new(&params);
        let gates = Mutex::new(HashMap::new());
        let shared = Arc::new(Shared { params, direct, usual, backoff, gates });
        Ok(Self { shared, speed: 1.0 })
    }

    /// This client in quick motion: the waits for the pace, before repetitions and for pauses
    /// that a host asks for are so many times shorter; time limits stay.
    ///
    /// For a replay, and therefore only towards this machine's own addresses: others are asked as
    /// politely as ever.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) unless `speed` is at
    ///   least 1; infinity waits for nothing.
    pub fn with_speed(self, speed: f64) -> Result<Self> {
        if speed.is_nan() || speed < 1.0 {
            return Err(Error::invalid_parameter("speed", ">= 1", speed));
        }
        Ok(Self { speed, ..self })
    }

    /// How long a wait before such a request is, at this client's speed.
    pub(super) fn in_motion(&self, request: &HttpRequest, wait: Duration) -> Duration {
        let is_loopback = Prepared::new("", request).is_ok_and(|prepared| prepared.is_loopback());
        if is_loopback { wait.div_f64(self.speed) } else { wait }
    }

    /// The parameters it was made with.
    pub fn params(&self) -> &HttpClientParams {
        &self.shared.params
    }

    /// Sends a request and gives the answer, whatever its status.
    ///
    /// Dropping the future stops the request; a place in the queue is given up.
    ///
    /// # Errors
    /// - [`ExchangeError::InvalidRequest`] if the address is not http or https, or a header is no
    ///   header
    /// - [`ExchangeError::Unreachable`] if no connection came about or the answer broke off
    /// - [`ExchangeError::TimedOut`] if the last attempt took too long
    /// - [`ExchangeError::RateLimited`] if the host has asked for a longer pause than
    ///   [`HttpClientParams::max_retry_after_ms`]; nothing was sent then
    /// - [`ExchangeError::TooLarge`] if the body is longer than the bound
    /// - [`ExchangeError::Malformed`] if the body is compressed and damaged
    /// - [`ExchangeError::Exchange`] for a redirect that is not followed
    pub async fn send(
        &self,
        exchange: &str,
        request: &HttpRequest,
        pace: Pace,
    ) -> ExchangeResult<HttpResponse> {
        self.deliver(exchange, request, pace, None, true).await
    }

    /// Sends a request like [`HttpClient::send`] and ends at `deadline`, whatever happens.
    ///
    /// A wait that would pass the deadline is not begun: what the latest attempt brought is given
    /// at once instead.
    ///
    /// # Errors
    /// Those of [`HttpClient::send`]; [`ExchangeError::TimedOut`] also at the deadline.
    pub async fn send_until(
        &self,
        exchange: &str,
        request: &HttpRequest,
        pace: Pace,
        deadline: std::time::Instant,
    ) -> ExchangeResult<HttpResponse> {
        self.deliver(exchange, request, pace, Some(Instant::from_std(deadline)), true).await
    }

    /// Sends a request like [`HttpClient::send_until`], but never a second time.
    pub(super) async fn send_once(
        &self,
        exchange: &str,
        request: &HttpRequest,
        pace: Pace,
        deadline: Option<std::time::Instant>,
    ) -> ExchangeResult<HttpResponse> {
        self.deliver(exchange, request, pace, deadline.map(Instant::from_std), false).await
    }

    async fn deliver(
        &self,
        exchange: &str,
        request: &HttpRequest,
        pace: Pace,
        deadline: Option<Instant>,
        repeat: bool,
    ) -> ExchangeResult<HttpResponse> {
        let prepared = Prepared::new(exchange, request)?;
        let speed = if prepared.is_loopback() { self.speed } else { 1.0 };
        let mut delivery = Delivery {
            shared: &self.shared,
            exchange,
            gate: self.shared.gate(prepared.origin()),
            may_repeat: repeat && (request.method == Method::Get || pace.repeat_post),
            prepared,
            pace,
            speed,
            deadline,
            started: Instant::now(),
            latency: Duration::ZERO,
            waited: Duration::ZERO,
            attempts: 0,
        };
        let outcome = delivery.run().await?;
        delivery.finish(outcome)
    }
}

impl Shared {
    fn gate(&self, origin: String) -> Arc<HostGate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gates
            .entry(origin)
            .or_insert_with(|| Arc::new(HostGate::new(self.params.max_connections_per_host)));
        Arc::clone(gate)
    }
}

/// One request on its way, through all its attempts.
struct Delivery<'a> {
    shared: &'a Shared,
    exchange: &'a str,
    gate: Arc<HostGate>,
    may_repeat: bool,
    prepared: Prepared<'a>,
    pace: Pace,
    speed: f64,
    deadline: Option<Instant>,
    started: Instant,
    latency: Duration,
    waited: Duration,
    attempts: u32,
}

impl Delivery<'_> {
    /// Tries until an answer stands, waiting is no use or the deadline is near.
    async fn run(&mut self) -> ExchangeResult<Outcome> {
        let mut latest = None;
        loop {
            if let Err(error) = self.attempt(&mut latest).await {
                // The queue was the end of it: an earlier attempt's answer says more.
                return latest.ok_or(error);
            }
            let Some(wait) = latest.as_ref().and_then(|outcome| self.wait_after(outcome)) else {
                return latest.ok_or_else(|| self.timed_out(self.started.elapsed()));
            };
            sleep(wait).await;
            self.waited += wait;
        }
    }

    /// Waits for its turn and tries once.
    ///
    /// # Errors
    /// If its turn does not come in time.
    async fn attempt(&mut self, latest: &mut Option<Outcome>) -> ExchangeResult<()> {
        let queued = Instant::now();
        let longest = self.shared.params.max_retry_after();
        let patience = self.time_left().map_or(longest, |left| left.min(longest));
        let entering = self.gate.enter(self.pace.min_interval.div_f64(self.speed), patience);
        let pass = match self.deadline {
            Some(deadline) => timeout_at(deadline, entering)
                .await
                .map_err(|_| self.timed_out(self.started.elapsed()))?,
            None => entering.await,
        };
        let pass = pass.map_err(|StillPaused { remaining }| ExchangeError::RateLimited {
            exchange: self.exchange.to_owned(),
            retry_after: Some(remaining),
            message: format!("{} asked for a pause that is not over", self.prepared.host()),
        })?;
        self.waited += queued.elapsed();
        self.attempts += 1;
        let params = &self.shared.params;
        let client =
            if self.prepared.is_loopback() { &self.shared.direct } else { &self.shared.usual };
        let begun = Instant::now();
        let end = begun + self.time_left().map_or(params.timeout(), |t| t.min(params.timeout()));
        let sending = self.prepared.send(client, params.connect_timeout(), params.max_body_bytes);
        *latest = Some(timeout_at(end, sending).await.unwrap_or_else(|_| {
            Err(Failure { error: self.timed_out(begun.elapsed()), is_worth_repeating: true })
        }));
        drop(pass);
        self.latency = begun.elapsed();
        self.log(latest.as_ref());
        Ok(())
    }

    /// How long to wait before another attempt, `None` if there shall be none.
    fn wait_after(&self, outcome: &Outcome) -> Option<Duration> {
        let delay = self.shared.backoff.delay(self.attempts);
        let (repeat, wait) = match outcome {
            Ok(reply) => {
                let asked = reply.retry_after.filter(|asked| !asked.is_zero());
                if pauses_the_host(reply.status) {
                    let pause = asked.unwrap_or(delay).div_f64(self.speed);
                    warn!(
                        exchange = self.exchange,
                        host = self.prepared.host(),
                        status = reply.status,
                        ?pause,
                        "the host asks to slow down"
                    );
                    self.gate.pause(pause);
                }
                let bearable =
                    asked.is_none_or(|asked| asked <= self.shared.params.max_retry_after());
                (is_worth_repeating(reply.status) && bearable, asked.unwrap_or(delay))
            }
            Err(failure) => (failure.is_worth_repeating, delay),
        };
        let wait = wait.div_f64(self.speed);
        let in_time = self.time_left().is_none_or(|left| wait < left);
        let more = self.attempts <= self.shared.params.max_retries;
        let again = repeat && self.may_repeat && more && in_time;
        if again {
            debug!(exchange = self.exchange, attempt = self.attempts, ?wait, "repeating");
        }
        again.then_some(wait)
    }

    /// Tells of an attempt, without the address's parameters: some carry a token.
    fn log(&self, outcome: Option<&Outcome>) {
        if !enabled!(Level::DEBUG) {
            return;
        }
        let (exchange, attempt) = (self.exchange, self.attempts);
        let (host, path, took) = (self.prepared.host(), self.prepared.path(), self.latency);
        match outcome {
            Some(Ok(reply)) => {
                let (status, bytes) = (reply.status, reply.body.len());
                debug!(exchange, host, path, attempt, status, bytes, ?took, "answered");
            }
            Some(Err(failure)) => {
                let error = &failure.error;
                debug!(exchange, host, path, attempt, %error, ?took, "failed");
            }
            None => {}
        }
    }

    fn finish(self, outcome: Outcome) -> ExchangeResult<HttpResponse> {
        let reply = outcome.map_err(|failure| failure.error)?;
        Ok(HttpResponse {
            status: reply.status,
            retry_after: reply.retry_after,
            date: reply.date,
            content_type: reply.content_type,
            body: reply.body,
            attempts: self.attempts,
            latency: self.latency,
            elapsed: self.started.elapsed(),
            waited: self.waited,
        })
    }

    fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    fn timed_out(&self, after: Duration) -> ExchangeError {
        let (exchange, host) = (self.exchange.to_owned(), self.prepared.host());
        ExchangeError::TimedOut { exchange, host, after }
    }
}

fn reqwest_client(params: &HttpClientParams) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client_config()?)
        .user_agent(params.user_agent.as_str())
        .connect_timeout(params.connect_timeout())
        .pool_max_idle_per_host(params.max_connections_per_host)
        .redirect(redirects(params.max_redirects))
        .retry(reqwest::retry::never())
        .referer(false);
    if !params.proxy_from_environment {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| tls::failed(Box::new(error)))
}

fn redirects(most: usize) -> Policy {
    Policy::custom(move |attempt| {
        let from = attempt.previous().last().map(reqwest::Url::scheme);
        let is_followed = attempt.previous().len() <= most
            && may_lead(from.unwrap_or("http"), attempt.url().scheme());
        if is_followed { attempt.follow() } else { attempt.stop() }
    })
}

/// Whether a redirect may lead from one scheme to another: never out of the web, never out of TLS.
fn may_lead(from: &str, to: &str) -> bool {
    matches!((from, to), ("http", "http" | "https") | ("https", "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_motion_is_for_this_machine_alone() {
        let client = HttpClient::new(HttpClientParams::default()).unwrap();
        let client = client.with_speed(f64::INFINITY).unwrap();
        let second = Duration::from_secs(1);
        let wait = |url: &str| client.in_motion(&HttpRequest::get(url), second);
        assert_eq!(wait("http://127.0.0.1:9/time"), Duration::ZERO);
        assert_eq!(wait("https://api.kraken.com/0/public/Time"), second);
        assert_eq!(wait("nowhere"), second);
    }

    #[test]
    fn a_redirect_never_leads_out_of_tls_or_out_of_the_web() {
        for (from, to) in [("http", "http"), ("http", "https"), ("https", "https")] {
            assert!(may_lead(from, to), "{from} to {to}");
        }
        for (from, to) in [("https", "http"), ("http", "ftp"), ("https", "file"), ("http", "")] {
            assert!(!may_lead(from, to), "{from} to {to}");
        }
    }
}
