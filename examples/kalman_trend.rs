//! `forecastle-kalman` alone: a local linear trend, its variances by maximum likelihood, and the
//! forecast with its uncertainty.
#![allow(clippy::print_stdout, reason = "an example prints")]

use forecastle::core::{Dataset, Fit, Rows, Target, TransformExt};
use forecastle::features::LogClose;
use forecastle::kalman::{KalmanParams, LOG_CLOSE};
use forecastle::market_data::{Simulator, SimulatorParams};

fn main() -> anyhow::Result<()> {
    let candles = Simulator::new(SimulatorParams { n: 1_000, ..Default::default() })?.series()?;
    let table = LogClose::new().transform(candles.view())?;
    assert_eq!(table.names(), [LOG_CLOSE]);

    let horizon = 5;
    let targets = Target::LogReturn.labels(candles.view().close(), horizon);
    let rows = Rows::from(0..candles.len() - horizon);
    let model =
        KalmanParams::default().fit(Dataset::from_table(&table, &targets, &rows, horizon)?)?;
    println!("{:#?}", model.report());

    let mut stream = model.stream();
    for candle in candles.view().iter() {
        stream.update(candle.close().ln());
    }
    for bars in [1, 5, 20] {
        if let Some(forecast) = stream.forecast(bars) {
            println!("{bars:>2} bars ahead: {forecast:?}");
        }
    }
    Ok(())
}
