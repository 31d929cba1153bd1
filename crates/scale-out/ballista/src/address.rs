//! Addresses: what to bind, what to advertise, what to connect to.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::error::{ConnectError, ServeError};

/// Splits `HOST:PORT`; an IPv6 host stands in brackets.
pub(crate) fn split(address: &str) -> Result<(String, u16), ConnectError> {
    let wrong = || ConnectError::Address { address: address.chars().take(100).collect() };
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let bare = host.strip_prefix('[').map_or(host, |h| h.strip_suffix(']').unwrap_or_default());
    let plain =
        bare.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%'));
    let bracketed = bare.len() != host.len();
    if bare.is_empty() || !plain || port == 0 || (bare.contains(':') && !bracketed) {
        return Err(wrong());
    }
    Ok((host.to_string(), port))
}

/// Writes an address as the host of a URL.
pub(crate) fn url_host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// Finds the host name to advertise.
///
/// # Errors
///
/// - [`ServeError::Parameter`] where the bound address is a wildcard, which no peer can connect to
pub(crate) fn external_host(
    bind: IpAddr,
    external_host: Option<&str>,
) -> Result<String, ServeError> {
    match external_host {
        Some(host) => {
            let url = match host.parse::<IpAddr>() {
                Ok(address) => url_host(address),
                Err(_) => host.to_string(),
            };
            split(&format!("{url}:1")).map_err(|_| ServeError::Parameter {
                name: "external-host",
                range: "a host name or an IP address",
                value: host.to_string(),
            })?;
            Ok(url)
        }
        None if bind.is_unspecified() => Err(ServeError::Parameter {
            name: "external-host",
            range: "given when all addresses are bound",
            value: "nothing".to_string(),
        }),
        None => Ok(url_host(bind)),
    }
}

/// Binds an address; port 0 takes a free one.
pub(crate) fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let bound = TcpListener::bind(address)
        .and_then(|listener| Ok((listener.local_addr()?, listener)))
        .map_err(|source| ServeError::Bind { address, source })?;
    Ok((bound.1, bound.0))
}

/// Waits until something listens at `address`.
pub(crate) async fn wait_for(address: &str, limit: Duration) -> Result<(), ConnectError> {
    let deadline = Instant::now() + limit;
    let mut refusal = None;
    loop {
        match tokio::time::timeout_at(deadline, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => refusal = Some(error.to_string()),
            Err(_) => {}
        }
        let pause = Duration::from_millis(100);
        if Instant::now() + pause >= deadline {
            return Err(match refusal {
                Some(message) => ConnectError::Refused { address: address.to_string(), message },
                None => ConnectError::TimedOut { address: address.to_string(), limit },
            });
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_at_the_last_colon() {
        let split = |address| split(address).ok();
        assert_eq!(split("host:50050"), Some(("host".to_string(), 50050)));
        assert_eq!(split("[::1]:50050"), Some(("[::1]".to_string(), 50050)));
        for wrong in [
            "",
            "host",
            ":1",
            "host:",
            "host:0",
            "host:65536",
            "::1:50050",
            "[]:1",
            "[::1:1",
            "a/b:1",
            "user@host:1",
            "http://host:1",
        ] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn wildcards_are_not_advertised() {
        let any: IpAddr = [0, 0, 0, 0].into();
        assert!(external_host(any, None).is_err());
        assert_eq!(external_host(any, Some("ten")).ok().as_deref(), Some("ten"));
        assert_eq!(external_host(any, Some("fe80::1")).ok().as_deref(), Some("[fe80::1]"));
        assert!(external_host(any, Some("a b")).is_err());
    }
}
