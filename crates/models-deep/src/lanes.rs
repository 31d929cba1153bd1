//! Sums and scaled sums of slices, by vectors.
//!
//! Everything is `#[inline(always)]`, to be called inside [`with_simd`](crate::simd::with_simd).

use pulp::Simd;

use crate::real::Real;

/// A multiple of every register's numbers; an AVX-512 register of `f32` itself.
pub(crate) const LANES: usize = 16;

/// `n` rounded up to whole lanes.
pub(crate) fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// `Σ x`.
#[inline(always)]
pub(crate) fn sum<S: Simd, T: Real>(simd: S, x: &[T]) -> T {
    let (vectors, rest) = T::vectors::<S>(x);
    let zero = T::splat(simd, T::ZERO);
    let sums = vectors.iter().fold(
        zero,
        #[inline(always)]
        |sum, &x| T::add_vectors(simd, sum, x),
    );
    rest.iter().fold(
        T::total(simd, sums),
        #[inline(always)]
        |sum, &x| sum + x,
    )
}

/// `Σ a · b`.
#[inline(always)]
pub(crate) fn dot<S: Simd, T: Real>(simd: S, a: &[T], b: &[T]) -> T {
    let ((a, a_rest), (b, b_rest)) = (T::vectors::<S>(a), T::vectors::<S>(b));
    let mut sums = T::splat(simd, T::ZERO);
    for (&a, &b) in a.iter().zip(b) {
        sums = T::mul_add_vectors(simd, a, b, sums);
    }
    let mut sum = T::total(simd, sums);
    for (&a, &b) in a_rest.iter().zip(b_rest) {
        sum += a * b;
    }
    sum
}

/// `Σ a · b` and `Σ a · b · c`.
#[inline(always)]
pub(crate) fn dots<S: Simd, T: Real>(simd: S, a: &[T], b: &[T], c: &[T]) -> [T; 2] {
    let ((a, a_rest), (b, b_rest)) = (T::vectors::<S>(a), T::vectors::<S>(b));
    let (c, c_rest) = T::vectors::<S>(c);
    let mut sums = [T::splat(simd, T::ZERO); 2];
    for ((&a, &b), &c) in a.iter().zip(b).zip(c) {
        let product = T::mul_vectors(simd, a, b);
        sums[0] = T::add_vectors(simd, sums[0], product);
        sums[1] = T::mul_add_vectors(simd, product, c, sums[1]);
    }
    let mut sums = sums.map(
        #[inline(always)]
        |sum| T::total(simd, sum),
    );
    for ((&a, &b), &c) in a_rest.iter().zip(b_rest).zip(c_rest) {
        sums[0] += a * b;
        sums[1] += a * b * c;
    }
    sums
}

/// `out += factor · x`; inside [`vectorised`](crate::simd::vectorised) too.
#[inline(always)]
pub(crate) fn add_scaled<T: Real>(out: &mut [T], factor: T, x: &[T]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = factor.mul_add(x, *out);
    }
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::gradient_check::noise;
    use crate::simd::with_simd;

    struct Sums<'a>(&'a [f64], &'a [f64], &'a [f64]);

    impl WithSimd for Sums<'_> {
        type Output = [f64; 4];

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> [f64; 4] {
            let Self(a, b, c) = self;
            let [ab, abc] = dots(simd, a, b, c);
            [sum(simd, a), dot(simd, a, b), ab, abc]
        }
    }

    #[test]
    fn sums_agree_with_plain_ones_at_every_length() {
        for n in 0..70 {
            let [a, b, c] = [1, 2, 3].map(|seed| noise(seed, n));
            let ab: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            let abc: f64 = a.iter().zip(&b).zip(&c).map(|((a, b), c)| a * b * c).sum();
            let wanted = [a.iter().sum(), ab, ab, abc];
            for (sum, wanted) in with_simd(Sums(&a, &b, &c)).into_iter().zip(wanted) {
                assert!((sum - wanted).abs() < 1e-12, "{n}: {sum} {wanted}");
            }
        }
    }
}
