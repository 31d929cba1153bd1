use serde::{Deserialize, Serialize};

/// The bin of missing values.
pub(crate) const MISSING: u8 = u8::MAX;

/// Splits one feature's values into bins: value `x` is in bin `b` when exactly `b` thresholds lie
/// below it, so `x <= thresholds[b]` holds just when its bin is at most `b`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct FeatureBins {
    thresholds: Vec<f64>,
    n_bins: usize,
}

impl FeatureBins {
    /// Chooses bins of about equal weight, one bin for every distinct value where there are at most
    /// `max_bins`. Thresholds lie in the middle between neighbouring values. NaN is left out.
    pub(crate) fn choose(values: &mut Vec<f64>, max_bins: usize) -> Self {
        values.retain(|v| !v.is_nan());
        values.sort_unstable_by(f64::total_cmp);
        Self::from_sorted(values.iter().map(|&v| (v, 1.0)), max_bins)
    }

    /// As [`choose`](Self::choose), of `(value, weight)` rows.
    pub(crate) fn choose_weighted(rows: &mut Vec<(f64, f64)>, max_bins: usize) -> Self {
        rows.retain(|row| !row.0.is_nan());
        // By weight too, so that the sums below do not depend on the order of equal values.
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        Self::from_sorted(rows.iter().copied(), max_bins)
    }

    fn from_sorted(rows: impl Iterator<Item = (f64, f64)>, max_bins: usize) -> Self {
        let mut distinct: Vec<(f64, f64)> = Vec::new();
        for (value, weight) in rows {
            match distinct.last_mut() {
                Some(last) if last.0 == value => last.1 += weight,
                _ => distinct.push((value, weight)),
            }
        }
        let mut thresholds = Vec::new();
        let mut weight_left: f64 = distinct.iter().map(|d| d.1).sum();
        let mut bins_left = max_bins;
        let mut weight = 0.0;
        for (i, pair) in distinct.windows(2).enumerate() {
            let (here, next) = (pair[0], pair[1]);
            weight += here.1;
            let values_left = distinct.len() - 1 - i;
            let full = weight + 0.5 * next.1 >= weight_left / bins_left as f64;
            if bins_left > 1 && (full || values_left < bins_left) {
                thresholds.push(middle(here.0, next.0));
                weight_left -= weight;
                bins_left -= 1;
                weight = 0.0;
            }
        }
        let n_bins = if distinct.is_empty() { 0 } else { thresholds.len() + 1 };
        Self { thresholds, n_bins }
    }

    /// Number of bins, missing values apart; 0 when every value is missing.
    pub(crate) fn n_bins(&self) -> usize {
        self.n_bins
    }

    /// The largest value of bin `bin` and those before it; of the last bin, every value.
    pub(crate) fn threshold(&self, bin: u8) -> f64 {
        self.thresholds.get(usize::from(bin)).copied().unwrap_or(f64::MAX)
    }

    /// Bins between increasing thresholds, of which there are fewer than 255.
    pub(crate) fn of_thresholds(thresholds: Vec<f64>) -> Self {
        Self { n_bins: thresholds.len() + 1, thresholds }
    }

    /// What finds the bins of values.
    pub(crate) fn finder(&self) -> BinFinder {
        let mut padded = [f64::INFINITY; 255];
        for (to, from) in padded.iter_mut().zip(&self.thresholds) {
            *to = *from;
        }
        BinFinder(padded)
    }
}

/// Finds bins by a search of eight fixed steps, without a branch.
pub(crate) struct BinFinder([f64; 255]);

impl BinFinder {
    pub(crate) fn bin(&self, value: f64) -> u8 {
        if value.is_nan() {
            return MISSING;
        }
        let mut below = 0;
        for step in [128, 64, 32, 16, 8, 4, 2, 1] {
            below += if self.0[below + step - 1] < value { step } else { 0 };
        }
        // At most 254: the last padding is infinite and never below a value.
        below as u8
    }
}

/// The middle between two values, such that `low <= middle < high`.
fn middle(low: f64, high: f64) -> f64 {
    let middle = 0.5 * low + 0.5 * high;
    if middle >= low && middle < high { middle } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_distinct_values_get_a_bin_each() {
        let bins = FeatureBins::choose(&mut vec![3.0, 1.0, f64::NAN, 1.0, -0.0, 0.0], 255);
        assert_eq!(bins.thresholds, [0.5, 2.0]);
        assert_eq!(bins.n_bins(), 3);
        assert_eq!(bins.threshold(2), f64::MAX);
    }

    #[test]
    fn missing_and_constant_columns_have_no_threshold() {
        assert_eq!(FeatureBins::choose(&mut vec![f64::NAN; 3], 255).n_bins(), 0);
        let constant = FeatureBins::choose(&mut vec![7.0; 3], 255);
        assert_eq!((constant.n_bins(), constant.thresholds.len()), (1, 0));
    }

    #[test]
    fn a_heavy_value_gets_a_bin_of_its_own_and_the_rest_share_evenly() {
        let mut values = vec![0.0; 1000];
        values.extend((1..=1000).map(f64::from));
        let bins = FeatureBins::choose(&mut values, 11);
        assert_eq!(bins.n_bins(), 11);
        assert_eq!(bins.thresholds[0], 0.5);
        let finder = bins.finder();
        let mut counts = [0; 11];
        for v in 1..=1000 {
            counts[usize::from(finder.bin(f64::from(v)))] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!(counts[1..].iter().all(|c| (95..=105).contains(c)), "{counts:?}");
    }

    #[test]
    fn weights_move_the_edges() {
        let rows = |heavy: f64| -> Vec<(f64, f64)> {
            let weight = |i: i32| if i < 50 { heavy } else { 1.0 };
            (0..100).map(|i| (f64::from(i), weight(i))).collect()
        };
        let low_edges = |heavy: f64| {
            let bins = FeatureBins::choose_weighted(&mut rows(heavy), 10);
            bins.thresholds.iter().filter(|&&t| t < 49.4).count()
        };
        assert_eq!((low_edges(1.0), low_edges(9.0)), (4, 8));
    }

    #[test]
    fn neighbouring_floats_are_told_apart() {
        let low = 1.0_f64;
        let high = low.next_up();
        let bins = FeatureBins::choose(&mut vec![low, high, f64::MAX, f64::MIN], 255);
        let finder = bins.finder();
        assert_eq!([f64::MIN, low, high, f64::MAX].map(|v| finder.bin(v)), [0, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn prop_a_bin_is_the_number_of_thresholds_below(
            mut values in prop::collection::vec(-50_i32..50, 1..400), max_bins in 2_usize..=255,
            probe in -60.0_f64..60.0,
        ) {
            let mut floats: Vec<f64> = values.iter().map(|&v| f64::from(v) * 0.5).collect();
            let bins = FeatureBins::choose(&mut floats, max_bins);
            values.sort_unstable();
            values.dedup();
            prop_assert_eq!(bins.n_bins(), values.len().min(max_bins));
            let below = bins.thresholds.iter().filter(|&&t| t < probe).count();
            prop_assert_eq!(usize::from(bins.finder().bin(probe)), below);
            prop_assert!(bins.thresholds.is_sorted_by(|a, b| a < b));
        }
    }
}
