use forecastle_core::{Candle, CandleView, Result, Transform, TransformExt, TransformStream};
use ndarray::ArrayRef2;

use crate::VwapAnchor;
use crate::anchored::{AnchoredColumns, AnchoredStream};
use crate::output::{CHUNK, fill_chunks, owned_names, write_row};

/// Number of columns.
const WIDTH: usize = 7;

const NAMES: [&str; WIDTH] = [
    "vwap",
    "vwap_sigma",
    "vwap_upper_1",
    "vwap_lower_1",
    "vwap_upper_2",
    "vwap_lower_2",
    "vwap_z",
];

/// Computes the volume-weighted average price, its standard deviation, bands and z-score.
///
/// With typical price `tp` and volume `v` over the [`VwapAnchor`]:
/// `vwap = Σ v·tp / Σ v`, `vwap_sigma = sqrt(Σ v·(tp − vwap)² / Σ v)`, bands at one and two sigma,
/// `vwap_z = (close − vwap) / vwap_sigma`, and 0 where sigma is at most 1e-12 of the VWAP.
///
/// Means and variances are updated and merged (West, Chan), never taken as a difference of sums:
/// 10⁹ added to every price leaves z right, a constant price gives sigma 0 to the bit, and a
/// rolling window does not drift.
///
/// # Examples
/// ```
/// use forecastle_core::{Candle, CandleSeries, Timestamp, TransformExt};
/// use forecastle_features::{Vwap, VwapAnchor};
///
/// let candle = |hour: i64, price: f64, volume: f64| {
///     let time = Timestamp::from_millis(hour * 3_600_000);
///     Candle::new(time, price, price, price, price, volume)
/// };
/// let candles = [candle(0, 10.0, 1.0)?, candle(1, 14.0, 3.0)?];
/// let series = CandleSeries::from_candles("BTC/USDT".parse()?, "1h".parse()?, candles)?;
///
/// let table = Vwap::new(VwapAnchor::Cumulative)?.transform(series.view())?;
/// assert_eq!(table.values()[[1, 0]], 13.0);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// - West, D. H. D. (1979). Updating mean and variance estimates: an improved method.
///   *Communications of the ACM* 22(9). <https://doi.org/10.1145/359146.359153>
/// - Chan, T. F., Golub, G. H. and `LeVeque`, R. J. (1983). Algorithms for computing the sample
///   variance. *The American Statistician* 37(3). <https://doi.org/10.1080/00031305.1983.10483115>
#[derive(Debug, Clone)]
pub struct Vwap {
    anchor: VwapAnchor,
    names: Vec<String>,
}

impl Vwap {
    /// Makes the transform.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when a rolling
    ///   window is empty or longer than [`MAX_WINDOW`](crate::MAX_WINDOW).
    pub fn new(anchor: VwapAnchor) -> Result<Self> {
        anchor.validate()?;
        Ok(Self { anchor, names: owned_names(&NAMES) })
    }

    /// Over which candles it is taken.
    pub const fn anchor(&self) -> VwapAnchor {
        self.anchor
    }
}

impl Transform for Vwap {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        self.anchor.warm_up()
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(VwapStream { moments: AnchoredStream::new(self.anchor) })
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        self.check_output(candles, out)?;
        let mut columns = VwapColumns::new(self.anchor, candles.len());
        let mut typical = vec![0.0; CHUNK];
        let mut from = 0;
        fill_chunks(out, candles.len(), |cells: &mut [&mut [f64]; WIDTH]| {
            let typical = &mut typical[..cells[0].len()];
            let chunk = candles.slice(from..from + typical.len());
            from += typical.len();
            typical_prices(chunk, typical);
            columns.fill(chunk, typical, cells);
        });
        Ok(())
    }
}

/// `(high + low + close) / 3` of every row.
#[inline]
pub(crate) fn typical_prices(candles: CandleView<'_>, out: &mut [f64]) {
    let n = out.len();
    let (high, low, close) = (&candles.high()[..n], &candles.low()[..n], &candles.close()[..n]);
    for i in 0..n {
        out[i] = (high[i] + low[i] + close[i]) / 3.0;
    }
}

/// `[vwap, sigma, upper 1, lower 1, upper 2, lower 2, z]`.
#[inline(always)]
pub(crate) fn levels(vwap: f64, variance: f64, close: f64) -> [f64; WIDTH] {
    let sigma = variance.sqrt();
    let twice = 2.0 * sigma;
    let z = (close - vwap) / sigma;
    let z = if sigma <= 1e-12 * vwap.abs() { 0.0 } else { z };
    [vwap, sigma, vwap + sigma, vwap - sigma, vwap + twice, vwap - twice, z]
}

/// Computes [`Vwap`] candle by candle.
#[derive(Debug, Clone)]
pub struct VwapStream {
    moments: AnchoredStream,
}

impl TransformStream for VwapStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        let (time, typical) = (candle.open_time(), candle.typical_price());
        let (vwap, variance) = self.moments.push(time, typical, candle.volume());
        write_row(row, &levels(vwap, variance, candle.close()));
    }
}

/// Computes the columns of [`Vwap`] chunk by chunk.
#[derive(Debug, Clone)]
pub(crate) struct VwapColumns {
    moments: AnchoredColumns,
    variance: Vec<f64>,
}

impl VwapColumns {
    pub(crate) fn new(anchor: VwapAnchor, rows: usize) -> Self {
        Self { moments: AnchoredColumns::new(anchor, rows, CHUNK), variance: vec![0.0; CHUNK] }
    }

    /// Fills the next rows.
    pub(crate) fn fill(
        &mut self,
        candles: CandleView<'_>,
        typical: &[f64],
        cells: &mut [&mut [f64]; WIDTH],
    ) {
        let n = candles.len();
        let (close, variance) = (&candles.close()[..n], &mut self.variance[..n]);
        let [mean, sigma, upper_1, lower_1, upper_2, lower_2, z] = cells;
        self.moments.push(candles.open_time(), typical, candles.volume(), mean, variance);
        let (mean, sigma, z) = (&mean[..n], &mut sigma[..n], &mut z[..n]);
        let (upper_1, lower_1) = (&mut upper_1[..n], &mut lower_1[..n]);
        let (upper_2, lower_2) = (&mut upper_2[..n], &mut lower_2[..n]);
        for i in 0..n {
            [_, sigma[i], upper_1[i], lower_1[i], upper_2[i], lower_2[i], z[i]] =
                levels(mean[i], variance[i], close[i]);
        }
    }
}
