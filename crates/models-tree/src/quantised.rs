//! Batches of rows through all trees at once, without walking: every split of a tree is tried on
//! every row, as bytes, 16 to 64 rows an instruction.
//!
//! A row starts with a bit for every leaf of the tree, numbered from the left. Where a split sends
//! it to the right, the leaves on the split's left are struck out; the lowest bit that is left is
//! the leaf that a walk would have come to (Lucchese et al. 2015, `QuickScorer`; with bytes side by
//! side, Ye et al. 2018, `RapidScorer`). Values become bytes by the number of the forest's
//! thresholds below them, which decides each comparison as the value itself would.

use crate::binning::{BinFinder, FeatureBins, MISSING};
use crate::forest::{FlatNode, Forest};
use crate::matrix::BinRule;
use crate::simd::vectorised;

/// Rows that are scored together.
pub(crate) const ROWS: usize = 256;

/// Leaves that a tree may have: as many as a byte tells apart.
const LEAVES: usize = 256;

/// Leaves of a tree of the usual depth.
const FEW_LEAVES: usize = 64;

/// Bits of a byte.
const BITS: usize = u8::BITS as usize;

/// One byte a row.
type Bytes = [u8; ROWS];

/// Holds a forest whose thresholds are bytes.
pub(crate) struct QuantisedForest {
    /// Of each feature that the trees use.
    finders: Vec<Option<BinFinder>>,
    cuts: Vec<Cut>,
    /// Of each tree, padded to [`FEW_LEAVES`] or [`LEAVES`].
    values: Vec<f64>,
    trees: Vec<Span>,
}

/// What a split strikes out.
struct Cut {
    feature: u32,
    rule: BinRule,
    /// The leaves on its left.
    first: u16,
    n: u16,
}

/// How much of the lists belongs to a tree.
struct Span {
    cuts: usize,
    leaves: usize,
}

/// Memory that scoring reuses.
#[derive(Default)]
pub(crate) struct Workspace {
    bins: Vec<Bytes>,
    /// Leaves that are still possible, eight of them a byte.
    open: Vec<Bytes>,
}

impl QuantisedForest {
    /// Makes it, or `None` where a tree has more leaves or a feature more thresholds than bytes
    /// tell apart.
    pub(crate) fn new(forest: &Forest, n_features: usize) -> Option<Self> {
        let mut thresholds = vec![Vec::new(); n_features];
        for split in forest.trees().flatten().filter_map(|node| node.split) {
            thresholds.get_mut(split.feature)?.push(split.threshold);
        }
        for thresholds in &mut thresholds {
            thresholds.sort_unstable_by(f64::total_cmp);
            // Equal ones of either sign of 0 too.
            thresholds.dedup();
            if thresholds.len() >= usize::from(MISSING) {
                return None;
            }
        }
        let mut quantised = Self {
            finders: Vec::with_capacity(n_features),
            cuts: Vec::new(),
            values: Vec::new(),
            trees: Vec::with_capacity(forest.n_trees()),
        };
        for tree in forest.trees() {
            quantised.push(tree, &thresholds)?;
        }
        for thresholds in thresholds {
            let used = !thresholds.is_empty();
            let finder = used.then(|| FeatureBins::of_thresholds(thresholds).finder());
            quantised.finders.push(finder);
        }
        Some(quantised)
    }

    fn push(
        &mut self,
        tree: impl ExactSizeIterator<Item = FlatNode>,
        thresholds: &[Vec<f64>],
    ) -> Option<()> {
        let nodes: Vec<FlatNode> = tree.collect();
        // Children come after their parent.
        let mut leaves = vec![1_usize; nodes.len()];
        for (i, node) in nodes.iter().enumerate().rev() {
            if let Some(split) = node.split {
                let left = split.left as usize;
                leaves[i] = leaves[left] + leaves[left + 1];
            }
        }
        let n_leaves = leaves.first().copied().unwrap_or(0);
        if n_leaves > LEAVES {
            return None;
        }
        let from = self.values.len();
        let room = if n_leaves > FEW_LEAVES { LEAVES } else { FEW_LEAVES };
        self.values.resize(from + room, 0.0);
        let mut first = vec![0_usize; nodes.len()];
        let mut cuts = 0;
        for (i, node) in nodes.iter().enumerate() {
            let Some(split) = node.split else {
                self.values[from + first[i]] = node.value;
                continue;
            };
            let left = split.left as usize;
            first[left] = first[i];
            first[left + 1] = first[i] + leaves[left];
            let bin = thresholds[split.feature].partition_point(|&t| t < split.threshold);
            self.cuts.push(Cut {
                feature: split.feature as u32,
                rule: BinRule::new(bin as u8, split.missing_right),
                first: first[left] as u16,
                n: leaves[left] as u16,
            });
            cuts += 1;
        }
        self.trees.push(Span { cuts, leaves: n_leaves });
        Some(())
    }

    /// Turns a feature's values of up to [`ROWS`] rows into bytes.
    ///
    /// - `values`: finite or NaN
    pub(crate) fn quantise(
        &self,
        feature: usize,
        values: impl Iterator<Item = f64>,
        workspace: &mut Workspace,
    ) {
        if workspace.bins.len() < self.finders.len() {
            workspace.bins.resize(self.finders.len(), [0; ROWS]);
        }
        if let Some(finder) = &self.finders[feature] {
            for (bin, value) in workspace.bins[feature].iter_mut().zip(values) {
                *bin = finder.bin(value);
            }
        }
    }

    /// Adds every tree's answer to the sums of up to [`ROWS`] quantised rows, in order, so that
    /// they equal [`Forest::add_row`] bit for bit.
    pub(crate) fn add_rows(&self, workspace: &mut Workspace, sums: &mut [f64]) {
        workspace.open.resize(LEAVES / BITS, [0; ROWS]);
        let mut sum = [0.0; ROWS];
        let n = sums.len().min(ROWS);
        sum[..n].copy_from_slice(&sums[..n]);
        let (bins, open) = (&workspace.bins, &mut workspace.open);
        vectorised(
            #[inline(always)]
            || self.add_all(bins, open, &mut sum),
        );
        sums[..n].copy_from_slice(&sum[..n]);
    }

    #[inline(always)]
    fn add_all(&self, bins: &[Bytes], open: &mut [Bytes], sums: &mut [f64; ROWS]) {
        let (mut cuts, mut values) = (self.cuts.as_slice(), self.values.as_slice());
        for tree in &self.trees {
            let (own, rest) = cuts.split_at(tree.cuts);
            cuts = rest;
            let open = &mut open[..tree.leaves.div_ceil(BITS)];
            open.fill([u8::MAX; ROWS]);
            for cut in own {
                strike(cut, &bins[cut.feature as usize], open);
            }
            let leaves = lowest(open);
            if tree.leaves <= FEW_LEAVES {
                values = add_values::<FEW_LEAVES>(values, &leaves, sums);
            } else {
                values = add_values::<LEAVES>(values, &leaves, sums);
            }
        }
    }
}

/// Strikes out the leaves on a split's left in the rows that it sends to the right.
#[inline(always)]
fn strike(cut: &Cut, bins: &Bytes, open: &mut [Bytes]) {
    let (first, end) = (usize::from(cut.first), usize::from(cut.first + cut.n));
    let rule = cut.rule;
    for byte in first / BITS..end.div_ceil(BITS) {
        let from = first.saturating_sub(byte * BITS);
        let to = (end - byte * BITS).min(BITS);
        let struck = ((1_u16 << to) - (1_u16 << from)) as u8;
        for (open, &bin) in open[byte].iter_mut().zip(bins) {
            *open &= if rule.goes_right(bin) { !struck } else { u8::MAX };
        }
    }
}

/// The lowest bit of each row.
#[inline(always)]
fn lowest(open: &[Bytes]) -> Bytes {
    let (mut byte, mut base) = ([1_u8; ROWS], [0_u8; ROWS]);
    for (i, open) in open.iter().enumerate().rev() {
        let from = (i * BITS) as u8;
        for ((byte, base), &open) in byte.iter_mut().zip(&mut base).zip(open) {
            *byte = if open == 0 { *byte } else { open };
            *base = if open == 0 { *base } else { from };
        }
    }
    for (base, &byte) in base.iter_mut().zip(&byte) {
        *base += byte.trailing_zeros() as u8;
    }
    base
}

/// Adds a tree's answers; returns the other trees' values.
#[inline(always)]
fn add_values<'a, const N: usize>(
    values: &'a [f64],
    leaves: &Bytes,
    sums: &mut [f64; ROWS],
) -> &'a [f64] {
    let Some((values, rest)) = values.split_first_chunk::<N>() else {
        return values;
    };
    for (sum, &leaf) in sums.iter_mut().zip(leaves) {
        *sum += values[usize::from(leaf) % N];
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forest::FlatSplit;
    use proptest::prelude::*;

    /// Splits the open leaf that each number chooses.
    fn grow(splits: &[(usize, usize, f64, bool)]) -> (usize, Vec<FlatNode>) {
        let leaf = |i: usize| FlatNode { split: None, value: (i as f64 + 0.1).sin(), cover: 1.0 };
        let mut nodes = vec![leaf(0)];
        let mut levels = vec![0];
        for &(choice, feature, threshold, missing_right) in splits {
            let leaves: Vec<usize> =
                (0..nodes.len()).filter(|&i| nodes[i].split.is_none()).collect();
            let at = leaves[choice % leaves.len()];
            let left = nodes.len() as u32;
            nodes[at].split =
                Some(FlatSplit { feature, threshold, missing_right, left, gain: 1.0 });
            for _ in 0..2 {
                nodes.push(leaf(nodes.len()));
                levels.push(levels[at] + 1);
            }
        }
        (levels.into_iter().max().unwrap_or(0), nodes)
    }

    fn forest_of(trees: &[Vec<(usize, usize, f64, bool)>]) -> Forest {
        let mut forest = Forest::default();
        for splits in trees {
            let (depth, nodes) = grow(splits);
            forest.push_nodes(depth, nodes.into_iter());
        }
        forest
    }

    #[test]
    fn as_many_thresholds_as_a_byte_tells_apart_are_taken() {
        let chain = |n: i32| -> Vec<_> { (0..n).map(|i| (0, 0, f64::from(i), true)).collect() };
        assert!(QuantisedForest::new(&forest_of(&[chain(254)]), 1).is_some());
        assert!(QuantisedForest::new(&forest_of(&[chain(255)]), 1).is_none());
        let same: Vec<_> = (0..256).map(|i| (i, 0, 0.5, true)).collect();
        assert!(QuantisedForest::new(&forest_of(std::slice::from_ref(&same)), 1).is_none());
        assert!(QuantisedForest::new(&forest_of(&[same[..255].to_vec()]), 1).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn prop_rows_together_give_the_bits_of_a_walk(
            trees in prop::collection::vec(
                prop::collection::vec(
                    (0_usize..1000, 0_usize..3, (-9_i32..9).prop_map(|t| f64::from(t) * 0.5), any::<bool>()),
                    0..220,
                ),
                1..6,
            ),
            rows in prop::collection::vec(
                prop::collection::vec(
                    prop_oneof![
                        9 => (-20_i32..20).prop_map(|v| f64::from(v) * 0.25),
                        1 => Just(f64::NAN),
                        1 => Just(-0.0),
                        1 => Just(f64::MAX),
                    ],
                    3,
                ),
                1..=ROWS,
            ),
        ) {
            let forest = forest_of(&trees);
            let quantised = QuantisedForest::new(&forest, 3).expect("few thresholds");
            let mut workspace = Workspace::default();
            for feature in 0..3 {
                let values = rows.iter().map(|row| row[feature]);
                quantised.quantise(feature, values, &mut workspace);
            }
            let mut sums = vec![0.3; rows.len()];
            quantised.add_rows(&mut workspace, &mut sums);
            for (row, sum) in rows.iter().zip(sums) {
                prop_assert_eq!(sum.to_bits(), forest.add_row::<true>(row, 0.3).to_bits());
            }
        }
    }
}
