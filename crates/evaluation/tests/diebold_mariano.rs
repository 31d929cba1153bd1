#![allow(clippy::unwrap_used, reason = "tests")]
//! The Diebold-Mariano test against published and independently computed figures, and its own laws.

use forecastle_core::Error;
use forecastle_evaluation::{
    Alternative, DieboldMariano, DmParams, LongRunVariance, Loss, diebold_mariano,
};
use ndarray::{Array1, array};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

#[path = "reference/figures.rs"]
mod figures;
use figures::Figures;

/// Errors of the forecasts F and G of T in the `dieboldmariano` package's example.
fn published() -> (Array1<f64>, Array1<f64>) {
    let actual = array![10.0, 20.0, 30.0, 40.0, 50.0];
    let first = &actual - &array![11.0, 21.0, 29.0, 42.0, 53.0];
    let second = &actual - &array![13.0, 26.0, 24.0, 40.0, 59.0];
    (first, second)
}

fn run(params: DmParams) -> DieboldMariano {
    let (a, b) = published();
    diebold_mariano(&a, &b, &params).unwrap()
}

fn near(actual: f64, expected: f64, tolerance: f64) -> bool {
    (actual - expected).abs() <= tolerance * expected.abs()
}

#[test]
fn the_published_example_is_reproduced() {
    let test = run(DmParams { alternative: Alternative::Less, ..DmParams::default() });
    assert!(near(test.statistic, -2.2229922805746782, 1e-14), "{test:?}");
    assert!(near(test.p_value, 0.04515565862099125, 1e-10), "{test:?}");
    assert!(near(test.mean_difference, -29.2, 1e-14), "{test:?}");
    assert_eq!((test.n, test.variance), (5, LongRunVariance::Rectangular));
}

/// Expected figures computed from the papers' formulas with NumPy 2.4 and `SciPy` 1.17.
#[test]
fn longer_horizons_and_the_absolute_loss_agree_with_scipy() {
    let figures = |loss, horizon, variance| {
        let alternative = Alternative::Less;
        let test = run(DmParams { horizon, loss, alternative, variance });
        (test.statistic, test.p_value, test.variance)
    };
    use LongRunVariance::{Bartlett, Rectangular};
    for (loss, horizon, variance, statistic, p, used) in [
        (Loss::Absolute, 1, Rectangular, -2.1874749664789226, 0.046978291887092176, Rectangular),
        (Loss::Absolute, 2, Bartlett, -2.4811917751859696, 0.034062026288605655, Bartlett),
        (Loss::Squared, 2, Rectangular, -15.058750195378382, 5.6663637576056935e-05, Rectangular),
        (Loss::Squared, 2, Bartlett, -2.4194002958814984, 0.03640513004927069, Bartlett),
        // The rectangular estimate is negative here: Bartlett's stands in, and the result says so.
        (Loss::Squared, 3, Rectangular, -2.122590334429344, 0.05052346157282769, Bartlett),
        (Loss::Absolute, 3, Rectangular, -2.7666740049803287, 0.02525140673445609, Bartlett),
    ] {
        let (s, tail, estimate) = figures(loss, horizon, variance);
        assert!(near(s, statistic, 1e-13), "{loss:?} {horizon} {variance:?}: {s}");
        assert!(near(tail, p, 1e-10), "{loss:?} {horizon} {variance:?}: {tail}");
        assert_eq!(estimate, used, "{loss:?} {horizon} {variance:?}");
    }
}

/// t statistics of a mean with statsmodels 0.15.0, `cov_type="HAC"` without its correction for small
/// samples, which the correction of Harvey, Leybourne and Newbold replaces.
#[test]
fn newey_west_variances_agree_with_statsmodels() {
    let figures = Figures::read();
    let (actual, predicted) = (figures.vector("actual"), figures.vector("predicted"));
    let (n, h) = (150.0, 5.0_f64);
    let correction = ((n + 1.0 - 2.0 * h + h * (h - 1.0) / n) / n).sqrt();
    let run = |variance| {
        let params = DmParams { horizon: 5, variance, ..DmParams::default() };
        diebold_mariano(&(&actual - &predicted), &actual, &params).unwrap()
    };
    for lags in [0, 3, 4, 12] {
        let variance = LongRunVariance::NeweyWest { lags: Some(lags) };
        let test = run(variance);
        let expected = correction * figures.number(&format!("newey_west_t/{lags}"));
        assert!(near(test.statistic, expected, 1e-11), "{lags}: {test:?}, {expected}");
        assert_eq!(test.variance, variance);
    }
    // ⌊4 (150/100)^(2/9)⌋ = 4 is h − 1 as well, and so Bartlett's.
    let automatic = run(LongRunVariance::NeweyWest { lags: None });
    assert_eq!(automatic.variance, LongRunVariance::NeweyWest { lags: Some(4) });
    assert_eq!(automatic.statistic, run(LongRunVariance::Bartlett).statistic);
}

#[test]
fn automatic_lags_are_never_fewer_than_the_overlap_and_too_many_do_no_harm() {
    let errors: Array1<f64> = (0..30).map(|t| (f64::from(t) * 0.9).sin()).collect();
    let other = 0.5 * &errors + 0.1;
    let run = |horizon, lags| {
        let variance = LongRunVariance::NeweyWest { lags };
        let params = DmParams { horizon, variance, ..DmParams::default() };
        diebold_mariano(&errors, &other, &params).unwrap()
    };
    for (horizon, lags) in [(1, 3), (4, 3), (5, 4), (12, 11)] {
        let used = LongRunVariance::NeweyWest { lags: Some(lags) };
        assert_eq!(run(horizon, None).variance, used, "h = {horizon}");
    }
    assert!(run(1, Some(usize::MAX)).statistic.is_finite());
}

#[test]
fn settings_are_written_and_read_under_their_names() {
    let default = serde_json::to_string(&DmParams::default()).unwrap();
    assert_eq!(
        default,
        r#"{"horizon":1,"loss":"squared","alternative":"two_sided","variance":"rectangular"}"#
    );
    for (text, variance) in [
        (r#""bartlett""#, LongRunVariance::Bartlett),
        (r#"{"newey_west":{"lags":7}}"#, LongRunVariance::NeweyWest { lags: Some(7) }),
        (r#"{"newey_west":{"lags":null}}"#, LongRunVariance::NeweyWest { lags: None }),
    ] {
        let read: LongRunVariance = serde_json::from_str(text).unwrap();
        assert_eq!((read, serde_json::to_string(&read).unwrap().as_str()), (variance, text));
    }
    assert!(serde_json::from_str::<LongRunVariance>(r#"{"newey_west":{"lag":7}}"#).is_err());
}

#[test]
fn equal_losses_have_statistic_0_and_p_1() {
    let errors = array![1.0, -2.0, 0.5, 3.0];
    for horizon in 1..4 {
        let params = DmParams { horizon, ..DmParams::default() };
        let test = diebold_mariano(&errors, &-&errors, &params).unwrap();
        assert_eq!((test.statistic, test.p_value, test.mean_difference), (0.0, 1.0, 0.0));
    }
}

#[test]
fn a_difference_without_variance_is_certain() {
    let (a, b) = (array![2.0, 2.0, 2.0], array![1.0, 1.0, 1.0]);
    let test = diebold_mariano(&a, &b, &DmParams::default()).unwrap();
    assert_eq!((test.statistic, test.p_value), (f64::INFINITY, 0.0));
    let less = DmParams { alternative: Alternative::Less, ..DmParams::default() };
    assert_eq!(diebold_mariano(&a, &b, &less).unwrap().p_value, 1.0);
}

#[test]
fn what_cannot_be_tested_is_refused_by_category() {
    let (a, b) = published();
    let horizon = |horizon| DmParams { horizon, ..DmParams::default() };
    let error =
        |a: &Array1<f64>, b: &Array1<f64>, h| diebold_mariano(a, b, &horizon(h)).unwrap_err();
    assert_eq!(error(&a, &b, 0).to_string(), "parameter `horizon` must be >= 1, got 0");
    assert!(error(&a, &b, 5).is_not_enough_data());
    assert!(diebold_mariano(&a, &b, &horizon(4)).is_ok());
    assert!(error(&a, &b, usize::MAX).is_not_enough_data());
    assert!(matches!(error(&a, &array![1.0], 1), Error::Shape { .. }));
    assert!(error(&array![1.0], &array![2.0], 1).is_not_enough_data());
    let nan = array![1.0, f64::NAN, 0.0, 0.0, 0.0];
    assert!(matches!(error(&a, &nan, 1), Error::NonFinite { what: "errors_b", row: 1, .. }));
    let huge = array![1e200, 0.0, 0.0, 0.0, 0.0];
    assert!(matches!(error(&a, &huge, 1), Error::Numerical { .. }));
}

#[test]
fn one_in_twenty_equal_forecasts_is_called_different_at_5_percent() {
    // Errors of 4-step forecasts are moving averages of 4 shocks; both forecasts are equally good.
    let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
    for (horizon, n, lowest, highest) in [(1, 30, 0.04, 0.06), (4, 200, 0.04, 0.07)] {
        let mut errors = || -> Array1<f64> {
            let shocks: Vec<f64> =
                (0..n + horizon).map(|_| StandardNormal.sample(&mut random)).collect();
            shocks.windows(horizon).take(n).map(|w| w.iter().sum()).collect()
        };
        let params = DmParams { horizon, ..DmParams::default() };
        let runs = 4_000;
        let rejected = (0..runs)
            .filter(|_| diebold_mariano(&errors(), &errors(), &params).unwrap().p_value < 0.05)
            .count();
        let share = rejected as f64 / f64::from(runs);
        assert!((lowest..highest).contains(&share), "h = {horizon}: {share}");
    }
}

fn vectors() -> impl Strategy<Value = (Array1<f64>, Array1<f64>)> {
    let number = || prop_oneof![-10.0_f64..10.0, Just(0.0), Just(1.0)];
    prop::collection::vec((number(), number()), 5..40).prop_map(|pairs| {
        (pairs.iter().map(|p| p.0).collect(), pairs.iter().map(|p| p.1).collect())
    })
}

fn settings() -> impl Strategy<Value = DmParams> {
    (
        1_usize..5,
        prop_oneof![Just(Loss::Squared), Just(Loss::Absolute)],
        prop_oneof![
            Just(LongRunVariance::Rectangular),
            Just(LongRunVariance::Bartlett),
            prop::option::of(0_usize..50).prop_map(|lags| LongRunVariance::NeweyWest { lags }),
        ],
    )
        .prop_map(|(horizon, loss, variance)| DmParams {
            horizon,
            loss,
            variance,
            alternative: Alternative::TwoSided,
        })
}

proptest! {
    #[test]
    fn prop_exchanging_the_forecasts_changes_the_sign_alone((a, b) in vectors(), params in settings()) {
        let there = diebold_mariano(&a, &b, &params).unwrap();
        let back = diebold_mariano(&b, &a, &params).unwrap();
        prop_assert_eq!(there.statistic, -back.statistic);
        prop_assert_eq!(there.p_value, back.p_value);
        prop_assert!((0.0..=1.0).contains(&there.p_value));
        let less = DmParams { alternative: Alternative::Less, ..params };
        let greater = DmParams { alternative: Alternative::Greater, ..params };
        let (p, q) = (
            diebold_mariano(&a, &b, &less).unwrap().p_value,
            diebold_mariano(&b, &a, &greater).unwrap().p_value,
        );
        prop_assert_eq!(p, q);
        // The one-sided p on the side of the statistic is half of the two-sided one.
        let smaller = p.min(diebold_mariano(&a, &b, &greater).unwrap().p_value);
        prop_assert!((2.0 * smaller - there.p_value).abs() < 1e-12);
    }

    #[test]
    fn prop_the_unit_of_the_errors_does_not_matter((a, b) in vectors(), params in settings(), power in -400_i32..400) {
        // A power of two rounds nothing, so the statistic keeps its bits.
        let unit = 2_f64.powi(power);
        let test = diebold_mariano(&a, &b, &params).unwrap();
        let scaled = diebold_mariano(&(&a * unit), &(&b * unit), &params).unwrap();
        prop_assert_eq!(test.statistic, scaled.statistic);
        prop_assert_eq!(test.variance, scaled.variance);
    }

    #[test]
    fn prop_any_numbers_give_a_result_or_an_error(
        pairs in prop::collection::vec((any::<f64>(), any::<f64>()), 0..12), params in settings(),
    ) {
        let a: Array1<f64> = pairs.iter().map(|p| p.0).collect();
        let b: Array1<f64> = pairs.iter().map(|p| p.1).collect();
        if let Ok(test) = diebold_mariano(&a, &b, &params) {
            prop_assert!(!test.statistic.is_nan() && (0.0..=1.0).contains(&test.p_value));
        }
    }
}
