use crate::BoostingParams;
use crate::matrix::LANES;
use crate::sampling::{Purpose, generator, sample_columns};

/// Says which features a tree, and each of its levels, may use.
#[derive(Debug)]
pub(crate) struct Columns {
    seed: u64,
    round: usize,
    /// Share of the tree's features that a level sees.
    level_share: f64,
    tree: Vec<bool>,
    blocks: Vec<bool>,
    levels: Vec<Vec<bool>>,
}

impl Columns {
    /// Draws a tree's features.
    pub(crate) fn new(params: &BoostingParams, n_features: usize, round: usize) -> Self {
        let mut tree = vec![true; n_features];
        if params.colsample_bytree < 1.0 {
            let mut random = generator(params.seed, Purpose::TreeColumns, round);
            sample_columns(&mut random, params.colsample_bytree, &mut tree);
        }
        let blocks = tree.chunks(LANES).map(|block| block.contains(&true)).collect();
        Self {
            seed: params.seed,
            round,
            level_share: params.colsample_bylevel,
            tree,
            blocks,
            levels: Vec::new(),
        }
    }

    /// Whether the tree uses a feature of the block.
    pub(crate) fn uses_block(&self, block: usize) -> bool {
        self.blocks.get(block).copied().unwrap_or(false)
    }

    /// Blocks that the tree uses.
    pub(crate) fn n_blocks(&self) -> usize {
        self.blocks.iter().filter(|&&used| used).count()
    }

    /// Draws the features of the levels down to `depth`.
    pub(crate) fn draw(&mut self, depth: usize) {
        while self.level_share < 1.0 && self.levels.len() <= depth {
            let mut active = self.tree.clone();
            let purpose = Purpose::LevelColumns { depth: self.levels.len() };
            let mut random = generator(self.seed, purpose, self.round);
            sample_columns(&mut random, self.level_share, &mut active);
            self.levels.push(active);
        }
    }

    /// The features of a level that is drawn.
    pub(crate) fn level(&self, depth: usize) -> &[bool] {
        self.levels.get(depth).unwrap_or(&self.tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_drawn_from_the_tree_in_any_order_of_asking() {
        let params =
            BoostingParams { colsample_bytree: 0.5, colsample_bylevel: 0.5, ..Default::default() };
        let mut deep_first = Columns::new(&params, 40, 3);
        deep_first.draw(4);
        let mut step_by_step = Columns::new(&params, 40, 3);
        for depth in 0..5 {
            step_by_step.draw(depth);
            let level = step_by_step.level(depth);
            assert_eq!(level, deep_first.level(depth));
            assert_eq!(level.iter().filter(|&&on| on).count(), 10);
            assert!(level.iter().zip(&step_by_step.tree).all(|(&on, &tree)| tree || !on));
        }
        assert_ne!(deep_first.level(0), deep_first.level(1));
    }
}
