//! How far the server's clock is from ours, from answers that tell whole seconds.

use std::collections::VecDeque;

use forecastle_core::Timestamp;

/// Bounds the server's clock minus ours, in milliseconds, from the dates of its answers.
///
/// A date `d` of whole seconds, sent between our times `s` and `r`, says that the skew lies within
/// `[d − r, d + 1000 − s)`. Several answers that come at different parts of a second narrow it.
/// The newest count first: those before one that contradicts them are forgotten, for a clock may
/// be set.
#[derive(Debug, Default)]
pub(super) struct Skew {
    readings: VecDeque<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Timestamp,
    low: i64,
    high: i64,
}

impl Skew {
    /// Takes an answer's date, and when by our clock it was asked for and received.
    pub(super) fn observe(&mut self, sent: Timestamp, received: Timestamp, date: Timestamp) {
        const MOST: usize = 32;
        // Clocks drift by less than a second in so long.
        const LONGEST_MS: i64 = 3_600_000;
        let date = date.as_millis();
        let sent = sent.min(received);
        let reading = Reading {
            at: received,
            low: date.saturating_sub(received.as_millis()),
            high: date.saturating_add(1_000).saturating_sub(sent.as_millis()),
        };
        self.readings.push_front(reading);
        let (mut low, mut high) = (i64::MIN, i64::MAX);
        let agreeing = self.readings.iter().take(MOST).take_while(|earlier| {
            (low, high) = (low.max(earlier.low), high.min(earlier.high));
            let age = received.as_millis().saturating_sub(earlier.at.as_millis());
            low <= high && (0..=LONGEST_MS).contains(&age)
        });
        let kept = agreeing.count();
        self.readings.truncate(kept);
    }

    /// The skew to go by; `None` before the first reading.
    ///
    /// Zero while that may be it. Otherwise the least that is possible, so that the server's clock
    /// is never thought to be further than it is.
    pub(super) fn millis(&self) -> Option<i64> {
        let low = self.readings.iter().map(|reading| reading.low).max()?;
        let high = self.readings.iter().map(|reading| reading.high).min()?;
        Some(if low <= 0 && 0 <= high { 0 } else { low })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// An answer that took `delay` each way, when the server's clock is `skew` from ours.
    fn answer(skew: &mut Skew, sent: i64, delay: (i64, i64), true_skew: i64) {
        let date = (sent + delay.0 + true_skew).div_euclid(1_000) * 1_000;
        skew.observe(ms(sent), ms(sent + delay.0 + delay.1), ms(date));
    }

    proptest! {
        #[test]
        fn prop_the_server_is_never_thought_further_and_at_most_a_second_and_a_delay_behind(
            true_skew in -200_000_i64..200_000,
            answers in proptest::collection::vec((0_i64..60_000, 0_i64..400, 0_i64..400), 1..50),
        ) {
            let mut skew = Skew::default();
            prop_assert_eq!(skew.millis(), None);
            let mut sent = 1_700_000_000_000;
            let mut shortest = i64::MAX;
            for (pause, there, back) in answers {
                sent += pause + 800;
                answer(&mut skew, sent, (there, back), true_skew);
                shortest = shortest.min(back);
                let found = skew.millis().unwrap();
                prop_assert!(found <= true_skew || found == 0 && true_skew > -1_801, "{}", found);
                prop_assert!(true_skew - found <= 1_000 + back, "{} {}", found, true_skew);
            }
        }
    }

    #[test]
    fn answers_at_different_parts_of_a_second_narrow_the_skew() {
        let mut skew = Skew::default();
        for part in 0..20 {
            answer(&mut skew, 60_000 * part + 50 * part, (20, 20), 90_000);
        }
        let found = skew.millis().unwrap();
        assert!((90_000 - 100..=90_000).contains(&found), "{found}");
    }

    #[test]
    fn a_clock_that_is_set_is_followed_at_once() {
        let mut skew = Skew::default();
        for part in 0..10 {
            answer(&mut skew, 1_000_000 + 60_000 * part, (20, 20), 0);
        }
        assert_eq!(skew.millis(), Some(0));
        answer(&mut skew, 2_000_000, (20, 20), -5_000);
        assert!((-6_100..=-5_000).contains(&skew.millis().unwrap()));
        answer(&mut skew, 2_060_000, (20, 20), 70_000);
        assert!((68_900..=70_000).contains(&skew.millis().unwrap()));
    }

    #[test]
    fn readings_of_long_ago_count_no_more() {
        let mut skew = Skew::default();
        answer(&mut skew, 1_000_000, (0, 0), 500);
        answer(&mut skew, 90_000_400, (0, 0), 4_000);
        assert_eq!(skew.readings.len(), 1);
        // Times that no clock shows are taken, too.
        skew.observe(ms(i64::MAX), ms(i64::MIN), ms(i64::MAX));
        assert!(skew.millis().is_some());
    }
}
