//! `forecastle-evaluation` alone: how much skill shuffled folds find in pure noise.
#![allow(clippy::print_stdout, reason = "an example prints")]

use forecastle::ensemble::OlsParams;
use forecastle::evaluation::{LeakParams, leak_meter};

fn main() -> anyhow::Result<()> {
    let params = LeakParams { n_runs: 20, ..Default::default() };
    let report = leak_meter(&OlsParams::default(), &params)?;
    println!("information coefficient on pure noise, {} runs:", report.n_runs);
    println!("shuffled k-fold {:?}", report.shuffled);
    println!("purged k-fold   {:?}", report.purged);
    println!("walk-forward    {:?}", report.walk_forward);
    Ok(())
}
