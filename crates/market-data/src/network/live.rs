//! Closed candles as they come: each once, in order, none left out.

mod feed;
mod live_candles;
mod live_clock;
mod live_params;
mod live_report;
mod live_request;
mod patience;
mod polling;
mod sequencer;
mod server_clock;
mod skew;

pub use live_candles::LiveCandles;
pub use live_clock::LiveClock;
pub use live_params::LiveParams;
pub use live_report::LiveReport;
pub use live_request::LiveRequest;
pub(super) use server_clock::ServerClock;
