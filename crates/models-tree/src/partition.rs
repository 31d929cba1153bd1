use rayon::prelude::*;

use crate::accumulator::Cell;
use crate::matrix::{BinRow, BinRule};

/// Rows that one task moves.
const CHUNK: usize = 16_384;

/// Moves the rows that go left before those that go right, each in their old order, and returns how
/// many go left. `scratch` is as long as `rows`.
pub(crate) fn partition(
    rows: &mut [u32],
    scratch: &mut [u32],
    bins: &[BinRow],
    lane: usize,
    rule: BinRule,
) -> usize {
    if rows.len() < 2 * CHUNK {
        let left = partition_chunk(rows, scratch, bins, lane, rule);
        let right = rows.len() - left;
        rows[left..].copy_from_slice(&scratch[..right]);
        return left;
    }
    let lefts: Vec<usize> = rows
        .par_chunks_mut(CHUNK)
        .zip(scratch.par_chunks_mut(CHUNK))
        .map(|(rows, scratch)| partition_chunk(rows, scratch, bins, lane, rule))
        .collect();
    let mut to = 0;
    for (i, &left) in lefts.iter().enumerate() {
        rows.copy_within(i * CHUNK..i * CHUNK + left, to);
        to += left;
    }
    let all_left = to;
    for (scratch, &left) in scratch.chunks(CHUNK).zip(&lefts) {
        let right = scratch.len() - left;
        rows[to..to + right].copy_from_slice(&scratch[..right]);
        to += right;
    }
    all_left
}

/// Leaves the rows that go left at the front of `rows`, the others at the front of `scratch`.
fn partition_chunk(
    rows: &mut [u32],
    scratch: &mut [u32],
    bins: &[BinRow],
    lane: usize,
    rule: BinRule,
) -> usize {
    let (mut left, mut right) = (0, 0);
    for i in 0..rows.len() {
        let row = rows[i];
        let goes_right = rule.goes_right(bins[row as usize][lane]);
        // Both are written, one of them counts: no branch to mispredict.
        rows[left] = row;
        scratch[right] = row;
        left += usize::from(!goes_right);
        right += usize::from(goes_right);
    }
    left
}

/// Copies the rows' cells into their order.
pub(crate) fn gather<C: Cell>(to: &mut [C], cells: &[C], rows: &[u32]) {
    let copy = |(to, rows): (&mut [C], &[u32])| {
        for (to, &row) in to.iter_mut().zip(rows) {
            *to = cells[row as usize];
        }
    };
    if rows.len() < 2 * CHUNK {
        copy((to, rows));
    } else {
        to.par_chunks_mut(CHUNK).zip(rows.par_chunks(CHUNK)).for_each(copy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_keep_their_order_in_small_and_large_nodes() {
        for n in [0_u32, 1, 1000, 100_003] {
            let bins: Vec<BinRow> = (0..n).map(|i| [(i * 7 % 256) as u8; 8]).collect();
            let rule = BinRule::new(100, false);
            let mut rows: Vec<u32> = (0..n).collect();
            let left = partition(&mut rows, &mut vec![0; n as usize], &bins, 3, rule);
            let goes_right = |row: &u32| rule.goes_right(bins[*row as usize][3]);
            let (expected_right, expected_left): (Vec<u32>, Vec<u32>) =
                (0..n).partition(goes_right);
            assert_eq!(rows[..left], expected_left);
            assert_eq!(rows[left..], expected_right);
        }
    }
}
