//! Against XGBoost's Python package: numbers that ship, and the package itself where it runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use forecastle_core::{Fit, Load, Predict, PredictExt, Rows};
use forecastle_models_tree::{Xgboost, XgboostLibrary, XgboostParams};
use serde_json::Value;

use crate::sample::{Sample, cases, holed, library, plain, sampled, skip};

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn shares(value: &Value) -> Vec<f64> {
    let numbers = numbers(value);
    let total: f64 = numbers.iter().sum();
    numbers.iter().map(|v| v / total).collect()
}

fn close(name: &str, told: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(told.len(), expected.len(), "{name}");
    for (i, (a, b)) in told.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{name}, {i}: {a}, Python {b}");
    }
}

/// Fits every case and compares what Python says of it.
fn compare(library: &XgboostLibrary, python: &Value, every: usize, tolerance: f64) {
    for (name, sample, params) in cases() {
        let model = sample.fit(library, params);
        let expected = &python["cases"][name];
        assert_eq!(model.n_trees() as u64, expected["rounds"].as_u64().unwrap(), "{name}");
        let told = model.predict(&sample.records).unwrap();
        let told: Vec<f64> = told.iter().copied().step_by(every).collect();
        close(name, &told, &numbers(&expected["predictions"]), tolerance);
        // XGBoost sums gains in 32 bits.
        let mean = model.mean_gain_importance().to_vec();
        close(name, &mean, &shares(&expected["gain"]), 1e-6);
        let total = model.gain_importance().to_vec();
        close(name, &total, &shares(&expected["total_gain"]), 1e-6);
    }
}

#[test]
fn predictions_are_those_that_python_gave_with_the_same_version() {
    let Some(library) = library() else { return };
    let version = library.version().to_string();
    let shipped = [
        include_str!("predictions-2.0.3.json"),
        include_str!("predictions-3.2.0.json"),
        include_str!("predictions-3.4.1.json"),
    ];
    let mut parsed = shipped.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
    match parsed.find(|python| python["version"] == version.as_str()) {
        Some(python) => compare(&library, &python, 25, 1e-6),
        None => skip(&format!("no numbers of XGBoost {version} are shipped")),
    }
}

/// What the Python package of this very library says, or why it says nothing.
fn ask_python(library: &XgboostLibrary, folder: &Path) -> Result<Value, String> {
    // The package lies around its library: FOLDER/xgboost/lib/libxgboost.so.
    let package: Option<PathBuf> = library.path().ancestors().nth(3).map(Path::to_owned);
    let package = package.filter(|folder| folder.join("xgboost/__init__.py").is_file());
    let package = package.ok_or("the library belongs to no Python package")?;
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/xgboost/predictions.py");
    let output = Command::new(&python)
        .env("PYTHONPATH", package)
        .args([script.as_path(), folder])
        .output()
        .map_err(|error| format!("{python}: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("ModuleNotFoundError") {
        return Err(format!("{python}: {}", errors.lines().last().unwrap_or_default()));
    }
    assert!(output.status.success(), "{errors}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let used = Path::new(told["library"].as_str().unwrap()).canonicalize().unwrap();
    assert_eq!(used, library.path());
    Ok(told)
}

#[test]
fn predictions_equal_pythons_bit_for_bit_and_models_go_both_ways() {
    let Some(library) = library() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("xgboost-python");
    std::fs::create_dir_all(&folder).unwrap();
    let sample = holed();
    let ours = sample.fit(&library, plain());
    std::fs::write(folder.join("ours.json"), ours.to_json().unwrap()).unwrap();
    std::fs::write(folder.join("ours.ubj"), ours.to_ubj().unwrap()).unwrap();
    let python = match ask_python(&library, &folder) {
        Ok(python) => python,
        Err(reason) => return skip(&reason),
    };
    compare(&library, &python, 1, 0.0);
    // Ours in Python.
    let told = ours.predict(&sample.records).unwrap().to_vec();
    for form in ["ours_json", "ours_ubj"] {
        assert_eq!(numbers(&python[form]), told, "{form}");
    }
    // Trained on from a model of other rows.
    let moved = Sample { rows: Rows::from(100..550), ..sample.clone() };
    for (name, params) in [("plain", plain()), ("sampled", sampled())] {
        let start = sample.fit(&library, XgboostParams { n_rounds: 20, ..params });
        let more = XgboostParams { n_rounds: 15, ..params };
        let told = more.fit_from(moved.dataset(), &start).unwrap().predict(&sample.records);
        let expected = numbers(&python[format!("continued_{name}").as_str()]);
        assert_eq!(told.unwrap().to_vec(), expected, "{name}");
    }
    // Python's with us, and through our own files.
    for (name, sample, _) in cases() {
        let file = |form: &str| std::fs::read(folder.join(format!("{name}.{form}"))).unwrap();
        let text = String::from_utf8(file("json")).unwrap();
        let expected = numbers(&python["cases"][name]["predictions"]);
        for model in [
            Xgboost::from_json(&library, &text).unwrap(),
            Xgboost::from_ubj(&library, &file("ubj")).unwrap(),
        ] {
            assert_eq!(model.feature_names(), sample.names);
            assert_eq!((model.params(), model.fitted_by()), (None, library.version()));
            assert_eq!(model.predict(&sample.records).unwrap().to_vec(), expected, "{name}");
            let again = Xgboost::load(&model.save().unwrap()).unwrap();
            assert_eq!(again.predict(&sample.records).unwrap().to_vec(), expected, "{name}");
        }
    }
}
