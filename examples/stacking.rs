//! `forecastle-ensemble` alone: two bases, out-of-fold weights, an interval.
#![allow(clippy::print_stdout, reason = "an example prints")]

use forecastle::core::{Rows, Target, Transform, TransformExt};
use forecastle::ensemble::{Base, ConformalParams, OlsParams, RidgeParams, StackingParams};
use forecastle::features::{ModelFeatures, VwapAnchor};
use forecastle::market_data::{Simulator, SimulatorParams};

fn main() -> anyhow::Result<()> {
    let candles = Simulator::new(SimulatorParams { n: 2_000, ..Default::default() })?.series()?;
    let features = ModelFeatures::new(VwapAnchor::default())?;
    let table = features.transform(candles.view())?;
    let horizon = 5;
    let targets = Target::LogReturn.labels(candles.view().close(), horizon);
    let rows = Rows::from(features.warm_up()..candles.len() - horizon);

    let (ridge, ols) = (RidgeParams::default(), OlsParams::default());
    let bases = [
        Base { name: "ridge", model: &ridge, table: &table },
        Base { name: "ols", model: &ols, table: &table },
    ];
    let stack = StackingParams::default().fit(&bases, &targets, &rows, horizon, &())?;
    for (name, weight) in stack.names().iter().zip(stack.weights()) {
        println!("{name:<6} weight {weight:.3}");
    }
    println!(
        "naive  weight {:.3} (these candles are a simulated martingale)",
        stack.naive_weight()
    );

    let forecast = stack.predict(&[&table, &table])?[candles.len() - 1];
    let conformal = ConformalParams::default().fit(&stack.meta().residuals())?;
    let (lower, upper) = conformal.interval(forecast);
    println!(
        "log return over {horizon} bars: {forecast:+.5}, 90 % interval {lower:+.5} to {upper:+.5}"
    );
    Ok(())
}
