//! Which small files become one.

use std::ops::Range;

use super::CacheFormat;
use super::segment::Segment;

/// So many neighbours are merged however few candles they hold.
const MOST_SMALL_FILES: usize = 16;

/// Groups of neighbouring segments, each to become one, in increasing order.
///
/// Files grow in two steps, to a sixteenth of `target` rows and to `target`, so that a candle is
/// written about three times in all, however small the pages.
pub(crate) fn due(segments: &[Segment], target: u64) -> Vec<Range<usize>> {
    for cap in [(target / 16).max(1), target] {
        let groups: Vec<Range<usize>> = runs(segments, |segment| segment.rows < cap)
            .into_iter()
            .flat_map(|run| full_groups(segments, run, cap))
            .collect();
        if !groups.is_empty() {
            return groups;
        }
    }
    Vec::new()
}

/// Groups that leave as few files of at most about `target` rows as can be, all of one format.
pub(crate) fn thorough(
    segments: &[Segment],
    target: u64,
    format: CacheFormat,
) -> Vec<Range<usize>> {
    let foreign = |segment: &Segment| segment.rows > 0 && segment.format != format;
    let mut groups = Vec::new();
    for run in runs(segments, |_| true) {
        let mut start = run.start;
        let mut rows = 0;
        for at in run.clone() {
            let next = segments.get(at).map_or(0, |segment| segment.rows);
            if rows > 0 && rows + next > target {
                groups.push(start..at);
                (start, rows) = (at, 0);
            }
            rows += next;
        }
        groups.push(start..run.end);
    }
    let is_foreign = |group: &Range<usize>| {
        segments.get(group.clone()).is_some_and(|segments| segments.iter().any(foreign))
    };
    groups.retain(|group| group.len() > 1 || is_foreign(group));
    groups
}

/// The longest runs of segments that touch and of which something is true.
fn runs(segments: &[Segment], wanted: impl Fn(&Segment) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut previous: Option<&Segment> = None;
    for (at, segment) in segments.iter().enumerate() {
        let touches = previous.is_some_and(|previous| previous.until == segment.since);
        previous = Some(segment);
        if !wanted(segment) {
            continue;
        }
        match runs.last_mut() {
            Some(run) if touches && run.end == at => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// Groups of at least `cap` rows, and what is left where it is many files.
fn full_groups(segments: &[Segment], run: Range<usize>, cap: u64) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut start = run.start;
    let mut rows = 0;
    for at in run.clone() {
        rows += segments.get(at).map_or(0, |segment| segment.rows);
        if rows >= cap {
            groups.push(start..at + 1);
            (start, rows) = (at + 1, 0);
        }
    }
    if run.end - start >= MOST_SMALL_FILES {
        groups.push(start..run.end);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecastle_core::Timestamp;
    use proptest::prelude::*;

    /// Segments one hour long with so many rows, those of `None` left out.
    fn segments(rows: &[Option<u64>]) -> Vec<Segment> {
        let hour = |at: usize| Timestamp::from_millis(at as i64 * 3_600_000);
        let make = |(at, rows): (usize, &Option<u64>)| {
            Some(Segment {
                sequence: at as u64,
                since: hour(at),
                until: hour(at + 1),
                rows: (*rows)?,
                crc32: 0,
                format: CacheFormat::Csv,
            })
        };
        rows.iter().enumerate().filter_map(make).collect()
    }

    #[test]
    fn sixteen_small_neighbours_become_one_and_holes_keep_apart() {
        let mut rows = vec![Some(1); 15];
        assert_eq!(due(&segments(&rows), 1_000), vec![]);
        rows.push(Some(0));
        assert_eq!(due(&segments(&rows), 1_000), vec![0..16]);
        rows[7] = None;
        assert_eq!(due(&segments(&rows), 1_000), vec![]);
        assert_eq!(thorough(&segments(&rows), 1_000, CacheFormat::Csv), vec![0..7, 7..15]);
    }

    #[test]
    fn a_full_group_is_merged_at_once_and_grows_again_to_the_target() {
        assert_eq!(due(&segments(&[Some(30), Some(30), Some(30)]), 1_000), vec![0..3]);
        assert_eq!(due(&segments(&[Some(90); 12]), 1_000), vec![0..12]);
        assert_eq!(due(&segments(&[Some(2_000), Some(90)]), 1_000), vec![]);
    }

    #[test]
    fn thorough_compaction_turns_the_other_format_too() {
        let one = segments(&[Some(5)]);
        assert_eq!(thorough(&one, 1_000, CacheFormat::Csv), vec![]);
        assert_eq!(thorough(&one, 1_000, CacheFormat::Parquet), vec![0..1]);
    }

    proptest! {
        #[test]
        fn prop_groups_touch_inside_and_merging_ends(
            rows in prop::collection::vec(prop::option::weighted(0.9, 0..40_u64), 0..80),
            target in 1..400_u64,
        ) {
            let mut files = segments(&rows);
            let total: u64 = files.iter().map(|s| s.rows).sum();
            for round in 0.. {
                prop_assert!(round < 20, "compaction never ends");
                let groups = due(&files, target);
                if groups.is_empty() {
                    break;
                }
                for group in groups.into_iter().rev() {
                    prop_assert!(group.len() > 1);
                    let part: Vec<Segment> = files.drain(group.clone()).collect();
                    prop_assert!(part.windows(2).all(|w| w[0].until == w[1].since));
                    let whole = Segment {
                        until: part[part.len() - 1].until,
                        rows: part.iter().map(|s| s.rows).sum(),
                        ..part[0].clone()
                    };
                    files.insert(group.start, whole);
                }
            }
            prop_assert_eq!(files.iter().map(|s| s.rows).sum::<u64>(), total);
            let groups = thorough(&files, target, CacheFormat::Csv);
            prop_assert!(groups.windows(2).all(|w| w[0].end <= w[1].start));
        }
    }
}
