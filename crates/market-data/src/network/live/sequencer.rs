//! Putting candles from wherever they come in one order, each once.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use forecastle_core::{Candle, Timeframe, Timestamp};

/// Takes closed candles in any order and gives them in strictly increasing time, each once.
///
/// Where candles are missing before one that came, it is kept back until the hole was asked about
/// ([`hole`](Self::hole)) and is settled ([`settle`](Self::settle)); what is missing then, is.
#[derive(Debug)]
pub(super) struct Sequencer {
    timeframe: Timeframe,
    /// The earliest open time that may be given.
    from: Timestamp,
    /// Where the next candle opens, if there is one.
    expected: Timestamp,
    /// What opens before here and did not come does not exist.
    settled: Timestamp,
    /// Came and is not given yet.
    waiting: BTreeMap<Timestamp, Candle>,
    /// The latest open times given, to tell what comes again from what comes late.
    given: VecDeque<Timestamp>,
}

/// What became of a candle that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Taken,
    /// It was given or waits already; of those that wait the later one counts.
    Duplicate,
    /// A later one was given already.
    OutOfOrder,
    /// It opens before the first that is wanted.
    Unwanted,
    /// Too many wait: asking for what follows the latest one given brings it again.
    Full,
}

/// A candle to be given, and how many are missing before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Next {
    pub(super) candle: Candle,
    pub(super) missing: u64,
}

/// Most candles that wait.
const MOST_WAITING: usize = 1_024;
/// How many open times are remembered.
const REMEMBERED: usize = 256;

impl Sequencer {
    /// Gives candles from `from` on, the first one expected at `expected`.
    pub(super) fn new(timeframe: Timeframe, from: Timestamp, expected: Timestamp) -> Self {
        let (waiting, given) = (BTreeMap::new(), VecDeque::with_capacity(REMEMBERED));
        Self { timeframe, from, expected, settled: from, waiting, given }
    }

    /// The earliest open time that may still be given: whoever has everything from there on has
    /// all that is wanted.
    pub(super) fn from(&self) -> Timestamp {
        self.from
    }

    /// Takes a closed candle.
    pub(super) fn offer(&mut self, candle: Candle) -> Offer {
        let open = candle.open_time();
        if open < self.from {
            return match self.given.front() {
                Some(_) if self.given.contains(&open) => Offer::Duplicate,
                Some(first) if open > *first => Offer::OutOfOrder,
                // Before what is remembered: given long ago, more likely than not.
                Some(_) if self.given.len() >= REMEMBERED => Offer::Duplicate,
                _ => Offer::Unwanted,
            };
        }
        if self.waiting.len() >= MOST_WAITING && !self.waiting.contains_key(&open) {
            return Offer::Full;
        }
        match self.waiting.insert(open, candle) {
            Some(_) => Offer::Duplicate,
            None => Offer::Taken,
        }
    }

    /// What to ask for before anything more can be given.
    pub(super) fn hole(&self) -> Option<Range<Timestamp>> {
        let first = *self.waiting.keys().next()?;
        let unsettled = self.expected.max(self.settled);
        (self.steps(unsettled, first) >= 1).then(|| self.from.max(self.settled)..first)
    }

    /// Notes that all candles that open before `until` have come.
    pub(super) fn settle(&mut self, until: Timestamp) {
        self.settled = self.settled.max(until);
    }

    /// The next candle, unless something may be missing before it.
    pub(super) fn pop(&mut self) -> Option<Next> {
        if self.hole().is_some() {
            return None;
        }
        let (open, candle) = self.waiting.pop_first()?;
        let missing = u64::try_from(self.steps(self.expected, open)).unwrap_or(0);
        self.from = Timestamp::from_millis(open.as_millis().saturating_add(1));
        self.expected = self.timeframe.next_open(open).unwrap_or(self.from);
        if self.given.len() >= REMEMBERED {
            self.given.pop_front();
        }
        self.given.push_back(open);
        Some(Next { candle, missing })
    }

    fn steps(&self, from: Timestamp, to: Timestamp) -> i64 {
        self.timeframe.steps_between(from, to).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * 60_000)
    }

    fn candle(minute: i64) -> Candle {
        Candle::new(at(minute), 1.0, 1.0, 1.0, 1.0, minute as f64).unwrap()
    }

    fn after(minute: i64) -> Sequencer {
        let from = Timestamp::from_millis(minute * 60_000 + 1);
        Sequencer::new(Timeframe::MINUTE, from, at(minute + 1))
    }

    fn given(sequencer: &mut Sequencer) -> Vec<(i64, u64)> {
        let next = std::iter::from_fn(|| sequencer.pop());
        next.map(|n| (n.candle.open_time().as_millis() / 60_000, n.missing)).collect()
    }

    #[test]
    fn what_comes_in_order_is_given_at_once() {
        let mut sequencer = after(9);
        for minute in 10..13 {
            assert_eq!(sequencer.offer(candle(minute)), Offer::Taken);
            assert_eq!(given(&mut sequencer), [(minute, 0)]);
        }
        assert_eq!(sequencer.offer(candle(11)), Offer::Duplicate);
        assert_eq!(sequencer.offer(candle(9)), Offer::Unwanted);
        assert_eq!((given(&mut sequencer), sequencer.hole()), (vec![], None));
    }

    #[test]
    fn a_hole_keeps_later_candles_back_until_it_is_settled() {
        let mut sequencer = after(9);
        sequencer.offer(candle(13));
        assert_eq!(given(&mut sequencer), []);
        let from = Timestamp::from_millis(9 * 60_000 + 1);
        assert_eq!(sequencer.hole(), Some(from..at(13)));
        sequencer.offer(candle(11));
        assert_eq!(sequencer.hole(), Some(from..at(11)));
        sequencer.settle(at(11));
        assert_eq!(given(&mut sequencer), [(11, 1)]);
        assert_eq!(sequencer.hole(), Some(Timestamp::from_millis(11 * 60_000 + 1)..at(13)));
        sequencer.settle(at(13));
        assert_eq!(given(&mut sequencer), [(13, 1)]);
        assert_eq!(sequencer.offer(candle(12)), Offer::OutOfOrder);
        assert_eq!(sequencer.offer(candle(11)), Offer::Duplicate);
    }

    #[test]
    fn of_two_that_wait_the_later_one_counts() {
        let mut sequencer = after(9);
        sequencer.offer(candle(11));
        let again = Candle::new(at(11), 1.0, 2.0, 1.0, 1.0, 5.0).unwrap();
        assert_eq!(sequencer.offer(again), Offer::Duplicate);
        sequencer.settle(at(11));
        assert_eq!(sequencer.pop(), Some(Next { candle: again, missing: 1 }));
    }

    #[test]
    fn candles_of_months_and_candles_off_the_grid_are_no_holes() {
        let month: Timeframe = "1M".parse().unwrap();
        let day = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut sequencer = Sequencer::new(month, day("2024-01-02"), day("2024-02-01"));
        for open in ["2024-02-01", "2024-03-01", "2024-04-01"] {
            sequencer.offer(Candle::new(day(open), 1.0, 1.0, 1.0, 1.0, 1.0).unwrap());
            assert_eq!(sequencer.pop().unwrap().missing, 0, "{open}");
        }
        // A day that opens at another hour since the clocks were changed.
        let from = day("2024-03-30T16:00:01Z");
        let mut sequencer = Sequencer::new(Timeframe::DAY, from, day("2024-03-31T16:00:00Z"));
        for open in ["2024-03-31T15:00:00Z", "2024-04-01T16:00:00Z"] {
            sequencer.offer(Candle::new(day(open), 1.0, 1.0, 1.0, 1.0, 1.0).unwrap());
            assert_eq!(sequencer.hole(), None, "{open}");
            assert!(sequencer.pop().is_some());
        }
    }

    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let mut sequencer = after(9);
        let offers: Vec<Offer> = (0..1_030).map(|n| sequencer.offer(candle(20 + n))).collect();
        assert_eq!(offers.iter().filter(|offer| **offer == Offer::Taken).count(), MOST_WAITING);
        assert_eq!(offers.last(), Some(&Offer::Full));
        assert_eq!(sequencer.offer(candle(21)), Offer::Duplicate);
        sequencer.settle(at(20));
        assert_eq!(given(&mut sequencer).len(), MOST_WAITING);
        assert_eq!(sequencer.from().as_millis(), (20 + 1_023) * 60_000 + 1);
    }

    proptest! {
        /// Whatever comes, in whatever order: with each hole asked about, all that exists is given.
        #[test]
        fn prop_all_that_exists_is_given_once_in_order(
            missing in proptest::collection::btree_set(0_i64..60, 0..30),
            stream in proptest::collection::vec(0_i64..60, 0..120),
        ) {
            let exists: Vec<i64> = (0..60).filter(|minute| !missing.contains(minute)).collect();
            let mut sequencer = after(-1);
            let mut all = Vec::new();
            let (mut taken, mut dropped) = (0, 0);
            let asked = exists.iter().copied().map(|minute| minute.max(0));
            let heard = stream.into_iter().filter(|minute| exists.contains(minute));
            for minute in heard.chain(exists.last().copied()) {
                match sequencer.offer(candle(minute)) {
                    Offer::Taken => taken += 1,
                    _ => dropped += 1,
                }
                loop {
                    all.extend(given(&mut sequencer));
                    let Some(hole) = sequencer.hole() else { break };
                    for minute in asked.clone().filter(|minute| hole.contains(&at(*minute))) {
                        if sequencer.offer(candle(minute)) == Offer::Taken {
                            taken += 1;
                        }
                    }
                    sequencer.settle(hole.end);
                }
            }
            let opens: Vec<i64> = all.iter().map(|(minute, _)| *minute).collect();
            prop_assert_eq!(&opens, &exists);
            prop_assert_eq!(taken, exists.len());
            prop_assert!(dropped <= 120);
            let counted: u64 = all.iter().map(|(_, missing)| missing).sum();
            let before_last = exists.last().map_or(0, |last| last + 1 - exists.len() as i64);
            prop_assert_eq!(counted as i64, before_last);
        }
    }
}
