//! The registry of exchanges: what each asks for and answers, without any network.

#[cfg(feature = "replay")]
mod answer_shape;
mod channel;
mod channel_message;
mod channel_record;
#[cfg(all(feature = "replay", feature = "websocket"))]
mod channel_shape;
mod definition;
mod error;
mod expression;
mod hint;
mod http_request;
mod market;
mod market_calls;
mod market_list;
mod market_row;
mod message;
mod name_check;
mod protobuf;
mod query;
mod record;
mod registry;
mod request;
mod request_key;
mod response;
mod row_reader;
mod status_error;

#[cfg(feature = "replay")]
pub(crate) use answer_shape::{AnswerShape, AnswerTime, Field, RowLayout, RowShape};
pub use channel::CandleChannel;
pub use channel_message::{ChannelCandle, ChannelMessage, KeepAlive};
#[cfg(all(feature = "replay", feature = "websocket"))]
pub(crate) use channel_shape::{ChannelShape, Payload};
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
