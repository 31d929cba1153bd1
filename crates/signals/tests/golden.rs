#![allow(clippy::unwrap_used, reason = "tests")]
//! The rules against golden numbers made by an independent Python reference (horizon 5, ATR 14
//! Wilder × 1.5 × strength, regression over 20 closes), whose own indicator columns are fed in.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use forecastle_core::{Direction, Regime};
use forecastle_signals::{ForecastText, RuleInputs, RuleParams, Rules};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/tiny40.csv.gz");
const DEGENERATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/degenerate.json");
const BTC: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../shared/golden/binance_BTCUSDT_1h_last3000.csv.gz"
);
const WINDOW: usize = 20;

type Row = HashMap<String, String>;

fn read(path: &str) -> Vec<Row> {
    let file = flate2::read::GzDecoder::new(File::open(path).unwrap());
    let mut reader = csv::Reader::from_reader(file);
    reader.deserialize().map(Result::unwrap).collect()
}

fn optional(row: &Row, column: &str) -> Option<f64> {
    let text = &row[column];
    (!text.is_empty()).then(|| text.parse().unwrap())
}

fn number(row: &Row, column: &str) -> f64 {
    optional(row, column).unwrap_or(f64::NAN)
}

fn regime(name: &str) -> Option<Regime> {
    let all = [Regime::MeanReversion, Regime::Transition, Regime::Trend];
    all.into_iter().find(|r| r.to_string() == name)
}

fn direction(name: &str) -> Option<Direction> {
    let all = [Direction::Bullish, Direction::Bearish, Direction::Neutral];
    all.into_iter().find(|d| d.to_string() == name)
}

/// Intercept at the last close and slope of the least-squares line, NaN before `WINDOW` closes.
fn regression(closes: &[f64]) -> (f64, f64) {
    let Some(start) = closes.len().checked_sub(WINDOW) else {
        return (f64::NAN, f64::NAN);
    };
    let window = &closes[start..];
    let middle = (WINDOW - 1) as f64 / 2.0;
    let mean = window.iter().sum::<f64>() / WINDOW as f64;
    let (mut xy, mut xx) = (0.0, 0.0);
    for (i, close) in window.iter().enumerate() {
        xy += (i as f64 - middle) * (close - mean);
        xx += (i as f64 - middle).powi(2);
    }
    (mean + xy / xx * middle, xy / xx)
}

fn assert_close(actual: Option<f64>, expected: Option<f64>, scale: f64, what: &str) {
    let agree = match (actual, expected) {
        (Some(a), Some(e)) => (a - e).abs() <= 1e-11 * scale,
        (a, e) => a == e,
    };
    assert!(agree, "{what}: {actual:?}, expected {expected:?}");
}

/// Compares every row and returns how many there were.
fn compare(path: &str) -> usize {
    let rules = Rules::new(RuleParams::default()).unwrap();
    let rows = read(path);
    let closes: Vec<f64> = rows.iter().map(|row| number(row, "close")).collect();
    for (t, row) in rows.iter().enumerate() {
        let (linreg, linreg_slope) = regression(&closes[..=t]);
        let inputs = RuleInputs {
            close: closes[t],
            high: number(row, "high"),
            low: number(row, "low"),
            vwap: number(row, "vwap"),
            vwap_sigma: number(row, "sigma"),
            vwap_z: number(row, "z"),
            atr: number(row, "atr"),
            linreg,
            linreg_slope,
            regime: regime(&row["regime"]),
            strength: number(row, "strength"),
            direction: direction(&row["direction"]),
        };
        let output = rules.evaluate(&inputs);
        let price = |actual, column: &str| {
            let what = format!("row {t}, {column}");
            assert_close(actual, optional(row, column), closes[t], &what);
        };
        price(output.stop_loss, "stop");
        price(output.atr_target, "atr_target");
        price(output.vwap_target, "vwap_target");
        price(output.linreg_target, "lr_target");
        price(output.blended_target, "blended");
        price(output.take_profit, "blended");
        let flag = |flag: bool| if flag { "True" } else { "False" };
        assert_eq!(output.signal.as_str(), row["signal"], "row {t}");
        assert_eq!(flag(output.take_profit_valid), row["tp_valid"], "row {t}");
        assert_eq!(flag(output.stop_valid), row["stop_valid"], "row {t}");
        let confidence = number(row, "confidence");
        assert!((output.rule_confidence - confidence).abs() <= 1e-15, "row {t}");
        let text = ForecastText::new(&inputs, &output, 5).to_string();
        assert_eq!(text, row["forecast_text"], "row {t}");
    }
    rows.len()
}

#[test]
fn every_row_of_the_hand_checkable_series_agrees() {
    assert_eq!(compare(TINY), 40);
}

#[test]
fn every_row_of_the_btc_series_agrees() {
    if Path::new(BTC).exists() {
        assert_eq!(compare(BTC), 3_000);
    } else {
        eprintln!("skipped: the BTC/USDT golden numbers are not beside this checkout");
    }
}

#[test]
fn every_degenerate_series_ends_as_expected() {
    let rules = Rules::new(RuleParams::default()).unwrap();
    let cases: serde_json::Value =
        serde_json::from_reader(File::open(DEGENERATE).unwrap()).unwrap();
    let mut checked = 0;
    for (name, case) in cases.as_object().unwrap() {
        let Some(last) = case.get("last").filter(|last| last.is_object()) else {
            assert_eq!(name, "empty");
            continue;
        };
        let price = |key: &str| last[key].as_f64();
        let ready = |key: &str| price(key).unwrap_or(f64::NAN);
        // Of equal times the last in input order wins; a row is time, open, high, low, close, volume.
        let candle = case["input"]
            .as_array()
            .unwrap()
            .iter()
            .rfind(|row| row[0].as_f64() == last["timestamp"].as_f64())
            .unwrap();
        let inputs = RuleInputs {
            close: ready("close"),
            high: candle[2].as_f64().unwrap(),
            low: candle[3].as_f64().unwrap(),
            vwap: ready("vwap"),
            vwap_sigma: ready("sigma"),
            vwap_z: ready("z"),
            atr: ready("atr"),
            // The file gives the extrapolated line alone.
            linreg: ready("lr_target"),
            linreg_slope: 0.0,
            regime: regime(last["regime"].as_str().unwrap()),
            strength: ready("strength"),
            direction: direction(last["direction"].as_str().unwrap()),
        };
        let output = rules.evaluate(&inputs);
        assert_eq!(output.signal.as_str(), last["signal"], "{name}");
        for (actual, key) in [
            (output.stop_loss, "stop"),
            (output.atr_target, "atr_target"),
            (output.vwap_target, "vwap_target"),
            (output.blended_target, "blended"),
        ] {
            assert_close(actual, price(key), inputs.close, &format!("{name}, {key}"));
        }
        assert_eq!(output.rule_confidence, ready("confidence"), "{name}");
        checked += 1;
    }
    assert_eq!(checked, 10);
}
