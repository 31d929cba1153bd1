//! The loops over a GRU's numbers, compiled for the processor's widest vectors.

use crate::real::Real;
use crate::simd::vectorised;

/// Numbers that loops go through at once.
pub(crate) const LANES: usize = 16;

/// Columns of a product whose sums are kept at once; gates are a whole number of them.
const COLUMNS: usize = 3 * LANES;

/// Computes a step's states from what goes into its gates.
///
/// - `gates`: `(batch, 4 · width)`, what goes into n (without q), r and z, and q; replaced by n, r,
///   z and q
/// - `before`: `(batch, width)`, the states before the step; empty for zeros
/// - `now`: `(batch, width)`, replaced
pub(crate) fn forward<T: Real>(width: usize, gates: &mut [T], before: &[T], now: &mut [T]) {
    let (before, zeros) = (before.as_chunks::<LANES>().0, [T::ZERO; LANES]);
    vectorised(
        #[inline(always)]
        || {
            for (row, (gates, now)) in
                gates.chunks_exact_mut(4 * width).zip(now.chunks_exact_mut(width)).enumerate()
            {
                let (gates, now) = (gates.as_chunks_mut().0, now.as_chunks_mut().0);
                let blocks = now.len();
                let (n, rest) = gates.split_at_mut(blocks);
                let (rz, q) = rest.split_at_mut(2 * blocks);
                // In two passes, so that no number waits for the two before it.
                for lanes in rz.iter_mut() {
                    for x in lanes {
                        *x = x.sigmoid();
                    }
                }
                let (r, z) = rz.split_at(blocks);
                for i in 0..blocks {
                    let before = before.get(row * blocks + i).unwrap_or(&zeros);
                    forward_lanes(&mut n[i], &r[i], &z[i], &q[i], before, &mut now[i]);
                }
            }
        },
    );
}

#[inline(always)]
fn forward_lanes<T: Real>(
    n: &mut [T; LANES],
    r: &[T; LANES],
    z: &[T; LANES],
    q: &[T; LANES],
    before: &[T; LANES],
    now: &mut [T; LANES],
) {
    for i in 0..LANES {
        n[i] = (n[i] + r[i] * q[i]).tanh();
        now[i] = n[i] + z[i] * (before[i] - n[i]);
    }
}

/// Goes back through a step.
///
/// - `gates`: `(batch, 4 · width)`, n, r, z and q; replaced by the loss's derivatives by what goes
///   into n, r and z, and by q
/// - `before`: as it went forward
/// - `d`: `(batch, width)`, the loss's derivative by the states; replaced by its part by the states
///   before that does not go through the gates
pub(crate) fn backward<T: Real>(width: usize, gates: &mut [T], before: &[T], d: &mut [T]) {
    let (before, zeros) = (before.as_chunks::<LANES>().0, [T::ZERO; LANES]);
    vectorised(
        #[inline(always)]
        || {
            for (row, (gates, d)) in
                gates.chunks_exact_mut(4 * width).zip(d.chunks_exact_mut(width)).enumerate()
            {
                let (gates, d) = (gates.as_chunks_mut().0, d.as_chunks_mut().0);
                let blocks = d.len();
                let (n, rest) = gates.split_at_mut(blocks);
                let (r, rest) = rest.split_at_mut(blocks);
                let (z, q) = rest.split_at_mut(blocks);
                for i in 0..blocks {
                    let before = before.get(row * blocks + i).unwrap_or(&zeros);
                    backward_lanes(&mut n[i], &mut r[i], &mut z[i], &mut q[i], before, &mut d[i]);
                }
            }
        },
    );
}

#[inline(always)]
fn backward_lanes<T: Real>(
    n: &mut [T; LANES],
    r: &mut [T; LANES],
    z: &mut [T; LANES],
    q: &mut [T; LANES],
    before: &[T; LANES],
    d: &mut [T; LANES],
) {
    for i in 0..LANES {
        let (n_, r_, z_, q_) = (n[i], r[i], z[i], q[i]);
        let d_n = d[i] * (T::ONE - z_) * (T::ONE - n_ * n_);
        n[i] = d_n;
        r[i] = d_n * q_ * r_ * (T::ONE - r_);
        z[i] = d[i] * (before[i] - n_) * z_ * (T::ONE - z_);
        q[i] = d_n * r_;
        d[i] *= z_;
    }
}

/// `gates += state · weights`, for a single state: `(n,)` from `(k,)` and `(k, n)`.
///
/// For one row this is faster than [`product`](crate::matrix::product), which packs its factors
/// first. Going through the weights backwards every other time finds the end of the last time still
/// in the fastest cache, which is smaller than the weights of 64 units.
pub(crate) fn add_product<T: Real>(gates: &mut [T], state: &[T], weights: &[T], backwards: bool) {
    let n = gates.len();
    vectorised(
        #[inline(always)]
        || {
            let blocks = gates.as_chunks_mut::<COLUMNS>().0.iter_mut().enumerate();
            if backwards {
                blocks.rev().for_each(
                    #[inline(always)]
                    |(i, sums)| {
                        let rows = weights.chunks_exact(n).zip(state).rev();
                        *sums = add_columns(*sums, i * COLUMNS, rows);
                    },
                );
            } else {
                blocks.for_each(
                    #[inline(always)]
                    |(i, sums)| {
                        let rows = weights.chunks_exact(n).zip(state);
                        *sums = add_columns(*sums, i * COLUMNS, rows);
                    },
                );
            }
        },
    );
}

/// Adds rows from column `start` on, each times its number; the sums stay in registers.
#[inline(always)]
fn add_columns<'a, T: Real>(
    mut sums: [T; COLUMNS],
    start: usize,
    rows: impl Iterator<Item = (&'a [T], &'a T)>,
) -> [T; COLUMNS] {
    for (row, &factor) in rows {
        if let Some(row) = row[start..].first_chunk::<COLUMNS>() {
            for (sum, &weight) in sums.iter_mut().zip(row) {
                *sum += factor * weight;
            }
        }
    }
    sums
}

/// Writes the transpose of `(n, n_cols)`, its rows `stride` apart.
pub(crate) fn transpose<T: Copy>(from: &[T], n_cols: usize, to: &mut [T], stride: usize) {
    // A cache line of `to` at a time: whole columns would drive each other out of the cache.
    for (block, rows) in from.chunks(LANES * n_cols).enumerate() {
        let n = rows.len() / n_cols;
        for (j, to) in to[block * LANES..].chunks_mut(stride).take(n_cols).enumerate() {
            for (to, row) in to[..n].iter_mut().zip(rows.chunks_exact(n_cols)) {
                *to = row[j];
            }
        }
    }
}

/// `to += from`, as far as the shorter goes.
pub(crate) fn add<T: Real>(to: &mut [T], from: &[T]) {
    vectorised(
        #[inline(always)]
        || {
            for (to, &from) in to.iter_mut().zip(from) {
                *to += from;
            }
        },
    );
}

/// Writes the sums of columns: `(sums.len(),)` from `(rows, sums.len())`.
pub(crate) fn sum_rows<T: Real>(rows: &[T], sums: &mut [T]) {
    vectorised(
        #[inline(always)]
        || {
            sums.fill(T::ZERO);
            for row in rows.chunks_exact(sums.len()) {
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        },
    );
}
