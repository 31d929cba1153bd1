//! `forecastle-signals` with features and regime: the signals of a day, in words.
#![allow(clippy::print_stdout, reason = "an example prints")]

use forecastle::market_data::{Simulator, SimulatorParams};
use forecastle::signals::RuleParams;
use forecastle::{MarketStructure, Signal};

fn main() -> anyhow::Result<()> {
    let candles = Simulator::new(SimulatorParams { n: 400, ..Default::default() })?.series()?;
    let structure = MarketStructure::new("session".parse()?, RuleParams::default())?;
    let mut trades = 0;
    for row in structure.rows(candles.view()).filter(|row| row.signal() != Signal::Hold) {
        trades += 1;
        if trades <= 10 {
            let (time, rules) = (row.candle.open_time(), &row.rules);
            println!("{time} {} (stop {:.2?})", row.forecast_text, rules.stop_loss);
        }
    }
    println!("{trades} of {} bars give a signal", candles.len());
    Ok(())
}
