//! Against the XGBoost of a Python named by `FORECASTLE_XGBOOST_PYTHON`.

use std::process::Command;

use forecastle_core::{Predict, PredictExt};
use forecastle_models_tree::Boosting;
use serde_json::{Value, json};

use crate::exported::{ours, parameter_sets};
use crate::fixtures::{NAMES, distance, load, numbers, table};

/// Loads each model, predicts and explains its rows, and saves it again.
const SCRIPT: &str = r#"
import json, sys, numpy, xgboost
told = []
for case in json.load(open(sys.argv[1])):
    model = xgboost.Booster()
    model.load_model(bytearray(case["model"], "utf-8"))
    rows = numpy.array([[numpy.nan if v is None else v for v in row] for row in case["records"]])
    rows = xgboost.DMatrix(rows, feature_names=case["names"])
    again = model.save_raw("json").decode()
    shap = model.predict(rows, pred_contribs=True).tolist()
    told.append({"predictions": model.predict(rows).tolist(), "model": again, "shap": shap})
json.dump(told, open(sys.argv[2], "w"))
print(xgboost.__version__)
"#;

#[test]
fn models_of_ours_predict_and_explain_the_same_in_python_and_come_back() {
    let Ok(python) = std::env::var("FORECASTLE_XGBOOST_PYTHON") else {
        println!("skipped: FORECASTLE_XGBOOST_PYTHON names no Python with xgboost");
        return;
    };
    let models = parameter_sets().into_iter().map(ours);
    let imported = NAMES.map(load).into_iter().map(|fixture| (fixture.model, fixture.records));
    let models: Vec<_> = models.chain(imported).collect();
    let case = |(model, records): &(Boosting, ndarray::Array2<f64>)| {
        let rows: Vec<Vec<f64>> = records.rows().into_iter().map(|row| row.to_vec()).collect();
        let text = String::from_utf8(model.to_xgboost_json().unwrap()).unwrap();
        json!({ "model": text, "records": rows, "names": model.feature_names() })
    };
    let cases: Vec<Value> = models.iter().map(case).collect();
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (asked, answered) = (folder.join("asked.json"), folder.join("answered.json"));
    std::fs::write(&asked, json!(cases).to_string()).unwrap();
    let run = Command::new(python).args(["-c", SCRIPT]).arg(&asked).arg(&answered).output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    println!("XGBoost {}", String::from_utf8_lossy(&run.stdout).trim());
    let told: Value = serde_json::from_slice(&std::fs::read(&answered).unwrap()).unwrap();
    let (mut worst, mut worst_shap) = (0.0_f64, 0.0_f64);
    for (i, (model, records)) in models.iter().enumerate() {
        let predicted = model.predict(records).unwrap();
        let theirs = distance(&numbers(&told[i]["predictions"]), &predicted);
        let again = told[i]["model"].as_str().unwrap();
        let again = Boosting::from_xgboost_json(again.as_bytes(), None).unwrap();
        let back = distance(&again.predict(records).unwrap(), &predicted);
        let mut values = ndarray::Array2::zeros((records.nrows(), records.ncols() + 1));
        model.shap_values_into(records, &mut values).unwrap();
        let shap = distance(&table(&told[i]["shap"]), &values);
        worst = worst.max(theirs).max(back);
        worst_shap = worst_shap.max(shap);
        assert!(shap < 1e-5, "model {i}: SHAP values differ by {shap:e}");
        assert!(theirs < 1e-6 && back < 1e-6, "model {i}: {theirs:e} there, {back:e} back");
    }
    println!("{} models, largest difference {worst:e}, SHAP {worst_shap:e}", models.len());
}
