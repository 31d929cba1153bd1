//! The final table of a fitted pipeline as the leak detectors want it: all numbers.

use forecastle::core::{CandleSeries, FeatureTable};
use forecastle::evaluation::{Tabulate, TabulateFn};
use forecastle::{Cell, FittedPipeline, Record, TableRow};

/// Every column of the final table; flags are 0 and 1, words a number that tells them apart.
pub(crate) fn final_table(fitted: &FittedPipeline) -> impl Tabulate + '_ {
    let names: Vec<String> = TableRow::COLUMNS.iter().map(|&name| name.to_owned()).collect();
    TabulateFn::new(move |candles: &CandleSeries| {
        let report = fitted.run(candles)?;
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
    })
}

fn number(cell: Cell<'_>) -> f64 {
    match cell {
        Cell::Float(value) => value,
        Cell::Bool(flag) => f64::from(flag),
        Cell::Time(time) => time.as_millis() as f64,
        // FNV-1a, cut to what a float holds exactly.
        Cell::Text(text) => {
            let hash = text.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            });
            (hash >> 12) as f64
        }
        _ => f64::NAN,
    }
}
