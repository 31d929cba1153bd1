//! Sums whose order is written out, so that they vectorise: a compiler may not reorder a sum of
//! floating-point numbers by itself.
//!
//! Everything is `#[inline(always)]`, to be called inside
//! [`vectorised`](crate::simd::vectorised).

use crate::real::Real;

/// Numbers that are worked on at once; one AVX-512 register of `f32`.
pub(crate) const LANES: usize = 16;

/// `n` rounded up to whole lanes.
pub(crate) fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

#[inline(always)]
fn reduce<T: Real>(mut lanes: [T; LANES], combine: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = combine(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// `Σ x`.
#[inline(always)]
pub(crate) fn sum<T: Real>(x: &[T]) -> T {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [T::ZERO; LANES];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    rest.iter().fold(reduce(lanes, |a, b| a + b), |sum, &x| sum + x)
}

/// `Σ a · b`.
#[inline(always)]
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [T::ZERO; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = a.mul_add(b, *lane);
        }
    }
    let sum = reduce(lanes, |a, b| a + b);
    a_rest.iter().zip(b_rest).fold(sum, |sum, (&a, &b)| a.mul_add(b, sum))
}

/// The largest number; NaN, or any of them, where one is NaN.
#[inline(always)]
pub(crate) fn largest<T: Real>(x: &[T]) -> T {
    let Some(&first) = x.first() else { return T::ZERO };
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [first; LANES];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = lane.larger(x);
        }
    }
    rest.iter().fold(reduce(lanes, Real::larger), |best, &x| best.larger(x))
}

/// `out += factor · x`.
#[inline(always)]
pub(crate) fn add_scaled<T: Real>(out: &mut [T], factor: T, x: &[T]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = factor.mul_add(x, *out);
    }
}

/// Rows of a product that are summed side by side, each in registers of its own.
const ROWS: usize = 4;

/// `out = a · b` for matrices that are too small for the set-up of a general product.
///
/// - `out`: `(n, width)`, `width` in whole lanes
/// - `a`: `(n, depth)`, a row begins every `a_stride` numbers
/// - `b`: `(depth, width)`
#[inline(always)]
pub(crate) fn small_product<T: Real>(
    out: &mut [T],
    width: usize,
    (a, a_stride): (&[T], usize),
    b: &[T],
) {
    let depth = b.len() / width;
    let mut rows = out.chunks_exact_mut(ROWS * width);
    let mut done = 0;
    for out in &mut rows {
        let a: [&[T]; ROWS] = std::array::from_fn(
            #[inline(always)]
            |r| &a[(done + r) * a_stride..][..depth],
        );
        tile::<T, ROWS>(
            out,
            width,
            b,
            #[inline(always)]
            |k, r| a[r][k],
        );
        done += ROWS;
    }
    for out in rows.into_remainder().chunks_exact_mut(width) {
        let a = &a[done * a_stride..][..depth];
        tile::<T, 1>(
            out,
            width,
            b,
            #[inline(always)]
            |k, _| a[k],
        );
        done += 1;
    }
}

/// `out = aᵀ · b`, as [`small_product`].
///
/// - `out`: `(n, width)`, `width` in whole lanes
/// - `a`: `(depth, a_stride)`, of which the first `n` columns count
/// - `b`: `(depth, width)`
#[inline(always)]
pub(crate) fn small_product_t<T: Real>(
    out: &mut [T],
    width: usize,
    (a, a_stride): (&[T], usize),
    b: &[T],
) {
    let depth = b.len() / width;
    let a = &a[..depth * a_stride];
    let mut rows = out.chunks_exact_mut(ROWS * width);
    let mut done = 0;
    for out in &mut rows {
        tile::<T, ROWS>(
            out,
            width,
            b,
            #[inline(always)]
            |k, r| a[k * a_stride + done + r],
        );
        done += ROWS;
    }
    for out in rows.into_remainder().chunks_exact_mut(width) {
        tile::<T, 1>(
            out,
            width,
            b,
            #[inline(always)]
            |k, _| a[k * a_stride + done],
        );
        done += 1;
    }
}

/// `R` rows of a product, one register of columns after the other.
#[inline(always)]
fn tile<T: Real, const R: usize>(
    out: &mut [T],
    width: usize,
    b: &[T],
    a: impl Fn(usize, usize) -> T,
) {
    for column in (0..width).step_by(LANES) {
        let mut sums = [[T::ZERO; LANES]; R];
        for (k, b) in b.chunks_exact(width).enumerate() {
            let Some(b) = b[column..].first_chunk::<LANES>() else { continue };
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = a(k, r);
                for (sum, &b) in sums.iter_mut().zip(b) {
                    *sum = a.mul_add(b, *sum);
                }
            }
        }
        for (out, sums) in out.chunks_exact_mut(width).zip(&sums) {
            out[column..column + LANES].copy_from_slice(sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::noise;

    #[test]
    fn sums_agree_with_plain_ones_at_every_length() {
        for n in 1..70 {
            let (a, b) = (noise(n as u64, n), noise(100 + n as u64, n));
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert!((dot(&a, &b) - plain).abs() < 1e-12);
            assert!((sum(&a) - a.iter().sum::<f64>()).abs() < 1e-12);
            assert_eq!(largest(&a), a.iter().copied().fold(f64::MIN, f64::max));
        }
    }

    #[test]
    fn small_products_agree_with_plain_ones() {
        for (n, depth, width) in [(1, 1, 16), (4, 3, 32), (7, 5, 16), (9, 2, 48)] {
            let stride = n.max(depth) + 2;
            let (a, b) = (noise(1, stride * stride), noise(2, depth * width));
            let (mut plain, mut transposed) = (vec![9.0; n * width], vec![9.0; n * width]);
            small_product(&mut plain, width, (&a, stride), &b);
            small_product_t(&mut transposed, width, (&a, stride), &b);
            for i in 0..n {
                for j in 0..width {
                    let product = |a: &dyn Fn(usize) -> f64| -> f64 {
                        (0..depth).map(|k| a(k) * b[k * width + j]).sum()
                    };
                    let wanted = product(&|k| a[i * stride + k]);
                    assert!((plain[i * width + j] - wanted).abs() < 1e-12);
                    let wanted = product(&|k| a[k * stride + i]);
                    assert!((transposed[i * width + j] - wanted).abs() < 1e-12);
                }
            }
        }
    }
}
