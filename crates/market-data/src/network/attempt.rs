use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use forecastle_core::Timestamp;
use reqwest::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderName,
    HeaderValue, LOCATION, RETRY_AFTER, TRANSFER_ENCODING,
};
use reqwest::{Response, Url};

use super::retry_after::{http_date, retry_after};
use crate::exchange::{ExchangeError, ExchangeResult, HttpRequest, Method, plain_text};

/// A request that was checked and can be sent, any number of times.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    exchange: &'a str,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<&'a str>,
}

/// What one attempt brought.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) date: Option<Timestamp>,
    pub(super) content_type: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Why an attempt brought nothing, and whether another may.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: ExchangeError,
    pub(super) is_worth_repeating: bool,
}

/// Room made for a body before any of it has come.
const FIRST_CAPACITY: u64 = 1 << 20;
/// Most of a body that comes with an error: only its message matters.
const ERROR_BODY: u64 = 1 << 18;

impl<'a> Prepared<'a> {
    /// Checks the address and the headers.
    pub(super) fn new(exchange: &'a str, request: &'a HttpRequest) -> ExchangeResult<Self> {
        let refuse = |reason: String| ExchangeError::InvalidRequest {
            exchange: exchange.to_owned(),
            reason: plain_text(&reason),
        };
        let url = Url::parse(&request.url)
            .map_err(|error| refuse(format!("{error}: {}", request.url)))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("the address holds a user's name or password".to_owned()));
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse(format!("no http or https address: {url}")));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let key = HeaderName::try_from(name)
                .map_err(|_| refuse(format!("no header can be called {name:?}")))?;
            let value = HeaderValue::try_from(value)
                .map_err(|_| refuse(format!("header {name} cannot hold {value:?}")))?;
            if OWN_HEADERS.contains(&key) {
                return Err(refuse(format!("header {name} is not the request's to set")));
            }
            headers.append(key, value);
        }
        Ok(Self { exchange, method: request.method, url, headers, body: request.body.as_deref() })
    }

    /// Scheme, host and port: what shares one pace.
    pub(super) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The host for a message, with a port that is not the scheme's own.
    pub(super) fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The path, without parameters.
    pub(super) fn path(&self) -> &str {
        self.url.path()
    }

    /// Whether the address is this machine's own.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// Sends it once and reads the whole answer, however long that takes.
    pub(super) async fn send(
        &self,
        client: &reqwest::Client,
        connect_timeout: Duration,
        max_body_bytes: u64,
    ) -> Result<Reply, Failure> {
        let method = match self.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let mut builder = client.request(method, self.url.clone()).headers(self.headers.clone());
        if let Some(body) = self.body {
            builder = builder.body(body.to_owned());
        }
        let response =
            builder.send().await.map_err(|error| self.transport(error, connect_timeout))?;
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        if let (true, Some(target)) = (status.is_redirection(), header(LOCATION)) {
            return Err(final_failure(ExchangeError::Exchange {
                exchange: self.exchange.to_owned(),
                status: status.as_u16(),
                message: plain_text(&format!("it redirects to {target}, which is not followed")),
            }));
        }
        let date = header(DATE).and_then(http_date);
        let mut reply = Reply {
            status: status.as_u16(),
            retry_after: header(RETRY_AFTER).and_then(|value| retry_after(value, date)),
            date,
            content_type: header(CONTENT_TYPE).map(media_type),
            body: Vec::new(),
        };
        if status.is_success() {
            reply.body = self.read(response, max_body_bytes).await?;
        } else {
            reply.body = read_start(response, max_body_bytes.min(ERROR_BODY)).await;
        }
        Ok(reply)
    }

    async fn read(&self, mut response: Response, limit: u64) -> Result<Vec<u8>, Failure> {
        let too_large =
            || final_failure(ExchangeError::TooLarge { exchange: self.exchange.to_owned(), limit });
        let announced = response.content_length().unwrap_or(0);
        if announced > limit {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(announced.min(FIRST_CAPACITY) as usize);
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken_body(error))? {
            if body.len() as u64 + chunk.len() as u64 > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The failure of a body that broke off or cannot be decompressed.
    fn broken_body(&self, error: reqwest::Error) -> Failure {
        // The connection's own failures come as the transport's errors or as an early end;
        // what is left comes from a decoder.
        let broke_off = causes(&error).skip(1).any(|cause| {
            let ended = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
            cause.is::<reqwest::Error>() || cause.downcast_ref::<io::Error>().is_some_and(ended)
        });
        if !broke_off {
            return final_failure(ExchangeError::Malformed {
                exchange: self.exchange.to_owned(),
                row: None,
                field: None,
                reason: format!("the compressed body is damaged ({})", innermost(&error)),
            });
        }
        let reason = format!("the answer broke off ({})", innermost(&error));
        self.unreachable(reason, true)
    }

    /// The failure of a request that got no answer.
    fn transport(&self, error: reqwest::Error, connect_timeout: Duration) -> Failure {
        if error.is_timeout() && error.is_connect() {
            let error = ExchangeError::TimedOut {
                exchange: self.exchange.to_owned(),
                host: self.host(),
                after: connect_timeout,
            };
            return Failure { error, is_worth_repeating: true };
        }
        let distrusted = causes(&error).any(|cause| {
            cause
                .downcast_ref::<rustls::Error>()
                .is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
        });
        let reason = innermost(&error);
        self.unreachable(reason, !distrusted)
    }

    fn unreachable(&self, reason: String, is_worth_repeating: bool) -> Failure {
        let error = ExchangeError::Unreachable {
            exchange: self.exchange.to_owned(),
            host: self.host(),
            reason,
        };
        Failure { error, is_worth_repeating }
    }
}

/// Headers that frame or route a message: the transport sets them.
const OWN_HEADERS: [HeaderName; 5] =
    [ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

fn final_failure(error: ExchangeError) -> Failure {
    Failure { error, is_worth_repeating: false }
}

/// What came of a body, up to `limit`.
async fn read_start(mut response: Response, limit: u64) -> Vec<u8> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut body = Vec::new();
    while body.len() < limit {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        body.extend(chunk.iter().take(limit - body.len()));
    }
    body
}

fn media_type(header: &str) -> String {
    header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The error and all its causes, those inside I/O errors too.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        let error: &'a (dyn StdError + 'static) = *error;
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match inside {
            Some(inside) => Some(inside as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    plain_text(&causes(error).last().unwrap_or(error).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(request: &HttpRequest) -> String {
        match Prepared::new("okx", request) {
            Ok(prepared) => prepared.origin(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn one_pace_is_shared_by_scheme_host_and_port() {
        let origin = |url: &str| prepared(&HttpRequest::get(url));
        assert_eq!(origin("https://www.okx.com/api?x=1"), "https://www.okx.com");
        assert_eq!(origin("https://WWW.okx.com:443"), "https://www.okx.com");
        assert_ne!(origin("http://www.okx.com"), origin("https://www.okx.com"));
        assert_ne!(origin("http://127.0.0.1:1"), origin("http://127.0.0.1:2"));
    }

    #[test]
    fn what_is_no_web_address_is_refused() {
        for url in ["ftp://x.com/", "file:///etc/hosts", "okx.com", "", "https://", "data:,x"] {
            let error = Prepared::new("okx", &HttpRequest::get(url)).unwrap_err();
            assert!(matches!(error, ExchangeError::InvalidRequest { .. }), "{url:?}: {error}");
        }
        let message = prepared(&HttpRequest::get("https://me:secret@x.com/"));
        assert!(message.contains("password") && !message.contains("secret"), "{message}");
    }

    #[test]
    fn headers_that_break_the_message_are_refused() {
        let with = |name: &str, value: &str| HttpRequest {
            headers: vec![(name.to_owned(), value.to_owned())],
            ..HttpRequest::get("https://x.com")
        };
        assert_eq!(prepared(&with("X-Client", "a b")), "https://x.com");
        for (name, value) in [
            ("X-Client", "a\r\nHost: y.com"),
            ("X Client", "a"),
            ("", "a"),
            ("Host", "y.com"),
            ("content-length", "3"),
        ] {
            let error = Prepared::new("okx", &with(name, value)).unwrap_err();
            assert!(matches!(error, ExchangeError::InvalidRequest { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn loopback_is_known_by_name_and_by_number() {
        let is_loopback =
            |url: &str| Prepared::new("okx", &HttpRequest::get(url)).unwrap().is_loopback();
        for url in ["http://localhost:80", "http://127.0.0.1:9", "http://127.9.9.9", "http://[::1]"]
        {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["http://localhost.com", "http://10.0.0.1", "http://[::2]"] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
