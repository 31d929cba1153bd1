//! `forecastle-features` alone: VWAP with bands, in batch and candle by candle, the same bits.
#![allow(clippy::print_stdout, reason = "an example prints")]

use forecastle::core::{Transform, TransformExt};
use forecastle::features::{Vwap, VwapAnchor};
use forecastle::market_data::{Simulator, SimulatorParams};

fn main() -> anyhow::Result<()> {
    let candles = Simulator::new(SimulatorParams { n: 500, ..Default::default() })?.series()?;
    let vwap = Vwap::new(VwapAnchor::Rolling(96))?;

    let table = vwap.transform(candles.view())?;
    let mut stream = vwap.stream();
    let mut row = vec![f64::NAN; vwap.names().len()];
    for candle in candles.view().iter() {
        stream.update(&candle, &mut row);
    }
    for (j, name) in vwap.names().iter().enumerate() {
        let batch = table.values()[[table.n_rows() - 1, j]];
        assert_eq!(batch.to_bits(), row[j].to_bits());
        println!("{name:<14}{batch:>12.4}");
    }
    Ok(())
}
