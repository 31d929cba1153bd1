//! The candles of one series as they exist at a given time.

use std::sync::Arc;

use forecastle_core::{CandleSeries, RawCandle, Timestamp};

#[derive(Debug)]
pub(super) struct Stock {
    times: Vec<i64>,
    candles: Arc<CandleSeries>,
}

impl Stock {
    pub(super) fn new(candles: Arc<CandleSeries>) -> Self {
        let times = candles.view().open_time().iter().map(|time| time.as_millis()).collect();
        Self { times, candles }
    }

    /// The open times, in ms, of the candles that exist at `now`, and whether the last of them is
    /// still in progress.
    pub(super) fn existing(&self, now: Timestamp, unfinished: bool) -> (&[i64], bool) {
        let begun = self.times.partition_point(|&open| open <= now.as_millis());
        let in_progress =
            begun.checked_sub(1).and_then(|last| self.times.get(last)).is_some_and(|open| {
                let next = self.candles.timeframe().next_open(Timestamp::from_millis(*open));
                next.is_none_or(|next| next > now)
            });
        let kept = if in_progress && !unfinished { begun - 1 } else { begun };
        (self.times.get(..kept).unwrap_or_default(), in_progress && unfinished)
    }

    /// Whether a candle has closed at a time.
    pub(super) fn has_closed(&self, row: usize, at: Timestamp) -> bool {
        let open = self.times.get(row).copied().map(Timestamp::from_millis);
        let next = open.and_then(|open| self.candles.timeframe().next_open(open));
        next.is_some_and(|next| next <= at)
    }

    pub(super) fn candle(&self, row: usize) -> Option<RawCandle> {
        self.candles.view().candle(row).map(RawCandle::from)
    }

    /// What a candle looks like before it is finished; another `turn`, another look.
    pub(super) fn in_progress(&self, row: usize, turn: u64) -> Option<RawCandle> {
        let done = self.candle(row)?;
        let share = ((turn % 97) as f64 + 1.0) / 99.0;
        let close = done.open + (done.close - done.open) * share;
        let (top, bottom) = (done.open.max(close), done.open.min(close));
        Some(RawCandle {
            close,
            high: top + (done.high - top).max(0.0) * share,
            low: bottom - (bottom - done.low).max(0.0) * share,
            volume: done.volume * share,
            ..done
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Simulator, SimulatorParams};

    #[test]
    fn later_candles_do_not_exist_and_the_one_in_progress_changes() {
        let series = Simulator::new(SimulatorParams { n: 10, ..Default::default() }).unwrap();
        let stock = Stock::new(Arc::new(series.series().unwrap()));
        let (first, hour) = (stock.times[0], 3_600_000);
        let at = |millis: i64| Timestamp::from_millis(first + millis);
        assert_eq!(stock.existing(at(-1), true).0.len(), 0);
        assert_eq!(stock.existing(at(2 * hour + 1), true), (&stock.times[..3], true));
        assert_eq!(stock.existing(at(2 * hour + 1), false), (&stock.times[..2], false));
        let (all, in_progress) = stock.existing(at(10 * hour), true);
        assert_eq!((all.len(), in_progress), (10, false));
        let looks: Vec<RawCandle> =
            (0..3).map(|turn| stock.in_progress(2, turn).unwrap()).collect();
        assert!(looks.windows(2).all(|pair| pair[0].volume != pair[1].volume));
        for look in looks {
            assert!(forecastle_core::Candle::try_from(look).is_ok(), "{look:?}");
        }
    }
}
