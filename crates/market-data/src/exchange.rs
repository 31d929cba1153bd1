//! The registry of exchanges: what each asks for and answers, without any network.

mod definition;
mod error;
mod expression;
mod hint;
mod http_request;
mod market;
mod market_list;
mod message;
mod market_calls;
mod query;
mod market_row;
mod record;
mod registry;
mod request;
mod request_key;
mod response;
mod row_reader;
mod status_error;

pub use definition::{CandleTerms, Exchange};
pub use error::{ExchangeError, ExchangeResult};
pub use http_request::{HttpRequest, Method};
pub use market::{Market, MarketKind, MarketType};
pub use market_list::MarketList;
pub use message::message_of;
#[cfg(feature = "network")]
pub(crate) use message::plain_text;
pub use query::CandleQuery;
pub use record::{Need, Paging, VolumeUnit};
pub use status_error::status_error;
