use crate::real::Real;
use crate::simd::vectorised;

/// Sets numbers to zero at random while training and scales the others up, so that sums keep their
/// mean.
///
/// Whether a number is dropped is a hash of the key, the place in the network and the number's
/// index: nothing is stored, backward passes see the same holes as forward passes, and the holes do
/// not depend on the number of threads.
///
/// # References
/// N. Srivastava et al., *Dropout: A Simple Way to Prevent Neural Networks from Overfitting*, JMLR
/// 15, 2014.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    rate: f64,
    key: u64,
}

impl Dropout {
    /// Drops a share `rate` (0 to below 1); another `key` drops others.
    pub(crate) fn new(rate: f64, key: u64) -> Self {
        Self { rate, key }
    }

    /// Whether it drops anything.
    pub(crate) fn drops(&self) -> bool {
        self.rate > 0.0
    }

    /// Multiplies `values` by 0 or `1 / (1 − rate)`; for gradients the same. `site` tells places in
    /// the network apart.
    pub(crate) fn apply<T: Real>(&self, site: u64, values: &mut [T]) {
        self.apply_from(site, 0, values);
    }

    /// [`apply`](Self::apply) to a part of the numbers at a place, of which `first` come before.
    pub(crate) fn apply_from<T: Real>(&self, site: u64, first: usize, values: &mut [T]) {
        if self.rate <= 0.0 {
            return;
        }
        let scale = T::from_f64(1.0 / (1.0 - self.rate));
        let threshold = (self.rate * f64::from(u32::MAX)) as u32;
        let key = mix64(self.key ^ mix64(site.wrapping_add(0x9E37_79B9_7F4A_7C15)));
        let (low, high) = (key as u32, (key >> 32) as u32);
        let low = low.wrapping_add(first as u32);
        vectorised(
            #[inline(always)]
            || {
                for (i, value) in (0_u32..).zip(values) {
                    let keep = mix32(i.wrapping_add(low) ^ high) >= threshold;
                    *value *= if keep { scale } else { T::ZERO };
                }
            },
        );
    }
}

/// The key of a part (a step, a shard) of something that has a key.
pub(crate) fn part_key(key: u64, part: u64) -> u64 {
    mix64(key ^ mix64(part.wrapping_add(0xD1B5_4A32_D192_ED03)))
}

/// `SplitMix64`'s finaliser.
fn mix64(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A 32-bit finaliser of low bias (C. Wellons, `lowbias32`).
#[inline(always)]
fn mix32(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7FEB_352D);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846C_A68B);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_right_the_mean_stays_and_sites_differ() {
        let n = 200_000;
        let drop = |key, site| {
            let mut values = vec![1.0_f32; n];
            Dropout::new(0.3, key).apply(site, &mut values);
            values
        };
        let first = drop(1, 0);
        assert_eq!(first, drop(1, 0));
        for other in [drop(1, 1), drop(2, 0), drop(part_key(1, 0), 0)] {
            let both = first.iter().zip(&other).filter(|&(&a, &b)| a == 0.0 && b == 0.0).count();
            assert!((both as f64 / n as f64 - 0.09).abs() < 0.005, "{both}");
        }
        let mut tail = vec![1.0; n - 1_001];
        Dropout::new(0.3, 1).apply_from(0, 1_001, &mut tail);
        assert_eq!(tail, first[1_001..]);
        let dropped = first.iter().filter(|&&v| v == 0.0).count() as f64 / n as f64;
        assert!((dropped - 0.3).abs() < 0.005, "{dropped}");
        let mean = first.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64;
        assert!((mean - 1.0).abs() < 0.01);
    }
}
