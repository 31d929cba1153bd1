//! Input that breaks naive formulas: flat prices, no volume, extreme volumes, offsets, scales.

use std::path::PathBuf;

use forecastle_core::{CandleSeries, FeatureTable, RawCandle, Timestamp, Transform, TransformExt};
use forecastle_features::{
    Indicator, Indicators, LinearRegression, ModelFeatures, RollingStd, Sma, Vwap, VwapAnchor,
};
use proptest::prelude::*;

use crate::series::{Walk, flat};

const ANCHORS: [VwapAnchor; 4] = [
    VwapAnchor::Rolling(20),
    VwapAnchor::Rolling(96),
    VwapAnchor::SESSION_UTC,
    VwapAnchor::Cumulative,
];

fn indicators(anchor: VwapAnchor, series: &CandleSeries) -> FeatureTable {
    Indicators::new(anchor).unwrap().transform(series.view()).unwrap()
}

fn column(table: &FeatureTable, indicator: Indicator) -> Vec<f64> {
    table.values().column(indicator.index()).to_vec()
}

/// Every ready cell of both tables is finite.
fn assert_finite(series: &CandleSeries) {
    for anchor in ANCHORS {
        let features = ModelFeatures::new(anchor).unwrap();
        let all: [&dyn Transform; 2] = [&Indicators::new(anchor).unwrap(), &features];
        for each in all {
            let table = each.transform(series.view()).unwrap();
            let first = each.warm_up().min(table.n_rows());
            let rest = table.values().rows().into_iter().skip(first);
            for (cell, value) in rest.flatten().enumerate() {
                let name = &table.names()[cell % table.n_features()];
                assert!(value.is_finite(), "{anchor}, {name}: {value}");
            }
        }
    }
}

#[test]
fn a_constant_price_has_deviation_and_z_of_exactly_zero() {
    for price in [50.0, 0.1, 1.1e-8, 1e9 + 1.0 / 3.0] {
        let rows: Vec<_> = (0..400).map(|i| (price, f64::from(i % 5) * 0.37)).collect();
        let series = flat(&rows);
        assert_finite(&series);
        for anchor in ANCHORS {
            let table = indicators(anchor, &series);
            for (row, cells) in table.values().rows().into_iter().enumerate().skip(95) {
                let of = |indicator: Indicator| cells[indicator.index()];
                let typical = of(Indicator::TypicalPrice);
                for flat in [Indicator::Vwap, Indicator::VwapUpper2, Indicator::VwapLower2] {
                    assert_eq!(of(flat), typical, "{anchor}, row {row}");
                }
                for flat in [Indicator::Sma5, Indicator::Sma20, Indicator::Linreg20] {
                    assert_eq!(of(flat), price, "{anchor}, row {row}");
                }
                for zero in [
                    Indicator::VwapSigma,
                    Indicator::VwapZ,
                    Indicator::Std5,
                    Indicator::Std20,
                    Indicator::Atr14,
                    Indicator::Momentum10,
                    Indicator::LinregSlope20,
                ] {
                    assert_eq!(of(zero), 0.0, "{anchor}, row {row}, {zero:?}");
                }
            }
        }
        for window in [3, 7, 50] {
            let last = |single: &dyn Transform| {
                let table = single.transform(series.view()).unwrap();
                table.values().row(399).to_vec()
            };
            assert_eq!(last(&Sma::new(window).unwrap()), [price]);
            assert_eq!(last(&RollingStd::new(window).unwrap()), [0.0]);
            assert_eq!(last(&LinearRegression::new(window).unwrap()), [price, 0.0]);
        }
    }
}

#[test]
fn a_flat_stretch_after_a_wild_one_is_flat_again() {
    let rows: Vec<_> = (0..300)
        .map(|i| if i < 150 { (1e-3 + f64::from(i * i), 3.0) } else { (7.3, f64::from(i)) })
        .collect();
    let table = indicators(VwapAnchor::Rolling(20), &flat(&rows));
    for zero in [Indicator::VwapSigma, Indicator::VwapZ, Indicator::Std20, Indicator::LinregSlope20]
    {
        assert!(column(&table, zero)[169..].iter().all(|&v| v == 0.0), "{zero:?}");
        assert!(column(&table, zero)[120..150].iter().all(|&v| v != 0.0), "{zero:?}");
    }
}

#[test]
fn windows_without_volume_weigh_their_rows_equally() {
    let rows =
        [(10.0, 0.0), (20.0, 0.0), (40.0, 2.0), (10.0, 0.0), (50.0, 6.0), (1.0, 0.0), (3.0, 0.0)];
    let vwap = |anchor| {
        let table = Vwap::new(anchor).unwrap().transform(flat(&rows).view()).unwrap();
        table.values().column(0).to_vec()
    };
    assert_eq!(vwap(VwapAnchor::Cumulative), [10.0, 15.0, 40.0, 40.0, 47.5, 47.5, 47.5]);
    let rolling = vwap(VwapAnchor::Rolling(2));
    assert!(rolling[0].is_nan());
    assert_eq!(rolling[1..], [15.0, 40.0, 40.0, 50.0, 50.0, 2.0]);
}

#[test]
fn a_session_forgets_the_one_before_even_its_volume() {
    // 85 candles of 17 minutes fill a day; the walk starts at 22:00 UTC.
    let series = Walk::new(200).idle(|i| (8..60).contains(&i)).series(3);
    let view = series.view();
    let day = |i: usize| view.open_time()[i].as_millis().div_euclid(86_400_000);
    let table = indicators(VwapAnchor::SESSION_UTC, &series);
    let starts: Vec<usize> = (1..200).filter(|&i| day(i) != day(i - 1)).collect();
    assert_eq!(starts[0], 8);
    let (vwap, typical) =
        (column(&table, Indicator::Vwap), column(&table, Indicator::TypicalPrice));
    for start in starts {
        assert_eq!(vwap[start], typical[start], "row {start}");
    }
    let equal = typical[8..20].iter().sum::<f64>() / 12.0;
    assert!((vwap[19] - equal).abs() < 1e-12, "{} for {equal}", vwap[19]);
}

#[test]
fn volumes_of_any_size_give_the_same_vwap() {
    let volume = |i: usize| ((i * 31) % 17) as f64 / 16.0;
    let price = |i: usize| 100.0 + ((i * 53) % 29) as f64;
    let at =
        |size: f64| -> Vec<(f64, f64)> { (0..400).map(|i| (price(i), volume(i) * size)).collect() };
    for anchor in ANCHORS {
        let usual = indicators(anchor, &flat(&at(1.0)));
        for size in [1e-290, 1e-200, 1e-9, 1e9, 1e200, 1e300] {
            let series = flat(&at(size));
            assert_finite(&series);
            let extreme = indicators(anchor, &series);
            for (a, b) in usual.values().iter().zip(extreme.values()) {
                let near = (a - b).abs() <= 1e-12 * a.abs().max(1.0) || (a.is_nan() && b.is_nan());
                assert!(near, "{anchor}, volumes of {size:e}: {b} for {a}");
            }
        }
    }
}

#[test]
fn volumes_of_all_sizes_at_once_stay_finite_and_inside_the_prices() {
    let sizes = [1e300, 1e-300, 0.0, 1.0, f64::MAX, 5e-324, 1e150, 1e-150, f64::MIN_POSITIVE];
    let rows: Vec<_> =
        (0..600).map(|i| (100.0 + f64::from(i % 7), sizes[(i * i) as usize % 9])).collect();
    let series = flat(&rows);
    assert_finite(&series);
    for anchor in ANCHORS {
        let vwap = column(&indicators(anchor, &series), Indicator::Vwap);
        let inside = |v: &f64| v.is_nan() || (100.0 - 1e-9..=106.0 + 1e-9).contains(v);
        assert!(vwap.iter().all(inside), "{anchor}");
    }
}

#[test]
fn an_offset_of_a_billion_leaves_z_right() {
    for anchor in ANCHORS {
        let plain = indicators(anchor, &Walk::new(3_000).scaled(100.0).series(21));
        let raised = indicators(anchor, &Walk::new(3_000).scaled(100.0).raised(1e9).series(21));
        let (a, b) = (column(&plain, Indicator::VwapZ), column(&raised, Indicator::VwapZ));
        // At 1e9 prices are rounded to 1e-7, which shows where a session has just begun and sigma
        // is small still; those rows are left out.
        let sigma = column(&plain, Indicator::VwapSigma);
        let mut compared = 0;
        for i in 100..3_000 {
            if sigma[i] < 5.0 {
                continue;
            }
            compared += 1;
            assert!((a[i] - b[i]).abs() < 1e-6, "{anchor}, row {i}: {} for {}", b[i], a[i]);
        }
        assert!(compared > 1_500, "{anchor}: {compared} rows");
    }
}

#[test]
fn prices_of_a_hundred_millionth_give_the_same_shape() {
    for anchor in ANCHORS {
        let plain = indicators(anchor, &Walk::new(800).series(22));
        let tiny = indicators(anchor, &Walk::new(800).scaled(1e-8).series(22));
        for indicator in Indicator::ALL {
            let factor = if indicator == Indicator::VwapZ { 1.0 } else { 1e8 };
            for (a, b) in column(&plain, indicator).iter().zip(column(&tiny, indicator)) {
                let near = (a - b * factor).abs() <= 1e-9 || a.is_nan() && b.is_nan();
                assert!(near, "{anchor}, {indicator:?}: {b} for {a}");
            }
        }
    }
}

#[test]
fn a_rolling_window_does_not_drift() {
    let series = Walk::new(300_000).series(33);
    let typical = |i: usize| {
        let view = series.view();
        (view.high()[i] + view.low()[i] + view.close()[i]) / 3.0
    };
    let table = Vwap::new(VwapAnchor::Rolling(96)).unwrap().transform(series.view()).unwrap();
    for i in (95..300_000).step_by(7_919).chain([299_999]) {
        let window = i - 95..=i;
        let volumes = &series.view().volume()[window.clone()];
        let total: f64 = volumes.iter().sum();
        let mean = window.clone().zip(volumes).map(|(i, v)| v * typical(i)).sum::<f64>() / total;
        let squares = window.zip(volumes).map(|(i, v)| v * (typical(i) - mean).powi(2));
        let sigma = (squares.sum::<f64>() / total).sqrt();
        let row = table.values().row(i).to_vec();
        assert!((row[0] - mean).abs() <= 1e-14 * mean, "row {i}");
        assert!((row[1] - sigma).abs() <= 1e-12 * sigma, "row {i}");
    }
}

#[test]
fn the_last_rows_of_the_degenerate_cases_equal_the_reference() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/degenerate.json");
    let text = std::fs::read_to_string(path).unwrap();
    let cases: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut compared = 0;
    for (name, case) in cases.as_object().unwrap() {
        let cell = |row: &serde_json::Value, j: usize| row[j].as_f64().unwrap_or(f64::NAN);
        let raw = case["input"].as_array().unwrap().iter().map(|row| RawCandle {
            open_time: Timestamp::from_millis(cell(row, 0) as i64),
            open: cell(row, 1),
            high: cell(row, 2),
            low: cell(row, 3),
            close: cell(row, 4),
            volume: cell(row, 5),
        });
        let (symbol, timeframe) = ("BTC/USDT".parse().unwrap(), "1h".parse().unwrap());
        let (series, _) = CandleSeries::from_raw(symbol, timeframe, raw, None);
        let table = indicators(VwapAnchor::Cumulative, &series);
        let Some(last) = table.n_rows().checked_sub(1) else {
            assert!(case["last"].is_null(), "{name}");
            continue;
        };
        let close = series.view().close()[last];
        for (key, indicator, tolerance) in [
            ("vwap", Indicator::Vwap, 1e-12 * close),
            ("sigma", Indicator::VwapSigma, 1e-9 * close.min(1e3)),
            ("z", Indicator::VwapZ, if name == "huge_offset" { 1e-6 } else { 1e-9 }),
            ("atr", Indicator::Atr14, 1e-12 * close),
        ] {
            let ours = table.values()[[last, indicator.index()]];
            match case["last"][key].as_f64() {
                None => assert!(ours.is_nan(), "{name}, {key}: {ours}"),
                Some(theirs) => {
                    compared += 1;
                    let near = (ours - theirs).abs() <= tolerance;
                    assert!(near, "{name}, {key}: {ours} for {theirs}");
                }
            }
        }
    }
    assert!(compared >= 38, "{compared} numbers compared");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn prop_ready_cells_are_finite_for_any_sane_price_and_any_volume(
        rows in prop::collection::vec((-9.0_f64..9.0, any::<f64>()), 1..260),
    ) {
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(exponent, v)| (10_f64.powf(exponent), if v.is_finite() { v.abs() } else { 0.0 }))
            .collect();
        assert_finite(&flat(&rows));
    }

    #[test]
    fn prop_bands_enclose_the_vwap_and_the_vwap_lies_inside_the_prices(
        seed: u64, window in 1_usize..200,
    ) {
        let series = Walk::new(400).idle(|i| i % 11 < 4).series(seed);
        let table = indicators(VwapAnchor::Rolling(window), &series);
        let of = |indicator: Indicator| column(&table, indicator);
        let (vwap, sigma, typical) =
            (of(Indicator::Vwap), of(Indicator::VwapSigma), of(Indicator::TypicalPrice));
        let (upper, lower) = (of(Indicator::VwapUpper2), of(Indicator::VwapLower2));
        for i in window - 1..400 {
            let rows = &typical[i + 1 - window..=i];
            let least = rows.iter().copied().fold(f64::INFINITY, f64::min);
            let most = rows.iter().copied().fold(0.0, f64::max);
            let slack = 1e-13 * most;
            prop_assert!(least - slack <= vwap[i] && vwap[i] <= most + slack);
            prop_assert!(sigma[i] >= 0.0 && sigma[i] <= 0.5 * (most - least) + slack);
            prop_assert!(lower[i] <= vwap[i] && vwap[i] <= upper[i]);
        }
    }
}
