//! How the examples reach an exchange.
#![allow(dead_code, reason = "each example uses its part")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use forecastle::core::{Timeframe, Timestamp};
use forecastle::market_data::{
    CacheFormat, CandleCache, Download, DownloadRequest, Exchange, ExchangeClient, FetchReport,
    HttpClient, HttpClientParams, system_clock,
};
use indicatif::{ProgressBar, ProgressStyle};

/// Chooses what to download.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DownloadArgs {
    /// Earliest candle, such as 2025-01-01 or 2025-01-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Candles from here on are not wanted
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// Send every request to another address: a proxy, a replay server
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// Keep what was fetched here, and fetch only what is missing
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0)]
    pub(crate) time_limit: f64,
}

/// Everything async of an example runs here; it ends with what it was given, however long a name
/// look-up still takes.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}

/// A client that gives up soon where nothing answers.
pub(crate) fn http_client() -> Result<HttpClient> {
    Ok(HttpClient::new(HttpClientParams { max_retries: 3, ..Default::default() })?)
}

pub(crate) fn deadline(seconds: f64) -> Result<Instant> {
    let limit = Duration::try_from_secs_f64(seconds).context("--time-limit")?;
    Instant::now().checked_add(limit).context("--time-limit is too long")
}

pub(crate) fn exchange(id: &str, base_url: Option<&str>) -> Result<Exchange> {
    let exchange = Exchange::find(id)?;
    Ok(match base_url {
        Some(url) => exchange.with_base_url(url)?,
        None => exchange,
    })
}

impl DownloadArgs {
    /// Fetches the candles, with a bar where standard error is a terminal.
    pub(crate) fn download(
        &self,
        id: &str,
        symbol: &str,
        timeframe: Timeframe,
        limit: Option<usize>,
    ) -> Result<Download> {
        let exchange = exchange(id, self.base_url.as_deref())?;
        let client = ExchangeClient::new(exchange, http_client()?, system_clock())
            .with_deadline(deadline(self.time_limit)?);
        let request = DownloadRequest::new(symbol, timeframe)
            .since(self.since)
            .until(self.until)
            .limit(limit);
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        let progress = |report: &FetchReport| {
            bar.set_message(format!("{}: {} rows, {} pages", id, report.rows, report.pages));
            bar.tick();
        };
        let download = block_on(async {
            Ok(match &self.cache {
                Some(dir) => client.download_cached(&request, &open_cache(dir)?, progress).await?,
                None => client.download_with(&request, progress).await?,
            })
        });
        bar.finish_and_clear();
        download
    }
}

fn open_cache(dir: &Path) -> Result<CandleCache> {
    let format = if cfg!(feature = "parquet") { CacheFormat::Parquet } else { CacheFormat::Csv };
    Ok(CandleCache::open(dir, format)?)
}
