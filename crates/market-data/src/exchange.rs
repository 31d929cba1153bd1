//! The registry of exchanges: what each asks for and answers, without any network.

mod error;
mod http_request;
mod message;
mod status_error;

pub use error::{ExchangeError, ExchangeResult};
pub use http_request::{HttpRequest, Method};
pub use message::message_of;
#[cfg(feature = "network")]
pub(crate) use message::plain_text;
pub use status_error::status_error;
