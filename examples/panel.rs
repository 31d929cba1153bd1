//! Many symbols on one machine: the last row of each symbol's table, and what became of the rest.
//!
//! ```text
//! cargo run --release --example panel -- --dir candles/ --output table.csv
//! cargo run --release --features parquet --example panel -- --dir cache/ --output table.parquet
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use forecastle::core::CandleSeries;
use forecastle::features::VwapAnchor;
use forecastle::market_data::{ReadOptions, SIMULATED_LABEL, Simulator, SimulatorParams};
use forecastle::{
    CsvTable, ModelKind, Panel, PanelParams, PanelRow, PanelSource, Pipeline, PipelineConfig,
};

#[path = "support/output.rs"]
mod output;
#[path = "support/progress_bar.rs"]
mod progress_bar;
#[path = "support/settings.rs"]
mod settings;

/// Forecasts every symbol of a folder of candle files, or of a download cache
#[derive(Debug, Parser)]
struct Args {
    /// Folder with files of candles (CSV, gzip, Parquet with the feature `parquet`), or a download cache
    /// [default: 8 simulated symbols]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where to write the table: `.parquet` (feature `parquet`) or CSV [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Use the last N candles of each symbol only
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Models of the ensemble; none for rules alone; gru, transformer and autoencoder take seconds a symbol
    #[arg(long, value_delimiter = ',', default_value = "ridge,boosting,kalman")]
    models: Vec<String>,
    /// rolling:N, session or cumulative
    #[arg(long)]
    vwap: Option<VwapAnchor>,
    #[command(flatten)]
    settings: settings::SettingArgs,
}

impl Args {
    fn config(&self) -> Result<PipelineConfig> {
        let mut config = self.settings.load()?;
        config.vwap = self.vwap.unwrap_or(config.vwap);
        // A file of settings names its models.
        if self.settings.config.is_none() {
            let named = self.models.iter().filter(|name| *name != "none");
            config.models =
                named.map(|name| name.parse::<ModelKind>()).collect::<Result<_, _>>()?;
        }
        Ok(config)
    }
}

fn main() -> ExitCode {
    output::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let config = args.config()?;
    let mut params = PanelParams::default();
    (params.threads, params.limit) = (config.threads, args.limit);
    let pipeline = Pipeline::new(PipelineConfig { threads: None, ..config })?;
    let panel = match &args.dir {
        Some(dir) => Panel::directory(dir, &ReadOptions::default())?,
        None => Panel::new(simulated(8)?.into_iter().map(PanelSource::series)),
    };
    let panel = panel.with_params(params)?;

    let mut table = Table::new(args.output.as_deref())?;
    let bar = progress_bar::Bar::new();
    let begun = Instant::now();
    let mut failures = Vec::new();
    let summary = panel.forecast(&pipeline, &bar, |row| {
        if row.forecast.row.is_none() {
            let reason = row.forecast.reason.as_deref().unwrap_or_default();
            failures.push(format!("{}: {reason}", row.key));
        }
        table.push(&row)
    })?;
    bar.finish();
    let seconds = begun.elapsed().as_secs_f64();
    table.finish()?;
    let mut text = summary.to_string();
    text.push_str(&format!(
        "{seconds:.2} s, {:.1} ms a symbol, {:.0} candles/s{}\n",
        1e3 * seconds / summary.symbols.max(1) as f64,
        summary.candles as f64 / seconds,
        peak_memory().map(|mib| format!(", peak memory {mib} MiB")).unwrap_or_default(),
    ));
    for failure in failures.iter().take(10) {
        text.push_str(&format!("failed: {failure}\n"));
    }
    if failures.len() > 10 {
        text.push_str(&format!("and {} more: see the column `reason`\n", failures.len() - 10));
    }
    match args.output {
        Some(_) => output::write_to(None, |out| Ok(out.write_all(text.as_bytes())?))?,
        // Where the table is.
        None => io::stderr().lock().write_all(text.as_bytes()).unwrap_or_default(),
    }
    ensure!(summary.failed < summary.symbols || summary.symbols == 0, "every symbol failed");
    Ok(())
}

type Out = BufWriter<Box<dyn Write + Send>>;

/// The table's way out, row by row.
enum Table {
    Csv(Box<CsvTable<PanelRow, Out>>),
    #[cfg(feature = "parquet")]
    Parquet(Box<forecastle::ParquetTable<PanelRow, Out>>),
}

impl Table {
    fn new(path: Option<&Path>) -> Result<Self> {
        let parquet = path.and_then(Path::extension).is_some_and(|ending| ending == "parquet");
        // Before there is a file in the place of an older one.
        ensure!(cfg!(feature = "parquet") || !parquet, "a Parquet file needs `--features parquet`");
        let out: Box<dyn Write + Send> = match path {
            None => Box::new(io::stdout()),
            Some(path) => {
                let file = File::create(path);
                Box::new(file.with_context(|| format!("cannot write {}", path.display()))?)
            }
        };
        let out = BufWriter::new(out);
        #[cfg(feature = "parquet")]
        if parquet {
            return Ok(Self::Parquet(Box::new(forecastle::ParquetTable::new(out)?)));
        }
        Ok(Self::Csv(Box::new(CsvTable::new(out)?)))
    }

    fn push(&mut self, row: &PanelRow) -> forecastle::Result<()> {
        match self {
            Self::Csv(table) => table.push(row),
            #[cfg(feature = "parquet")]
            Self::Parquet(table) => table.push(row),
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Csv(table) => Ok(table.finish()?),
            #[cfg(feature = "parquet")]
            Self::Parquet(table) => Ok(table.finish()?),
        }
    }
}

/// Simulated symbols, labelled so.
fn simulated(n: u64) -> Result<Vec<CandleSeries>> {
    (1..=n)
        .map(|seed| {
            let params = SimulatorParams { seed, n: 1_500, ..Default::default() };
            let series = Simulator::new(params)?.series()?;
            let symbol = format!("{SIMULATED_LABEL}/S{seed}").parse()?;
            Ok(CandleSeries::from_candles(symbol, series.timeframe(), series.view().iter())?)
        })
        .collect()
}

/// The most memory that this process ever held, in MiB, where the system tells.
fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}
