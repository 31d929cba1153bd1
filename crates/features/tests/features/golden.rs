//! Full-precision numbers of an independent reference (Python, two-pass or 80-bit arithmetic,
//! cross-checked with TA-Lib 0.8.2): 40 hand-checkable candles, and 3,000 real ones when present.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use forecastle_core::{Candle, CandleSeries, FeatureTable, Timestamp, Transform, TransformExt};
use forecastle_features::{
    Indicators, ModelFeatures, RollingStd, TrueRange, Vwap, VwapAnchor, global_vwap,
};

use crate::series;

struct Golden {
    columns: BTreeMap<String, Vec<Option<f64>>>,
    candles: CandleSeries,
    /// The largest typical price: "relative to the column's price scale".
    scale: f64,
}

impl Golden {
    fn read(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap().split(',').collect();
        let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
        let columns: BTreeMap<String, Vec<Option<f64>>> = header
            .iter()
            .enumerate()
            .map(|(j, name)| {
                // Text cells of discrete columns parse to nothing and are not compared here.
                let cells = rows.iter().map(|row| row[j].parse().ok());
                ((*name).to_owned(), cells.collect())
            })
            .collect();
        let of = |name: &str, i: usize| columns[name][i].unwrap();
        let candles = (0..rows.len()).map(|i| {
            let time = Timestamp::from_millis(of("timestamp", i) as i64);
            let [o, h, l, c, v] =
                ["open", "high", "low", "close", "volume"].map(|name| of(name, i));
            Candle::new(time, o, h, l, c, v).unwrap()
        });
        let candles = series::of(candles.collect());
        let scale = candles.view().high().iter().copied().fold(0.0, f64::max);
        Some(Self { columns, candles, scale })
    }

    fn table(&self, transform: &dyn Transform) -> FeatureTable {
        transform.transform(self.candles.view()).unwrap()
    }

    /// Compares a column with the golden one: ready in the same rows, equal to `tolerance`.
    fn check(&self, table: &FeatureTable, name: &str, golden: &str, tolerance: f64) {
        let ours = table.column(name).unwrap();
        let theirs = &self.columns[golden];
        assert_eq!(ours.len(), theirs.len());
        for (i, (&ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            let Some(theirs) = theirs else {
                assert!(ours.is_nan(), "{name}, row {i}: {ours} where {golden} is undefined");
                continue;
            };
            let error = (ours - theirs).abs();
            assert!(error <= tolerance, "{name}, row {i}: {ours} for {theirs}, off by {error:e}");
        }
    }
}

/// The shipped file, and the real one where the project's shared data is at hand.
fn goldens() -> Vec<Golden> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    // Part of the repository.
    let shipped = Golden::read(&root.join("tests/data/tiny40.csv.gz"));
    let mut all = vec![shipped.unwrap()];
    let real = root.join("../shared/golden/binance_BTCUSDT_1h_last3000.csv.gz");
    match Golden::read(&real) {
        Some(golden) => all.push(golden),
        None => eprintln!("the golden file of BTCUSDT is not at hand: checked tiny40 alone"),
    }
    all
}

#[test]
fn every_indicator_equals_the_reference() {
    for golden in goldens() {
        let table = golden.table(&Indicators::new(VwapAnchor::Cumulative).unwrap());
        let scale = golden.scale;
        for (name, reference, tolerance) in [
            ("typical_price", "typical", 1e-15 * scale),
            ("vwap", "vwap", 1e-12 * scale),
            ("vwap_sigma", "sigma", 1e-12 * scale),
            ("vwap_upper_1", "upper1", 1e-12 * scale),
            ("vwap_lower_1", "lower1", 1e-12 * scale),
            ("vwap_upper_2", "upper2", 1e-12 * scale),
            ("vwap_lower_2", "lower2", 1e-12 * scale),
            ("vwap_z", "z", 1e-9),
            ("sma_5", "sma5", 1e-12 * scale),
            ("sma_20", "sma20", 1e-12 * scale),
            ("std_5", "std5", 1e-12 * scale),
            ("std_20", "std20", 1e-12 * scale),
            ("atr_14", "atr", 1e-12 * scale),
            ("momentum_5", "mom5", 0.0),
            ("momentum_10", "mom10", 0.0),
            ("close_lag_1", "lag1", 0.0),
            ("close_lag_2", "lag2", 0.0),
            ("close_lag_3", "lag3", 0.0),
            ("close_lag_5", "lag5", 0.0),
            ("close_lag_10", "lag10", 0.0),
            ("close_lag_20", "lag20", 0.0),
            ("linreg_slope_20", "lr_slope", 1e-12 * scale),
        ] {
            golden.check(&table, name, reference, tolerance);
        }
        let (line, slope) = (table.column("linreg_20"), table.column("linreg_slope_20"));
        let (line, slope) = (line.unwrap(), slope.unwrap());
        for (i, target) in golden.columns["lr_target"].iter().enumerate() {
            let ahead = line[i] + 5.0 * slope[i];
            match target {
                None => assert!(ahead.is_nan(), "row {i}"),
                Some(target) => assert!((ahead - target).abs() <= 1e-11 * scale, "row {i}"),
            }
        }
    }
}

#[test]
fn vwap_equals_the_reference_over_every_anchor() {
    for golden in goldens() {
        for (anchor, vwap, sigma) in [
            (VwapAnchor::Cumulative, "vwap", "sigma"),
            (VwapAnchor::SESSION_UTC, "vwap_session", "sigma_session"),
            (VwapAnchor::Rolling(20), "vwap_rolling20", "sigma_rolling20"),
            (VwapAnchor::Rolling(96), "vwap_rolling96", "sigma_rolling96"),
        ] {
            let table = golden.table(&Vwap::new(anchor).unwrap());
            golden.check(&table, "vwap", vwap, 1e-12 * golden.scale);
            golden.check(&table, "vwap_sigma", sigma, 1e-12 * golden.scale);
        }
    }
}

#[test]
fn the_whole_windows_vwap_equals_the_reference() {
    for golden in goldens() {
        let global = global_vwap(golden.candles.view()).unwrap();
        let last = golden.table(&Vwap::new(VwapAnchor::Cumulative).unwrap());
        let last = last.values().row(last.n_rows() - 1).to_vec();
        assert_eq!([global.vwap, global.sigma], last[..2]);
        let reference = |name: &str| golden.columns[name][0].unwrap();
        assert!((global.vwap - reference("vwap_global")).abs() <= 1e-12 * golden.scale);
        assert!((global.sigma - reference("sigma_global")).abs() <= 1e-12 * golden.scale);
    }
}

#[test]
fn true_range_and_population_deviations_equal_the_reference() {
    for golden in goldens() {
        let tolerance = 1e-12 * golden.scale;
        golden.check_from(1, &golden.table(&TrueRange::new()), "true_range", "tr");
        for window in [5, 20] {
            let table = golden.table(&RollingStd::with_ddof(window, 0).unwrap());
            let (ours, theirs) = (format!("std_{window}_ddof0"), format!("std{window}_ddof0"));
            golden.check(&table, &ours, &theirs, tolerance);
            let table = golden.table(&RollingStd::new(window).unwrap());
            let (ours, theirs) = (format!("std_{window}"), format!("std{window}"));
            golden.check(&table, &ours, &theirs, tolerance);
        }
    }
}

impl Golden {
    fn check_from(&self, first: usize, table: &FeatureTable, name: &str, golden: &str) {
        let ours = table.column(name).unwrap();
        for (i, theirs) in self.columns[golden].iter().enumerate().skip(first) {
            assert_eq!(Some(ours[i]), *theirs, "{name}, row {i}");
        }
        assert!(ours.iter().take(first).all(|v| v.is_nan()));
    }
}

#[test]
fn model_features_are_the_references_columns_made_scale_free() {
    for golden in goldens() {
        let table = golden.table(&ModelFeatures::new(VwapAnchor::Cumulative).unwrap());
        let close = golden.candles.view().close();
        let of = |name: &str, i: usize| golden.columns[name][i];
        for (name, reference) in [
            ("open_log_ratio", "open"),
            ("high_log_ratio", "high"),
            ("low_log_ratio", "low"),
            ("typical_price_log_ratio", "typical"),
            ("vwap_log_ratio", "vwap"),
            ("sma_5_log_ratio", "sma5"),
            ("sma_20_log_ratio", "sma20"),
            ("close_lag_1_log_ratio", "lag1"),
            ("close_lag_2_log_ratio", "lag2"),
            ("close_lag_3_log_ratio", "lag3"),
            ("close_lag_5_log_ratio", "lag5"),
            ("close_lag_10_log_ratio", "lag10"),
            ("close_lag_20_log_ratio", "lag20"),
            ("vwap_sigma_ratio", "sigma"),
            ("std_5_ratio", "std5"),
            ("std_20_ratio", "std20"),
            ("atr_14_ratio", "atr"),
            ("momentum_5_ratio", "mom5"),
            ("momentum_10_ratio", "mom10"),
            ("vwap_z", "z"),
        ] {
            for (i, &ours) in table.column(name).unwrap().iter().enumerate() {
                let Some(raw) = of(reference, i) else {
                    assert!(ours.is_nan(), "{name}, row {i}");
                    continue;
                };
                let theirs = match name {
                    "vwap_z" => raw,
                    _ if name.ends_with("_log_ratio") => raw.ln() - close[i].ln(),
                    _ => raw / close[i],
                };
                assert!((ours - theirs).abs() < 1e-11, "{name}, row {i}: {ours} for {theirs}");
            }
        }
        let volume = golden.candles.view().volume();
        let ratios = table.column("volume_log_ratio").unwrap();
        assert!(ratios.iter().take(19).all(|v| v.is_nan()));
        for i in 19..volume.len() {
            let mean = volume[i - 19..=i].iter().sum::<f64>() / 20.0;
            let theirs = (1.0 + volume[i]).ln() - (1.0 + mean).ln();
            assert!((ratios[i] - theirs).abs() < 1e-12, "row {i}");
        }
    }
}
