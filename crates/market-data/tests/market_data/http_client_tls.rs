//! The HTTP client over TLS: whom it trusts, and that it stays there.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use forecastle_market_data::{ExchangeError, HttpClient, HttpClientParams, HttpRequest, Pace};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::http_client::in_another_process;
use crate::http_server::{Answer, Server};

/// A server's identity that nobody knows, and its certificate as PEM.
fn identity() -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

fn client() -> HttpClient {
    let params = HttpClientParams {
        base_delay_ms: 1,
        max_delay_ms: 1,
        proxy_from_environment: false,
        ..HttpClientParams::default()
    };
    HttpClient::new(params).unwrap()
}

#[tokio::test]
async fn a_certificate_of_nobody_known_is_refused_at_the_first_attempt() {
    let server = Server::start_tls([Answer::ok("{}")], identity().0).await;
    let request = HttpRequest::get(server.url.clone());
    let error = client().send("okx", &request, Pace::default()).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!((server.connections(), server.seen().len()), (1, 0));
}

#[tokio::test]
async fn a_certificate_of_the_environments_file_is_trusted() {
    let (tls, pem) = identity();
    let server = Server::start_tls([Answer::ok("over TLS")], tls).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    fs::write(&file, pem).unwrap();
    let trusting = [("SSL_CERT_FILE", file.to_str().unwrap())];
    let output = in_another_process(&server.url, &trusting).await;
    assert!(output.contains("answer: over TLS"), "{output}");
    let absent = folder.path().join("absent.pem");
    let distrusting = [("SSL_CERT_FILE", absent.to_str().unwrap())];
    let output = in_another_process(&server.url, &distrusting).await;
    assert!(output.contains("error: okx: cannot reach"), "{output}");
}

#[tokio::test]
async fn a_redirect_out_of_tls_is_not_followed() {
    let plain = Server::start([Answer::ok("plain")]).await;
    let (tls, pem) = identity();
    let headers = format!("Location: {}\r\n", plain.url);
    let server = Server::start_tls([Answer::new("302 Found", &headers, "")], tls).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    fs::write(&file, pem).unwrap();
    let trusting = [("SSL_CERT_FILE", file.to_str().unwrap())];
    let output = in_another_process(&server.url, &trusting).await;
    assert!(output.contains("error: okx answered HTTP 302: it redirects to http://"), "{output}");
    assert_eq!(plain.seen().len(), 0);
}

#[tokio::test]
async fn the_time_to_connect_bounds_the_greeting_too() {
    // This server waits for a head that a TLS greeting does not have.
    let server = Server::start([Answer::ok("{}")]).await;
    let params = HttpClientParams {
        connect_timeout_ms: 150,
        max_retries: 0,
        proxy_from_environment: false,
        ..HttpClientParams::default()
    };
    let request = HttpRequest::get(server.url.replace("http://", "https://"));
    let sending = HttpClient::new(params).unwrap();
    let error = sending.send("okx", &request, Pace::default()).await.unwrap_err();
    let ExchangeError::TimedOut { after, .. } = error else { panic!("{error:?}") };
    assert_eq!(after, Duration::from_millis(150));
}
