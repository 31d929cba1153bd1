//! `forecastle-evaluation` alone: how much skill shuffled folds find in pure noise.
#![allow(clippy::print_stdout, reason = "an example prints")]

use forecastle::ensemble::OlsParams;
use forecastle::evaluation::{LeakParams, LeakReading, leak_meter};

fn main() -> anyhow::Result<()> {
    let report = leak_meter(&OlsParams::default(), &LeakParams::default())?;
    println!("information coefficient on pure noise, {} runs:", report.n_runs);
    print("shuffled k-fold", report.shuffled);
    print("purged k-fold", report.purged);
    print("walk-forward", report.walk_forward);
    Ok(())
}

fn print(folds: &str, reading: LeakReading) {
    println!("{folds:<16}{:+.4} ± {:.4}", reading.mean, reading.standard_error);
}
