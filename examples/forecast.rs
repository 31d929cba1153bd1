//! From candles to the final table: market structure, signals, ML forecasts.
//!
//! ```text
//! cargo run --release --example forecast
//! cargo run --release --example forecast -- --candles BTCUSDT_1h.csv.gz --horizon 12
//! cargo run --release --example forecast -- --rows all --format csv --output table.csv
//! ```

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use forecastle::features::VwapAnchor;
use forecastle::models_tree::BoostingEngine;
use forecastle::{ModelKind, NeuralEngine, Pipeline, PipelineConfig, RowSelection};

#[path = "support/candles.rs"]
mod candles;
#[path = "support/output.rs"]
mod output;
#[path = "support/progress_bar.rs"]
mod progress_bar;

/// Prints the final table: market structure, signals, ML forecasts
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    candles: candles::CandleArgs,
    /// Settings as TOML; the options below override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Bars ahead [default: 5]
    #[arg(long)]
    horizon: Option<usize>,
    /// rolling:N, session or cumulative [default: rolling:96]
    #[arg(long)]
    vwap: Option<VwapAnchor>,
    /// Models of the ensemble [default: ridge,boosting,kalman,gru,transformer,autoencoder]
    #[arg(long, value_delimiter = ',')]
    models: Option<Vec<ModelKind>>,
    /// Who fits boosted trees: `auto` (XGBoost where it is installed), `pure_rust` or `xgboost`
    /// [default: auto]
    #[arg(long)]
    boosting_engine: Option<BoostingEngine>,
    /// What neural models compute with: `pure_rust`, `libtorch` or `libtorch:cuda:N`
    /// [default: `pure_rust`]
    #[arg(long)]
    neural_engine: Option<NeuralEngine>,
    /// Seed of everything random [default: 7]
    #[arg(long)]
    seed: Option<u64>,
    /// Worker threads; the numbers do not depend on it [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Tell which features moved the boosted forecast of the last candle
    #[arg(long)]
    explain: bool,
    /// Which rows to write
    #[arg(long, value_enum, default_value_t = Rows::Last)]
    rows: Rows,
    /// How to write them
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Where to write them [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rows {
    Last,
    All,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

impl Args {
    fn config(&self) -> Result<PipelineConfig> {
        let mut config = match &self.config {
            None => PipelineConfig::default(),
            Some(path) => {
                let cannot = || format!("cannot read {}", path.display());
                let text = fs::read_to_string(path).with_context(cannot)?;
                PipelineConfig::from_toml(&text).with_context(cannot)?
            }
        };
        config.horizon = self.horizon.unwrap_or(config.horizon);
        config.vwap = self.vwap.unwrap_or(config.vwap);
        config.boosting_engine = self.boosting_engine.unwrap_or(config.boosting_engine);
        config.neural_engine = self.neural_engine.unwrap_or(config.neural_engine);
        config.seed = self.seed.unwrap_or(config.seed);
        config.threads = self.threads.or(config.threads);
        if let Some(models) = &self.models {
            config.models.clone_from(models);
        }
        Ok(config)
    }
}

fn main() -> ExitCode {
    output::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let pipeline = Pipeline::new(args.config()?)?;
    let input = args.candles.load()?;

    let bar = progress_bar::Bar::new();
    let fitted = pipeline.fit_with(&input.series, &bar)?;
    bar.finish();
    let mut report = fitted.run(&input.series)?;
    if args.explain {
        let explanation = fitted.explain(&input.series).context("cannot explain the forecast")?;
        report = report.with_explanation(explanation);
    }
    let report = report.with_input(input.source, input.repairs);

    let selection = match args.rows {
        Rows::Last => RowSelection::Last,
        Rows::All => RowSelection::All,
    };
    output::write_to(args.output.as_deref(), |out| {
        match args.format {
            Format::Table => out.write_all(report.to_screen(selection).as_bytes())?,
            Format::Json => report.write_json(selection, out)?,
            Format::Csv => report.write_csv(selection, out)?,
        }
        Ok(())
    })
}
