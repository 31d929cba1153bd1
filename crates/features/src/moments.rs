//! Weighted mean and variance of a set of rows, kept as fractions so that nothing is ever
//! subtracted and volumes of any size can be weighed against each other.

use serde::{Deserialize, Serialize};

/// Holds weight, mean and population variance of some rows.
///
/// A positive weight is a sum of volumes. A set without volume weighs its rows equally; its weight
/// is minus their number, so that the same quotients serve both. Zero means no rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moments {
    pub(crate) weight: f64,
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

/// The weight of one row: its volume, or −1 where nothing was traded.
///
/// Volumes are clamped to 1e-300..=1e300, so that 10⁸ of them can be summed and inverted.
#[inline(always)]
pub(crate) fn row_weight(volume: f64) -> f64 {
    let least = if volume > 1e-300 { volume } else { 1e-300 };
    let clamped = if least < 1e300 { least } else { 1e300 };
    if volume > 0.0 { clamped } else { -1.0 }
}

impl Moments {
    pub(crate) const EMPTY: Self = Self { weight: 0.0, mean: 0.0, variance: 0.0 };

    /// One row.
    #[inline(always)]
    pub(crate) const fn row(weight: f64, value: f64) -> Self {
        Self { weight, mean: value, variance: 0.0 }
    }

    /// Whether both hold rows, and weigh them alike.
    #[inline(always)]
    fn alike(self, weight: f64) -> bool {
        (self.weight > 0.0 && weight > 0.0) || (self.weight < 0.0 && weight < 0.0)
    }

    /// This set with one row more (West's update).
    #[inline(always)]
    pub(crate) fn with_row(self, weight: f64, value: f64) -> Self {
        if self.alike(weight) {
            self.with_like_row(weight, value)
        } else if self.weight > 0.0 {
            self
        } else {
            Self::row(weight, value)
        }
    }

    /// [`with_row`](Self::with_row) where the row is weighed as the set is.
    ///
    /// The mean moves from the heavier side, so that it stays between the two however far apart
    /// they are.
    #[inline(always)]
    pub(crate) fn with_like_row(self, weight: f64, value: f64) -> Self {
        let total = self.weight + weight;
        let inverse = 1.0 / total;
        let (ours, theirs) = (self.weight * inverse, weight * inverse);
        let distance = value - self.mean;
        let step = theirs * distance;
        let mean = if theirs > 0.5 { value - ours * distance } else { self.mean + step };
        Self { weight: total, mean, variance: ours * (self.variance + step * distance) }
    }

    /// Both sets together (Chan's update): where just one traded, it alone counts.
    #[inline(always)]
    pub(crate) fn merge(self, other: Self) -> Self {
        if self.alike(other.weight) {
            self.merge_like(other)
        } else if self.weight > 0.0 || other.weight == 0.0 {
            self
        } else {
            other
        }
    }

    /// [`merge`](Self::merge) of two sets that hold rows and weigh them alike.
    #[inline(always)]
    pub(crate) fn merge_like(self, other: Self) -> Self {
        let total = self.weight + other.weight;
        let inverse = 1.0 / total;
        let (ours, theirs) = (self.weight * inverse, other.weight * inverse);
        let distance = other.mean - self.mean;
        let step = theirs * distance;
        let mean = if theirs > 0.5 { other.mean - ours * distance } else { self.mean + step };
        Self {
            weight: total,
            mean,
            variance: (ours * self.variance + theirs * other.variance) + (ours * step) * distance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(f64, f64)]) -> Moments {
        rows.iter()
            .fold(Moments::EMPTY, |m, &(volume, value)| m.with_row(row_weight(volume), value))
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-14 * b.abs().max(1e-300)
    }

    #[test]
    fn rows_weigh_by_volume() {
        let moments = of(&[(1.0, 10.0), (3.0, 14.0), (0.0, 99.0)]);
        assert_eq!((moments.weight, moments.mean), (4.0, 13.0));
        assert!(close(moments.variance, 3.0), "{}", moments.variance);
    }

    #[test]
    fn rows_without_volume_weigh_equally_until_one_trades() {
        let moments = of(&[(0.0, 10.0), (0.0, 14.0)]);
        assert_eq!((moments.weight, moments.mean), (-2.0, 12.0));
        assert!(close(moments.variance, 4.0));
        assert_eq!(of(&[(0.0, 10.0), (0.0, 14.0), (2.0, 7.0)]), Moments::row(2.0, 7.0));
    }

    #[test]
    fn merging_two_halves_gives_the_whole() {
        let rows = [(2.0, 3.0), (0.0, 50.0), (5.0, 7.0), (1.0, 1.0), (4.0, 9.0)];
        for cut in 0..=rows.len() {
            let merged = of(&rows[..cut]).merge(of(&rows[cut..]));
            let whole = of(&rows);
            assert_eq!(merged.weight, whole.weight);
            assert!(close(merged.mean, whole.mean) && close(merged.variance, whole.variance));
        }
        let (idle, traded) = (of(&[(0.0, 5.0), (0.0, 6.0)]), of(&[(3.0, 1.0)]));
        assert_eq!(idle.merge(traded), traded);
        assert_eq!(traded.merge(idle), traded);
        assert_eq!(idle.merge(Moments::EMPTY), idle);
        assert_eq!(Moments::EMPTY.merge(idle), idle);
    }

    #[test]
    fn volumes_of_any_size_weigh_against_each_other() {
        let huge = of(&[(1e300, 1.0), (1e300, 3.0), (f64::MAX, 2.0)]);
        assert!(close(huge.mean, 2.0) && close(huge.variance, 2.0 / 3.0));
        let tiny = of(&[(1e-300, 1.0), (3e-300, 3.0)]);
        assert!(close(tiny.mean, 2.5) && close(tiny.variance, 0.75));
        let both = of(&[(1e-300, 1.0), (1e300, 3.0)]);
        assert_eq!(both.mean, 3.0);
        assert!(both.variance.is_finite());
        let least = of(&[(5e-324, 1.0), (0.0, 3.0)]);
        assert_eq!(least.mean, 1.0);
    }

    #[test]
    fn a_dominant_newcomer_keeps_the_variance_exact() {
        let moments = of(&[(1e-12, 0.0), (1.0, 1.0)]);
        assert!(close(moments.variance, 1e-12 / (1.0 + 1e-12) / (1.0 + 1e-12)));
    }
}
