//! The registry of exchanges: what each asks for and answers, without any network.

mod error;
mod http_request;

pub use error::{ExchangeError, ExchangeResult};
pub use http_request::{HttpRequest, Method};
