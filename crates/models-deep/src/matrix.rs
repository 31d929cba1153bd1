use std::any::TypeId;

use gemm::{Parallelism, gemm};

use crate::real::Real;

/// Reads a slice as a matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Row-major, without gaps: `(rows, cols)`.
    #[inline]
    pub(crate) fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Row-major, a row begins every `row_stride` numbers.
    #[inline]
    pub(crate) fn strided(data: &'a [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose.
    #[inline]
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    fn fits(&self) -> bool {
        self.rows == 0 || self.cols == 0 || {
            (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride < self.data.len()
        }
    }
}

/// Writes a slice as a row-major matrix.
#[derive(Debug)]
pub(crate) struct MatrixMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
}

impl<'a, T> MatrixMut<'a, T> {
    /// Without gaps: `(rows, cols)`.
    #[inline]
    pub(crate) fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A row begins every `row_stride` numbers.
    #[inline]
    pub(crate) fn strided(data: &'a mut [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        Self { data, rows, cols, row_stride }
    }
}

/// Says what becomes of the numbers that a product is written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// They are replaced.
    Replace,
    /// The product is added to them.
    Add,
}

/// `out = a · b`, or `out += a · b`, on the calling thread: `(m, n)` from `(m, k)` and `(k, n)`.
///
/// The bits depend on the shapes and the processor alone.
///
/// # Panics
/// Never for views that fit their slices and each other, which the layers see to.
#[allow(unsafe_code, reason = "gemm takes pointers; the assertions make sure that they are valid")]
pub(crate) fn product<T: Real>(
    out: MatrixMut<'_, T>,
    write: Write,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
) {
    let MatrixMut { data, rows, cols, row_stride } = out;
    let whole = Matrix { data: &*data, rows, cols, row_stride, col_stride: 1 };
    assert!(a.fits() && b.fits() && whole.fits(), "a matrix reaches past its slice");
    assert!(a.rows == rows && b.cols == cols && a.cols == b.rows, "matrices do not fit each other");
    // Rows of the output may not overlap: they are written to.
    assert!(rows <= 1 || row_stride >= cols, "rows of the output overlap");
    assert!(
        TypeId::of::<T>() == TypeId::of::<f32>() || TypeId::of::<T>() == TypeId::of::<f64>(),
        "matrix products exist for f32 and f64"
    );
    // SAFETY: every element of the three matrices lies inside its slice and the output's elements
    // are distinct (asserted above); `data` is borrowed mutably, so it overlaps neither `a` nor `b`.
    unsafe {
        gemm(
            rows,
            cols,
            a.cols,
            data.as_mut_ptr(),
            1,
            row_stride as isize,
            write == Write::Add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_take_strides_and_transposes() {
        let a = [1.0_f32, 2.0, 9.0, 3.0, 4.0, 9.0];
        let b = [5.0_f32, 6.0, 7.0, 8.0];
        let mut out = [1.0_f32; 6];
        let (a, b) = (Matrix::strided(&a, 2, 2, 3), Matrix::new(&b, 2, 2));
        product(MatrixMut::strided(&mut out, 2, 2, 3), Write::Replace, a, b);
        assert_eq!(out, [19.0, 22.0, 1.0, 43.0, 50.0, 1.0]);
        product(MatrixMut::strided(&mut out, 2, 2, 3), Write::Add, a.t(), b.t());
        assert_eq!(out, [19.0 + 23.0, 22.0 + 31.0, 1.0, 43.0 + 34.0, 50.0 + 46.0, 1.0]);
    }

    #[test]
    fn an_empty_sum_is_zero() {
        let mut out = [7.0_f64; 2];
        product(
            MatrixMut::new(&mut out, 1, 2),
            Write::Replace,
            Matrix::new(&[], 1, 0),
            Matrix::new(&[], 0, 2),
        );
        assert_eq!(out, [0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "reaches past its slice")]
    fn a_view_past_its_slice_is_caught() {
        let mut out = [0.0_f32; 3];
        let a = [0.0_f32; 4];
        product(
            MatrixMut::new(&mut out, 2, 2),
            Write::Replace,
            Matrix::new(&a, 2, 2),
            Matrix::new(&a, 2, 2),
        );
    }
}
