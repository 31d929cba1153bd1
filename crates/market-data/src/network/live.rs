//! Closed candles as they come: each once, in order, none left out.

mod beginning;
mod feed;
#[cfg(feature = "websocket")]
mod inbox;
#[cfg(feature = "websocket")]
mod link;
mod live_candles;
mod live_clock;
mod live_params;
mod live_report;
mod live_request;
mod newest_row;
mod patience;
mod polling;
mod sequencer;
mod server_clock;
mod skew;
#[cfg(feature = "websocket")]
mod socket;
#[cfg(feature = "websocket")]
mod streaming;
mod transport;

pub use live_candles::LiveCandles;
pub use live_clock::LiveClock;
pub use live_params::LiveParams;
pub use live_report::LiveReport;
#[cfg(feature = "websocket")]
use live_report::SharedReport;
pub use live_request::LiveRequest;
pub(super) use server_clock::ServerClock;
pub use transport::Transport;
