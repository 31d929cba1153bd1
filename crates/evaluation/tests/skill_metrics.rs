#![allow(clippy::unwrap_used, reason = "tests")]
//! Rank correlation, pinball loss, percentage errors and the steadiness of a coefficient.

use forecastle_core::Error;
use forecastle_evaluation::{
    IcStabilityParams, ic_stability, information_coefficient, mae, mean_pinball_loss, pinball_loss,
    rank_information_coefficient, relative_rmse, rmsse, smape, theil_u2,
};
use ndarray::{Array1, Axis, array, s, stack};
use proptest::prelude::*;

#[path = "reference/figures.rs"]
mod figures;
use figures::{Figures, near};

/// Figures of `SciPy` 1.17.1 (`spearmanr`, with ties) and scikit-learn 1.9.1 (`mean_pinball_loss`).
#[test]
fn rank_correlation_and_pinball_loss_agree_with_scipy_and_scikit_learn() {
    let figures = Figures::read();
    let (actual, predicted) = (figures.vector("actual"), figures.vector("predicted"));
    let rank = rank_information_coefficient(&actual, &predicted).unwrap().unwrap();
    assert!(near(rank, figures.number("spearman"), 1e-13), "{rank}");
    let mut sum = 0.0;
    for quantile in [0.1, 0.5, 0.9] {
        let loss = pinball_loss(&actual, &predicted, quantile).unwrap();
        assert!(near(loss, figures.number(&format!("pinball/{quantile}")), 1e-13), "{loss}");
        sum += loss;
    }
    let all = stack![Axis(1), predicted, predicted, predicted];
    let mean = mean_pinball_loss(&actual, &all, &array![0.1, 0.5, 0.9]).unwrap();
    assert!(near(mean, sum / 3.0, 1e-14), "{mean}");
}

#[test]
fn quantiles_outside_0_to_1_and_missing_columns_are_refused() {
    let (a, p) = (array![1.0, 2.0], array![[1.0], [2.0]]);
    for bad in [0.0, 1.0, -0.5, f64::NAN] {
        assert!(pinball_loss(&a, &a, bad).unwrap_err().is_invalid_input());
    }
    assert_eq!(
        mean_pinball_loss(&a, &p, &array![1.5]).unwrap_err().to_string(),
        "parameter `quantiles` must be inside (0, 1), got 1.5"
    );
    assert!(matches!(mean_pinball_loss(&a, &p, &array![0.1, 0.9]), Err(Error::Shape { .. })));
    assert!(matches!(mean_pinball_loss(&array![1.0], &p, &array![0.1]), Err(Error::Shape { .. })));
    let none = ndarray::Array2::zeros((2, 0));
    assert!(mean_pinball_loss(&a, &none, &Array1::zeros(0)).unwrap_err().is_not_enough_data());
}

#[test]
fn the_sample_quantile_has_the_least_pinball_loss() {
    let actual: Array1<f64> = (1..=100).map(f64::from).collect();
    let loss = |guess: f64| pinball_loss(&actual, &Array1::from_elem(100, guess), 0.8).unwrap();
    let best = (1..=100).map(f64::from).min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap();
    assert!((80.0..=81.0).contains(&best), "{best}");
}

#[test]
fn theils_u2_is_1_for_naive_and_refuses_a_level_of_0() {
    let (last, actual) = (array![100.0, 50.0, 2.0], array![110.0, 45.0, 3.0]);
    assert_eq!(theil_u2(&actual, &last, &last).unwrap(), Some(1.0));
    assert_eq!(theil_u2(&actual, &actual, &last).unwrap(), Some(0.0));
    assert_eq!(theil_u2(&last, &actual, &last).unwrap(), None);
    let error = theil_u2(&actual, &last, &array![1.0, 0.0, 1.0]).unwrap_err();
    assert_eq!(error.to_string(), "theil_u2: the last level in row 1 is 0");
    assert!(matches!(theil_u2(&actual, &last, &array![1.0]), Err(Error::Shape { .. })));
    let far = array![f64::MAX, 1.0, 1.0];
    assert!(matches!(
        theil_u2(&far, &last, &array![1e-300, 1.0, 1.0]),
        Err(Error::Numerical { .. })
    ));
    // Of returns it is the relative RMSE.
    let (moved, said) = (array![0.1, -0.1, 0.5], array![0.05, 0.0, 0.1]);
    let (a, p) = (&last * (&moved + 1.0), &last * (&said + 1.0));
    let u2 = theil_u2(&a, &p, &last).unwrap().unwrap();
    let ratio = relative_rmse(&moved, &said, &Array1::zeros(3)).unwrap().unwrap();
    assert!(near(u2, ratio, 1e-13), "{u2}, {ratio}");
}

#[test]
fn smape_of_nothing_is_0_of_opposites_2_and_nothing_overflows() {
    assert_eq!(smape(&array![0.0, 0.0], &array![0.0, 0.0]).unwrap(), 0.0);
    assert_eq!(smape(&array![1e308, 0.0], &array![-1e308, 3.0]).unwrap(), 2.0);
    assert_eq!(smape(&array![5e-324], &array![0.0]).unwrap(), 2.0);
    assert_eq!(rmsse(&array![1.0], &array![2.0], &array![0.0]).unwrap(), None);
    assert_eq!(rmsse(&array![1e300], &array![0.0], &array![-5e299]).unwrap(), Some(2.0));
}

/// Expected by hand: coefficients of (1, ½, −½, 1) in blocks of 3 with one row between.
#[test]
fn blocks_share_no_bar_and_those_without_a_coefficient_are_counted() {
    let up = array![1.0, 2.0, 3.0];
    let blocks = [&up, &array![2.0, 1.0, 3.0], &array![2.0, 3.0, 1.0], &array![4.0, 4.0, 4.0], &up];
    let (mut actual, mut predicted) = (Vec::new(), Vec::new());
    for block in blocks {
        actual.extend([1.0, 2.0, 3.0, 99.0]);
        predicted.extend(block.iter().copied().chain([-99.0]));
    }
    // The row behind the last block is not needed.
    let (actual, predicted): (Array1<f64>, Array1<f64>) = (actual.into(), predicted.into());
    let (actual, predicted) = (actual.slice(s![..19]), predicted.slice(s![..19]));
    for ranked in [false, true] {
        let params = IcStabilityParams { block_rows: 3, horizon: 2, ranked };
        let steady = ic_stability(&actual, &predicted, &params).unwrap();
        assert_eq!((steady.n_blocks, steady.n_undefined), (4, 1));
        assert!(near(steady.mean, 0.5, 1e-14));
        let deviation = 0.5_f64.sqrt();
        assert!(near(steady.standard_deviation, deviation, 1e-14));
        assert!(near(steady.ratio.unwrap(), 0.5 / deviation, 1e-14));
        assert!(near(steady.t_statistic.unwrap(), 2.0_f64.sqrt(), 1e-14));
        // SciPy 1.17.1: 2 * t.sf(sqrt(2), 3)
        assert!(near(steady.p_value.unwrap(), SCIPY_P, 1e-12), "{steady:?}");
    }
}

const SCIPY_P: f64 = 0.252_215_496_355_504_66;

#[test]
fn equal_coefficients_have_no_ratio_and_one_block_is_too_few() {
    let values: Array1<f64> = (0..12).map(|t| f64::from(t % 4)).collect();
    let params = IcStabilityParams { block_rows: 4, ..IcStabilityParams::default() };
    let steady = ic_stability(&values, &values, &params).unwrap();
    assert_eq!((steady.n_blocks, steady.ratio, steady.p_value), (3, None, None));
    let one = IcStabilityParams { block_rows: 7, ..params };
    assert_eq!(
        ic_stability(&values, &values, &one).unwrap_err().to_string(),
        "ic_stability, in blocks, needs at least 2 rows, got 1"
    );
    for bad in
        [IcStabilityParams { block_rows: 2, ..params }, IcStabilityParams { horizon: 0, ..params }]
    {
        assert!(ic_stability(&values, &values, &bad).unwrap_err().is_invalid_input(), "{bad:?}");
    }
    let huge = IcStabilityParams { horizon: usize::MAX, ..params };
    assert!(ic_stability(&values, &values, &huge).unwrap_err().is_not_enough_data());
}

fn vectors() -> impl Strategy<Value = (Array1<f64>, Array1<f64>)> {
    let number = || prop_oneof![-10.0_f64..10.0, Just(0.0), Just(1.0)];
    prop::collection::vec((number(), number()), 1..50).prop_map(|pairs| {
        (pairs.iter().map(|p| p.0).collect(), pairs.iter().map(|p| p.1).collect())
    })
}

proptest! {
    #[test]
    fn prop_ranks_are_all_that_the_rank_coefficient_sees((a, p) in vectors()) {
        let there = rank_information_coefficient(&a, &p).unwrap();
        let bent = p.mapv(|v| v.powi(3) + v);
        prop_assert_eq!(there, rank_information_coefficient(&a, &bent).unwrap());
        let back = rank_information_coefficient(&p, &a).unwrap();
        prop_assert_eq!(there.is_some(), back.is_some());
        if let (Some(there), Some(back)) = (there, back) {
            prop_assert!((there - back).abs() < 1e-14 && there.abs() <= 1.0);
        }
        // Of ranks without ties it is Pearson's.
        let order: Array1<f64> = (0..a.len()).map(|t| t as f64).collect();
        let own = rank_information_coefficient(&order, &order).unwrap();
        prop_assert_eq!(own.is_some(), information_coefficient(&order, &order).unwrap().is_some());
    }

    #[test]
    fn prop_pinball_losses_of_opposite_quantiles_add_up_to_the_mae((a, p) in vectors(), q in 0.01_f64..0.99) {
        let sum = pinball_loss(&a, &p, q).unwrap() + pinball_loss(&a, &p, 1.0 - q).unwrap();
        prop_assert!((sum - mae(&a, &p).unwrap()).abs() < 1e-12);
        prop_assert!(pinball_loss(&a, &p, q).unwrap() >= 0.0);
    }

    #[test]
    fn prop_smape_is_symmetric_and_at_most_2((a, p) in vectors()) {
        let there = smape(&a, &p).unwrap();
        prop_assert_eq!(there, smape(&p, &a).unwrap());
        prop_assert!((0.0..=2.0 + 1e-15).contains(&there));
        prop_assert_eq!(smape(&a, &a).unwrap(), 0.0);
    }
}
