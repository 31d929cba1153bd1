use serde::{Deserialize, Serialize};

/// Raw probabilities in increasing order, each with the weight and the outcomes of its rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups {
    raw: Vec<f64>,
    /// Sums over the groups in front of each and, last, over all.
    weights: Vec<f64>,
    outcomes: Vec<f64>,
}

/// The non-decreasing values closest to the groups' means (pool adjacent violators), on their raw
/// probabilities; or any other non-decreasing curve on the same points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) raw: Vec<f64>,
    pub(crate) values: Vec<f64>,
}

impl Groups {
    /// Rows of equal raw probability become one group.
    pub(crate) fn new(raw: &[f64], outcomes: &[f64]) -> Self {
        let mut rows: Vec<(f64, f64)> = raw.iter().copied().zip(outcomes.iter().copied()).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut groups = Self { raw: Vec::new(), weights: vec![0.0], outcomes: vec![0.0] };
        let (mut weight, mut happened) = (0.0, 0.0);
        for (r, y) in rows {
            let known = groups.raw.last().is_some_and(|last| *last == r);
            weight += 1.0;
            happened += y;
            if known {
                groups.weights.pop();
                groups.outcomes.pop();
            } else {
                groups.raw.push(r);
            }
            groups.weights.push(weight);
            groups.outcomes.push(happened);
        }
        groups
    }

    pub(crate) fn len(&self) -> usize {
        self.raw.len()
    }

    pub(crate) fn raw(&self) -> &[f64] {
        &self.raw
    }

    /// Weight and sum of outcomes of the groups `start..end`.
    pub(crate) fn sums(&self, start: usize, end: usize) -> (f64, f64) {
        let of = |sums: &[f64]| match (sums.get(start), sums.get(end)) {
            (Some(from), Some(to)) => to - from,
            _ => 0.0,
        };
        (of(&self.weights), of(&self.outcomes))
    }

    fn mean(&self, start: usize, end: usize) -> f64 {
        let (weight, happened) = self.sums(start, end);
        happened / weight
    }

    /// For every group, where the last pooled block of the groups up to it begins.
    ///
    /// The blocks of the groups up to `i` are the one that begins at `starts[i]` and, in front of
    /// it, those of the groups up to `starts[i] − 1`.
    pub(crate) fn block_starts(&self) -> Vec<usize> {
        let mut starts: Vec<usize> = Vec::with_capacity(self.len());
        for i in 0..self.len() {
            let mut start = i;
            while let Some(previous) = start.checked_sub(1).and_then(|end| starts.get(end).copied())
                && self.mean(previous, start) >= self.mean(start, i + 1)
            {
                start = previous;
            }
            starts.push(start);
        }
        starts
    }

    /// For every group, where the first pooled block of the groups from it on ends (exclusive).
    pub(crate) fn block_ends(&self) -> Vec<usize> {
        let n = self.len();
        let mut ends = vec![n; n];
        for i in (0..n).rev() {
            let mut end = i + 1;
            while let Some(&next) = ends.get(end)
                && self.mean(i, end) >= self.mean(end, next)
            {
                end = next;
            }
            if let Some(slot) = ends.get_mut(i) {
                *slot = end;
            }
        }
        ends
    }

    /// The isotonic regression.
    pub(crate) fn isotonic(&self) -> Curve {
        let starts = self.block_starts();
        let mut values = vec![0.0; self.len()];
        let mut end = self.len();
        while let Some(&start) = end.checked_sub(1).and_then(|last| starts.get(last)) {
            let mean = self.mean(start, end);
            values.iter_mut().take(end).skip(start).for_each(|v| *v = mean);
            end = start;
        }
        Curve { raw: self.raw.clone(), values }
    }
}

impl Curve {
    pub(crate) fn is_valid(&self) -> bool {
        let shares = self.values.iter().all(|v| (0.0..=1.0).contains(v));
        let raw = self.raw.iter().all(|r| r.is_finite()) && self.raw.is_sorted();
        !self.raw.is_empty()
            && raw
            && self.values.len() == self.raw.len()
            && shares
            && self.values.is_sorted()
    }

    /// Between two points the line that joins them, beyond the ends the end's value.
    pub(crate) fn interpolate(&self, raw: f64) -> Option<f64> {
        let after = self.raw.partition_point(|r| *r < raw);
        let right = self.raw.get(after).zip(self.values.get(after));
        let left = after.checked_sub(1).and_then(|i| self.raw.get(i).zip(self.values.get(i)));
        match (left, right) {
            (Some((x0, y0)), Some((x1, y1))) => {
                let part = (raw - x0) / (x1 - x0);
                Some((y0 + part * (y1 - y0)).clamp(*y0, *y1))
            }
            (Some((_, y)), None) | (None, Some((_, y))) => Some(*y),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prop_isotonic_values_meet_the_min_max_formula(
            rows in prop::collection::vec((0_u8..30, 0_u8..3), 1..60),
        ) {
            let raw: Vec<f64> = rows.iter().map(|r| f64::from(r.0) / 30.0).collect();
            let outcomes: Vec<f64> = rows.iter().map(|r| f64::from(r.1) / 2.0).collect();
            let groups = Groups::new(&raw, &outcomes);
            let curve = groups.isotonic();
            prop_assert!(curve.is_valid());
            let n = groups.len();
            for i in 0..n {
                let best = |l: usize| {
                    (i + 1..=n).map(|r| groups.mean(l, r)).fold(f64::INFINITY, f64::min)
                };
                let expected = (0..=i).map(best).fold(f64::NEG_INFINITY, f64::max);
                prop_assert!((curve.values[i] - expected).abs() < 1e-12);
            }
        }
    }
}
