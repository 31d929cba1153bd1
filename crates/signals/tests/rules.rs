#![allow(clippy::unwrap_used, reason = "tests")]
//! The laws that the rules keep on any row.

use forecastle_core::{Direction, Regime, Signal};
use forecastle_signals::{ForecastText, RuleInputs, RuleParams, RuleWeights, Rules};
use proptest::prelude::*;

fn rules() -> Rules {
    Rules::new(RuleParams::default()).unwrap()
}

/// A row whose regime, strength and direction belong to its prices.
fn consistent(close: f64, high: f64, low: f64, vwap: f64, sigma: f64) -> RuleInputs {
    let flat = sigma <= 1e-12 * vwap.abs();
    let z = if flat { 0.0 } else { (close - vwap) / sigma };
    RuleInputs {
        close,
        high,
        low,
        vwap,
        vwap_sigma: sigma,
        vwap_z: z,
        atr: 0.01 * close,
        linreg: close,
        linreg_slope: 0.001 * close,
        regime: Some(match z.abs() {
            d if d <= 1.0 => Regime::MeanReversion,
            d if d <= 2.0 => Regime::Transition,
            _ => Regime::Trend,
        }),
        strength: (0.5 + 0.5 * z.abs()).min(2.0),
        direction: Some(if close > vwap {
            Direction::Bullish
        } else if close < vwap {
            Direction::Bearish
        } else {
            Direction::Neutral
        }),
    }
}

#[test]
fn a_bar_that_touches_both_bands_is_held() {
    let rules = rules();
    let signal = |high, low| rules.evaluate(&consistent(100.0, high, low, 100.0, 2.0)).signal;
    assert_eq!(signal(101.9, 98.0), Signal::Buy);
    assert_eq!(signal(102.0, 98.1), Signal::Sell);
    assert_eq!(signal(102.0, 98.0), Signal::Hold);
    assert_eq!(signal(101.9, 98.1), Signal::Hold);
}

#[test]
fn nothing_is_signalled_before_atr_and_z_are_ready_or_while_sigma_is_flat() {
    let rules = rules();
    let row = consistent(110.0, 111.0, 109.0, 100.0, 2.0);
    assert_eq!(rules.evaluate(&row).signal, Signal::Buy);
    for unready in [
        RuleInputs { atr: f64::NAN, ..row },
        RuleInputs { vwap_z: f64::NAN, ..row },
        RuleInputs { vwap_sigma: f64::NAN, ..row },
        RuleInputs { vwap_sigma: 1e-10, ..row },
        RuleInputs { regime: None, ..row },
        RuleInputs { direction: None, ..row },
    ] {
        let output = rules.evaluate(&unready);
        assert_eq!(output.signal, Signal::Hold, "{unready:?}");
        assert_eq!((output.stop_loss, output.rule_confidence), (None, 0.0));
        assert!(!output.stop_valid && !output.take_profit_valid);
    }
}

#[test]
fn targets_wait_for_their_own_numbers_alone() {
    let rules = rules();
    let row = consistent(100.5, 101.0, 100.0, 100.0, 2.0);
    let output = rules.evaluate(&RuleInputs { atr: f64::NAN, ..row });
    assert_eq!((output.atr_target, output.blended_target), (None, None));
    assert!(output.vwap_target.is_some() && output.linreg_target.is_some());
    let output = rules.evaluate(&RuleInputs { linreg: f64::NAN, ..row });
    assert_eq!((output.linreg_target, output.take_profit), (None, None));
    assert_eq!(output.atr_target, Some(100.5));
    let output = rules.evaluate(&RuleInputs { regime: None, strength: f64::NAN, ..row });
    assert_eq!((output.vwap_target, output.atr_target), (None, None));
}

#[test]
fn a_trend_is_drawn_to_the_next_whole_band_outward() {
    let rules = rules();
    // z = 3 exactly: the band is the fourth, strength 2 carries the target all the way.
    let up = rules.evaluate(&consistent(106.0, 107.0, 105.0, 100.0, 2.0));
    assert_eq!((up.signal, up.vwap_target), (Signal::Buy, Some(108.0)));
    let down = rules.evaluate(&consistent(94.0, 95.0, 93.0, 100.0, 2.0));
    assert_eq!((down.signal, down.vwap_target), (Signal::Sell, Some(92.0)));
}

#[test]
fn a_mechanism_of_weight_0_need_not_be_ready() {
    let weights = RuleWeights { atr: 0.5, vwap: 0.5, linreg: 0.0 };
    let rules = Rules::new(RuleParams { weights, ..Default::default() }).unwrap();
    let row = consistent(106.0, 107.0, 105.0, 100.0, 2.0);
    let output = rules.evaluate(&RuleInputs { linreg: f64::NAN, ..row });
    assert_eq!(output.linreg_target, None);
    let mean = 0.5 * (output.atr_target.unwrap() + output.vwap_target.unwrap());
    assert_eq!(output.blended_target, Some(mean));
}

#[test]
fn a_row_that_contradicts_itself_is_held() {
    // "Bullish trend" while the close is below every band: the stop would be above it.
    let row = RuleInputs {
        regime: Some(Regime::Trend),
        direction: Some(Direction::Bullish),
        ..consistent(90.0, 91.0, 89.0, 100.0, 2.0)
    };
    assert_eq!(rules().evaluate(&row).signal, Signal::Hold);
}

#[test]
fn parameters_outside_their_range_are_refused_by_name() {
    let base = RuleParams::default();
    let weights =
        |atr, vwap, linreg| RuleParams { weights: RuleWeights { atr, vwap, linreg }, ..base };
    for (params, message) in [
        (RuleParams { horizon: 0, ..base }, "parameter `horizon` must be >= 1, got 0"),
        (
            RuleParams { atr_multiplier: f64::NAN, ..base },
            "parameter `atr_multiplier` must be finite and > 0, got NaN",
        ),
        (weights(-0.5, 1.0, 0.5), "parameter `weights.atr` must be between 0 and 1, got -0.5"),
        (weights(0.5, 0.5, 0.5), "parameter `weights` must be of sum 1, got 1.5"),
    ] {
        assert_eq!(Rules::new(params).unwrap_err().to_string(), message);
    }
}

#[test]
fn parameters_are_read_with_defaults_and_unknown_keys_are_refused() {
    let params: RuleParams = toml::from_str("horizon = 3").unwrap();
    assert_eq!(params, RuleParams { horizon: 3, ..Default::default() });
    assert!(toml::from_str::<RuleParams>("horizont = 3").is_err());
    assert!(toml::from_str::<RuleParams>("[weights]\nlr = 0.2").is_err());
}

/// Expected texts made by `CPython` 3.11's `{:+.2f}`, `{:.2f}` and `{:.6g}`.
#[test]
fn texts_round_as_python_does() {
    let text = |vwap_z, strength, close, target, horizon| {
        ForecastText {
            direction: Some(Direction::Neutral),
            regime: Some(Regime::Transition),
            vwap_z,
            strength,
            signal: Signal::Hold,
            close,
            blended_target: Some(target),
            horizon,
        }
        .to_string()
    };
    let head = "Neutral Transition";
    assert_eq!(
        text(-0.001, 1.125, 100.0, 99.999, 2),
        format!(
            "{head} (z -0.00, strength 1.12): HOLD, expected to fall to 99.999 (-0.00%) in 2 bars"
        )
    );
    assert_eq!(
        text(0.0, 0.505, 50.0, 50.0, 1),
        format!("{head} (z +0.00, strength 0.51): HOLD, expected to stay at 50 (+0.00%) in 1 bar")
    );
    assert_eq!(
        text(2.005, 2.0, 1.21e-6, 1.2526176384690334e-6, 5),
        format!(
            "{head} (z +2.00, strength 2.00): HOLD, expected to rise to 1.25262e-06 (+3.52%) in 5 bars"
        )
    );
    assert_eq!(
        text(1.015, 2.0, 1_000_000_121.0, 1_000_000_125.2, 5),
        format!(
            "{head} (z +1.01, strength 2.00): HOLD, expected to rise to 1e+09 (+0.00%) in 5 bars"
        )
    );
}

fn consistent_rows() -> impl Strategy<Value = RuleInputs> {
    (-8_i32..9, 0.5_f64..2.0, -6.0_f64..6.0, 0.0_f64..4.0, 0.0_f64..4.0, -14_i32..0).prop_map(
        |(exponent, digits, z, up, down, spread)| {
            let vwap = digits * 10_f64.powi(exponent);
            let sigma = 10_f64.powi(spread) * 0.16 * vwap;
            let close = vwap + z * sigma;
            consistent(close, close + up * sigma, close - down * sigma, vwap, sigma)
        },
    )
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), -10.0_f64..10.0, Just(f64::NAN), Just(0.0), Just(1.0)]
}

fn any_rows() -> impl Strategy<Value = RuleInputs> {
    let regimes = prop::option::of(prop_oneof![
        Just(Regime::MeanReversion),
        Just(Regime::Transition),
        Just(Regime::Trend)
    ]);
    let directions = prop::option::of(prop_oneof![
        Just(Direction::Bullish),
        Just(Direction::Bearish),
        Just(Direction::Neutral)
    ]);
    (prop::array::uniform10(any_number()), regimes, directions).prop_map(
        |(n, regime, direction)| RuleInputs {
            close: n[0],
            high: n[1],
            low: n[2],
            vwap: n[3],
            vwap_sigma: n[4],
            vwap_z: n[5],
            atr: n[6],
            linreg: n[7],
            linreg_slope: n[8],
            strength: n[9],
            regime,
            direction,
        },
    )
}

proptest! {
    #[test]
    fn prop_every_signal_has_its_stop_on_the_losing_side(row in prop_oneof![consistent_rows(), any_rows()]) {
        let output = rules().evaluate(&row);
        match (output.signal, output.stop_loss) {
            (Signal::Buy, Some(stop)) => prop_assert!(stop < row.close),
            (Signal::Sell, Some(stop)) => prop_assert!(stop > row.close),
            (Signal::Hold, stop) => prop_assert_eq!(stop, None),
            _ => prop_assert!(false, "a signal without a stop"),
        }
        prop_assert_eq!(output.stop_valid, output.signal != Signal::Hold);
        prop_assert!((0.0..=1.0 + 1e-12).contains(&output.rule_confidence));
        let targets = [output.atr_target, output.vwap_target, output.linreg_target];
        prop_assert!(output.rule_confidence == 0.0 || targets.iter().any(Option::is_some));
        prop_assert!(output.reward_risk.is_none_or(|r| r > 0.0 && r.is_finite() && output.take_profit_valid));
    }

    #[test]
    fn prop_a_consistent_row_is_never_held_for_its_stop(row in consistent_rows()) {
        // The guard against contradictions must not swallow a signal of the rules themselves.
        let touched_lower = row.low <= row.vwap - row.vwap_sigma;
        let touched_upper = row.high >= row.vwap + row.vwap_sigma;
        let wanted = match (row.regime, row.direction) {
            _ if row.vwap_sigma <= 1e-12 * row.vwap => Signal::Hold,
            (Some(Regime::MeanReversion), _) if touched_lower && !touched_upper => Signal::Buy,
            (Some(Regime::MeanReversion), _) if touched_upper && !touched_lower => Signal::Sell,
            (Some(Regime::Trend), Some(Direction::Bullish)) => Signal::Buy,
            (Some(Regime::Trend), Some(Direction::Bearish)) => Signal::Sell,
            _ => Signal::Hold,
        };
        prop_assert_eq!(rules().evaluate(&row).signal, wanted);
    }

    #[test]
    fn prop_prices_in_another_unit_change_nothing_but_the_unit(row in consistent_rows(), power in -40_i32..40) {
        // A power of two scales every price without rounding, so all ratios keep their bits.
        let unit = 2_f64.powi(power);
        let scaled = RuleInputs {
            close: row.close * unit, high: row.high * unit, low: row.low * unit,
            vwap: row.vwap * unit, vwap_sigma: row.vwap_sigma * unit, atr: row.atr * unit,
            linreg: row.linreg * unit, linreg_slope: row.linreg_slope * unit, ..row
        };
        let (a, b) = (rules().evaluate(&row), rules().evaluate(&scaled));
        prop_assert_eq!(a.signal, b.signal);
        prop_assert_eq!(a.blended_target.map(|p| p * unit), b.blended_target);
        prop_assert_eq!(a.stop_loss.map(|p| p * unit), b.stop_loss);
        prop_assert_eq!(a.reward_risk, b.reward_risk);
        prop_assert_eq!(a.rule_confidence.to_bits(), b.rule_confidence.to_bits());
    }

    #[test]
    fn prop_every_row_at_all_has_a_text(row in any_rows(), horizon in 1_usize..100) {
        let output = rules().evaluate(&row);
        let text = ForecastText::new(&row, &output, horizon).to_string();
        let told = row.regime.is_some() && row.direction.is_some() && output.blended_target.is_some();
        prop_assert_eq!(text.starts_with("insufficient"), !told);
        prop_assert!(text.is_ascii());
    }
}

#[test]
fn a_row_that_is_held_from_outside_has_the_targets_of_a_hold() {
    let rules = rules();
    let row = consistent(110.0, 111.0, 109.0, 100.0, 2.0);
    let (free, held) = (rules.evaluate(&row), rules.hold(&row));
    assert_eq!((free.signal, held.signal), (Signal::Buy, Signal::Hold));
    assert_eq!((held.stop_loss, held.reward_risk, held.rule_confidence), (None, None, 0.0));
    assert_eq!(held.atr_target, Some(110.0));
    assert_eq!((held.vwap_target, held.linreg_target), (free.vwap_target, free.linreg_target));
    // Where the rules hold by themselves there is no difference.
    let quiet = consistent(100.0, 100.5, 99.5, 100.0, 2.0);
    assert_eq!(rules.evaluate(&quiet), rules.hold(&quiet));
}
