use forecastle_core::{Candle, CandleView, Result, Transform, TransformExt, TransformStream};
use ndarray::ArrayRef2;

use crate::moments::Moments;
use crate::output::{fill_rows, write_row};
use crate::window::{RollingWindow, check_window};

/// Computes the simple moving average of the close.
///
/// Column `sma_{window}`, ready from row `window - 1`.
///
/// # Examples
/// ```
/// use forecastle_core::Transform;
/// use forecastle_features::Sma;
///
/// let sma = Sma::new(20)?;
/// assert_eq!((sma.names()[0].as_str(), sma.warm_up()), ("sma_20", 19));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sma {
    window: usize,
    names: [String; 1],
}

impl Sma {
    /// Makes the transform.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) unless `window` is
    ///   in `1..=`[`MAX_WINDOW`](crate::MAX_WINDOW).
    pub fn new(window: usize) -> Result<Self> {
        check_window("window", window, 1)?;
        let names = [format!("sma_{window}")];
        Ok(Self { window, names })
    }
}

impl Transform for Sma {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        self.window - 1
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(SmaStream::new(self.window))
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        self.check_output(candles, out)?;
        fill_rows(&mut SmaStream::new(self.window), candles, out);
        Ok(())
    }
}

/// Computes [`Sma`] candle by candle.
#[derive(Debug, Clone)]
pub struct SmaStream {
    rows: RollingWindow<Moments>,
}

impl SmaStream {
    fn new(window: usize) -> Self {
        Self { rows: RollingWindow::new(window) }
    }
}

impl TransformStream for SmaStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        let window = self.rows.push(Moments::row(1.0, candle.close()));
        write_row(row, &[window.map_or(f64::NAN, |rows| rows.mean)]);
    }
}
