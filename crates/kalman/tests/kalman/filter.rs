//! The general filter, the written-out one, and what holds for both.

use forecastle_core::Error;
use forecastle_kalman::{
    DynamicStateSpace, FixedStateSpace, Gaussian, KalmanFilter, LocalLevel, LocalLinearTrend,
    TrendState, TrendVariances,
};
use nalgebra::{DMatrix, DVector, Vector1, matrix, vector};
use proptest::prelude::*;

use crate::csv::distance;

fn trend(level: f64, trend: f64, measurement: f64) -> LocalLinearTrend {
    LocalLinearTrend::new(TrendVariances { level, trend, measurement }).unwrap()
}

fn vectors(series: &[f64]) -> Vec<Vector1<f64>> {
    series.iter().map(|&y| vector![y]).collect()
}

fn flat(states: impl Iterator<Item = TrendState>) -> Vec<f64> {
    states
        .flat_map(|s| [s.level, s.velocity, s.level_variance, s.covariance, s.velocity_variance])
        .collect()
}

fn flat_general<'a>(states: impl Iterator<Item = &'a Gaussian<nalgebra::Const<2>>>) -> Vec<f64> {
    states
        .flat_map(|s| {
            let c = &s.covariance;
            [s.mean[0], s.mean[1], c[(0, 0)], c[(0, 1)], c[(1, 1)]]
        })
        .collect()
}

/// Variances of which at least one is clearly positive, a zero now and then.
fn variances() -> impl Strategy<Value = TrendVariances> {
    let variance =
        || prop_oneof![1 => Just(0.0), 6 => (-9.0..0.0_f64).prop_map(|e| 10_f64.powf(e))];
    (variance(), variance(), -9.0..0.0_f64).prop_map(|(level, trend, e)| TrendVariances {
        level,
        trend,
        measurement: 10_f64.powf(e),
    })
}

/// A series around 0 with missing rows.
fn series() -> impl Strategy<Value = Vec<f64>> {
    let row = prop_oneof![1 => Just(f64::NAN), 5 => -1.0..1.0_f64];
    prop::collection::vec(row, 2..80)
}

proptest! {
    #[test]
    fn prop_the_written_out_filter_equals_the_general_one(v in variances(), y in series()) {
        let model = LocalLinearTrend::new(v).unwrap();
        let prior = TrendState { velocity: 0.01, covariance: 0.3, ..TrendState::new(0.2, 0.0, 1.0) };
        let ours = model.filter(prior, &y).unwrap();
        let general = model.state_space();
        let theirs = general.filter(Gaussian::from(prior), &vectors(&y)).unwrap();
        let a = flat(ours.updates().iter().map(|u| u.state));
        let b = flat_general(theirs.steps().iter().map(|s| &s.filtered));
        // Both round the gain, and a prior far wider than the noise magnifies that.
        let tolerance = f64::max(1e-12, 8.0 * f64::EPSILON / v.measurement);
        prop_assert!(distance(&a, &b) < tolerance, "filtered {:e}", distance(&a, &b));
        // A term is v²/F, of any size; the states are what must agree to the digit.
        for (mine, other) in ours.updates().iter().zip(theirs.steps()) {
            let (a, b) = (mine.log_likelihood(), other.log_likelihood);
            let bound = 1e3 * tolerance * (1.0 + b.abs());
            prop_assert!((a - b).abs() <= bound, "term {a} {b}");
        }
        let now = ours.updates()[y.len() - 1].state;
        let ahead = general.forecast(&theirs.steps()[y.len() - 1].filtered, 7).unwrap();
        for (h, wanted) in (1..).zip(&ahead) {
            let got = model.forecast(&now, h);
            prop_assert!((got.mean - wanted.mean[0]).abs() < 1e2 * tolerance);
            prop_assert!((got.variance - wanted.covariance[(0, 0)]).abs() < 1e2 * tolerance);
        }
    }

    #[test]
    fn prop_both_smoothers_agree_and_know_more_than_the_filter(v in variances(), y in series()) {
        let model = LocalLinearTrend::new(v).unwrap();
        let prior = TrendState::new(0.0, 0.0, 1.0);
        let ours = model.smooth(prior, &y).unwrap();
        let general = model.state_space();
        let steps = general.filter(Gaussian::from(prior), &vectors(&y)).unwrap();
        let theirs = general.smooth(&steps).unwrap();
        let a = flat(ours.iter().copied());
        let b = flat_general(theirs.iter());
        let tolerance = f64::max(1e-11, 16.0 * f64::EPSILON / v.measurement);
        prop_assert!(distance(&a, &b) < tolerance, "{:e}", distance(&a, &b));
        for (smoothed, step) in ours.iter().zip(steps.steps()) {
            let before = step.filtered.covariance;
            prop_assert!(smoothed.level_variance <= before[(0, 0)] * (1.0 + 1e-9) + 1e-15);
            prop_assert!(smoothed.velocity_variance <= before[(1, 1)] * (1.0 + 1e-9) + 1e-15);
        }
    }

    #[test]
    fn prop_the_filter_is_causal_and_the_stream_gives_the_same_bits(
        v in variances(), y in series(), cut in 0.0..1.0_f64,
    ) {
        let model = LocalLinearTrend::new(v).unwrap();
        let prior = TrendState::new(0.0, 0.0, 1.0);
        let bits = |states: Vec<f64>| states.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        let whole = model.filter(prior, &y).unwrap();
        let whole = flat(whole.updates().iter().map(|u| u.state));
        let k = (cut * y.len() as f64) as usize;
        let part = model.filter(prior, &y[..k]).unwrap();
        let part = flat(part.updates().iter().map(|u| u.state));
        prop_assert_eq!(bits(part), bits(whole[..5 * k].to_vec()));
        let mut stream = model.stream(prior).unwrap();
        let streamed = flat(y.iter().map(|&y| stream.update(y).state));
        prop_assert_eq!(bits(streamed), bits(whole));
    }

    #[test]
    fn prop_missing_rows_only_propagate(v in variances(), y in series(), gap in 1_usize..20) {
        let model = LocalLinearTrend::new(v).unwrap();
        let prior = TrendState::new(0.0, 0.0, 1.0);
        let mut holed = y.clone();
        holed.extend(vec![f64::NAN; gap]);
        let filtered = model.filter(prior, &holed).unwrap();
        let now = filtered.updates()[y.len() - 1].state;
        let then = filtered.updates()[holed.len() - 1].state;
        let forecast = model.forecast(&now, gap);
        prop_assert!((then.level - forecast.mean).abs() < 1e-11);
        prop_assert!((then.level_variance + v.measurement - forecast.variance).abs() < 1e-11);
        prop_assert_eq!(then.velocity, now.velocity);
        let value = filtered.log_likelihood(0);
        let known = model.filter(prior, &y).unwrap().log_likelihood(0);
        prop_assert_eq!(value.to_bits(), known.to_bits());
    }

    #[test]
    fn prop_forecast_variance_never_shrinks_with_the_horizon(v in variances(), y in series()) {
        let model = LocalLinearTrend::new(v).unwrap();
        let filtered = model.filter(TrendState::new(0.0, 0.0, 1.0), &y).unwrap();
        let state = filtered.last_state().unwrap();
        let spread = |h| model.forecast(&state, h).variance;
        let first = spread(1);
        prop_assert!((first - state.level_variance - v.measurement - v.level
            - 2.0 * state.covariance - state.velocity_variance).abs() <= 1e-12 * first);
        // Level and velocity are never anticorrelated after an update of this model's own.
        prop_assert!((1..30).all(|h| spread(h + 1) >= spread(h) * (1.0 - 1e-12)));
    }

    #[test]
    fn prop_dynamic_and_fixed_sizes_give_the_same_numbers(v in variances(), y in series()) {
        let model = LocalLinearTrend::new(v).unwrap().state_space();
        let dynamic = DynamicStateSpace::new(
            DMatrix::from_column_slice(2, 2, model.transition().as_slice()),
            DMatrix::from_column_slice(1, 2, model.observation().as_slice()),
            DMatrix::from_column_slice(2, 2, model.process_noise().as_slice()),
            DMatrix::from_column_slice(1, 1, model.measurement_noise().as_slice()),
        ).unwrap();
        let prior = Gaussian::new(DVector::zeros(2), DMatrix::identity(2, 2)).unwrap();
        let rows: Vec<DVector<f64>> = y.iter().map(|&y| DVector::from_element(1, y)).collect();
        let theirs = dynamic.filter(prior, &rows).unwrap();
        let smoothed = dynamic.smooth(&theirs).unwrap();
        let prior = Gaussian::new(vector![0.0, 0.0], matrix![1.0, 0.0; 0.0, 1.0]).unwrap();
        let ours = model.filter(prior, &vectors(&y)).unwrap();
        for (a, b) in ours.steps().iter().zip(theirs.steps()) {
            prop_assert!(distance(a.filtered.mean.as_slice(), b.filtered.mean.as_slice()) < 1e-13);
            prop_assert!(distance(
                a.filtered.covariance.as_slice(), b.filtered.covariance.as_slice()) < 1e-13);
        }
        for (a, b) in model.smooth(&ours).unwrap().iter().zip(&smoothed) {
            prop_assert!(distance(a.mean.as_slice(), b.mean.as_slice()) < 1e-8);
        }
    }
}

#[test]
fn joseph_form_stays_symmetric_and_positive_over_a_million_steps() {
    for v in [
        (1e-5, 1e-8, 1e-6),
        (1e-9, 1e-14, 1e-6),
        (0.0, 1e-8, 1e-2),
        (1e-5, 0.0, 1e-6),
        (1e-5, 1e-8, 0.0),
    ] {
        let model = trend(v.0, v.1, v.2);
        let prior = TrendState::new(0.0, 0.0, 1e6);
        let mut stream = model.stream(prior).unwrap();
        let mut filter = KalmanFilter::new(model.state_space(), Gaussian::from(prior)).unwrap();
        for t in 0..1_000_000_u32 {
            // A chaotic series of ±1, with a hole now and then.
            let hash = t.wrapping_mul(2_654_435_761) ^ (t >> 3);
            let y = f64::from(hash % 2001) / 1000.0 - 1.0;
            let y = if hash.is_multiple_of(97) { f64::NAN } else { y };
            let s = stream.update(y).state;
            let determinant = s.level_variance * s.velocity_variance - s.covariance * s.covariance;
            let rounding = 1e-12 * s.level_variance * s.velocity_variance;
            assert!(s.level_variance >= 0.0 && s.velocity_variance >= 0.0, "{t} {s:?}");
            assert!(determinant >= -rounding, "{t} {s:?}");
            assert!(s.level.abs() < 20.0, "{t} {s:?}");
            if t < 100_000 {
                let c = filter.step(&vector![y]).unwrap().filtered.covariance;
                assert_eq!(c[(0, 1)].to_bits(), c[(1, 0)].to_bits());
                assert!(c[(0, 0)] >= 0.0 && c[(1, 1)] >= 0.0, "{t} {c}");
                assert!(c.determinant() >= -1e-12 * c[(0, 0)] * c[(1, 1)], "{t} {c}");
            }
        }
    }
}

#[test]
fn the_steady_state_solves_the_riccati_equation() {
    let model = trend(0.3, 0.02, 1.5);
    let mut stream = model.stream(TrendState::new(0.0, 0.0, 1.0)).unwrap();
    (0..2000).for_each(|t| {
        stream.update(f64::from(t % 5));
    });
    let p = stream.predicted();
    let f = p.level_variance + 1.5;
    let c = matrix![p.level_variance, p.covariance; p.covariance, p.velocity_variance];
    let ph = vector![p.level_variance, p.covariance];
    let transition = matrix![1.0, 1.0; 0.0, 1.0];
    let noise = matrix![0.3, 0.0; 0.0, 0.02];
    let next = transition * (c - ph * ph.transpose() / f) * transition.transpose() + noise;
    assert!((next - c).norm() < 1e-14, "{}", next - c);
}

#[test]
fn a_level_is_a_trend_without_velocity() {
    let y = [1.0, 1.3, f64::NAN, 0.7, 0.9];
    let model = LocalLevel::new(0.2, 0.7).unwrap();
    let ours = model.filter(0.5, 10.0, &y).unwrap();
    let general = model.state_space();
    let prior = Gaussian::new(vector![0.5], matrix![10.0]).unwrap();
    let theirs = general.filter(prior, &vectors(&y)).unwrap();
    for (a, b) in ours.updates().iter().zip(theirs.steps()) {
        assert!((a.state.level - b.filtered.mean[0]).abs() < 1e-14);
        assert!((a.state.level_variance - b.filtered.covariance[(0, 0)]).abs() < 1e-14);
        assert!((a.log_likelihood() - b.log_likelihood).abs() < 1e-14);
    }
    let smoothed = model.smooth(0.5, 10.0, &y).unwrap();
    for (a, b) in smoothed.iter().zip(general.smooth(&theirs).unwrap()) {
        assert!((a.level - b.mean[0]).abs() < 1e-14);
        assert!((a.level_variance - b.covariance[(0, 0)]).abs() < 1e-14);
    }
    let now = ours.last_state().unwrap();
    let wanted = now.level_variance + 3.0 * 0.2 + 0.7;
    assert!((model.forecast(&now, 3).variance - wanted).abs() < 1e-14);
}

#[test]
fn a_missing_component_counts_as_an_instrument_that_is_not_there() {
    let transition = matrix![1.0, 1.0; 0.0, 0.9];
    let process = matrix![0.1, 0.02; 0.02, 0.05];
    let both = FixedStateSpace::<2, 2>::new(
        transition,
        matrix![1.0, 0.0; 0.5, 1.0],
        process,
        matrix![0.5, 0.2; 0.2, 0.8],
    )
    .unwrap();
    let second = FixedStateSpace::<2, 1>::new(transition, matrix![0.5, 1.0], process, matrix![0.8]);
    let prior = || Gaussian::new(vector![0.3, -0.1], matrix![2.0, 0.5; 0.5, 1.0]).unwrap();
    let a = both.filter(prior(), &[vector![f64::NAN, 1.7], vector![f64::NAN, 0.4]]);
    let b = second.unwrap().filter(prior(), &[vector![1.7], vector![0.4]]);
    let (a, b) = (a.unwrap(), b.unwrap());
    for (a, b) in a.steps().iter().zip(b.steps()) {
        assert!((a.filtered.mean - b.filtered.mean).norm() < 1e-14);
        assert!((a.filtered.covariance - b.filtered.covariance).norm() < 1e-14);
        assert_eq!(a.n_observed, 1);
    }
    assert!((a.log_likelihood(0) - b.log_likelihood(0)).abs() < 1e-14);
}

#[test]
fn smoothing_equals_conditioning_the_joint_distribution() {
    // Four rows of a local level, as one normal vector: E[x | y] by plain linear algebra.
    let (level, noise, p0) = (0.3, 0.5, 2.0);
    let y = [0.4, -0.2, 0.9, 1.1];
    let covariance = DMatrix::from_fn(4, 4, |i, j| p0 + level * i.min(j) as f64);
    let total = &covariance + DMatrix::identity(4, 4) * noise;
    let inverse = total.clone().try_inverse().unwrap();
    let observed = DVector::from_row_slice(&y);
    let mean = &covariance * &inverse * &observed;
    let left = &covariance - &covariance * &inverse * &covariance;
    let model = LocalLevel::new(level, noise).unwrap();
    let smoothed = model.smooth(0.0, p0, &y).unwrap();
    for (t, state) in smoothed.iter().enumerate() {
        assert!((state.level - mean[t]).abs() < 1e-14);
        assert!((state.level_variance - left[(t, t)]).abs() < 1e-14);
    }
    let quadratic = observed.dot(&(&inverse * &observed));
    let value = -0.5 * (4.0 * std::f64::consts::TAU.ln() + total.determinant().ln() + quadratic);
    assert!((model.log_likelihood(0.0, p0, &y, 0).unwrap() - value).abs() < 1e-13);
}

#[test]
fn states_that_are_known_exactly_can_be_smoothed() {
    // The second state is a constant 1 without uncertainty, the third follows the first exactly.
    let model = FixedStateSpace::<3, 1>::new(
        matrix![1.0, 0.1, 0.0; 0.0, 1.0, 0.0; 1.0, 0.0, 0.0],
        matrix![1.0, 0.0, 0.0],
        matrix![0.2, 0.0, 0.0; 0.0, 0.0, 0.0; 0.0, 0.0, 0.0],
        matrix![0.4],
    )
    .unwrap();
    let prior = matrix![1.0, 0.0, 0.0; 0.0, 0.0, 0.0; 0.0, 0.0, 0.0];
    let prior = Gaussian::new(vector![0.0, 1.0, 0.0], prior).unwrap();
    let y = [vector![0.3], vector![0.1], vector![0.8], vector![0.9]];
    let smoothed = model.smooth(&model.filter(prior, &y).unwrap()).unwrap();
    for pair in smoothed.windows(2) {
        assert_eq!(pair[0].mean[1], 1.0);
        assert!((pair[1].mean[2] - pair[0].mean[0]).abs() < 1e-13);
        let (now, lagged) = (pair[0].covariance[(0, 0)], pair[1].covariance[(2, 2)]);
        assert!((now - lagged).abs() < 1e-13);
    }
}

#[test]
fn what_is_no_model_is_refused() {
    let one = matrix![1.0];
    let bad = |q: f64, r: f64| FixedStateSpace::<1, 1>::new(one, one, matrix![q], matrix![r]);
    assert!(bad(1.0, 1.0).is_ok());
    for (q, r) in [(-1.0, 1.0), (1.0, -1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
        assert!(matches!(bad(q, r), Err(Error::InvalidParameter { .. })));
    }
    let skew = matrix![1.0, 0.5; 0.2, 1.0];
    assert!(Gaussian::new(vector![0.0, 0.0], skew).is_err());
    let shape = DynamicStateSpace::new(
        DMatrix::identity(2, 2),
        DMatrix::identity(1, 3),
        DMatrix::identity(2, 2),
        DMatrix::identity(1, 1),
    );
    assert!(matches!(shape, Err(Error::Shape { .. })));
    let none = DynamicStateSpace::new(
        DMatrix::zeros(0, 0),
        DMatrix::zeros(1, 0),
        DMatrix::zeros(0, 0),
        DMatrix::identity(1, 1),
    );
    assert!(matches!(none, Err(Error::Shape { .. })));
    let new = |level, trend, measurement| {
        LocalLinearTrend::new(TrendVariances { level, trend, measurement })
    };
    let error = new(-1.0, 0.0, 1.0).unwrap_err().to_string();
    assert_eq!(error, "parameter `level` must be finite and >= 0, got -1");
    assert!(new(0.0, 0.0, 0.0).is_err());
    assert!(new(0.0, f64::NAN, 1.0).is_err());
    assert!(new(f64::MAX, f64::MAX, 1.0).is_err());
}

#[test]
fn what_cannot_be_filtered_is_refused() {
    let model = trend(0.1, 0.1, 0.0);
    let known = TrendState::new(0.0, 0.0, 0.0);
    assert!(model.stream(known).is_err(), "no innovation variance");
    let general = model.state_space();
    let mut filter = KalmanFilter::new(general, Gaussian::from(known)).unwrap();
    let error = filter.step(&vector![1.0]).unwrap_err();
    assert!(matches!(error, Error::Numerical { .. }), "{error}");
    let prior = TrendState::new(0.0, 0.0, 1.0);
    let error = model.filter(prior, &[1.0, f64::INFINITY]).unwrap_err();
    assert!(matches!(error, Error::NonFinite { row: 1, .. }), "{error}");
    let mut filter = KalmanFilter::new(model.state_space(), Gaussian::from(prior)).unwrap();
    assert!(filter.step(&vector![f64::INFINITY]).is_err());
    assert!(filter.step(&vector![1.0]).is_ok(), "a refused row changes nothing");
    for wrong in [
        TrendState::new(f64::NAN, 0.0, 1.0),
        TrendState::new(0.0, 0.0, -1.0),
        TrendState { covariance: 1.5, ..prior },
    ] {
        assert!(model.stream(wrong).is_err());
    }
}
