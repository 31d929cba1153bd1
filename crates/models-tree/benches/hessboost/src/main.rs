//! Trains hessboost 0.4.6 as `examples/boosting_file.rs` trains ours, on the same file, and prints
//! the same line of JSON.
//!
//!     forecastle-hessboost-bench FILE TRAIN_ROWS THREADS [REPEATS]

use std::error::Error;
use std::time::Instant;

use hessboost::prelude::*;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| arguments.get(i).map(|text| text.parse::<usize>());
    let usage = "forecastle-hessboost-bench FILE TRAIN_ROWS THREADS [REPEATS]";
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
    let numbers: Vec<f32> = words.iter().skip(3).map(|w| f32::from_le_bytes(*w)).collect();
    let (records, targets) = numbers.split_at(rows * width);

    let params = TrainingParams::builder()
        .objective(Objective::SquaredError(RegLoss::default()))
        .tree_method(TreeMethod::Hist)
        .max_depth(6)
        .eta(0.05)
        .lambda(1.0)
        .min_child_weight(1.0)
        .max_bin(255)
        .nthread(threads)
        .build()?;
    let mut train_s = f64::INFINITY;
    let mut train_cpu_s = f64::INFINITY;
    let mut model = None;
    for _ in 0..repeats {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        // Ours bins in `fit`, hessboost where it trains: both times have it.
        let data = DMatrix::from_dense(&records[..train_rows * width], train_rows, width)?
            .with_labels(&targets[..train_rows])?;
        let fitted = train(&params, &data, 200)?;
        train_s = train_s.min(start.elapsed().as_secs_f64());
        train_cpu_s = train_cpu_s.min(cpu_seconds() - cpu);
        model = Some(fitted);
    }
    let model = model.ok_or("no repeat")?;

    let from = rows - test_rows;
    let test = DMatrix::from_dense(&records[from * width..], test_rows, width)?;
    let start = Instant::now();
    let predicted = model.predict(&test, Iterations::Best)?;
    let batch_s = start.elapsed().as_secs_f64();
    let mut squares = 0.0;
    for (i, &target) in targets[from..].iter().enumerate() {
        let value = *predicted.get(i, 0).ok_or("a prediction is missing")?;
        squares += (f64::from(value) - f64::from(target)).powi(2);
    }
    let rmse = (squares / test_rows as f64).sqrt();
    println!(
        "{{\"train_s\":{train_s},\"train_cpu_s\":{train_cpu_s},\"rmse\":{rmse},\"batch_s\":{batch_s}}}"
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
