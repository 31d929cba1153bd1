//! Figures published by others, or computed by statsmodels 0.15.0; `tests/data/README.md` says how.

use forecastle_kalman::{
    Gaussian, LocalLevel, LocalLinearTrend, MaximumLikelihood, TrendState, TrendUpdate,
    TrendVariances,
};
use nalgebra::{Vector1, vector};

use crate::csv::{Csv, distance};

/// Maximum-likelihood estimates of statsmodels on `unemp`.
const UNEMP: TrendVariances =
    TrendVariances { level: 1.008704925e-02, trend: 6.091760810e-02, measurement: 1.339852549e-06 };

fn unemp() -> Vec<f64> {
    Csv::open("tests/data/macrodata_unemp.csv").unwrap().column("unemp")
}

fn nile() -> Vec<f64> {
    Csv::open("tests/data/nile.csv").unwrap().column("volume")
}

/// Picks a number from a state.
type Pick = fn(&TrendState) -> f64;

fn vectors(series: &[f64]) -> Vec<Vector1<f64>> {
    series.iter().map(|&y| vector![y]).collect()
}

#[test]
fn the_trend_of_unemployment_has_the_known_likelihood() {
    let series = unemp();
    assert_eq!(series.len(), 203);
    let model = LocalLinearTrend::new(UNEMP).unwrap();
    let prior = TrendState::new(0.0, 0.0, 1e6);
    let wanted = -31.15640107;
    let scalar = model.log_likelihood(prior, &series, 2).unwrap();
    assert!((scalar - wanted).abs() < 2e-7, "{scalar}");
    // The same filter in 60 decimal digits (mpmath); the published figure is the diffuse limit.
    assert!((scalar - -31.156400994064).abs() < 1e-10, "{scalar}");
    let diffuse = TrendState::new(0.0, 0.0, 1e9);
    let limit = model.log_likelihood(diffuse, &series, 2).unwrap();
    assert!((limit - wanted).abs() < 5e-9, "{limit}");
    let stored = model.filter(prior, &series).unwrap().log_likelihood(2);
    assert!((stored - scalar).abs() < 1e-11, "{stored}");
    let general = model.state_space();
    let general = general.filter(Gaussian::from(prior), &vectors(&series));
    let general = general.unwrap().log_likelihood(2);
    assert!((general - wanted).abs() < 2e-7, "{general}");
}

#[test]
fn maximum_likelihood_on_unemployment_reaches_the_known_maximum() {
    let fit =
        MaximumLikelihood::default().fit_trend(TrendState::new(0.0, 0.0, 1e6), &unemp()).unwrap();
    assert!(fit.converged, "{fit:?}");
    assert!(fit.log_likelihood >= -31.15640107, "{fit:?}");
    assert!(fit.log_likelihood < -31.15, "{fit:?}");
    let found = fit.model.variances();
    assert!((found.level / UNEMP.level - 1.0).abs() < 0.01, "{fit:?}");
    assert!((found.trend / UNEMP.trend - 1.0).abs() < 0.01, "{fit:?}");
    assert!(found.measurement < 1e-5, "{fit:?}");
}

#[test]
fn the_level_of_the_nile_has_the_known_likelihood_and_steady_state() {
    let series = nile();
    assert_eq!(series.len(), 100);
    let model = LocalLevel::new(1469.1, 15099.0).unwrap();
    let value = model.log_likelihood(0.0, 1e6, &series, 1).unwrap();
    assert!((value - -632.5377).abs() < 5e-5, "{value}");
    let general = model.state_space();
    let prior = Gaussian::new(vector![0.0], nalgebra::matrix![1e6]).unwrap();
    let general = general.filter(prior, &vectors(&series)).unwrap();
    assert!((general.log_likelihood(1) - value).abs() < 1e-9);
    let last = model.filter(0.0, 1e6, &series).unwrap().last_state().unwrap();
    assert!((last.level_variance - 4032.158).abs() < 5e-4, "{last:?}");
    assert_eq!((last.velocity, last.velocity_variance), (0.0, 0.0));
}

#[test]
fn maximum_likelihood_on_the_nile_finds_the_known_variances() {
    let settings = MaximumLikelihood { burn: 1, ..Default::default() };
    let (model, fit) = LocalLevel::fit(&settings, 0.0, 1e6, &nile()).unwrap();
    assert!(fit.converged);
    assert!(fit.log_likelihood >= -632.53770, "{fit:?}");
    let found = model.variances();
    assert!((found.measurement / 15099.0 - 1.0).abs() < 0.005, "{fit:?}");
    assert!((found.level / 1469.1 - 1.0).abs() < 0.005, "{fit:?}");
}

#[test]
fn a_series_with_holes_equals_statsmodels() {
    let table = Csv::open("tests/data/statsmodels_missing.csv").unwrap();
    let series = table.column("observation");
    assert_eq!(series.iter().filter(|y| y.is_nan()).count(), 8);
    let model =
        LocalLinearTrend::new(TrendVariances { level: 0.01, trend: 0.005, measurement: 0.02 })
            .unwrap();
    let prior = TrendState::new(5.8, 0.0, 1.0);
    let filtered = model.filter(prior, &series).unwrap();
    let states: Vec<TrendState> = filtered.updates().iter().map(|u| u.state).collect();
    let smoothed = model.smooth(prior, &series).unwrap();
    let columns: [(&str, Pick); 4] = [
        ("level", |s| s.level),
        ("trend", |s| s.velocity),
        ("level_variance", |s| s.level_variance),
        ("trend_variance", |s| s.velocity_variance),
    ];
    for (name, pick) in columns {
        for (kind, states) in [("filtered", &states), ("smoothed", &smoothed)] {
            let wanted = table.column(&format!("{kind}_{name}"));
            let got: Vec<f64> = states.iter().map(pick).collect();
            let off = distance(&got, &wanted);
            assert!(off < 1e-12, "{kind} {name} is off by {off:e}");
        }
    }
    let terms: Vec<f64> = filtered.updates().iter().map(TrendUpdate::log_likelihood).collect();
    assert!(distance(&terms, &table.column("log_likelihood")) < 1e-12);
    assert!((filtered.log_likelihood(0) - -124.4199556975457).abs() < 1e-10);

    let last = filtered.last_state().unwrap();
    let forecasts = [1, 5, 10].map(|h| model.forecast(&last, h));
    let mean = [10.893809512987525, 14.622872140707516, 19.28420042535751];
    let variance = [0.1328586193717853, 0.9026216408708644, 3.7628444992470578];
    assert!(distance(&forecasts.map(|f| f.mean), &mean) < 1e-12);
    assert!(distance(&forecasts.map(|f| f.variance), &variance) < 1e-12);
}
