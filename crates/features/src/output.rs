//! Ways in which columns reach the caller's memory.

use forecastle_core::{CandleView, TransformStream};
use ndarray::{ArrayRef2, ArrayViewMut1};

/// Rows that are computed at once: few enough that all columns of a chunk stay in the second
/// cache, enough that memory is written in long runs.
pub(crate) const CHUNK: usize = 2_048;

/// The widest row that [`fill_rows`] writes.
const MAX_WIDTH: usize = 8;

pub(crate) fn owned_names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Writes the leading cells of `row`, or nothing when it is too short.
#[inline(always)]
pub(crate) fn write_row(row: &mut [f64], values: &[f64]) {
    if let Some(cells) = row.get_mut(..values.len()) {
        cells.copy_from_slice(values);
    }
}

/// Runs a stream over all candles: `out` is `(candles.len(), width)`, `width <= 8`.
pub(crate) fn fill_rows(
    stream: &mut impl TransformStream,
    candles: CandleView<'_>,
    out: &mut ArrayRef2<f64>,
) {
    let mut values = [f64::NAN; MAX_WIDTH];
    for (candle, mut row) in candles.iter().zip(out.rows_mut()) {
        stream.update(&candle, &mut values);
        row.iter_mut().zip(&values).for_each(|(cell, &value)| *cell = value);
    }
}

/// Calls `fill` for consecutive chunks of `rows` rows with their cells, column by column.
///
/// Contiguous columns are written in place; any other layout goes through a buffer.
pub(crate) fn fill_chunks<const WIDTH: usize>(
    out: &mut ArrayRef2<f64>,
    rows: usize,
    mut fill: impl FnMut(&mut [&mut [f64]; WIDTH]),
) {
    let chunks = (0..rows).step_by(CHUNK).map(|from| from..rows.min(from + CHUNK));
    let in_place: Option<Vec<&mut [f64]>> =
        out.columns_mut().into_iter().map(ArrayViewMut1::into_slice).collect();
    if let Some(mut columns) = in_place {
        for chunk in chunks {
            let mut rest = columns.iter_mut();
            fill(&mut std::array::from_fn(|_| match rest.next() {
                Some(column) => &mut column[chunk.clone()],
                None => &mut [],
            }));
        }
        return;
    }
    let mut buffer = vec![0.0; WIDTH * CHUNK];
    for chunk in chunks {
        fill(&mut buffer_cells(&mut buffer, chunk.len()));
        for (values, mut column) in buffer.chunks(CHUNK).zip(out.columns_mut()) {
            for (&value, row) in values.iter().zip(chunk.clone()) {
                column[row] = value;
            }
        }
    }
}

/// The first `rows` cells of every column in a buffer of `WIDTH · CHUNK`.
pub(crate) fn buffer_cells<const WIDTH: usize>(
    buffer: &mut [f64],
    rows: usize,
) -> [&mut [f64]; WIDTH] {
    let mut rest = buffer.chunks_mut(CHUNK);
    std::array::from_fn(|_| match rest.next() {
        Some(column) => &mut column[..rows],
        None => &mut [],
    })
}
