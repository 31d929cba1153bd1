/// Values at which a block is split in two.
const BLOCK: usize = 256;

/// A multiset of finite numbers that answers ranks and order statistics.
///
/// The values lie sorted in blocks of at most [`BLOCK`]: a change moves a part of one block, and a
/// search walks the lengths of the blocks, some 60 for 10,000 values. What it answers depends on
/// the values alone, not on how they came. Emptied blocks are kept for the next split.
#[derive(Debug, Clone, Default)]
pub(crate) struct OrderStatistics {
    /// None empty, each increasing, none beginning before the one in front of it ends.
    blocks: Vec<Vec<f64>>,
    spare: Vec<Vec<f64>>,
}

impl OrderStatistics {
    pub(crate) fn insert(&mut self, value: f64) {
        let fits = self.home(value).min(self.blocks.len().saturating_sub(1));
        let Some(block) = self.blocks.get_mut(fits) else {
            let mut first = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK));
            first.push(value);
            self.blocks.push(first);
            return;
        };
        block.insert(block.partition_point(|v| *v < value), value);
        if block.len() >= BLOCK {
            let mut tail = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK));
            tail.extend(block.drain(BLOCK / 2..));
            self.blocks.insert(fits + 1, tail);
        }
    }

    /// Takes one occurrence out; false where there is none.
    pub(crate) fn remove(&mut self, value: f64) -> bool {
        let home = self.home(value);
        let Some(block) = self.blocks.get_mut(home) else {
            return false;
        };
        let at = block.partition_point(|v| *v < value);
        if block.get(at) != Some(&value) {
            return false;
        }
        block.remove(at);
        let left = block.len();
        // A sparse block joins its neighbour, so that the number of blocks follows that of values.
        let next = self.blocks.get(home + 1).map_or(BLOCK, Vec::len);
        if left == 0 {
            let empty = self.blocks.remove(home);
            self.spare.push(empty);
        } else if left < BLOCK / 4 && left + next < BLOCK * 3 / 4 {
            let mut next = self.blocks.remove(home + 1);
            if let Some(block) = self.blocks.get_mut(home) {
                block.append(&mut next);
            }
            self.spare.push(next);
        }
        true
    }

    /// The value with `index` others in front of it.
    pub(crate) fn select(&self, index: usize) -> Option<f64> {
        let mut left = index;
        for block in &self.blocks {
            if left < block.len() {
                return block.get(left).copied();
            }
            left -= block.len();
        }
        None
    }

    /// How many are smaller.
    pub(crate) fn below(&self, value: f64) -> usize {
        let home = self.home(value);
        let before: usize = self.blocks.iter().take(home).map(Vec::len).sum();
        before + self.blocks.get(home).map_or(0, |b| b.partition_point(|v| *v < value))
    }

    /// The first block that ends at the value or after it.
    fn home(&self, value: f64) -> usize {
        self.blocks.partition_point(|block| block.last().is_some_and(|last| *last < value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prop_ranks_and_order_statistics_are_those_of_a_sorted_vector(
            values in prop::collection::vec(-40_i32..40, 1..1500),
            drift in 0.0_f64..0.2, window in 1_usize..900,
        ) {
            // Ties, a drift that empties old blocks, and a window that takes values out again.
            let mut set = OrderStatistics::default();
            let mut kept: Vec<f64> = Vec::new();
            let value = |(t, v): (usize, &i32)| f64::from(*v) + (drift * t as f64).floor();
            for (t, v) in values.iter().enumerate().map(|(t, v)| (t, value((t, v)))) {
                kept.push(v);
                set.insert(v);
                if kept.len() > window {
                    prop_assert!(set.remove(kept.remove(0)));
                }
                if t % 50 == 0 || t + 1 == values.len() {
                    let mut sorted = kept.clone();
                    sorted.sort_unstable_by(f64::total_cmp);
                    prop_assert_eq!(set.below(f64::INFINITY), sorted.len());
                    for (i, s) in sorted.iter().enumerate() {
                        prop_assert_eq!(set.select(i), Some(*s));
                        prop_assert_eq!(set.below(*s), sorted.partition_point(|x| x < s));
                    }
                    prop_assert_eq!(set.select(sorted.len()), None);
                    prop_assert!(!set.remove(1e9));
                    let most = 8 * sorted.len() / BLOCK + 2;
                    prop_assert!(set.blocks.len() <= most, "{} blocks", set.blocks.len());
                }
            }
        }
    }
}
