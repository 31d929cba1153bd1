use std::fmt;

use forecastle_core::{CandleSeries, FeatureTable, Result, Transform, TransformExt};

/// Makes a table of numbers from candles, one row a candle: what the leak detectors examine.
///
/// Every [`Transform`] is one. A fitted pipeline becomes one by giving the numeric columns of its
/// table, and words as numbers; anything else through [`TabulateFn`].
///
/// # Contract
/// - As many rows as candles, in their order, under the same names whatever the candles.
/// - A history too short to make a table of is
///   [`Error::NotEnoughData`](forecastle_core::Error::NotEnoughData); NaN is a cell not ready yet.
/// - The same candles give the same bits.
///
/// That no row knows a later candle is what [`assert_causal`](crate::assert_causal) finds out.
pub trait Tabulate {
    /// Makes the table.
    ///
    /// # Errors
    /// Whatever the implementation returns.
    fn tabulate(&self, candles: &CandleSeries) -> Result<FeatureTable>;
}

impl<T: Transform + ?Sized> Tabulate for T {
    fn tabulate(&self, candles: &CandleSeries) -> Result<FeatureTable> {
        self.transform(candles.view())
    }
}

/// Makes a closure a [`Tabulate`].
///
/// # Examples
/// ```
/// use forecastle_core::{CandleSeries, FeatureTable};
/// use forecastle_evaluation::{Tabulate, TabulateFn};
/// use ndarray::Array2;
///
/// let ranges = TabulateFn::new(|candles: &CandleSeries| {
///     let range = candles.view().iter().map(|candle| candle.high() - candle.low()).collect();
///     let values = Array2::from_shape_vec((candles.len(), 1), range).expect("a number a row");
///     FeatureTable::new(&["range".to_owned()], candles.view().open_time(), values)
/// });
/// let candles = CandleSeries::empty("BTC/USDT".parse()?, "1h".parse()?);
/// assert_eq!(ranges.tabulate(&candles)?.n_rows(), 0);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct TabulateFn<F>(F);

impl<F: Fn(&CandleSeries) -> Result<FeatureTable>> TabulateFn<F> {
    /// Takes the closure.
    pub fn new(table: F) -> Self {
        Self(table)
    }
}

impl<F: Fn(&CandleSeries) -> Result<FeatureTable>> Tabulate for TabulateFn<F> {
    fn tabulate(&self, candles: &CandleSeries) -> Result<FeatureTable> {
        (self.0)(candles)
    }
}

impl<F> fmt::Debug for TabulateFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TabulateFn").finish_non_exhaustive()
    }
}
