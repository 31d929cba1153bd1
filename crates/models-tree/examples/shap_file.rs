//! Explains rows with an XGBoost model and prints the time of it as one line of JSON;
//! `benches/compare_shap.py` runs it beside XGBoost's `pred_contribs`.
//!
//!     shap_file MODEL.json ROWS THREADS REPEATS OUT
//!
//! ROWS: row-major little-endian `f32`. OUT: the values, an expected value last in each row, as
//! little-endian `f64`.

#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::time::Instant;

use forecastle_core::Predict;
use forecastle_models_tree::Boosting;
use ndarray::Array2;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, threads, repeats, out] = arguments.as_slice() else {
        return Err("shap_file MODEL.json ROWS THREADS REPEATS OUT".into());
    };
    let model = Boosting::from_xgboost_json(&std::fs::read(model)?, None)?;
    let bytes = std::fs::read(rows)?;
    let words = bytes.chunks_exact(4).filter_map(|word| word.try_into().ok());
    let numbers: Vec<f64> = words.map(|word| f64::from(f32::from_le_bytes(word))).collect();
    let width = model.n_features();
    let records = Array2::from_shape_vec((numbers.len() / width, width), numbers)?;
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;

    let mut values = Array2::zeros((records.nrows(), width + 1));
    let mut all_s = f64::INFINITY;
    let mut one_row_us = f64::INFINITY;
    for _ in 0..repeats.parse()? {
        let start = Instant::now();
        model.shap_values_into(&records, &mut values)?;
        all_s = all_s.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        model.shap_values(&records.row(0).to_vec())?;
        one_row_us = one_row_us.min(start.elapsed().as_secs_f64() * 1e6);
    }
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(out, bytes)?;
    let row_us = all_s * 1e6 / records.nrows() as f64;
    println!("{{\"row_us\":{row_us},\"one_row_us\":{one_row_us}}}");
    Ok(())
}
