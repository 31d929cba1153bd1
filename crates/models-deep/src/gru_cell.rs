//! What happens to every number of a GRU's gates in a step.

use crate::real::Real;
use crate::simd::vectorised;

/// Numbers that loops go through at once.
pub(crate) const LANES: usize = 16;

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
                let (r, rest) = rest.split_at_mut(blocks);
                let (z, q) = rest.split_at_mut(blocks);
                for i in 0..blocks {
                    let before = before.get(row * blocks + i).unwrap_or(&zeros);
                    forward_lanes(&mut n[i], &mut r[i], &mut z[i], &q[i], before, &mut now[i]);
                }
            }
        },
    );
}

#[inline(always)]
fn forward_lanes<T: Real>(
    n: &mut [T; LANES],
    r: &mut [T; LANES],
    z: &mut [T; LANES],
    q: &[T; LANES],
    before: &[T; LANES],
    now: &mut [T; LANES],
) {
    for i in 0..LANES {
        r[i] = r[i].sigmoid();
        z[i] = z[i].sigmoid();
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

/// `to += from`.
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
