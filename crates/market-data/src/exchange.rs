//! The registry of exchanges: what each asks for and answers, without any network.

mod error;

pub use error::{ExchangeError, ExchangeResult};
