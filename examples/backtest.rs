//! What trading the table would have brought: refitted walking forward, costs paid, luck told.
//!
//! ```text
//! cargo run --release --example backtest -- --candles BTCUSDT_1h.csv.gz --fee-bps 10 --slippage-bps 5
//! cargo run --release --example backtest -- --refit-every 500 --plot backtest.svg
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use forecastle::backtest::{BacktestParams, Costs, RandomEntryParams, Sizing};
use forecastle::core::TrainWindow;
use forecastle::{
    ModelKind, Pipeline, Refit, Traded, TradingParams, WalkForwardParams, WalkForwardRun,
    trading_screen,
};

#[path = "support/candles.rs"]
mod candles;
#[path = "support/output.rs"]
mod output;
#[path = "support/plot.rs"]
mod plot;
#[path = "support/progress_bar.rs"]
mod progress_bar;
#[path = "support/settings.rs"]
mod settings;

use plot::Panel;

/// Trades signals and forecasts out of sample: refitted walking forward, filled at the next open
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    candles: candles::CandleArgs,
    #[command(flatten)]
    settings: settings::SettingArgs,
    /// Models of the ensemble; gru, transformer and autoencoder take minutes [default: those of the
    /// configuration, without one ridge,boosting,kalman]
    #[arg(long, value_delimiter = ',')]
    models: Option<Vec<ModelKind>>,
    /// Candles known to the first fit [default: half of them]
    #[arg(long, value_name = "N")]
    initial: Option<usize>,
    /// Refit after so many bars [default: 5 times in all]
    #[arg(long, value_name = "N")]
    refit_every: Option<usize>,
    /// Fit on the last N candles alone [default: on all that are known]
    #[arg(long, value_name = "N")]
    rolling: Option<usize>,
    /// Fee a side, in basis points
    #[arg(long, default_value_t = Costs::default().fee_bps)]
    fee_bps: f64,
    /// Half of the spread, in basis points
    #[arg(long, default_value_t = Costs::default().half_spread_bps)]
    half_spread_bps: f64,
    /// Slippage a side, in basis points
    #[arg(long, default_value_t = Costs::default().slippage_bps)]
    slippage_bps: f64,
    /// Money to begin with
    #[arg(long, default_value_t = BacktestParams::default().initial_capital)]
    capital: f64,
    /// Fraction of equity in a position
    #[arg(long, default_value_t = 1.0, conflicts_with = "target_volatility")]
    fraction: f64,
    /// Size positions for this annual volatility instead, e.g. 0.2
    #[arg(long)]
    target_volatility: Option<f64>,
    /// Never go short
    #[arg(long)]
    long_only: bool,
    /// Longest stay of a rule's trade, in bars [default: none]
    #[arg(long, value_name = "N")]
    max_bars: Option<u32>,
    /// Forecast move below which a forecast is not traded, in basis points [default: both sides' costs]
    #[arg(long)]
    min_move_bps: Option<f64>,
    /// Runs of the same trades at random times
    #[arg(long, default_value_t = 200)]
    random_runs: usize,
    /// Write the trades of one strategy as CSV
    #[arg(long, value_name = "FILE")]
    trades: Option<PathBuf>,
    /// Write its equity as CSV
    #[arg(long, value_name = "FILE")]
    equity: Option<PathBuf>,
    /// Which strategy to write: rules, ensemble or a model
    #[arg(long, default_value = "rules")]
    strategy: String,
    /// Write all figures as JSON here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw equity, intervals and reliability as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

impl Args {
    fn backtest(&self) -> BacktestParams {
        let sizing = match self.target_volatility {
            Some(annual) => Sizing::VolatilityTarget { annual, window: 100, max_leverage: 1.0 },
            None => Sizing::Fraction(self.fraction),
        };
        BacktestParams {
            initial_capital: self.capital,
            costs: Costs {
                fee_bps: self.fee_bps,
                half_spread_bps: self.half_spread_bps,
                slippage_bps: self.slippage_bps,
            },
            sizing,
            allow_short: !self.long_only,
            ..BacktestParams::default()
        }
    }

    fn walk_forward(&self) -> WalkForwardParams {
        WalkForwardParams {
            initial_train: self.initial,
            refit: self.refit_every.map_or(Refit::Times(5), Refit::Every),
            window: self.rolling.map_or(TrainWindow::Expanding, TrainWindow::Rolling),
        }
    }
}

fn main() -> ExitCode {
    output::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let mut config = args.settings.load()?;
    if let Some(models) = &args.models {
        config.models.clone_from(models);
    } else if args.settings.config.is_none() {
        config.models = ModelKind::QUICK.to_vec();
    }
    let pipeline = Pipeline::new(config)?;
    let input = args.candles.load()?;
    let bar = progress_bar::Bar::new();
    let run = pipeline.walk_forward(&input.series, &args.walk_forward(), &bar)?;
    bar.finish();

    let strategies = run.strategies();
    let names: Vec<&str> = strategies.iter().map(|s| s.as_str()).collect();
    let chosen = names.iter().position(|name| *name == args.strategy);
    ensure!(chosen.is_some(), "--strategy must be among {}", names.join(", "));
    let trading = TradingParams { max_bars: args.max_bars, min_move_bps: args.min_move_bps };
    let seed = pipeline.config().seed;
    let random = RandomEntryParams { n_runs: args.random_runs, seed };
    let backtest = args.backtest();
    let traded = run.trade(&strategies, &trading, &backtest, &random)?;

    if let Some(written) = chosen.and_then(|i| traded.get(i)) {
        if args.trades.is_some() {
            output::write_to(args.trades.as_deref(), |out| {
                Ok(written.backtest.write_trades_csv(out)?)
            })?;
        }
        if args.equity.is_some() {
            output::write_to(args.equity.as_deref(), |out| {
                Ok(written.backtest.write_equity_csv(run.traded_candles().view(), out)?)
            })?;
        }
    }
    if args.json.is_some() {
        let figures: Vec<_> = traded
            .iter()
            .map(|t| serde_json::json!({ "strategy": t.strategy.as_str(), "beside": &t.beside }))
            .collect();
        output::write_to(args.json.as_deref(), |out| {
            Ok(serde_json::to_writer_pretty(out, &figures)?)
        })?;
    }
    if let Some(path) = &args.plot {
        plot::draw(path, &panels(&run, &traded)?)?;
    }
    output::write_to(None, |out| {
        writeln!(out, "{input}")?;
        writeln!(
            out,
            "{} fits, {} bars traded out of sample from {}, {pipeline}; a side costs {} bps\n",
            run.n_fits(),
            run.rows().len(),
            run.rows().first().map_or_else(String::new, |r| r
                .structure
                .candle
                .open_time()
                .to_string()),
            backtest.costs.side_bps(),
        )?;
        writeln!(out, "{}", trading_screen(&traded))?;
        writeln!(out, "{}", run.summary_screen()?)?;
        Ok(())
    })
}

/// Equity, the last intervals, and what became of the confidence.
fn panels(run: &WalkForwardRun, traded: &[Traded]) -> Result<Vec<Panel>> {
    /// Bars whose intervals are still told apart.
    const SHOWN: usize = 300;
    let candles = run.traded_candles();
    let view = candles.view();
    let mut lines: Vec<(String, Vec<f64>)> =
        traded.iter().map(|t| (t.strategy.to_string(), t.backtest.equity.clone())).collect();
    if let (Some(first), Some(start)) = (traded.first(), view.open().get(1)) {
        let capital = first.backtest.initial_capital;
        let held = view.close().iter().map(|close| capital * close / start).collect();
        lines.push(("buy and hold, before costs".to_owned(), held));
    }
    let mut panels = vec![Panel::Lines {
        title: format!("{}: equity after costs", candles.symbol()),
        times: view.open_time().to_vec(),
        lines,
        band: None,
        logarithmic: true,
    }];

    // An interval speaks of the price `horizon` bars later, and is drawn there.
    let horizon = run.config().horizon;
    let from = view.len().saturating_sub(SHOWN);
    let bound = |lower: bool| -> Vec<f64> {
        (from..view.len())
            .map(|t| {
                let row = t.checked_sub(horizon).and_then(|made| run.rows().get(made));
                let forecast = row.map(|row| &row.forecast);
                let price =
                    forecast.and_then(|f| if lower { f.ensemble_lower } else { f.ensemble_upper });
                price.unwrap_or(f64::NAN)
            })
            .collect()
    };
    panels.push(Panel::Lines {
        title: format!("close, and the interval told {horizon} bars before"),
        times: view.open_time().iter().skip(from).copied().collect(),
        lines: vec![("close".to_owned(), view.close().iter().skip(from).copied().collect())],
        band: Some(("interval".to_owned(), bound(true), bound(false))),
        logarithmic: false,
    });
    let Some(table) = run.reliability()? else {
        return Ok(panels);
    };
    let points = table.rows().into_iter().filter_map(|bin| {
        Some(plot::ReliabilityPoint {
            forecast: bin.mean_forecast?,
            observed: bin.observed?,
            standard_error: bin.standard_error.unwrap_or(0.0),
            n: bin.n,
        })
    });
    panels.push(Panel::Reliability {
        title: "ensemble_confidence: told and come true".to_owned(),
        points: points.collect(),
    });
    Ok(panels)
}
