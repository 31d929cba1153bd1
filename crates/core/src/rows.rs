use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Selects rows of a table: disjoint ranges in increasing order.
///
/// Folds of a split share one table and differ only in their `Rows`, so nothing is copied and
/// sequence models keep the history before a fold's first row.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rows(Vec<Range<usize>>);

impl Rows {
    /// Makes a selection; empty ranges are left out.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when the ranges overlap or do not increase.
    pub fn new(ranges: impl IntoIterator<Item = Range<usize>>) -> Result<Self> {
        let ranges: Vec<_> = ranges.into_iter().filter(|r| !r.is_empty()).collect();
        match ranges.windows(2).find(|pair| pair[0].end > pair[1].start) {
            None => Ok(Self(ranges)),
            Some(pair) => Err(Error::invalid_parameter(
                "ranges",
                "disjoint and increasing",
                format!("{:?} before {:?}", pair[0], pair[1]),
            )),
        }
    }

    /// The ranges, none of them empty.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.0
    }

    /// Number of selected rows.
    pub fn len(&self) -> usize {
        self.0.iter().map(Range::len).sum()
    }

    /// Whether no row is selected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The selected row numbers, increasing.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().cloned().flatten()
    }

    /// One past the last selected row; 0 when empty.
    pub fn end(&self) -> usize {
        self.0.last().map_or(0, |r| r.end)
    }

    /// The selected rows below `limit`.
    pub fn before(&self, limit: usize) -> Self {
        let cut = self.0.iter().map(|r| r.start.min(limit)..r.end.min(limit));
        Self(cut.filter(|r| !r.is_empty()).collect())
    }

    /// The selected rows at `start` and above.
    pub fn from_row(&self, start: usize) -> Self {
        let cut = self.0.iter().map(|r| r.start.max(start)..r.end.max(start));
        Self(cut.filter(|r| !r.is_empty()).collect())
    }

    /// Splits off the last `tail` selected rows for validation, purging the rows before them whose
    /// labels (`horizon` bars long) reach into the tail. Returns `(head, tail)`.
    pub fn split_tail(&self, tail: usize, horizon: usize) -> (Self, Self) {
        let skip = self.len().saturating_sub(tail);
        match self.iter().nth(skip) {
            None => (self.clone(), Self::default()),
            Some(first) => (self.before(first.saturating_sub(horizon)), self.from_row(first)),
        }
    }
}

impl From<Range<usize>> for Rows {
    fn from(range: Range<usize>) -> Self {
        Self(if range.is_empty() { Vec::new() } else { vec![range] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_refused_and_empty_ranges_dropped() {
        assert!(Rows::new([0..5, 4..6]).is_err());
        assert!(Rows::new([5..6, 0..1]).is_err());
        assert_eq!(Rows::new([0..5, 5..5, 5..6]).unwrap().ranges(), [0..5, 5..6]);
    }

    #[test]
    fn the_tail_is_purged_by_the_horizon() {
        let rows = Rows::new([0..10, 20..30]).unwrap();
        let (head, tail) = rows.split_tail(5, 3);
        assert_eq!((head, tail), (Rows::new([0..10, 20..22]).unwrap(), Rows::from(25..30)));
        let (head, tail) = rows.split_tail(15, 3);
        assert_eq!((head, tail), (Rows::from(0..2), Rows::new([5..10, 20..30]).unwrap()));
        let (head, tail) = rows.split_tail(100, 3);
        assert_eq!((head.len(), tail.len()), (0, 20));
        let (head, tail) = rows.split_tail(0, 3);
        assert_eq!((head.len(), tail.len()), (20, 0));
    }
}
