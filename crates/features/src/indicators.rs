use forecastle_core::{Candle, CandleView, Result, Transform, TransformExt, TransformStream};
use ndarray::ArrayRef2;
use serde::{Deserialize, Serialize};

use crate::anchored::AnchoredStream;
use crate::lag::fill_lag;
use crate::output::{fill_chunks, owned_names, write_row};
use crate::price_indicators::{PriceColumns, PriceIndicatorsStream};
use crate::vwap::{VwapColumns, levels};
use crate::{INDICATOR_NAMES, VwapAnchor};

/// Number of columns.
pub(crate) const WIDTH: usize = INDICATOR_NAMES.len();

/// How many rows the lags look back.
const LAGS: [usize; 6] = [1, 2, 3, 5, 10, 20];

/// Rows before every column without volume is ready.
const LONGEST_LAG: usize = LAGS[LAGS.len() - 1];

/// Computes every indicator of the final table, in price units, in one pass.
///
/// Columns: [`INDICATOR_NAMES`]; [`Indicator`](crate::Indicator) gives their positions. VWAP, ATR,
/// momentum and lags carry the bits of the single transforms; means, deviations and regression of
/// 5 and 20 closes share their work here and differ from the singles in the last bits.
///
/// # Examples
/// ```
/// use forecastle_core::Transform;
/// use forecastle_features::{INDICATOR_NAMES, Indicators, VwapAnchor};
///
/// let indicators = Indicators::new(VwapAnchor::Cumulative)?;
/// assert_eq!(indicators.names(), INDICATOR_NAMES);
/// assert_eq!(indicators.warm_up(), 20);
/// assert_eq!(Indicators::default().warm_up(), 95);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Indicators {
    anchor: VwapAnchor,
    names: Vec<String>,
}

impl Indicators {
    /// Makes the transform.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when a rolling
    ///   window is empty or longer than [`MAX_WINDOW`](crate::MAX_WINDOW).
    pub fn new(anchor: VwapAnchor) -> Result<Self> {
        anchor.validate()?;
        Ok(Self::with_valid(anchor))
    }

    fn with_valid(anchor: VwapAnchor) -> Self {
        Self { anchor, names: owned_names(&INDICATOR_NAMES) }
    }

    /// Over which candles the VWAP is taken.
    pub const fn anchor(&self) -> VwapAnchor {
        self.anchor
    }

    /// Starts a stream that has seen no candle and can be saved.
    pub fn start(&self) -> IndicatorsStream {
        IndicatorsStream::new(self.anchor)
    }
}

/// With the default anchor.
impl Default for Indicators {
    fn default() -> Self {
        Self::with_valid(VwapAnchor::default())
    }
}

/// Leading rows in which an indicator is not ready.
pub(crate) fn warm_up(anchor: VwapAnchor) -> usize {
    anchor.warm_up().max(LONGEST_LAG)
}

impl Transform for Indicators {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        warm_up(self.anchor)
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(IndicatorsStream::new(self.anchor))
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        self.check_output(candles, out)?;
        let mut columns = IndicatorColumns::new(self.anchor, candles);
        fill_chunks(out, candles.len(), |cells| columns.fill(cells));
        Ok(())
    }
}

/// Computes [`Indicators`] candle by candle.
///
/// Its saved form goes on with the same bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndicatorsStream {
    moments: AnchoredStream,
    prices: PriceIndicatorsStream,
}

impl IndicatorsStream {
    pub(crate) fn new(anchor: VwapAnchor) -> Self {
        Self { moments: AnchoredStream::new(anchor), prices: PriceIndicatorsStream::new() }
    }

    /// Over which candles the VWAP is taken.
    pub fn anchor(&self) -> VwapAnchor {
        self.moments.anchor()
    }

    /// Takes the next candle; its row, NaN where not ready.
    #[inline]
    pub fn push(&mut self, candle: &Candle) -> [f64; INDICATOR_NAMES.len()] {
        let [typical, p1, p2, p3, p4, p5, p6, p7, line, slope] = self.prices.push(candle);
        let (vwap, variance) = self.moments.push(candle.open_time(), typical, candle.volume());
        let [v1, v2, v3, v4, v5, v6, v7] = levels(vwap, variance, candle.close());
        let [l1, l2, l3, l4, l5, l6] = LAGS.map(|back| self.prices.close_before(back));
        [
            typical, v1, v2, v3, v4, v5, v6, v7, p1, p2, p3, p4, p5, p6, p7, l1, l2, l3, l4, l5,
            l6, line, slope,
        ]
    }
}

impl TransformStream for IndicatorsStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        let values = self.push(candle);
        write_row(row, &values);
    }
}

/// Computes the columns of [`Indicators`] chunk by chunk.
#[derive(Debug)]
pub(crate) struct IndicatorColumns<'a> {
    candles: CandleView<'a>,
    row: usize,
    vwap: VwapColumns,
    prices: PriceColumns<'a>,
}

impl<'a> IndicatorColumns<'a> {
    pub(crate) fn new(anchor: VwapAnchor, candles: CandleView<'a>) -> Self {
        Self {
            candles,
            row: 0,
            vwap: VwapColumns::new(anchor, candles.len()),
            prices: PriceColumns::new(candles),
        }
    }

    /// Fills the next rows, at most [`CHUNK`](crate::output::CHUNK), columns of equal length.
    pub(crate) fn fill(&mut self, cells: &mut [&mut [f64]; WIDTH]) {
        let [typical, v1, v2, v3, v4, v5, v6, v7, rest @ ..] =
            cells.each_mut().map(|cells| &mut **cells);
        let [p1, p2, p3, p4, p5, p6, p7, l1, l2, l3, l4, l5, l6, line, slope] = rest;
        let from = self.row;
        self.row += typical.len();
        let chunk = self.candles.slice(from..self.row);
        self.prices.fill(&mut [typical, p1, p2, p3, p4, p5, p6, p7, line, slope]);
        for (back, column) in LAGS.into_iter().zip([l1, l2, l3, l4, l5, l6]) {
            fill_lag(column, &self.candles.close()[..self.row], back);
        }
        self.vwap.fill(chunk, typical, &mut [v1, v2, v3, v4, v5, v6, v7]);
    }
}
