//! Where the examples' candles come from: a file, an exchange, or the simulator.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use forecastle::core::{CandleSeries, RepairReport, Symbol, Timeframe};
use forecastle::market_data::{ReadOptions, Simulator, SimulatorParams, read_candles};

#[path = "exchange.rs"]
mod exchange;

/// Chooses the candles.
#[derive(Debug, clap::Args)]
pub(crate) struct CandleArgs {
    /// CSV (plain or gzip) or, with the feature `parquet`, Parquet
    #[arg(long, value_name = "FILE", conflicts_with = "simulate")]
    candles: Option<PathBuf>,
    /// Download the candles of `--symbol` from this exchange, by CCXT's id
    #[arg(long, value_name = "ID", conflicts_with_all = ["simulate", "candles"], requires = "symbol")]
    exchange: Option<String>,
    /// Simulate candles from this seed; the default, with seed 7
    #[arg(long, value_name = "SEED")]
    simulate: Option<u64>,
    /// Market, by CCXT's symbol [default: from the file]
    #[arg(long)]
    symbol: Option<Symbol>,
    /// How long each candle lasts [default: from the file; 1h from an exchange]
    #[arg(long)]
    timeframe: Option<Timeframe>,
    /// Use the last N candles only (simulated: so many, 5000 when absent; from an exchange 2000)
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    download: exchange::DownloadArgs,
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
        if let Some(id) = &self.exchange {
            return self.fetch(id);
        }
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
        self.read(path)
    }

    /// The candles of a file.
    pub(crate) fn read(&self, path: &Path) -> Result<Input> {
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

    fn fetch(&self, id: &str) -> Result<Input> {
        let symbol = self.symbol.as_ref().context("--exchange wants --symbol")?.to_string();
        let timeframe = self.timeframe.unwrap_or(Timeframe::HOUR);
        let limit = match (self.limit, self.download.since) {
            (None, None) => Some(2_000),
            (limit, _) => limit,
        };
        let done = self.download.download(id, &symbol, timeframe, limit)?;
        let mut source = format!("from {id}");
        if let Some(reason) = &done.report.truncated {
            source = format!("{source} ({})", reason.trim_start_matches(id).trim_start());
        }
        Ok(Input { series: done.series, repairs: done.report.repair, source })
    }
}
