//! The reference tables: an independent implementation in Python, equal to statsmodels 0.15 to
//! 2e-15. Level variance 1e-5, trend 1e-8, measurement 1e-6, first state [log close, 0], covariance I.

use forecastle_core::{Dataset, Fit, PredictExt, Rows};
use forecastle_kalman::{
    Gaussian, InitialVariance, KalmanParams, LOG_CLOSE, LocalLinearTrend, TrendState, TrendUpdate,
    TrendVariances, Variances,
};
use nalgebra::{Vector1, vector};
use ndarray::{Array1, Array2};

use crate::csv::{Csv, distance};

fn check(path: &str) {
    let Some(table) = Csv::open(path) else { return };
    let series: Vec<f64> = table.column("close").iter().map(|c| c.ln()).collect();
    let model = LocalLinearTrend::new(TrendVariances::default()).unwrap();
    let prior = TrendState::new(series[0], 0.0, 1.0);

    let filtered = model.filter(prior, &series).unwrap();
    let pick = |f: fn(&TrendState) -> f64| -> Vec<f64> {
        filtered.updates().iter().map(|u| f(&u.state)).collect()
    };
    assert!(distance(&pick(|s| s.level), &table.column("kf_level")) < 1e-12);
    assert!(distance(&pick(|s| s.velocity), &table.column("kf_trend")) < 1e-11);
    let next: Vec<f64> =
        filtered.updates().iter().map(|u| model.forecast(&u.state, 1).mean).collect();
    assert!(distance(&next, &table.column("kf_next")) < 1e-11);
    let terms: Vec<f64> = filtered.updates().iter().map(TrendUpdate::log_likelihood).collect();
    assert!(distance(&terms, &table.column("kf_loglik")) < 1e-9);

    let smoothed = model.smooth(prior, &series).unwrap();
    let level: Vec<f64> = smoothed.iter().map(|s| s.level).collect();
    let trend: Vec<f64> = smoothed.iter().map(|s| s.velocity).collect();
    assert!(distance(&level, &table.column("ks_level")) < 1e-12);
    assert!(distance(&trend, &table.column("ks_trend")) < 1e-11);

    let general = model.state_space();
    let observations: Vec<Vector1<f64>> = series.iter().map(|&y| vector![y]).collect();
    let steps = general.filter(Gaussian::from(prior), &observations).unwrap();
    let level: Vec<f64> = steps.steps().iter().map(|s| s.filtered.mean[0]).collect();
    let trend: Vec<f64> = steps.steps().iter().map(|s| s.filtered.mean[1]).collect();
    let terms: Vec<f64> = steps.steps().iter().map(|s| s.log_likelihood).collect();
    assert!(distance(&level, &table.column("kf_level")) < 1e-12);
    assert!(distance(&trend, &table.column("kf_trend")) < 1e-11);
    assert!(distance(&terms, &table.column("kf_loglik")) < 1e-9);
    let smoothed = general.smooth(&steps).unwrap();
    let level: Vec<f64> = smoothed.iter().map(|s| s.mean[0]).collect();
    let trend: Vec<f64> = smoothed.iter().map(|s| s.mean[1]).collect();
    assert!(distance(&level, &table.column("ks_level")) < 1e-12);
    assert!(distance(&trend, &table.column("ks_trend")) < 1e-11);

    let params = KalmanParams {
        variances: Variances::Fixed(TrendVariances::default()),
        initial: InitialVariance::Fixed { level: 1.0, velocity: 1.0 },
        ..Default::default()
    };
    let n = series.len();
    let records = Array2::from_shape_vec((n, 1), series.clone()).unwrap();
    let (names, targets) = ([LOG_CLOSE.to_owned()], Array1::zeros(n));
    let rows = Rows::from(0..n / 2);
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
    let forecast = params.fit(dataset).unwrap().predict(&records).unwrap();
    let wanted = table.column("kf_next");
    let wanted: Vec<f64> = wanted.iter().zip(&series).map(|(f, y)| f - y).collect();
    assert!(distance(&forecast.to_vec(), &wanted) < 1e-11);
}

#[test]
fn forty_hand_made_candles_equal_the_reference() {
    check("../../tests/data/tiny40.csv.gz");
}

#[test]
fn three_thousand_hours_of_bitcoin_equal_the_reference() {
    check("../../../shared/golden/binance_BTCUSDT_1h_last3000.csv.gz");
}
