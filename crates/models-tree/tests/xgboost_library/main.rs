//! Where XGBoost's library is absent, broken or of another version, our own booster speaks and says
//! why. A process of its own: elsewhere a library may be loaded.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use forecastle_core::{Dataset, Error, Fit, Load, Predict, PredictExt, Result, Rows};
use forecastle_models_tree::{
    AutoBoosting, AutoBoostingParams, BoostingEngine, XgboostError, XgboostLibrary, XgboostSearch,
    XgboostVersion,
};
use ndarray::{Array1, Array2};

/// A fresh folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("xgboost-library").join(name);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder.canonicalize().unwrap()
}

fn file_name() -> &'static str {
    if cfg!(windows) {
        "xgboost.dll"
    } else if cfg!(target_os = "macos") {
        "libxgboost.dylib"
    } else {
        "libxgboost.so"
    }
}

fn why(found: Result<XgboostLibrary>) -> XgboostError {
    match found.unwrap_err() {
        Error::Component { component: "XGBoost", source, .. } => {
            source.downcast_ref::<XgboostError>().unwrap().clone()
        }
        other => panic!("{other}"),
    }
}

/// A library with the given C source, or `None` with the reason printed where there is no compiler.
#[allow(clippy::print_stderr, reason = "says why a test did not run")]
fn compile(folder: &Path, source: &str) -> Option<PathBuf> {
    let (code, library) = (folder.join("fake.c"), folder.join(file_name()));
    fs::write(&code, source).unwrap();
    let run = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&code).status();
    if run.is_ok_and(|status| status.success()) {
        return Some(library);
    }
    eprintln!("skipped: no C compiler");
    None
}

fn of_version(folder: &Path, major: u32, minor: u32) -> Option<PathBuf> {
    let source = format!(
        "void XGBoostVersion(int *a, int *b, int *c) {{ *a = {major}; *b = {minor}; *c = 6; }}"
    );
    compile(folder, &source)
}

/// Fits with a search's outcome and checks that ours speaks; returns the reason.
fn fall_back(found: Result<XgboostLibrary>) -> String {
    let names = ["x".to_owned()];
    let records = Array2::from_shape_fn((300, 1), |(i, _)| i as f64);
    let targets = Array1::from_shape_fn(300, |i| f64::from(u8::from(i >= 150)));
    let rows = Rows::from(0..300);
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
    let params = AutoBoostingParams::default();
    let model = params.fit_found(found, dataset).unwrap();
    assert_eq!(model.engine(), "histogram gradient boosting, pure Rust");
    assert_eq!(model.as_boosting(), Some(&params.boosting.fit(dataset).unwrap()));
    let loaded = AutoBoosting::load(&model.save().unwrap()).unwrap();
    assert_eq!((loaded.engine(), loaded.reason()), (model.engine(), model.reason()));
    assert_eq!(loaded.predict(&records).unwrap(), model.predict(&records).unwrap());
    model.reason().to_owned()
}

#[test]
fn an_absent_library_is_told_with_the_places_tried() {
    let prefix = folder("absent");
    let search = XgboostSearch { prefixes: vec![prefix.clone()], ..Default::default() };
    let error = why(search.find());
    let XgboostError::NotFound { tried } = &error else { panic!("{error}") };
    assert!(tried.iter().any(|place| place.contains(prefix.to_str().unwrap())), "{error}");
    assert!(tried.iter().any(|place| place.contains("FORECASTLE_XGBOOST_LIB")), "{error}");
    assert_eq!(fall_back(search.find()), error.to_string());
    let missing = XgboostSearch { file: Some(prefix.join("no.so")), ..Default::default() };
    assert!(matches!(why(missing.find()), XgboostError::Broken { .. }));
    let nowhere = XgboostSearch::default().find();
    let asked = AutoBoostingParams { engine: BoostingEngine::Xgboost, ..Default::default() };
    let (names, rows) = (["x".to_owned()], Rows::from(0..3));
    let (records, targets) = (Array2::zeros((3, 1)), Array1::zeros(3));
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
    let told = asked.fit_found(nowhere, dataset);
    assert!(matches!(told, Err(Error::Component { component: "XGBoost", .. })));
}

#[test]
fn a_text_file_is_broken_and_not_a_crash() {
    let file = folder("text").join(file_name());
    fs::write(&file, "this is no library\n").unwrap();
    let search = XgboostSearch { file: Some(file.clone()), ..Default::default() };
    let error = why(search.find());
    assert!(matches!(&error, XgboostError::Broken { path, .. } if *path == file), "{error}");
    let reason = fall_back(search.find());
    assert!(reason.contains(file.to_str().unwrap()), "{reason}");
    fs::write(&file, "").unwrap();
    assert!(matches!(why(search.find()), XgboostError::Broken { .. }));
    let folder = XgboostSearch { file: Some(folder("folder")), ..Default::default() };
    assert!(matches!(why(folder.find()), XgboostError::Broken { .. }));
}

#[test]
fn other_versions_are_refused_with_their_number() {
    let Some(old) = of_version(&folder("old"), 1, 7) else { return };
    let error = why(XgboostLibrary::open(&old));
    let found = XgboostVersion { major: 1, minor: 7, patch: 6 };
    assert_eq!(error, XgboostError::Version { path: old.clone(), found });
    assert!(error.to_string().ends_with("is XGBoost 1.7.6, wanted is 2.0.0 to 3.4"), "{error}");
    let reason = fall_back(XgboostLibrary::open(&old));
    assert!(reason.contains("1.7.6"), "{reason}");
    let new = of_version(&folder("new"), 3, 5).unwrap();
    assert!(matches!(why(XgboostLibrary::open(new)), XgboostError::Version { .. }));
}

#[test]
fn a_library_that_lacks_functions_is_broken() {
    let Some(other) = compile(&folder("other"), "int nothing(void) { return 0; }") else { return };
    let error = why(XgboostLibrary::open(other)).to_string();
    assert!(error.contains("XGBoostVersion"), "{error}");
    let bare = of_version(&folder("bare"), 3, 2).unwrap();
    let error = why(XgboostLibrary::open(bare)).to_string();
    assert!(error.contains("it lacks XGBGetLastError"), "{error}");
}

#[test]
fn what_cannot_be_used_is_passed_over_and_told() {
    let prefix = folder("prefix");
    let put = |python: &str, packages: &str| {
        let lib = prefix.join("lib").join(python).join(packages).join("xgboost").join("lib");
        fs::create_dir_all(&lib).unwrap();
        fs::write(lib.join(file_name()), "text").unwrap();
        lib.join(file_name())
    };
    let files = [
        put("python3.12", "site-packages"),
        put("python3.9", "site-packages"),
        put("python3", "dist-packages"),
    ];
    fs::write(prefix.join("lib").join(file_name()), "text").unwrap();
    let prefixes = vec![folder("empty"), prefix.clone()];
    let error = why(XgboostSearch { prefixes, ..Default::default() }.find());
    let XgboostError::NotFound { tried } = &error else { panic!("{error}") };
    assert_eq!(tried.len(), 6, "{error}");
    // The newest Python first.
    for (place, file) in tried.iter().zip(&files) {
        assert!(place.contains(file.to_str().unwrap()), "{place}");
    }
}
