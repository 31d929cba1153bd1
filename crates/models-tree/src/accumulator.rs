//! Sums of gradients as whole numbers: exact, so the order of adding, and with it the number of
//! threads, cannot change a bit of the model, and a sibling's histogram is its parent's minus the
//! other child's without a rounding error.
//!
//! A gradient `g` is kept as `q = round(g · 2^k)`, with `k` as large as the sum over all rows
//! allows. [`Packed`] puts `Σq` and the number of rows into one `i64`; for 200,000 rows that leaves
//! a gradient 27 bits below the largest one. Where many rows would be too small for that (one
//! target of a million standard deviations among many rows), and where rows have weights, [`Wide`]
//! takes over: two `i64`, 44 bits.

use std::ops::{Add, Sub};

use rayon::prelude::*;

/// Rows that one task converts.
const CHUNK: usize = 16_384;

/// The magnitude up to which [`round`] is right, as a power of two.
const ROUNDABLE: i32 = 50;

/// Significant bits that a gradient should keep.
const WANTED_BITS: i32 = 10;

/// Sums gradients and second derivatives ("hessians") over rows.
pub(crate) trait Cell:
    Copy + Default + PartialEq + Send + Sync + Add<Output = Self> + Sub<Output = Self>
{
    /// `(Σ gradient in units of the scale, Σ hessian)`.
    fn unpack(self, scale: &Scale) -> (f64, f64);

    /// Whether no row is in it.
    fn is_empty(self) -> bool;
}

/// Says what the whole numbers of a round mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// Bits of the row count in a [`Packed`].
    count_bits: u32,
    count_mask: i64,
    /// A gradient of `step` is 1.
    pub(crate) step: f64,
    /// A hessian of so much is 1.
    pub(crate) hessian_step: f64,
}

/// Number of rows in the low bits, sum of gradients above.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Packed(i64);

impl Add for Packed {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

impl Sub for Packed {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }
}

impl Cell for Packed {
    #[inline(always)]
    fn unpack(self, scale: &Scale) -> (f64, f64) {
        let gradient = self.0 >> scale.count_bits;
        (gradient as f64, (self.0 & scale.count_mask) as f64)
    }

    #[inline(always)]
    fn is_empty(self) -> bool {
        // A gradient comes with a row, so no row means no gradient.
        self.0 == 0
    }
}

/// Sum of gradients, sum of hessians.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Wide {
    gradient: i64,
    hessian: i64,
}

impl Add for Wide {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self {
            gradient: self.gradient.wrapping_add(other.gradient),
            hessian: self.hessian.wrapping_add(other.hessian),
        }
    }
}

impl Sub for Wide {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self {
            gradient: self.gradient.wrapping_sub(other.gradient),
            hessian: self.hessian.wrapping_sub(other.hessian),
        }
    }
}

impl Cell for Wide {
    #[inline(always)]
    fn unpack(self, scale: &Scale) -> (f64, f64) {
        (self.gradient as f64, self.hessian as f64 * scale.hessian_step)
    }

    #[inline(always)]
    fn is_empty(self) -> bool {
        self.hessian == 0
    }
}

/// A round's gradients as whole numbers.
#[derive(Debug)]
pub(crate) enum Cells<'a> {
    Packed(&'a [Packed], Scale),
    Wide(&'a [Wide], Scale),
}

/// Turns each round's gradients into whole numbers; keeps the memory between rounds.
#[derive(Debug)]
pub(crate) struct Quantizer {
    packed: Vec<Packed>,
    wide: Vec<Wide>,
    /// Of the rows, in units of `hessian_step`; `None` for 1 each.
    hessians: Option<Vec<i64>>,
    hessian_step: f64,
    count_bits: u32,
}

impl Quantizer {
    /// Makes a quantizer for `n` rows whose hessians are the weights, or 1.
    pub(crate) fn new(n: usize, weights: Option<&[f64]>) -> Self {
        let count_bits = usize::BITS - n.leading_zeros();
        let (hessians, hessian_step) = match weights {
            None => (None, 1.0),
            Some(weights) => {
                let largest = weights.iter().copied().fold(0.0, f64::max);
                let factor = power(largest, (62 - count_bits as i32).min(ROUNDABLE));
                let whole = |&w: &f64| round(w * factor).max(1);
                (Some(weights.iter().map(whole).collect()), 1.0 / factor)
            }
        };
        Self { packed: Vec::new(), wide: Vec::new(), hessians, hessian_step, count_bits }
    }

    /// Converts gradients whose largest magnitude is `largest`.
    pub(crate) fn quantize(&mut self, gradients: &[f64], largest: f64) -> Cells<'_> {
        let bits = self.count_bits as i32;
        let scale = |factor: f64| Scale {
            count_bits: self.count_bits,
            count_mask: (1_i64 << self.count_bits) - 1,
            step: 1.0 / factor,
            hessian_step: self.hessian_step,
        };
        if self.hessians.is_none() && 63 - 2 * bits > WANTED_BITS {
            let factor = power(largest, (63 - 2 * bits).min(ROUNDABLE));
            let faint = f64::from(1 << WANTED_BITS) / factor;
            self.packed.resize(gradients.len(), Packed::default());
            let count_bits = self.count_bits;
            let convert = |(out, gradients): (&mut [Packed], &[f64])| {
                let mut too_faint = 0_usize;
                for (out, &g) in out.iter_mut().zip(gradients) {
                    *out = Packed((round(g * factor) << count_bits).wrapping_add(1));
                    too_faint += usize::from(g.abs() < faint && g != 0.0);
                }
                too_faint
            };
            let too_faint: usize = self
                .packed
                .par_chunks_mut(CHUNK)
                .zip(gradients.par_chunks(CHUNK))
                .map(convert)
                .sum();
            if too_faint <= gradients.len() / 8 {
                return Cells::Packed(&self.packed, scale(factor));
            }
        }
        let factor = power(largest, (62 - bits).min(ROUNDABLE));
        let hessians = self.hessians.as_deref();
        self.wide.resize(gradients.len(), Wide::default());
        let convert = |(chunk, (out, gradients)): (usize, (&mut [Wide], &[f64]))| {
            for (i, (out, &g)) in out.iter_mut().zip(gradients).enumerate() {
                *out = Wide {
                    gradient: round(g * factor),
                    hessian: hessians.map_or(1, |h| h[chunk * CHUNK + i]),
                };
            }
        };
        self.wide
            .par_chunks_mut(CHUNK)
            .zip(gradients.par_chunks(CHUNK))
            .enumerate()
            .for_each(convert);
        Cells::Wide(&self.wide, scale(factor))
    }
}

/// Rounds to the nearest whole number, halves to even, for `|x| <= 2^50`: the low bits of the sum
/// with 1.5 · 2^52 are the number.
fn round(x: f64) -> i64 {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    ((x + SHIFT).to_bits() as i64).wrapping_sub(SHIFT.to_bits() as i64)
}

/// The power of two that takes `largest` as far toward `2^bits` as it goes without exceeding it.
fn power(largest: f64, bits: i32) -> f64 {
    let exponent = match (largest.to_bits() >> 52) as i32 & 0x7ff {
        0 => -1022,
        biased => biased - 1023,
    };
    // Within the normal numbers, inverse included.
    let wanted = (bits - exponent - 1).clamp(-1000, 1000);
    f64::from_bits(((wanted + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total<C: Cell>(cells: &[C], scale: &Scale) -> (f64, f64) {
        let sum = cells.iter().fold(C::default(), |sum, &cell| sum + cell);
        let (gradient, hessian) = sum.unpack(scale);
        (gradient * scale.step, hessian)
    }

    #[test]
    fn one_giant_among_many_switches_to_the_wide_cells() {
        let n = 200_000;
        let mut gradients: Vec<f64> = (0..n).map(|i| f64::from(i % 7) - 3.0).collect();
        let mut quantizer = Quantizer::new(gradients.len(), None);
        assert!(matches!(quantizer.quantize(&gradients, 3.0), Cells::Packed(..)));
        gradients[77] = 1e7;
        let Cells::Wide(cells, scale) = quantizer.quantize(&gradients, 1e7) else {
            panic!("a step of {} is too coarse", 1e7 / 2_f64.powi(27));
        };
        let rest = gradients[78..].iter().sum::<f64>();
        assert!((total(&cells[78..], &scale).0 - rest).abs() < 1e-2);
    }

    #[test]
    fn powers_do_not_overflow_the_sum() {
        for largest in [1e-308, 5e-324, 1e-12, 0.75, 1.0, 3.0, 1e12, 1e300, f64::MAX] {
            let factor = power(largest, 40);
            assert!(largest * factor <= 2_f64.powi(40), "{largest}");
            assert!((1.0 / factor).is_finite() && factor.is_normal(), "{largest}");
        }
        assert_eq!(power(1.0, 40), 2_f64.powi(39));
    }

    proptest! {
        #[test]
        fn prop_sums_are_right_to_the_step_and_counts_are_exact(
            gradients in prop::collection::vec(-1e3_f64..1e3, 1..300),
            weights in prop::option::of(prop::collection::vec(1e-3_f64..1e3, 300)),
        ) {
            let n = gradients.len();
            let weights = weights.map(|w| w[..n].to_vec());
            let largest = gradients.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
            let mut quantizer = Quantizer::new(n, weights.as_deref());
            let (gradient, hessian) = match quantizer.quantize(&gradients, largest) {
                Cells::Packed(cells, scale) => total(cells, &scale),
                Cells::Wide(cells, scale) => total(cells, &scale),
            };
            let exact: f64 = gradients.iter().sum();
            let weight = weights.map_or(n as f64, |w| w.iter().sum());
            prop_assert!((gradient - exact).abs() <= 1e-9 * largest);
            prop_assert!((hessian - weight).abs() <= 1e-9 * weight);
        }
    }
}
