use std::ops::Range;

use crate::matrix::{BinRow, BinRule, LANES};

/// Holds a tree as it is grown, in bins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    /// The root first, siblings side by side, children after their parent.
    pub(crate) nodes: Vec<TreeNode>,
    pub(crate) leaves: Vec<Leaf>,
    /// Splits on the longest way down.
    pub(crate) depth: usize,
}

/// One node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TreeNode {
    /// `None` for a leaf.
    pub(crate) split: Option<NodeSplit>,
    /// What the node answers if it is a leaf.
    pub(crate) value: f64,
    /// Sum of hessians of its rows.
    pub(crate) cover: f64,
}

/// How a node parts its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeSplit {
    pub(crate) feature: usize,
    /// The last bin that goes left.
    pub(crate) bin: u8,
    pub(crate) missing_right: bool,
    /// The left child; the right one follows it.
    pub(crate) left: u32,
    pub(crate) gain: f64,
}

/// A leaf and where its rows stand among the grown rows.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) node: u32,
    pub(crate) rows: Range<usize>,
}

impl Tree {
    /// What the tree answers for a binned row.
    pub(crate) fn value(&self, blocks: &[Vec<BinRow>], row: usize) -> f64 {
        let mut at = 0;
        loop {
            let node = &self.nodes[at];
            let Some(split) = node.split else {
                return node.value;
            };
            let bin = blocks[split.feature / LANES][row][split.feature % LANES];
            let right = BinRule::new(split.bin, split.missing_right).goes_right(bin);
            at = split.left as usize + usize::from(right);
        }
    }
}
