//! From candles to the final table: market structure, signals, ML forecasts.
//!
//! ```text
//! cargo run --release --example forecast
//! cargo run --release --example forecast -- --candles BTCUSDT_1h.csv.gz --horizon 12
//! cargo run --release --example forecast -- --rows all --format csv --output table.csv
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use forecastle::features::VwapAnchor;
use forecastle::models_tree::BoostingEngine;
use forecastle::{IntervalMethod, ModelKind, NeuralEngine, Pipeline, PipelineConfig, RowSelection};

#[path = "support/candles.rs"]
mod candles;
#[path = "support/output.rs"]
mod output;
#[path = "support/progress_bar.rs"]
mod progress_bar;
#[path = "support/settings.rs"]
mod settings;

/// Prints the final table: market structure, signals, ML forecasts
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    candles: candles::CandleArgs,
    #[command(flatten)]
    settings: settings::SettingArgs,
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
    /// Share of moves that the ensemble's interval must hold [default: 0.9]
    #[arg(long, value_name = "SHARE")]
    interval_level: Option<f64>,
    /// What the interval is made of: `adaptive`, `split` or `quantiles` [default: adaptive]
    #[arg(long, value_name = "METHOD")]
    interval: Option<IntervalMethod>,
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
    /// Binary: for `--output` or a pipe
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Args {
    fn config(&self) -> Result<PipelineConfig> {
        let mut config = self.settings.load()?;
        config.vwap = self.vwap.unwrap_or(config.vwap);
        config.boosting_engine = self.boosting_engine.unwrap_or(config.boosting_engine);
        config.neural_engine = self.neural_engine.unwrap_or(config.neural_engine);
        let stacking = &mut config.stacking;
        stacking.interval_level = self.interval_level.unwrap_or(stacking.interval_level);
        stacking.interval = self.interval.unwrap_or(stacking.interval);
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
            #[cfg(feature = "parquet")]
            Format::Parquet => {
                let mut file = Vec::new();
                forecastle::write_parquet(report.select(selection), &mut file)?;
                out.write_all(&file)?;
            }
        }
        Ok(())
    })
}
