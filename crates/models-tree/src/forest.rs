use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::binning::FeatureBins;
use crate::tree::Tree;

/// Rows, or trees, that are walked side by side: each walk is a chain of dependent loads, and a
/// processor can wait for several at once.
const WALKS: usize = 8;

/// Top bit of a node's feature: missing values go right.
const MISSING_RIGHT: u32 = 1 << 31;

/// Holds fitted trees, ready to predict: a walk of fixed length without a branch.
///
/// A leaf is a node whose left child is itself and whose threshold no value exceeds, so walking on
/// from it stays there and trees of uneven depth cost no mispredicted branch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Forest {
    nodes: Vec<Node>,
    /// What each node adds when a walk ends there, learning rate included; 0 inside.
    values: Vec<f64>,
    /// What each node's split gained; 0 for a leaf.
    gains: Vec<f64>,
    /// Sum of hessians of each node's rows.
    covers: Vec<f64>,
    trees: Vec<Span>,
}

/// A quarter of a cache line, siblings side by side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Node {
    /// Larger values go right.
    threshold: f64,
    /// The feature, and [`MISSING_RIGHT`].
    feature: u32,
    /// The left child; the right one follows it.
    left: u32,
}

/// One node as other modules see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FlatNode {
    /// `None` for a leaf.
    pub(crate) split: Option<FlatSplit>,
    /// What a leaf adds; of no meaning with a split.
    pub(crate) value: f64,
    /// Sum of hessians of its rows.
    pub(crate) cover: f64,
}

/// How a node parts its rows, by value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FlatSplit {
    pub(crate) feature: usize,
    /// Larger values go right.
    pub(crate) threshold: f64,
    pub(crate) missing_right: bool,
    /// The left child, counted from the tree's root; the right one follows it.
    pub(crate) left: u32,
    pub(crate) gain: f64,
}

impl FlatSplit {
    /// Whether a value goes to the right child.
    pub(crate) fn goes_right(&self, value: f64) -> bool {
        (value > self.threshold) | (value.is_nan() & self.missing_right)
    }
}

/// Where a tree stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Span {
    root: u32,
    depth: u32,
}

impl Node {
    fn feature(self) -> usize {
        (self.feature & !MISSING_RIGHT) as usize
    }

    fn is_leaf(self, at: usize) -> bool {
        self.left as usize == at
    }

    fn next<const MISSING: bool>(self, value: f64) -> u32 {
        let right = if MISSING {
            (value > self.threshold) | (value.is_nan() & (self.feature & MISSING_RIGHT != 0))
        } else {
            value > self.threshold
        };
        self.left + u32::from(right)
    }
}

impl Forest {
    /// Adds a tree whose leaves answer `rate` times their values.
    pub(crate) fn push(&mut self, tree: &Tree, features: &[FeatureBins], rate: f64) {
        let nodes = tree.nodes.iter().map(|node| FlatNode {
            split: node.split.map(|split| FlatSplit {
                feature: split.feature,
                threshold: features[split.feature].threshold(split.bin),
                missing_right: split.missing_right,
                left: split.left,
                gain: split.gain,
            }),
            value: rate * node.value,
            cover: node.cover,
        });
        self.push_nodes(tree.depth, nodes);
    }

    /// Adds a tree node by node: the root first, siblings side by side, children after their
    /// parent.
    pub(crate) fn push_nodes(&mut self, depth: usize, nodes: impl Iterator<Item = FlatNode>) {
        let root = self.nodes.len() as u32;
        self.trees.push(Span { root, depth: depth as u32 });
        for (i, node) in nodes.enumerate() {
            let (flat, value, gain) = match node.split {
                Some(split) => {
                    let flag = if split.missing_right { MISSING_RIGHT } else { 0 };
                    let flat = Node {
                        threshold: split.threshold,
                        feature: split.feature as u32 | flag,
                        left: root + split.left,
                    };
                    (flat, 0.0, split.gain)
                }
                None => {
                    let flat = Node { threshold: f64::INFINITY, feature: 0, left: root + i as u32 };
                    (flat, node.value, 0.0)
                }
            };
            self.nodes.push(flat);
            self.values.push(value);
            self.gains.push(gain);
            self.covers.push(node.cover);
        }
    }

    /// Every tree, node by node, as [`push_nodes`](Self::push_nodes) takes them.
    pub(crate) fn trees(&self) -> impl Iterator<Item = impl ExactSizeIterator<Item = FlatNode>> {
        let ends = self.trees.iter().skip(1).map(|tree| tree.root).chain([self.nodes.len() as u32]);
        self.trees.iter().zip(ends).map(move |(tree, end)| {
            let root = tree.root;
            (root as usize..end as usize).map(move |at| {
                let node = self.nodes[at];
                let split = (!node.is_leaf(at)).then(|| FlatSplit {
                    feature: node.feature(),
                    threshold: node.threshold,
                    missing_right: node.feature & MISSING_RIGHT != 0,
                    left: node.left - root,
                    gain: self.gains[at],
                });
                FlatNode { split, value: self.values[at], cover: self.covers[at] }
            })
        })
    }

    /// Keeps the first trees.
    pub(crate) fn truncate(&mut self, n: usize) {
        if let Some(first) = self.trees.get(n) {
            let end = first.root as usize;
            self.nodes.truncate(end);
            self.values.truncate(end);
            self.gains.truncate(end);
            self.covers.truncate(end);
            self.trees.truncate(n);
        }
    }

    pub(crate) fn n_trees(&self) -> usize {
        self.trees.len()
    }

    /// Every split's feature and gain.
    pub(crate) fn splits(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let inner = |(i, node): &(usize, &Node)| !node.is_leaf(*i);
        let nodes = self.nodes.iter().enumerate().filter(inner);
        nodes.map(|(i, node)| (node.feature(), self.gains[i]))
    }

    /// Adds every tree's answer for one row to `sum`, in order.
    pub(crate) fn add_row<const MISSING: bool>(&self, row: &[f64], mut sum: f64) -> f64 {
        let mut groups = self.trees.chunks_exact(WALKS);
        for group in &mut groups {
            let mut at = [0_u32; WALKS];
            let mut depth = 0;
            for (at, tree) in at.iter_mut().zip(group) {
                *at = tree.root;
                depth = depth.max(tree.depth);
            }
            for _ in 0..depth {
                for at in &mut at {
                    let node = self.nodes[*at as usize];
                    *at = node.next::<MISSING>(row[node.feature()]);
                }
            }
            for at in at {
                sum += self.values[at as usize];
            }
        }
        for tree in groups.remainder() {
            sum += self.walk::<MISSING>(*tree, row);
        }
        sum
    }

    /// Adds every tree's answer to each row's sum, in order, so that it equals
    /// [`add_row`](Self::add_row) bit for bit.
    ///
    /// - `rows`: `(sums.len(), n_features)`, row-major
    pub(crate) fn add_rows<const MISSING: bool>(
        &self,
        rows: &[f64],
        n_features: usize,
        sums: &mut [f64],
    ) {
        for &tree in &self.trees {
            if tree.depth == 0 {
                let value = self.values[tree.root as usize];
                sums.iter_mut().for_each(|sum| *sum += value);
                continue;
            }
            let grouped = sums.len() / WALKS * WALKS;
            let (groups, rest) = sums.split_at_mut(grouped);
            for (g, sums) in groups.chunks_exact_mut(WALKS).enumerate() {
                let rows = &rows[g * WALKS * n_features..(g + 1) * WALKS * n_features];
                let mut at = [tree.root; WALKS];
                for _ in 0..tree.depth {
                    for (i, at) in at.iter_mut().enumerate() {
                        let node = self.nodes[*at as usize];
                        *at = node.next::<MISSING>(rows[i * n_features + node.feature()]);
                    }
                }
                for (sum, at) in sums.iter_mut().zip(at) {
                    *sum += self.values[at as usize];
                }
            }
            for (i, sum) in rest.iter_mut().enumerate() {
                let from = (grouped + i) * n_features;
                *sum += self.walk::<MISSING>(tree, &rows[from..from + n_features]);
            }
        }
    }

    fn walk<const MISSING: bool>(&self, tree: Span, row: &[f64]) -> f64 {
        let mut at = tree.root;
        for _ in 0..tree.depth {
            let node = self.nodes[at as usize];
            at = node.next::<MISSING>(row[node.feature()]);
        }
        self.values[at as usize]
    }

    /// Refuses trees that a damaged or forged file could hold: a walk must stay inside, end in a
    /// leaf after `depth` steps and answer a finite number.
    pub(crate) fn validate(&self, n_features: usize) -> Result<()> {
        let refuse = |what: &str| Err(Error::artifact(format!("a tree {what}")));
        let n = self.nodes.len();
        if [self.values.len(), self.gains.len(), self.covers.len()] != [n; 3] {
            return refuse("has nodes without values");
        }
        if !self.values.iter().all(|v| v.is_finite()) {
            return refuse("answers a number that is not finite");
        }
        let ends = self.trees.iter().skip(1).map(|t| t.root as usize).chain([n]);
        let mut from = 0;
        for (tree, end) in self.trees.iter().zip(ends) {
            if tree.root as usize != from || end <= from || end > n {
                return refuse("is outside its place");
            }
            // Children come after their parent and belong to one parent each, so levels are known
            // when a node is reached.
            let mut level = vec![None; end - from];
            level[0] = Some(0_u32);
            for at in from..end {
                let node = self.nodes[at];
                let Some(depth) = level[at - from] else {
                    return refuse("has a node that no way leads to");
                };
                if node.is_leaf(at) {
                    if depth > tree.depth || node.threshold != f64::INFINITY {
                        return refuse("has a leaf that walks on");
                    }
                    // A walk that waits in a leaf still looks at a feature.
                    if node.feature != 0 || (n_features == 0 && tree.depth > 0) {
                        return refuse("has a leaf with a feature");
                    }
                    continue;
                }
                let left = node.left as usize;
                if left <= at || left + 1 >= end || node.feature() >= n_features {
                    return refuse("refers to a node or feature that does not exist");
                }
                if node.threshold.is_nan() || self.values[at] != 0.0 {
                    return refuse("has a malformed split");
                }
                for child in [left, left + 1] {
                    if level[child - from].replace(depth + 1).is_some() {
                        return refuse("has a node with two parents");
                    }
                }
            }
            from = end;
        }
        if from == n { Ok(()) } else { refuse("is missing") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stump() -> Forest {
        let node = |threshold, feature, left| Node { threshold, feature, left };
        Forest {
            nodes: vec![
                node(0.5, 1 | MISSING_RIGHT, 1),
                node(f64::INFINITY, 0, 1),
                node(f64::INFINITY, 0, 2),
            ],
            values: vec![0.0, -1.0, 2.0],
            gains: vec![3.0, 0.0, 0.0],
            covers: vec![5.0, 2.0, 3.0],
            trees: vec![Span { root: 0, depth: 1 }],
        }
    }

    #[test]
    fn missing_values_go_the_learnt_way() {
        let forest = stump();
        forest.validate(2).unwrap();
        assert_eq!(forest.add_row::<true>(&[9.0, 0.5], 0.0), -1.0);
        assert_eq!(forest.add_row::<true>(&[9.0, 0.6], 0.0), 2.0);
        assert_eq!(forest.add_row::<true>(&[9.0, f64::NAN], 0.0), 2.0);
        let mut left = stump();
        left.nodes[0].feature = 1;
        assert_eq!(left.add_row::<true>(&[9.0, f64::NAN], 0.0), -1.0);
    }

    #[test]
    fn forged_trees_are_refused() {
        type Forgery = fn(&mut Forest);
        let forgeries: [Forgery; 12] = [
            |f| f.nodes[0].left = 2,
            |f| f.nodes[0].left = 9,
            |f| f.nodes[0].feature = 2,
            |f| f.nodes[0].threshold = f64::NAN,
            |f| f.nodes[1].left = 0,
            |f| f.nodes[1].threshold = 0.0,
            |f| f.nodes[1].feature = 7,
            |f| f.values[1] = f64::NAN,
            |f| f.values.truncate(2),
            |f| f.trees[0].depth = 0,
            |f| f.trees[0].root = 1,
            |f| f.trees.clear(),
        ];
        for (i, forge) in forgeries.iter().enumerate() {
            let mut forest = stump();
            forge(&mut forest);
            assert!(forest.validate(2).is_err(), "forgery {i}");
        }
    }
}
