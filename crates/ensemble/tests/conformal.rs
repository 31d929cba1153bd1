//! Split-conformal intervals.

#![allow(clippy::unwrap_used, reason = "tests")]

use forecastle_core::conformance::noise;
use forecastle_core::{Artifact, Error};
use forecastle_ensemble::{ConformalParams, Sides, SplitConformal, realised_coverage};
use proptest::prelude::*;

fn draw(seed: u64, n: usize) -> Vec<f64> {
    // Skewed: the square of a normal on one side, a normal on the other.
    let skew = |v: &f64| if *v > 0.0 { v * v * 2.0 } else { *v };
    noise(seed, n, 1).unwrap().0.values().iter().map(skew).collect()
}

fn params(coverage: f64, sides: Sides) -> ConformalParams {
    ConformalParams { coverage, sides }
}

#[test]
fn the_smallest_samples_use_the_exact_order_statistic() {
    let errors: Vec<f64> =
        (1..=19).map(|i| f64::from(i) * if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let ninety = params(0.9, Sides::Symmetric).fit(&errors).unwrap();
    // ⌈20 · 0.9⌉ = 18
    assert_eq!(ninety.interval(0.0), (-18.0, 18.0));
    assert_eq!(ninety.interval_scaled(1.0, 2.0), (-35.0, 37.0));
    let halves = params(0.9, Sides::Asymmetric).fit(&errors).unwrap();
    assert_eq!(halves.interval(0.5), (-19.0 + 0.5, 18.0 + 0.5));
    let needed = |coverage, sides, n: usize| match params(coverage, sides).fit(&errors[..n]) {
        Err(Error::NotEnoughData { needed, .. }) => needed,
        other => unreachable!("{other:?}"),
    };
    assert_eq!(needed(0.9, Sides::Symmetric, 8), 9);
    assert_eq!(needed(0.9, Sides::Asymmetric, 18), 19);
    assert_eq!(needed(0.95, Sides::Symmetric, 18), 19);
    assert_eq!(needed(0.99, Sides::Symmetric, 0), 99);
}

#[test]
fn exchangeable_labels_are_covered_as_often_as_promised() {
    for sides in [Sides::Symmetric, Sides::Asymmetric] {
        for coverage in [0.5, 0.8, 0.9] {
            // Over many small samples the coverage is exact: rank / (n + 1).
            let (n, repeats) = (39, 4000);
            let inside = (0..repeats).filter(|&seed| {
                let errors = draw(seed, n + 1);
                let (lower, upper) =
                    params(coverage, sides).fit(&errors[..n]).unwrap().interval(0.0);
                lower <= errors[n] && errors[n] <= upper
            });
            let share = inside.count() as f64 / repeats as f64;
            let error = (coverage * (1.0 - coverage) / repeats as f64).sqrt();
            assert!((share - coverage).abs() < 4.0 * error, "{sides:?} {coverage}: {share}");
        }
    }
}

#[test]
fn scaled_intervals_cover_calm_and_wild_rows_alike() {
    let n = 4000;
    let scale = |t: usize| if (t / 50).is_multiple_of(2) { 0.2 } else { 2.0 };
    let errors: Vec<f64> = draw(3, n).iter().enumerate().map(|(t, e)| e * scale(t)).collect();
    let scales: Vec<f64> = (0..n).map(scale).collect();
    let half = n / 2;
    let plain = ConformalParams::default().fit(&errors[..half]).unwrap();
    let scaled = ConformalParams::default().fit_scaled(&errors[..half], &scales[..half]).unwrap();
    let covered = |wild: bool, interval: &dyn Fn(usize) -> (f64, f64)| {
        let rows: Vec<usize> = (half..n).filter(|&t| (scale(t) > 1.0) == wild).collect();
        let targets: Vec<f64> = rows.iter().map(|&t| errors[t]).collect();
        let intervals: Vec<_> = rows.iter().map(|&t| interval(t)).collect();
        realised_coverage(&targets, &intervals).unwrap()
    };
    for wild in [false, true] {
        let share = covered(wild, &|t| scaled.interval_scaled(0.0, scales[t]));
        assert!((share - 0.9).abs() < 0.03, "scaled: {share}");
    }
    assert!(covered(false, &|_| plain.interval(0.0)) > 0.99);
    assert!(covered(true, &|_| plain.interval(0.0)) < 0.85);
}

#[test]
fn the_probability_of_the_sign_is_the_share_of_errors_that_keep_it() {
    let errors = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, -4.0];
    let conformal = ConformalParams::default().fit(&errors).unwrap();
    // ŷ = 2: errors above −2 keep the sign (7), −2 is a tie, −3 and −4 turn it.
    assert_eq!(conformal.sign_probability(2.0), 0.75);
    // ŷ = −2: errors below 2 keep it (6), 2 is a tie.
    assert_eq!(conformal.sign_probability(-2.0), 0.65);
    assert_eq!(conformal.sign_probability_scaled(-4.0, 2.0), 0.65);
    assert_eq!(conformal.sign_probability(0.0), 0.5);
    assert_eq!(conformal.sign_probability(1e9), 1.0);
    assert!(conformal.sign_probability(f64::NAN).is_nan());
    assert!(conformal.sign_probability_scaled(1.0, 0.0).is_nan());
}

#[test]
fn coverage_counts_bounds_in_and_leaves_unknown_rows_out() {
    let intervals = [(0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (f64::NAN, f64::NAN), (0.0, 1.0)];
    let targets = [0.0, 1.0, 1.1, 0.5, f64::NAN];
    assert_eq!(realised_coverage(&targets, &intervals), Some(2.0 / 3.0));
    assert_eq!(realised_coverage(&[], &[]), None);
    assert_eq!(realised_coverage(&[f64::NAN], &[(0.0, 1.0)]), None);
}

#[test]
fn bad_input_is_an_error() {
    let errors = draw(1, 30);
    for coverage in [0.0, 1.0, -0.1, f64::NAN] {
        let told = params(coverage, Sides::Symmetric).fit(&errors);
        assert!(matches!(told, Err(Error::InvalidParameter { name: "coverage", .. })));
    }
    let fit = ConformalParams::default();
    let mut holed = errors.clone();
    holed[4] = f64::NAN;
    assert!(matches!(fit.fit(&holed), Err(Error::NonFinite { row: 4, .. })));
    assert!(matches!(fit.fit_scaled(&errors, &[1.0]), Err(Error::Shape { .. })));
    let zero = vec![0.0; 30];
    assert!(matches!(fit.fit_scaled(&errors, &zero), Err(Error::InvalidParameter { .. })));
    assert!(fit.fit(&errors).unwrap().interval_scaled(0.0, f64::NAN).0.is_nan());
}

#[test]
fn a_saved_interval_is_the_same_and_a_damaged_one_refused() {
    let fitted = ConformalParams::default().fit(&draw(1, 30)).unwrap();
    let saved = Artifact::encode("conformal", 1, &[], &fitted).unwrap();
    assert_eq!(saved.decode::<SplitConformal>("conformal", 1).unwrap(), fitted);
    let mut damaged = serde_json::to_value(&fitted).unwrap();
    damaged["errors"] = serde_json::json!([3.0, 1.0]);
    assert!(serde_json::from_value::<SplitConformal>(damaged).is_err());
}

proptest! {
    #[test]
    fn prop_at_least_the_promised_share_of_the_residuals_themselves_is_inside(
        errors in prop::collection::vec(-1e3_f64..1e3, 1..200), coverage in 0.05_f64..0.95,
        symmetric: bool,
    ) {
        let sides = if symmetric { Sides::Symmetric } else { Sides::Asymmetric };
        match params(coverage, sides).fit(&errors) {
            Ok(fitted) => {
                let (lower, upper) = fitted.interval(0.0);
                let inside = errors.iter().filter(|e| lower <= **e && **e <= upper).count();
                prop_assert!(inside as f64 >= coverage * errors.len() as f64 - 1e-9);
            }
            Err(error) => {
                let Error::NotEnoughData { needed, available, .. } = error else {
                    return Err(TestCaseError::fail(error.to_string()));
                };
                prop_assert!(needed > available);
                let enough = vec![0.0; needed];
                prop_assert!(params(coverage, sides).fit(&enough).is_ok());
            }
        }
    }
}
