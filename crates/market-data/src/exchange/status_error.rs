use std::time::Duration;

use super::ExchangeError;

/// Turns an HTTP status that is no success into the error a caller can act on.
///
/// | Status | Error |
/// |---|---|
/// | 429, 418 | [`ExchangeError::RateLimited`] |
/// | 451; 403 with words about a country, a region or a block | [`ExchangeError::BlockedByRegion`] |
/// | any other 4xx that says that the caller's country or region is not served | [`ExchangeError::BlockedByRegion`] |
/// | 401; 403 with words about a key or a signature | [`ExchangeError::KeyRequired`] |
/// | any other | [`ExchangeError::Exchange`] |
///
/// `message` holds the exchange's own words, as its record or
/// [`message_of`](crate::message_of) finds them.
///
/// # Examples
/// ```
/// use forecastle_market_data::{ExchangeError, status_error};
///
/// let blocked = status_error("bybit", 403, None, "configured to block access from your country");
/// assert!(matches!(blocked, ExchangeError::BlockedByRegion { .. }));
/// let limited = status_error("kraken", 429, None, "Too many requests");
/// assert!(limited.is_transient());
/// ```
pub fn status_error(
    exchange: &str,
    status: u16,
    retry_after: Option<Duration>,
    message: &str,
) -> ExchangeError {
    let exchange = exchange.to_owned();
    let words = message.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    let message =
        if message.is_empty() { reason_phrase(status).to_owned() } else { message.to_owned() };
    match status {
        418 | 429 => ExchangeError::RateLimited { exchange, retry_after, message },
        451 => ExchangeError::BlockedByRegion { exchange, status, message },
        400..=499 if says(&NOT_SERVED) => {
            ExchangeError::BlockedByRegion { exchange, status, message }
        }
        401 => ExchangeError::KeyRequired { exchange, message },
        403 if says(&BLOCKED) => ExchangeError::BlockedByRegion { exchange, status, message },
        403 if says(&KEY) => ExchangeError::KeyRequired { exchange, message },
        _ => ExchangeError::Exchange { exchange, status, message },
    }
}

/// What only a refusal of the caller's place says.
const NOT_SERVED: [&str; 10] = [
    "restricted location",
    "restricted country",
    "restricted region",
    "restricted jurisdiction",
    "your country",
    "your region",
    "your location",
    "your jurisdiction",
    "unavailable in the u.s",
    "from the united states",
];
/// What a refusal of the caller's place says among other things.
const BLOCKED: [&str; 12] = [
    "country",
    "region",
    "jurisdiction",
    "location",
    "geo",
    "restricted",
    "cloudflare",
    "cloudfront",
    "blocked",
    "banned",
    "sanction",
    "vpn",
];
/// What a refusal for want of a key says.
const KEY: [&str; 8] =
    ["api key", "api-key", "apikey", "api_key", "signature", "authenticat", "authoriz", "token"];

fn reason_phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        418 | 429 => "Too Many Requests",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "no message",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, message: &str) -> &'static str {
        match status_error("okx", status, None, message) {
            ExchangeError::RateLimited { .. } => "limited",
            ExchangeError::BlockedByRegion { .. } => "blocked",
            ExchangeError::KeyRequired { .. } => "key",
            ExchangeError::Exchange { .. } => "exchange",
            other => panic!("{other}"),
        }
    }

    #[test]
    fn statuses_and_words_decide_the_category() {
        for (status, message, expected) in [
            (429, "", "limited"),
            (418, "Way too much request weight used; IP banned", "limited"),
            (451, "", "blocked"),
            (403, "an HTML page: Attention Required! | Cloudflare", "blocked"),
            (403, "The Amazon CloudFront distribution is configured to block", "blocked"),
            (400, "Our services are currently unavailable in the U.S.", "blocked"),
            (403, "Service unavailable from a restricted location", "blocked"),
            (401, "Not available in your country", "blocked"),
            (401, "", "key"),
            (403, "Invalid API-key, IP, or permissions", "key"),
            (403, "Forbidden", "exchange"),
            (400, "Invalid symbol.", "exchange"),
            (404, "", "exchange"),
            (500, "", "exchange"),
            (502, "cloudflare", "exchange"),
        ] {
            assert_eq!(kind(status, message), expected, "{status} {message:?}");
        }
    }

    #[test]
    fn the_wait_and_the_words_are_kept() {
        let wait = Some(Duration::from_secs(3));
        let ExchangeError::RateLimited { retry_after, message, .. } =
            status_error("okx", 429, wait, "")
        else {
            panic!("no rate limit")
        };
        assert_eq!((retry_after, message.as_str()), (wait, "Too Many Requests"));
        let message = status_error("okx", 400, None, "Invalid symbol.").to_string();
        assert_eq!(message, "okx answered HTTP 400: Invalid symbol.");
    }

    #[test]
    fn only_what_may_pass_is_transient() {
        for (status, transient) in
            [(429, true), (503, true), (401, false), (451, false), (400, false)]
        {
            assert_eq!(status_error("okx", status, None, "").is_transient(), transient, "{status}");
        }
    }
}
