//! Every model beside "the price stays where it is", walking forward.
//!
//! ```text
//! cargo run --release --example leaderboard -- --candles BTCUSDT_1h.csv.gz --limit 5000
//! cargo run --release --example leaderboard -- --directory candles/ --limit 5000 --markdown page.md
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use forecastle::evaluation::{LeaderboardRow, write_csv};
use forecastle::features::VwapAnchor;
use forecastle::{ModelKind, Pipeline, Refit, WalkForwardParams};

#[path = "support/candles.rs"]
mod candles;
#[path = "support/leaderboard_page.rs"]
mod leaderboard_page;
#[path = "support/output.rs"]
mod output;
#[path = "support/progress_bar.rs"]
mod progress_bar;

use leaderboard_page::CellOfBoard;

/// Judges every model beside naive: fitted on the first half, refitted block by block
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    candles: candles::CandleArgs,
    /// Judge the candles of every CSV file in a folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["candles", "simulate", "exchange"])]
    directory: Option<PathBuf>,
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
    /// Write the page of all series here, as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

fn main() -> ExitCode {
    output::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let sources: Vec<Option<PathBuf>> = match &args.directory {
        None => vec![None],
        Some(directory) => files(directory)?.into_iter().map(Some).collect(),
    };
    let bar = progress_bar::Bar::new();
    let (mut cells, mut failures) = (Vec::new(), Vec::new());
    for source in &sources {
        let (described, judged) = match judge(args, source.as_deref(), &bar) {
            Ok(judged) => judged,
            // One series of many that cannot be judged keeps none of the others from the page.
            Err(error) if sources.len() > 1 => {
                let name = source.as_deref().map(series_name).unwrap_or_default();
                failures.push(format!("{name}: {error:#}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        output::write_to(None, |out| {
            writeln!(out, "{described}")?;
            let header = Line::header();
            writeln!(out, "{header}")?;
            let rows = judged.iter().flat_map(|cell| &cell.rows);
            rows.into_iter().try_for_each(|row| Ok(writeln!(out, "{}", Line::of(row))?))
        })?;
        cells.extend(judged);
    }
    bar.finish();
    if args.output.is_some() {
        let rows: Vec<LeaderboardRow> =
            cells.iter().flat_map(|cell| cell.rows.iter().cloned()).collect();
        let mut csv = Vec::new();
        write_csv(&rows, &mut csv)?;
        if args.directory.is_some() {
            csv = with_series(&String::from_utf8(csv)?, &cells).into_bytes();
        }
        output::write_to(args.output.as_deref(), |out| Ok(out.write_all(&csv)?))?;
    }
    if args.markdown.is_some() {
        let page = leaderboard_page::page(&cells, &command())?;
        output::write_to(args.markdown.as_deref(), |out| Ok(out.write_all(page.as_bytes())?))?;
    }
    output::write_to(None, |out| Ok(write!(out, "\n{}", leaderboard_page::verdicts(&cells))?))?;
    ensure!(failures.is_empty(), "not judged: {}", failures.join("; "));
    Ok(())
}

/// The lines of a CSV of all cells, with the series in front.
fn with_series(csv: &str, cells: &[CellOfBoard]) -> String {
    let named = cells.iter().flat_map(|cell| cell.rows.iter().map(|_| cell.series.as_str()));
    let lines = csv.lines().zip(["series"].into_iter().chain(named));
    lines.map(|(line, series)| format!("\"{}\",{line}\n", series.replace('"', "\"\""))).collect()
}

/// Every CSV file of a folder, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if name.is_some_and(|name| name.ends_with(".csv") || name.ends_with(".csv.gz")) {
            files.push(path);
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "{} holds no CSV file", directory.display());
    Ok(files)
}

/// A file's name as the page shows it.
fn series_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(".gz").trim_end_matches(".csv").replace('_', " ")
}

/// What was read, and the series at every horizon.
fn judge(
    args: &Args,
    source: Option<&Path>,
    bar: &progress_bar::Bar,
) -> Result<(String, Vec<CellOfBoard>)> {
    let input = match source {
        None => args.candles.load()?,
        Some(path) => args.candles.read(path)?,
    };
    let series = source.map_or_else(|| input.series.symbol().to_string(), series_name);
    let params = WalkForwardParams { refit: Refit::Times(args.folds), ..Default::default() };
    let judge = |&horizon: &usize| -> Result<CellOfBoard> {
        let pipeline = Pipeline::builder()
            .horizon(horizon)
            .vwap(args.vwap)
            .models(args.models.iter().copied())
            .seed(args.seed)
            .build()?;
        let run = pipeline.walk_forward(&input.series, &params, bar)?;
        Ok(CellOfBoard {
            series: series.clone(),
            horizon,
            rows: run.leaderboard()?.rows()?,
            interval: run.interval(),
            reliability: run.reliability()?,
        })
    };
    let cells = args.horizons.iter().map(judge).collect::<Result<_>>()?;
    Ok((input.to_string(), cells))
}

/// What makes the same page again.
fn command() -> String {
    let quoted = |argument: String| {
        if argument.contains([' ', '"', '\'', '*', '$']) {
            format!("'{argument}'")
        } else {
            argument
        }
    };
    let arguments: Vec<String> = std::env::args().skip(1).map(quoted).collect();
    format!("cargo run --release --example leaderboard -- {}", arguments.join(" "))
}

/// A line of the printed table.
struct Line([String; 13]);

impl Line {
    fn header() -> Self {
        Self(
            [
                "model",
                "horizon",
                "n",
                "MAE",
                "RMSE",
                "MASE",
                "RMSSE",
                "vs naive",
                "direction",
                "IC",
                "DM",
                "p",
                "in the set",
            ]
            .map(str::to_owned),
        )
    }

    fn of(row: &LeaderboardRow) -> Self {
        let number = |value: Option<f64>, decimals: usize| {
            value.map_or_else(|| "-".to_owned(), |v| format!("{v:.decimals$}"))
        };
        Self([
            row.model.clone(),
            row.horizon.to_string(),
            row.n.to_string(),
            number(Some(row.mae), 6),
            number(Some(row.rmse), 6),
            number(row.mase, 4),
            number(row.rmsse, 4),
            number(row.relative_rmse, 4),
            number(row.directional_accuracy, 4),
            number(row.information_coefficient, 3),
            number(row.dm_statistic, 2),
            number(row.dm_p, 3),
            number(row.mcs_p, 3),
        ])
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [model, rest @ ..] = &self.0;
        write!(f, "{model:<22}")?;
        rest.iter().try_for_each(|cell| write!(f, "{cell:>11}"))
    }
}
