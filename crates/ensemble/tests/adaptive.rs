//! Adaptive conformal intervals.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;

use forecastle_core::{Artifact, Error};
use forecastle_ensemble::{
    AdaptiveConformal, AdaptiveConformalParams, ConformalParams, ConformalQuantilesParams, Issued,
    Sides, StepSize, realised_coverage,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal, StudentT};
use rand_xoshiro::Xoshiro256PlusPlus;

const STEPS: [StepSize; 2] = [StepSize::Fixed(0.005), StepSize::Aggregated];

fn normals(seed: u64, n: usize) -> Vec<f64> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..n).map(|_| StandardNormal.sample(&mut random)).collect()
}

/// Issues an interval around 0 a bar, learns each label `delay` bars later; what was issued, and
/// what was told of its label.
fn walk(
    conformal: &mut AdaptiveConformal,
    labels: &[f64],
    delay: usize,
) -> Vec<(Issued, Option<bool>)> {
    let mut pending: VecDeque<Issued> = VecDeque::new();
    let mut judged = Vec::new();
    for t in 0..labels.len() + delay {
        if t >= delay {
            let issued = pending.pop_front().unwrap();
            judged.push((issued, conformal.observe(&issued, labels[t - delay]).unwrap()));
        }
        pending.push_back(conformal.issue(0.0, 1.0).unwrap());
    }
    judged
}

fn share(judged: &[(Issued, Option<bool>)]) -> f64 {
    let told: Vec<bool> = judged.iter().filter_map(|(_, inside)| *inside).collect();
    told.iter().filter(|inside| **inside).count() as f64 / told.len() as f64
}

#[test]
fn levels_and_bounds_are_those_of_mapie() {
    // MAPIE 1.6.0, TimeSeriesRegressor, method "aci": tests/reference/make_intervals.py.
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("data/intervals.json")).unwrap();
    let numbers =
        |name: &str| -> Vec<f64> { serde_json::from_value(fixture["aci"][name].clone()).unwrap() };
    let n = fixture["aci"]["n_calibration"].as_u64().unwrap() as usize;
    let (labels, upper, level) = (numbers("labels"), numbers("upper"), numbers("level"));
    let params = AdaptiveConformalParams {
        step: StepSize::Fixed(0.01),
        window: Some(n),
        ..Default::default()
    };
    let mut conformal = params.fit(&labels[..n]).unwrap();
    assert_eq!(upper.len(), 260);
    for ((label, upper), level) in labels[n..].iter().zip(&upper).zip(&level) {
        let issued = conformal.issue(0.0, 1.0).unwrap();
        let now = conformal.levels().next().unwrap();
        assert!((now - level).abs() < 1e-12, "{now} {level}");
        assert_eq!(issued.interval(), (-upper, *upper));
        conformal.observe(&issued, *label).unwrap();
    }
    let (least, most) = level.iter().fold((1.0_f64, 0.0_f64), |(l, m), v| (l.min(*v), m.max(*v)));
    assert!(least < 0.06 && most > 0.1, "the fixture must move: {least} {most}");
}

#[test]
fn exchangeable_labels_are_covered_by_every_method() {
    // Skewed labels; the first 2,000 teach, the next 4,000 judge.
    let (n, half) = (6000, 2000);
    for seed in 0..5 {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let heavy = StudentT::new(4.0).unwrap();
        let sizes: Vec<f64> = normals(100 + seed, n).iter().map(|z| (0.4 * z).exp()).collect();
        let mut label = |size: &f64| match heavy.sample(&mut random) {
            above if above > 0.0 => size * above,
            below => size * 0.5 * below,
        };
        let labels: Vec<f64> = sizes.iter().map(&mut label).collect();
        let (past, ahead) = labels.split_at(half);
        let holds = |method: &str, intervals: &[(f64, f64)]| {
            let share = realised_coverage(ahead, intervals).unwrap();
            assert!((share - 0.9).abs() < 0.02, "{method}, seed {seed}: {share}");
        };
        for sides in [Sides::Symmetric, Sides::Asymmetric] {
            let split = ConformalParams { sides, ..Default::default() }.fit(past).unwrap();
            holds("split", &vec![split.interval(0.0); n - half]);
            // Quantile forecasts that know the size but claim too little.
            let band = |rows: &[f64], factor: f64| -> Vec<f64> {
                rows.iter().map(|s| factor * s).collect()
            };
            let (lower, upper) = (band(&sizes, -0.7), band(&sizes, 1.1));
            let quantiles = ConformalQuantilesParams { sides, ..Default::default() };
            let quantiles = quantiles.fit(&lower[..half], &upper[..half], past).unwrap();
            let rows = lower[half..].iter().zip(&upper[half..]);
            let bands: Vec<_> = rows.map(|(l, u)| quantiles.interval(*l, *u)).collect();
            holds("quantiles", &bands);
            for step in STEPS {
                let params = AdaptiveConformalParams { step, sides, ..Default::default() };
                let mut conformal = params.fit(past).unwrap();
                let issued = walk(&mut conformal, ahead, 1);
                let issued: Vec<_> = issued.iter().map(|(issued, _)| issued.interval()).collect();
                holds("adaptive", &issued);
                let mut conformal = params.start().unwrap();
                let mut bands = Vec::new();
                for t in 0..n {
                    let issued = conformal.issue_band(lower[t], upper[t], sizes[t]).unwrap();
                    bands.push(issued.interval());
                    conformal.observe(&issued, labels[t]).unwrap();
                }
                holds("adaptive quantiles", &bands[half..]);
            }
        }
    }
}

#[test]
fn after_a_shift_of_volatility_adaptive_intervals_recover_and_split_ones_do_not() {
    let (n, shift) = (4000, 1500);
    let size = |t: usize| if t < shift { 1.0 } else { 2.0 };
    let labels: Vec<f64> = normals(5, n).iter().enumerate().map(|(t, z)| z * size(t)).collect();
    let split = ConformalParams::default().fit(&labels[..shift]).unwrap();
    let after = &labels[shift + 500..];
    let still = realised_coverage(after, &vec![split.interval(0.0); after.len()]).unwrap();
    assert!(still < 0.65, "{still}");
    for step in STEPS {
        let params = AdaptiveConformalParams { step, ..Default::default() };
        let judged = walk(&mut params.start().unwrap(), &labels, 5);
        let recovered = share(&judged[shift + 500..]);
        assert!((recovered - 0.9).abs() < 0.02, "{step:?}: {recovered}");
    }
}

#[test]
fn the_interval_that_was_issued_is_judged_and_not_the_one_of_today() {
    let scores: Vec<f64> = (1..=99).map(f64::from).collect();
    let params = AdaptiveConformalParams { step: StepSize::Fixed(0.05), ..Default::default() };
    let mut conformal = params.fit(&scores).unwrap();
    let old = conformal.issue(0.0, 1.0).unwrap();
    assert_eq!(old.interval(), (-90.0, 90.0));
    // One miss halves the level: (99 + 1 + 1) · 0.055 leaves 5 outside.
    let other = conformal.issue(0.0, 1.0).unwrap();
    assert_eq!(conformal.observe(&other, 1000.0).unwrap(), Some(false));
    assert!((conformal.levels().next().unwrap() - 0.055).abs() < 1e-15);
    assert_eq!(conformal.issue(0.0, 1.0).unwrap().interval(), (-96.0, 96.0));
    // 93 is outside the old interval and inside the new one.
    assert_eq!(conformal.observe(&old, 93.0).unwrap(), Some(false));
    assert!((conformal.levels().next().unwrap() - 0.01).abs() < 1e-15);
    // An interval in other units: the scale at issue counts.
    let scaled = conformal.issue(500.0, 1e-3).unwrap();
    assert_eq!(conformal.observe(&scaled, 500.05).unwrap(), Some(true));
}

#[test]
fn overlapping_labels_move_the_level_as_much_as_one_of_them() {
    let scores = normals(1, 200);
    let level = |horizon: usize| {
        let params = AdaptiveConformalParams { horizon, ..Default::default() };
        let mut conformal = params.fit(&scores).unwrap();
        for _ in 0..horizon {
            let issued = conformal.issue(0.0, 1.0).unwrap();
            conformal.observe(&issued, 100.0).unwrap();
        }
        conformal.levels().next().unwrap()
    };
    assert!((level(1) - (0.1 - 0.0045)).abs() < 1e-15);
    assert!((level(12) - level(1)).abs() < 1e-15);
}

#[test]
fn levels_outside_their_range_give_the_largest_and_the_smallest_score() {
    let params = AdaptiveConformalParams { step: StepSize::Fixed(0.1), ..Default::default() };
    let scores: Vec<f64> = (1..=99).map(f64::from).collect();
    let mut conformal = params.fit(&scores).unwrap();
    for largest in [100.0, 200.0, 300.0] {
        let issued = conformal.issue(0.0, 1.0).unwrap();
        assert_eq!(conformal.observe(&issued, largest).unwrap(), Some(false));
        if conformal.levels().next().unwrap() < 0.0 {
            break;
        }
    }
    let wide = conformal.issue(0.0, 1.0).unwrap();
    assert!(wide.is_clamped() && wide.interval().1 >= 200.0, "{:?}", wide.interval());
    // Beyond every score: a miss of the finite interval, a hit of the infinite one.
    let before = conformal.levels().next().unwrap();
    assert_eq!(conformal.observe(&wide, 1e6).unwrap(), Some(false));
    assert!(conformal.levels().next().unwrap() > before);
    let mut narrow = conformal.issue(0.0, 1.0).unwrap();
    for _ in 0..300 {
        narrow = conformal.issue(0.0, 1.0).unwrap();
        if conformal.levels().next().unwrap() >= 1.0 {
            break;
        }
        conformal.observe(&narrow, 0.0).unwrap();
    }
    assert!(narrow.is_clamped());
    assert_eq!(narrow.interval(), (0.0, 0.0));
    let before = conformal.levels().next().unwrap();
    assert_eq!(conformal.observe(&narrow, 0.0).unwrap(), Some(true));
    assert!(conformal.levels().next().unwrap() < before);
}

#[test]
fn intervals_come_with_the_first_score_that_can_promise_the_coverage() {
    for (sides, needed) in [(Sides::Symmetric, 9), (Sides::Asymmetric, 19)] {
        let params = AdaptiveConformalParams { sides, ..Default::default() };
        let mut conformal = params.start().unwrap();
        let wanted = if sides == Sides::Symmetric { 0.1 } else { 0.05 };
        for n in 0..needed {
            let issued = conformal.issue(0.0, 1.0).unwrap();
            assert!(!issued.is_ready() && issued.interval().0.is_nan() && !issued.is_clamped());
            assert_eq!(conformal.observe(&issued, n as f64).unwrap(), None);
            assert!(conformal.levels().all(|l| (l - wanted).abs() < 1e-15));
        }
        assert!(conformal.issue(0.0, 1.0).unwrap().is_ready());
        assert_eq!(conformal.n_scores(), needed);
    }
}

#[test]
fn two_sides_miss_alike_where_one_distance_would_not() {
    let labels: Vec<f64> = normals(9, 6000).iter().map(|z| z.exp()).collect();
    let misses = |sides: Sides| {
        let params = AdaptiveConformalParams { sides, ..Default::default() };
        let judged = walk(&mut params.start().unwrap(), &labels, 3);
        let rows = judged.iter().zip(&labels).skip(1000);
        let [mut below, mut above] = [0.0, 0.0];
        for ((issued, _), label) in rows {
            let (lower, upper) = issued.interval();
            below += f64::from(u8::from(*label < lower)) / 5000.0;
            above += f64::from(u8::from(*label > upper)) / 5000.0;
        }
        [below, above]
    };
    let [below, above] = misses(Sides::Asymmetric);
    assert!((below - 0.05).abs() < 0.01 && (above - 0.05).abs() < 0.01, "{below} {above}");
    assert_eq!(misses(Sides::Symmetric)[0], 0.0);
}

#[test]
fn a_band_is_put_in_order_and_shrinks_to_a_point_at_most() {
    let params = AdaptiveConformalParams::default();
    let mut conformal = params.start().unwrap();
    for _ in 0..20 {
        // Every label lies 4 inside a band of 10, from either bound.
        let issued = conformal.issue_band(10.0, 0.0, 1.0).unwrap();
        conformal.observe(&issued, 4.0).unwrap();
    }
    assert_eq!(conformal.issue_band(0.0, 10.0, 1.0).unwrap().interval(), (4.0, 6.0));
    assert_eq!(conformal.issue_band(10.0, 0.0, 1.0).unwrap().interval(), (4.0, 6.0));
    assert_eq!(conformal.issue_band(0.0, 6.0, 1.0).unwrap().interval(), (3.0, 3.0));
    assert_eq!(conformal.issue_band(0.0, 10.0, 0.5).unwrap().interval(), (2.0, 8.0));
}

#[test]
fn a_saved_state_goes_on_with_the_same_bits() {
    let labels = normals(3, 1200);
    for step in STEPS {
        for sides in [Sides::Symmetric, Sides::Asymmetric] {
            let params = AdaptiveConformalParams {
                step,
                sides,
                window: Some(300),
                horizon: 7,
                ..Default::default()
            };
            let mut whole = params.start().unwrap();
            walk(&mut whole, &labels[..700], 7);
            let pending = whole.issue(0.1, 2.0).unwrap();
            let text = serde_json::to_string(&(&whole, pending)).unwrap();
            let (mut from_text, token): (AdaptiveConformal, Issued) =
                serde_json::from_str(&text).unwrap();
            assert_eq!((&from_text, token), (&whole, pending));
            let saved = Artifact::encode("adaptive_conformal", 1, &[], &whole).unwrap();
            let mut from_bytes: AdaptiveConformal = saved.decode("adaptive_conformal", 1).unwrap();
            let expected = walk(&mut whole, &labels[700..], 7);
            assert_eq!(walk(&mut from_text, &labels[700..], 7), expected);
            assert_eq!(walk(&mut from_bytes, &labels[700..], 7), expected);
        }
    }
}

#[test]
fn a_damaged_state_is_refused() {
    let fitted = AdaptiveConformalParams::default().fit(&normals(1, 30)).unwrap();
    let whole = serde_json::to_value(&fitted).unwrap();
    for (path, value) in [
        ("/levels/0/levels", serde_json::json!([])),
        ("/levels/0/weights/0", serde_json::json!(-1.0)),
        ("/levels", serde_json::json!([])),
        ("/scores", serde_json::json!([[1.0], [1.0]])),
        ("/params/window", serde_json::json!(20)),
        ("/params/coverage", serde_json::json!(1.5)),
    ] {
        let mut damaged = whole.clone();
        *damaged.pointer_mut(path).unwrap() = value;
        assert!(serde_json::from_value::<AdaptiveConformal>(damaged).is_err(), "{path}");
    }
    assert!(serde_json::from_value::<AdaptiveConformal>(whole).is_ok());
}

#[test]
fn a_step_of_zero_is_split_conformal_with_the_errors_so_far() {
    let params = AdaptiveConformalParams {
        step: StepSize::Fixed(0.0),
        ..AdaptiveConformalParams::default()
    };
    let mut adaptive = params.start().unwrap();
    let mut errors: Vec<f64> = Vec::new();
    for t in 0..300_usize {
        let issued = adaptive.issue(1.0, 1.0).unwrap();
        if let Ok(split) = forecastle_ensemble::ConformalParams::default().fit(&errors) {
            let ((low, high), expected) = (issued.interval(), split.interval(1.0));
            assert!((low - expected.0).abs() < 1e-12 && (high - expected.1).abs() < 1e-12, "{t}");
        } else {
            assert!(!issued.is_ready(), "{t}");
        }
        // Errors that grow: an adaptive level would answer.
        let error = (t as f64 / 100.0).exp() * ((t * 7_919 % 1_009) as f64 / 1_009.0 - 0.5);
        adaptive.observe(&issued, 1.0 + error).unwrap();
        errors.push(error);
    }
    assert!(adaptive.levels().all(|level| (level - 0.1).abs() < 1e-12));
}

#[test]
fn bad_input_is_an_error() {
    let base = AdaptiveConformalParams::default();
    let named = |params: AdaptiveConformalParams| match params.start() {
        Err(Error::InvalidParameter { name, .. }) => name,
        other => unreachable!("{other:?}"),
    };
    assert_eq!(named(AdaptiveConformalParams { coverage: 1.0, ..base }), "coverage");
    assert_eq!(named(AdaptiveConformalParams { horizon: 0, ..base }), "horizon");
    assert_eq!(named(AdaptiveConformalParams { window: Some(8), ..base }), "window");
    for step in [-0.1, 1.5, f64::NAN] {
        assert_eq!(named(AdaptiveConformalParams { step: StepSize::Fixed(step), ..base }), "step");
    }
    assert!(matches!(base.fit(&[1.0, f64::NAN]), Err(Error::NonFinite { row: 1, .. })));
    assert!(matches!(base.fit_scaled(&[1.0], &[]), Err(Error::Shape { .. })));
    assert!(matches!(base.fit_scaled(&[1.0], &[0.0]), Err(Error::InvalidParameter { .. })));
    assert!(matches!(base.fit_scaled(&[1e300], &[1e-300]), Err(Error::NonFinite { .. })));
    let mut conformal = base.fit(&normals(1, 30)).unwrap();
    let before = conformal.clone();
    assert!(matches!(conformal.issue(f64::NAN, 1.0), Err(Error::NonFinite { .. })));
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(conformal.issue(0.0, scale), Err(Error::InvalidParameter { .. })));
    }
    let issued = conformal.issue(0.0, 1.0).unwrap();
    for label in [f64::NAN, f64::INFINITY] {
        assert!(matches!(conformal.observe(&issued, label), Err(Error::NonFinite { .. })));
    }
    assert_eq!(conformal, before);
}

proptest! {
    #[test]
    fn prop_the_share_of_misses_keeps_to_the_bound_whatever_the_labels_are(
        seed: u64, kind in 0_u8..4, step in 0.01_f64..0.2, coverage in 0.5_f64..0.95,
        delay in 1_usize..8, window in prop::option::of(30_usize..200),
    ) {
        let labels: Vec<f64> = normals(seed, 900).iter().enumerate().map(|(t, z)| match kind {
            0 => *z,
            1 => z * (t as f64 * 0.01).exp(),
            2 => z * if t % 200 < 100 { 1.0 } else { 30.0 },
            _ => t as f64,
        }).collect();
        let params = AdaptiveConformalParams {
            coverage, step: StepSize::Fixed(step), window, ..Default::default()
        };
        let mut conformal = params.start().unwrap();
        let judged = walk(&mut conformal, &labels, delay);
        let rows: Vec<_> = judged.iter().filter_map(|(i, inside)| inside.map(|s| (i, s))).collect();
        let n = rows.len() as f64;
        let miss = 1.0 - coverage;
        // Proposition 4.1 of Gibbs and Candès, with `delay` labels on their way when the level
        // leaves 0 to 1; an interval that was clamped is not the one of the paper.
        let bound = (miss.max(coverage) + step * delay as f64) / (n * step);
        let clamped = rows.iter().filter(|(issued, _)| issued.is_clamped()).count() as f64 / n;
        let missed = rows.iter().filter(|(_, inside)| !inside).count() as f64 / n;
        prop_assert!((missed - miss).abs() <= bound + clamped + 1e-9, "{missed} {bound} {clamped}");
        if kind == 0 && step * (delay as f64) < 0.05 {
            prop_assert!(clamped < 0.2, "the bound must say something: {clamped}");
        }
        let level = conformal.levels().next().unwrap();
        let reach = step * delay as f64;
        prop_assert!((-reach..=1.0 + reach).contains(&level), "{level}");
    }
}
