use forecastle_core::CandleView;

use crate::VwapAnchor;
use crate::anchored::AnchoredStream;

/// Holds the VWAP of a whole window of candles, for a report.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct GlobalVwap {
    /// `Σ v·tp / Σ v`.
    pub vwap: f64,
    /// `sqrt(Σ v·(tp − vwap)² / Σ v)`.
    pub sigma: f64,
}

/// Non-causal: computes the VWAP over all given candles, which a row before the last cannot know.
///
/// `None` without candles. Equals the last row of [`VwapAnchor::Cumulative`] bit for bit. Compared
/// with earlier rows it looks ahead ("hits" 53 to 56 % on random walks), so it must never become a
/// feature; it belongs beside a table, not in it.
///
/// # Examples
/// ```
/// use forecastle_core::{Candle, CandleSeries, Timestamp};
/// use forecastle_features::global_vwap;
///
/// let candle = Candle::new(Timestamp::from_millis(0), 10.0, 12.0, 9.0, 12.0, 5.0)?;
/// let series = CandleSeries::from_candles("BTC/USDT".parse()?, "1h".parse()?, [candle])?;
/// assert_eq!(global_vwap(series.view()).map(|global| global.vwap), Some(11.0));
/// assert_eq!(global_vwap(series.view().slice(0..0)), None);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn global_vwap(candles: CandleView<'_>) -> Option<GlobalVwap> {
    let mut moments = AnchoredStream::new(VwapAnchor::Cumulative);
    let mut last = None;
    for candle in candles.iter() {
        let (time, typical) = (candle.open_time(), candle.typical_price());
        last = Some(moments.push(time, typical, candle.volume()));
    }
    last.map(|(vwap, variance)| GlobalVwap { vwap, sigma: variance.sqrt() })
}
