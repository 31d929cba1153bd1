//! Conformalised quantile forecasts and the score of intervals.

#![allow(clippy::unwrap_used, reason = "tests")]

use forecastle_core::conformance::noise;
use forecastle_core::{Artifact, Error};
use forecastle_ensemble::{
    ConformalQuantiles, ConformalQuantilesParams, IntervalScore, Sides, realised_coverage,
};
use proptest::prelude::*;

const BOTH: [Sides; 2] = [Sides::Symmetric, Sides::Asymmetric];

fn normals(seed: u64, n: usize) -> Vec<f64> {
    noise(seed, n, 1).unwrap().0.values().iter().copied().collect()
}

#[test]
fn intervals_are_those_of_mapie() {
    // MAPIE 1.6.0, ConformalizedQuantileRegressor: tests/reference/make_intervals.py.
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("data/intervals.json")).unwrap();
    let numbers =
        |name: &str| -> Vec<f64> { serde_json::from_value(fixture["cqr"][name].clone()).unwrap() };
    for (sides, name) in BOTH.into_iter().zip(["symmetric", "asymmetric"]) {
        let params = ConformalQuantilesParams { coverage: 0.8, sides };
        let fitted = params.fit(&numbers("lower"), &numbers("upper"), &numbers("targets")).unwrap();
        let (lower, upper) = fitted.interval(-1.0, 2.0);
        let expected = numbers(name);
        assert!((lower - expected[0]).abs() < 1e-12, "{name}: {lower} {expected:?}");
        assert!((upper - expected[1]).abs() < 1e-12, "{name}: {upper} {expected:?}");
    }
    assert_ne!(numbers("symmetric"), numbers("asymmetric"));
}

#[test]
fn bands_that_claim_too_little_or_too_much_cover_alike() {
    let (n, half, seeds) = (3000, 1500, 20);
    for claimed in [0.3, 1.6448536269514722, 4.0] {
        for sides in BOTH {
            let mut shares = 0.0;
            for seed in 0..seeds {
                let sizes: Vec<f64> = normals(seed, n).iter().map(|z| (0.5 * z).exp()).collect();
                let targets: Vec<f64> =
                    normals(1000 + seed, n).iter().zip(&sizes).map(|(z, s)| z * s).collect();
                let upper: Vec<f64> = sizes.iter().map(|s| claimed * s).collect();
                let lower: Vec<f64> = upper.iter().map(|u| -u).collect();
                let params = ConformalQuantilesParams { sides, ..Default::default() };
                let fitted = params.fit(&lower[..half], &upper[..half], &targets[..half]).unwrap();
                let rows = lower[half..].iter().zip(&upper[half..]);
                let intervals: Vec<_> = rows.map(|(l, u)| fitted.interval(*l, *u)).collect();
                shares += realised_coverage(&targets[half..], &intervals).unwrap();
                let [below, above] = fitted.corrections();
                match claimed {
                    little if little < 1.0 => assert!(below > 0.5 && above > 0.5),
                    much if much > 2.0 => assert!(below < -0.5 && above < -0.5),
                    _ => assert!(below.abs() < 0.3 && above.abs() < 0.3),
                }
            }
            // The standard error of one seed is 1.1 points, of their mean 0.25.
            let share = shares / seeds as f64;
            assert!(share > 0.89, "{claimed} {sides:?}: {share}");
            // Two sides promise at least the coverage: where a wide band shrinks to a point, its
            // one miss counts on both of them.
            let most = if sides == Sides::Asymmetric && claimed > 2.0 { 0.93 } else { 0.91 };
            assert!(share < most, "{claimed} {sides:?}: {share}");
        }
    }
}

#[test]
fn crossed_bounds_are_put_in_order_and_a_band_shrinks_to_a_point_at_most() {
    let params = ConformalQuantilesParams::default();
    // Every label lies 4 inside a band of 10.
    let fitted = params.fit(&[10.0; 12], &[0.0; 12], &[4.0; 12]).unwrap();
    assert_eq!(fitted.corrections(), [-4.0, -4.0]);
    assert_eq!(fitted.interval(10.0, 0.0), (4.0, 6.0));
    assert_eq!(fitted.interval(0.0, 6.0), (3.0, 3.0));
    assert!(fitted.interval(f64::NAN, 6.0).0.is_nan());
    assert_eq!((fitted.n_scores(), fitted.params()), (12, &params));
}

#[test]
fn bad_input_is_an_error_and_a_damaged_state_is_refused() {
    let params = ConformalQuantilesParams::default();
    let (low, high, y) = ([0.0; 30], [1.0; 30], [0.5; 30]);
    for coverage in [0.0, 1.0, f64::NAN] {
        let told = ConformalQuantilesParams { coverage, ..params }.fit(&low, &high, &y);
        assert!(matches!(told, Err(Error::InvalidParameter { name: "coverage", .. })));
    }
    assert!(matches!(params.fit(&low[1..], &high, &y), Err(Error::Shape { what: "lower", .. })));
    assert!(matches!(params.fit(&low, &high[1..], &y), Err(Error::Shape { what: "upper", .. })));
    let told = params.fit(&low[..8], &high[..8], &y[..8]);
    assert!(matches!(told, Err(Error::NotEnoughData { needed: 9, available: 8, .. })));
    let mut holed = y;
    holed[3] = f64::INFINITY;
    assert!(matches!(params.fit(&low, &high, &holed), Err(Error::NonFinite { row: 3, .. })));
    let far = params.fit(&[-1e308; 30], &[-1e308; 30], &[1e308; 30]);
    assert!(matches!(far, Err(Error::Numerical { .. })));
    let fitted = params.fit(&low, &high, &y).unwrap();
    let saved = Artifact::encode("conformal_quantiles", 1, &[], &fitted).unwrap();
    assert_eq!(saved.decode::<ConformalQuantiles>("conformal_quantiles", 1).unwrap(), fitted);
    let mut damaged = serde_json::to_value(fitted).unwrap();
    damaged["n_scores"] = serde_json::json!(3);
    assert!(serde_json::from_value::<ConformalQuantiles>(damaged).is_err());
}

#[test]
fn the_quantiles_of_the_truth_have_the_best_score() {
    let targets = normals(4, 20_000);
    let score = |half: f64| {
        let intervals = vec![(-half, half); targets.len()];
        IntervalScore::of(&targets, &intervals, 0.9).unwrap()
    };
    let best = score(1.6448536269514722);
    assert!((best.coverage - 0.9).abs() < 0.01 && best.n == 20_000);
    // 2 φ(1.645) / (α / 2): the expected score of the true quantiles.
    assert!((best.mean_score - 4.1254).abs() < 0.06, "{best:?}");
    for half in [0.5, 1.2, 2.2, 4.0] {
        assert!(score(half).mean_score > best.mean_score + 0.05);
    }
}

#[test]
fn a_score_leaves_unknown_rows_out_and_refuses_what_it_cannot_judge() {
    let intervals = [(0.0, 1.0), (f64::NAN, f64::NAN), (0.0, 3.0)];
    let score = IntervalScore::of(&[1.0, 0.0, f64::NAN], &intervals, 0.5).unwrap();
    assert_eq!((score.n, score.coverage, score.mean_width, score.mean_score), (1, 1.0, 1.0, 1.0));
    let none = IntervalScore::of(&[f64::NAN; 3], &intervals, 0.5);
    assert!(none.unwrap_err().is_not_enough_data());
    assert!(matches!(IntervalScore::of(&[1.0], &intervals, 0.5), Err(Error::Shape { .. })));
    assert!(matches!(
        IntervalScore::of(&[1.0; 3], &intervals, 1.0),
        Err(Error::InvalidParameter { name: "coverage", .. })
    ));
}

proptest! {
    #[test]
    fn prop_at_least_the_promised_share_of_the_rows_themselves_is_inside(
        rows in prop::collection::vec((-1e3_f64..1e3, -1e3_f64..1e3, -1e3_f64..1e3), 20..200),
        coverage in 0.1_f64..0.9, symmetric: bool,
    ) {
        let sides = if symmetric { Sides::Symmetric } else { Sides::Asymmetric };
        let column = |of: fn(&(f64, f64, f64)) -> f64| rows.iter().map(of).collect::<Vec<_>>();
        let (lower, upper, y) = (column(|r| r.0), column(|r| r.1), column(|r| r.2));
        let params = ConformalQuantilesParams { coverage, sides };
        let fitted = params.fit(&lower, &upper, &y).unwrap();
        let inside = rows.iter().filter(|(l, u, y)| {
            let (low, high) = fitted.interval(*l, *u);
            low - 1e-9 <= *y && *y <= high + 1e-9
        });
        prop_assert!(inside.count() as f64 >= coverage * rows.len() as f64 - 1e-9);
    }
}
