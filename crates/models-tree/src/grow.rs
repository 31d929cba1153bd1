use std::ops::Range;

use rayon::prelude::*;

use crate::accumulator::Cell;
use crate::binning::FeatureBins;
use crate::columns::Columns;
use crate::histogram::{BlockHistogram, Histogram, HistogramPool, NodeRows, fill, subtract};
use crate::matrix::{BinRule, BinnedMatrix, LANES};
use crate::params::{BoostingParams, Growth};
use crate::partition::{gather, partition};
use crate::simd::vectorised;
use crate::split::{Borders, Candidate, SplitRules};
use crate::tree::{Leaf, NodeSplit, Tree, TreeNode};

/// Sums and comparisons below which other threads are not worth waking.
const PARALLEL_WORK: usize = 60_000;

/// Grows trees; keeps its memory between them.
#[derive(Debug)]
pub(crate) struct Grower<C> {
    scratch: Vec<u32>,
    /// Cells in the order of a node's rows.
    ordered: Vec<C>,
    pool: HistogramPool<C>,
}

/// A node that can be split.
struct Open<C> {
    node: u32,
    rows: Range<usize>,
    depth: usize,
    total: C,
    split: Candidate<C>,
    histogram: Histogram<C>,
}

/// A child before it is known whether it can be split.
struct Child<C> {
    node: u32,
    rows: Range<usize>,
    total: C,
    /// Whether its splits are to be searched.
    search: bool,
    best: Option<Candidate<C>>,
}

/// The two children of a node.
struct Pair<C> {
    /// The one with fewer rows, whose histograms are summed.
    small: Child<C>,
    /// The other one, whose histograms are the parent's less the small one's.
    large: Child<C>,
    depth: usize,
    small_histogram: Histogram<C>,
    large_histogram: Histogram<C>,
}

/// One block of one pair.
struct Task<'a, C> {
    pair: usize,
    block: usize,
    small: &'a mut BlockHistogram<C>,
    large: &'a mut BlockHistogram<C>,
    rows: NodeRows<'a>,
    cells: &'a [C],
    totals: (C, C),
    search: (bool, bool),
    active: &'a [bool],
    found: (Option<Candidate<C>>, Option<Candidate<C>>),
}

/// What one tree is grown from.
pub(crate) struct Soil<'a, C> {
    pub(crate) params: &'a BoostingParams,
    pub(crate) matrix: &'a BinnedMatrix,
    /// One a row of the matrix.
    pub(crate) cells: &'a [C],
    pub(crate) rules: SplitRules,
    pub(crate) round: usize,
}

impl<C: Cell> Grower<C> {
    pub(crate) fn new(matrix: &BinnedMatrix) -> Self {
        Self {
            scratch: Vec::new(),
            ordered: Vec::new(),
            pool: HistogramPool::new(matrix.blocks().len()),
        }
    }

    /// Grows a tree on the given rows (increasing), and puts them in the order of its leaves' ranges.
    pub(crate) fn grow(&mut self, soil: &Soil<'_, C>, rows: &mut [u32]) -> Tree {
        let n = rows.len();
        self.scratch.resize(n, 0);
        self.ordered.resize(n, C::default());
        let mut columns = Columns::new(soil.params, soil.matrix.n_features(), soil.round);
        let mut tree = Tree::default();
        let mut open = Vec::new();
        self.plant(soil, rows, &mut columns, &mut tree, &mut open);
        loop {
            let batch = self.pick(soil.params, &mut open, tree.leaves.len());
            if batch.is_empty() {
                break;
            }
            self.expand(soil, rows, batch, &mut columns, &mut tree, &mut open);
        }
        for node in open {
            tree.leaves.push(Leaf { node: node.node, rows: node.rows });
            self.pool.give_back(node.histogram);
        }
        tree
    }

    /// Makes the root.
    fn plant(
        &mut self,
        soil: &Soil<'_, C>,
        rows: &[u32],
        columns: &mut Columns,
        tree: &mut Tree,
        open: &mut Vec<Open<C>>,
    ) {
        let n = rows.len();
        let (rows, cells) = if n == soil.cells.len() {
            (NodeRows::All, soil.cells)
        } else {
            gather(&mut self.ordered, soil.cells, rows);
            (NodeRows::Some(rows), &self.ordered[..n])
        };
        let total = cells.iter().fold(C::default(), |sum, &cell| sum + cell);
        tree.nodes.push(node(soil, total));
        let mut histogram = self.pool.take();
        let search = may_split(soil, total, n, 0);
        let mut found = None;
        if search {
            columns.draw(0);
            let columns = &*columns;
            let matrix = soil.matrix;
            let parallel = n * matrix.n_features() >= PARALLEL_WORK;
            let share = parallel && columns.n_blocks() < rayon::current_num_threads();
            let search_block = |(block, histogram): (usize, &mut BlockHistogram<C>)| {
                let mut found = None;
                if columns.uses_block(block) {
                    let features = block_features(matrix, block);
                    let bins = &matrix.blocks()[block];
                    fill(histogram, features, bins, rows, cells, share);
                    let active = columns.level(0);
                    scan_block(soil, histogram, block, active, total, &mut found);
                }
                found
            };
            let candidates: Vec<_> = if parallel {
                histogram.par_iter_mut().enumerate().map(search_block).collect()
            } else {
                histogram.iter_mut().enumerate().map(search_block).collect()
            };
            candidates.into_iter().for_each(|c| keep_better(&mut found, c));
        }
        match found {
            Some(split) => {
                open.push(Open { node: 0, rows: 0..n, depth: 0, total, split, histogram });
            }
            None => {
                tree.leaves.push(Leaf { node: 0, rows: 0..n });
                self.pool.give_back(histogram);
            }
        }
    }

    /// Takes the nodes to split next.
    fn pick(
        &self,
        params: &BoostingParams,
        open: &mut Vec<Open<C>>,
        leaves: usize,
    ) -> Vec<Open<C>> {
        let batch = self.pool.batch();
        if params.max_leaves == 0 {
            // Every node is split in the end, so the order serves memory alone.
            return open.split_off(open.len().saturating_sub(batch));
        }
        let budget = params.max_leaves.saturating_sub(open.len() + leaves);
        match params.growth {
            Growth::DepthWise => {
                let n = open.len().min(budget).min(batch);
                open.drain(..n).collect()
            }
            Growth::LeafWise if budget == 0 => Vec::new(),
            Growth::LeafWise => {
                let better = |a: &Open<C>, b: &Open<C>| {
                    let by_gain = a.split.gain.total_cmp(&b.split.gain);
                    by_gain.then(b.node.cmp(&a.node))
                };
                let best = (0..open.len()).max_by(|&a, &b| better(&open[a], &open[b]));
                best.map(|i| open.swap_remove(i)).into_iter().collect()
            }
        }
    }

    /// Splits nodes and opens those of their children that can be split further.
    fn expand(
        &mut self,
        soil: &Soil<'_, C>,
        rows: &mut [u32],
        mut batch: Vec<Open<C>>,
        columns: &mut Columns,
        tree: &mut Tree,
        open: &mut Vec<Open<C>>,
    ) {
        batch.sort_unstable_by_key(|node| node.rows.start);
        let lefts = self.partition_all(soil, rows, &batch);
        let mut pairs: Vec<Pair<C>> = Vec::with_capacity(batch.len());
        for (parent, left) in batch.into_iter().zip(lefts) {
            pairs.push(self.part(soil, parent, left, tree));
        }
        for pair in &pairs {
            columns.draw(pair.depth);
        }
        self.search(soil, rows, &mut pairs, columns);
        for pair in pairs {
            let Pair { small, large, depth, small_histogram, large_histogram } = pair;
            let mut children = [(small, small_histogram), (large, large_histogram)];
            children.sort_by_key(|(child, _)| child.node);
            for (child, histogram) in children {
                match child.best {
                    Some(split) => open.push(Open {
                        node: child.node,
                        rows: child.rows,
                        depth,
                        total: child.total,
                        split,
                        histogram,
                    }),
                    None => {
                        tree.leaves.push(Leaf { node: child.node, rows: child.rows });
                        self.pool.give_back(histogram);
                    }
                }
            }
        }
    }

    /// Moves the rows of all nodes to their sides; returns how many go left in each. The nodes are
    /// in the order of their rows.
    fn partition_all(
        &mut self,
        soil: &Soil<'_, C>,
        rows: &mut [u32],
        batch: &[Open<C>],
    ) -> Vec<usize> {
        let rows = disjoint(rows, batch.iter().map(|node| node.rows.clone()));
        let scratch = disjoint(&mut self.scratch, batch.iter().map(|node| node.rows.clone()));
        let part = |((node, rows), scratch): ((&Open<C>, &mut [u32]), &mut [u32])| {
            let split = node.split;
            let bins = &soil.matrix.blocks()[split.feature / LANES];
            let rule = BinRule::new(split.bin, split.missing_right);
            partition(rows, scratch, bins, split.feature % LANES, rule)
        };
        let work: usize = batch.iter().map(|node| node.rows.len()).sum();
        if work * 8 >= PARALLEL_WORK && batch.len() > 1 {
            let nodes = batch.par_iter().zip(rows).zip(scratch);
            nodes.map(part).collect()
        } else {
            let nodes = batch.iter().zip(rows).zip(scratch);
            nodes.map(part).collect()
        }
    }

    /// Makes a node's children, and room for their histograms where they are needed.
    fn part(
        &mut self,
        soil: &Soil<'_, C>,
        parent: Open<C>,
        left: usize,
        tree: &mut Tree,
    ) -> Pair<C> {
        let split = parent.split;
        let at = tree.nodes.len() as u32;
        let depth = parent.depth + 1;
        tree.depth = tree.depth.max(depth);
        tree.nodes[parent.node as usize].split = Some(NodeSplit {
            feature: split.feature,
            bin: split.bin,
            missing_right: split.missing_right,
            left: at,
            gain: soil.rules.real_gain(split.gain),
        });
        let middle = parent.rows.start + left;
        let mut child = |node: u32, rows: Range<usize>, total: C| {
            tree.nodes.push(self::node(soil, total));
            let search = may_split(soil, total, rows.len(), depth);
            Child { node, rows, total, search, best: None }
        };
        let left = child(at, parent.rows.start..middle, split.left);
        let right = child(at + 1, middle..parent.rows.end, parent.total - split.left);
        let (small, large) =
            if left.rows.len() <= right.rows.len() { (left, right) } else { (right, left) };
        let needed = small.search || large.search;
        let (small_histogram, large_histogram) = if needed {
            (self.pool.take(), parent.histogram)
        } else {
            self.pool.give_back(parent.histogram);
            (Vec::new(), Vec::new())
        };
        Pair { small, large, depth, small_histogram, large_histogram }
    }

    /// Sums histograms and finds the best split of every child that may be split.
    fn search(
        &mut self,
        soil: &Soil<'_, C>,
        rows: &[u32],
        pairs: &mut [Pair<C>],
        columns: &Columns,
    ) {
        let matrix = soil.matrix;
        let ranges = || pairs.iter().map(|pair| pair.small.rows.clone());
        let needed = |pair: &Pair<C>| pair.small.search || pair.large.search;
        let summed: usize = pairs.iter().filter(|p| needed(p)).map(|p| p.small.rows.len()).sum();
        let scanned = pairs.iter().filter(|p| needed(p)).count() * 512;
        let parallel = (summed + scanned) * matrix.n_features() >= PARALLEL_WORK;

        let ordered = disjoint(&mut self.ordered, ranges());
        let collect = |(pair, to): (&Pair<C>, &mut [C])| {
            if needed(pair) {
                gather(to, soil.cells, &rows[pair.small.rows.clone()]);
            }
        };
        // Copying a cell is little work beside waking a thread.
        if parallel && summed * 8 >= PARALLEL_WORK {
            pairs.par_iter().zip(ordered).for_each(collect);
        } else {
            pairs.iter().zip(ordered).for_each(collect);
        }

        let mut tasks: Vec<Task<'_, C>> = Vec::new();
        for (i, pair) in pairs.iter_mut().enumerate() {
            let range = pair.small.rows.clone();
            let blocks = pair.small_histogram.iter_mut().zip(&mut pair.large_histogram);
            for (block, (small, large)) in blocks.enumerate() {
                if columns.uses_block(block) {
                    tasks.push(Task {
                        pair: i,
                        block,
                        small,
                        large,
                        rows: NodeRows::Some(&rows[range.clone()]),
                        cells: &self.ordered[range.clone()],
                        totals: (pair.small.total, pair.large.total),
                        search: (pair.small.search, pair.large.search),
                        active: columns.level(pair.depth),
                        found: (None, None),
                    });
                }
            }
        }
        let share = parallel && tasks.len() < rayon::current_num_threads();
        let run = |task: &mut Task<'_, C>| task.run(soil, share);
        if parallel {
            tasks.par_iter_mut().for_each(run);
        } else {
            tasks.iter_mut().for_each(run);
        }
        let found: Vec<_> = tasks.into_iter().map(|task| (task.pair, task.found)).collect();
        for (pair, (small, large)) in found {
            keep_better(&mut pairs[pair].small.best, small);
            keep_better(&mut pairs[pair].large.best, large);
        }
    }
}

impl<C: Cell> Task<'_, C> {
    fn run(&mut self, soil: &Soil<'_, C>, share: bool) {
        let features = block_features(soil.matrix, self.block);
        let bins = &soil.matrix.blocks()[self.block];
        fill(self.small, features, bins, self.rows, self.cells, share);
        if self.search.0 {
            let (total, found) = (self.totals.0, &mut self.found.0);
            scan_block(soil, self.small, self.block, self.active, total, found);
        }
        if self.search.1 {
            subtract(self.large, self.small, features);
            let (total, found) = (self.totals.1, &mut self.found.1);
            scan_block(soil, self.large, self.block, self.active, total, found);
        }
    }
}

fn node<C: Cell>(soil: &Soil<'_, C>, total: C) -> TreeNode {
    TreeNode {
        split: None,
        value: soil.rules.leaf_value(total),
        cover: total.unpack(soil.rules.scale()).1,
    }
}

fn may_split<C: Cell>(soil: &Soil<'_, C>, total: C, rows: usize, depth: usize) -> bool {
    let deep = soil.params.max_depth != 0 && depth >= soil.params.max_depth;
    rows >= 2 && !deep && soil.rules.may_split(total)
}

fn block_features(matrix: &BinnedMatrix, block: usize) -> &[FeatureBins] {
    let features = matrix.features();
    let from = block * LANES;
    &features[from..(from + LANES).min(features.len())]
}

fn scan_block<C: Cell>(
    soil: &Soil<'_, C>,
    histogram: &BlockHistogram<C>,
    block: usize,
    active: &[bool],
    total: C,
    found: &mut Option<Candidate<C>>,
) {
    let features = block_features(soil.matrix, block);
    let mut borders = Borders::default();
    vectorised(
        #[inline(always)]
        || {
            for (lane, bins) in features.iter().enumerate() {
                let feature = block * LANES + lane;
                if active[feature] {
                    let histogram = &histogram[lane];
                    soil.rules.scan(histogram, feature, bins, total, &mut borders, found);
                }
            }
        },
    );
}

/// Takes the candidate with the larger gain, the earlier one when equal.
fn keep_better<C: Cell>(best: &mut Option<Candidate<C>>, other: Option<Candidate<C>>) {
    if let Some(other) = other
        && best.is_none_or(|best| other.gain > best.gain)
    {
        *best = Some(other);
    }
}

/// Borrows disjoint, increasing ranges of a slice at once.
fn disjoint<T>(mut slice: &mut [T], ranges: impl Iterator<Item = Range<usize>>) -> Vec<&mut [T]> {
    let mut parts = Vec::new();
    let mut from = 0;
    for range in ranges {
        let (_, rest) = std::mem::take(&mut slice).split_at_mut(range.start - from);
        let (part, rest) = rest.split_at_mut(range.len());
        parts.push(part);
        slice = rest;
        from = range.end;
    }
    parts
}
