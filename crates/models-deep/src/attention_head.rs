use crate::aligned::Aligned;
use crate::dropout::Dropout;
use crate::lanes::{LANES, padded};
use crate::real::Real;
use crate::simd::vectorised;
use crate::small_product::{small_product, small_product_t};

/// One head of one window.
///
/// Scores lie transposed, `(key, query)` with rows padded to whole lanes: the softmax over keys then
/// runs over many queries at once, and no sum goes across lanes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<T> {
    pub(crate) width: usize,
    pub(crate) head_width: usize,
    pub(crate) lookback: usize,
    /// Its first column.
    pub(crate) start: usize,
    /// What scores are multiplied by.
    pub(crate) scale: T,
    /// With the place in the network and the index of the first share there.
    pub(crate) dropout: Option<(Dropout, u64, usize)>,
}

/// Room for one head of one window. Padding stays zero.
#[derive(Debug)]
pub(crate) struct HeadScratch<T> {
    /// Queries forward, the context's derivative backward, transposed: `(head_width, query)`
    transposed: Aligned<T>,
    /// Queries, keys, values or the context's derivative: `(lookback, head_width)`, padded
    rows: Aligned<T>,
    /// As `rows`
    result: Aligned<T>,
    /// Shares that dropout has left: `(key, query)`
    kept: Aligned<T>,
    /// The derivative by scores, as `kept`
    d_scores: Aligned<T>,
}

impl<T: Real> HeadScratch<T> {
    pub(crate) fn new(lookback: usize, head_width: usize) -> Self {
        let room = |n, width| Aligned::new(T::ZERO, n * padded(width));
        Self {
            transposed: room(head_width, lookback),
            rows: room(lookback, head_width),
            result: room(lookback, head_width),
            kept: room(lookback, lookback),
            d_scores: room(lookback, lookback),
        }
    }
}

impl<T: Real> Head<T> {
    /// - `projected`: queries, keys and values of the window, `(lookback, 3 · width)`
    /// - `shares`: of each key in each query, replaced
    /// - `context`: `(lookback, width)`, the head's columns are replaced
    pub(crate) fn forward(
        &self,
        projected: &[T],
        shares: &mut [T],
        context: &mut [T],
        scratch: &mut HeadScratch<T>,
    ) {
        vectorised(
            #[inline(always)]
            || {
                let HeadScratch { transposed, rows, result, kept, .. } = scratch;
                let (width, stride) = (padded(self.head_width), 3 * self.width);
                let queries = padded(self.lookback);
                self.transpose(&projected[self.start..], stride, self.scale, transposed);
                let keys = &projected[self.width + self.start..];
                small_product(shares, queries, (keys, stride), transposed);
                softmax_of_columns(shares, queries);
                self.copy_rows(&projected[2 * self.width + self.start..], stride, rows);
                let shares = self.after_dropout(shares, kept);
                small_product_t(result, width, (shares, queries), rows);
                self.write_columns(result, T::ONE, &mut context[self.start..], self.width);
            },
        );
    }

    /// - `projected`, `shares`: as they went forward
    /// - `d_context`: `(lookback, width)`
    /// - `d_projected`: `(lookback, 3 · width)`, the head's columns are replaced
    pub(crate) fn backward(
        &self,
        projected: &[T],
        shares: &[T],
        d_context: &[T],
        d_projected: &mut [T],
        scratch: &mut HeadScratch<T>,
    ) {
        vectorised(
            #[inline(always)]
            || {
                let HeadScratch { transposed, rows, result, kept, d_scores } = scratch;
                let (width, stride) = (padded(self.head_width), 3 * self.width);
                let queries = padded(self.lookback);
                let [query, key, value] = [0, 1, 2].map(|part| part * self.width + self.start);

                self.copy_rows(&d_context[self.start..], self.width, rows);
                let left = self.after_dropout(shares, kept);
                small_product(result, width, (left, queries), rows);
                self.write_columns(result, T::ONE, &mut d_projected[value..], stride);

                self.transpose(&d_context[self.start..], self.width, T::ONE, transposed);
                small_product(d_scores, queries, (&projected[value..], stride), transposed);
                if let Some((dropout, site, first)) = self.dropout {
                    dropout.apply_from(site, first, d_scores);
                }
                softmax_backward(d_scores, shares, queries);

                self.copy_rows(&projected[key..], stride, rows);
                small_product_t(result, width, (d_scores, queries), rows);
                self.write_columns(result, self.scale, &mut d_projected[query..], stride);

                self.copy_rows(&projected[query..], stride, rows);
                small_product(result, width, (d_scores, queries), rows);
                self.write_columns(result, self.scale, &mut d_projected[key..], stride);
            },
        );
    }

    #[inline(always)]
    fn after_dropout<'a>(&self, shares: &'a [T], kept: &'a mut [T]) -> &'a [T] {
        let Some((dropout, site, first)) = self.dropout else { return shares };
        kept.copy_from_slice(shares);
        dropout.apply_from(site, first, kept);
        kept
    }

    /// Columns of the window into rows of their own, scaled.
    #[inline(always)]
    fn transpose(&self, from: &[T], stride: usize, scale: T, to: &mut [T]) {
        let queries = padded(self.lookback);
        for (t, row) in from.chunks(stride).take(self.lookback).enumerate() {
            let columns = to.chunks_exact_mut(queries).zip(&row[..self.head_width]);
            for (column, &x) in columns {
                column[t] = x * scale;
            }
        }
    }

    #[inline(always)]
    fn copy_rows(&self, from: &[T], stride: usize, to: &mut [T]) {
        let rows = to.chunks_exact_mut(padded(self.head_width)).zip(from.chunks(stride));
        for (to, from) in rows {
            to[..self.head_width].copy_from_slice(&from[..self.head_width]);
        }
    }

    #[inline(always)]
    fn write_columns(&self, from: &[T], scale: T, to: &mut [T], stride: usize) {
        let rows = from.chunks_exact(padded(self.head_width)).zip(to.chunks_mut(stride));
        for (from, to) in rows {
            for (to, &x) in to[..self.head_width].iter_mut().zip(from) {
                *to = x * scale;
            }
        }
    }
}

/// Every column becomes positive with sum 1; the largest score is taken away first, so nothing
/// overflows.
#[inline(always)]
fn softmax_of_columns<T: Real>(scores: &mut [T], width: usize) {
    for column in (0..width).step_by(LANES) {
        let mut largest = [T::from_f64(f64::NEG_INFINITY); LANES];
        for row in scores.chunks_exact(width) {
            for (largest, &x) in largest.iter_mut().zip(&row[column..column + LANES]) {
                *largest = x.larger(*largest);
            }
        }
        let mut sums = [T::ZERO; LANES];
        for row in scores.chunks_exact_mut(width) {
            let row = &mut row[column..column + LANES];
            for ((x, &largest), sum) in row.iter_mut().zip(&largest).zip(&mut sums) {
                *x = (*x - largest).exp();
                *sum += *x;
            }
        }
        let inverse = sums.map(
            #[inline(always)]
            |sum| T::ONE / sum,
        );
        for row in scores.chunks_exact_mut(width) {
            for (x, &inverse) in row[column..column + LANES].iter_mut().zip(&inverse) {
                *x *= inverse;
            }
        }
    }
}

/// From the derivative by shares to that by scores.
#[inline(always)]
fn softmax_backward<T: Real>(d: &mut [T], shares: &[T], width: usize) {
    for column in (0..width).step_by(LANES) {
        let block = column..column + LANES;
        let mut means = [T::ZERO; LANES];
        for (d, share) in d.chunks_exact(width).zip(shares.chunks_exact(width)) {
            let numbers = d[block.clone()].iter().zip(&share[block.clone()]);
            for ((&d, &share), mean) in numbers.zip(&mut means) {
                *mean = d.mul_add(share, *mean);
            }
        }
        for (d, share) in d.chunks_exact_mut(width).zip(shares.chunks_exact(width)) {
            let numbers = d[block.clone()].iter_mut().zip(&share[block.clone()]);
            for ((d, &share), &mean) in numbers.zip(&means) {
                *d = share * (*d - mean);
            }
        }
    }
}
