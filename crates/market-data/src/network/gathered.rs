//! The series that a download's pages make.

use forecastle_core::{
    Candle, CandleSeries, RawCandle, RepairReport, Symbol, Timeframe, Timestamp,
};

use super::fetch_report::Grid;

/// Pages put together as they come, so that nothing is left to do at the end.
#[derive(Debug)]
pub(super) struct Gathered {
    /// Pages that came in order, repaired.
    series: CandleSeries,
    repair: RepairReport,
    grid: Grid,
    /// Rows that did not.
    loose: Vec<RawCandle>,
    /// Most rows wanted.
    limit: usize,
    /// Whether those are the last ones.
    newest: bool,
}

impl Gathered {
    /// Takes the first `limit` rows, or the last with `newest`: those of a walk that may go
    /// backwards.
    pub(super) fn new(
        symbol: Symbol,
        timeframe: Timeframe,
        limit: Option<usize>,
        newest: bool,
    ) -> Self {
        Self {
            series: CandleSeries::empty(symbol, timeframe),
            repair: RepairReport::default(),
            grid: Grid::default(),
            loose: Vec::new(),
            limit: limit.unwrap_or(usize::MAX),
            newest,
        }
    }

    pub(super) fn add(&mut self, mut page: Vec<RawCandle>) {
        let latest = self.series.view().open_time().last().copied();
        let earliest = page.first().map(|row| row.open_time);
        let in_order = latest < earliest || earliest.is_none();
        if self.newest || !self.loose.is_empty() || !in_order {
            self.loose.append(&mut page);
            return;
        }
        page.truncate(self.limit.saturating_sub(self.repair.rows_in));
        let before = self.series.len();
        let mut previous = latest;
        for mut row in page {
            self.repair.rows_in += 1;
            let repair_volume = row.volume.is_nan() || row.volume < 0.0;
            if repair_volume {
                row.volume = 0.0;
            }
            let Ok(candle) = Candle::try_from(row) else {
                self.repair.dropped += 1;
                continue;
            };
            // Rows of a page ascend, none comes twice; should one, it is put in order at the end.
            if self.series.push(candle).is_err() {
                self.repair.rows_in -= 1;
                self.loose.push(row);
                continue;
            }
            self.repair.volume_repaired += usize::from(repair_volume);
            self.repair.rows_out += 1;
            self.count_gap(previous, row.open_time);
            previous = Some(row.open_time);
        }
        let times = self.series.view().open_time().get(before..).unwrap_or_default();
        self.grid.see(times, self.series.timeframe());
    }

    fn count_gap(&mut self, previous: Option<Timestamp>, open: Timestamp) {
        let steps = previous.and_then(|previous| {
            usize::try_from(self.series.timeframe().steps_between(previous, open)?).ok()
        });
        if let Some(steps) = steps.filter(|steps| *steps > 1) {
            self.repair.gaps += 1;
            self.repair.missing += steps - 1;
        }
    }

    /// The series, what building it repaired, and on which grid it lies.
    pub(super) fn finish(self) -> (CandleSeries, RepairReport, Grid) {
        if self.loose.is_empty() {
            return (self.series, self.repair, self.grid);
        }
        let mut rows: Vec<RawCandle> = self.series.view().iter().map(RawCandle::from).collect();
        rows.extend(self.loose);
        // Pages of a walk backwards come newest first; that is no fault of the rows.
        rows.sort_by_key(|row| row.open_time);
        let surplus = rows.len().saturating_sub(self.limit);
        if self.newest {
            rows.drain(..surplus);
        } else {
            rows.truncate(self.limit);
        }
        let (symbol, timeframe) = (self.series.symbol().clone(), self.series.timeframe());
        let (series, mut repair) = CandleSeries::from_raw(symbol, timeframe, rows, None);
        // What was dropped and repaired before.
        repair.rows_in += self.repair.rows_in - self.repair.rows_out;
        repair.dropped += self.repair.dropped;
        repair.volume_repaired += self.repair.volume_repaired;
        let mut grid = Grid::default();
        grid.see(series.view().open_time(), timeframe);
        (series, repair, grid)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(time: i64, volume: f64) -> RawCandle {
        let open_time = Timestamp::from_millis(time * 60_000);
        let high = if time % 7 == 3 { 0.5 } else { 2.0 };
        RawCandle { open_time, open: 1.0, high, low: 1.0, close: 1.5, volume }
    }

    proptest! {
        #[test]
        fn prop_pages_make_the_series_that_all_rows_make_at_once(
            times in proptest::collection::btree_set(0_i64..200, 0..80),
            cuts in proptest::collection::vec(0_usize..80, 0..6),
            limit in proptest::option::of(0_usize..90),
            newest in any::<bool>(),
            swap in any::<bool>(),
        ) {
            let rows: Vec<RawCandle> = times.iter().map(|time| {
                row(*time, if time % 5 == 1 { f64::NAN } else { 3.0 })
            }).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).collect();
            cuts.extend([0, rows.len()]);
            cuts.sort_unstable();
            let mut pages: Vec<Vec<RawCandle>> =
                cuts.windows(2).map(|pair| rows[pair[0]..pair[1]].to_vec()).collect();
            let limit = if swap && !newest { None } else { limit };
            if swap {
                pages.reverse();
            }
            let symbol: Symbol = "A/B".parse().unwrap();
            let mut gathered = Gathered::new(symbol.clone(), Timeframe::MINUTE, limit, newest);
            pages.into_iter().for_each(|page| gathered.add(page));
            let most = limit.unwrap_or(usize::MAX).min(rows.len());
            let wanted = if newest { &rows[rows.len() - most..] } else { &rows[..most] };
            let expected = CandleSeries::from_raw(symbol, Timeframe::MINUTE, wanted.to_vec(), None);
            let (series, repair, grid) = gathered.finish();
            let mut whole = Grid::default();
            whole.see(expected.0.view().open_time(), Timeframe::MINUTE);
            prop_assert_eq!(grid, whole);
            prop_assert_eq!((series, repair), expected);
        }
    }
}
