//! Every transform keeps the contract of the core trait: shapes, warm-up, batch == stream bit for
//! bit, causality at random cuts.

use crate::series::Walk;
use forecastle_core::conformance::transform;
use forecastle_core::{CandleSeries, Transform, TransformExt};
use forecastle_features::{
    Atr, Indicators, Lag, LinearRegression, LogClose, ModelFeatures, ModelFeaturesParams, Momentum,
    PriceIndicators, RollingStd, SessionOffset, Sma, TrueRange, Vwap, VwapAnchor,
};
use proptest::prelude::*;

pub(crate) fn anchors() -> Vec<VwapAnchor> {
    let offset = SessionOffset::from_minutes(-330).unwrap();
    let windows = [1, 2, 3, 19, 20, 21, 22, 96, 700, 2_047, 2_048, 2_049, 5_000];
    let mut anchors = windows.map(VwapAnchor::Rolling).to_vec();
    anchors.extend([VwapAnchor::SESSION_UTC, VwapAnchor::Session { offset }]);
    anchors.push(VwapAnchor::Cumulative);
    anchors
}

fn singles() -> Vec<Box<dyn Transform>> {
    let mut all: Vec<Box<dyn Transform>> = vec![
        Box::new(TrueRange::new()),
        Box::new(LogClose::new()),
        Box::new(PriceIndicators::new()),
    ];
    for n in [1, 2, 5, 14, 20, 300] {
        all.push(Box::new(Sma::new(n).unwrap()));
        all.push(Box::new(RollingStd::with_ddof(n, 0).unwrap()));
        all.push(Box::new(RollingStd::new(n + 1).unwrap()));
        all.push(Box::new(Atr::new(n).unwrap()));
        all.push(Box::new(Momentum::new(n).unwrap()));
        all.push(Box::new(Lag::new(n).unwrap()));
        all.push(Box::new(LinearRegression::new(n + 1).unwrap()));
    }
    all
}

fn anchored(vwap: VwapAnchor) -> Vec<Box<dyn Transform>> {
    let coded = ModelFeaturesParams { vwap, direction_code: true, position_code: true };
    vec![
        Box::new(Vwap::new(vwap).unwrap()),
        Box::new(Indicators::new(vwap).unwrap()),
        Box::new(ModelFeatures::new(vwap).unwrap()),
        Box::new(ModelFeatures::with_params(coded).unwrap()),
    ]
}

/// Volume always, sometimes, never, only at first, only at last.
pub(crate) fn all_series(rows: usize) -> Vec<CandleSeries> {
    let walk = Walk::new(rows);
    vec![
        walk.clone().series(1),
        walk.clone().idle(|i| i % 7 == 3 || (200..420).contains(&i)).series(2),
        walk.clone().idle(|_| true).series(3),
        walk.clone().idle(move |i| i > rows / 3).series(4),
        walk.idle(move |i| i < rows / 2).series(5),
    ]
}

#[test]
fn every_single_indicator_keeps_the_contract() {
    for series in all_series(2_200) {
        for single in singles() {
            transform(&*single, &series, 6, 11).unwrap_or_else(|e| panic!("{single:?}: {e}"));
        }
    }
}

#[test]
fn everything_with_an_anchor_keeps_the_contract_over_every_anchor() {
    for series in all_series(4_400) {
        for anchor in anchors() {
            for each in anchored(anchor) {
                transform(&*each, &series, 5, 17).unwrap_or_else(|e| panic!("{anchor}: {e}"));
            }
        }
    }
}

#[test]
fn fewer_candles_than_any_window_give_unready_rows_and_no_panic() {
    for rows in 0..24 {
        for series in all_series(rows) {
            for anchor in anchors() {
                for each in anchored(anchor).into_iter().chain(singles()) {
                    transform(&*each, &series, 3, 5).unwrap_or_else(|e| panic!("{anchor}: {e}"));
                }
            }
        }
    }
}

#[test]
fn shared_columns_carry_the_bits_of_the_single_transforms() {
    let series = Walk::new(2_500).idle(|i| i % 5 == 0).series(9);
    let anchor = VwapAnchor::Rolling(96);
    let indicators = Indicators::new(anchor).unwrap().transform(series.view()).unwrap();
    let singles: [Box<dyn Transform>; 11] = [
        Box::new(PriceIndicators::new()),
        Box::new(Vwap::new(anchor).unwrap()),
        Box::new(Atr::new(14).unwrap()),
        Box::new(Momentum::new(5).unwrap()),
        Box::new(Momentum::new(10).unwrap()),
        Box::new(Lag::new(1).unwrap()),
        Box::new(Lag::new(2).unwrap()),
        Box::new(Lag::new(3).unwrap()),
        Box::new(Lag::new(5).unwrap()),
        Box::new(Lag::new(10).unwrap()),
        Box::new(Lag::new(20).unwrap()),
    ];
    for single in singles {
        let table = single.transform(series.view()).unwrap();
        for name in table.names() {
            let (a, b) = (indicators.column(name).unwrap(), table.column(name).unwrap());
            let same = a
                .iter()
                .zip(b)
                .all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan());
            assert!(same, "{name}");
        }
    }
}

#[test]
fn means_deviations_and_regression_equal_the_single_transforms_to_rounding() {
    let series = Walk::new(3_000).series(10);
    let indicators = Indicators::default().transform(series.view()).unwrap();
    let singles: [Box<dyn Transform>; 5] = [
        Box::new(Sma::new(5).unwrap()),
        Box::new(Sma::new(20).unwrap()),
        Box::new(RollingStd::new(5).unwrap()),
        Box::new(RollingStd::new(20).unwrap()),
        Box::new(LinearRegression::new(20).unwrap()),
    ];
    for single in singles {
        let table = single.transform(series.view()).unwrap();
        for name in table.names() {
            let (a, b) = (indicators.column(name).unwrap(), table.column(name).unwrap());
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                let close = series.view().close()[i];
                let near = (a - b).abs() <= 4e-15 * close || (a.is_nan() && b.is_nan());
                assert!(near, "{name}, row {i}: {a:e} and {b:e}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn prop_batch_equals_stream_and_nothing_looks_ahead(
        rows in 0_usize..2_800,
        seed: u64,
        window in 1_usize..1_000,
        every in 1_usize..40,
        burst in 0_usize..200,
    ) {
        let series = Walk::new(rows).idle(|i| i % every == 0 || i % 300 < burst).series(seed);
        let offset = SessionOffset::from_minutes((seed % 2_879) as i32 - 1_439).unwrap();
        for anchor in
            [VwapAnchor::Rolling(window), VwapAnchor::Session { offset }, VwapAnchor::Cumulative]
        {
            for each in anchored(anchor) {
                let verdict = transform(&*each, &series, 4, seed);
                prop_assert!(verdict.is_ok(), "{anchor}: {}", verdict.unwrap_err());
            }
        }
    }
}
