use forecastle_core::{
    Candle, CandleSeries, CandleView, Error, Result, Symbol, TimeUnit, Timeframe, Timestamp,
};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

/// Standard deviation of a bar's log return.
pub(crate) const VOLATILITY: f64 = 0.01;

/// Parametrises [`look_ahead_meter`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `n_walks` | 300 | independent random walks | ≥ 2 |
/// | `n_bars` | 500 | bars of a walk | > `horizon` |
/// | `horizon` | 5 | bars after which a fade is judged | ≥ 1 |
/// | `seed` | 0 | of all the walks | |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LookAheadParams {
    /// Independent random walks.
    pub n_walks: usize,
    /// Bars of a walk.
    pub n_bars: usize,
    /// Bars after which a fade is judged.
    pub horizon: usize,
    /// Seed of all the walks.
    pub seed: u64,
}

impl Default for LookAheadParams {
    fn default() -> Self {
        Self { n_walks: 300, n_bars: 500, horizon: 5, seed: 0 }
    }
}

/// Holds how often the price came back towards an anchor on random walks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LookAheadReport {
    /// Share of the fades that came right, averaged over the walks; ½ for an honest anchor.
    pub hit_rate: f64,
    /// Standard error of that mean.
    pub standard_error: f64,
    /// Number of fades, over all walks.
    pub n: usize,
}

/// Measures how often fading the deviation from an anchor "works" on random walks, where it cannot.
///
/// Every walk is a series of candles with independent, symmetric log returns and unrelated volume. At
/// each bar the price is expected to have moved towards `anchor` `horizon` bars later; bars without
/// an anchor (NaN), a deviation or a move do not count. A causal anchor is right half of the time. One
/// that has seen the future, such as the VWAP of the whole window, already knows where the price
/// will spend its time: with it, fading is right in 54 % of the bars at the defaults, and more on
/// shorter walks or longer horizons.
///
/// - `anchor`: the candles' anchor prices, `(n_bars,)`
///
/// # Errors
/// - [`Error::InvalidParameter`] when a parameter is outside its range.
/// - [`Error::Shape`] when the anchor has another length than the candles.
/// - [`Error::NotEnoughData`] when a walk has no bar that counts.
/// - Whatever `anchor` returns.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{LookAheadParams, look_ahead_meter};
///
/// // The price four bars ago has not seen the future.
/// let lagged = look_ahead_meter(&LookAheadParams::default(), |candles| {
///     let close = candles.close();
///     Ok((0..close.len()).map(|t| close[t.saturating_sub(4)]).collect())
/// })?;
/// assert!((lagged.hit_rate - 0.5).abs() < 0.01);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn look_ahead_meter(
    params: &LookAheadParams,
    mut anchor: impl FnMut(CandleView<'_>) -> Result<Vec<f64>>,
) -> Result<LookAheadReport> {
    let &LookAheadParams { n_walks, n_bars, horizon, seed } = params;
    if n_walks < 2 {
        return Err(Error::invalid_parameter("n_walks", ">= 2", n_walks));
    }
    if horizon == 0 {
        return Err(Error::invalid_parameter("horizon", ">= 1", 0));
    }
    if n_bars <= horizon {
        let requirement = format!("> {horizon} (horizon)");
        return Err(Error::invalid_parameter("n_bars", requirement, n_bars));
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut rates, mut fades) = (Vec::with_capacity(n_walks), 0);
    for _ in 0..n_walks {
        let walk = random_walk(n_bars, &mut random)?;
        let anchors = anchor(walk.view())?;
        if anchors.len() != n_bars {
            let actual = anchors.len().to_string();
            return Err(Error::shape("anchor", format!("{n_bars} rows"), actual));
        }
        let (hits, n) = count_hits(walk.view().close(), &anchors, horizon);
        if n == 0 {
            return Err(Error::not_enough_data("look-ahead meter", 1, 0));
        }
        rates.push(hits as f64 / n as f64);
        fades += n;
    }
    let count = n_walks as f64;
    let hit_rate = rates.iter().sum::<f64>() / count;
    let squares: f64 = rates.iter().map(|r| (r - hit_rate) * (r - hit_rate)).sum();
    let standard_error = (squares / (count - 1.0) / count).sqrt();
    Ok(LookAheadReport { hit_rate, standard_error, n: fades })
}

/// Fades that came right, and fades.
fn count_hits(close: &[f64], anchors: &[f64], horizon: usize) -> (usize, usize) {
    let later = close.iter().skip(horizon);
    let (mut hits, mut n) = (0, 0);
    for ((now, then), anchor) in close.iter().zip(later).zip(anchors) {
        let agreement = (anchor - now) * (then - now);
        if agreement != 0.0 && !agreement.is_nan() {
            n += 1;
            hits += usize::from(agreement > 0.0);
        }
    }
    (hits, n)
}

/// Candles of a geometric random walk that opens every bar at the last close.
pub(crate) fn random_walk(n_bars: usize, random: &mut Xoshiro256PlusPlus) -> Result<CandleSeries> {
    let mut normal = || -> f64 { StandardNormal.sample(random) };
    let symbol: Symbol = "NOISE/USDT".parse()?;
    let mut candles = Vec::with_capacity(n_bars);
    let mut level = 100.0_f64.ln();
    for t in 0..n_bars {
        let start = level;
        level += VOLATILITY * normal();
        let (open, close) = (start.exp(), level.exp());
        // The wicks are symmetric about the body, so the typical price says nothing of the future.
        let wick = 0.5 * VOLATILITY * normal().abs();
        let high = open.max(close) * wick.exp();
        let low = open.min(close) * (-wick).exp();
        let millis = i64::try_from(t).unwrap_or(i64::MAX).saturating_mul(3_600_000);
        let time = Timestamp::from_millis(millis);
        candles.push(Candle::new(time, open, high, low, close, (0.5 * normal()).exp())?);
    }
    CandleSeries::from_candles(symbol, Timeframe::new(1, TimeUnit::Hour)?, candles)
}
