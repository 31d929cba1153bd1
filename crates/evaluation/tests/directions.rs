#![allow(clippy::unwrap_used, reason = "tests")]
//! Tests of directions against macroforecast and `SciPy`, their sizes, and their laws.

use forecastle_core::Error;
use forecastle_evaluation::{
    BinomialDirectionParams, DirectionChance, PesaranTimmermann, PesaranTimmermannParams,
    binomial_direction_test, information_coefficient, pesaran_timmermann,
};
use ndarray::{Array1, array};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

#[path = "reference/figures.rs"]
mod figures;
use figures::{Figures, near};

fn pt(
    a: &Array1<f64>,
    p: &Array1<f64>,
    horizon: usize,
    offset: Option<usize>,
) -> PesaranTimmermann {
    pesaran_timmermann(a, p, &PesaranTimmermannParams { horizon, offset }).unwrap().unwrap()
}

/// Figures of `macroforecast` 0.9.5, which follows R's rugarch and tstests.
#[test]
fn pesaran_timmermann_agrees_with_macroforecast() {
    let figures = Figures::read();
    let (actual, predicted) = (figures.vector("actual"), figures.vector("predicted"));
    let expected = figures.table("pesaran_timmermann");
    let mut mean = 0.0;
    for (i, row) in expected.rows().into_iter().enumerate() {
        let test = match i {
            0 => pt(&actual, &predicted, 1, None),
            _ => pt(&actual, &predicted, 5, Some(i - 1)),
        };
        assert!(near(test.statistic, row[0], 1e-11), "{i}: {test:?}");
        assert!(near(test.p_value, row[1], 1e-10), "{i}: {test:?}");
        assert_eq!((test.n, test.n_subsamples), (if i == 0 { 150.0 } else { 30.0 }, 1));
        mean += if i == 0 { 0.0 } else { row[0] / 5.0 };
    }
    let all = pt(&actual, &predicted, 5, None);
    assert!(near(all.statistic, mean, 1e-11), "{all:?}, {mean}");
    assert_eq!((all.n, all.n_subsamples), (30.0, 5));
}

/// Figures of `SciPy` 1.17.1: `binomtest` and `binom.sf`.
#[test]
fn the_binomial_test_agrees_with_scipy() {
    let figures = Figures::read();
    let (actual, predicted) = (figures.vector("actual"), figures.vector("predicted"));
    for (chance, path) in [
        (DirectionChance::Half, "binomial_half"),
        (DirectionChance::MajorityClass, "binomial_majority"),
    ] {
        let expected = figures.vector(path);
        let run = |offset| {
            let params = BinomialDirectionParams { horizon: 5, offset, chance };
            binomial_direction_test(&actual, &predicted, &params).unwrap().unwrap()
        };
        for (offset, p) in expected.iter().enumerate() {
            let test = run(Some(offset));
            assert!(near(test.p_value, *p, 1e-11), "{path} {offset}: {test:?}, {p}");
        }
        let combined = run(None);
        let mean = expected.mean().unwrap();
        assert!(near(combined.p_value, (2.0 * mean).min(1.0), 1e-11), "{combined:?}, {mean}");
        assert_eq!(combined.n_subsamples, 5);
    }
}

#[test]
fn what_goes_one_way_only_cannot_be_tested() {
    let (up, mixed) = (array![1.0, 2.0, 1.0, 3.0], array![1.0, -1.0, 2.0, -1.0]);
    let params = PesaranTimmermannParams::default();
    assert_eq!(pesaran_timmermann(&up, &mixed, &params).unwrap(), None);
    assert_eq!(pesaran_timmermann(&mixed, &up, &params).unwrap(), None);
    assert_eq!(pesaran_timmermann(&mixed, &Array1::zeros(4), &params).unwrap(), None);
    // Two offsets: in each the moves go one way.
    let every_second = PesaranTimmermannParams { horizon: 2, offset: None };
    assert_eq!(pesaran_timmermann(&mixed, &mixed, &every_second).unwrap(), None);

    let coin = BinomialDirectionParams::default();
    assert_eq!(binomial_direction_test(&mixed, &Array1::zeros(4), &coin).unwrap(), None);
    let majority = BinomialDirectionParams { chance: DirectionChance::MajorityClass, ..coin };
    let sure = binomial_direction_test(&up, &up, &majority).unwrap().unwrap();
    assert_eq!((sure.p_value, sure.accuracy, sure.chance), (1.0, 1.0, 1.0));
    let wrong = binomial_direction_test(&up, &-&up, &coin).unwrap().unwrap();
    assert_eq!((wrong.p_value, wrong.accuracy), (1.0, 0.0));
    let right = binomial_direction_test(&up, &up, &coin).unwrap().unwrap();
    assert!(near(right.p_value, 1.0 / 16.0, 1e-13), "{right:?}");
}

#[test]
fn rows_without_a_direction_are_left_out() {
    let actual = array![1.0, 0.0, -1.0, 2.0, -1.0, 3.0];
    let predicted = array![1.0, 1.0, -1.0, 0.0, 1.0, 2.0];
    let (kept, said) = (array![1.0, -1.0, -1.0, 3.0], array![1.0, -1.0, 1.0, 2.0]);
    assert_eq!(pt(&actual, &predicted, 1, None), pt(&kept, &said, 1, None));
    let coin = BinomialDirectionParams::default();
    let test = binomial_direction_test(&actual, &predicted, &coin).unwrap().unwrap();
    assert!(near(test.p_value, 5.0 / 16.0, 1e-13) && test.n == 4.0, "{test:?}");
}

#[test]
fn what_cannot_be_tested_is_refused_by_category() {
    let good = array![1.0, -1.0, 1.0];
    let run = |p: &Array1<f64>, horizon, offset| {
        pesaran_timmermann(&good, p, &PesaranTimmermannParams { horizon, offset }).unwrap_err()
    };
    assert_eq!(run(&good, 0, None).to_string(), "parameter `horizon` must be >= 1, got 0");
    assert_eq!(run(&good, 3, Some(3)).to_string(), "parameter `offset` must be < horizon 3, got 3");
    assert!(matches!(run(&array![1.0], 1, None), Error::Shape { .. }));
    assert!(matches!(run(&array![1.0, f64::NAN, 1.0], 1, None), Error::NonFinite { .. }));
    let binomial = |horizon| BinomialDirectionParams { horizon, ..Default::default() };
    assert!(binomial_direction_test(&good, &good, &binomial(0)).is_err());
    let empty = Array1::zeros(0);
    assert!(
        binomial_direction_test(&empty, &empty, &binomial(1)).unwrap_err().is_not_enough_data()
    );
    assert!(binomial_direction_test(&good, &good, &binomial(usize::MAX)).unwrap().is_some());
}

/// Moves over `horizon` bars of a random walk, and an independent forecast as persistent as they are.
fn overlapping(n: usize, horizon: usize, random: &mut Xoshiro256PlusPlus) -> [Array1<f64>; 2] {
    [(); 2].map(|()| {
        let shocks: Vec<f64> = (0..n + horizon).map(|_| StandardNormal.sample(random)).collect();
        shocks.windows(horizon).take(n).map(|w| w.iter().sum()).collect()
    })
}

#[test]
fn overlapping_moves_do_not_make_luck_look_like_skill() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let (horizon, runs) = (10, 2_000);
    let (mut all_rows, mut averaged, mut single, mut exact) = (0, 0, 0, 0);
    for _ in 0..runs {
        let [actual, predicted] = overlapping(500, horizon, &mut random);
        let rejected =
            |horizon, offset| usize::from(pt(&actual, &predicted, horizon, offset).p_value < 0.05);
        all_rows += rejected(1, None);
        averaged += rejected(horizon, None);
        single += rejected(horizon, Some(0));
        let params = BinomialDirectionParams { horizon, ..Default::default() };
        let coin = binomial_direction_test(&actual, &predicted, &params).unwrap().unwrap();
        exact += usize::from(coin.p_value < 0.05);
    }
    let share = |count: usize| count as f64 / runs as f64;
    assert!(share(all_rows) > 0.15, "the fault is there: {}", share(all_rows));
    assert!((0.03..0.07).contains(&share(single)), "{}", share(single));
    assert!(share(averaged) <= 0.05, "{}", share(averaged));
    assert!(share(exact) <= 0.05, "{}", share(exact));
}

#[test]
fn skill_is_found_through_the_average() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
    let [actual, noise] = overlapping(1_000, 5, &mut random);
    let test = pt(&actual, &(&actual + &noise), 5, None);
    assert!(test.p_value < 1e-4 && test.accuracy > test.expected_accuracy + 0.15, "{test:?}");
}

fn moves() -> impl Strategy<Value = (Array1<f64>, Array1<f64>)> {
    let number = || prop_oneof![-2.0_f64..2.0, Just(0.0), Just(1.0)];
    prop::collection::vec((number(), number()), 1..60).prop_map(|pairs| {
        (pairs.iter().map(|p| p.0).collect(), pairs.iter().map(|p| p.1).collect())
    })
}

proptest! {
    /// The statistic is the correlation of the directions, stretched.
    #[test]
    fn prop_the_statistic_is_the_correlation_of_directions((a, p) in moves()) {
        let kept: Vec<usize> = (0..a.len()).filter(|&t| a[t] != 0.0 && p[t] != 0.0).collect();
        let sign = |v: &Array1<f64>| -> Array1<f64> { kept.iter().map(|&t| v[t].signum()).collect() };
        let test = pesaran_timmermann(&a, &p, &PesaranTimmermannParams::default()).unwrap();
        let expected = match kept.is_empty() {
            true => None,
            false => information_coefficient(&sign(&a), &sign(&p)).unwrap(),
        };
        prop_assert_eq!(test.is_some(), expected.is_some());
        if let (Some(test), Some(correlation)) = (test, expected) {
            let n = kept.len() as f64;
            prop_assert!((test.statistic - correlation * n / (n - 1.0).sqrt()).abs() < 1e-10);
        }
    }

    #[test]
    fn prop_a_mirrored_forecast_has_the_opposite_statistic((a, p) in moves(), horizon in 1_usize..5) {
        let params = PesaranTimmermannParams { horizon, offset: None };
        let there = pesaran_timmermann(&a, &p, &params).unwrap();
        let mirrored = pesaran_timmermann(&a, &-&p, &params).unwrap();
        prop_assert_eq!(there.is_some(), mirrored.is_some());
        if let (Some(there), Some(mirrored)) = (there, mirrored) {
            prop_assert!((there.statistic + mirrored.statistic).abs() < 1e-10);
            prop_assert!((there.p_value + mirrored.p_value - 1.0).abs() < 1e-10);
        }
    }

    #[test]
    fn prop_any_moves_give_probabilities((a, p) in moves(), horizon in 1_usize..70, majority: bool) {
        let chance = if majority { DirectionChance::MajorityClass } else { DirectionChance::Half };
        let params = BinomialDirectionParams { horizon, offset: None, chance };
        if let Some(test) = binomial_direction_test(&a, &p, &params).unwrap() {
            prop_assert!((0.0..=1.0).contains(&test.p_value) && (0.0..=1.0).contains(&test.accuracy));
            prop_assert!(test.n >= 1.0 && test.n_subsamples <= horizon);
        }
    }
}
