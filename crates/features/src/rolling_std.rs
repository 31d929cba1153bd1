use forecastle_core::{
    Candle, CandleView, Error, Result, Transform, TransformExt, TransformStream,
};
use ndarray::ArrayRef2;

use crate::moments::Moments;
use crate::output::{fill_rows, write_row};
use crate::window::{RollingWindow, check_window};

/// Computes the standard deviation of the last closes.
///
/// Column `std_{window}` with the sample divisor `window - 1` (`ddof` 1, the default), or
/// `std_{window}_ddof{ddof}` with another; ready from row `window - 1`. Equal closes give 0.
///
/// # Examples
/// ```
/// use forecastle_core::Transform;
/// use forecastle_features::RollingStd;
///
/// assert_eq!(RollingStd::new(20)?.names(), ["std_20"]);
/// assert_eq!(RollingStd::with_ddof(20, 0)?.names(), ["std_20_ddof0"]);
/// assert!(RollingStd::with_ddof(5, 5).is_err());
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RollingStd {
    window: usize,
    ddof: usize,
    names: [String; 1],
}

impl RollingStd {
    /// Makes the transform with the divisor `window - 1`.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] unless `window` is in `2..=`[`MAX_WINDOW`](crate::MAX_WINDOW).
    pub fn new(window: usize) -> Result<Self> {
        check_window("window", window, 2)?;
        Self::with_ddof(window, 1)
    }

    /// Makes the transform with the divisor `window - ddof`.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] unless `window` is in `1..=`[`MAX_WINDOW`](crate::MAX_WINDOW)
    ///   and `ddof` below it.
    pub fn with_ddof(window: usize, ddof: usize) -> Result<Self> {
        check_window("window", window, 1)?;
        if ddof >= window {
            return Err(Error::invalid_parameter("ddof", format!("< {window}, the window"), ddof));
        }
        let names = match ddof {
            1 => [format!("std_{window}")],
            _ => [format!("std_{window}_ddof{ddof}")],
        };
        Ok(Self { window, ddof, names })
    }

    fn start(&self) -> RollingStdStream {
        RollingStdStream {
            rows: RollingWindow::new(self.window),
            correction: self.window as f64 / (self.window - self.ddof) as f64,
        }
    }
}

impl Transform for RollingStd {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        self.window - 1
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(self.start())
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        self.check_output(candles, out)?;
        fill_rows(&mut self.start(), candles, out);
        Ok(())
    }
}

/// Computes [`RollingStd`] candle by candle.
#[derive(Debug, Clone)]
pub struct RollingStdStream {
    rows: RollingWindow<Moments>,
    /// Population to sample variance.
    correction: f64,
}

impl TransformStream for RollingStdStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        let window = self.rows.push(Moments::row(1.0, candle.close()));
        let std = window.map_or(f64::NAN, |rows| (rows.variance * self.correction).sqrt());
        write_row(row, &[std]);
    }
}
