//! What `live` and `replay` share: a pipeline that prints a row for each candle and keeps its state.
#![allow(clippy::print_stderr, reason = "what is not a row goes beside the rows")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use forecastle::core::{Candle, CandleSeries, Timeframe};
use forecastle::features::VwapAnchor;
use forecastle::market_data::{self, LiveRequest, Transport};
use forecastle::{
    Handover, Irregular, LiveParams, LivePipeline, LiveStore, ModelKind, Pipeline, PipelineConfig,
    RefitEvent, RefitParams, Step, TableRow, write_csv,
};

/// Sets up the pipeline, its refits and where its rows go.
#[derive(Debug, clap::Args)]
pub(crate) struct LiveArgs {
    /// Settings as TOML; the options below override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Bars ahead [default: 5]
    #[arg(long)]
    horizon: Option<usize>,
    /// rolling:N, session or cumulative [default: rolling:96]
    #[arg(long)]
    vwap: Option<VwapAnchor>,
    /// Models of the ensemble [default: ridge,boosting,kalman; all six are those of `forecast`]
    #[arg(long, value_delimiter = ',')]
    models: Option<Vec<ModelKind>>,
    /// Candles to learn from before the first row
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub(crate) history: usize,
    /// Take candles from a stream instead of polling; wants a build with `--features websocket`
    #[arg(long)]
    websocket: bool,
    /// Keep the state here, and go on with the one that is there
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Refit in the background every N candles, on as many as `--history` says
    #[arg(long, value_name = "N")]
    refit: Option<u64>,
    /// Refit too when a guard sees drift
    #[arg(long)]
    refit_on_drift: bool,
    /// Refitted models serve from N candles after the fit was begun [default: when they are ready]
    #[arg(long, value_name = "N")]
    handover: Option<u64>,
    /// Begin refits with the models before, where those can
    #[arg(long)]
    warm_start: bool,
    /// How to write rows
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Where to write them, each once even if the process is killed; standard output may repeat the last
    /// row then
    #[arg(long, value_name = "FILE", requires = "state")]
    output: Option<PathBuf>,
    /// Stop after N rows
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line for people
    Table,
    /// JSON lines
    Json,
    Csv,
}

/// A pipeline at work.
pub(crate) struct Runner {
    pub(crate) live: LivePipeline,
    store: Option<LiveStore>,
    format: Format,
    output: Option<File>,
    wants_head: bool,
    rows: usize,
}

impl LiveArgs {
    /// Asks for every candle after those that are known.
    pub(crate) fn request(&self, symbol: &str, runner: &Runner) -> LiveRequest {
        let transport = if self.websocket { Transport::WebSocket } else { Transport::Polling };
        let live = &runner.live;
        LiveRequest::new(symbol, live.fitted().timeframe())
            .after(live.last_open_time())
            .params(market_data::LiveParams { transport, ..Default::default() })
    }

    /// Goes on with the state that is there, if it is of this market.
    pub(crate) fn resume(&self, symbol: &str, timeframe: Timeframe) -> Result<Option<Runner>> {
        let Some(path) = &self.state else { return Ok(None) };
        let cannot = || format!("cannot go on from {}", path.display());
        let Some((store, live)) = LiveStore::open(path).with_context(cannot)? else {
            return Ok(None);
        };
        let (theirs, its) = (live.fitted().symbol().to_string(), live.fitted().timeframe());
        ensure!(
            theirs == symbol && its == timeframe,
            "{} holds {theirs} {its}, not {symbol} {timeframe}",
            path.display()
        );
        eprintln!("going on after {}, {}", path.display(), live.data());
        self.runner(live, Some(store)).map(Some)
    }

    /// Fits on the history and takes it.
    pub(crate) fn begin(&self, history: &CandleSeries) -> Result<Runner> {
        let mut config = match &self.config {
            None => PipelineConfig { models: ModelKind::QUICK.to_vec(), ..Default::default() },
            Some(path) => {
                let cannot = || format!("cannot read {}", path.display());
                let text = std::fs::read_to_string(path).with_context(cannot)?;
                PipelineConfig::from_toml(&text).with_context(cannot)?
            }
        };
        config.horizon = self.horizon.unwrap_or(config.horizon);
        config.vwap = self.vwap.unwrap_or(config.vwap);
        if let Some(models) = &self.models {
            config.models.clone_from(models);
        }
        let fitted = Pipeline::new(config)?.fit(history).context("cannot fit the history")?;
        let mut live = LivePipeline::new(fitted, self.params())?;
        live.warm_up(history)?;
        let store = self.state.as_deref().map(|path| {
            LiveStore::create(path, &live)
                .with_context(|| format!("cannot write {}", path.display()))
        });
        let store = store.transpose()?;
        eprintln!("fitted on {}", live.fitted().data());
        self.runner(live, store)
    }

    fn params(&self) -> LiveParams {
        let handover = self.handover.map_or(Handover::WhenReady, Handover::After);
        let refit = (self.refit.is_some() || self.refit_on_drift).then_some(RefitParams {
            every: self.refit,
            on_drift: self.refit_on_drift,
            window: self.history,
            handover,
            warm_start: self.warm_start,
            ..Default::default()
        });
        let (duplicates, late) = (Irregular::Skip, Irregular::Skip);
        LiveParams { duplicates, late, refit, ..Default::default() }
    }

    fn runner(&self, live: LivePipeline, store: Option<LiveStore>) -> Result<Runner> {
        let output = self.output.as_deref().map(|path| {
            trimmed(path, self.format, &live)
                .with_context(|| format!("cannot write {}", path.display()))
        });
        let output = output.transpose()?;
        let is_new = output.as_ref().is_none_or(|file| file.metadata().is_ok_and(|m| m.len() == 0));
        Ok(Runner { live, store, format: self.format, output, wants_head: is_new, rows: 0 })
    }
}

impl Runner {
    /// Takes a candle: prints its row, then notes that it is done.
    pub(crate) fn take(&mut self, candle: Candle) -> Result<()> {
        let Some(step) = self.live.update(candle)? else { return Ok(()) };
        self.write(&step)?;
        if let Some(store) = &mut self.store {
            store.record_step(&self.live, &step)?;
        }
        match &step.refit {
            Some(RefitEvent::Swapped(swap)) => eprintln!("{swap}"),
            Some(RefitEvent::Failed(reason)) => eprintln!("a refit failed: {reason}"),
            _ => {}
        }
        self.rows += 1;
        Ok(())
    }

    pub(crate) fn is_done(&self, count: Option<usize>) -> bool {
        count.is_some_and(|count| self.rows >= count)
    }

    /// Puts the whole state on disk and says what was done.
    pub(crate) fn finish(mut self) -> Result<()> {
        if let Some(store) = &mut self.store {
            store.checkpoint(&self.live)?;
        }
        eprintln!("{}", serde_json::to_string(self.live.counters())?);
        Ok(())
    }

    fn write(&mut self, step: &Step) -> Result<()> {
        let mut text = Vec::new();
        match self.format {
            Format::Table => {
                if self.wants_head {
                    text.extend_from_slice(HEAD.as_bytes());
                }
                text.extend_from_slice(line(step).as_bytes());
            }
            Format::Json => {
                serde_json::to_writer(&mut text, &step.row)?;
                text.push(b'\n');
            }
            Format::Csv => {
                write_csv([step.row.clone()], &mut text)?;
                if !self.wants_head {
                    let head = text.iter().position(|&b| b == b'\n').map_or(0, |at| at + 1);
                    text.drain(..head);
                }
            }
        }
        self.wants_head = false;
        match &mut self.output {
            Some(file) => file.write_all(&text)?,
            None => {
                let mut out = io::stdout().lock();
                out.write_all(&text)?;
                out.flush()?;
            }
        }
        Ok(())
    }
}

const HEAD: &str = "open time                   close      z regime          signal  ensemble     \
                    interval                  sure   notes\n";

/// Eight digits, or a dash.
fn price(price: Option<f64>) -> String {
    let Some(price) = price else { return "–".to_owned() };
    let decimals = (7.0 - price.log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{price:.decimals$}")
}

/// A row for people.
fn line(step: &Step) -> String {
    let TableRow { structure, forecast, guard } = &step.row;
    let z = structure.indicators[forecastle::features::Indicator::VwapZ.index()];
    let regime = structure.state.map_or("–", |state| state.regime.as_str());
    let interval = match (forecast.ensemble_lower, forecast.ensemble_upper) {
        (Some(lower), Some(upper)) => format!("{} to {}", price(Some(lower)), price(Some(upper))),
        _ => "–".to_owned(),
    };
    let sure =
        forecast.ensemble_confidence.map_or("–".to_owned(), |c| format!("{:.0} %", 100.0 * c));
    let mut notes = Vec::new();
    if step.missing > 0 {
        notes.push(format!("{} candles missing before", step.missing));
    }
    notes.extend(guard.clone());
    format!(
        "{} {:>12} {z:>+6.2} {regime:<15} {:<7} {:<12} {interval:<25} {sure:<6} {}\n",
        structure.candle.open_time(),
        price(Some(structure.candle.close())),
        structure.signal().as_str(),
        price(forecast.ensemble),
        notes.join("; "),
    )
}

/// A file of rows without those that a killed process wrote and did not note as done.
fn trimmed(path: &Path, format: Format, live: &LivePipeline) -> Result<File> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text).context("it holds something else than rows")?;
    let until = live.last_open_time();
    let is_known = |i: usize, line: &str| {
        if format != Format::Json && i == 0 {
            return true;
        }
        let time = match format {
            Format::Json => serde_json::from_str::<serde_json::Value>(line)
                .ok()
                .and_then(|row| row["open_time"].as_i64()),
            Format::Csv => line.split(',').next().and_then(|time| time.parse().ok()),
            Format::Table => line
                .split(' ')
                .next()
                .and_then(|time| time.parse::<forecastle::core::Timestamp>().ok())
                .map(forecastle::core::Timestamp::as_millis),
        };
        time.is_some_and(|time| until.is_some_and(|until| time <= until.as_millis()))
    };
    let mut kept = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        if !line.ends_with('\n') || !is_known(i, line) {
            break;
        }
        kept += line.len();
    }
    file.set_len(u64::try_from(kept)?)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}
