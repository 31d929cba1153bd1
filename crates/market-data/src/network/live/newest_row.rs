//! Whether the newest row of an answer is final though nothing shows behind it.

use std::time::Duration;

use forecastle_core::{RawCandle, Timestamp};

/// Judges the newest rows of one market's answers that should have closed by the clock.
///
/// Such a row may be a candle in progress all the same: of an answer that is old, or of a feed that
/// lags. It is final when asking again after a while brings the same. From an exchange that gives
/// no candle in progress it is so at once, which a few that stayed as they were tell.
#[derive(Debug, Default)]
pub(super) struct NewestRow {
    /// The latest one, and when it was asked for first.
    held: Option<(RawCandle, Timestamp)>,
    /// Whether candles in progress were seen.
    gives_unfinished: bool,
    /// How many stayed as they were.
    stayed: u32,
}

impl NewestRow {
    /// Notes that the exchange gives candles in progress.
    pub(super) fn see_unfinished(&mut self) {
        self.gives_unfinished = true;
    }

    /// Whether a newest row, asked for at `asked`, is final; one that is not is kept to be compared
    /// with after `pause`.
    pub(super) fn is_final(&mut self, row: &RawCandle, asked: Timestamp, pause: Duration) -> bool {
        const ENOUGH: u32 = 3;
        if !self.gives_unfinished && self.stayed >= ENOUGH {
            return true;
        }
        match &self.held {
            Some((held, since)) if is_same(held, row) => {
                let waited = asked.millis_since(*since).and_then(|ms| u64::try_from(ms).ok());
                let stays = waited.is_some_and(|ms| Duration::from_millis(ms) >= pause);
                self.stayed += u32::from(stays);
                return stays;
            }
            // One that changes is in progress.
            Some((held, _)) => self.gives_unfinished |= held.open_time == row.open_time,
            None => {}
        }
        self.held = Some((*row, asked));
        false
    }
}

fn is_same(one: &RawCandle, other: &RawCandle) -> bool {
    let numbers =
        |row: &RawCandle| [row.open, row.high, row.low, row.close, row.volume].map(f64::to_bits);
    one.open_time == other.open_time && numbers(one) == numbers(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    fn row(minute: i64, volume: f64) -> RawCandle {
        let open_time = Timestamp::from_millis(minute * 60_000);
        RawCandle { open_time, open: 1.0, high: 1.0, low: 1.0, close: 1.0, volume }
    }

    fn judge(newest: &mut NewestRow, at: i64, row: RawCandle) -> bool {
        newest.is_final(&row, Timestamp::from_millis(at), PAUSE)
    }

    #[test]
    fn a_row_is_final_when_it_stays_as_it_is_for_a_while() {
        let mut newest = NewestRow::default();
        newest.see_unfinished();
        for minute in 0..10 {
            let at = minute * 60_000;
            assert!(!judge(&mut newest, at, row(minute, f64::NAN)), "{minute}");
            assert!(!judge(&mut newest, at + 999, row(minute, f64::NAN)), "{minute}");
            assert!(judge(&mut newest, at + 1_000, row(minute, f64::NAN)), "{minute}");
        }
    }

    #[test]
    fn a_row_that_changes_is_in_progress_and_so_may_the_next_be() {
        let mut newest = NewestRow::default();
        for (at, volume) in [(0, 1.0), (1_000, 2.0), (3_000, 3.0)] {
            assert!(!judge(&mut newest, at, row(0, volume)));
        }
        assert!(judge(&mut newest, 7_000, row(0, 3.0)));
        for minute in 1..9 {
            assert!(!judge(&mut newest, minute * 60_000, row(minute, 1.0)));
            assert!(judge(&mut newest, minute * 60_000 + 1_000, row(minute, 1.0)));
        }
    }

    #[test]
    fn who_gives_closed_candles_only_is_believed_after_a_few() {
        let mut newest = NewestRow::default();
        let final_at_once = |newest: &mut NewestRow, minute: i64| {
            let at_once = judge(newest, minute * 60_000, row(minute, 1.0));
            assert!(judge(newest, minute * 60_000 + 1_000, row(minute, 1.0)));
            at_once
        };
        let believed: Vec<bool> = (0..6).map(|n| final_at_once(&mut newest, n)).collect();
        assert_eq!(believed, [false, false, false, true, true, true]);
        newest.see_unfinished();
        assert!(!final_at_once(&mut newest, 9));
    }
}
