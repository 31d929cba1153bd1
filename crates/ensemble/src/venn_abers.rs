use serde::{Deserialize, Serialize};

use crate::isotonic::Groups;

/// Isotonic regressions with one more row, of either outcome (inductive Venn-Abers).
///
/// # References
/// - V. Vovk, I. Petej, *Venn-Abers Predictors*, UAI 2014, doi:10.48550/arXiv.1211.0025.
/// - V. Vovk, I. Petej, V. Fedorova, *Large-scale probabilistic predictors with and without
///   guarantees of validity*, Advances in Neural Information Processing Systems 28, 2015,
///   doi:10.48550/arXiv.1511.00213.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct VennAbers {
    raw: Vec<f64>,
    /// The value at each group with a row of outcome 0 added there, and with one of outcome 1.
    not_happened: Vec<f64>,
    happened: Vec<f64>,
}

impl VennAbers {
    /// - `weight`: rows that the added one counts for
    pub(crate) fn new(groups: &Groups, weight: f64) -> Self {
        let (starts, ends) = (groups.block_starts(), groups.block_ends());
        let with = |outcome: f64| -> Vec<f64> {
            let at = |i: usize| pooled(groups, &starts, &ends, i, weight, outcome);
            let mut values: Vec<f64> = (0..groups.len()).map(at).collect();
            // Increasing up to rounding; made so to the last bit.
            let mut highest = 0.0_f64;
            for value in &mut values {
                highest = highest.max(*value).min(1.0);
                *value = highest;
            }
            values
        };
        Self { raw: groups.raw().to_vec(), not_happened: with(0.0), happened: with(1.0) }
    }

    pub(crate) fn is_valid(&self) -> bool {
        let curve = |values: &[f64]| {
            values.len() == self.raw.len()
                && values.is_sorted()
                && values.iter().all(|v| (0.0..=1.0).contains(v))
        };
        let raw = self.raw.iter().all(|r| r.is_finite()) && self.raw.is_sorted();
        raw && !self.raw.is_empty() && curve(&self.not_happened) && curve(&self.happened)
    }

    /// The two probabilities: were the row's outcome 0, and were it 1.
    pub(crate) fn pair(&self, raw: f64) -> [f64; 2] {
        // Between two groups a 0 joins the one in front of it, a 1 the one behind it.
        let up_to = self.raw.partition_point(|r| *r <= raw);
        let before = self.raw.partition_point(|r| *r < raw);
        let low = up_to.checked_sub(1).and_then(|i| self.not_happened.get(i));
        [low.copied().unwrap_or(0.0), self.happened.get(before).copied().unwrap_or(1.0)]
    }

    /// The one probability with the smallest regret for log loss.
    pub(crate) fn probability(&self, raw: f64) -> f64 {
        let [low, high] = self.pair(raw);
        high / (1.0 - low + high)
    }
}

/// The isotonic value at group `i` with a row added to it: its block swallows neighbours while
/// their order is wrong.
fn pooled(
    groups: &Groups,
    starts: &[usize],
    ends: &[usize],
    i: usize,
    weight: f64,
    outcome: f64,
) -> f64 {
    let (mut start, mut end) = (i, i + 1);
    loop {
        let (rows, happened) = groups.sums(start, end);
        let mean = (happened + weight * outcome) / (rows + weight);
        let right = ends.get(end).copied().filter(|&next| {
            let (rows, happened) = groups.sums(end, next);
            mean >= happened / rows
        });
        let left = start.checked_sub(1).and_then(|last| starts.get(last).copied());
        let left = left.filter(|&previous| {
            let (rows, happened) = groups.sums(previous, start);
            mean <= happened / rows
        });
        match (left, right) {
            (None, None) => return mean,
            _ => (start, end) = (left.unwrap_or(start), right.unwrap_or(end)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prop_the_pair_is_that_of_two_regressions_with_the_row_added(
            rows in prop::collection::vec((0_u8..12, 0_u8..2), 1..40), at in 0_u8..25,
        ) {
            let mut raw: Vec<f64> = rows.iter().map(|r| f64::from(r.0) / 12.0).collect();
            let mut outcomes: Vec<f64> = rows.iter().map(|r| f64::from(r.1)).collect();
            let fitted = VennAbers::new(&Groups::new(&raw, &outcomes), 1.0);
            prop_assert!(fitted.is_valid());
            let at = f64::from(at) / 24.0;
            let pair = fitted.pair(at);
            raw.push(at);
            for (got, outcome) in pair.iter().zip([0.0, 1.0]) {
                outcomes.push(outcome);
                let whole = Groups::new(&raw, &outcomes).isotonic();
                let expected = whole.interpolate(at).unwrap();
                prop_assert!((got - expected).abs() < 1e-12, "{got} {expected}");
                outcomes.pop();
            }
            prop_assert!(pair[0] <= pair[1]);
        }
    }
}
