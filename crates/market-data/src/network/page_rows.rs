//! The rows of one page while they are gathered.

use forecastle_core::{RawCandle, Timestamp};

/// Rows in increasing time, one for each.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct PageRows(Vec<RawCandle>);

impl PageRows {
    /// Takes rows over; of those with the same time the later one counts.
    pub(super) fn merge(&mut self, mut rows: Vec<RawCandle>) {
        if self.0.is_empty() {
            self.0 = rows;
        } else {
            self.0.append(&mut rows);
        }
        if self.0.is_sorted_by(|earlier, later| earlier.open_time < later.open_time) {
            return;
        }
        self.0.sort_by_key(|row| row.open_time);
        self.0.dedup_by(|later, earlier| {
            let same = later.open_time == earlier.open_time;
            if same {
                *earlier = *later;
            }
            same
        });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first open time.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.0.first().map(|row| row.open_time)
    }

    /// The last open time.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.0.last().map(|row| row.open_time)
    }

    /// The last open time before `time`.
    pub(super) fn last_before(&self, time: Timestamp) -> Option<Timestamp> {
        self.0.get(..self.place(time))?.last().map(|row| row.open_time)
    }

    /// The open times from `time` on.
    pub(super) fn from(&self, time: Timestamp) -> impl Iterator<Item = Timestamp> {
        self.0.iter().skip(self.place(time)).map(|row| row.open_time)
    }

    /// The open times up to `time`, the latest first.
    pub(super) fn back_from(&self, time: Timestamp) -> impl Iterator<Item = Timestamp> {
        let after = self.0.partition_point(|row| row.open_time <= time);
        self.0.iter().take(after).rev().map(|row| row.open_time)
    }

    /// How many rows there are from `from` to before `to`.
    pub(super) fn count(&self, from: Timestamp, to: Timestamp) -> usize {
        self.place(to).saturating_sub(self.place(from))
    }

    /// Leaves the last `most` rows.
    pub(super) fn keep_newest(&mut self, most: usize) {
        let surplus = self.0.len().saturating_sub(most);
        self.0.drain(..surplus);
    }

    /// Leaves the rows before `time` and says how many went.
    pub(super) fn cut_from(&mut self, time: Timestamp) -> usize {
        let place = self.place(time);
        let cut = self.0.len() - place;
        self.0.truncate(place);
        cut
    }

    pub(super) fn into_candles(self) -> Vec<RawCandle> {
        self.0
    }

    /// How many rows open before `time`.
    fn place(&self, time: Timestamp) -> usize {
        self.0.partition_point(|row| row.open_time < time)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn row(time: i64, close: f64) -> RawCandle {
        let open_time = Timestamp::from_millis(time);
        RawCandle { open_time, open: 1.0, high: 1.0, low: 1.0, close, volume: 1.0 }
    }

    proptest! {
        #[test]
        fn prop_rows_are_what_an_ordered_map_would_hold(
            parts in proptest::collection::vec(proptest::collection::vec(0_i64..40, 0..30), 0..4),
            (from, to) in (0_i64..41, 0_i64..41),
            most in 0_usize..50,
        ) {
            let (mut rows, mut map, mut turn) = (PageRows::default(), BTreeMap::new(), 0.0);
            for mut part in parts {
                part.sort_unstable();
                let part: Vec<RawCandle> = part.into_iter().map(|time| {
                    turn += 1.0;
                    row(time, turn)
                }).collect();
                map.extend(part.iter().map(|row| (row.open_time, *row)));
                rows.merge(part);
            }
            let all: Vec<RawCandle> = map.values().copied().collect();
            prop_assert_eq!(rows.clone().into_candles(), all.clone());
            let (from, to) = (Timestamp::from_millis(from), Timestamp::from_millis(to));
            let times = || map.keys().copied();
            prop_assert_eq!((rows.len(), rows.is_empty()), (map.len(), map.is_empty()));
            prop_assert_eq!((rows.first(), rows.last()), (times().next(), times().next_back()));
            prop_assert_eq!(rows.last_before(from), times().rfind(|time| *time < from));
            prop_assert!(rows.from(from).eq(times().filter(|time| *time >= from)));
            prop_assert!(rows.back_from(from).eq(times().rev().filter(|time| *time <= from)));
            let between = times().filter(|time| (from..to).contains(time)).count();
            prop_assert_eq!(rows.count(from, to), between);
            let mut newest = rows.clone();
            newest.keep_newest(most);
            prop_assert_eq!(newest.into_candles(), all[all.len().saturating_sub(most)..].to_vec());
            let cut = rows.cut_from(from);
            prop_assert_eq!(cut, times().filter(|time| *time >= from).count());
            prop_assert_eq!(rows.into_candles(), all[..all.len() - cut].to_vec());
        }
    }
}
