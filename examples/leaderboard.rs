//! Every model beside "the price stays where it is", walking forward.
//!
//! ```text
//! cargo run --release --example leaderboard -- --candles BTCUSDT_1h.csv.gz --limit 5000
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use forecastle::evaluation::{LeaderboardRow, write_csv};
use forecastle::features::VwapAnchor;
use forecastle::{ModelKind, Pipeline};

#[path = "support/candles.rs"]
mod candles;
#[path = "support/output.rs"]
mod output;
#[path = "support/progress_bar.rs"]
mod progress_bar;

/// Judges every model beside naive: fitted on the first half, refitted block by block
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    candles: candles::CandleArgs,
    /// Bars ahead
    #[arg(long, value_delimiter = ',', default_value = "1,5,12")]
    horizons: Vec<usize>,
    /// Models of the ensemble; gru, transformer and autoencoder take minutes
    #[arg(long, value_delimiter = ',', default_value = "ridge,boosting,kalman")]
    models: Vec<ModelKind>,
    /// rolling:N, session or cumulative
    #[arg(long, default_value_t = VwapAnchor::default())]
    vwap: VwapAnchor,
    /// Refits over the second half
    #[arg(long, default_value_t = 5)]
    folds: usize,
    /// Seed of everything random
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Write CSV here
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    output::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let input = args.candles.load()?;
    let mut rows = Vec::new();
    let bar = progress_bar::Bar::new();
    for &horizon in &args.horizons {
        let pipeline = Pipeline::builder()
            .horizon(horizon)
            .vwap(args.vwap)
            .models(args.models.iter().copied())
            .seed(args.seed)
            .build()?;
        rows.extend(pipeline.leaderboard(&input.series, args.folds, &bar)?.rows()?);
    }
    bar.finish();
    if args.output.is_some() {
        output::write_to(args.output.as_deref(), |mut out| Ok(write_csv(&rows, &mut out)?))?;
    }
    output::write_to(None, |out| {
        writeln!(out, "{input}")?;
        writeln!(
            out,
            "{:<22}{:>8}{:>7}{:>11}{:>11}{:>9}{:>11}{:>11}{:>8}{:>7}",
            "model", "horizon", "n", "MAE", "RMSE", "MASE", "vs naive", "direction", "DM", "p"
        )?;
        rows.iter().try_for_each(|row| Ok(writeln!(out, "{}", line(row))?))
    })
}

fn line(row: &LeaderboardRow) -> String {
    let number = |value: Option<f64>, decimals: usize| {
        value.map_or_else(|| "-".to_owned(), |v| format!("{v:.decimals$}"))
    };
    format!(
        "{:<22}{:>8}{:>7}{:>11.6}{:>11.6}{:>9}{:>11}{:>11}{:>8}{:>7}",
        row.model,
        row.horizon,
        row.n,
        row.mae,
        row.rmse,
        number(row.mase, 4),
        number(row.relative_rmse, 4),
        number(row.directional_accuracy, 4),
        number(row.dm_statistic, 2),
        number(row.dm_p, 3),
    )
}
