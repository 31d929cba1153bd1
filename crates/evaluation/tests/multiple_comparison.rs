#![allow(clippy::unwrap_used, reason = "tests")]
//! Model Confidence Set, reality check and block lengths against `arch` 8.0.0, and their laws.

use forecastle_core::Error;
use forecastle_evaluation::{
    BlockScheme, BootstrapParams, McsParams, McsStatistic, ModelConfidenceSet, RealityCheckParams,
    model_confidence_set, model_confidence_set_from, optimal_block_length, reality_check,
    reality_check_from,
};
use ndarray::{Array1, Array2, Axis, array, concatenate};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

#[path = "reference/figures.rs"]
mod figures;
use figures::{Figures, near};

const STATISTICS: [(McsStatistic, &str); 2] =
    [(McsStatistic::Max, "max"), (McsStatistic::Range, "range")];

fn indices(figures: &Figures) -> Array2<usize> {
    figures.table("indices").mapv(|row| row as usize)
}

/// Blocks of 4 as in the figures; 20 000 replications have a standard error of at most 0.0035.
fn many(scheme: BlockScheme) -> BootstrapParams {
    BootstrapParams { scheme, block_length: Some(4), n_resamples: 20_000, seed: 1 }
}

fn set(
    losses: &Array2<f64>,
    statistic: McsStatistic,
    bootstrap: BootstrapParams,
) -> ModelConfidenceSet {
    model_confidence_set(losses, &McsParams { statistic, horizon: 1, bootstrap }).unwrap()
}

/// P-values in the order of the columns, from those in the order of elimination.
fn by_column(figures: &Figures, path: &str) -> Vec<f64> {
    let (order, p) =
        (figures.whole(&format!("{path}/order")), figures.vector(&format!("{path}/p")));
    let mut by_column = vec![f64::NAN; order.len()];
    order.iter().zip(p).for_each(|(&model, p)| by_column[model] = p);
    by_column
}

#[test]
fn from_the_rows_that_arch_drew_the_confidence_set_is_that_of_arch() {
    let figures = Figures::read();
    let losses = figures.table("losses");
    for (statistic, name) in STATISTICS {
        let set = model_confidence_set_from(&losses, statistic, &indices(&figures)).unwrap();
        assert_eq!(set.elimination, figures.whole(&format!("mcs_{name}/order")), "{name}");
        assert_eq!(set.p_values, by_column(&figures, &format!("mcs_{name}")), "{name}");
        assert_eq!((set.block_length, set.n_resamples), (None, 64));
    }
}

#[test]
fn with_rows_drawn_here_the_confidence_set_is_that_of_arch_up_to_luck() {
    let figures = Figures::read();
    let losses = figures.table("losses");
    for (statistic, name) in STATISTICS {
        for (scheme, path) in
            [(BlockScheme::Stationary, "mcs_many"), (BlockScheme::Circular, "mcs_circular")]
        {
            let set = set(&losses, statistic, many(scheme));
            let expected = by_column(&figures, &format!("{path}_{name}"));
            for (ours, theirs) in set.p_values.iter().zip(&expected) {
                assert!((ours - theirs).abs() < 0.016, "{path}_{name}: {set:?}, {expected:?}");
            }
        }
    }
}

#[test]
fn from_the_rows_that_arch_drew_the_reality_check_is_that_of_arch() {
    let figures = Figures::read();
    let (losses, indices) = (figures.table("losses"), indices(&figures));
    for i in 0..3 {
        let benchmark = figures.number(&format!("spa/{i}/benchmark")) as usize;
        let others: Vec<usize> = (0..6).filter(|&j| j != benchmark).collect();
        let (own, models) = (losses.column(benchmark), losses.select(Axis(1), &others));
        let run = |studentize| reality_check_from(&own, &models, studentize, &indices).unwrap();
        let plain = run(false);
        let ability = plain.superior_ability;
        let expected = figures.vector(&format!("spa/{i}/plain_given"));
        assert_eq!(array![ability.lower, ability.consistent, ability.upper], expected, "{i}");
        assert_eq!(plain.p_value, expected[2], "White's");
        let ability = run(true).superior_ability;
        let expected = figures.vector(&format!("spa/{i}/studentized_given/p"));
        let statistic = figures.number(&format!("spa/{i}/studentized_given/statistic"));
        if statistic > 0.0 {
            assert_eq!(array![ability.lower, ability.consistent, ability.upper], expected, "{i}");
            assert!(near(ability.statistic, statistic, 1e-10), "{ability:?}");
        } else {
            // No model is better: Hansen's statistic is 0, and there is nothing to test.
            assert_eq!((ability.statistic, ability.lower, ability.upper), (0.0, 1.0, 1.0));
        }
    }
}

#[test]
fn with_rows_drawn_here_the_reality_check_is_that_of_arch_up_to_luck() {
    let figures = Figures::read();
    let losses = figures.table("losses");
    for i in 0..2 {
        let others: Vec<usize> = (0..6).filter(|&j| j != i).collect();
        let (own, models) = (losses.column(i), losses.select(Axis(1), &others));
        for (studentize, path) in [(false, "plain_many"), (true, "studentized_many/p")] {
            let params = RealityCheckParams {
                studentize,
                bootstrap: many(BlockScheme::Stationary),
                ..RealityCheckParams::default()
            };
            let check = reality_check(&own, &models, &params).unwrap();
            let ability = check.superior_ability;
            let expected = figures.vector(&format!("spa/{i}/{path}"));
            for (ours, theirs) in
                [ability.lower, ability.consistent, ability.upper].iter().zip(&expected)
            {
                assert!((ours - theirs).abs() < 0.016, "{i} {path}: {ability:?}, {expected}");
            }
            let difference = own.mean().unwrap() - models.column(check.best).mean().unwrap();
            assert!(near(check.advantage, difference, 1e-12));
        }
    }
}

#[test]
fn block_lengths_are_those_of_arch_and_never_below_1() {
    let figures = Figures::read();
    for i in 0..figures.at("block_lengths").as_array().unwrap().len() {
        let at = |name: &str| format!("block_lengths/{i}/{name}");
        let length = optimal_block_length(&figures.vector(&at("series"))).unwrap();
        let expected = (figures.number(&at("stationary")), figures.number(&at("circular")));
        assert!(
            near(length.stationary, expected.0.max(1.0), 1e-10),
            "{i}: {length:?}, {expected:?}"
        );
        assert!(near(length.circular, expected.1.max(1.0), 1e-10), "{i}: {length:?}, {expected:?}");
    }
    for constant in [array![0.0, 0.0], array![0.1, 0.1, 0.1, 0.1], array![3.0]] {
        let length = optimal_block_length(&constant).unwrap();
        assert_eq!((length.stationary, length.circular), (1.0, 1.0));
    }
    assert!(optimal_block_length(&array![1.0, f64::NAN]).is_err());
}

/// Losses of models that are `worse[j]` worse than the best, moving averages of 3.
fn noisy(n: usize, worse: &[f64], random: &mut Xoshiro256PlusPlus) -> Array2<f64> {
    let mut losses = Array2::zeros((n, worse.len()));
    for (mut column, worse) in losses.columns_mut().into_iter().zip(worse) {
        let shocks: Vec<f64> = (0..n + 2).map(|_| StandardNormal.sample(random)).collect();
        for (loss, window) in column.iter_mut().zip(shocks.windows(3)) {
            *loss = 5.0 + worse + window.iter().sum::<f64>();
        }
    }
    losses
}

#[test]
fn the_best_model_is_in_the_set_as_often_as_promised_and_bad_ones_are_not() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    let bootstrap =
        BootstrapParams { block_length: Some(8), n_resamples: 200, ..Default::default() };
    let worse = [0.0, 0.0, 0.05, 0.1, 1.5];
    for (statistic, name) in STATISTICS {
        let (mut kept, mut wrong, runs) = (0, 0, 400);
        for _ in 0..runs {
            let set = set(&noisy(300, &worse, &mut random), statistic, bootstrap);
            kept += usize::from(set.contains(0, 0.1));
            wrong += usize::from(set.contains(4, 0.1));
        }
        assert!(f64::from(kept as u32) / f64::from(runs) > 0.87, "{name}: {kept}");
        assert_eq!(wrong, 0, "{name}");
    }
}

#[test]
fn the_best_of_many_equal_models_is_not_called_better() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(6);
    let bootstrap =
        BootstrapParams { block_length: Some(8), n_resamples: 200, ..Default::default() };
    let params = RealityCheckParams { bootstrap, ..RealityCheckParams::default() };
    let (mut white, mut hansen, mut naive, runs) = (0, 0, 0, 400);
    for _ in 0..runs {
        let losses = noisy(300, &[0.0; 9], &mut random);
        let models = losses.slice(ndarray::s![.., 1..]);
        let check = reality_check(&losses.column(0), &models, &params).unwrap();
        white += usize::from(check.p_value < 0.05);
        hansen += usize::from(check.superior_ability.consistent < 0.05);
        // What looking at the best alone would say.
        let best = models.select(Axis(1), &[check.best]);
        let alone = reality_check(&losses.column(0), &best, &params).unwrap();
        naive += usize::from(alone.p_value < 0.05);
    }
    let share = |count: usize| count as f64 / f64::from(runs);
    assert!(share(naive) > 0.15, "the fault is there: {}", share(naive));
    assert!((0.02..0.09).contains(&share(white)), "{}", share(white));
    assert!((0.02..0.10).contains(&share(hansen)), "{}", share(hansen));
}

#[test]
fn a_copy_of_a_model_changes_nothing_and_shares_its_p_value() {
    let losses = Figures::read().table("losses");
    for (statistic, name) in STATISTICS {
        let bootstrap = BootstrapParams { n_resamples: 500, ..BootstrapParams::default() };
        let alone = set(&losses, statistic, bootstrap);
        let copies = concatenate![Axis(1), losses, losses.select(Axis(1), &[5, 3, 5])];
        let set = set(&copies, statistic, bootstrap);
        assert_eq!(set.p_values[..6], alone.p_values, "{name}");
        assert_eq!(
            (set.p_values[6], set.p_values[7], set.p_values[8]),
            (alone.p_values[5], alone.p_values[3], alone.p_values[5])
        );
        assert_eq!(set.elimination.len(), 9);
        assert_eq!(set.elimination[6..], [5, 6, 8], "the best and its copies stay together");
    }
}

#[test]
fn identical_models_are_all_in_the_set() {
    let one = Array2::from_shape_fn((40, 1), |(t, _)| (t as f64 * 0.3).sin().powi(2));
    for (statistic, _) in STATISTICS {
        let losses = concatenate![Axis(1), one, one, one];
        let set = set(&losses, statistic, BootstrapParams::default());
        assert_eq!((set.p_values, set.elimination), (vec![1.0; 3], vec![0, 1, 2]));
    }
    // Up to rounding is identical too.
    let losses = concatenate![Axis(1), one, (&one * 3.0) / 3.0, &one + 1e-17];
    for (statistic, _) in STATISTICS {
        let set = set(&losses, statistic, BootstrapParams::default());
        assert_eq!(set.p_values, [1.0; 3]);
    }
    let check = reality_check(&one.column(0), &one, &RealityCheckParams::default()).unwrap();
    assert_eq!(
        (check.p_value, check.superior_ability.consistent, check.advantage),
        (1.0, 1.0, 0.0)
    );
    let plain = RealityCheckParams { studentize: false, ..RealityCheckParams::default() };
    let ability = reality_check(&one.column(0), &one, &plain).unwrap().superior_ability;
    assert_eq!((ability.lower, ability.consistent, ability.upper), (1.0, 1.0, 1.0));
}

#[test]
fn a_difference_that_is_the_same_in_every_row_is_decisive() {
    let one = Array2::from_shape_fn((40, 1), |(t, _)| (t as f64 * 0.3).sin().powi(2));
    for (statistic, name) in STATISTICS {
        let losses = concatenate![Axis(1), &one + 0.001, one, one, &one + 0.002];
        let set = set(&losses, statistic, BootstrapParams::default());
        assert_eq!(
            (set.p_values.clone(), set.models(0.05)),
            (vec![0.0, 1.0, 1.0, 0.0], vec![1, 2]),
            "{name}"
        );
        assert_eq!(set.elimination, [3, 0, 1, 2], "{name}");
    }
    let better = &one - 0.001;
    let check = reality_check(&one.column(0), &better, &RealityCheckParams::default()).unwrap();
    assert_eq!((check.p_value, check.superior_ability.consistent), (0.0, 0.0));
    assert_eq!(check.superior_ability.statistic, f64::INFINITY);
    let worse = &one + 0.001;
    let check = reality_check(&one.column(0), &worse, &RealityCheckParams::default()).unwrap();
    assert_eq!((check.p_value, check.superior_ability.consistent), (1.0, 1.0));
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    let losses = Figures::read().table("losses");
    let run = |seed| {
        let bootstrap = BootstrapParams { n_resamples: 300, seed, ..BootstrapParams::default() };
        let params = RealityCheckParams { bootstrap, ..RealityCheckParams::default() };
        let models = losses.slice(ndarray::s![.., 1..]);
        (
            set(&losses, McsStatistic::Max, bootstrap),
            reality_check(&losses.column(0), &models, &params).unwrap(),
        )
    };
    let here = run(0);
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| run(0)), here, "{threads} threads");
    }
    assert_ne!(run(1), here);
}

#[test]
fn an_automatic_block_is_no_shorter_than_the_horizon() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(9);
    let losses = noisy(400, &[0.0, 0.0], &mut random);
    let length = |horizon| {
        let params = McsParams { horizon, ..McsParams::default() };
        model_confidence_set(&losses, &params).unwrap().block_length.unwrap()
    };
    assert!((2..20).contains(&length(1)), "{}", length(1));
    assert_eq!(length(50), 50);
}

#[test]
fn losses_at_the_ends_of_the_range_are_compared_like_others() {
    let losses = Figures::read().table("losses") / 8.0;
    for largest in [f64::MAX, 1e-300] {
        // Powers of two round nothing, so that the p-values keep their bits.
        let unit = largest.log2().min(1023.0).floor().exp2() / 2.0;
        for (statistic, name) in STATISTICS {
            let bootstrap = BootstrapParams { n_resamples: 200, ..BootstrapParams::default() };
            let usual = set(&losses, statistic, bootstrap);
            let far = set(&(&losses * unit), statistic, bootstrap);
            assert_eq!(usual, far, "{name}, {largest}");
            assert!(usual.p_values.iter().any(|p| *p > 0.0 && *p < 1.0));
        }
    }
    for extreme in [f64::MAX, 5e-324] {
        let two = Array2::from_shape_fn((40, 2), |(_, j)| if j == 0 { extreme } else { 0.0 });
        for (statistic, name) in STATISTICS {
            let set = set(&two, statistic, BootstrapParams::default());
            assert_eq!(set.p_values, [0.0, 1.0], "{name}, {extreme}");
        }
    }
}

#[test]
fn what_cannot_be_compared_is_refused_by_category() {
    let losses = Figures::read().table("losses");
    let base = BootstrapParams::default();
    let run = |losses: &Array2<f64>, horizon, bootstrap| {
        let params = McsParams { horizon, bootstrap, ..McsParams::default() };
        model_confidence_set(losses, &params).unwrap_err()
    };
    for (horizon, bootstrap, message) in [
        (0, base, "parameter `horizon` must be >= 1, got 0"),
        (
            1,
            BootstrapParams { n_resamples: 0, ..base },
            "parameter `n_resamples` must be in [1, 1000000], got 0",
        ),
        (
            1,
            BootstrapParams { block_length: Some(0), ..base },
            "parameter `block_length` must be >= 1, got 0",
        ),
        (31, base, "block bootstrap needs at least 62 rows, got 60"),
        (usize::MAX, base, "block bootstrap needs at least 18446744073709551615 rows, got 60"),
    ] {
        assert_eq!(run(&losses, horizon, bootstrap).to_string(), message);
    }
    let mut holey = losses.clone();
    holey[[3, 2]] = f64::NAN;
    let error = run(&holey, 1, base);
    assert!(matches!(&error, Error::NonFinite { row: 3, column, .. } if column == "2"), "{error}");
    assert!(matches!(run(&Array2::zeros((5, 0)), 1, base), Error::Shape { .. }));
    assert!(run(&Array2::zeros((1, 2)), 1, base).is_not_enough_data());

    let from = |indices: &Array2<usize>| {
        model_confidence_set_from(&losses, McsStatistic::Max, indices).unwrap_err()
    };
    assert!(matches!(from(&Array2::zeros((5, 59))), Error::Shape { .. }));
    assert!(from(&Array2::zeros((0, 60))).is_not_enough_data());
    assert_eq!(
        from(&Array2::from_elem((1, 60), 60)).to_string(),
        "parameter `indices` must be < 60, got 60"
    );
    let params = RealityCheckParams::default();
    let short = Array1::zeros(59);
    assert!(matches!(reality_check(&short, &losses, &params), Err(Error::Shape { .. })));
    let far = (Array1::from_elem(60, f64::MAX), Array2::from_elem((60, 1), -f64::MAX));
    assert!(matches!(reality_check(&far.0, &far.1, &params), Err(Error::NonFinite { .. })));
}

fn tables() -> impl Strategy<Value = Array2<f64>> {
    let number = || prop_oneof![3 => 0.0_f64..10.0, 1 => Just(0.0), 1 => Just(1.0)];
    (4_usize..30, 1_usize..6).prop_flat_map(move |(n, k)| {
        prop::collection::vec(number(), n * k)
            .prop_map(move |values| Array2::from_shape_vec((n, k), values).unwrap())
    })
}

fn few() -> BootstrapParams {
    BootstrapParams { block_length: Some(2), n_resamples: 60, ..BootstrapParams::default() }
}

proptest! {
    #[test]
    fn prop_p_values_grow_along_the_elimination_and_the_last_has_1(losses in tables(), range: bool) {
        let statistic = if range { McsStatistic::Range } else { McsStatistic::Max };
        let set = set(&losses, statistic, few());
        let along: Vec<f64> = set.elimination.iter().map(|&m| set.p_values[m]).collect();
        prop_assert!(along.windows(2).all(|w| w[0] <= w[1]), "{:?}", set);
        prop_assert_eq!(along.last(), Some(&1.0));
        let mut models = set.elimination.clone();
        models.sort_unstable();
        prop_assert_eq!(models, (0..losses.ncols()).collect::<Vec<_>>());
        prop_assert_eq!(set.models(0.0).len(), losses.ncols());
        prop_assert!(!set.contains(losses.ncols(), 0.0));
    }

    #[test]
    fn prop_the_unit_of_the_losses_does_not_matter(losses in tables(), power in -900_i32..900) {
        let unit = 2_f64.powi(power);
        for (statistic, _) in STATISTICS {
            prop_assert_eq!(set(&losses, statistic, few()), set(&(&losses * unit), statistic, few()));
        }
        let params = RealityCheckParams { bootstrap: few(), ..RealityCheckParams::default() };
        let run = |losses: &Array2<f64>| reality_check(&losses.column(0), losses, &params).unwrap();
        let (there, scaled) = (run(&losses), run(&(&losses * unit)));
        prop_assert_eq!(there.superior_ability, scaled.superior_ability);
        prop_assert_eq!((there.best, there.p_value), (scaled.best, scaled.p_value));
    }

    #[test]
    fn prop_any_numbers_give_a_result_or_an_error(
        values in prop::collection::vec(any::<f64>(), 0..40), columns in 1_usize..4,
    ) {
        let rows = values.len() / columns;
        let losses = Array2::from_shape_vec((rows, columns), values[..rows * columns].to_vec()).unwrap();
        let params = McsParams { bootstrap: few(), ..McsParams::default() };
        if let Ok(set) = model_confidence_set(&losses, &params) {
            prop_assert!(set.p_values.iter().all(|p| (0.0..=1.0).contains(p)));
        }
        let params = RealityCheckParams { bootstrap: few(), ..RealityCheckParams::default() };
        if let Ok(check) = reality_check(&losses.column(0), &losses, &params) {
            let ability = check.superior_ability;
            for p in [check.p_value, ability.lower, ability.consistent, ability.upper] {
                prop_assert!((0.0..=1.0).contains(&p));
            }
            prop_assert!(ability.lower <= ability.consistent && ability.consistent <= ability.upper);
        }
    }
}
