use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::candle::violation;
use crate::{Candle, Error, RawCandle, Result, Symbol, Timeframe, Timestamp};

/// Counts everything that was repaired, dropped or found missing while a series was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RepairReport {
    /// Rows given.
    pub rows_in: usize,
    /// Rows kept.
    pub rows_out: usize,
    /// Rows dropped because a later row has the same open time.
    pub duplicates: usize,
    /// Rows dropped because they break the candle invariant.
    pub dropped: usize,
    /// Rows kept whose NaN or negative volume became 0.
    pub volume_repaired: usize,
    /// Rows that came after a row with a later open time.
    pub out_of_order: usize,
    /// Steps between neighbours that are longer than the timeframe.
    pub gaps: usize,
    /// Candles missing inside those gaps; they are never filled.
    pub missing: usize,
    /// Rows dropped at the end because their candle had not closed yet.
    pub unclosed: usize,
}

impl RepairReport {
    /// Whether any row was changed or dropped; gaps alone do not count.
    pub fn is_repaired(&self) -> bool {
        self.duplicates + self.dropped + self.volume_repaired + self.out_of_order + self.unclosed
            > 0
    }
}

/// Holds the candles of one symbol and timeframe, in strictly increasing time, as columns.
///
/// # Contract
/// Every row is a valid [`Candle`]; open times increase strictly. Gaps may exist and are counted
/// by [`from_raw`](Self::from_raw), never filled.
#[derive(Debug, Clone, PartialEq)]
pub struct CandleSeries {
    symbol: Symbol,
    timeframe: Timeframe,
    open_time: Vec<Timestamp>,
    open: Vec<f64>,
    high: Vec<f64>,
    low: Vec<f64>,
    close: Vec<f64>,
    volume: Vec<f64>,
}

impl CandleSeries {
    /// Makes a series without rows.
    pub fn empty(symbol: Symbol, timeframe: Timeframe) -> Self {
        Self {
            symbol,
            timeframe,
            open_time: Vec::new(),
            open: Vec::new(),
            high: Vec::new(),
            low: Vec::new(),
            close: Vec::new(),
            volume: Vec::new(),
        }
    }

    /// Makes a series from valid candles in strictly increasing time.
    ///
    /// # Errors
    /// - [`Error::OutOfOrder`] when a time does not increase.
    pub fn from_candles(
        symbol: Symbol,
        timeframe: Timeframe,
        candles: impl IntoIterator<Item = Candle>,
    ) -> Result<Self> {
        let mut series = Self::empty(symbol, timeframe);
        for candle in candles {
            series.push(candle)?;
        }
        Ok(series)
    }

    /// Makes a series from rows as they arrived, repairing and counting.
    ///
    /// In this order: NaN or negative volume becomes 0; a row that still breaks the candle
    /// invariant is dropped; rows are sorted by time; of equal times the last in input order wins;
    /// with `now` given, a candle with `open_time + timeframe > now` is dropped as unclosed. Gaps
    /// are counted and left alone.
    pub fn from_raw(
        symbol: Symbol,
        timeframe: Timeframe,
        rows: impl IntoIterator<Item = RawCandle>,
        now: Option<Timestamp>,
    ) -> (Self, RepairReport) {
        let mut report = RepairReport::default();
        let mut latest: Option<Timestamp> = None;
        let mut kept: Vec<RawCandle> = Vec::new();
        for mut row in rows {
            report.rows_in += 1;
            if latest.is_some_and(|time| row.open_time < time) {
                report.out_of_order += 1;
            }
            latest = latest.max(Some(row.open_time));
            let repair_volume = row.volume.is_nan() || row.volume < 0.0;
            if repair_volume {
                row.volume = 0.0;
            }
            if violation(&row).is_some() {
                report.dropped += 1;
                continue;
            }
            report.volume_repaired += usize::from(repair_volume);
            kept.push(row);
        }
        // Stable: rows of equal time stay in input order, so the last of them wins below.
        kept.sort_by_key(|row| row.open_time);
        let mut series = Self::empty(symbol, timeframe);
        series.reserve(kept.len());
        for (i, row) in kept.iter().enumerate() {
            if kept.get(i + 1).is_some_and(|next| next.open_time == row.open_time) {
                report.duplicates += 1;
                continue;
            }
            let closes = timeframe.next_open(row.open_time);
            if now.is_some_and(|now| closes.is_none_or(|closes| closes > now)) {
                report.unclosed += 1;
                continue;
            }
            series.push_unchecked(row);
        }
        report.rows_out = series.len();
        (report.gaps, report.missing) = series.gaps();
        (series, report)
    }

    /// Appends a candle.
    ///
    /// # Errors
    /// - [`Error::OutOfOrder`] unless it opens after the last one; the series is unchanged then.
    pub fn push(&mut self, candle: Candle) -> Result<()> {
        if let Some(&previous) = self.open_time.last()
            && candle.open_time() <= previous
        {
            let current = candle.open_time();
            return Err(Error::OutOfOrder { row: self.len(), previous, current });
        }
        self.push_unchecked(&candle.into());
        Ok(())
    }

    fn push_unchecked(&mut self, row: &RawCandle) {
        self.open_time.push(row.open_time);
        self.open.push(row.open);
        self.high.push(row.high);
        self.low.push(row.low);
        self.close.push(row.close);
        self.volume.push(row.volume);
    }

    fn reserve(&mut self, additional: usize) {
        self.open_time.reserve(additional);
        for column in
            [&mut self.open, &mut self.high, &mut self.low, &mut self.close, &mut self.volume]
        {
            column.reserve(additional);
        }
    }

    /// The market.
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// How long each candle lasts.
    pub fn timeframe(&self) -> Timeframe {
        self.timeframe
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.open_time.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.open_time.is_empty()
    }

    /// All rows, borrowed.
    pub fn view(&self) -> CandleView<'_> {
        CandleView {
            open_time: &self.open_time,
            open: &self.open,
            high: &self.high,
            low: &self.low,
            close: &self.close,
            volume: &self.volume,
        }
    }

    /// The last `rows` rows (all when there are fewer), as a series of its own.
    pub fn tail(&self, rows: usize) -> Self {
        self.slice(self.len().saturating_sub(rows)..self.len())
    }

    /// The given rows as a series of its own; a range that reaches outside is cut to the series.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        let view = self.view().slice(rows);
        Self {
            symbol: self.symbol.clone(),
            timeframe: self.timeframe,
            open_time: view.open_time.to_vec(),
            open: view.open.to_vec(),
            high: view.high.to_vec(),
            low: view.low.to_vec(),
            close: view.close.to_vec(),
            volume: view.volume.to_vec(),
        }
    }

    /// Gaps (steps longer than the timeframe) and the candles missing inside them.
    pub fn gaps(&self) -> (usize, usize) {
        let (mut gaps, mut missing) = (0, 0);
        for pair in self.open_time.windows(2) {
            let steps = self.timeframe.steps_between(pair[0], pair[1]).unwrap_or(1);
            if steps > 1 {
                gaps += 1;
                missing += usize::try_from(steps - 1).unwrap_or(usize::MAX - missing);
            }
        }
        (gaps, missing)
    }
}

/// Borrows consecutive rows of a [`CandleSeries`], as columns of equal length.
#[derive(Debug, Clone, Copy)]
pub struct CandleView<'a> {
    open_time: &'a [Timestamp],
    open: &'a [f64],
    high: &'a [f64],
    low: &'a [f64],
    close: &'a [f64],
    volume: &'a [f64],
}

impl<'a> CandleView<'a> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.open_time.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.open_time.is_empty()
    }

    /// Open times, strictly increasing.
    pub fn open_time(&self) -> &'a [Timestamp] {
        self.open_time
    }

    /// First prices.
    pub fn open(&self) -> &'a [f64] {
        self.open
    }

    /// Highest prices.
    pub fn high(&self) -> &'a [f64] {
        self.high
    }

    /// Lowest prices.
    pub fn low(&self) -> &'a [f64] {
        self.low
    }

    /// Last prices.
    pub fn close(&self) -> &'a [f64] {
        self.close
    }

    /// Traded volumes in base currency.
    pub fn volume(&self) -> &'a [f64] {
        self.volume
    }

    /// One row; `None` past the end.
    pub fn candle(&self, row: usize) -> Option<Candle> {
        Some(Candle::from_valid(RawCandle {
            open_time: *self.open_time.get(row)?,
            open: *self.open.get(row)?,
            high: *self.high.get(row)?,
            low: *self.low.get(row)?,
            close: *self.close.get(row)?,
            volume: *self.volume.get(row)?,
        }))
    }

    /// The rows, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Candle> + use<'a> {
        let view = *self;
        (0..view.len()).map(move |i| {
            Candle::from_valid(RawCandle {
                open_time: view.open_time[i],
                open: view.open[i],
                high: view.high[i],
                low: view.low[i],
                close: view.close[i],
                volume: view.volume[i],
            })
        })
    }

    /// Some of the rows; a range that reaches outside is cut to the view.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        let end = rows.end.min(self.len());
        let start = rows.start.min(end);
        Self {
            open_time: &self.open_time[start..end],
            open: &self.open[start..end],
            high: &self.high[start..end],
            low: &self.low[start..end],
            close: &self.close[start..end],
            volume: &self.volume[start..end],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(minute: i64, close: f64, volume: f64) -> RawCandle {
        RawCandle {
            open_time: Timestamp::from_millis(minute * 60_000),
            open: close,
            high: close,
            low: close,
            close,
            volume,
        }
    }

    fn load(rows: Vec<RawCandle>, now: Option<Timestamp>) -> (CandleSeries, RepairReport) {
        CandleSeries::from_raw("BTC/USDT".parse().unwrap(), "1m".parse().unwrap(), rows, now)
    }

    #[test]
    fn every_repair_is_counted() {
        let mut high_below_low = raw(7, 5.0, 1.0);
        high_below_low.high = 4.0;
        let rows = vec![
            raw(2, 2.0, 1.0),
            raw(1, 1.0, 1.0),
            raw(2, 3.0, f64::NAN),
            raw(4, f64::NAN, 1.0),
            raw(6, 6.0, -1.0),
            high_below_low,
            raw(8, 8.0, 1.0),
        ];
        let (series, report) = load(rows, Some(Timestamp::from_millis(8 * 60_000 + 1)));
        assert_eq!(series.view().close(), [1.0, 3.0, 6.0]);
        assert_eq!(series.view().volume(), [1.0, 0.0, 0.0]);
        let expected = RepairReport {
            rows_in: 7,
            rows_out: 3,
            duplicates: 1,
            dropped: 2,
            volume_repaired: 2,
            out_of_order: 1,
            gaps: 1,
            missing: 3,
            unclosed: 1,
        };
        assert_eq!(report, expected);
        assert!(report.is_repaired());
    }

    #[test]
    fn a_valid_duplicate_survives_an_invalid_later_one() {
        let (series, report) = load(vec![raw(1, 1.0, 1.0), raw(1, f64::NAN, 1.0)], None);
        assert_eq!((series.len(), report.duplicates, report.dropped), (1, 0, 1));
    }

    #[test]
    fn a_candle_that_closes_exactly_now_is_kept() {
        let (series, report) = load(vec![raw(0, 1.0, 1.0)], Some(Timestamp::from_millis(60_000)));
        assert_eq!((series.len(), report.unclosed), (1, 0));
    }

    #[test]
    fn push_refuses_a_time_that_does_not_increase_and_changes_nothing() {
        let (mut series, _) = load(vec![raw(1, 1.0, 1.0)], None);
        let before = series.clone();
        let again = series.view().candle(0).unwrap();
        assert!(matches!(series.push(again), Err(Error::OutOfOrder { row: 1, .. })));
        assert_eq!(series, before);
    }
}
