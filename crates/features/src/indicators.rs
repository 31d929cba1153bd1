use forecastle_core::{Candle, CandleView, Result, Transform, TransformExt, TransformStream};
use ndarray::ArrayRef2;

use crate::anchored::AnchoredStream;
use crate::atr::{AtrStream, WilderAverage};
use crate::close_windows::{Five, Twenty};
use crate::output::{CHUNK, fill_chunks, owned_names, write_row};
use crate::true_range::true_range;
use crate::vwap::{VwapColumns, levels, typical_prices};
use crate::{INDICATOR_NAMES, VwapAnchor};

/// Number of columns.
pub(crate) const WIDTH: usize = INDICATOR_NAMES.len();

/// Rows before the columns other than VWAP are ready: the longest lag.
const LONGEST_LAG: usize = 20;

/// Rows that a window of 20 looks back on windows of 5.
const HISTORY: usize = 15;

const ATR_WINDOW: usize = 14;

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

/// Values of the last 32 rows.
#[derive(Debug, Clone)]
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

/// Computes [`Indicators`] candle by candle.
#[derive(Debug, Clone)]
pub struct IndicatorsStream {
    moments: AnchoredStream,
    atr: AtrStream,
    closes: Recent<f64>,
    fives: Recent<Five>,
    row: usize,
}

impl IndicatorsStream {
    pub(crate) fn new(anchor: VwapAnchor) -> Self {
        Self {
            moments: AnchoredStream::new(anchor),
            atr: AtrStream::new(ATR_WINDOW),
            closes: Recent([f64::NAN; 32]),
            fives: Recent([Five { mean: f64::NAN, squares: f64::NAN, tilt: f64::NAN }; 32]),
            row: 0,
        }
    }

    /// Takes a candle; its row, NaN where not ready.
    #[inline]
    pub(crate) fn push(&mut self, candle: &Candle) -> [f64; WIDTH] {
        let (row, close, typical) = (self.row, candle.close(), candle.typical_price());
        self.row = row.wrapping_add(1);
        let (vwap, variance) = self.moments.push(candle.open_time(), typical, candle.volume());
        let [vwap, sigma, upper_1, lower_1, upper_2, lower_2, z] = levels(vwap, variance, close);
        self.closes.set(row, close);
        let lag = |back| self.closes.get(row, back);
        let five = Five::new([lag(4), lag(3), lag(2), lag(1), close]);
        self.fives.set(row, five);
        let before = |back| self.fives.get(row, back);
        let twenty = Twenty::new([five, before(5), before(10), before(15)]);
        [
            typical,
            vwap,
            sigma,
            upper_1,
            lower_1,
            upper_2,
            lower_2,
            z,
            five.mean,
            twenty.mean,
            five.std(),
            twenty.std,
            self.atr.push(candle),
            close - lag(5),
            close - lag(10),
            lag(1),
            lag(2),
            lag(3),
            lag(5),
            lag(10),
            lag(20),
            twenty.line,
            twenty.slope,
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

impl<'a> IndicatorColumns<'a> {
    pub(crate) fn new(anchor: VwapAnchor, candles: CandleView<'a>) -> Self {
        let column = || vec![f64::NAN; HISTORY + CHUNK];
        Self {
            candles,
            row: 0,
            vwap: VwapColumns::new(anchor, candles.len()),
            atr: WilderAverage::new(ATR_WINDOW),
            fives: Fives { mean: column(), squares: column(), tilt: column() },
        }
    }

    /// Fills the next rows, at most [`CHUNK`], columns of equal length.
    pub(crate) fn fill(&mut self, cells: &mut [&mut [f64]; WIDTH]) {
        let n = cells[0].len();
        let (from, to) = (self.row, self.row + n);
        self.row = to;
        let chunk = self.candles.slice(from..to);
        let close = self.candles.close();
        let [
            typical,
            vwap,
            sigma,
            upper_1,
            lower_1,
            upper_2,
            lower_2,
            z,
            sma_5,
            sma_20,
            std_5,
            std_20,
            atr,
            momentum_5,
            momentum_10,
            lag_1,
            lag_2,
            lag_3,
            lag_5,
            lag_10,
            lag_20,
            line,
            slope,
        ] = cells;
        typical_prices(chunk, typical);
        let mut levels = [
            &mut vwap[..],
            &mut sigma[..],
            &mut upper_1[..],
            &mut lower_1[..],
            &mut upper_2[..],
            &mut lower_2[..],
            &mut z[..],
        ];
        self.vwap.fill(chunk, typical, &mut levels);
        self.fives.fill(close, from, sma_5, std_5);
        self.fives.fill_twenties([sma_20, std_20, line, slope]);
        self.fives.keep_history(n);
        average_true_ranges(&mut self.atr, self.candles, from, atr);
        for (back, column) in
            [(1, lag_1), (2, lag_2), (3, lag_3), (5, lag_5), (10, lag_10), (20, lag_20)]
        {
            let (unready, ready) = column.split_at_mut(back.max(from).min(to) - from);
            unready.fill(f64::NAN);
            ready.copy_from_slice(&close[to - back.min(to) - ready.len()..][..ready.len()]);
        }
        for (back, column) in [(5, momentum_5), (10, momentum_10)] {
            let (unready, ready) = column.split_at_mut(back.max(from).min(to) - from);
            unready.fill(f64::NAN);
            let (new, old) =
                (&close[to - ready.len()..], &close[to - back.min(to) - ready.len()..]);
            for ((cell, new), old) in ready.iter_mut().zip(new).zip(old) {
                *cell = new - old;
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
