use pulp::{Simd, WithSimd};

use crate::lanes::LANES;
use crate::real::Real;
use crate::simd::with_simd;

/// `out = a · b` for matrices that are too small for the set-up of a general product.
///
/// - `out`: `(n, width)`, `width` in whole [`LANES`]
/// - `a`: `(n, depth)`, a row begins every `a_stride` numbers
/// - `b`: `(depth, width)`
pub(crate) fn small_product<T: Real>(
    out: &mut [T],
    width: usize,
    (a, a_stride): (&[T], usize),
    b: &[T],
) {
    with_simd(Product { out, width, a, row_stride: a_stride, col_stride: 1, b });
}

/// `out = aᵀ · b`, as [`small_product`].
///
/// - `out`: `(n, width)`, `width` in whole [`LANES`]
/// - `a`: `(depth, a_stride)`, of which the first `n` columns count
/// - `b`: `(depth, width)`
pub(crate) fn small_product_t<T: Real>(
    out: &mut [T],
    width: usize,
    (a, a_stride): (&[T], usize),
    b: &[T],
) {
    with_simd(Product { out, width, a, row_stride: 1, col_stride: a_stride, b });
}

struct Product<'a, T> {
    out: &'a mut [T],
    width: usize,
    a: &'a [T],
    row_stride: usize,
    col_stride: usize,
    b: &'a [T],
}

impl<T: Real> WithSimd for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        debug_assert!(self.width.is_multiple_of(LANES));
        let b = T::vectors::<S>(self.b).0;
        let out = T::vectors_mut::<S>(self.out).0;
        // A register holds a divisor of `LANES` numbers.
        let registers = self.width * b.len() / self.b.len().max(1);
        if registers == 0 {
            return;
        }
        let a = |row: usize| &self.a[row * self.row_stride..];
        let done = rows::<S, T, 8>(simd, out, registers, &a, self.col_stride, b, 0);
        let done = rows::<S, T, 4>(simd, out, registers, &a, self.col_stride, b, done);
        rows::<S, T, 1>(simd, out, registers, &a, self.col_stride, b, done);
    }
}

/// As many blocks of `R` rows as there are, from row `done` on; returns the first row left.
#[inline(always)]
fn rows<'a, S: Simd, T: Real, const R: usize>(
    simd: S,
    out: &mut [T::Vector<S>],
    registers: usize,
    a: &impl Fn(usize) -> &'a [T],
    col_stride: usize,
    b: &[T::Vector<S>],
    mut done: usize,
) -> usize {
    for out in out[done * registers..].chunks_exact_mut(R * registers) {
        let a: [&[T]; R] = std::array::from_fn(
            #[inline(always)]
            |r| a(done + r),
        );
        let mut column = 0;
        if R <= 4 {
            while column + 2 <= registers {
                tile::<S, T, R, 2>(simd, out, registers, column, &a, col_stride, b);
                column += 2;
            }
        }
        while column < registers {
            tile::<S, T, R, 1>(simd, out, registers, column, &a, col_stride, b);
            column += 1;
        }
        done += R;
    }
    done
}

/// `R` rows and `C` registers of columns; the sums stay in registers.
#[inline(always)]
fn tile<S: Simd, T: Real, const R: usize, const C: usize>(
    simd: S,
    out: &mut [T::Vector<S>],
    registers: usize,
    column: usize,
    a: &[&[T]; R],
    col_stride: usize,
    b: &[T::Vector<S>],
) {
    let mut sums = [[T::splat(simd, T::ZERO); C]; R];
    for (k, b) in b.chunks_exact(registers).enumerate() {
        let Some(b) = b[column..].first_chunk::<C>() else { return };
        for r in 0..R {
            let a = T::splat(simd, a[r][k * col_stride]);
            for c in 0..C {
                sums[r][c] = T::mul_add_vectors(simd, a, b[c], sums[r][c]);
            }
        }
    }
    for (out, sums) in out.chunks_exact_mut(registers).zip(&sums) {
        out[column..column + C].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::noise;

    #[test]
    fn small_products_agree_with_plain_ones() {
        for (n, depth, width) in [(1, 1, 16), (4, 3, 32), (15, 5, 16), (9, 2, 48)] {
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
