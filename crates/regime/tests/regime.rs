#![allow(clippy::unwrap_used, reason = "tests")]
//! Regime, strength and direction against golden numbers and their own laws.

use std::fs::File;
use std::path::Path;

use forecastle_core::{Direction, Regime};
use forecastle_regime::{MarketState, direction, regime, regime_strength};
use proptest::prelude::*;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/tiny40.csv.gz");
const BTC: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../shared/golden/binance_BTCUSDT_1h_last3000.csv.gz"
);

/// Compares every row of a golden file (`tests/data`, made by an independent Python reference) and
/// returns how many there were.
fn compare(path: &str) -> usize {
    let file = flate2::read::GzDecoder::new(File::open(path).unwrap());
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|h| h == name).unwrap();
    let (close, vwap, z) = (at("close"), at("vwap"), at("z"));
    let (regime, strength, direction) = (at("regime"), at("strength"), at("direction"));
    let mut rows = 0;
    for record in reader.records() {
        let record = record.unwrap();
        let number = |i: usize| record[i].parse::<f64>().unwrap();
        let state = MarketState::new(number(close), number(vwap), number(z)).unwrap();
        assert_eq!(state.regime.to_string(), record[regime], "row {rows}");
        assert_eq!(state.direction.to_string(), record[direction], "row {rows}");
        assert!((state.strength - number(strength)).abs() <= 1e-15, "row {rows}");
        rows += 1;
    }
    rows
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
fn borders_belong_to_the_calmer_regime() {
    for sign in [-1.0, 1.0] {
        assert_eq!(regime(sign * 1.0), Some(Regime::MeanReversion));
        assert_eq!(regime(sign * 1.0_f64.next_up()), Some(Regime::Transition));
        assert_eq!(regime(sign * 2.0), Some(Regime::Transition));
        assert_eq!(regime(sign * 2.0_f64.next_up()), Some(Regime::Trend));
        assert_eq!(regime(sign * f64::INFINITY), Some(Regime::Trend));
    }
    assert_eq!(regime(-0.0), Some(Regime::MeanReversion));
}

#[test]
fn a_row_that_is_not_ready_has_no_state() {
    assert_eq!(MarketState::new(f64::NAN, 1.0, 0.0), None);
    assert_eq!(MarketState::new(1.0, f64::NAN, 0.0), None);
    assert_eq!(MarketState::new(1.0, 1.0, f64::NAN), None);
    assert_eq!(direction(f64::NAN, f64::NAN), None);
    assert!(regime_strength(f64::NAN).is_nan());
}

#[test]
fn a_state_serialises_under_the_table_names() {
    let state = MarketState::new(95.0, 100.0, -1.5).unwrap();
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(json, r#"{"regime":"transition","strength":1.25,"direction":"bearish"}"#);
    assert_eq!(serde_json::from_str::<MarketState>(&json).unwrap(), state);
}

proptest! {
    #[test]
    fn prop_a_mirrored_price_mirrors_the_direction_alone(z in -6.0_f64..6.0, vwap in 1.0_f64..1e6) {
        let sigma = 0.1 * vwap;
        let up = MarketState::new(vwap + z * sigma, vwap, z).unwrap();
        let down = MarketState::new(vwap - z * sigma, vwap, -z).unwrap();
        prop_assert_eq!(up.regime, down.regime);
        prop_assert_eq!(up.strength.to_bits(), down.strength.to_bits());
        prop_assert_eq!(up.direction.sign(), -down.direction.sign());
        prop_assert_eq!(up.direction == Direction::Neutral, vwap + z * sigma == vwap);
    }

    #[test]
    fn prop_strength_never_jumps_and_never_falls_with_distance(z in 0.0_f64..6.0, step in 0.0_f64..0.1) {
        let (near, far) = (regime_strength(z), regime_strength(z + step));
        prop_assert!(near <= far && far - near <= 0.5 * step + 1e-15);
        prop_assert!((0.5..=2.0).contains(&near));
    }

    #[test]
    fn prop_any_number_at_all_is_answered(close: f64, vwap: f64, z: f64) {
        let state = MarketState::new(close, vwap, z);
        prop_assert_eq!(state.is_none(), close.is_nan() || vwap.is_nan() || z.is_nan());
    }
}
