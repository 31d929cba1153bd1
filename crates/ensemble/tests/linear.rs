//! Ordinary least squares, ridge and the naive forecast against external numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::Read;

use forecastle_core::conformance::{ModelSuite, noise};
use forecastle_core::{
    Artifact, Dataset, Error, Fit, Load, Lookback, Predict, PredictExt, Result, Rows,
};
use forecastle_ensemble::{Naive, NaiveParams, Ols, OlsParams, Ridge, RidgeParams};
use ndarray::{Array1, Array2, array, s};

fn names(n: usize) -> Vec<String> {
    (0..n).map(|j| format!("x{j}")).collect()
}

fn close(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance * b.abs(), "{a:e} is not {b:e}");
}

fn load<T: Load + 'static>(artifact: &Artifact) -> Result<Box<dyn Predict>> {
    Ok(Box::new(T::load(artifact)?))
}

#[test]
fn ols_meets_nist_longley_to_nine_digits() {
    // Certified values: NIST StRD, Longley.
    let certified = [
        15.0618722713733,
        -0.0358191792925910,
        -2.02022980381683,
        -1.03322686717359,
        -0.0511041056535807,
        1829.15146461355,
    ];
    let data = include_str!("data/longley.csv");
    let lines = data.lines().filter(|l| !l.starts_with('#')).skip(1);
    let values: Vec<f64> = lines.flat_map(|l| l.split(',').map(|v| v.parse().unwrap())).collect();
    let table = Array2::from_shape_vec((16, 7), values).unwrap();
    let (records, targets) = (table.slice(s![.., 1..]).to_owned(), table.column(0).to_owned());
    let (names, rows) = (names(6), Rows::from(0..16));
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
    let ols = OlsParams::default().fit(dataset).unwrap();
    close(ols.intercept(), -3482258.63459582, 1e-10);
    for (found, wanted) in ols.coefficients().iter().zip(certified) {
        close(*found, wanted, 1e-10);
    }
    // A ridge without penalty is the same estimate by another road.
    let plain = RidgeParams { alpha: Some(0.0), clip: None, standardize: true };
    let ridge = plain.fit(dataset).unwrap();
    close(ridge.intercept(), -3482258.63459582, 1e-9);
    for (found, wanted) in ridge.coefficients().iter().zip(certified) {
        close(*found, wanted, 1e-9);
    }
}

/// Four columns of integers, the last nearly the first.
fn integers() -> (Array2<f64>, Array1<f64>, Array1<f64>) {
    let mix = |i: usize, a: usize, m: usize| (i * a % m) as f64;
    let records = Array2::from_shape_fn((60, 4), |(i, j)| match j {
        0 => mix(i, 37, 101) / 10.0,
        1 => mix(i * i, 13, 97) * 100.0,
        2 => (mix(i, 53, 89) - 44.0) / 1000.0,
        _ => mix(i, 37, 101) / 10.0 + (mix(i, 29, 61) - 30.0) * 1e-3,
    });
    let target = |i: usize| {
        let row = records.row(i);
        0.3 * row[0] - 0.002 * row[1] + 40.0 * row[2] + (mix(i, 71, 83) - 41.0) / 50.0
    };
    let targets = (0..60).map(target).collect();
    let weights = (0..60).map(|i| 1.0 + (i % 3) as f64).collect();
    (records, targets, weights)
}

#[allow(clippy::excessive_precision, reason = "printed with 17 digits by scikit-learn")]
#[test]
fn ridge_equals_scikit_learn() {
    // scikit-learn 1.9.1: StandardScaler, Ridge(solver="svd"), coefficients brought back to the
    // features' units; with and without sample_weight.
    let expected = [
        (
            0.5,
            false,
            [0.15057181866799063, -0.0020154657896644937, 38.609893976099386, 0.17161349392382513],
            0.0052505349080291808,
        ),
        (
            0.5,
            true,
            [0.12547780601142983, -0.0020187510717748478, 37.001489012376979, 0.19956879104572486],
            0.02450176067722154,
        ),
        (
            25.0,
            false,
            [0.12270409295381365, -0.0014361914009536484, 34.586519982055002, 0.1223401601501546],
            -2.3813568753760261,
        ),
        (
            25.0,
            true,
            [0.13432224164663142, -0.0016532003831720157, 36.742028087416152, 0.13508031226501749],
            -1.3992701311243207,
        ),
    ];
    let (records, targets, weights) = integers();
    let (names, rows) = (names(4), Rows::from(0..60));
    for (alpha, weighted, coefficients, intercept) in expected {
        let mut dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
        if weighted {
            dataset = dataset.with_weights(&weights).unwrap();
        }
        let params = RidgeParams { alpha: Some(alpha), clip: None, standardize: true };
        let ridge = params.fit(dataset).unwrap();
        for (found, wanted) in ridge.coefficients().iter().zip(coefficients) {
            close(*found, wanted, 1e-12);
        }
        assert!((ridge.intercept() - intercept).abs() < 1e-13 * 20.0, "{}", ridge.intercept());
    }
}

#[test]
fn ridge_equals_the_golden_predictions_on_btcusdt() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden/");
    let read = |name: &str| -> Option<Vec<csv::StringRecord>> {
        let file = std::fs::File::open(format!("{folder}binance_BTCUSDT_1h_last3000{name}.csv.gz"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(file.ok()?).read_to_string(&mut text).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        Some(reader.records().map(|r| r.unwrap()).collect())
    };
    let (Some(table), Some(golden)) = (read(""), read(".ridge")) else {
        eprintln!("skipped: the golden numbers are not on this machine");
        return;
    };
    let column = |name: &str| -> Array1<f64> {
        let j = table[0].iter().position(|c| c == name).unwrap();
        table[1..].iter().map(|r| r[j].parse().unwrap_or(f64::NAN)).collect()
    };
    let price = column("close");
    // The scale-free model features, from the golden indicators (cumulative VWAP).
    let mut columns = Vec::new();
    for name in [
        "open", "high", "low", "typical", "vwap", "sma5", "sma20", "lag1", "lag2", "lag3", "lag5",
        "lag10", "lag20",
    ] {
        columns.push((&column(name) / &price).ln());
    }
    for name in ["sigma", "std5", "std20", "atr", "mom5", "mom10"] {
        columns.push(&column(name) / &price);
    }
    columns.push(column("z"));
    let volume = column("volume");
    let mean = |t: usize| match t.checked_sub(19) {
        Some(from) => volume.slice(s![from..=t]).sum() / 20.0,
        None => f64::NAN,
    };
    columns.push((0..volume.len()).map(|t| volume[t].ln_1p() - mean(t).ln_1p()).collect());
    let views: Vec<_> = columns.iter().map(|c| c.view()).collect();
    let records = ndarray::stack(ndarray::Axis(1), &views).unwrap();
    let targets = column("target_logret_h5");
    // 70 % of the 2,975 labelled rows from row 20 on, less the 5 that the horizon purges.
    let (names, rows) = (names(records.ncols()), Rows::from(20..2097));
    let dataset = Dataset::new(&names, &records, &targets, &rows, 5).unwrap();
    let params = RidgeParams { alpha: Some(1.0), clip: None, standardize: true };
    let ridge = params.fit(dataset).unwrap();
    let predicted = ridge.predict(&records.slice(s![20.., ..])).unwrap();
    let wanted: Vec<(usize, f64)> =
        golden[1..].iter().map(|r| (r[0].parse().unwrap(), r[2].parse().unwrap())).collect();
    assert_eq!((wanted.len(), wanted[0].0), (893, 2102));
    let sd = Array1::from_iter(wanted.iter().map(|w| w.1)).std(0.0);
    for (row, value) in wanted {
        let difference = (predicted[row - 20] - value).abs() / sd;
        assert!(difference < 1e-9, "row {row}: {difference:e} sd");
    }
}

#[test]
fn ols_and_ridge_pass_the_model_suite() {
    let suite = || ModelSuite::new(noise(11, 300, 4).unwrap());
    suite().check(&OlsParams::default(), load::<Ols>).unwrap();
    suite().check(&RidgeParams::default(), load::<Ridge>).unwrap();
    let plain = RidgeParams { alpha: Some(0.0), clip: None, standardize: false };
    suite().check(&plain, load::<Ridge>).unwrap();
}

#[test]
fn the_naive_forecast_is_zero_for_every_row() {
    let (table, targets) = noise(3, 20, 2).unwrap();
    let rows = Rows::from(0..15);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let naive = NaiveParams::default().fit(dataset).unwrap();
    assert_eq!(naive.predict_table(&table).unwrap(), Array1::<f64>::zeros(20));
    assert_eq!(naive.lookback(), Lookback::Rows(1));
    let bytes = naive.save().unwrap().to_bytes().unwrap();
    assert_eq!(Naive::load(&Artifact::from_bytes(&bytes).unwrap()).unwrap(), naive);
    assert!(naive.predict(&array![[1.0]]).is_err());
    let ols = OlsParams::default().fit(dataset).unwrap();
    assert!(Naive::load(&ols.save().unwrap()).is_err());
    let none = Rows::default();
    let empty = Dataset::from_table(&table, &targets, &none, 1).unwrap();
    assert!(NaiveParams::default().fit(empty).unwrap_err().is_not_enough_data());
}

#[test]
fn dependent_and_constant_columns_do_no_harm() {
    let base = integers();
    let targets = base.1;
    let mut records = Array2::zeros((60, 6));
    records.slice_mut(s![.., ..3]).assign(&base.0.slice(s![.., ..3]));
    let sum = &base.0.column(0) * 2.0 - base.0.column(2);
    records.column_mut(3).assign(&sum);
    records.column_mut(4).fill(0.1);
    records.column_mut(5).assign(&base.0.column(1));
    let (six, three, rows) = (names(6), names(3), Rows::from(0..60));
    let narrow = records.slice(s![.., ..3]).to_owned();
    let dataset = Dataset::new(&six, &records, &targets, &rows, 1).unwrap();
    let small = Dataset::new(&three, &narrow, &targets, &rows, 1).unwrap();
    let wanted = OlsParams::default().fit(small).unwrap().predict(&narrow).unwrap();
    let ols = OlsParams::default().fit(dataset).unwrap();
    assert_eq!(ols.coefficients()[3..], [0.0, 0.0, 0.0]);
    let without_penalty = RidgeParams { alpha: Some(0.0), clip: None, standardize: true };
    for predicted in [
        ols.predict(&records).unwrap(),
        without_penalty.fit(dataset).unwrap().predict(&records).unwrap(),
    ] {
        assert!((&predicted - &wanted).iter().all(|d| d.abs() < 1e-10));
    }
    let ridge = RidgeParams::default().fit(dataset).unwrap();
    assert_eq!(ridge.coefficients()[4], 0.0);
    close(ridge.coefficients()[1], ridge.coefficients()[5], 1e-9);
}

#[test]
fn a_wick_of_ninety_deviations_counts_as_five() {
    let (table, targets) = noise(5, 400, 2).unwrap();
    let rows = Rows::from(0..400);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let column = table.values().column(0);
    let (mean, sd) = (column.sum() / 400.0, column.std(0.0));
    let wick = |deviations: f64| array![[mean + deviations * sd, 0.0]];
    let clipped = RidgeParams::default().fit(dataset).unwrap();
    let told = |ridge: &Ridge, deviations| ridge.predict(&wick(deviations)).unwrap()[0];
    assert_eq!(told(&clipped, 90.0), told(&clipped, 6.0));
    close(told(&clipped, 90.0), told(&clipped, 5.0), 1e-12);
    let params = RidgeParams { clip: None, ..Default::default() };
    let unclipped = params.fit(dataset).unwrap();
    assert!(told(&unclipped, 90.0) > 10.0 * told(&clipped, 90.0));
}

#[test]
fn the_default_penalty_is_the_number_of_standardised_rows() {
    let (table, targets) = noise(5, 400, 3).unwrap();
    let rows = Rows::from(0..300);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let ridge = RidgeParams { clip: None, ..Default::default() }.fit(dataset).unwrap();
    close(ridge.alpha(), 300.0, 1e-12);
    let loaded = Ridge::load(&ridge.save().unwrap()).unwrap();
    assert_eq!(loaded, ridge);
}

#[test]
fn bad_parameters_and_overflowing_columns_are_errors() {
    let (table, targets) = noise(5, 40, 3).unwrap();
    let rows = Rows::from(0..40);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let fit = |alpha, clip| RidgeParams { alpha, clip, standardize: true }.fit(dataset);
    let message = fit(Some(-1.0), None).unwrap_err().to_string();
    assert_eq!(message, "parameter `alpha` must be >= 0, got -1");
    for (alpha, clip) in [(Some(f64::NAN), None), (Some(f64::INFINITY), None), (None, Some(-1.0))] {
        assert!(matches!(fit(alpha, clip), Err(Error::InvalidParameter { .. })));
    }
    let zero = Array1::zeros(40);
    let weightless = dataset.with_weights(&zero).unwrap();
    assert!(matches!(RidgeParams::default().fit(weightless), Err(Error::InvalidParameter { .. })));
    let huge = table.values() * 1e300;
    let overflowing = Dataset::new(table.names(), &huge, &targets, &rows, 1).unwrap();
    assert!(matches!(OlsParams::default().fit(overflowing), Err(Error::Numerical { .. })));
    let plain = RidgeParams { standardize: false, ..Default::default() };
    assert!(matches!(plain.fit(overflowing), Err(Error::Numerical { .. })));
    let three = Rows::from(0..3);
    let short = OlsParams::default().fit(dataset.with_rows(&three).unwrap()).unwrap_err();
    assert_eq!(short.to_string(), "ols needs at least 4 rows, got 3");
}

#[test]
fn unknown_keys_are_refused() {
    let params: RidgeParams = serde_json::from_str(r#"{"alpha": 2.0}"#).unwrap();
    assert_eq!((params.alpha, params.clip), (Some(2.0), Some(5.0)));
    assert!(serde_json::from_str::<RidgeParams>(r#"{"alhpa": 2.0}"#).is_err());
    assert!(serde_json::from_str::<OlsParams>(r#"{"alpha": 2.0}"#).is_err());
}
