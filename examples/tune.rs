//! Searches settings of one model by walking forward, and says whether they help on rows held out.
//!
//! ```text
//! cargo run --release --example tune -- --candles BTCUSDT_1h.csv.gz --limit 5000 --trials 100
//! cargo run --release --example tune -- --model ridge --output tuned.toml
//! cargo run --release --example forecast -- --config tuned.toml
//! ```

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use forecastle::evaluation::{LeaderboardRow, Luck, Sampler, SearchParams, TpeParams, Trial};
use forecastle::{ModelKind, Pipeline, Tuning, TuningParams};

#[path = "support/candles.rs"]
mod candles;
#[path = "support/output.rs"]
mod output;
#[path = "support/progress_bar.rs"]
mod progress_bar;
#[path = "support/settings.rs"]
mod settings;

/// Trials that are printed.
const SHOWN: usize = 10;

/// Searches settings of one model; judges them on the latest rows, which the search never sees
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    candles: candles::CandleArgs,
    #[command(flatten)]
    settings: settings::SettingArgs,
    /// Whose settings: ridge or boosting
    #[arg(long, default_value_t = ModelKind::Boosting)]
    model: ModelKind,
    /// Trials at most
    #[arg(long, default_value_t = 40)]
    trials: usize,
    /// No trial begins after so many seconds
    #[arg(long)]
    seconds: Option<f64>,
    /// How the next trial is chosen
    #[arg(long, value_enum, default_value_t = Draw::Tpe)]
    sampler: Draw,
    /// Walk-forward folds of a trial
    #[arg(long, default_value_t = 5)]
    folds: usize,
    /// Share of the rows, the latest, that the search never sees
    #[arg(long, default_value_t = 0.2)]
    held_out: f64,
    /// Write the tuned settings here, for `forecast --config`
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Draw {
    Tpe,
    Random,
}

impl Args {
    fn params(&self, seed: u64) -> TuningParams {
        let sampler = match self.sampler {
            Draw::Tpe => Sampler::Tpe(TpeParams::default()),
            Draw::Random => Sampler::Random,
        };
        let (trials, seconds) = (Some(self.trials), self.seconds);
        TuningParams {
            model: self.model,
            space: None,
            search: SearchParams { sampler, trials, seconds, seed },
            n_folds: self.folds,
            held_out: self.held_out,
            ..TuningParams::default()
        }
    }
}

fn main() -> ExitCode {
    output::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let pipeline = Pipeline::new(args.settings.load()?)?;
    let params = args.params(pipeline.config().seed);
    let input = args.candles.load()?;

    let bar = progress_bar::Bar::new();
    let begun = Instant::now();
    let tuning = pipeline.tune(&input.series, &params, &|| begun.elapsed(), &bar)?;
    bar.finish();

    if args.output.is_some() {
        let text = tuning.config.to_toml()?;
        output::write_to(args.output.as_deref(), |out| Ok(out.write_all(text.as_bytes())?))?;
    }
    output::write_to(None, |out| {
        writeln!(out, "{input}")?;
        print(&tuning, out)
    })
}

fn print(tuning: &Tuning, out: &mut dyn Write) -> Result<()> {
    let search = &tuning.search;
    let (model, horizon) = (tuning.model, tuning.config.horizon);
    writeln!(out, "{model}, {horizon} bars ahead, by {}", tuning.engine)?;
    writeln!(out, "loss: RMSE over naive's, mean of the folds\n")?;
    writeln!(out, "{:>7}{:>9}  {:<40}  settings", "trial", "loss", "folds")?;
    let folds = |losses: &[f64]| -> String {
        losses.iter().map(|loss| format!("{loss:.4} ")).collect::<String>().trim_end().to_owned()
    };
    let line = |trial: &Trial| -> String {
        let loss = trial.loss().unwrap_or(f64::NAN);
        format!(
            "{:>7}{loss:>9.4}  {:<40}  {}",
            trial.number,
            folds(trial.fold_losses()),
            trial.point
        )
    };
    for trial in search.ranked().into_iter().take(SHOWN) {
        writeln!(out, "{}", line(trial))?;
    }
    let untuned = &tuning.untuned;
    let of_folds = folds(&untuned.fold_losses);
    writeln!(out, "{:>7}{:>9.4}  {of_folds:<40}  as they were", "untuned", untuned.loss)?;

    let failed = search.trials.iter().filter(|t| t.loss().is_none()).count();
    writeln!(out, "\n{} trials, {failed} failed", search.n_trials())?;
    if tuning.kept_untuned {
        writeln!(out, "no trial lost less than the settings as they were: they are kept")?;
    }
    write!(out, "gain in the search: {:.4}", tuning.gain_in_search())?;
    match tuning.gain_error() {
        Some(error) => writeln!(out, ", standard error over the folds {error:.4}")?,
        None => writeln!(out)?,
    }
    if let Some(luck) = search.luck() {
        print_luck(&luck, search.effective_trials(), out)?;
    }

    let held_out = &tuning.held_out;
    writeln!(
        out,
        "\nheld out, {} to {}: rows the search never saw",
        held_out.from, held_out.until
    )?;
    writeln!(
        out,
        "{:<9}{:>7}{:>11}{:>11}{:>11}{:>8}{:>7}",
        "", "n", "RMSE", "vs naive", "direction", "DM", "p"
    )?;
    for row in &held_out.rows {
        writeln!(out, "{}", held_out_line(row))?;
    }
    match tuning.gain_held_out() {
        Some(gain) => write!(out, "gain held out: {gain:+.4}")?,
        None => write!(out, "gain held out: -")?,
    }
    match held_out.tuned_against_untuned {
        Some(test) => {
            writeln!(
                out,
                ", tuned against untuned DM {:+.2}, p {:.3}",
                test.statistic, test.p_value
            )?;
        }
        None => writeln!(out)?,
    }
    Ok(())
}

fn print_luck(luck: &Luck, effective: Option<f64>, out: &mut dyn Write) -> Result<()> {
    if let Some(luck) = luck.from_folds {
        writeln!(out, "luck alone, were no setting better: {luck:.4}, by the noise between folds")?;
    }
    writeln!(
        out,
        "the best beside the mean trial: {:.4}; were all their spread luck: {:.4}",
        luck.advantage, luck.if_all_equal
    )?;
    if let Some(effective) = effective {
        writeln!(
            out,
            "worth {effective:.1} independent trials, by the correlation of their folds"
        )?;
    }
    Ok(())
}

fn held_out_line(row: &LeaderboardRow) -> String {
    let number = |value: Option<f64>, decimals: usize| {
        value.map_or_else(|| "-".to_owned(), |v| format!("{v:.decimals$}"))
    };
    format!(
        "{:<9}{:>7}{:>11.6}{:>11}{:>11}{:>8}{:>7}",
        row.model,
        row.n,
        row.rmse,
        number(row.relative_rmse, 4),
        number(row.directional_accuracy, 4),
        number(row.dm_statistic, 2),
        number(row.dm_p, 3),
    )
}
