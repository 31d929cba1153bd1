use forecastle_core::{Candle, CandleSeries, Result, Timestamp};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Standard deviation of an invented bar's log return.
const VOLATILITY: f64 = 0.05;

/// The first `cut` candles and, in place of the others, as many of a wild walk from the last close.
///
/// Prices, ranges, volumes and times all differ: the walk is rougher than markets are, volumes are
/// of the wrong size, and it starts after a gap.
pub(super) fn with_other_future(
    candles: &CandleSeries,
    cut: usize,
    random: &mut Xoshiro256PlusPlus,
) -> Result<CandleSeries> {
    let view = candles.view();
    let mut changed = candles.slice(0..cut);
    let Some(last) = cut.checked_sub(1).and_then(|row| view.candle(row)) else {
        return Ok(changed);
    };
    let mut normal = || -> f64 { StandardNormal.sample(&mut *random) };
    let (mut level, floor) = (last.close().ln(), last.close().ln());
    let (largest, mut delay, mut previous) =
        (view.volume().iter().fold(1.0_f64, |m, v| m.max(*v)).min(1e300), 0, last.open_time());
    for row in cut..view.len() {
        let Some(candle) = view.candle(row) else { break };
        // The gap: one more step of the first bar's length, kept for all bars after it.
        if row == cut {
            delay = candle.open_time().millis_since(previous).unwrap_or(0).max(1);
        }
        let later = candle.open_time().checked_add_millis(delay);
        let time = later.unwrap_or(candle.open_time()).max(next_millisecond(previous));
        let start = level;
        // Pulled back, so that no walk leaves the range of numbers.
        level += VOLATILITY * normal() - 0.01 * (level - floor);
        let (open, close) = (start.exp(), level.exp());
        let wick = VOLATILITY * normal().abs();
        let (high, low) = (open.max(close) * wick.exp(), open.min(close) * (-wick).exp());
        let volume = largest * normal().exp();
        changed.push(Candle::new(time, open, high, low, close, volume)?)?;
        previous = time;
    }
    Ok(changed)
}

fn next_millisecond(time: Timestamp) -> Timestamp {
    time.checked_add_millis(1).unwrap_or(time)
}
