//! Which rows a server gives for what was asked.

use std::ops::Range;

use super::pattern::Asked;
use crate::exchange::Paging;

/// The bounds on an answer beside what was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) paging: Paging,
    /// Most rows of one answer.
    pub(super) most: usize,
    /// Only so many of the newest rows exist.
    pub(super) depth: Option<usize>,
}

/// Chooses rows among `times`, which ascend: the open times, in ms, of all rows that exist now.
pub(super) fn page(times: &[i64], asked: &Asked, bounds: &Bounds) -> Range<usize> {
    let oldest = bounds.depth.map_or(0, |depth| times.len().saturating_sub(depth));
    let position = |time: i64| times.partition_point(|&open| open < time).max(oldest);
    let most = asked.count.unwrap_or(usize::MAX).min(bounds.most);
    let newest_before = |end: usize| end.saturating_sub(most).max(oldest)..end;
    let end = asked.end.map_or(times.len(), position);
    match (bounds.paging, asked.start) {
        (Paging::Recent, _) => newest_before(times.len()),
        (Paging::Backward, _) | (Paging::Forward, None) => newest_before(end),
        (Paging::Forward, Some(start)) => {
            let start = position(start);
            let end = if asked.file { end } else { end.min(start.saturating_add(most)) };
            start..end.max(start)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: [i64; 8] = [0, 10, 20, 30, 40, 50, 60, 70];

    fn opens(asked: Asked, paging: Paging, most: usize, depth: Option<usize>) -> Vec<i64> {
        TIMES[page(&TIMES, &asked, &Bounds { paging, most, depth })].to_vec()
    }

    #[test]
    fn a_forward_server_gives_the_first_rows_from_a_start_and_the_last_before_a_lone_end() {
        let start = Asked { start: Some(15), ..Default::default() };
        assert_eq!(opens(start, Paging::Forward, 3, None), [20, 30, 40]);
        let both = Asked { end: Some(30), ..start };
        assert_eq!(opens(both, Paging::Forward, 3, None), [20]);
        let end = Asked { end: Some(31), count: Some(2), ..Default::default() };
        assert_eq!(opens(end, Paging::Forward, 3, None), [20, 30]);
        assert_eq!(opens(Asked::default(), Paging::Forward, 2, None), [60, 70]);
        let reversed = Asked { start: Some(50), end: Some(20), ..Default::default() };
        assert!(opens(reversed, Paging::Forward, 5, None).is_empty());
    }

    #[test]
    fn a_backward_server_honours_the_end_alone_and_a_recent_one_nothing() {
        let both = Asked { start: Some(30), end: Some(50), ..Default::default() };
        assert_eq!(opens(both, Paging::Backward, 4, None), [10, 20, 30, 40]);
        assert_eq!(opens(both, Paging::Recent, 3, None), [50, 60, 70]);
    }

    #[test]
    fn what_is_older_than_the_depth_does_not_exist() {
        let early = Asked { start: Some(0), ..Default::default() };
        assert_eq!(opens(early, Paging::Forward, 2, Some(3)), [50, 60]);
        let end = Asked { end: Some(60), ..Default::default() };
        assert_eq!(opens(end, Paging::Backward, 9, Some(3)), [50]);
        let before = Asked { end: Some(20), ..Default::default() };
        assert!(opens(before, Paging::Forward, 9, Some(3)).is_empty());
    }

    #[test]
    fn a_file_is_given_whole() {
        let file = Asked { start: Some(10), end: Some(60), count: None, file: true };
        assert_eq!(opens(file, Paging::Forward, 2, None), [10, 20, 30, 40, 50]);
    }
}
