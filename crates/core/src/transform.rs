use std::fmt::Debug;

use ndarray::ArrayRef2;

use crate::{Candle, CandleView, Error, FeatureTable, Result};

/// Turns candles into named columns, one row a candle.
///
/// # Contract
/// - Causal: row `t` depends on candles `0..=t` alone; `T(x[..k])` equals `T(x)[..k]` bit for bit.
/// - Row `t` of the batch equals the `t`-th update of a fresh stream, bit for bit.
/// - The first [`warm_up`](Self::warm_up) rows may hold NaN ("not ready yet"); a column that is
///   ready stays finite.
///
/// `conformance::transform` (feature `conformance`) checks all of it.
pub trait Transform: Debug + Send + Sync {
    /// The column names, distinct, in order.
    fn names(&self) -> &[String];

    /// Number of leading rows in which at least one column is NaN.
    fn warm_up(&self) -> usize;

    /// Starts a stream that has seen no candle.
    fn stream(&self) -> Box<dyn TransformStream>;

    /// Writes all rows.
    ///
    /// - `out`: `(candles.len(), names().len())`; column-major memory is fastest.
    ///
    /// # Errors
    /// - [`Error::Shape`] when `out` has another shape; it is left unchanged.
    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()>;
}

/// Computes the rows of a [`Transform`] candle by candle, in O(1) amortised, without allocating.
pub trait TransformStream: Debug + Send {
    /// Takes the next candle and writes its row.
    ///
    /// Cannot fail: a [`Candle`] is valid by its type. The leading `names().len()` cells of `row`
    /// are written and the rest is left alone; a shorter `row` is left alone altogether, and the
    /// candle counts all the same.
    fn update(&mut self, candle: &Candle, row: &mut [f64]);
}

/// Adds conveniences to every [`Transform`].
pub trait TransformExt: Transform {
    /// Transforms into a fresh table.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the implementation breaks its contract.
    fn transform(&self, candles: CandleView<'_>) -> Result<FeatureTable> {
        let mut table = FeatureTable::filled_nan(self.names(), candles.open_time())?;
        self.transform_into(candles, table.values_mut())?;
        Ok(table)
    }

    /// Checks the shape of an output buffer; implementations call it first.
    ///
    /// # Errors
    /// - [`Error::Shape`] when it differs from `(candles.len(), names().len())`.
    fn check_output(&self, candles: CandleView<'_>, out: &ArrayRef2<f64>) -> Result<()> {
        let expected = (candles.len(), self.names().len());
        if out.dim() == expected {
            Ok(())
        } else {
            let (expected, actual) = (format!("{expected:?}"), format!("{:?}", out.dim()));
            Err(Error::shape("output", format!("shape {expected}"), actual))
        }
    }
}

impl<T: Transform + ?Sized> TransformExt for T {}
