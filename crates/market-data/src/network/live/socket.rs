//! Opening a WebSocket, in bounded memory.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::USER_AGENT;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::exchange::{ExchangeError, ExchangeResult, message_of, status_error};

/// Longest message taken: snapshots of hundreds of candles are a tenth of it.
const MOST_BYTES: usize = 1 << 20;

/// What carries a WebSocket, with TLS or without.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An open WebSocket.
pub(super) struct Socket(WebSocketStream<Box<dyn Wire>>);

impl Socket {
    pub(super) async fn next(&mut self) -> Option<Result<Message, SocketError>> {
        self.0.next().await
    }

    pub(super) async fn send(&mut self, message: Message) -> Result<(), SocketError> {
        self.0.send(message).await
    }
}

/// Opens a WebSocket; the caller bounds the time.
///
/// There is no proxy here: what the environment names serves HTTP requests only.
pub(super) async fn connect(
    exchange: &str,
    address: &str,
    tls: &Arc<ClientConfig>,
    user_agent: &str,
) -> ExchangeResult<Socket> {
    let invalid = |reason: String| ExchangeError::InvalidRequest {
        exchange: exchange.to_owned(),
        // What follows may hold a token.
        reason: format!("{}: {reason}", address.split('?').next().unwrap_or_default()),
    };
    let mut request = address.into_client_request().map_err(|error| invalid(error.to_string()))?;
    if let Ok(agent) = HeaderValue::from_str(user_agent) {
        request.headers_mut().insert(USER_AGENT, agent);
    }
    let uri = request.uri();
    let secure = match uri.scheme_str() {
        Some("wss") => true,
        Some("ws") => false,
        _ => return Err(invalid("ws:// or wss:// expected".to_owned())),
    };
    let host = uri.host().ok_or_else(|| invalid("it has no host".to_owned()))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let failed = |error: std::io::Error| failure(exchange, &host, error.into());
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let wire: Box<dyn Wire> = if secure {
        let name =
            ServerName::try_from(host.clone()).map_err(|error| invalid(error.to_string()))?;
        let connector = TlsConnector::from(tls.clone());
        Box::new(connector.connect(name, stream).await.map_err(failed)?)
    } else {
        Box::new(stream)
    };
    const READ_BUFFER: usize = 8 << 10;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MOST_BYTES)
        .max_message_size(Some(MOST_BYTES))
        .max_frame_size(Some(MOST_BYTES));
    let opened = client_async_with_config(request, wire, Some(config)).await;
    let (socket, _) = opened.map_err(|error| failure(exchange, &host, error))?;
    Ok(Socket(socket))
}

/// What a failure of a WebSocket is for a client.
pub(super) fn failure(exchange: &str, host: &str, error: SocketError) -> ExchangeError {
    let exchange = exchange.to_owned();
    match error {
        SocketError::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            status_error(&exchange, response.status().as_u16(), None, &message_of(body))
        }
        SocketError::Capacity(_) => {
            let limit = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
            ExchangeError::TooLarge { exchange, limit }
        }
        error if is_malformed(&error) => {
            let (row, field) = (None, None);
            ExchangeError::Malformed { exchange, row, field, reason: error.to_string() }
        }
        other => {
            let host = host.to_owned();
            ExchangeError::Unreachable { exchange, host, reason: innermost(&other) }
        }
    }
}

/// Whether what came is to blame, and not the way it came.
pub(super) fn is_malformed(error: &SocketError) -> bool {
    match error {
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => false,
        SocketError::Protocol(_) | SocketError::Capacity(_) | SocketError::Utf8(_) => true,
        _ => false,
    }
}

/// The innermost cause, in the operating system's words.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::{RootCertStore, ServerConfig, crypto::ring};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_tungstenite::accept_async;

    use super::*;
    use crate::network::tls;

    /// A server with a certificate of its own that greets whoever comes; its address, and the
    /// settings of a client that trusts it.
    async fn greeter() -> (String, Arc<ClientConfig>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(server));
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.ok()?;
                    let mut socket = accept_async(stream).await.ok()?;
                    socket.send(Message::text("hello")).await.ok()?;
                    while let Some(Ok(_)) = socket.next().await {}
                    Some(())
                });
            }
        });
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (format!("wss://localhost:{port}/ws"), Arc::new(client))
    }

    #[tokio::test]
    async fn tls_is_spoken_with_those_whose_certificate_is_trusted_and_no_others() {
        let (address, trusting) = greeter().await;
        let mut socket = connect("okx", &address, &trusting, "test").await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
        let usual = Arc::new(tls::client_config().unwrap());
        let error = connect("okx", &address, &usual, "test").await.err().unwrap();
        assert!(matches!(error, ExchangeError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
        // A certificate for another name is none.
        let other = address.replace("localhost", "127.0.0.1");
        let error = connect("okx", &other, &trusting, "test").await.err().unwrap();
        assert!(error.to_string().contains("certificate"), "{error}");
    }

    #[tokio::test]
    async fn addresses_that_are_none_are_refused_and_closed_ports_unreachable() {
        let tls = Arc::new(tls::client_config().unwrap());
        for address in ["http://127.0.0.1/", "ws://", "nonsense", "wss://a b/"] {
            let error = connect("okx", address, &tls, "test").await.err().unwrap();
            assert!(matches!(error, ExchangeError::InvalidRequest { .. }), "{address}: {error}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("ws://{}", listener.local_addr().unwrap());
        drop(listener);
        let opening = connect("okx", &address, &tls, "test");
        let error = tokio::time::timeout(Duration::from_secs(5), opening).await.unwrap();
        assert!(matches!(error.err(), Some(ExchangeError::Unreachable { .. })));
    }

    #[test]
    fn what_a_server_answers_instead_of_a_socket_keeps_its_meaning() {
        let answered = |status: u16| {
            let response = tokio_tungstenite::tungstenite::http::Response::builder()
                .status(status)
                .body(Some(br#"{"msg": "sorry"}"#.to_vec()))
                .unwrap();
            failure("okx", "x.io", SocketError::Http(Box::new(response)))
        };
        assert!(matches!(answered(429), ExchangeError::RateLimited { .. }));
        assert!(matches!(answered(451), ExchangeError::BlockedByRegion { .. }));
        let ExchangeError::Exchange { status, message, .. } = answered(503) else { panic!() };
        assert_eq!((status, message.as_str()), (503, "sorry"));
    }
}
