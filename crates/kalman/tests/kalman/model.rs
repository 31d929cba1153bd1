//! The forecaster of log returns.

use forecastle_core::conformance::ModelSuite;
use forecastle_core::{
    Artifact, Dataset, Error, FeatureTable, Fit, Load, Lookback, Predict, PredictExt, Progress,
    ProgressEvent, PurgedKFold, Result, Rows, Timestamp,
};
use forecastle_kalman::{
    FallbackReason, InitialVariance, Kalman, KalmanParams, LOG_CLOSE, LocalLinearTrend,
    TrendVariances, Variances,
};
use ndarray::{Array1, Array2};
use proptest::prelude::*;

use crate::csv::Csv;

/// A small generator, so that the tests need no other.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About standard normal: twelve uniforms, centred.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

fn walk(seed: u64, n: usize) -> Vec<f64> {
    let mut random = Random(seed);
    let mut level = 4.0;
    let step = |_| {
        level += 0.01 * random.normal();
        level + 0.003 * random.normal()
    };
    (0..n).map(step).collect()
}

fn column(series: &[f64]) -> Array2<f64> {
    Array2::from_shape_vec((series.len(), 1), series.to_vec()).unwrap()
}

fn fit_rows(params: &KalmanParams, series: &[f64], rows: &Rows, horizon: usize) -> Result<Kalman> {
    let (names, targets) = ([LOG_CLOSE.to_owned()], Array1::zeros(series.len()));
    params.fit(Dataset::new(&names, &column(series), &targets, rows, horizon)?)
}

fn fit(series: &[f64], rows: &Rows, horizon: usize) -> Kalman {
    fit_rows(&KalmanParams::default(), series, rows, horizon).unwrap()
}

fn load(artifact: &Artifact) -> Result<Box<dyn Predict>> {
    Ok(Box::new(Kalman::load(artifact)?))
}

#[test]
fn the_model_conforms() {
    let series = walk(7, 400);
    let targets = Array1::from_iter((0..400).map(|t| series[(t + 1).min(399)] - series[t]));
    let times: Vec<_> = (0..400).map(|t| Timestamp::from_millis(t * 60_000)).collect();
    let table = FeatureTable::new(&[LOG_CLOSE.to_owned()], &times, column(&series)).unwrap();
    let fixed = KalmanParams {
        variances: Variances::Fixed(TrendVariances::default()),
        ..Default::default()
    };
    for params in [KalmanParams::default(), fixed] {
        let suite = ModelSuite::new((table.clone(), targets.clone())).accepts_missing();
        suite.check(&params, load).unwrap();
    }
}

#[test]
fn the_forecast_is_filtered_level_and_velocity_less_the_close() {
    let series = walk(1, 300);
    for horizon in [1, 5, 12] {
        let model = fit(&series, &Rows::from(0..200), horizon);
        assert_eq!((model.horizon(), model.lookback()), (horizon, Lookback::Unbounded));
        let filtered = model.model().filter(model.prior(series[0]), &series).unwrap();
        let forecast = model.predict(&column(&series)).unwrap();
        let mut stream = model.stream();
        for (t, update) in filtered.updates().iter().enumerate() {
            let wanted = model.model().forecast(&update.state, horizon).mean - series[t];
            assert!((forecast[t] - wanted).abs() < 1e-14);
            assert_eq!(stream.update(series[t]).to_bits(), forecast[t].to_bits());
            assert_eq!(stream.state(), Some(update.state));
            let ahead = stream.forecast(horizon).unwrap();
            assert!((ahead.mean - series[t] - forecast[t]).abs() < 1e-14);
        }
    }
}

#[test]
fn nothing_outside_the_selected_rows_is_learnt_from() {
    let series = walk(2, 500);
    let rows = Rows::new([50..150, 200..400]).unwrap();
    let model = fit(&series, &rows, 3);
    let mut other = series.clone();
    for (t, y) in other.iter_mut().enumerate() {
        if !rows.iter().any(|row| row == t) {
            *y = 900.0 + t as f64;
        }
    }
    assert_eq!(fit(&other, &rows, 3).report(), model.report());
    assert_eq!(model.report().n_observed, 300);
    let holed: Vec<f64> =
        (50..400).map(|t| if (150..200).contains(&t) { f64::NAN } else { series[t] }).collect();
    assert_eq!(fit(&holed, &Rows::from(0..350), 3).report(), model.report());
    assert_ne!(fit(&series, &Rows::from(50..400), 3).report(), model.report());
}

#[test]
fn every_purged_fold_is_fitted() {
    let series = walk(3, 600);
    let splits = PurgedKFold { horizon: 5, ..Default::default() };
    for split in splits.split(0..600).unwrap() {
        let report = fit(&series, &split.train, 5).report().clone();
        assert!(report.converged && report.fallback.is_none(), "{report:?}");
        assert!((0.5e-4..2e-4).contains(&report.variances.level), "{report:?}");
    }
}

#[test]
fn old_rows_can_be_left_out() {
    let series = walk(4, 500);
    let params = KalmanParams { max_training_rows: Some(100), ..Default::default() };
    let model = fit_rows(&params, &series, &Rows::from(0..400), 1).unwrap();
    assert_eq!(model.report(), fit(&series, &Rows::from(300..400), 1).report());
}

#[test]
fn a_constant_price_is_forecast_to_stay() {
    let series = vec![9.21; 300];
    let model = fit(&series, &Rows::from(0..200), 5);
    assert_eq!(model.report().fallback, Some(FallbackReason::Constant));
    assert_eq!(model.report().variances, TrendVariances::default());
    assert!(model.report().log_likelihood.is_finite());
    assert!(model.predict(&column(&series)).unwrap().iter().all(|&y| y == 0.0));
    // The price may move afterwards.
    let moving = model.predict(&column(&walk(5, 300))).unwrap();
    assert!(moving.iter().all(|y| y.abs() < 0.1));
}

#[test]
fn a_short_series_falls_back_and_says_so() {
    for n in [1, 2, 3, 29] {
        let series = walk(6, 60);
        let model = fit(&series, &Rows::from(0..n), 5);
        let wanted = FallbackReason::TooShort { needed: 30, observed: n };
        assert_eq!(model.report().fallback, Some(wanted));
        assert!(!model.report().converged);
        let forecast = model.predict(&column(&series)).unwrap();
        assert!(forecast.iter().all(|y| y.abs() < 0.2), "{n}: {forecast}");
    }
    assert!(fit(&walk(6, 60), &Rows::from(0..30), 5).report().fallback.is_none());
    let missing = fit(&[f64::NAN; 40], &Rows::from(0..40), 5);
    assert_eq!(missing.report().n_observed, 0);
    assert!(missing.predict(&column(&[f64::NAN, 1.0, 1.0])).unwrap().iter().all(|&y| y == 0.0));
}

#[test]
fn a_likelihood_that_overflows_falls_back() {
    let series: Vec<f64> = (0..60).map(|t| f64::from(t % 7) * 1e160).collect();
    let model = fit(&series, &Rows::from(0..60), 1);
    let reason = model.report().fallback.unwrap();
    assert_eq!(reason, FallbackReason::NonFiniteLikelihood);
    assert_eq!(reason.to_string(), "no variances give a finite likelihood");
}

#[test]
fn forecasts_stay_within_what_the_price_does() {
    // The first rows must not extrapolate single returns, and a wick must not launch a trend.
    for seed in 0..20 {
        let mut series = walk(100 + seed, 1000);
        series[800] += 0.9;
        let model = fit(&series, &Rows::from(0..700), 12);
        let forecast = model.predict(&column(&series)).unwrap();
        assert!(forecast.iter().take(800).all(|y| y.abs() < 0.08), "seed {seed}");
        assert!(forecast.iter().skip(801).all(|y| y.abs() < 0.5), "seed {seed}");
    }
}

#[test]
fn a_missing_row_is_forecast_from_the_level_expected_there() {
    let mut series = walk(8, 200);
    series[150] = f64::NAN;
    let model = fit(&series, &Rows::from(0..180), 4);
    let forecast = model.predict(&column(&series)).unwrap();
    let filtered = model.model().filter(model.prior(series[0]), &series).unwrap();
    assert_eq!(forecast[150], 4.0 * filtered.updates()[150].state.velocity);
    assert_ne!(forecast[150], 0.0);
}

#[test]
fn other_columns_are_refused() {
    let names = ["close".to_owned()];
    let (records, targets) = (column(&walk(1, 50)), Array1::zeros(50));
    let rows = Rows::from(0..50);
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
    let error = KalmanParams::default().fit(dataset).unwrap_err();
    assert!(matches!(error, Error::FeatureMismatch { index: 0, .. }));
}

#[test]
fn parameters_outside_their_range_are_refused() {
    let negative = TrendVariances { level: -1.0, ..Default::default() };
    let refused = [
        KalmanParams { variances: Variances::Fixed(negative), ..Default::default() },
        KalmanParams { fallback: negative, ..Default::default() },
        KalmanParams { max_training_rows: Some(0), ..Default::default() },
        KalmanParams {
            initial: InitialVariance::Fixed { level: 1.0, velocity: -1.0 },
            ..Default::default()
        },
    ];
    for params in refused {
        let error = fit_rows(&params, &walk(1, 50), &Rows::from(0..50), 1).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
    }
}

#[test]
fn parameters_are_read_from_toml() {
    let params: KalmanParams = toml::from_str(
        "max_training_rows = 500\n\
         [variances.fixed]\nlevel = 1e-4\ntrend = 0.0\nmeasurement = 1e-5\n\
         [initial.fixed]\nlevel = 1.0\nvelocity = 0.5\n\
         [optimizer]\nburn = 3\n",
    )
    .unwrap();
    assert_eq!((params.max_training_rows, params.optimizer.burn), (Some(500), 3));
    assert!(matches!(params.variances, Variances::Fixed(v) if v.level == 1e-4));
    let text = toml::to_string(&KalmanParams::default()).unwrap();
    assert_eq!(toml::from_str::<KalmanParams>(&text).unwrap(), KalmanParams::default());
    assert!(toml::from_str::<KalmanParams>("variance = 1.0").is_err());
    assert!(toml::from_str::<KalmanParams>("variances = \"maximum_likelihood\"").is_ok());
    assert!(toml::from_str::<TrendVariances>("slope = 1.0").is_err());
    let negative = "level = -1.0\ntrend = 0.0\nmeasurement = 1.0";
    assert!(toml::from_str::<LocalLinearTrend>(negative).is_err());
}

#[test]
fn the_report_travels_with_the_model() {
    let model = fit(&walk(9, 300), &Rows::from(0..300), 2);
    let bytes = model.save().unwrap().to_bytes().unwrap();
    let loaded = Kalman::load(&Artifact::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!(loaded.report(), model.report());
    assert_eq!((loaded.model(), loaded.horizon()), (model.model(), 2));
}

struct Impatient;

impl Progress for Impatient {
    fn update(&self, _event: &ProgressEvent<'_>) {}

    fn is_cancelled(&self) -> bool {
        true
    }
}

#[test]
fn a_refit_goes_on_from_variances_that_were_found_and_from_no_others() {
    let series = walk(11, 900);
    let (names, targets) = ([LOG_CLOSE.to_owned()], Array1::zeros(900));
    let (records, moved) = (column(&series), Rows::from(100..900));
    let dataset = Dataset::new(&names, &records, &targets, &moved, 3).unwrap();
    let params = KalmanParams::default();
    let start = fit(&series, &Rows::from(0..800), 3);
    let (warm, cold) = (params.fit_from(dataset, &start).unwrap(), params.fit(dataset).unwrap());
    let (told, expected) = (warm.report(), cold.report());
    assert!(told.evaluations < expected.evaluations, "{told:?} {expected:?}");
    assert!((told.log_likelihood - expected.log_likelihood).abs() < 1e-5);
    let (a, b) = (warm.predict(&records).unwrap(), cold.predict(&records).unwrap());
    assert!((&a - &b).iter().all(|d| d.abs() < 1e-6));
    // A fallback is nothing to go on from, and fixed variances are not looked for.
    let fallen = fit(&series, &Rows::from(0..9), 3);
    assert!(fallen.report().fallback.is_some());
    let anew = params.fit_from(dataset, &fallen).unwrap();
    assert_eq!(anew.report(), expected);
    let fixed = Variances::Fixed(TrendVariances { level: 1e-4, trend: 0.0, measurement: 1e-5 });
    let fixed = KalmanParams { variances: fixed, ..params };
    let (warm, cold) = (fixed.fit_from(dataset, &start), fixed.fit(dataset));
    assert_eq!(warm.unwrap().report(), cold.unwrap().report());
}

#[test]
fn a_fit_can_be_cancelled() {
    let (names, targets) = ([LOG_CLOSE.to_owned()], Array1::zeros(50));
    let (records, rows) = (column(&walk(1, 50)), Rows::from(0..50));
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
    let told = KalmanParams::default().fit(dataset.with_progress(&Impatient));
    assert!(told.unwrap_err().is_cancelled());
}

#[test]
fn bitcoin_is_fitted_within_the_budget_and_not_worse_than_naive() {
    let path = "../../../shared/golden/binance_BTCUSDT_1h_last3000.csv.gz";
    let Some(table) = Csv::open(path) else { return };
    let series: Vec<f64> = table.column("close").iter().map(|c| c.ln()).collect();
    for horizon in [1, 5, 12] {
        let model = fit(&series, &Rows::from(0..1500), horizon);
        assert!(model.report().converged, "{:?}", model.report());
        let forecast = model.predict(&column(&series)).unwrap();
        let (mut ours, mut naive) = (0.0, 0.0);
        for t in 1500..series.len() - horizon {
            let told = series[t + horizon] - series[t];
            ours += (forecast[t] - told).powi(2);
            naive += told * told;
        }
        assert!((ours / naive).sqrt() < 1.02, "{horizon}: {}", (ours / naive).sqrt());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn prop_any_finite_series_is_fitted_and_forecast_finitely(
        rows in prop::collection::vec(
            prop_oneof![1 => Just(f64::NAN), 2 => Just(3.0), 4 => -30.0..30.0_f64], 1..120),
        horizon in 1_usize..50,
    ) {
        let model = fit(&rows, &Rows::from(0..rows.len()), horizon);
        let forecast = model.predict(&column(&rows)).unwrap();
        prop_assert!(forecast.iter().all(|y| y.is_finite()), "{:?}", model.report());
        prop_assert!(model.report().log_likelihood.is_finite());
    }
}
