//! What of a page is final at an instant.

use std::ops::Range;

use forecastle_core::{Candle, Timeframe, Timestamp};

/// How long silence at the newest end is not believed: an exchange may publish late.
const SETTLING_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// The part of a page that never changes again.
#[derive(Debug, PartialEq)]
pub(crate) struct Finished<'a> {
    /// The range that is settled; empty when nothing is.
    pub(crate) covered: Range<Timestamp>,
    /// Its candles.
    pub(crate) candles: &'a [Candle],
    /// Candles of the page that had not closed.
    pub(crate) unfinished: usize,
}

/// Cuts a page, in increasing time, to what is final at `now`.
///
/// A candle is final once it has closed. The range is settled up to the close of the last closed
/// candle; where nothing follows that candle, only what is a day old counts as known to be empty.
pub(crate) fn finished<'a>(
    covered: Range<Timestamp>,
    candles: &'a [Candle],
    timeframe: Timeframe,
    now: Timestamp,
) -> Finished<'a> {
    let close = |candle: &Candle| timeframe.next_open(candle.open_time());
    let closed = candles.partition_point(|c| close(c).is_some_and(|close| close <= now));
    let (closed, open) = candles.split_at_checked(closed).unwrap_or_default();
    let settled = closed.last().and_then(close).max(silence_believed_until(timeframe, now));
    let end = settled.map_or(covered.start, |settled| settled.min(covered.end));
    let covered = covered.start..end.max(covered.start);
    Finished { covered, candles: closed, unfinished: open.len() }
}

/// Before this instant, on the grid of the timeframe, nothing new is expected.
fn silence_believed_until(timeframe: Timeframe, now: Timestamp) -> Option<Timestamp> {
    let settled = now.checked_add_millis(-SETTLING_MILLIS)?;
    timeframe.floor(settled.min(timeframe.step(now, -1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn candles(times: &[&str]) -> Vec<Candle> {
        times.iter().map(|time| Candle::new(at(time), 1.0, 1.0, 1.0, 1.0, 1.0).unwrap()).collect()
    }

    fn cut(
        covered: Range<&str>,
        times: &[&str],
        timeframe: &str,
        now: &str,
    ) -> (Range<Timestamp>, usize, usize) {
        let candles = candles(times);
        let covered = at(covered.start)..at(covered.end);
        let cut = finished(covered, &candles, timeframe.parse().unwrap(), at(now));
        (cut.covered, cut.candles.len(), cut.unfinished)
    }

    #[test]
    fn the_unfinished_candle_and_its_time_stay_out() {
        let hours = ["2024-05-10T08:00:00Z", "2024-05-10T09:00:00Z", "2024-05-10T10:00:00Z"];
        let day = "2024-05-10".."2024-05-11";
        let cut = |now| cut(day.clone(), &hours, "1h", now);
        let until = |end| at("2024-05-10")..at(end);
        assert_eq!(cut("2024-05-10T10:30:00Z"), (until("2024-05-10T10:00:00Z"), 2, 1));
        assert_eq!(cut("2024-05-10T11:00:00Z"), (until("2024-05-10T11:00:00Z"), 3, 0));
        assert_eq!(cut("2024-05-10T10:59:59.999Z"), (until("2024-05-10T10:00:00Z"), 2, 1));
        // Nothing is known of the hours before the first, and none has closed: nothing is settled.
        assert_eq!(cut("2024-05-10T08:59:00Z"), (until("2024-05-10"), 0, 3));
    }

    #[test]
    fn silence_is_believed_after_a_day() {
        let cut = |now| cut("2024-05-10".."2024-05-12", &[], "1h", now).0.end;
        assert_eq!(cut("2024-05-11T10:30:00Z"), at("2024-05-10T10:00:00Z"));
        assert_eq!(cut("2024-05-13"), at("2024-05-12"));
        assert_eq!(cut("2024-05-10T10:30:00Z"), at("2024-05-10"));
    }

    #[test]
    fn months_and_days_of_another_anchor_close_by_their_own_length() {
        let months = ["2024-01-01", "2024-02-01"];
        let month = cut("2024-01-01".."2025-01-01", &months, "1M", "2024-02-29T23:00:00Z");
        assert_eq!(month, (at("2024-01-01")..at("2024-02-01"), 1, 1));
        let days = ["2024-05-09T16:00:00Z", "2024-05-10T16:00:00Z"];
        let day = cut("2024-05-09".."2024-05-20", &days, "1d", "2024-05-11T15:59:00Z");
        assert_eq!(day, (at("2024-05-09")..at("2024-05-10T16:00:00Z"), 1, 1));
        // Known on the grid alone, a day that opened at 16:00 might still be open.
        let day = cut("2024-05-01".."2024-05-20", &[], "1d", "2024-05-11T15:59:00Z");
        assert_eq!(day.0.end, at("2024-05-10"));
    }

    #[test]
    fn instants_past_the_calendar_settle_nothing() {
        let one = candles(&["2024-05-10"]);
        let all = Timestamp::from_millis(i64::MIN)..Timestamp::from_millis(i64::MAX);
        let never = finished(all.clone(), &one, "1M".parse().unwrap(), all.start);
        assert_eq!((never.covered.is_empty(), never.unfinished), (true, 1));
        let known = finished(all.clone(), &one, "1M".parse().unwrap(), all.end);
        assert_eq!(known.covered.end, at("2024-06-10"));
    }
}
