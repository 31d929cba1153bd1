//! What the whole pipeline promises: nothing knows the future, one seed gives the same bits, what
//! is saved comes back, short history is no panic.

use forecastle::core::{Artifact, CandleSeries, Progress, ProgressEvent, Target};
use forecastle::features::VwapAnchor;
use forecastle::market_data::{ReadOptions, Simulator, SimulatorParams, read_candles};
use forecastle::models_deep::{AutoencoderParams, GruParams, TrainingParams, TransformerParams};
use forecastle::models_tree::BoostingEngine;
use forecastle::{
    Error, FittedPipeline, ModelKind, NeuralEngine, Pipeline, PipelineConfig, Report, RowSelection,
    Signal,
};
use serde_json::Value;

use crate::shared::{data, shared};

fn simulated(n: usize, seed: u64) -> CandleSeries {
    let params = SimulatorParams {
        n,
        seed,
        gap_probability: 0.005,
        zero_volume_probability: 0.02,
        ..Default::default()
    };
    Simulator::new(params).unwrap().series().unwrap()
}

/// All six models, the neural ones small enough to be trained many times.
fn settings() -> PipelineConfig {
    let training = TrainingParams { epochs: 2, learning_rate: 3e-3, ..Default::default() };
    PipelineConfig {
        gru: GruParams { hidden_size: 6, lookback: 8, training, ..Default::default() },
        transformer: TransformerParams {
            d_model: 8,
            n_heads: 2,
            feed_forward: 8,
            lookback: 8,
            training,
            ..Default::default()
        },
        autoencoder: AutoencoderParams {
            hidden: vec![8],
            latents: 3,
            training,
            ..Default::default()
        },
        ..Default::default()
    }
}

fn pipeline(horizon: usize) -> Pipeline {
    Pipeline::new(PipelineConfig { horizon, ..settings() }).unwrap()
}

/// Every row as JSON: all columns, all digits.
fn rows(report: &Report) -> Vec<Value> {
    let mut text = Vec::new();
    report.write_json(RowSelection::All, &mut text).unwrap();
    let document: Value = serde_json::from_slice(&text).unwrap();
    document["rows"].as_array().unwrap().clone()
}

#[test]
fn cutting_the_candles_off_changes_no_row_before_the_cut() {
    let candles = simulated(1_300, 11);
    let fitted = pipeline(5).fit(&candles.slice(0..1_000)).unwrap();
    let whole = rows(&fitted.run(&candles).unwrap());
    for cut in [1, 97, 480, 812, 995, 999, 1_000, 1_001, 1_100, 1_299] {
        let part = rows(&fitted.run(&candles.slice(0..cut)).unwrap());
        assert_eq!(part, whole[..cut], "cut at {cut}");
    }
    let learnt = |row: &Value| !row["ensemble"].is_null();
    assert!(whole[1_000..].iter().all(learnt) && whole[900..1_000].iter().all(learnt));
    assert!(!whole[..400].iter().any(learnt), "rows that taught the first fold show no forecast");
}

#[test]
fn a_forecast_row_knows_no_candle_after_it() {
    // Other candles after row 900 may change later fits, never a forecast that was made before.
    let candles = simulated(1_000, 12);
    let other = simulated(1_000, 13);
    let (scale, from) = (candles.view().close()[899] / other.view().close()[899], 900);
    let spliced = candles.view().iter().take(from).chain(other.view().iter().skip(from).map(|c| {
        let scaled = [c.open(), c.high(), c.low(), c.close()].map(|p| p * scale);
        let [open, high, low, close] = scaled;
        forecastle::core::Candle::new(c.open_time(), open, high, low, close, c.volume()).unwrap()
    }));
    let mut times = std::collections::BTreeSet::new();
    let spliced = spliced
        .filter(|c| times.last().is_none_or(|t| c.open_time() > *t) && times.insert(c.open_time()));
    let spliced = CandleSeries::from_candles(
        candles.symbol().clone(),
        candles.timeframe(),
        spliced.collect::<Vec<_>>(),
    )
    .unwrap();
    // The same number of rows gives the same folds.
    let n = spliced.len().min(candles.len());
    let (candles, spliced) = (candles.slice(0..n), spliced.slice(0..n));
    let table =
        |series: &CandleSeries| rows(&pipeline(5).fit(series).unwrap().run(series).unwrap());
    let (a, b) = (table(&candles), table(&spliced));
    let models = ModelKind::ALL.map(ModelKind::as_str);
    for column in models.into_iter().chain(["ensemble", "ensemble_lower", "ensemble_confidence"]) {
        // The fold that holds row 900 began before it; its models knew rows before its start alone.
        let known = (0..from).filter(|&t| a[t][column] == b[t][column]).count();
        assert_eq!(known, from, "{column}");
        // A confidence stays at one half where no model has a weight.
        let moves = (from..n).any(|t| a[t][column] != b[t][column]);
        assert!(moves || column == "ensemble_confidence", "{column} sees other candles");
    }
}

#[test]
fn the_newest_rows_whose_labels_are_not_known_yet_have_a_forecast_too() {
    let candles = simulated(900, 14);
    let horizon = 12;
    let fitted = pipeline(horizon).fit(&candles).unwrap();
    let report = fitted.run(&candles).unwrap();
    let before: Vec<_> = (880..899).map(|t| report.row(t).unwrap().forecast).collect();
    assert!(before.iter().all(|row| row.ridge.is_some() && row.ensemble.is_some()));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let candles = simulated(800, 15);
    let table = |threads: usize| {
        let config = PipelineConfig { threads: Some(threads), ..settings() };
        let fitted = Pipeline::new(config).unwrap().fit(&candles).unwrap();
        rows(&fitted.run(&candles).unwrap())
    };
    let one = table(1);
    assert_eq!(one, table(2));
    assert_eq!(one, table(4));
    let other = Pipeline::new(PipelineConfig { seed: 8, ..settings() }).unwrap();
    let other = other.fit(&candles).unwrap();
    assert_ne!(one, rows(&other.run(&candles).unwrap()), "the seed matters");
}

#[test]
fn a_saved_pipeline_comes_back_bit_for_bit() {
    let candles = simulated(900, 16);
    for target in [Target::LogReturn, Target::Price] {
        let config = PipelineConfig { target, ..settings() };
        let fitted = Pipeline::new(config).unwrap().fit(&candles.slice(0..800)).unwrap();
        let bytes = fitted.save().unwrap().to_bytes().unwrap();
        let loaded = FittedPipeline::load(&Artifact::from_bytes(&bytes).unwrap()).unwrap();
        let (a, b) = (fitted.run(&candles).unwrap(), loaded.run(&candles).unwrap());
        assert_eq!(rows(&a), rows(&b));
        assert_eq!(a.run_info(), b.run_info());
    }
    let foreign = Artifact::encode("ridge", 1, &[], &1_u8).unwrap();
    assert!(matches!(FittedPipeline::load(&foreign), Err(Error::Artifact { .. })));
}

#[test]
fn another_market_is_refused() {
    let candles = simulated(600, 17);
    let fitted = pipeline(5).fit(&candles).unwrap();
    let elsewhere = CandleSeries::from_candles(
        "BTC/USDT".parse().unwrap(),
        candles.timeframe(),
        candles.view().iter(),
    );
    let error = fitted.run(&elsewhere.unwrap()).unwrap_err();
    assert!(error.to_string().starts_with("parameter `symbol` must be the fit's"), "{error}");
}

#[test]
fn short_history_holds_and_says_why_nothing_was_learnt() {
    for n in [0, 1, 3, 25, 200] {
        let candles = simulated(200, 18).slice(0..n);
        let report = pipeline(5).fit(&candles).unwrap().run(&candles).unwrap();
        assert_eq!(report.len(), n);
        if let Some(row) = report.forecast() {
            assert_eq!(row.forecast, Default::default());
            assert!(n > 14 || row.structure.signal() == Signal::Hold);
        }
        let reason =
            &report.run_info().skipped.iter().find(|s| s.model == "ensemble").unwrap().reason;
        assert!(
            reason.contains("needs at least") && reason.ends_with(&format!("got {n}")),
            "{reason}"
        );
        assert!(report.to_screen(RowSelection::Last).contains(reason.as_str()) || n == 0);
        let mut csv = Vec::new();
        report.write_csv(RowSelection::All, &mut csv).unwrap();
        assert_eq!(csv.iter().filter(|b| **b == b'\n').count(), n + 1);
    }
}

#[test]
fn degenerate_markets_fit_and_forecast_without_a_panic() {
    let base = simulated(700, 19);
    let flat = |price: f64, volume: f64| {
        base.view().iter().map(move |c| {
            forecastle::core::Candle::new(c.open_time(), price, price, price, price, volume)
                .unwrap()
        })
    };
    let wick = base.view().iter().enumerate().map(|(i, c)| {
        let high = if i == 350 { c.high() * 90.0 } else { c.high() };
        forecastle::core::Candle::new(c.open_time(), c.open(), high, c.low(), c.close(), c.volume())
            .unwrap()
    });
    let tiny = base.view().iter().map(|c| {
        let [o, h, l, e] = [c.open(), c.high(), c.low(), c.close()].map(|p| p * 1e-10);
        forecastle::core::Candle::new(c.open_time(), o, h, l, e, 0.0).unwrap()
    });
    let series = |candles: Vec<_>| {
        CandleSeries::from_candles(base.symbol().clone(), base.timeframe(), candles).unwrap()
    };
    for (name, candles) in [
        ("constant price", series(flat(50.0, 3.0).collect())),
        ("constant price without volume", series(flat(1e-8, 0.0).collect())),
        ("one wick", series(wick.collect())),
        ("tiny prices without volume", series(tiny.collect())),
    ] {
        let report = pipeline(5).fit(&candles).unwrap().run(&candles).unwrap();
        let row = report.forecast().unwrap();
        let close = row.structure.candle.close();
        let ensemble = row.forecast.ensemble.expect(name);
        assert!((ensemble / close - 1.0).abs() < 0.2, "{name}: {ensemble} after {close}");
        if name.starts_with("constant") {
            assert_eq!(ensemble, close, "{name}");
            assert_eq!(row.structure.signal(), Signal::Hold, "{name}");
        }
    }
}

#[test]
fn every_anchor_and_subset_of_models_runs() {
    let candles = simulated(700, 20);
    for anchor in ["rolling:20", "session", "cumulative"] {
        let anchor: VwapAnchor = anchor.parse().unwrap();
        for models in [vec![], vec![ModelKind::Kalman], vec![ModelKind::Ridge, ModelKind::Kalman]] {
            let builder = Pipeline::builder().vwap(anchor).models(models.clone());
            let report = builder.build().unwrap().fit(&candles).unwrap().run(&candles).unwrap();
            let forecast = report.forecast().unwrap().forecast;
            assert_eq!(forecast.kalman.is_some(), models.contains(&ModelKind::Kalman));
            assert_eq!(forecast.ensemble.is_some(), !models.is_empty());
            assert_eq!(forecast.boosting, None);
            let reasons = &report.run_info().skipped;
            assert!(reasons.iter().any(|s| s.model == "boosting" && s.reason == "not asked for"));
        }
    }
}

#[test]
fn a_fit_can_be_stopped() {
    struct Stop;
    impl Progress for Stop {
        fn update(&self, _event: &ProgressEvent<'_>) {}
        fn is_cancelled(&self) -> bool {
            true
        }
    }
    let error = pipeline(5).fit_with(&simulated(600, 21), &Stop).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
}

#[test]
fn a_long_fit_tells_how_its_networks_train() {
    #[derive(Default)]
    struct Heard(std::sync::Mutex<std::collections::BTreeSet<String>>);
    impl Progress for Heard {
        fn update(&self, event: &ProgressEvent<'_>) {
            if event.loss.is_some_and(f64::is_finite) {
                self.0.lock().unwrap().insert(event.stage.to_owned());
            }
        }
    }
    let heard = Heard::default();
    pipeline(5).fit_with(&simulated(600, 26), &heard).unwrap();
    let heard = heard.0.into_inner().unwrap();
    for stage in ["autoencoder", "boosting", "gru", "transformer"] {
        assert!(heard.contains(stage), "{stage} is not among {heard:?}");
    }
}

#[test]
fn an_explanation_adds_up_to_the_boosted_forecast() {
    let candles = simulated(700, 28);
    let fitted = pipeline(5).fit(&candles).unwrap();
    let explanation = fitted.explain(&candles).unwrap();
    let parts = explanation.contributions.iter().map(|part| part.contribution);
    let sum = explanation.base + parts.sum::<f64>();
    assert!((sum - explanation.prediction).abs() < 1e-9, "{explanation:?}");
    assert!(explanation.contributions[0].contribution != 0.0);
    let report = fitted.run(&candles).unwrap().with_explanation(explanation.clone());
    let row = report.forecast().unwrap();
    let price = row.structure.candle.close() * explanation.prediction.exp();
    // XGBoost, where it is installed, sums in single precision.
    assert!((row.forecast.boosting.unwrap() / price - 1.0).abs() < 1e-6);
    let screen = report.to_screen(RowSelection::Last);
    assert!(screen.contains("WHY boosting") && screen.contains("boosting by "), "{screen}");
    let without = Pipeline::builder().models([ModelKind::Ridge]).build().unwrap();
    let refused = without.fit(&candles).unwrap().explain(&candles).unwrap_err();
    assert!(refused.to_string().starts_with("parameter `models`"), "{refused}");
    let short = candles.slice(0..100);
    let nothing = pipeline(5).fit(&short).unwrap().explain(&short).unwrap_err();
    assert!(nothing.is_not_enough_data(), "{nothing}");
}

#[test]
fn an_engine_that_is_not_built_in_is_refused() {
    let config = PipelineConfig { neural_engine: NeuralEngine::LibtorchCuda(77), ..settings() };
    let refused = Pipeline::new(config).and_then(|p| p.fit(&simulated(600, 27)).map(drop));
    assert!(refused.unwrap_err().is_invalid_input());
}

#[test]
fn intervals_hold_what_they_promise_on_simulated_candles() {
    let report = pipeline(1).fit(&simulated(4_000, 22)).unwrap();
    let report = report.run(&simulated(4_000, 22)).unwrap();
    let interval = report.run_info().interval.unwrap();
    assert!((interval.realised_coverage - 0.9).abs() < 0.04, "{interval:?}");
}

#[test]
fn the_ensemble_is_nowhere_significantly_worse_than_naive_and_never_beaten_for_sure() {
    for (name, limit) in [
        ("binance_BTCUSDT_1h", f64::INFINITY),
        ("binance_ETHUSDT_1h", f64::INFINITY),
        ("binance_EURUSDT_1h", f64::INFINITY),
        ("stockindicators_SPX_1d", f64::INFINITY),
        ("freqtrade_ETHBTC_5m", 0.95),
        ("binance_USDPUSDT_1h", 0.95),
        ("backtestingpy_GOOG_1d", f64::INFINITY),
        ("freqtrade_UNITTESTBTC_1m", 0.97),
        ("fxcm_GBPUSD_1m", f64::INFINITY),
    ] {
        let Some(path) = shared(&format!("data/{name}.csv.gz")) else { return };
        let candles = read_candles(path, &ReadOptions::default()).unwrap().series.tail(5_000);
        for horizon in [1, 5, 12] {
            // With the neural models this takes half an hour; docs/honesty.md has their figures.
            // The page's figures are of our own booster, whether XGBoost is installed or not.
            let config = PipelineConfig {
                horizon,
                models: ModelKind::QUICK.to_vec(),
                boosting_engine: BoostingEngine::PureRust,
                ..Default::default()
            };
            let board = Pipeline::new(config).unwrap().leaderboard(&candles, 5, &()).unwrap();
            let rows = board.rows().unwrap();
            assert_eq!(rows[0].model, "naive");
            let ensemble = rows.iter().find(|row| row.model == "ensemble").unwrap();
            let worse = ensemble.dm_statistic.unwrap() > 0.0 && ensemble.dm_p.unwrap() < 0.05;
            assert!(!worse, "{name}, horizon {horizon}: {ensemble:?}");
            let possible_best = ensemble.mcs_p.unwrap() >= 0.1;
            assert!(possible_best, "{name}, horizon {horizon}: {ensemble:?}");
            let ratio = ensemble.relative_rmse.unwrap();
            assert!(horizon > 1 || ratio <= limit, "{name}, horizon {horizon}: {ratio}");
        }
    }
}

#[test]
fn the_hand_checkable_candles_are_too_few_to_learn_from() {
    let loaded = read_candles(data("tiny40_input.csv"), &ReadOptions::default()).unwrap();
    let report = pipeline(5).fit(&loaded.series).unwrap().run(&loaded.series).unwrap();
    let report = report.with_input("tiny40_input.csv", loaded.report);
    let screen = report.to_screen(RowSelection::Last);
    for part in ["MARKET STRUCTURE", "SIGNAL", "ML FORECAST", "40 rows read, nothing repaired"] {
        assert!(screen.contains(part), "{part} is not in\n{screen}");
    }
}

#[test]
fn json_and_csv_carry_the_same_columns_in_the_same_order() {
    use forecastle::{ForecastRow, Record, StructureRow, TableRow};
    let candles = simulated(400, 23);
    let report = pipeline(5).fit(&candles).unwrap().run(&candles).unwrap();
    let mut named = Vec::new();
    report.forecast().unwrap().visit(&mut |name, _| named.push(name));
    assert_eq!(named, TableRow::COLUMNS);
    let parts: Vec<_> = [StructureRow::COLUMNS, ForecastRow::COLUMNS, &["guard"]].concat();
    assert_eq!(named, parts);
    let mut csv = Vec::new();
    report.write_csv(RowSelection::Last, &mut csv).unwrap();
    let text = String::from_utf8(csv).unwrap();
    assert_eq!(text.lines().next().unwrap(), TableRow::COLUMNS.join(","));
    let json = rows(&report);
    let keys: Vec<&String> = json[0].as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), TableRow::COLUMNS.len());
    assert!(TableRow::COLUMNS.iter().all(|name| json[0].get(name).is_some()));
}

#[test]
fn the_batch_table_equals_the_stream_bit_for_bit() {
    let candles = simulated(600, 24);
    for anchor in ["rolling:96", "rolling:5", "session:+02:00", "cumulative"] {
        let pipeline =
            Pipeline::builder().vwap(anchor.parse().unwrap()).models([]).build().unwrap();
        let report = pipeline.fit(&candles).unwrap().run(&candles).unwrap();
        let streamed = pipeline.structure().rows(candles.view());
        for (t, (batch, row)) in report.rows().zip(streamed).enumerate() {
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            let (a, b) = (bits(&batch.structure.indicators), bits(&row.indicators));
            assert_eq!(a, b, "{anchor}, row {t}");
            assert_eq!(batch.structure.rules, row.rules, "{anchor}, row {t}");
            let (a, b) = (batch.structure.forecast_text, row.forecast_text);
            assert_eq!(a.to_string(), b.to_string(), "{anchor}, row {t}");
        }
    }
}
