use forecastle_core::{Candle, CandleView, Result, Transform, TransformExt, TransformStream};
use ndarray::ArrayRef2;
use serde::{Deserialize, Serialize};

use crate::Indicator;
use crate::atr::{AtrStream, WilderAverage};
use crate::close_windows::{Five, Twenty};
use crate::lag::split_ready;
use crate::output::{CHUNK, fill_chunks, write_row};
use crate::true_range::true_range;
use crate::vwap::typical_prices;

/// Number of columns.
pub(crate) const WIDTH: usize = 10;

/// Rows before every column is ready: the longest window less its last row.
const WARM_UP: usize = 19;

/// Rows that a window of 20 looks back on windows of 5.
const HISTORY: usize = 15;

const ATR_WINDOW: usize = 14;

const COLUMNS: [Indicator; WIDTH] = [
    Indicator::TypicalPrice,
    Indicator::Sma5,
    Indicator::Sma20,
    Indicator::Std5,
    Indicator::Std20,
    Indicator::Atr14,
    Indicator::Momentum5,
    Indicator::Momentum10,
    Indicator::Linreg20,
    Indicator::LinregSlope20,
];

/// Computes the indicators of price alone, those that TA-Lib has too, in one pass.
///
/// Ten columns of [`Indicators`](crate::Indicators), under the same names, in the same order and
/// with the same bits: all but the VWAP's, which need volume, and the lags, which compute nothing.
///
/// # Examples
/// ```
/// use forecastle_core::Transform;
/// use forecastle_features::PriceIndicators;
///
/// let indicators = PriceIndicators::new();
/// assert_eq!((indicators.names().len(), indicators.warm_up()), (10, 19));
/// assert!(indicators.names().iter().all(|name| !name.starts_with("vwap")));
/// ```
#[derive(Debug, Clone)]
pub struct PriceIndicators {
    names: Vec<String>,
}

impl PriceIndicators {
    /// Makes the transform.
    pub fn new() -> Self {
        Self { names: COLUMNS.iter().map(|column| column.name().to_owned()).collect() }
    }
}

impl Default for PriceIndicators {
    fn default() -> Self {
        Self::new()
    }
}

impl Transform for PriceIndicators {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        WARM_UP
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(PriceIndicatorsStream::new())
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        self.check_output(candles, out)?;
        let mut columns = PriceColumns::new(candles);
        fill_chunks(out, candles.len(), |cells| columns.fill(cells));
        Ok(())
    }
}

/// Values of the last 32 rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Recent<T>([T; 32]);

impl<T: Copy> Recent<T> {
    #[inline(always)]
    fn set(&mut self, row: usize, value: T) {
        self.0[row % 32] = value;
    }

    /// - `back`: below 32
    #[inline(always)]
    fn get(&self, row: usize, back: usize) -> T {
        self.0[row.wrapping_sub(back) % 32]
    }
}

/// Computes [`PriceIndicators`] candle by candle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PriceIndicatorsStream {
    atr: AtrStream,
    closes: Recent<f64>,
    fives: Recent<Five>,
    row: usize,
}

impl PriceIndicatorsStream {
    pub(crate) fn new() -> Self {
        let unready = Five { mean: f64::NAN, squares: f64::NAN, tilt: f64::NAN };
        Self {
            atr: AtrStream::new(ATR_WINDOW),
            closes: Recent([f64::NAN; 32]),
            fives: Recent([unready; 32]),
            row: 0,
        }
    }

    /// Takes a candle; its row, NaN where not ready.
    #[inline]
    pub(crate) fn push(&mut self, candle: &Candle) -> [f64; WIDTH] {
        let (row, close) = (self.row, candle.close());
        self.row = row.wrapping_add(1);
        self.closes.set(row, close);
        let lag = |back| self.closes.get(row, back);
        let five = Five::new([lag(4), lag(3), lag(2), lag(1), close]);
        self.fives.set(row, five);
        let before = |back| self.fives.get(row, back);
        let twenty = Twenty::new([five, before(5), before(10), before(15)]);
        [
            candle.typical_price(),
            five.mean,
            twenty.mean,
            five.std(),
            twenty.std,
            self.atr.push(candle),
            close - lag(5),
            close - lag(10),
            twenty.line,
            twenty.slope,
        ]
    }

    /// The close `back` rows before the last candle's, NaN where there is none.
    ///
    /// - `back`: below 32
    #[inline(always)]
    pub(crate) fn close_before(&self, back: usize) -> f64 {
        self.closes.get(self.row.wrapping_sub(1), back)
    }
}

impl TransformStream for PriceIndicatorsStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        let values = self.push(candle);
        write_row(row, &values);
    }
}

/// Computes the columns of [`PriceIndicators`] chunk by chunk.
#[derive(Debug)]
pub(crate) struct PriceColumns<'a> {
    candles: CandleView<'a>,
    row: usize,
    atr: WilderAverage,
    fives: Fives,
}

/// [`Five`]s in columns: [`HISTORY`] rows before the chunk, then the chunk's.
#[derive(Debug)]
struct Fives {
    mean: Vec<f64>,
    squares: Vec<f64>,
    tilt: Vec<f64>,
}

impl<'a> PriceColumns<'a> {
    pub(crate) fn new(candles: CandleView<'a>) -> Self {
        let column = || vec![f64::NAN; HISTORY + CHUNK];
        let fives = Fives { mean: column(), squares: column(), tilt: column() };
        Self { candles, row: 0, atr: WilderAverage::new(ATR_WINDOW), fives }
    }

    /// Fills the next rows, at most [`CHUNK`], columns of equal length.
    pub(crate) fn fill(&mut self, cells: &mut [&mut [f64]; WIDTH]) {
        let n = cells[0].len();
        let (from, to) = (self.row, self.row + n);
        self.row = to;
        let close = &self.candles.close()[..to];
        let [typical, sma_5, sma_20, std_5, std_20, atr, momentum_5, momentum_10, line, slope] =
            cells;
        typical_prices(self.candles.slice(from..to), typical);
        self.fives.fill(close, from, sma_5, std_5);
        self.fives.fill_twenties([sma_20, std_20, line, slope]);
        self.fives.keep_history(n);
        average_true_ranges(&mut self.atr, self.candles, from, atr);
        for (back, column) in [(5, momentum_5), (10, momentum_10)] {
            let (ready, now, past) = split_ready(column, close, back);
            for ((cell, now), past) in ready.iter_mut().zip(now).zip(past) {
                *cell = now - past;
            }
        }
    }
}

impl Fives {
    /// Windows of 5 that end in rows `from..from + sma.len()` of `close`.
    fn fill(&mut self, close: &[f64], from: usize, sma: &mut [f64], std: &mut [f64]) {
        let n = sma.len();
        let unready = 4_usize.saturating_sub(from).min(n);
        let first = HISTORY + unready;
        for column in [&mut self.mean, &mut self.squares, &mut self.tilt] {
            column[HISTORY..first].fill(f64::NAN);
        }
        sma[..unready].fill(f64::NAN);
        std[..unready].fill(f64::NAN);
        let len = n - unready;
        if len == 0 {
            return;
        }
        let closes = &close[from + unready - 4..from + n];
        let (a, b, c) = (&closes[..len], &closes[1..][..len], &closes[2..][..len]);
        let (d, e) = (&closes[3..][..len], &closes[4..][..len]);
        let mean = &mut self.mean[first..][..len];
        let squares = &mut self.squares[first..][..len];
        let tilt = &mut self.tilt[first..][..len];
        let (sma, std) = (&mut sma[unready..][..len], &mut std[unready..][..len]);
        for i in 0..len {
            let five = Five::new([a[i], b[i], c[i], d[i], e[i]]);
            mean[i] = five.mean;
            squares[i] = five.squares;
            tilt[i] = five.tilt;
            sma[i] = five.mean;
            std[i] = five.std();
        }
    }

    /// Windows of 20 that end in the same rows: `[mean, std, line, slope]`.
    fn fill_twenties(&self, out: [&mut [f64]; 4]) {
        let [mean, std, line, slope] = out;
        let n = mean.len();
        let (std, line, slope) = (&mut std[..n], &mut line[..n], &mut slope[..n]);
        let take = |back: usize| {
            let at = HISTORY - back;
            (&self.mean[at..at + n], &self.squares[at..at + n], &self.tilt[at..at + n])
        };
        let (a, b, c, d) = (take(0), take(5), take(10), take(15));
        for i in 0..n {
            let five = |column: (&[f64], &[f64], &[f64])| Five {
                mean: column.0[i],
                squares: column.1[i],
                tilt: column.2[i],
            };
            let twenty = Twenty::new([five(a), five(b), five(c), five(d)]);
            mean[i] = twenty.mean;
            std[i] = twenty.std;
            line[i] = twenty.line;
            slope[i] = twenty.slope;
        }
    }

    /// Moves the last rows of a chunk of `n` to where the next chunk looks back on them.
    fn keep_history(&mut self, n: usize) {
        for column in [&mut self.mean, &mut self.squares, &mut self.tilt] {
            column.copy_within(n..n + HISTORY, 0);
        }
    }
}

/// ATR of rows `from..from + out.len()`.
fn average_true_ranges(
    average: &mut WilderAverage,
    candles: CandleView<'_>,
    from: usize,
    out: &mut [f64],
) {
    let to = from + out.len();
    let first = from.max(1).min(to);
    let (unready, ranges) = out.split_at_mut(first - from);
    unready.fill(f64::NAN);
    let len = ranges.len();
    if len == 0 {
        return;
    }
    let (high, low) = (&candles.high()[first..to], &candles.low()[first..to]);
    let previous = &candles.close()[first - 1..to - 1];
    for i in 0..len {
        ranges[i] = true_range(high[i], low[i], previous[i]);
    }
    average.fill(ranges);
}
