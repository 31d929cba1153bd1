use rayon::prelude::*;

use crate::accumulator::Cell;
use crate::binning::{FeatureBins, MISSING};
use crate::matrix::{BinRow, LANES};
use crate::simd::vectorised;

/// Sums over one feature's bins, missing values last.
pub(crate) type FeatureHistogram<C> = [C; 256];

/// Histograms of a block of features.
pub(crate) type BlockHistogram<C> = [FeatureHistogram<C>; LANES];

/// Histograms of all features over a node's rows, a block after the other.
pub(crate) type Histogram<C> = Vec<BlockHistogram<C>>;

/// Rows that one piece of a shared block sums.
const PIECE: usize = 32_768;

/// Rows of a block that are collected before they are summed; they and the histogram fit the
/// first-level cache.
const COLLECTED: usize = 512;

/// Says which rows of a block to sum.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NodeRows<'a> {
    /// Every row, in order.
    All,
    /// These rows.
    Some(&'a [u32]),
}

/// Sums the cells of a node's rows into the histograms of one block.
///
/// - `cells`: one a row of the node, in the order of `rows`
/// - `share`: whether several threads may share this block
pub(crate) fn fill<C: Cell>(
    histogram: &mut BlockHistogram<C>,
    features: &[FeatureBins],
    bins: &[BinRow],
    rows: NodeRows<'_>,
    cells: &[C],
    share: bool,
) {
    clear(histogram, features);
    if !share || cells.len() < 2 * PIECE {
        return add_rows(histogram, features.len(), bins, rows, cells);
    }
    // Whole numbers: the pieces' order and size change nothing.
    let piece = |(i, cells): (usize, &[C])| {
        let mut sums = vec![[[C::default(); 256]; LANES]; 1];
        let from = i * PIECE;
        let to = from + cells.len();
        if let Some(sums) = sums.first_mut() {
            match rows {
                NodeRows::All => {
                    add_rows(sums, features.len(), &bins[from..to], NodeRows::All, cells);
                }
                NodeRows::Some(rows) => {
                    let rows = NodeRows::Some(&rows[from..to]);
                    add_rows(sums, features.len(), bins, rows, cells);
                }
            }
        }
        sums
    };
    let sum = cells.par_chunks(PIECE).enumerate().map(piece).reduce_with(|mut a, b| {
        for (a, b) in a.iter_mut().flatten().flatten().zip(b.iter().flatten().flatten()) {
            *a = *a + *b;
        }
        a
    });
    if let Some(sum) = sum.as_deref().and_then(<[_]>::first) {
        *histogram = *sum;
    }
}

/// Turns a parent's histograms into those of one child, by taking the other's away.
pub(crate) fn subtract<C: Cell>(
    parent: &mut BlockHistogram<C>,
    child: &BlockHistogram<C>,
    features: &[FeatureBins],
) {
    vectorised(
        #[inline(always)]
        || {
            for ((parent, child), feature) in parent.iter_mut().zip(child).zip(features) {
                let n = feature.n_bins();
                for (p, c) in parent[..n].iter_mut().zip(&child[..n]) {
                    *p = *p - *c;
                }
                let last = usize::from(MISSING);
                parent[last] = parent[last] - child[last];
            }
        },
    );
}

fn clear<C: Cell>(histogram: &mut BlockHistogram<C>, features: &[FeatureBins]) {
    for (sums, feature) in histogram.iter_mut().zip(features) {
        sums[..feature.n_bins()].fill(C::default());
        sums[usize::from(MISSING)] = C::default();
    }
}

fn add_rows<C: Cell>(
    histogram: &mut BlockHistogram<C>,
    lanes: usize,
    bins: &[BinRow],
    rows: NodeRows<'_>,
    cells: &[C],
) {
    match lanes {
        1 => add_lanes::<C, 1>(histogram, bins, rows, cells),
        2 => add_lanes::<C, 2>(histogram, bins, rows, cells),
        3 => add_lanes::<C, 3>(histogram, bins, rows, cells),
        4 => add_lanes::<C, 4>(histogram, bins, rows, cells),
        5 => add_lanes::<C, 5>(histogram, bins, rows, cells),
        6 => add_lanes::<C, 6>(histogram, bins, rows, cells),
        7 => add_lanes::<C, 7>(histogram, bins, rows, cells),
        _ => add_lanes::<C, LANES>(histogram, bins, rows, cells),
    }
}

/// The innermost loop of all: a `u8` cannot leave an array of 256, so it has no bounds checks.
fn add_lanes<C: Cell, const N: usize>(
    histogram: &mut BlockHistogram<C>,
    bins: &[BinRow],
    rows: NodeRows<'_>,
    cells: &[C],
) {
    let mut add = |row: &BinRow, cell: C| {
        for lane in 0..N {
            let sum = &mut histogram[lane][usize::from(row[lane])];
            *sum = *sum + cell;
        }
    };
    match rows {
        NodeRows::All => {
            for (row, &cell) in bins.iter().zip(cells) {
                add(row, cell);
            }
        }
        NodeRows::Some(rows) => {
            // Scattered rows are collected first: a loop that does nothing else has more of them
            // on their way from memory at once.
            let mut collected = [[0; LANES]; COLLECTED];
            for (rows, cells) in rows.chunks(COLLECTED).zip(cells.chunks(COLLECTED)) {
                for (to, &row) in collected.iter_mut().zip(rows) {
                    *to = bins[row as usize];
                }
                for (row, &cell) in collected.iter().zip(cells) {
                    add(row, cell);
                }
            }
        }
    }
}

/// Keeps the memory of histograms that are no longer needed.
#[derive(Debug)]
pub(crate) struct HistogramPool<C> {
    n_blocks: usize,
    free: Vec<Histogram<C>>,
}

impl<C: Cell> HistogramPool<C> {
    pub(crate) fn new(n_blocks: usize) -> Self {
        Self { n_blocks, free: Vec::new() }
    }

    /// Histograms with any content.
    pub(crate) fn take(&mut self) -> Histogram<C> {
        let fresh = || vec![[[C::default(); 256]; LANES]; self.n_blocks];
        self.free.pop().unwrap_or_else(fresh)
    }

    pub(crate) fn give_back(&mut self, histogram: Histogram<C>) {
        if histogram.len() == self.n_blocks {
            self.free.push(histogram);
        }
    }

    /// Nodes whose histograms may be worked on together within about 32 MiB.
    pub(crate) fn batch(&self) -> usize {
        let bytes = self.n_blocks * size_of::<BlockHistogram<C>>();
        ((32 << 20) / bytes.max(1)).max(1)
    }
}
