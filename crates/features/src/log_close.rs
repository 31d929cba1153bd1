use forecastle_core::{Candle, CandleView, Result, Transform, TransformExt, TransformStream};
use ndarray::ArrayRef2;

use crate::output::{fill_rows, write_row};

/// Gives the natural logarithm of the close, which the Kalman model filters.
///
/// Column `log_close`, ready from the first row.
///
/// # Examples
/// ```
/// use forecastle_core::Transform;
/// use forecastle_features::LogClose;
///
/// assert_eq!(LogClose::new().names(), ["log_close"]);
/// ```
#[derive(Debug, Clone)]
pub struct LogClose {
    names: [String; 1],
}

impl LogClose {
    /// Makes the transform.
    pub fn new() -> Self {
        Self { names: ["log_close".to_owned()] }
    }
}

impl Default for LogClose {
    fn default() -> Self {
        Self::new()
    }
}

impl Transform for LogClose {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        0
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(LogCloseStream)
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        self.check_output(candles, out)?;
        fill_rows(&mut LogCloseStream, candles, out);
        Ok(())
    }
}

/// Computes [`LogClose`] candle by candle.
#[derive(Debug, Clone, Copy)]
pub struct LogCloseStream;

impl TransformStream for LogCloseStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        write_row(row, &[candle.close().ln()]);
    }
}
