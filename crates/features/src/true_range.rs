use forecastle_core::{Candle, CandleView, Result, Transform, TransformExt, TransformStream};
use ndarray::ArrayRef2;

use crate::output::{fill_rows, write_row};

/// Computes the true range: the candle's range, widened to reach the close before.
///
/// Column `true_range` `= max(high − low, |high − close[−1]|, |low − close[−1]|)`, ready from row 1.
///
/// # References
/// - Wilder, J. W. (1978). *New Concepts in Technical Trading Systems*. Trend Research.
#[derive(Debug, Clone)]
pub struct TrueRange {
    names: [String; 1],
}

impl TrueRange {
    /// Makes the transform.
    pub fn new() -> Self {
        Self { names: ["true_range".to_owned()] }
    }
}

impl Default for TrueRange {
    fn default() -> Self {
        Self::new()
    }
}

/// True range from the close before.
#[inline(always)]
pub(crate) fn true_range(high: f64, low: f64, previous: f64) -> f64 {
    let greater = |a: f64, b: f64| if a > b { a } else { b };
    greater(high - low, greater((high - previous).abs(), (low - previous).abs()))
}

impl Transform for TrueRange {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        1
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(TrueRangeStream::new())
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        self.check_output(candles, out)?;
        fill_rows(&mut TrueRangeStream::new(), candles, out);
        Ok(())
    }
}

/// Computes [`TrueRange`] candle by candle.
#[derive(Debug, Clone)]
pub struct TrueRangeStream {
    previous: Option<f64>,
}

impl TrueRangeStream {
    const fn new() -> Self {
        Self { previous: None }
    }
}

impl TransformStream for TrueRangeStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        let previous = self.previous.replace(candle.close());
        let range = previous.map(|close| true_range(candle.high(), candle.low(), close));
        write_row(row, &[range.unwrap_or(f64::NAN)]);
    }
}
