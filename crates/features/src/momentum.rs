use forecastle_core::{Candle, CandleView, Result, Transform, TransformExt, TransformStream};
use ndarray::ArrayRef2;

use crate::output::{fill_rows, write_row};
use crate::window::{DelayLine, check_window};

/// Computes momentum: the close less an earlier close, in price units.
///
/// Column `momentum_{rows}` `= close − close[−rows]`, ready from row `rows`. The same as TA-Lib's MOM.
///
/// # Examples
/// ```
/// use forecastle_core::Transform;
/// use forecastle_features::Momentum;
///
/// let transform = Momentum::new(5)?;
/// assert_eq!((transform.names()[0].as_str(), transform.warm_up()), ("momentum_5", 5));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Momentum {
    rows: usize,
    names: [String; 1],
}

impl Momentum {
    /// Makes the transform.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) unless `rows` is
    ///   in `1..=`[`MAX_WINDOW`](crate::MAX_WINDOW).
    pub fn new(rows: usize) -> Result<Self> {
        check_window("rows", rows, 1)?;
        let names = [format!("momentum_{rows}")];
        Ok(Self { rows, names })
    }
}

impl Transform for Momentum {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        self.rows
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(MomentumStream::new(self.rows))
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        self.check_output(candles, out)?;
        fill_rows(&mut MomentumStream::new(self.rows), candles, out);
        Ok(())
    }
}

/// Computes [`Momentum`] candle by candle.
#[derive(Debug, Clone)]
pub struct MomentumStream {
    closes: DelayLine,
}

impl MomentumStream {
    fn new(rows: usize) -> Self {
        Self { closes: DelayLine::new(rows) }
    }
}

impl TransformStream for MomentumStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        let past = self.closes.push(candle.close());
        write_row(row, &[candle.close() - past]);
    }
}
