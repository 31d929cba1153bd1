//! Trains on a binary file and prints times and error as one line of JSON;
//! `benches/compare_xgboost.py` runs it beside XGBoost on the same file.
//!
//!     boosting_file FILE TRAIN_ROWS THREADS [REPEATS]
//!
//! The file: rows, test rows and features as little-endian `u32`, then row-major `f32` features of
//! all rows, then their `f32` targets.

#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::time::Instant;

use forecastle_core::{Dataset, Fit, PredictExt, Rows};
use forecastle_models_tree::BoostingParams;
use ndarray::{Array1, Array2, s};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| arguments.get(i).map(|text| text.parse::<usize>());
    let usage = "boosting_file FILE TRAIN_ROWS THREADS [REPEATS]";
    let bytes = std::fs::read(arguments.first().ok_or(usage)?)?;
    let train_rows = number(1).ok_or(usage)??;
    let threads = number(2).ok_or(usage)??;
    let repeats = number(3).transpose()?.unwrap_or(1);

    let words: Vec<[u8; 4]> = bytes.chunks_exact(4).filter_map(|w| w.try_into().ok()).collect();
    let header: Vec<usize> =
        words.iter().take(3).map(|w| u32::from_le_bytes(*w) as usize).collect();
    let &[rows, test_rows, width] = header.as_slice() else {
        return Err("the file is too short".into());
    };
    let numbers: Vec<f64> =
        words.iter().skip(3).map(|w| f64::from(f32::from_le_bytes(*w))).collect();
    let (records, targets) = numbers.split_at(rows * width);
    let records = Array2::from_shape_vec((rows, width), records.to_vec())?;
    let targets = Array1::from(targets.to_vec());
    let names: Vec<String> = (0..width).map(|j| format!("x{j}")).collect();
    let selected = Rows::from(0..train_rows.min(rows - test_rows));
    let dataset = Dataset::new(&names, &records, &targets, &selected, 0)?;

    let params = BoostingParams {
        n_rounds: 200,
        learning_rate: 0.05,
        max_depth: 6,
        min_child_weight: 1.0,
        subsample: 1.0,
        colsample_bytree: 1.0,
        ..Default::default()
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let mut train_s = f64::INFINITY;
    let mut train_cpu_s = f64::INFINITY;
    let mut model = None;
    for _ in 0..repeats {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let fitted = params.fit(dataset)?;
        train_s = train_s.min(start.elapsed().as_secs_f64());
        train_cpu_s = train_cpu_s.min(cpu_seconds() - cpu);
        model = Some(fitted);
    }
    let model = model.ok_or("no repeat")?;

    let test = records.slice(s![rows - test_rows.., ..]).to_owned();
    let start = Instant::now();
    let predicted = model.predict(&test)?;
    let batch_s = start.elapsed().as_secs_f64();
    let squares = predicted.iter().zip(targets.slice(s![rows - test_rows..]));
    let mse = squares.map(|(p, y)| (p - y).powi(2)).sum::<f64>() / test_rows as f64;

    let singles: Vec<Vec<f64>> = test.rows().into_iter().take(1000).map(|r| r.to_vec()).collect();
    let mut one_row_us = f64::INFINITY;
    let mut sum = 0.0;
    for _ in 0..20 {
        let start = Instant::now();
        for row in &singles {
            sum += model.predict_row(row)?;
        }
        one_row_us = one_row_us.min(start.elapsed().as_secs_f64() * 1e6 / singles.len() as f64);
    }
    println!(
        "{{\"train_s\":{train_s},\"train_cpu_s\":{train_cpu_s},\"rmse\":{},\"batch_s\":{batch_s},\"one_row_us\":{one_row_us},\"checksum\":{sum}}}",
        mse.sqrt()
    );
    Ok(())
}

/// Processor time of this process on Linux, whose clock ticks 100 times a second; 0 elsewhere.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).filter_map(|f| f.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
