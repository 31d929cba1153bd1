//! Every feature and the whole table of ours passes the leak detectors, on real candles too.

use forecastle::core::{CandleSeries, Symbol, Timeframe, TransformExt};
use forecastle::evaluation::{
    CausalityParams, ForesightProfile, LeakCheckParams, LookAheadScanParams, NotCausal,
    NoveltyParams, PopulationStabilityParams, Tabulate, TabulateFn, assert_causal, leak_check,
    look_ahead_scan,
};
use forecastle::features::{
    GlobalVwap, Indicators, LogClose, ModelFeatures, ModelFeaturesParams, VwapAnchor, global_vwap,
};
use forecastle::market_data::{ReadOptions, Simulator, SimulatorParams, read_candles};
use forecastle::models_deep::{AutoencoderParams, GruParams, TrainingParams, TransformerParams};
use forecastle::{Pipeline, PipelineConfig};
use ndarray::Array1;

use crate::shared::shared;

fn simulated(n: usize) -> CandleSeries {
    let params = SimulatorParams {
        n,
        seed: 21,
        gap_probability: 0.005,
        zero_volume_probability: 0.02,
        ..Default::default()
    };
    Simulator::new(params).unwrap().series().unwrap()
}

fn model_features(vwap: VwapAnchor) -> ModelFeatures {
    let params = ModelFeaturesParams { vwap, direction_code: true, position_code: true };
    ModelFeatures::with_params(params).unwrap()
}

#[test]
fn every_feature_of_ours_passes_every_detector() {
    let candles = simulated(2_000);
    let passes = |subject: &dyn Tabulate| {
        let report = leak_check(subject, &candles, &LeakCheckParams::default()).unwrap();
        assert!(report.is_clean(), "{report}");
    };
    for vwap in [VwapAnchor::Rolling(96), VwapAnchor::SESSION_UTC, VwapAnchor::Cumulative] {
        passes(&Indicators::new(vwap).unwrap());
        passes(&model_features(vwap));
    }
    passes(&LogClose::new());
}

#[test]
fn a_global_vwap_beside_our_features_is_the_only_column_accused() {
    let leaky = TabulateFn::new(|candles: &CandleSeries| {
        let table = model_features(VwapAnchor::default()).transform(candles.view())?;
        let vwap = global_vwap(candles.view()).map_or(f64::NAN, |GlobalVwap { vwap, .. }| vwap);
        let ratio: Array1<f64> =
            candles.view().close().iter().map(|close| (close / vwap).ln()).collect();
        table.with_columns(&[("from_global_vwap".to_owned(), &*ratio)])
    });
    let report = leak_check(&leaky, &simulated(1_000), &LeakCheckParams::default()).unwrap();
    let accused: Vec<&str> = report.accused().map(|check| check.column.as_str()).collect();
    assert_eq!(accused, ["from_global_vwap"], "{report}");
    let check = report.accused().next().unwrap();
    assert!(check.breach.is_some() && check.noise.as_ref().unwrap().guilty, "{report}");
}

/// Six models, the neural ones small.
fn pipeline() -> Pipeline {
    let training = TrainingParams { epochs: 1, ..Default::default() };
    let transformer = TransformerParams {
        d_model: 8,
        n_heads: 2,
        feed_forward: 8,
        lookback: 8,
        training,
        ..Default::default()
    };
    let hidden = vec![8];
    Pipeline::new(PipelineConfig {
        gru: GruParams { hidden_size: 6, lookback: 8, training, ..Default::default() },
        transformer,
        autoencoder: AutoencoderParams { hidden, latents: 3, training, ..Default::default() },
        ..Default::default()
    })
    .unwrap()
}

#[test]
fn no_cell_of_the_final_table_changes_with_a_later_candle() {
    let candles = simulated(1_200);
    let fitted = pipeline().fit(&candles.slice(0..1_000)).unwrap();
    assert_eq!(fitted.config().models.len(), 6);
    let params = CausalityParams { cuts: 4, ..Default::default() };
    assert_causal(&fitted, &candles, &params).unwrap();
    // The same table one row late is caught, in its columns of forecasts too.
    let late = TabulateFn::new(|candles: &CandleSeries| {
        let mut table = fitted.tabulate(candles)?;
        let values = table.values().to_owned();
        for (mut column, from) in table.values_mut().columns_mut().into_iter().zip(values.columns())
        {
            column.iter_mut().zip(from.iter().skip(1)).for_each(|(cell, next)| *cell = *next);
        }
        Ok(table)
    });
    let Err(NotCausal::Breach { columns, first, .. }) = assert_causal(&late, &candles, &params)
    else {
        panic!("a table that is a row ahead passes");
    };
    assert_eq!(first.reach, 1);
    for column in ["close", "vwap_z", "signal", "blended_target", "ensemble", "gru", "kalman"] {
        assert!(columns.iter().any(|c| c == column), "{column} is not in {columns:?}");
    }
}

/// Closes of the folder `shared`, by a symbol and timeframe of no matter.
fn real(name: &str) -> Option<CandleSeries> {
    let path = shared(&format!("data/{name}"))?;
    let symbol: Symbol = "A/B".parse().unwrap();
    let timeframe: Timeframe = "1h".parse().unwrap();
    let options =
        ReadOptions { symbol: Some(symbol), timeframe: Some(timeframe), ..Default::default() };
    Some(read_candles(&path, &options).unwrap().series)
}

#[test]
fn real_markets_that_can_be_predicted_a_little_accuse_no_feature_of_ours() {
    for name in [
        "freqtrade_ETHBTC_5m.csv.gz",
        "binance_USDPUSDT_1h.csv.gz",
        "freqtrade_UNITTESTBTC_1m.csv.gz",
        "binance_BTCUSDT_1h.csv.gz",
    ] {
        let Some(candles) = real(name) else { return };
        for candles in [candles.tail(3_000), candles] {
            let close = candles.view().close();
            let scan = |subject: &dyn Tabulate, params| {
                look_ahead_scan(&subject.tabulate(&candles).unwrap(), close, &params).unwrap()
            };
            let ours: [&dyn Tabulate; 2] = [
                &model_features(VwapAnchor::Rolling(96)),
                &Indicators::new(VwapAnchor::Rolling(96)).unwrap(),
            ];
            for subject in ours {
                let found = scan(subject, LookAheadScanParams::default());
                let suspects: Vec<&ForesightProfile> = found.suspects().collect();
                assert!(suspects.is_empty(), "{name}: {suspects:?}");
            }
        }
    }
    // Significance alone would accuse: that is what the size is for.
    let Some(candles) = real("freqtrade_ETHBTC_5m.csv.gz") else { return };
    let table = model_features(VwapAnchor::Rolling(96)).transform(candles.view()).unwrap();
    let significance = LookAheadScanParams { min_effect: 0.0, ..Default::default() };
    let scan = look_ahead_scan(&table, candles.view().close(), &significance).unwrap();
    let largest = scan.suspects().map(|p| p.effect.abs()).fold(0.0, f64::max);
    assert!(largest > 0.1 && largest < 0.3, "{largest}");
}

#[test]
fn guards_of_real_features_are_quiet_on_the_next_month_and_not_on_other_prices() {
    let Some(candles) = real("binance_BTCUSDT_1h.csv.gz") else { return };
    let candles = candles.tail(9_000);
    let table = ModelFeatures::new(VwapAnchor::Rolling(96)).unwrap();
    let table = table.transform(candles.view()).unwrap();
    let rows = (table.first_ready_row()..8_000).into();
    let novelty = NoveltyParams::default().fit(&table, &rows).unwrap();
    let judged = (8_000..9_000)
        .map(|t| novelty.verdict(&table.values().row(t).to_vec()).unwrap().unwrap().beyond);
    let novel = judged.filter(|beyond| *beyond).count();
    assert!(novel <= 10, "{novel} of 1000 rows");
    // A wick of 30 %: the row is named by what is odd about it.
    let mut row = table.values().row(8_500).to_vec();
    let low = table.names().iter().position(|name| name == "low_log_ratio").unwrap();
    row[low] = -0.3;
    let reason = novelty.verdict(&row).unwrap().unwrap().reason.unwrap();
    assert!(reason.contains("low_log_ratio -"), "{reason}");

    let stability = PopulationStabilityParams::default().fit(&table, &rows).unwrap();
    let verdict = stability.verdict(table.values()).unwrap();
    assert!(!verdict.beyond, "{verdict:?}");
    // Moves four times as large.
    let mut wild = table.values().to_owned();
    wild.mapv_inplace(|value| 4.0 * value);
    assert!(stability.verdict(&wild).unwrap().beyond);
}
