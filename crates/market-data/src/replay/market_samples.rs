//! Small market lists of every exchange, in its own format, embedded with the feature.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::exchange::{Exchange, ExchangeError, ExchangeResult, HttpRequest, MarketList, Method};

include!(concat!(env!("OUT_DIR"), "/market_samples.rs"));

#[derive(Deserialize)]
struct Sample {
    method: Method,
    url: String,
    #[serde(default)]
    request_body: Option<String>,
    body: Box<RawValue>,
}

/// Gives sample answers to an exchange's requests for its market lists, a few markets each, in the
/// documented format; for tests and offline use.
///
/// They answer every request that [`Exchange::market_requests`] makes for an exchange of the
/// registry, and those for the pages after them. An exchange of your own has none.
///
/// # Errors
/// - [`ExchangeError::Malformed`] when a sample cannot be read.
pub fn sample_market_answers(exchange: &Exchange) -> ExchangeResult<Vec<(HttpRequest, Vec<u8>)>> {
    let Some((_, text)) = MARKET_SAMPLES.iter().find(|(id, _)| *id == exchange.id()) else {
        return Ok(Vec::new());
    };
    let samples: Vec<Sample> =
        serde_json::from_str(text).map_err(|e| ExchangeError::Malformed {
            exchange: exchange.id().to_owned(),
            row: None,
            field: None,
            reason: format!("its sample of market lists: {e}"),
        })?;
    let answer = |sample: Sample| {
        let request = match sample.method {
            Method::Get => HttpRequest::get(sample.url),
            Method::Post => {
                HttpRequest::post_json(sample.url, sample.request_body.unwrap_or_default())
            }
        };
        (request, sample.body.get().as_bytes().to_vec())
    };
    Ok(samples.into_iter().map(answer).collect())
}

/// Gives the markets of an exchange's sample lists.
///
/// # Errors
/// - [`ExchangeError::Malformed`] or [`ExchangeError::Exchange`] when a sample does not fit the
///   record.
///
/// # Examples
/// ```
/// use forecastle_market_data::{Exchange, sample_markets};
///
/// let list = sample_markets(&Exchange::find("kraken")?)?;
/// assert!(!list.markets.is_empty());
/// # Ok::<(), forecastle_market_data::ExchangeError>(())
/// ```
pub fn sample_markets(exchange: &Exchange) -> ExchangeResult<MarketList> {
    exchange.parse_markets(&sample_market_answers(exchange)?)
}
