//! Where the examples' candles come from: a file, or the simulator.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use forecastle::core::{CandleSeries, RepairReport, Symbol, Timeframe};
use forecastle::market_data::{ReadOptions, Simulator, SimulatorParams, read_candles};

/// Chooses the candles.
#[derive(Debug, clap::Args)]
pub(crate) struct CandleArgs {
    /// CSV (plain or gzip) or, with the feature `parquet`, Parquet
    #[arg(long, value_name = "FILE", conflicts_with = "simulate")]
    candles: Option<PathBuf>,
    /// Simulate candles from this seed; the default, with seed 7
    #[arg(long, value_name = "SEED")]
    simulate: Option<u64>,
    /// Market of the file's candles [default: from the file]
    #[arg(long)]
    symbol: Option<Symbol>,
    /// Timeframe of the file's candles [default: from the file]
    #[arg(long)]
    timeframe: Option<Timeframe>,
    /// Use the last N candles only (simulated: so many, 5000 when absent)
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Candles, and what to say about them.
pub(crate) struct Input {
    pub(crate) series: CandleSeries,
    pub(crate) repairs: RepairReport,
    pub(crate) source: String,
}

/// One line: what was read and what was wrong with it.
impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, repairs, source } = self;
        write!(
            f,
            "{} {}, {} candles, {source}",
            series.symbol(),
            series.timeframe(),
            series.len()
        )?;
        if repairs.is_repaired() || repairs.gaps > 0 {
            write!(
                f,
                " ({} duplicates and {} invalid rows dropped, {} volumes set to 0, {} rows out of \
                 order, {} gaps with {} missing candles)",
                repairs.duplicates,
                repairs.dropped,
                repairs.volume_repaired,
                repairs.out_of_order,
                repairs.gaps,
                repairs.missing,
            )?;
        }
        Ok(())
    }
}

impl CandleArgs {
    pub(crate) fn load(&self) -> Result<Input> {
        let Some(path) = &self.candles else {
            let seed = self.simulate.unwrap_or(7);
            let n = self.limit.unwrap_or(5_000);
            let simulator = Simulator::new(SimulatorParams { seed, n, ..Default::default() })?;
            let series = simulator.series()?;
            let mut repairs = RepairReport::default();
            (repairs.rows_in, repairs.rows_out) = (series.len(), series.len());
            (repairs.gaps, repairs.missing) = series.gaps();
            return Ok(Input { series, repairs, source: format!("simulated, seed {seed}") });
        };
        let options = ReadOptions {
            symbol: self.symbol.clone(),
            timeframe: self.timeframe,
            ..Default::default()
        };
        let loaded = read_candles(path, &options).context("cannot read the candles")?;
        let series = match self.limit {
            Some(limit) => loaded.series.tail(limit),
            None => loaded.series,
        };
        Ok(Input { series, repairs: loaded.report, source: path.display().to_string() })
    }
}
