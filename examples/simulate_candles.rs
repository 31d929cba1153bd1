//! `forecastle-market-data` alone: simulate candles, write them as CSV, read them back.
#![allow(clippy::print_stdout, reason = "an example prints")]

use forecastle::market_data::{
    ReadOptions, Simulator, SimulatorParams, read_csv_from, write_csv_to,
};

fn main() -> anyhow::Result<()> {
    let params = SimulatorParams {
        seed: 42,
        n: 1_000,
        gap_probability: 0.01,
        zero_volume_probability: 0.02,
        ..Default::default()
    };
    let simulated = Simulator::new(params)?.series()?;
    let mut csv = Vec::new();
    write_csv_to(&mut csv, &simulated)?;
    let options = ReadOptions { symbol: Some(simulated.symbol().clone()), ..Default::default() };
    let loaded = read_csv_from(csv.as_slice(), "simulated.csv", &options)?;
    assert_eq!(loaded.series, simulated);
    println!(
        "{} candles of {} {}, {} bytes of CSV, {} gaps with {} missing candles",
        simulated.len(),
        simulated.symbol(),
        simulated.timeframe(),
        csv.len(),
        loaded.report.gaps,
        loaded.report.missing,
    );
    Ok(())
}
