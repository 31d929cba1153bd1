#![allow(clippy::unwrap_used, reason = "tests")]
//! The search for settings: what is drawn, whether it finds, what it records and how it stops.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forecastle_core::{Error, Progress, ProgressEvent, Result};
use forecastle_evaluation::{
    Dimension, Point, Sampler, SearchParams, SearchReport, SearchSpace, TpeParams, Trial,
    TrialLoss, Value, expected_maximum,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

const NO_CLOCK: fn() -> Duration = || Duration::ZERO;

fn search<L: Into<TrialLoss>>(
    sampler: Sampler,
    trials: usize,
    seed: u64,
    space: &SearchSpace,
    objective: impl FnMut(&Point) -> Result<L>,
) -> SearchReport {
    let params = SearchParams { sampler, trials: Some(trials), seed, ..SearchParams::default() };
    params.minimize(space, &NO_CLOCK, &(), objective).unwrap()
}

fn tpe() -> Sampler {
    Sampler::Tpe(TpeParams::default())
}

/// Means over seeds of the best loss found, of TPE and of random search, and the seeds that TPE won.
fn compare(
    space: &SearchSpace,
    trials: usize,
    objective: impl Fn(&Point) -> Result<f64>,
) -> (f64, f64, usize) {
    let seeds = 60;
    let (mut ours, mut random, mut won) = (0.0, 0.0, 0);
    for seed in 0..seeds {
        let best = |sampler| {
            search(sampler, trials, seed, space, &objective).best().unwrap().loss().unwrap()
        };
        let (a, b) = (best(tpe()), best(Sampler::Random));
        ours += a / seeds as f64;
        random += b / seeds as f64;
        won += usize::from(a < b);
    }
    (ours, random, won)
}

#[test]
fn tpe_comes_closer_to_the_minimum_of_branin_than_random_search() {
    let space = SearchSpace::new().real("x", -5.0..=10.0).unwrap().real("y", 0.0..=15.0).unwrap();
    let branin = |point: &Point| {
        let (x, y) = (point.real("x")?, point.real("y")?);
        let valley = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
        Ok(valley * valley + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0 - 0.397_887)
    };
    let (ours, random, won) = compare(&space, 60, branin);
    println!("Branin: TPE {ours:.4}, random {random:.4}, {won} of 60 seeds won");
    // Optuna 5.0.0, TPESampler(multivariate=False), 60 seeds: 0.239 ± 0.031.
    assert!((ours - 0.239).abs() < 0.12, "{ours}");
    assert!(ours < 0.4 * random, "{ours} {random}");
    assert!(won >= 40, "{won}");
}

#[test]
fn tpe_comes_closer_in_five_dimensions_with_a_log_scale_integers_and_a_choice() {
    let space = SearchSpace::new()
        .real("a", -1.0..=1.0)
        .unwrap()
        .real("b", -1.0..=1.0)
        .unwrap()
        .log_real("rate", 1e-4..=1.0)
        .unwrap()
        .log_integer("rounds", 1..=1000)
        .unwrap()
        .choice("kind", ["bad", "good", "worse"])
        .unwrap();
    let sphere = |point: &Point| {
        let rate = (point.real("rate")? / 0.01).log10() / 2.0;
        let rounds = (point.integer("rounds")? as f64 / 100.0).log10() / 2.0;
        let kind = match point.choice("kind")? {
            "good" => 0.0,
            "bad" => 0.5,
            _ => 1.0,
        };
        let (a, b) = (point.real("a")? - 0.4, point.real("b")? + 0.3);
        Ok(a * a + b * b + rate * rate + rounds * rounds + kind)
    };
    let (ours, random, won) = compare(&space, 80, sphere);
    println!("sphere: TPE {ours:.4}, random {random:.4}, {won} of 60 seeds won");
    // Optuna 5.0.0 as above: 0.041 ± 0.006.
    assert!((ours - 0.041).abs() < 0.02, "{ours}");
    assert!(ours < 0.2 * random, "{ours} {random}");
    assert!(won >= 54, "{won}");
}

/// Largest distance of draws from a distribution, in units of its 0.1 % critical value.
fn kolmogorov_smirnov(mut draws: Vec<f64>, distribution: impl Fn(f64) -> f64) -> f64 {
    draws.sort_by(f64::total_cmp);
    let n = draws.len() as f64;
    let distance = |(i, draw): (usize, &f64)| {
        let p = distribution(*draw);
        (p - i as f64 / n).abs().max((p - (i + 1) as f64 / n).abs())
    };
    draws.iter().enumerate().map(distance).fold(0.0, f64::max) / (1.95 / n.sqrt())
}

#[test]
fn random_points_are_spread_as_their_dimensions_say() {
    let space = SearchSpace::new()
        .real("x", -2.0..=6.0)
        .unwrap()
        .log_real("r", 1e-3..=10.0)
        .unwrap()
        .integer("i", -3..=6)
        .unwrap()
        .log_integer("k", 1..=20)
        .unwrap()
        .choice("c", ["a", "b", "c"])
        .unwrap();
    let n = 20_000;
    let report = search(Sampler::Random, n, 3, &space, |_| Ok(0.0));
    let reals = |name: &str| -> Vec<f64> {
        report.trials.iter().map(|t| t.point.real(name).unwrap()).collect()
    };
    assert!(kolmogorov_smirnov(reals("x"), |x| (x + 2.0) / 8.0) < 1.0);
    assert!(kolmogorov_smirnov(reals("r"), |r| (r / 1e-3).log10() / 4.0) < 1.0);
    // Not by accident: the other layout is seen.
    assert!(kolmogorov_smirnov(reals("r"), |r| (r - 1e-3) / 10.0) > 10.0);

    let counts = |of: &dyn Fn(&Point) -> String| {
        let mut counts = BTreeMap::new();
        for trial in &report.trials {
            *counts.entry(of(&trial.point)).or_insert(0.0) += 1.0;
        }
        counts
    };
    let chi_square = |counts: &BTreeMap<String, f64>, share: &dyn Fn(&str) -> f64| -> f64 {
        counts.iter().map(|(k, c)| (c - share(k) * n as f64).powi(2) / (share(k) * n as f64)).sum()
    };
    let integers = counts(&|p| p.integer("i").unwrap().to_string());
    assert_eq!(integers.len(), 10);
    assert!(chi_square(&integers, &|_| 0.1) < 27.9); // 9 degrees of freedom, 0.1 %
    let choices = counts(&|p| p.choice("c").unwrap().to_owned());
    assert_eq!(choices.len(), 3);
    assert!(chi_square(&choices, &|_| 1.0 / 3.0) < 13.8);
    let logs = counts(&|p| p.integer("k").unwrap().to_string());
    assert_eq!(logs.len(), 20);
    let share = |k: &str| {
        let k: f64 = k.parse().unwrap();
        ((k + 0.5) / (k - 0.5)).ln() / (20.5_f64 / 0.5).ln()
    };
    assert!(chi_square(&logs, &share) < 43.8); // 19 degrees of freedom
}

fn mixed_space() -> SearchSpace {
    SearchSpace::new()
        .log_real("r", 0.5..=0.75)
        .unwrap()
        .integer("i", 2..=3)
        .unwrap()
        .log_integer("k", 1..=9)
        .unwrap()
        .choice("c", ["only"])
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn prop_every_point_lies_in_the_space_and_the_same_seed_gives_the_same_trials(seed: u64) {
        let space = mixed_space();
        let loss = |p: &Point| Ok(p.real("r")? * p.integer("i")? as f64 - p.integer("k")? as f64);
        for sampler in [tpe(), Sampler::Random] {
            let report = search(sampler, 40, seed, &space, loss);
            prop_assert!(report.trials.iter().all(|t| space.contains(&t.point)));
            prop_assert_eq!(&report, &search(sampler, 40, seed, &space, loss));
            let other = search(sampler, 40, seed ^ 1, &space, loss);
            prop_assert_ne!(&report.trials, &other.trials);
        }
    }
}

#[test]
fn tpe_begins_with_the_random_trials_of_its_seed() {
    let space = mixed_space();
    let loss = |p: &Point| p.real("r");
    let (ours, random) =
        (search(tpe(), 12, 5, &space, loss), search(Sampler::Random, 12, 5, &space, loss));
    assert_eq!(ours.trials[..10], random.trials[..10]);
    assert_ne!(ours.trials[10..], random.trials[10..]);
}

#[test]
fn failed_trials_are_recorded_avoided_and_never_best() {
    let space = SearchSpace::new().real("x", 0.0..=1.0).unwrap();
    let run = |seed| {
        search(tpe(), 60, seed, &space, |point| {
            let x = point.real("x")?;
            if x < 0.5 {
                return if x < 0.25 {
                    Ok(f64::NEG_INFINITY)
                } else {
                    Err(Error::numerical("fit", "it diverged"))
                };
            }
            // Nothing to find in the rest.
            Ok(2.0 + (1e5 * x).sin())
        })
    };
    let report = run(1);
    assert_eq!((report.n_trials(), report.trials.len()), (60, 60));
    let failed: Vec<&Trial> = report.trials.iter().filter(|t| t.loss().is_none()).collect();
    let reasons: Vec<&str> =
        failed.iter().map(|t| t.outcome.as_ref().unwrap_err().as_str()).collect();
    assert!(reasons.contains(&"the loss is -inf") && reasons.contains(&"fit: it diverged"));
    assert_eq!(report.losses().len() + failed.len(), 60);
    assert_eq!(report.luck().unwrap().n_trials, report.losses().len());
    assert!(report.best().unwrap().loss().unwrap() >= 1.0);
    // Half of the space fails.
    let mean_failed: f64 = (0..20)
        .map(|seed| run(seed).trials[10..].iter().filter(|t| t.loss().is_none()).count() as f64)
        .sum::<f64>()
        / 20.0;
    println!("{mean_failed:.1} of 50 trials failed");
    assert!(mean_failed < 18.0, "{mean_failed}");

    let hopeless = search(tpe(), 15, 1, &space, |_| Ok(f64::NAN));
    assert_eq!((hopeless.n_trials(), hopeless.best(), hopeless.luck()), (15, None, None));
}

#[test]
fn a_limit_in_seconds_cuts_the_same_sequence_off() {
    let space = SearchSpace::new().real("x", 0.0..=1.0).unwrap();
    let clock = Cell::new(0_u64);
    let elapsed = || Duration::from_secs(clock.get());
    let slow = |point: &Point| {
        clock.set(clock.get() + 3);
        point.real("x")
    };
    let params = SearchParams { trials: None, seconds: Some(10.0), ..SearchParams::default() };
    let timed = params.minimize(&space, &elapsed, &(), slow).unwrap();
    // Trials begin at 0, 3, 6 and 9 seconds.
    assert_eq!(timed.n_trials(), 4);
    let counted = search(tpe(), 40, 7, &space, |p| p.real("x"));
    assert_eq!(timed.trials, counted.trials[..4]);

    clock.set(1_000);
    assert_eq!(params.minimize(&space, &elapsed, &(), slow).unwrap().n_trials(), 1);
    clock.set(0);
    let both = SearchParams { trials: Some(2), ..params };
    assert_eq!(both.minimize(&space, &elapsed, &(), slow).unwrap().n_trials(), 2);
}

struct StopAfter(u64, AtomicU64);

impl Progress for StopAfter {
    fn update(&self, event: &ProgressEvent<'_>) {
        assert_eq!((event.stage, event.total), ("search", Some(40)));
        assert_eq!(event.done, self.1.fetch_add(1, Ordering::Relaxed) + 1);
    }

    fn is_cancelled(&self) -> bool {
        self.1.load(Ordering::Relaxed) >= self.0
    }
}

#[test]
fn a_search_stops_when_asked_to() {
    let space = SearchSpace::new().real("x", 0.0..=1.0).unwrap();
    let stop = StopAfter(6, AtomicU64::new(0));
    let calls = Cell::new(0);
    let count = |point: &Point| {
        calls.set(calls.get() + 1);
        point.real("x")
    };
    let error = SearchParams::default().minimize(&space, &NO_CLOCK, &stop, count).unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(calls.get(), 6);
    let inside = |_: &Point| -> Result<f64> { Err(Error::Cancelled) };
    let error = SearchParams::default().minimize(&space, &NO_CLOCK, &(), inside).unwrap_err();
    assert!(error.is_cancelled());
}

#[test]
fn bad_spaces_and_parameters_are_refused_by_name() {
    let new = SearchSpace::new;
    for space in [
        new().real("x", 1.0..=1.0),
        new().real("x", 0.0..=f64::INFINITY),
        new().real("x", f64::NAN..=1.0),
        new().real("x", -f64::MAX..=f64::MAX),
        new().log_real("x", 0.0..=1.0),
        new().integer("x", 3..=3),
        new().integer("x", i64::MIN..=i64::MAX),
        new().log_integer("x", 0..=5),
        new().choice("x", ["a", "a"]),
        new().choice("x", Vec::<String>::new()),
        new().real("x", 0.0..=1.0).unwrap().integer("x", 0..=1),
    ] {
        assert!(space.unwrap_err().is_invalid_input());
    }
    let ok = TpeParams::default();
    let of = |tpe| SearchParams { sampler: Sampler::Tpe(tpe), ..SearchParams::default() };
    let base = SearchParams::default();
    let cases = [
        ("trials", SearchParams { trials: None, ..base }),
        ("trials", SearchParams { trials: Some(0), ..base }),
        ("seconds", SearchParams { seconds: Some(0.0), ..base }),
        ("seconds", SearchParams { seconds: Some(f64::NAN), ..base }),
        ("n_startup", of(TpeParams { n_startup: 1, ..ok })),
        ("good_share", of(TpeParams { good_share: 1.0, ..ok })),
        ("max_good", of(TpeParams { max_good: 0, ..ok })),
        ("n_candidates", of(TpeParams { n_candidates: 0, ..ok })),
        ("prior_weight", of(TpeParams { prior_weight: 0.0, ..ok })),
    ];
    let space = new().real("x", 0.0..=1.0).unwrap();
    for (expected, params) in cases {
        match params.minimize(&space, &NO_CLOCK, &(), |p| p.real("x")) {
            Err(Error::InvalidParameter { name, .. }) => assert_eq!(name, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    assert!(base.minimize(&new(), &NO_CLOCK, &(), |_| Ok(0.0)).is_err());
}

#[test]
fn points_tell_their_settings_and_refuse_other_names() {
    let report = search(Sampler::Random, 1, 7, &mixed_space(), |_| Ok(1.0));
    let point = &report.trials[0].point;
    assert!(matches!(point.value("i"), Some(Value::Integer(2 | 3))));
    assert!(point.real("i").is_err() && point.integer("r").is_err() && point.choice("x").is_err());
    assert!(point.to_string().starts_with("r=0."), "{point}");
    assert!(point.to_string().ends_with("c=only"), "{point}");
}

#[test]
fn spaces_and_reports_survive_json_and_a_bad_space_is_refused() {
    let space = mixed_space();
    let text = serde_json::to_string(&space).unwrap();
    assert_eq!(serde_json::from_str::<SearchSpace>(&text).unwrap(), space);
    let report = search(tpe(), 15, 7, &space, |p| {
        let r = p.real("r")?;
        if p.integer("k")? > 5 {
            Ok(TrialLoss::from(f64::NAN))
        } else {
            Ok(TrialLoss::mean_of(vec![r, 1.0]))
        }
    });
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<SearchReport>(&text).unwrap(), report);
    let bad = r#"[["x", {"real": {"low": 1.0, "high": 0.0, "scale": "linear"}}]]"#;
    assert!(serde_json::from_str::<SearchSpace>(bad).is_err());
    assert!(!Dimension::Choice { options: vec!["a".into()] }.contains(&Value::Integer(1)));
}

#[test]
fn the_expected_maximum_is_that_of_drawn_normal_numbers() {
    assert_eq!((expected_maximum(0), expected_maximum(1)), (0.0, 0.0));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
    for (n, tolerance) in [(5, 0.03), (20, 0.03), (100, 0.03)] {
        let mut mean = 0.0;
        for _ in 0..20_000 {
            let draws = (0..n).map(|_| -> f64 { StandardNormal.sample(&mut random) });
            mean += draws.fold(f64::MIN, f64::max) / 20_000.0;
        }
        assert!((expected_maximum(n) / mean - 1.0).abs() < tolerance, "{n} {mean}");
    }
}

/// A search whose settings do nothing: every fold's loss is the fold's own level and noise.
fn noise_search(seed: u64, folds: usize, slope: f64) -> SearchReport {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let space = SearchSpace::new().real("x", 0.0..=1.0).unwrap();
    search(Sampler::Random, 40, seed, &space, |point| {
        let x = point.real("x")?;
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let loss = |k: usize| 10.0 * k as f64 + slope * x + 0.2 * normal();
        Ok(TrialLoss::mean_of((0..folds).map(loss).collect()))
    })
}

#[test]
fn luck_is_what_the_best_of_equal_settings_gains() {
    let (mut advantage, mut from_folds, mut if_all_equal) = (0.0, 0.0, 0.0);
    for seed in 0..200 {
        let luck = noise_search(seed, 5, 0.0).luck().unwrap();
        advantage += luck.advantage / 200.0;
        from_folds += luck.from_folds.unwrap() / 200.0;
        if_all_equal += luck.if_all_equal / 200.0;
    }
    // 0.2 / sqrt(5) times 2.16.
    assert!((advantage - 0.193).abs() < 0.01, "{advantage}");
    assert!((from_folds / advantage - 1.0).abs() < 0.05, "{from_folds} {advantage}");
    assert!((if_all_equal / advantage - 1.0).abs() < 0.05, "{if_all_equal} {advantage}");

    // Where settings matter, the folds still tell the noise alone, the spread does not.
    let luck = noise_search(1, 5, 5.0).luck().unwrap();
    assert!(luck.advantage > 1.5 && luck.from_folds.unwrap() < 0.3, "{luck:?}");
    assert!(luck.if_all_equal > 2.0, "{luck:?}");
    assert_eq!(noise_search(1, 1, 0.0).luck().unwrap().from_folds, None);
}

#[test]
fn trials_that_lose_in_the_same_folds_count_as_few() {
    // The folds' levels, 0 to 40, dwarf the noise: all trials are one.
    let alike = noise_search(1, 5, 0.0);
    let effective = alike.effective_trials().unwrap();
    assert!((1.0..1.1).contains(&effective), "{effective}");
    assert_eq!(noise_search(1, 2, 0.0).effective_trials(), None);

    let mut random = Xoshiro256PlusPlus::seed_from_u64(9);
    let space = SearchSpace::new().real("x", 0.0..=1.0).unwrap();
    let independent = search(Sampler::Random, 40, 9, &space, |_| {
        let folds = (0..50).map(|_| StandardNormal.sample(&mut random)).collect();
        Ok(TrialLoss::mean_of(folds))
    });
    let effective = independent.effective_trials().unwrap();
    assert!(effective > 38.0 && effective <= 40.0, "{effective}");
}

#[test]
fn ranked_trials_begin_with_the_earliest_of_the_best() {
    let space = SearchSpace::new().integer("i", 0..=3).unwrap();
    let report = search(Sampler::Random, 50, 1, &space, |p| Ok(p.integer("i")? as f64));
    let first = report.trials.iter().find(|t| t.loss() == Some(0.0)).unwrap();
    assert_eq!(report.best().unwrap().number, first.number);
    let ranked: Vec<f64> = report.ranked().iter().filter_map(|t| t.loss()).collect();
    assert!(ranked.is_sorted() && ranked.len() == 50);
}
