//! Which exchanges give candles without a key, here and now.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forecastle_core::{Timeframe, Timestamp};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{ExchangeClient, HttpClient};
use crate::cache::Clock;
use crate::exchange::{
    CandleQuery, Exchange, ExchangeError, ExchangeResult, Market, MarketKind, MarketList, Need,
};

/// Sets the bounds of a [`sweep`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepParams {
    /// How many exchanges are asked at a time, 16.
    pub concurrency: usize,
    /// How long all of it may take, 60 s.
    pub time_limit: Duration,
    /// The timeframe asked for; where it is missing, the next longer one.
    pub timeframe: Timeframe,
    /// How many candles are asked for, 100.
    pub limit: u32,
}

impl Default for SweepParams {
    fn default() -> Self {
        Self {
            concurrency: 16,
            time_limit: Duration::from_secs(60),
            timeframe: Timeframe::HOUR,
            limit: 100,
        }
    }
}

/// States what became of one exchange in a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SweepOutcome {
    /// It gave candles.
    Works,
    /// It gives candles to holders of a key only.
    NeedsKey,
    /// It does not serve this address.
    Blocked,
    /// It could not be reached, or not in time.
    Unreachable,
    /// It answered, but not with candles.
    Broken,
}

impl fmt::Display for SweepOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Works => "works",
            Self::NeedsKey => "needs key",
            Self::Blocked => "blocked",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
        })
    }
}

/// Holds what a sweep found about one exchange.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SweepRow {
    /// The exchange's id.
    pub exchange: String,
    /// What became of it.
    pub outcome: SweepOutcome,
    /// How many markets it lists.
    pub markets: Option<usize>,
    /// The market asked about.
    pub symbol: Option<String>,
    /// The timeframe asked for.
    pub timeframe: Option<String>,
    /// How long the answer with the candles took, in milliseconds, without waiting for the pace.
    pub latency_ms: Option<f64>,
    /// Candles got.
    pub candles: usize,
    /// How long ago the newest candle opened, in seconds.
    pub newest_age_s: Option<f64>,
    /// Why it does not work.
    pub reason: Option<String>,
}

/// Asks many exchanges at once for the newest candles of a liquid market, each in its own pace.
///
/// It ends within the time limit: what has not answered by then is unreachable. `progress` is
/// called with each row as it comes; the result is in the order of `exchanges`.
pub async fn sweep(
    exchanges: Vec<Exchange>,
    http: &HttpClient,
    clock: &Clock,
    params: &SweepParams,
    mut progress: impl FnMut(&SweepRow) + Send,
) -> Vec<SweepRow> {
    let deadline = Instant::now() + params.time_limit;
    let turns = Arc::new(Semaphore::new(params.concurrency.max(1)));
    let mut rows: Vec<SweepRow> = exchanges.iter().map(|e| late(e, params.time_limit)).collect();
    let mut tasks = JoinSet::new();
    for (index, exchange) in exchanges.into_iter().enumerate() {
        let client = ExchangeClient::new(exchange, http.clone(), clock.clone());
        let (client, turns) = (client.with_deadline(deadline), turns.clone());
        let params = params.clone();
        tasks.spawn(async move {
            let _turn = turns.acquire_owned().await;
            (index, probe(&client, &params).await)
        });
    }
    let limit = tokio::time::Instant::from_std(deadline);
    while let Ok(Some(done)) = tokio::time::timeout_at(limit, tasks.join_next()).await {
        let Ok((index, row)) = done else { continue };
        progress(&row);
        if let Some(place) = rows.get_mut(index) {
            *place = row;
        }
    }
    rows
}

fn empty(exchange: &Exchange, outcome: SweepOutcome, reason: Option<String>) -> SweepRow {
    SweepRow {
        exchange: exchange.id().to_owned(),
        outcome,
        markets: None,
        symbol: None,
        timeframe: None,
        latency_ms: None,
        candles: 0,
        newest_age_s: None,
        reason,
    }
}

fn late(exchange: &Exchange, limit: Duration) -> SweepRow {
    let reason = format!("no answer within the sweep's {} s", limit.as_secs_f64());
    empty(exchange, SweepOutcome::Unreachable, Some(reason))
}

async fn probe(client: &ExchangeClient, params: &SweepParams) -> SweepRow {
    let mut row = empty(client.exchange(), SweepOutcome::Works, None);
    if let Err(error) = try_probe(client, params, &mut row).await {
        row.outcome = match &error {
            ExchangeError::KeyRequired { .. } => SweepOutcome::NeedsKey,
            ExchangeError::BlockedByRegion { .. } => SweepOutcome::Blocked,
            ExchangeError::Unreachable { .. } | ExchangeError::TimedOut { .. } => {
                SweepOutcome::Unreachable
            }
            _ => SweepOutcome::Broken,
        };
        row.reason = Some(error.to_string());
    }
    row
}

async fn try_probe(
    client: &ExchangeClient,
    params: &SweepParams,
    row: &mut SweepRow,
) -> ExchangeResult<()> {
    let exchange = client.exchange();
    let broken = |reason: &str| ExchangeError::Refused {
        exchange: exchange.id().to_owned(),
        reason: reason.to_owned(),
    };
    if exchange.needs_key().contains(&Need::Candles) {
        return Err(ExchangeError::KeyRequired {
            exchange: exchange.id().to_owned(),
            message: "its candles are given to holders of a key only".to_owned(),
        });
    }
    let market = if exchange.needs_key().contains(&Need::Markets) {
        let ruled = LIQUID.iter().filter_map(|s| exchange.market_by_rule(s).ok().flatten()).next();
        ruled.ok_or_else(|| broken("no market can be named without its list"))?
    } else {
        let list = client.markets().await?;
        row.markets = Some(list.markets.len());
        liquid(list, &exchange.kinds()).ok_or_else(|| broken("it lists no active market"))?.clone()
    };
    row.symbol = Some(market.symbol.clone());
    let offered = market.kind().map(|kind| exchange.timeframes(kind)).unwrap_or_default();
    let wanted = params.timeframe.nominal_millis();
    let longer = offered.iter().find(|timeframe| timeframe.nominal_millis() >= wanted);
    let timeframe = longer.or(offered.last()).copied();
    let timeframe = timeframe.ok_or_else(|| broken("it offers no timeframe there"))?;
    row.timeframe = Some(timeframe.to_string());
    let now = client.now();
    let newest = CandleQuery::new(&market, timeframe, now).limit(params.limit);
    let terms = exchange.candle_terms(&newest)?;
    // The newest ones are wanted: no start from which one answer does not reach up to now.
    let limit = terms.max_rows.map_or(params.limit, |most| most.min(params.limit));
    let back = timeframe.nominal_millis().saturating_mul(limit.into());
    let mut since = now.as_millis().saturating_sub(back);
    if let Some(span) = terms.span_ms {
        let closed = now.as_millis().saturating_sub(timeframe.nominal_millis());
        since = since.max(closed.saturating_sub(closed.rem_euclid(span)));
    }
    let query = newest.since(Timestamp::from_millis(since)).limit(limit);
    // A few exchanges want an end too.
    let query = match exchange.candle_request(&query) {
        Err(ExchangeError::Refused { .. }) => query.until(now),
        _ => query,
    };
    let (candles, response) = client.candles(&query).await?;
    row.latency_ms = Some(response.elapsed.saturating_sub(response.waited).as_secs_f64() * 1e3);
    row.candles = candles.len();
    let newest = candles.last().and_then(|candle| client.now().millis_since(candle.open_time));
    row.newest_age_s = newest.map(|age| age as f64 / 1e3);
    if candles.is_empty() { Err(broken("it answered without a candle")) } else { Ok(()) }
}

/// Tried in this order.
const LIQUID: [&str; 12] = [
    "BTC/USDT",
    "BTC/USD",
    "BTC/USDC",
    "BTC/EUR",
    "BTC/JPY",
    "BTC/KRW",
    "BTC/USDT:USDT",
    "BTC/USDC:USDC",
    "BTC/USD:USD",
    "BTC/USD:BTC",
    "ETH/USDT",
    "ETH/USD",
];

fn liquid<'l>(list: &'l MarketList, kinds: &[MarketKind]) -> Option<&'l Market> {
    let serves = |market: &&Market| {
        let kind = market.kind();
        kind.is_some_and(|kind| kinds.contains(&kind)) && market.active != Some(false)
    };
    let named = LIQUID.iter().filter_map(|symbol| list.find(symbol)).find(serves);
    named.or_else(|| list.markets.iter().find(serves))
}
