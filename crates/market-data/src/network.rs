//! The way to an exchange and back: one HTTP client that asks politely and gives up in time.

mod attempt;
mod backoff;
mod candle_pages;
mod coarse_map;
mod download;
mod download_request;
mod exchange_client;
mod fetch_report;
mod forward_walk;
mod gathered;
mod hole_check;
mod host_gate;
mod http_client;
mod http_client_params;
mod http_response;
mod live;
mod pace;
mod page_rows;
mod read_ahead;
mod retry_after;
mod sweep;
mod tls;

pub use candle_pages::{CandlePage, CandlePages};
pub use download::Download;
pub use download_request::DownloadRequest;
pub use exchange_client::{ExchangeClient, system_clock};
pub use fetch_report::FetchReport;
pub use http_client::HttpClient;
pub use http_client_params::HttpClientParams;
pub use http_response::HttpResponse;
pub use live::{LiveCandles, LiveClock, LiveParams, LiveReport, LiveRequest, Transport};
pub use pace::Pace;
pub use sweep::{SweepOutcome, SweepParams, SweepRow, sweep};
