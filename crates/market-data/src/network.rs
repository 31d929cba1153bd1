//! The way to an exchange and back: one HTTP client that asks politely and gives up in time.

mod attempt;
mod backoff;
mod host_gate;
mod http_client;
mod http_client_params;
mod http_response;
mod pace;
mod retry_after;
mod tls;

pub use http_client::HttpClient;
pub use http_client_params::HttpClientParams;
pub use http_response::HttpResponse;
pub use pace::Pace;
