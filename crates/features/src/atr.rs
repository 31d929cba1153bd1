use forecastle_core::{Candle, CandleView, Result, Transform, TransformExt, TransformStream};
use ndarray::ArrayRef2;
use serde::{Deserialize, Serialize};

use crate::output::{fill_rows, write_row};
use crate::true_range::true_range;
use crate::window::check_window;

/// Computes Wilder's average true range.
///
/// Column `atr_{window}`. The true range starts at row 1; the first value, at row `window`, is the
/// mean of `TR[1..=window]`, and from there on `ATR = ((window − 1)·ATR[−1] + TR) / window`. The
/// same as TA-Lib's.
///
/// # Examples
/// ```
/// use forecastle_core::Transform;
/// use forecastle_features::Atr;
///
/// let atr = Atr::new(14)?;
/// assert_eq!((atr.names()[0].as_str(), atr.warm_up()), ("atr_14", 14));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// - Wilder, J. W. (1978). *New Concepts in Technical Trading Systems*. Trend Research.
#[derive(Debug, Clone)]
pub struct Atr {
    window: usize,
    names: [String; 1],
}

impl Atr {
    /// Makes the transform.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) unless `window` is
    ///   in `1..=`[`MAX_WINDOW`](crate::MAX_WINDOW).
    pub fn new(window: usize) -> Result<Self> {
        check_window("window", window, 1)?;
        let names = [format!("atr_{window}")];
        Ok(Self { window, names })
    }
}

impl Transform for Atr {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        self.window
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(AtrStream::new(self.window))
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        self.check_output(candles, out)?;
        fill_rows(&mut AtrStream::new(self.window), candles, out);
        Ok(())
    }
}

/// Wilder's running average of true ranges.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct WilderAverage {
    window: usize,
    old_share: f64,
    new_share: f64,
    /// True ranges seen, up to the window.
    seen: usize,
    /// Their sum until the window is full, the average from then on.
    state: f64,
}

impl WilderAverage {
    pub(crate) fn new(window: usize) -> Self {
        let length = window as f64;
        Self {
            window,
            old_share: (length - 1.0) / length,
            new_share: 1.0 / length,
            seen: 0,
            state: 0.0,
        }
    }

    /// Takes a true range; NaN until there are `window` of them.
    #[inline(always)]
    pub(crate) fn push(&mut self, range: f64) -> f64 {
        if self.seen >= self.window {
            self.state = self.state * self.old_share + range * self.new_share;
            return self.state;
        }
        self.seen += 1;
        self.state += range;
        if self.seen < self.window {
            return f64::NAN;
        }
        self.state /= self.window as f64;
        self.state
    }

    /// Takes a column of true ranges and replaces them by their averages.
    pub(crate) fn fill(&mut self, ranges: &mut [f64]) {
        let first = ranges.len().min(self.window - self.seen);
        let (starting, running) = ranges.split_at_mut(first);
        for range in starting {
            *range = self.push(*range);
        }
        let (mut state, old, new) = (self.state, self.old_share, self.new_share);
        for range in running.iter_mut() {
            state = state * old + *range * new;
            *range = state;
        }
        self.state = state;
    }
}

/// Computes [`Atr`] candle by candle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtrStream {
    previous: Option<f64>,
    average: WilderAverage,
}

impl AtrStream {
    pub(crate) fn new(window: usize) -> Self {
        Self { previous: None, average: WilderAverage::new(window) }
    }

    /// Takes a candle; NaN before the average is ready.
    #[inline(always)]
    pub(crate) fn push(&mut self, candle: &Candle) -> f64 {
        match self.previous.replace(candle.close()) {
            None => f64::NAN,
            Some(previous) => self.average.push(true_range(candle.high(), candle.low(), previous)),
        }
    }
}

impl TransformStream for AtrStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        let atr = self.push(candle);
        write_row(row, &[atr]);
    }
}
