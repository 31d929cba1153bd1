use forecastle_core::{CandleSeries, FeatureTable, Result};
use forecastle_evaluation::Tabulate;

use crate::{Cell, FittedPipeline, Record, TableRow};

/// The final table as leak detectors want it: every column a number. Flags are 0 and 1, times
/// milliseconds, words a number that tells them apart.
///
/// ```
/// use forecastle::evaluation::{CausalityParams, assert_causal};
/// use forecastle::market_data::{Simulator, SimulatorParams};
/// use forecastle::{ModelKind, Pipeline};
///
/// let candles = Simulator::new(SimulatorParams { n: 700, ..Default::default() })?.series()?;
/// let pipeline = Pipeline::builder().models([ModelKind::Ridge]).build()?;
/// let fitted = pipeline.fit(&candles.slice(0..500))?;
/// assert!(assert_causal(&fitted, &candles, &CausalityParams::default()).is_ok());
/// # Ok::<(), forecastle::Error>(())
/// ```
impl Tabulate for FittedPipeline {
    fn tabulate(&self, candles: &CandleSeries) -> Result<FeatureTable> {
        let names: Vec<String> = TableRow::COLUMNS.iter().map(|&name| name.to_owned()).collect();
        let report = self.run(candles)?;
        let mut table = FeatureTable::filled_nan(&names, candles.view().open_time())?;
        for (row, mut cells) in report.rows().zip(table.values_mut().rows_mut()) {
            let mut slots = cells.iter_mut();
            row.visit(&mut |_, cell| {
                if let Some(slot) = slots.next() {
                    *slot = number(cell);
                }
            });
        }
        Ok(table)
    }
}

fn number(cell: Cell<'_>) -> f64 {
    match cell {
        Cell::Null => f64::NAN,
        Cell::Float(value) => value,
        Cell::Count(count) => count as f64,
        Cell::Bool(flag) => f64::from(flag),
        Cell::Time(time) => time.as_millis() as f64,
        // FNV-1a, cut to what a float holds exactly.
        Cell::Text(text) => {
            let hash = text.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            });
            (hash >> 12) as f64
        }
    }
}
