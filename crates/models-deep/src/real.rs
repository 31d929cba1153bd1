use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::vectors::Vectors;

/// A number that the layers compute with: `f32` in use, `f64` where tests differentiate by finite
/// differences.
///
/// The functions are free of branches and calls for `f32`, so that loops over slices vectorise.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + Sum
    + Vectors
{
    const ZERO: Self;
    const ONE: Self;

    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn exp(self) -> Self;
    fn tanh(self) -> Self;
    /// `1 / (1 + exp(−x))`.
    fn sigmoid(self) -> Self;
    fn sqrt(self) -> Self;
    /// The error function, `2/√π ∫₀ˣ exp(−t²) dt`.
    fn erf(self) -> Self;
    /// `self · factor + term`, rounded once: one instruction inside
    /// [`vectorised`](crate::simd::vectorised), a slow call outside.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// The larger; where one is NaN, NaN or the other.
    fn larger(self, other: Self) -> Self;
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn exp(self) -> Self {
        f64::exp(self)
    }

    fn tanh(self) -> Self {
        f64::tanh(self)
    }

    fn sigmoid(self) -> Self {
        1.0 / (1.0 + f64::exp(-self))
    }

    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    fn erf(self) -> Self {
        libm::erf(self)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        f64::mul_add(self, factor, term)
    }

    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    /// Cephes' polynomial after taking out powers of two; within 2 units in the last place, cut to
    /// the range of normal numbers. NaN stays NaN.
    #[inline(always)]
    fn exp(self) -> Self {
        // Adding and taking away 1.5 · 2²³ rounds to a whole number, whose bits are the sum's last.
        const ROUND: f32 = 12_582_912.0;
        // Where 2ⁿ leaves the normal numbers; `clamp` keeps NaN.
        let x = self.clamp(-87.336_54, 88.376_26);
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * 0.693_359_4;
        let r = r + n * 2.121_944_4e-4;
        let mut p = 1.987_569_1e-4;
        p = p * r + 1.398_199_9e-3;
        p = p * r + 8.333_452e-3;
        p = p * r + 4.166_579_6e-2;
        p = p * r + 1.666_666_5e-1;
        p = p * r + 0.5;
        let value = p * (r * r) + r + 1.0;
        // 2ⁿ in two halves: n reaches 128, one more than an exponent holds.
        let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
        let half = n >> 1;
        let power = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
        value * power(half) * power(n - half)
    }

    /// `1 − 2 / (exp(2x) + 1)`, a polynomial near 0 where that cancels.
    #[inline(always)]
    fn tanh(self) -> Self {
        let x = self;
        let square = x * x;
        let mut p = -5.704_988_7e-3;
        p = p * square + 2.063_909e-2;
        p = p * square - 5.373_971_6e-2;
        p = p * square + 1.333_144_2e-1;
        p = p * square - 3.333_328e-1;
        let small = p * square * x + x;
        let large = 1.0 - 2.0 / (Real::exp(x + x) + 1.0);
        if square < 0.390_625 { small } else { large }
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        1.0 / (1.0 + Real::exp(-self))
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    /// N. Juffa's two polynomials, near 0 and in the exponent further out.
    #[inline(always)]
    fn erf(self) -> Self {
        let x = self.abs();
        let square = x * x;
        let mut p = -5.967_617e-4;
        p = p * square + 4.991_194_2e-3;
        p = p * square - 2.676_813_5e-2;
        p = p * square + 1.128_199_25e-1;
        p = p * square - 3.761_253_4e-1;
        p = p * square + 1.283_791_7e-1;
        let small = p * self + self;
        // Past 4 the answer is 1 to the last bit; NaN stays.
        let x = if x > 4.0 { 4.0 } else { x };
        let mut p = -1.728_534_7e-5 * x + 3.831_972e-4;
        p = p * (x * x) + (2.425_462_2e-2 - 3.883_964_4e-3 * x);
        p = p * x - 1.067_778_8e-1;
        p = p * x - 6.348_467e-1;
        p = p * x - 1.287_175_1e-1;
        let large = (1.0 - Real::exp(p * x - x)).copysign(self);
        if square < 0.860_697_7 { small } else { large }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        f32::mul_add(self, factor, term)
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest error over `[-range, range]`, in units of the last place.
    fn worst(range: f32, ours: impl Fn(f32) -> f32, truth: impl Fn(f64) -> f64) -> f64 {
        let steps = 400_000;
        let ulps = (0..=steps).map(|i| {
            let x = range * (2.0 * i as f32 / steps as f32 - 1.0);
            let exact = truth(f64::from(x));
            let ulp = f64::from((exact.abs() as f32).next_up()) - f64::from(exact.abs() as f32);
            (f64::from(ours(x)) - exact).abs() / ulp
        });
        ulps.fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_right_to_the_last_bits() {
        assert!(worst(87.0, Real::exp, f64::exp) < 2.0);
        assert!(worst(20.0, Real::tanh, f64::tanh) < 3.0);
        assert!(worst(80.0, Real::sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 4.0);
        assert!(worst(6.0, Real::erf, libm::erf) < 3.0);
    }

    #[test]
    fn functions_keep_nan_and_stay_in_range_far_out() {
        for f in [Real::exp, Real::tanh, Real::sigmoid, Real::erf] {
            let f: fn(f32) -> f32 = f;
            assert!(f(f32::NAN).is_nan());
        }
        assert_eq!(Real::tanh(f32::INFINITY), 1.0_f32);
        assert_eq!(Real::tanh(-1e30_f32), -1.0);
        assert_eq!(Real::sigmoid(1e30_f32), 1.0);
        assert_eq!(Real::erf(f32::INFINITY), 1.0);
        assert_eq!(Real::erf(-1e30_f32), -1.0);
        assert!(Real::sigmoid(-1e30_f32) < 1e-37);
        assert!(Real::exp(1000.0_f32).is_finite());
        assert_eq!(Real::exp(0.0_f32), 1.0);
        assert_eq!(Real::tanh(0.0_f32), 0.0);
    }
}
