//! Ranges of time, half open, as sets: what was asked for and what is missing.

use std::ops::Range;

use forecastle_core::Timestamp;

/// A set of instants as disjoint, not touching, not empty ranges in increasing order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Coverage(Vec<Range<Timestamp>>);

impl Coverage {
    pub(crate) fn ranges(&self) -> &[Range<Timestamp>] {
        &self.0
    }

    pub(crate) fn into_ranges(self) -> Vec<Range<Timestamp>> {
        self.0
    }

    /// Adds a range.
    pub(crate) fn insert(&mut self, range: Range<Timestamp>) {
        if range.is_empty() {
            return;
        }
        // Those that overlap or touch it become one with it.
        let from = self.0.partition_point(|known| known.end < range.start);
        let to = self.0.partition_point(|known| known.start <= range.end);
        let mut whole = range;
        for known in self.0.drain(from..to) {
            whole.start = whole.start.min(known.start);
            whole.end = whole.end.max(known.end);
        }
        self.0.insert(from, whole);
    }

    /// The parts of a range that are not in the set.
    pub(crate) fn missing(&self, range: &Range<Timestamp>) -> Vec<Range<Timestamp>> {
        let mut missing = Vec::new();
        let mut cursor = range.start;
        let from = self.0.partition_point(|known| known.end <= range.start);
        for known in self.0.iter().skip(from) {
            if known.start >= range.end {
                break;
            }
            if known.start > cursor {
                missing.push(cursor..known.start);
            }
            cursor = cursor.max(known.end);
        }
        if cursor < range.end {
            missing.push(cursor..range.end);
        }
        missing
    }

    /// The range of the set that holds an instant.
    pub(crate) fn around(&self, instant: Timestamp) -> Option<&Range<Timestamp>> {
        let at = self.0.partition_point(|known| known.end <= instant);
        self.0.get(at).filter(|known| known.contains(&instant))
    }

    /// Where the set begins again after an instant that it does not hold.
    pub(crate) fn next_start(&self, instant: Timestamp) -> Option<Timestamp> {
        let at = self.0.partition_point(|known| known.end <= instant);
        self.0.get(at).map(|known| known.start)
    }
}

impl FromIterator<Range<Timestamp>> for Coverage {
    fn from_iter<I: IntoIterator<Item = Range<Timestamp>>>(ranges: I) -> Self {
        let mut coverage = Self::default();
        for range in ranges {
            // Appending in order needs no search.
            match coverage.0.last_mut() {
                Some(last) if last.start <= range.start && last.end >= range.start => {
                    last.end = last.end.max(range.end);
                }
                Some(last) if last.end < range.start && !range.is_empty() => coverage.0.push(range),
                _ => coverage.insert(range),
            }
        }
        coverage
    }
}

/// What two ranges share; `None` for nothing.
pub(crate) fn intersection(a: &Range<Timestamp>, b: &Range<Timestamp>) -> Option<Range<Timestamp>> {
    let both = a.start.max(b.start)..a.end.min(b.end);
    (!both.is_empty()).then_some(both)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTH: usize = 64;

    fn range(from: usize, to: usize) -> Range<Timestamp> {
        Timestamp::from_millis(from as i64)..Timestamp::from_millis(to as i64)
    }

    fn any_range() -> impl Strategy<Value = (usize, usize)> {
        (0..WIDTH, 0..WIDTH)
    }

    /// The set as one flag an instant.
    fn flags(ranges: &[Range<Timestamp>]) -> [bool; WIDTH] {
        let holds = |at: usize| {
            ranges.iter().any(|range| range.contains(&Timestamp::from_millis(at as i64)))
        };
        std::array::from_fn(holds)
    }

    fn normal(ranges: &[Range<Timestamp>], may_touch: bool) -> bool {
        ranges.iter().all(|r| !r.is_empty())
            && ranges
                .windows(2)
                .all(|w| w[0].end < w[1].start || may_touch && w[0].end == w[1].start)
    }

    proptest! {
        #[test]
        fn prop_a_coverage_is_the_set_of_what_was_inserted(
            ranges in prop::collection::vec(any_range(), 0..20),
        ) {
            let mut coverage = Coverage::default();
            let mut model = [false; WIDTH];
            for &(from, to) in &ranges {
                coverage.insert(range(from, to));
                model.iter_mut().take(to).skip(from).for_each(|flag| *flag = true);
                prop_assert!(normal(coverage.ranges(), false), "{:?}", coverage);
                prop_assert_eq!(flags(coverage.ranges()), model);
            }
            let collected: Coverage = ranges.iter().map(|&(from, to)| range(from, to)).collect();
            prop_assert_eq!(&collected, &coverage);
        }

        #[test]
        fn prop_missing_and_covered_parts_make_the_range(
            ranges in prop::collection::vec(any_range(), 0..20),
            (from, to) in any_range(),
        ) {
            let coverage: Coverage = ranges.iter().map(|&(a, b)| range(a, b)).collect();
            let covered = flags(coverage.ranges());
            let missing = coverage.missing(&range(from, to));
            prop_assert!(normal(&missing, false));
            let expected: [bool; WIDTH] =
                std::array::from_fn(|at| (from..to).contains(&at) && !covered[at]);
            prop_assert_eq!(flags(&missing), expected);
            let mut whole = coverage.clone();
            missing.into_iter().for_each(|hole| whole.insert(hole));
            prop_assert_eq!(whole.missing(&range(from, to)), vec![]);
        }

        #[test]
        fn prop_neighbourhood_agrees_with_the_set(
            ranges in prop::collection::vec(any_range(), 0..20),
            at in 0..WIDTH,
        ) {
            let coverage: Coverage = ranges.iter().map(|&(a, b)| range(a, b)).collect();
            let covered = flags(coverage.ranges());
            let instant = Timestamp::from_millis(at as i64);
            let around = coverage.around(instant);
            prop_assert_eq!(around.is_some(), covered[at]);
            match around {
                Some(known) => prop_assert!(known.contains(&instant)),
                None => {
                    let next = (at..WIDTH).find(|&at| covered[at]);
                    let found = coverage.next_start(instant).map(|t| t.as_millis() as usize);
                    prop_assert_eq!(found, next);
                }
            }
        }

        #[test]
        fn prop_intersection_is_in_both((a, b) in any_range(), (c, d) in any_range()) {
            let both = intersection(&range(a, b), &range(c, d));
            let expected: [bool; WIDTH] =
                std::array::from_fn(|at| (a..b).contains(&at) && (c..d).contains(&at));
            prop_assert_eq!(flags(both.as_slice()), expected);
        }
    }
}
