use forecastle_core::{Candle, CandleView, Result, Transform, TransformExt, TransformStream};
use ndarray::ArrayRef2;

use crate::output::{fill_rows, write_row};
use crate::window::{Aggregate, RollingWindow, check_window};

/// Fits a straight line to the last closes by least squares.
///
/// Columns `linreg_{window}`, the line's value at the last row, and `linreg_slope_{window}`, its
/// change a row (TA-Lib's `LINEARREG` and `LINEARREG_SLOPE`); ready from row `window - 1`. The line
/// `h` rows ahead is `linreg + h · slope`.
///
/// # Examples
/// ```
/// use forecastle_core::Transform;
/// use forecastle_features::LinearRegression;
///
/// let regression = LinearRegression::new(20)?;
/// assert_eq!(regression.names(), ["linreg_20", "linreg_slope_20"]);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LinearRegression {
    window: usize,
    names: [String; 2],
}

impl LinearRegression {
    /// Makes the transform.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) unless `window` is
    ///   in `2..=`[`MAX_WINDOW`](crate::MAX_WINDOW).
    pub fn new(window: usize) -> Result<Self> {
        check_window("window", window, 2)?;
        let names = [format!("linreg_{window}"), format!("linreg_slope_{window}")];
        Ok(Self { window, names })
    }
}

impl Transform for LinearRegression {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        self.window - 1
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(LinearRegressionStream::new(self.window))
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        self.check_output(candles, out)?;
        fill_rows(&mut LinearRegressionStream::new(self.window), candles, out);
        Ok(())
    }
}

/// Consecutive values and how they lie along their row numbers.
#[derive(Debug, Clone, Copy)]
struct Line {
    rows: f64,
    mean: f64,
    /// `Σ (row − mean row)·(value − mean value)`.
    co_moment: f64,
}

impl Line {
    const fn of(value: f64) -> Self {
        Self { rows: 1.0, mean: value, co_moment: 0.0 }
    }
}

impl Aggregate for Line {
    const EMPTY: Self = Self { rows: 0.0, mean: 0.0, co_moment: 0.0 };

    #[inline(always)]
    fn append(self, row: Self) -> Self {
        if self.rows == 0.0 { row } else { self.join(row) }
    }

    #[inline(always)]
    fn prepend(self, row: Self) -> Self {
        if self.rows == 0.0 { row } else { row.join(self) }
    }

    /// The mean rows lie `(a + b)/2` apart, so `ab/(a + b)` cancels to `ab/2`.
    #[inline(always)]
    fn join(self, later: Self) -> Self {
        let rows = self.rows + later.rows;
        let distance = later.mean - self.mean;
        let cross = (0.5 * self.rows * later.rows) * distance;
        Self {
            rows,
            mean: self.mean + (later.rows / rows) * distance,
            co_moment: self.co_moment + later.co_moment + cross,
        }
    }
}

/// Computes [`LinearRegression`] candle by candle.
#[derive(Debug, Clone)]
pub struct LinearRegressionStream {
    rows: RollingWindow<Line>,
    /// From the middle of the window to its last row.
    reach: f64,
    /// `Σ (row − mean row)²`.
    spread: f64,
}

impl LinearRegressionStream {
    fn new(window: usize) -> Self {
        let n = window as f64;
        Self {
            rows: RollingWindow::new(window),
            reach: 0.5 * (n - 1.0),
            spread: n * (n * n - 1.0) / 12.0,
        }
    }
}

impl TransformStream for LinearRegressionStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        let (mut value, mut slope) = (f64::NAN, f64::NAN);
        if let Some(line) = self.rows.push(Line::of(candle.close())) {
            slope = line.co_moment / self.spread;
            value = line.mean + self.reach * slope;
        }
        write_row(row, &[value, slope]);
    }
}
