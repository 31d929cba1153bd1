use forecastle_core::{Candle, CandleView, Result, Transform, TransformExt, TransformStream};
use ndarray::ArrayRef2;

use crate::output::{fill_rows, write_row};
use crate::window::{DelayLine, check_window};

/// Gives the close of an earlier candle.
///
/// Column `close_lag_{rows}` `= close[−rows]`, ready from row `rows`. It counts rows, not time: a gap is one step.
///
/// # Examples
/// ```
/// use forecastle_core::Transform;
/// use forecastle_features::Lag;
///
/// let transform = Lag::new(5)?;
/// assert_eq!((transform.names()[0].as_str(), transform.warm_up()), ("close_lag_5", 5));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Lag {
    rows: usize,
    names: [String; 1],
}

impl Lag {
    /// Makes the transform.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) unless `rows` is
    ///   in `1..=`[`MAX_WINDOW`](crate::MAX_WINDOW).
    pub fn new(rows: usize) -> Result<Self> {
        check_window("rows", rows, 1)?;
        let names = [format!("close_lag_{rows}")];
        Ok(Self { rows, names })
    }
}

impl Transform for Lag {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        self.rows
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(LagStream::new(self.rows))
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        self.check_output(candles, out)?;
        fill_rows(&mut LagStream::new(self.rows), candles, out);
        Ok(())
    }
}

/// Computes [`Lag`] candle by candle.
#[derive(Debug, Clone)]
pub struct LagStream {
    closes: DelayLine,
}

impl LagStream {
    fn new(rows: usize) -> Self {
        Self { closes: DelayLine::new(rows) }
    }
}

impl TransformStream for LagStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        let past = self.closes.push(candle.close());
        write_row(row, &[past]);
    }
}

/// Writes the closes `back` rows before; the column's last cell belongs to the last close.
pub(crate) fn fill_lag(column: &mut [f64], close: &[f64], back: usize) {
    let (ready, _, past) = split_ready(column, close, back);
    ready.copy_from_slice(past);
}

/// Marks the cells that have no close `back` rows before them as not ready; the others, their
/// closes and those before. The column's last cell belongs to the last close.
pub(crate) fn split_ready<'c, 'p>(
    column: &'c mut [f64],
    close: &'p [f64],
    back: usize,
) -> (&'c mut [f64], &'p [f64], &'p [f64]) {
    let past = &close[..close.len().saturating_sub(back)];
    let len = column.len().min(past.len());
    let (unready, ready) = column.split_at_mut(column.len() - len);
    unready.fill(f64::NAN);
    (ready, &close[close.len() - len..], &past[past.len() - len..])
}
