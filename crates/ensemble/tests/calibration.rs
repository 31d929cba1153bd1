//! Calibrated probabilities.

#![allow(clippy::unwrap_used, reason = "tests")]

use forecastle_core::{Artifact, Error};
use forecastle_ensemble::{
    CalibrationMethod, ProbabilityCalibration, ProbabilityCalibrationParams,
};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

#[path = "support/deciles.rs"]
mod deciles;
use deciles::deciles;

const METHODS: [CalibrationMethod; 4] = [
    CalibrationMethod::Platt,
    CalibrationMethod::Isotonic,
    CalibrationMethod::VennAbers,
    CalibrationMethod::Cox,
];

fn plain(method: CalibrationMethod) -> ProbabilityCalibrationParams {
    ProbabilityCalibrationParams { method, evidence: 0.0, ..Default::default() }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Raw probabilities with log odds of standard deviation `spread`, and outcomes whose log odds are
/// `intercept + slope · raw log odds`; each row repeats itself for `horizon` rows.
fn market(
    seed: u64,
    n: usize,
    spread: f64,
    truth: [f64; 2],
    horizon: usize,
) -> (Vec<f64>, Vec<f64>) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut rows = Vec::with_capacity(n);
    while rows.len() < n {
        let normal: f64 = StandardNormal.sample(&mut random);
        let score = spread * normal;
        let happened = random.random::<f64>() < logistic(truth[0] + truth[1] * score);
        let row = (logistic(score), f64::from(u8::from(happened)));
        rows.extend(std::iter::repeat_n(row, horizon));
    }
    rows.into_iter().take(n).unzip()
}

#[test]
fn curves_without_shrinkage_are_those_of_scikit_learn_and_venn_abers() {
    // scikit-learn 1.9.1 and venn-abers 1.5.4: tests/reference/make_intervals.py.
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("data/intervals.json")).unwrap();
    let fixture = &fixture["calibration"];
    let numbers =
        |name: &str| -> Vec<f64> { serde_json::from_value(fixture[name].clone()).unwrap() };
    let pairs: Vec<[f64; 2]> = serde_json::from_value(fixture["pair"].clone()).unwrap();
    let (raw, outcomes, probe) = (numbers("raw"), numbers("outcomes"), numbers("probe"));
    // scikit-learn stops at a gradient of 1e-6, relative to which this fit is exact.
    let tolerances = [1e-6, 1e-12, 1e-12];
    let names = ["platt", "isotonic", "venn_abers"];
    for ((method, name), tolerance) in METHODS.into_iter().zip(names).zip(tolerances) {
        let fitted = plain(method).fit(&raw, &outcomes, 1).unwrap();
        let least = 1.0 / 202.0;
        for ((p, expected), pair) in probe.iter().zip(numbers(name)).zip(&pairs) {
            let (got, expected) = (fitted.probability(*p), expected.clamp(least, 1.0 - least));
            assert!((got - expected).abs() < tolerance, "{name} at {p}: {got}, not {expected}");
            if let Some([low, high]) = fitted.probability_pair(*p) {
                assert!((low - pair[0]).abs() < 1e-12 && (high - pair[1]).abs() < 1e-12);
            }
        }
        let has_pair = fitted.probability_pair(0.5).is_some();
        assert_eq!(has_pair, method == CalibrationMethod::VennAbers);
    }
}

#[test]
fn scores_that_say_nothing_give_the_base_rate() {
    // 52 % happen, whatever is claimed; a claim is off by up to 45 points.
    let base = (0.52_f64 / 0.48).ln();
    for seed in 0..20 {
        let (raw, outcomes) = market(seed, 5000, 1.0, [base, 0.0], 1);
        let fitted = ProbabilityCalibrationParams::default().fit(&raw, &outcomes, 1).unwrap();
        let worst = (1..20).map(|i| (fitted.probability(f64::from(i) / 20.0) - 0.52).abs());
        let worst = worst.fold(0.0, f64::max);
        // A standard error of the base rate alone is 0.7 points; one seed in twenty may go further
        // with the slope that it takes for real.
        let allowed = if fitted.kept() > 0.0 { 0.07 } else { 0.0201 };
        assert!(worst < allowed, "seed {seed}: {worst}, kept {}", fitted.kept());
    }
    let ignored = (0..100).filter(|seed| {
        let (raw, outcomes) = market(500 + seed, 3000, 1.0, [base, 0.0], 1);
        let fitted = ProbabilityCalibrationParams::default().fit(&raw, &outcomes, 1).unwrap();
        fitted.kept() == 0.0
    });
    let ignored = ignored.count();
    // One-sided 2 standard errors: 97.7 % of the time.
    assert!((91..=100).contains(&ignored), "{ignored}");
}

#[test]
fn scores_that_say_much_are_followed_in_every_decile() {
    for (truth, spread) in [([0.0, 1.0], 1.0), ([0.1, 0.5], 1.5), ([0.0, 0.3], 2.0)] {
        // The truth of 100,000 further rows, not their outcomes: no noise in the yardstick.
        let (ahead, _) = market(8, 100_000, spread, truth, 1);
        for method in METHODS {
            // Curves of any shape want more pairs than two numbers do.
            let platt = method == CalibrationMethod::Platt;
            let (n, fewest) = if platt { (5000, 1000) } else { (30_000, 5000) };
            let (raw, outcomes) = market(7, n, spread, truth, 1);
            let params = ProbabilityCalibrationParams { method, ..Default::default() };
            let fitted = params.fit(&raw, &outcomes, 1).unwrap();
            assert!(fitted.kept() > 0.9, "{method:?} {truth:?}: {}", fitted.kept());
            let told: Vec<f64> = ahead.iter().map(|p| fitted.probability(*p)).collect();
            let odds = |p: &f64| (p / (1.0 - p)).ln();
            let true_p: Vec<f64> =
                ahead.iter().map(|p| logistic(truth[0] + truth[1] * odds(p))).collect();
            for bin in deciles(&told, &true_p) {
                // At the thin ends of a free curve a few pairs decide.
                if bin.n >= fewest {
                    assert!(bin.gap().abs() < 0.03, "{method:?} {truth:?}: {bin:?}");
                }
            }
        }
    }
}

#[test]
fn labels_that_overlap_are_weaker_evidence() {
    // 4,800 rows that are 100 independent ones: their hits are luck more often than they look.
    let (horizon, n) = (48, 4800);
    let mut kept = [0, 0];
    let mut furthest = [0.0, 0.0];
    for seed in 0..200 {
        let (raw, outcomes) = market(seed, n, 1.0, [0.0, 0.0], horizon);
        for (i, horizon) in [1, horizon].into_iter().enumerate() {
            let params = ProbabilityCalibrationParams::default();
            let fitted = params.fit(&raw, &outcomes, horizon).unwrap();
            kept[i] += usize::from(fitted.kept() > 0.0);
            furthest[i] += (fitted.probability(0.88) - 0.5).abs() / 200.0;
        }
    }
    assert!(kept[1] < 20 && kept[0] > 2 * kept[1], "{kept:?}");
    assert!(furthest[1] < 0.04 && furthest[0] > 1.5 * furthest[1], "{furthest:?}");
    // The extremes that may be told follow the number of independent pairs.
    let raw: Vec<f64> = (0..600).map(|t| f64::from(t % 2)).collect();
    for method in METHODS {
        let at = |horizon| plain(method).fit(&raw, &raw, horizon).unwrap().probability(1.0);
        assert!(at(1) <= 1.0 - 1.0 / 602.0 && at(12) <= 1.0 - 12.0 / 624.0, "{method:?}");
        assert!(at(12) < at(1) && at(12) > 0.9, "{method:?}: {} {}", at(12), at(1));
    }
}

#[test]
fn scores_that_point_the_wrong_way_are_ignored_and_not_turned() {
    let (raw, outcomes) = market(3, 3000, 1.0, [0.0, -0.8], 1);
    for method in METHODS {
        let params = ProbabilityCalibrationParams { method, ..Default::default() };
        let fitted = params.fit(&raw, &outcomes, 1).unwrap();
        // Cox's curve has a prior instead of a threshold.
        assert!(method == CalibrationMethod::Cox || fitted.kept() == 0.0);
        assert_eq!(fitted.probability(0.05), fitted.probability(0.95));
    }
    let turned = plain(CalibrationMethod::Platt).fit(&raw, &outcomes, 1).unwrap();
    assert_eq!(turned.probability(0.05), turned.probability(0.95));
}

#[test]
fn ties_count_half() {
    let raw = [0.5; 40];
    let outcomes: Vec<f64> = (0..40).map(|t| [1.0, 0.5, 0.5, 0.0][t % 4]).collect();
    for method in METHODS {
        let fitted = plain(method).fit(&raw, &outcomes, 1).unwrap();
        assert!((fitted.probability(0.5) - 0.5).abs() < 1e-12, "{method:?}");
    }
}

#[test]
fn a_saved_calibration_is_the_same_and_a_damaged_one_refused() {
    let (raw, outcomes) = market(1, 400, 1.0, [0.0, 1.0], 1);
    for method in METHODS {
        let params = ProbabilityCalibrationParams { method, ..Default::default() };
        let fitted = params.fit(&raw, &outcomes, 1).unwrap();
        let saved = Artifact::encode("calibration", 1, &[], &fitted).unwrap();
        let same: ProbabilityCalibration = saved.decode("calibration", 1).unwrap();
        assert_eq!(same, fitted);
        let json = serde_json::to_value(&fitted).unwrap();
        assert_eq!(serde_json::from_value::<ProbabilityCalibration>(json.clone()).unwrap(), fitted);
        for (path, value) in [("least", 0.0), ("slope", 2.0), ("base", -1.0)] {
            let mut damaged = json.clone();
            damaged[path] = serde_json::json!(value);
            assert!(serde_json::from_value::<ProbabilityCalibration>(damaged).is_err(), "{path}");
        }
    }
    let isotonic = plain(CalibrationMethod::Isotonic).fit(&raw, &outcomes, 1).unwrap();
    let mut falling = serde_json::to_value(&isotonic).unwrap();
    falling["curve"]["isotonic"][0]["values"][0] = serde_json::json!(1.0);
    assert!(serde_json::from_value::<ProbabilityCalibration>(falling).is_err());
}

#[test]
fn bad_input_is_an_error() {
    let (raw, outcomes) = market(1, 30, 1.0, [0.0, 1.0], 1);
    let params = ProbabilityCalibrationParams::default();
    for evidence in [-1.0, f64::NAN, f64::INFINITY] {
        let told = ProbabilityCalibrationParams { evidence, ..params }.fit(&raw, &outcomes, 1);
        assert!(matches!(told, Err(Error::InvalidParameter { name: "evidence", .. })));
    }
    let told = params.fit(&raw, &outcomes, 0);
    assert!(matches!(told, Err(Error::InvalidParameter { name: "horizon", .. })));
    assert!(matches!(params.fit(&raw, &outcomes[1..], 1), Err(Error::Shape { .. })));
    let few = params.fit(&raw[..9], &outcomes[..9], 1);
    assert!(matches!(few, Err(Error::NotEnoughData { needed: 10, available: 9, .. })));
    for (value, finite) in [(f64::NAN, false), (1.5, true), (-0.1, true)] {
        let mut bad = raw.clone();
        bad[4] = value;
        for told in [params.fit(&bad, &outcomes, 1), params.fit(&raw, &bad, 1)] {
            match told {
                Err(Error::NonFinite { row: 4, .. }) => assert!(!finite),
                Err(Error::InvalidParameter { .. }) => assert!(finite),
                other => unreachable!("{other:?}"),
            }
        }
    }
    let fitted = params.fit(&raw, &outcomes, 1).unwrap();
    assert!([f64::NAN, -0.1, 1.1].iter().all(|p| fitted.probability(*p).is_nan()));
}

proptest! {
    #[test]
    fn prop_probabilities_never_fall_and_are_never_0_or_1(
        rows in prop::collection::vec((0_u8..=20, 0_u8..=2), 10..120), horizon in 1_usize..20,
        evidence in prop_oneof![Just(0.0), 0.0_f64..3.0], method in 0_usize..4,
    ) {
        let raw: Vec<f64> = rows.iter().map(|r| f64::from(r.0) / 20.0).collect();
        let outcomes: Vec<f64> = rows.iter().map(|r| f64::from(r.1) / 2.0).collect();
        let method = METHODS[method];
        let params = ProbabilityCalibrationParams { method, evidence, ..Default::default() };
        let fitted = params.fit(&raw, &outcomes, horizon).unwrap();
        let mut before = 0.0;
        for p in (0..=400).map(|i| f64::from(i) / 400.0) {
            let told = fitted.probability(p);
            prop_assert!(told > 0.0 && told < 1.0 && told >= before, "{p}: {told} {before}");
            before = told;
        }
    }
}
