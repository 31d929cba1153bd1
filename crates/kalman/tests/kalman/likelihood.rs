//! The search for the maximum of the likelihood.

use forecastle_core::Error;
use forecastle_kalman::{
    LocalLevel, LocalLinearTrend, MaximumLikelihood, TrendFit, TrendState, TrendVariances,
};
use proptest::prelude::*;

use crate::model::Random;

/// A series of the model itself.
pub(crate) fn simulate(v: TrendVariances, n: usize, seed: u64) -> Vec<f64> {
    let mut random = Random(seed);
    let (mut level, mut velocity) = (0.0, 0.0);
    (0..n)
        .map(|_| {
            let y = level + v.measurement.sqrt() * random.normal();
            level += velocity + v.level.sqrt() * random.normal();
            velocity += v.trend.sqrt() * random.normal();
            y
        })
        .collect()
}

fn variances(level: f64, trend: f64, measurement: f64) -> TrendVariances {
    TrendVariances { level, trend, measurement }
}

fn fit(series: &[f64], prior: TrendState) -> TrendFit {
    MaximumLikelihood::default().fit_trend(prior, series).unwrap()
}

#[test]
fn variances_are_recovered_from_a_long_series() {
    let truth = variances(1.0, 0.05, 3.0);
    let series = simulate(truth, 20_000, 3);
    let found = fit(&series, TrendState::new(0.0, 0.0, 1e6)).model.variances();
    assert!((found.level / truth.level - 1.0).abs() < 0.2, "{found:?}");
    assert!((found.trend / truth.trend - 1.0).abs() < 0.15, "{found:?}");
    assert!((found.measurement / truth.measurement - 1.0).abs() < 0.1, "{found:?}");
}

#[test]
fn a_trend_that_never_changes_gets_no_variance() {
    let mut at_zero = 0;
    for seed in 0..10 {
        let mut series = simulate(variances(1.0, 0.0, 0.5), 1000, seed);
        for (t, y) in series.iter_mut().enumerate() {
            *y += 0.1 * t as f64;
        }
        let fit = fit(&series, TrendState::new(0.0, 0.0, 1e6));
        assert!(fit.converged && fit.log_likelihood.is_finite());
        assert!(fit.model.variances().trend < 1e-3, "{fit:?}");
        at_zero += usize::from(fit.model.variances().trend == 0.0);
    }
    assert!(at_zero >= 4, "only {at_zero} of 10 at the boundary");
}

#[test]
fn a_random_walk_is_not_taken_for_noise_about_a_line() {
    let series = simulate(variances(1.0, 0.0, 0.0), 2000, 5);
    let found = fit(&series, TrendState::new(0.0, 0.0, 1e6)).model.variances();
    assert!((found.level - 1.0).abs() < 0.15, "{found:?}");
    assert!(found.measurement < 0.05 && found.trend < 1e-3, "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn prop_no_neighbour_is_more_likely(
        level in -3.0..1.0_f64, trend in -5.0..0.0_f64, measurement in -2.0..1.0_f64, seed: u64,
    ) {
        let truth = variances(10_f64.powf(level), 10_f64.powf(trend), 10_f64.powf(measurement));
        let series = simulate(truth, 300, seed);
        let prior = TrendState::new(series[0], 0.0, 1e6);
        let fit = fit(&series, prior);
        let at = |v: TrendVariances| {
            LocalLinearTrend::new(v).unwrap().log_likelihood(prior, &series, 2).unwrap()
        };
        let best = fit.model.variances();
        prop_assert!((at(best) - fit.log_likelihood).abs() < 1e-9);
        prop_assert!(fit.log_likelihood >= at(truth) - 1e-9);
        let factors = [0.5_f64, 0.9, 1.1, 2.0];
        for i in 0..64 {
            let (a, b, c) = (factors[i % 4], factors[i / 4 % 4], factors[i / 16]);
            let near = variances(best.level * a, best.trend * b, best.measurement * c);
            prop_assert!(at(near) <= fit.log_likelihood + 1e-6, "{near:?} beats {fit:?}");
        }
    }

    #[test]
    fn prop_the_scale_of_the_series_is_the_scale_of_the_variances(
        seed: u64, power in -6_i32..6,
    ) {
        let factor = 4_f64.powi(power);
        let series = simulate(variances(1.0, 0.02, 2.0), 200, seed);
        let scaled: Vec<f64> = series.iter().map(|y| y * factor).collect();
        let prior = |f: f64| TrendState::new(0.0, 0.0, 1e6 * f * f);
        let (a, b) = (fit(&series, prior(1.0)), fit(&scaled, prior(factor)));
        // A density per unit: every term but the two burnt ones shifts by the logarithm.
        let shifted = a.log_likelihood - 198.0 * factor.ln();
        prop_assert!((shifted - b.log_likelihood).abs() < 1e-5, "{a:?} {b:?}");
    }
}

#[test]
fn a_search_from_earlier_variances_finds_the_same_maximum_sooner() {
    let truths = [
        variances(1.0, 0.0, 0.0),
        variances(1.0, 1e-6, 0.3),
        variances(1.0, 0.05, 3.0),
        variances(1e-4, 1e-3, 1.0),
    ];
    let prior = TrendState::new(0.0, 0.0, 1e6);
    let (mut warm_ones, mut cold_ones, mut lesser) = (0, 0, 0);
    for (truth, seed) in truths.into_iter().flat_map(|truth| (0..5).map(move |seed| (truth, seed)))
    {
        let series = simulate(truth, 1500, seed);
        let mut last = fit(&series[..1000], prior);
        for from in [100, 200, 300, 400, 500] {
            let window = &series[from..from + 1000];
            let prior = TrendState::new(window[0], 0.0, 1e6);
            let warm = MaximumLikelihood::default()
                .fit_trend_from(prior, window, last.model.variances())
                .unwrap();
            let cold = fit(window, prior);
            assert!(warm.converged, "{warm:?}");
            let behind = cold.log_likelihood - warm.log_likelihood;
            // Now and then the likelihood has a maximum beside the best one, as good as it.
            assert!(behind < 0.05, "{truth:?}, {seed}: {warm:?} behind {cold:?}");
            lesser += usize::from(behind > 1e-4);
            warm_ones += warm.evaluations;
            cold_ones += cold.evaluations;
            last = warm;
        }
    }
    assert!(lesser <= 2, "{lesser} of 100");
    assert!(10 * warm_ones < 7 * cold_ones, "{warm_ones} of {cold_ones}");
}

#[test]
fn a_start_that_the_series_has_left_behind_does_no_harm() {
    let search = MaximumLikelihood::default();
    let kinds = [variances(1.0, 0.0, 0.0), variances(1.0, 1.0, 0.01), variances(1e-4, 1e-5, 1.0)];
    let prior = TrendState::new(0.0, 0.0, 1e6);
    for (i, now) in kinds.into_iter().enumerate() {
        let series = simulate(now, 800, i as u64);
        let cold = fit(&series, prior);
        for before in kinds.into_iter().chain([variances(1e9, 0.0, 0.0), variances(0.0, 0.0, 1e-9)])
        {
            let warm = search.fit_trend_from(prior, &series, before).unwrap();
            let behind = cold.log_likelihood - warm.log_likelihood;
            assert!(behind < 1e-4, "{before:?}: {warm:?} behind {cold:?}");
        }
    }
    for bad in [variances(0.0, 0.0, 0.0), variances(-1.0, 0.0, 1.0), variances(1.0, f64::NAN, 0.0)]
    {
        assert!(search.fit_trend_from(prior, &[0.0; 50], bad).unwrap_err().is_invalid_input());
    }
}

#[test]
fn rows_that_are_missing_are_not_learnt_from() {
    let mut series = simulate(variances(1.0, 0.01, 1.0), 400, 8);
    let prior = TrendState::new(0.0, 0.0, 1e6);
    let whole = fit(&series, prior);
    series.extend([f64::NAN; 50]);
    let same = fit(&series, prior);
    assert_eq!(whole.model, same.model);
    series[100..200].fill(f64::NAN);
    let holed = fit(&series, prior);
    assert_ne!(whole.model, holed.model);
    assert!(holed.log_likelihood > whole.log_likelihood, "fewer terms");
}

#[test]
fn a_straight_line_is_fitted_without_a_panic() {
    let series: Vec<f64> = (0..100).map(|t| 3.0 + 0.25 * f64::from(t)).collect();
    let fit = fit(&series, TrendState::new(3.0, 0.0, 1e6));
    let filtered = fit.model.filter(TrendState::new(3.0, 0.0, 1e6), &series);
    let state = filtered.unwrap().last_state().unwrap();
    let ahead = fit.model.forecast(&state, 4);
    assert!((ahead.mean - (3.0 + 0.25 * 103.0)).abs() < 1e-6, "{ahead:?} {fit:?}");
}

#[test]
fn what_cannot_be_fitted_says_why() {
    let settings = MaximumLikelihood::default();
    let prior = TrendState::new(0.0, 0.0, 1e6);
    let short = settings.fit_trend(prior, &[1.0, 2.0, f64::NAN, 3.0]);
    assert!(short.unwrap_err().is_not_enough_data());
    let constant = settings.fit_trend(prior, &[2.5; 50]);
    assert!(matches!(constant, Err(Error::Numerical { .. })));
    let infinite = settings.fit_trend(prior, &[f64::INFINITY; 50]);
    assert!(matches!(infinite, Err(Error::NonFinite { row: 0, .. })));
    let lazy = MaximumLikelihood { max_evaluations: 3, ..settings };
    assert!(lazy.fit_trend(prior, &[1.0; 50]).unwrap_err().is_invalid_input());
    let huge: Vec<f64> = (0..50).map(|t| f64::from(t % 3) * 1e200).collect();
    assert!(settings.fit_trend(prior, &huge).is_err());
}

#[test]
fn a_budget_that_runs_out_is_reported() {
    let series = simulate(variances(1.0, 0.01, 1.0), 200, 8);
    let settings = MaximumLikelihood { max_evaluations: 50, ..Default::default() };
    let fit = settings.fit_trend(TrendState::new(0.0, 0.0, 1e6), &series).unwrap();
    assert!(!fit.converged && fit.evaluations <= 50, "{fit:?}");
    let (_, level) = LocalLevel::fit(&MaximumLikelihood::default(), 0.0, 1e6, &series).unwrap();
    assert!(level.converged && level.model.variances().trend == 0.0);
}
