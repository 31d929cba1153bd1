//! A greedy tree by brute force over every split, against the histogram's.

use forecastle_core::PredictExt;
use forecastle_models_tree::BoostingParams;
use ndarray::{Array1, Array2};
use proptest::prelude::*;

use crate::sample::{Sample, plain, uniform};

/// What a tree of the given depth answers for its own rows, learnt by trying every split of every
/// feature, with missing values on either side, in plain `f64` sums.
fn brute_force(sample: &Sample, params: BoostingParams, base: f64) -> Vec<f64> {
    let n = sample.records.nrows();
    let weight = |i: usize| sample.weights.as_ref().map_or(1.0, |w| w[i]);
    let mut answers = vec![0.0; n];
    let mut open = vec![((0..n).collect::<Vec<usize>>(), 0)];
    while let Some((rows, depth)) = open.pop() {
        let sums = |rows: &[usize]| {
            rows.iter().fold((0.0, 0.0), |(g, h), &i| {
                (g + weight(i) * (base - sample.targets[i]), h + weight(i))
            })
        };
        let soft = |g: f64| (g.abs() - params.l1).max(0.0) * g.signum();
        let score = |rows: &[usize]| {
            let (g, h) = sums(rows);
            soft(g) * soft(g) / (h + params.l2)
        };
        let mut best: Option<(f64, Vec<usize>, Vec<usize>)> = None;
        if depth < params.max_depth {
            for j in 0..sample.records.ncols() {
                let value = |i: usize| sample.records[[i, j]];
                let mut limits: Vec<f64> =
                    rows.iter().map(|&i| value(i)).filter(|v| !v.is_nan()).collect();
                limits.sort_by(f64::total_cmp);
                limits.dedup();
                for limit in limits {
                    for missing_left in [false, true] {
                        let goes_left = |&i: &usize| {
                            if value(i).is_nan() { missing_left } else { value(i) <= limit }
                        };
                        let (left, right): (Vec<usize>, Vec<usize>) =
                            rows.iter().partition(|i| goes_left(i));
                        let enough = |rows: &[usize]| {
                            !rows.is_empty() && sums(rows).1 >= params.min_child_weight
                        };
                        if !enough(&left) || !enough(&right) {
                            continue;
                        }
                        let gain = score(&left) + score(&right) - score(&rows);
                        let floor = best.as_ref().map_or(params.gamma, |b| b.0);
                        if gain > floor + 1e-9 {
                            best = Some((gain, left, right));
                        }
                    }
                }
            }
        }
        match best {
            Some((_, left, right)) => {
                open.push((left, depth + 1));
                open.push((right, depth + 1));
            }
            None => {
                let (g, h) = sums(&rows);
                rows.iter().for_each(|&i| answers[i] = -soft(g) / (h + params.l2));
            }
        }
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn prop_one_tree_equals_brute_force(
        seed in any::<u64>(), n in 1_usize..60, width in 1_usize..11, levels in 2_u32..40,
        missing in 0.0_f64..0.5, weighted: bool, depth in 1_usize..4,
        l1 in prop_oneof![Just(0.0), 0.0_f64..2.0], l2 in prop_oneof![Just(0.0), 0.0_f64..5.0],
        gamma in prop_oneof![Just(0.0), 0.0_f64..1.0],
        min_child_weight in prop_oneof![Just(0.0), 0.5_f64..6.0],
    ) {
        let mut random = uniform(seed);
        let records = Array2::from_shape_simple_fn((n, width), || {
            let value = (random() * f64::from(levels)).floor();
            if random() < missing { f64::NAN } else { value }
        });
        let targets = Array1::from_shape_simple_fn(n, || random() * 4.0 - 2.0);
        let mut sample = Sample::new(records, targets);
        if weighted {
            sample.weights = Some(Array1::from_shape_simple_fn(n, || 0.1 + 3.0 * random()));
        }
        let base = 0.3;
        let params = BoostingParams {
            n_rounds: 1, learning_rate: 1.0, max_depth: depth, l1, l2, gamma, min_child_weight,
            base_score: Some(base), ..plain()
        };
        let expected = brute_force(&sample, params, base);
        let told = sample.fit(params).predict(&sample.records).unwrap();
        for i in 0..n {
            prop_assert!(
                (told[i] - base - expected[i]).abs() < 1e-7,
                "row {}: {} against {}", i, told[i] - base, expected[i]
            );
        }
    }
}

#[test]
fn leaf_wise_with_leaves_to_spare_equals_depth_wise() {
    use forecastle_models_tree::Growth;
    let sample = crate::sample::curved(3, 500, 4);
    let depth_wise = sample.fit(plain()).predict(&sample.records).unwrap();
    let params = BoostingParams { growth: Growth::LeafWise, max_leaves: 1000, ..plain() };
    assert_eq!(sample.fit(params).predict(&sample.records).unwrap(), depth_wise);
    let limited = BoostingParams { max_leaves: 1000, ..plain() };
    assert_eq!(sample.fit(limited).predict(&sample.records).unwrap(), depth_wise);
}

#[test]
fn leaf_wise_lowers_the_loss_more_than_depth_wise_with_as_many_leaves() {
    use forecastle_models_tree::Growth;
    let sample = crate::sample::curved(3, 2000, 4);
    let loss = |growth| {
        let params =
            BoostingParams { growth, max_leaves: 6, max_depth: 12, n_rounds: 30, ..plain() };
        *sample.fit(params).report().train_loss.last().unwrap()
    };
    assert!(loss(Growth::LeafWise) < loss(Growth::DepthWise));
}
