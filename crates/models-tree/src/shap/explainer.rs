use forecastle_core::{Error, Result};

use super::quadrature::Quadrature;
use crate::forest::{FlatSplit, Forest};

/// Numbers that an explainer may hold: a quarter of a gigabyte.
const MAX_CELLS: usize = 1 << 25;

/// No split of the same feature further up.
const NONE: u32 = u32::MAX;

/// Holds trees ready to be explained; `2M` distinct features a way down at most.
///
/// A leaf counts towards the answer for a set of known features by a product over the features on
/// its way: 1 or 0 for a known one (whether the row goes there), the share of the training rows
/// that went there for another. Shapley's mean over all orders is Owen's integral of that product,
/// each feature known with probability `t`, over `t` in 0..1: a polynomial, so a sum over a few
/// points is exact. Nothing but positive numbers is multiplied, so depth costs no digits.
pub(crate) struct Explainer<const M: usize> {
    rule: Quadrature<M>,
    /// `1 / (1 − t)`.
    inverse_rests: [f64; M],
    trees: Vec<ShapTree<M>>,
    /// The mean answer of all trees over the training rows.
    expected: f64,
}

struct ShapTree<const M: usize> {
    /// Parents before their children.
    splits: Vec<Split>,
    /// Node and answer.
    leaves: Vec<(u32, f64)>,
    /// What leads to each node; the root's is not used.
    edges: Vec<Edge<M>>,
}

struct Split {
    at: u32,
    /// Where the way to here was parted last by the same feature: the node below it, or [`NONE`].
    above: u32,
    flat: FlatSplit,
}

#[derive(Clone)]
struct Edge<const M: usize> {
    /// Share of the parent's rows that go this way.
    share: f64,
    /// The product of the shares of all edges of this feature on the way.
    shares: f64,
    /// `1 / (t + (1 − t)·shares)`.
    inverse: [f64; M],
}

/// What explaining one row writes to; made once a thread.
pub(crate) struct Scratch<const M: usize> {
    /// Downwards a node's products at every point, upwards the sum of its leaves'.
    products: Vec<[f64; M]>,
    /// Whether the row satisfies every split of the edge's feature on the way to the node.
    follows: Vec<bool>,
}

/// Most distinct features on a way from a root to a leaf.
pub(crate) fn features_on_a_way(forest: &Forest) -> usize {
    let mut most = 0;
    for nodes in forest.trees() {
        let nodes: Vec<_> = nodes.collect();
        // Parent and feature of the edge to each node, and the features so far.
        let mut edges = vec![(0_usize, usize::MAX); nodes.len()];
        let mut counts = vec![0_usize; nodes.len()];
        for (at, node) in nodes.iter().enumerate() {
            most = most.max(counts[at]);
            if let Some(split) = node.split {
                let mut up = at;
                while up != 0 && edges[up].1 != split.feature {
                    up = edges[up].0;
                }
                let fresh = usize::from(up == 0);
                for child in [split.left as usize, split.left as usize + 1] {
                    edges[child] = (at, split.feature);
                    counts[child] = counts[at] + fresh;
                }
            }
        }
    }
    most
}

impl<const M: usize> Explainer<M> {
    /// Prepares a forest whose [`features_on_a_way`] are at most `2M`.
    pub(crate) fn new(forest: &Forest) -> Result<Self> {
        let rule = Quadrature::new();
        let mut explainer = Self {
            rule,
            inverse_rests: rule.rests.map(|rest| 1.0 / rest),
            trees: Vec::with_capacity(forest.n_trees()),
            expected: 0.0,
        };
        let cells = forest.trees().map(|nodes| nodes.len()).sum::<usize>() * (M + 2);
        if cells > MAX_CELLS {
            let reason = "the trees are too large and too deep for the memory they may take";
            return Err(Error::numerical("SHAP values", reason));
        }
        for nodes in forest.trees() {
            let tree = explainer.prepare(nodes.collect())?;
            explainer.trees.push(tree);
        }
        Ok(explainer)
    }

    fn prepare(&mut self, nodes: Vec<crate::forest::FlatNode>) -> Result<ShapTree<M>> {
        let n = nodes.len();
        let edge = Edge { share: 1.0, shares: 1.0, inverse: [1.0; M] };
        let (mut splits, mut leaves, mut edges) = (Vec::new(), Vec::new(), vec![edge; n]);
        let mut parents = vec![(0_usize, usize::MAX); n];
        // The share of all rows that reach each node.
        let mut reach = vec![1.0; n];
        for (at, node) in nodes.iter().enumerate() {
            let Some(flat) = node.split else {
                leaves.push((at as u32, node.value));
                self.expected += reach[at] * node.value;
                continue;
            };
            let mut up = at;
            while up != 0 && parents[up].1 != flat.feature {
                up = parents[up].0;
            }
            let above = if up == 0 { NONE } else { up as u32 };
            let known = if up == 0 { 1.0 } else { edges[up].shares };
            let left = flat.left as usize;
            let covers = [nodes[left].cover, nodes[left + 1].cover];
            let total: f64 = covers.iter().sum();
            if !(covers.iter().all(|&cover| cover >= 0.0) && total > 0.0 && total.is_finite()) {
                let reason = "a split has no cover to weigh its children by";
                return Err(Error::numerical("SHAP values", reason));
            }
            for (side, cover) in covers.into_iter().enumerate() {
                let share = cover / total;
                let shares = known * share;
                let factor = |k: usize| self.rule.points[k] + self.rule.rests[k] * shares;
                let inverse = std::array::from_fn(|k| 1.0 / factor(k));
                edges[left + side] = Edge { share, shares, inverse };
                parents[left + side] = (at, flat.feature);
                reach[left + side] = reach[at] * share;
            }
            splits.push(Split { at: at as u32, above, flat });
        }
        Ok(ShapTree { splits, leaves, edges })
    }

    /// The mean answer of all trees over the training rows.
    pub(crate) fn expected(&self) -> f64 {
        self.expected
    }

    /// Room for the largest tree.
    pub(crate) fn scratch(&self) -> Scratch<M> {
        let most = self.trees.iter().map(|tree| tree.edges.len()).max().unwrap_or(0);
        Scratch { products: vec![[0.0; M]; most], follows: vec![true; most] }
    }

    /// Adds what every feature contributes to each row's answer.
    ///
    /// - `rows`: `(n, width)`, row-major
    /// - `out`: `(n, stride)`, row-major, `stride >= width`
    pub(crate) fn add_rows(
        &self,
        rows: &[f64],
        width: usize,
        out: &mut [f64],
        stride: usize,
        scratch: &mut Scratch<M>,
    ) {
        for tree in &self.trees {
            if width == 0 || tree.splits.is_empty() {
                continue;
            }
            for (row, out) in rows.chunks_exact(width).zip(out.chunks_exact_mut(stride)) {
                self.add_tree(tree, row, out, scratch);
            }
        }
    }

    fn add_tree(&self, tree: &ShapTree<M>, row: &[f64], out: &mut [f64], scratch: &mut Scratch<M>) {
        let Quadrature { points, rests, weights } = &self.rule;
        let Scratch { products, follows } = scratch;
        products[0] = *weights;
        for split in &tree.splits {
            let right = split.flat.goes_right(row[split.flat.feature]);
            let left = split.flat.left as usize;
            let mut product = products[split.at as usize];
            let mut followed = true;
            if split.above != NONE {
                let above = split.above as usize;
                followed = follows[above];
                if followed {
                    // The feature's factor so far gives way to the new one.
                    let inverse = &tree.edges[above].inverse;
                    for k in 0..M {
                        product[k] *= inverse[k];
                    }
                }
            }
            let [near, far] = if right { [left + 1, left] } else { [left, left + 1] };
            let (near_edge, far_edge) = (&tree.edges[near], &tree.edges[far]);
            if followed {
                for k in 0..M {
                    products[near][k] = product[k] * (points[k] + rests[k] * near_edge.shares);
                    products[far][k] = product[k] * (rests[k] * far_edge.shares);
                }
            } else {
                for k in 0..M {
                    products[near][k] = product[k] * near_edge.share;
                    products[far][k] = product[k] * far_edge.share;
                }
            }
            follows[near] = followed;
            follows[far] = false;
        }
        for &(at, value) in &tree.leaves {
            for product in &mut products[at as usize] {
                *product *= value;
            }
        }
        for split in tree.splits.iter().rev() {
            let left = split.flat.left as usize;
            let (a, b) = (products[left], products[left + 1]);
            let above = (split.above != NONE).then_some(split.above as usize);
            // Once left, a feature's way tells nothing new further down.
            if above.is_none_or(|above| follows[above]) {
                let near = left + usize::from(!follows[left]);
                let edge = &tree.edges[near];
                let (near_sum, far_sum) = if near == left { (&a, &b) } else { (&b, &a) };
                let gain = 1.0 - edge.shares;
                let mut sum = 0.0;
                for k in 0..M {
                    sum +=
                        near_sum[k] * gain * edge.inverse[k] - far_sum[k] * self.inverse_rests[k];
                }
                if let Some(above) = above {
                    let edge = &tree.edges[above];
                    let gain = 1.0 - edge.shares;
                    for k in 0..M {
                        sum -= (a[k] + b[k]) * gain * edge.inverse[k];
                    }
                }
                out[split.flat.feature] += sum;
            }
            for k in 0..M {
                products[split.at as usize][k] = a[k] + b[k];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forest::FlatNode;
    use proptest::prelude::*;

    const WIDTH: usize = 4;

    /// A tree from a list of numbers: each splits the next leaf, breadth first.
    fn tree(numbers: &[(usize, f64, bool, f64)], leaves: &[f64]) -> (usize, Vec<FlatNode>) {
        let leaf = |value: f64, cover: f64| FlatNode { split: None, value, cover };
        let mut nodes = vec![leaf(leaves[0], 64.0)];
        let mut depths = vec![0];
        for (i, &(feature, threshold, missing_right, share)) in numbers.iter().enumerate() {
            let at = i * 7 % nodes.len();
            let at = (at..nodes.len()).find(|&at| nodes[at].split.is_none()).unwrap();
            let left = nodes.len() as u32;
            nodes[at].split =
                Some(FlatSplit { feature, threshold, missing_right, left, gain: 1.0 });
            let cover = nodes[at].cover;
            for (side, cover) in [(0, cover * share), (1, cover * (1.0 - share))] {
                nodes.push(leaf(leaves[(2 * i + side + 1) % leaves.len()], cover.max(1e-9)));
                depths.push(depths[at] + 1);
            }
        }
        (depths.into_iter().max().unwrap(), nodes)
    }

    /// The answer when only the features of `known` are: the others by cover.
    fn answer(nodes: &[FlatNode], at: usize, row: &[f64], known: u32) -> f64 {
        let Some(split) = nodes[at].split else { return nodes[at].value };
        let left = split.left as usize;
        if known >> split.feature & 1 == 1 {
            return answer(
                nodes,
                left + usize::from(split.goes_right(row[split.feature])),
                row,
                known,
            );
        }
        let (a, b) = (nodes[left].cover, nodes[left + 1].cover);
        let (x, y) = (answer(nodes, left, row, known), answer(nodes, left + 1, row, known));
        (a * x + b * y) / (a + b)
    }

    /// Shapley's definition, over every subset.
    fn shapley(nodes: &[FlatNode], row: &[f64]) -> Vec<f64> {
        let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
        let of = |feature: usize| {
            let sets = (0..1_u32 << WIDTH).filter(|set| set >> feature & 1 == 0);
            let terms = sets.map(|set| {
                let size = set.count_ones();
                let weight = factorial(size) * factorial(WIDTH as u32 - size - 1);
                let with = answer(nodes, 0, row, set | 1 << feature);
                weight / factorial(WIDTH as u32) * (with - answer(nodes, 0, row, set))
            });
            terms.sum::<f64>()
        };
        (0..WIDTH).map(of).collect()
    }

    fn explain<const M: usize>(forest: &Forest, row: &[f64]) -> (Vec<f64>, f64) {
        let explainer = Explainer::<M>::new(forest).unwrap();
        let mut out = vec![0.0; WIDTH];
        explainer.add_rows(row, WIDTH, &mut out, WIDTH, &mut explainer.scratch());
        (out, explainer.expected())
    }

    #[test]
    fn splits_without_cover_are_refused() {
        let (depth, mut nodes) = tree(&[(0, 0.0, false, 0.5)], &[1.0, 2.0]);
        for covers in [[0.0, 0.0], [-1.0, 2.0], [f64::NAN, 1.0], [f64::INFINITY, 1.0]] {
            (nodes[1].cover, nodes[2].cover) = (covers[0], covers[1]);
            let mut forest = Forest::default();
            forest.push_nodes(depth, nodes.iter().copied());
            assert!(Explainer::<1>::new(&forest).is_err(), "{covers:?}");
        }
    }

    #[test]
    fn trees_beyond_the_memory_they_may_take_are_refused() {
        let mut forest = Forest::default();
        for _ in 0..MAX_CELLS / 130 + 1 {
            forest.push_nodes(0, tree(&[], &[1.0]).1.into_iter());
        }
        assert!(Explainer::<128>::new(&forest).is_err());
        assert!(Explainer::<1>::new(&forest).is_ok());
    }

    #[test]
    fn features_are_counted_once_a_way() {
        let numbers = [(0, 0.0, false, 0.5), (0, 0.5, false, 0.5), (1, 0.0, true, 0.5)];
        let (depth, nodes) = tree(&numbers, &[1.0, 2.0]);
        let mut forest = Forest::default();
        forest.push_nodes(depth, nodes.into_iter());
        assert_eq!((features_on_a_way(&forest), features_on_a_way(&Forest::default())), (2, 0));
    }

    proptest! {
        #[test]
        fn prop_values_are_shapleys_over_all_subsets(
            numbers in prop::collection::vec(
                (0..WIDTH, -1.0_f64..1.0, any::<bool>(), prop_oneof![0.0_f64..=1.0, Just(0.0)]), 0..14),
            leaves in prop::collection::vec(-5.0_f64..5.0, 1..12),
            row in prop::collection::vec(prop_oneof![4 => -1.0_f64..1.0, 1 => Just(f64::NAN)], WIDTH),
        ) {
            let (depth, nodes) = tree(&numbers, &leaves);
            let mut forest = Forest::default();
            forest.push_nodes(depth, nodes.iter().copied());
            let expected = shapley(&nodes, &row);
            // Four features need two points, and more do no harm.
            for (told, mean) in [explain::<2>(&forest, &row), explain::<8>(&forest, &row)] {
                prop_assert!((mean - answer(&nodes, 0, &row, 0)).abs() < 1e-12);
                for (a, b) in told.iter().zip(&expected) {
                    prop_assert!((a - b).abs() < 1e-11, "{told:?} against {expected:?}");
                }
                let sum = mean + told.iter().sum::<f64>();
                prop_assert!((sum - forest.add_row::<true>(&row, 0.0)).abs() < 1e-11);
            }
        }
    }
}
