//! Trades decisions of one CSV file on the candles of another and writes trades and equity as CSV.
//!
//! `backtest_file CANDLES DECISIONS TRADES EQUITY [--name value ...]`, with the names `fee_bps`,
//! `half_spread_bps`, `slippage_bps`, `capital`, and one of `units` and `fraction`. Candles have the
//! columns timestamp (milliseconds), open, high, low, close, volume; decisions bar, action, `stop_loss`,
//! `take_profit`, `max_bars`, where an empty cell is none and a bar without a row keeps. With `repeats`,
//! the seconds of each are printed, and how many trades there were.
//!
//! `backtest_file CANDLES SETS --sweep N [--name value ...]` trades N settings of one rule on the candles
//! and writes `set`, `n_trades`, `final_equity` of each. Set s looks at every 20th bar from w = 100 + s
//! on: long where the close is above that of w bars ago; otherwise short, in odd sets flat; flat two
//! bars before the last. The seconds of each repeat are printed, and the threads (`RAYON_NUM_THREADS`).

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::time::Instant;

use forecastle_backtest::{Action, BacktestParams, Decision, Sizing};
use forecastle_core::{CandleSeries, CandleView, RawCandle, Timestamp};
use serde::Deserialize;

#[derive(Deserialize)]
struct DecisionRow {
    bar: usize,
    action: Action,
    stop_loss: Option<f64>,
    take_profit: Option<f64>,
    max_bars: Option<u32>,
}

fn candles(path: &str) -> Result<CandleSeries, Box<dyn Error>> {
    let mut rows = Vec::new();
    for row in csv::Reader::from_path(path)?.deserialize() {
        let (time, open, high, low, close, volume): (i64, f64, f64, f64, f64, f64) = row?;
        let open_time = Timestamp::from_millis(time);
        rows.push(RawCandle { open_time, open, high, low, close, volume });
    }
    let (series, report) = CandleSeries::from_raw("FILE/USD".parse()?, "1m".parse()?, rows, None);
    if report.is_repaired() || report.out_of_order > 0 {
        return Err(format!("rows of {path} would have to be repaired: {report:?}").into());
    }
    Ok(series)
}

fn decisions(path: &str, n_bars: usize) -> Result<Vec<Decision>, Box<dyn Error>> {
    let mut decisions = vec![Decision::KEEP; n_bars];
    for row in csv::Reader::from_path(path)?.deserialize() {
        let DecisionRow { bar, action, stop_loss, take_profit, max_bars } = row?;
        let place = decisions.get_mut(bar).ok_or_else(|| format!("there is no bar {bar}"))?;
        *place = Decision { stop_loss, take_profit, max_bars, ..Decision::new(action) };
    }
    Ok(decisions)
}

/// Fills in the decisions of a set; `benches/compare_vectorbt.py` has the same rule.
fn decide(set: usize, close: &[f64], decisions: &mut [Decision]) {
    let window = 100 + set;
    let fallen = if set.is_multiple_of(2) { Decision::short() } else { Decision::EXIT };
    for (t, pair) in close.windows(window + 1).enumerate().step_by(20) {
        let risen = pair[window] > pair[0];
        decisions[t + window] = if risen { Decision::long() } else { fallen };
    }
    if let [.., third_last, second_last, last] = decisions {
        *third_last = Decision::EXIT;
        (*second_last, *last) = (Decision::KEEP, Decision::KEEP);
    }
}

fn sweep(
    params: &BacktestParams,
    candles: CandleView<'_>,
    n_sets: usize,
    repeats: usize,
    set_path: &str,
) -> Result<(), Box<dyn Error>> {
    let run = || {
        params.sweep(candles, n_sets, |set, decisions| {
            decide(set, candles.close(), decisions);
            Ok(())
        })
    };
    for _ in 0..repeats {
        let start = Instant::now();
        let _ = run()?;
        let seconds = start.elapsed().as_secs_f64();
        writeln!(std::io::stdout(), "{seconds} {}", rayon::current_num_threads())?;
    }
    let mut writer = csv::Writer::from_path(set_path)?;
    writer.write_record(["set", "n_trades", "final_equity"])?;
    for (set, performance) in run()?.performances.iter().enumerate() {
        writer.serialize((set, performance.n_trades, performance.final_equity))?;
    }
    Ok(writer.flush()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let n_paths = arguments.iter().take_while(|a| !a.starts_with("--")).count();
    let (paths, options) = arguments.split_at(n_paths);
    let mut params = BacktestParams::default();
    let mut repeats = 0;
    let mut n_sets = None;
    for option in options.chunks(2) {
        let [name, value] = option else { return Err("an option has no value".into()) };
        let value: f64 = value.parse()?;
        match name.as_str() {
            "--fee_bps" => params.costs.fee_bps = value,
            "--half_spread_bps" => params.costs.half_spread_bps = value,
            "--slippage_bps" => params.costs.slippage_bps = value,
            "--capital" => params.initial_capital = value,
            "--units" => params.sizing = Sizing::Units(value),
            "--fraction" => params.sizing = Sizing::Fraction(value),
            "--repeats" => repeats = value as usize,
            "--sweep" => n_sets = Some(value as usize),
            _ => return Err(format!("there is no option {name}").into()),
        }
    }
    if let Some(n_sets) = n_sets {
        let [candle_path, set_path] = paths else {
            return Err("give CANDLES SETS with --sweep".into());
        };
        return sweep(&params, candles(candle_path)?.view(), n_sets, repeats, set_path);
    }
    let [candle_path, decision_path, trade_path, equity_path] = paths else {
        return Err("give CANDLES DECISIONS TRADES EQUITY".into());
    };
    let series = candles(candle_path)?;
    let decisions = decisions(decision_path, series.len())?;
    for _ in 0..repeats {
        let start = Instant::now();
        let backtest = params.run(series.view(), &decisions)?;
        let seconds = start.elapsed().as_secs_f64();
        writeln!(std::io::stdout(), "{seconds} {}", backtest.trades.len())?;
    }
    let backtest = params.run(series.view(), &decisions)?;
    backtest.write_trades_csv(File::create(trade_path)?)?;
    backtest.write_equity_csv(series.view(), File::create(equity_path)?)?;
    Ok(())
}
