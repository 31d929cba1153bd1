use forecastle_core::{Error, FeatureTable, Result, Rows};
use ndarray::{ArrayRef2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::novelty::selected;
use super::{GuardVerdict, StabilityStream};

/// Blocks of training rows overlap by three quarters.
const BLOCKS_A_WINDOW: usize = 4;

/// Bins of a column: 100, and one that sets a heap at the lower end apart.
const MOST_BINS: usize = 101;

/// Rows that a saved guard may have learnt from.
const MOST_ROWS: u64 = 1 << 53;

/// Added to every count, so that an empty bin has a logarithm.
const PSEUDO_COUNT: f64 = 0.5;

/// Parametrises a [`PopulationStability`] guard.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `bins` | 10 | quantile bins of the training rows | ≥ 2, ≤ 100 |
/// | `window` | 500 | latest rows that are held against the training rows | ≥ 5 · `bins` |
/// | `threshold` | 0.25 | index from which a column has drifted, at the least | > 0 |
/// | `false_alarm` | 0.01 | share of the training rows' own windows in which any column may exceed | > 0, < 1 |
///
/// The usual reading of the index is: below 0.1 stable, above 0.25 drifted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PopulationStabilityParams {
    /// Quantile bins of the training rows.
    pub bins: usize,
    /// Latest rows that are held against the training rows.
    pub window: usize,
    /// Index from which a column has drifted, at the least.
    pub threshold: f64,
    /// Share of the training rows' own windows in which any column may exceed.
    pub false_alarm: f64,
}

impl Default for PopulationStabilityParams {
    fn default() -> Self {
        Self { bins: 10, window: 500, threshold: 0.25, false_alarm: 0.01 }
    }
}

impl PopulationStabilityParams {
    /// Learns the columns' distributions from the selected rows of a table, oldest first.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range.
    /// - [`Error::NotEnoughData`] when fewer than 4 windows of rows are selected.
    /// - [`Error::NonFinite`] when a selected row is incomplete.
    pub fn fit(&self, table: &FeatureTable, rows: &Rows) -> Result<PopulationStability> {
        self.check()?;
        let selected = selected(table, rows)?;
        let (n, needed) = (selected.nrows(), self.window.saturating_mul(4));
        if n < needed {
            return Err(Error::not_enough_data("population stability", needed, n));
        }
        let mut columns = Vec::with_capacity(table.n_features());
        let mut of_blocks = Vec::with_capacity(table.n_features());
        for (name, values) in table.names().iter().zip(selected.columns()) {
            let edges = quantile_edges(values, self.bins);
            let counts = count(&edges, values.iter().copied());
            let seen = self.block_indices(&edges, &counts, values);
            // What is usual for the column, for now.
            let usual = seen.iter().sum::<f64>() / seen.len().max(1) as f64;
            columns.push(Column { name: name.clone(), edges, counts, threshold: usual });
            of_blocks.push(seen);
        }
        // Of many columns one exceeds a multiple of its usual index more often than each does.
        let blocks = of_blocks.first().map_or(0, Vec::len);
        let worst = (0..blocks).map(|b| {
            let seen = of_blocks.iter().zip(&columns).filter(|(_, column)| column.threshold > 0.0);
            seen.filter_map(|(seen, column)| Some(seen.get(b)? / column.threshold))
                .fold(1.0, f64::max)
        });
        let worst: Vec<f64> = worst.collect();
        let factor = upper_quantile(&worst, self.false_alarm);
        for column in &mut columns {
            column.threshold = (column.threshold * factor).max(self.threshold);
        }
        Ok(PopulationStability { window: self.window, columns })
    }

    /// The index of every window of training rows against all other training rows.
    fn block_indices(
        &self,
        edges: &[f64],
        counts: &[u64],
        values: ArrayView1<'_, f64>,
    ) -> Vec<f64> {
        let step = (self.window / BLOCKS_A_WINDOW).max(1);
        let values = values.to_vec();
        let blocks = values.windows(self.window).step_by(step).map(|block| {
            let inside = count(edges, block.iter().copied());
            let outside: Vec<u64> =
                counts.iter().zip(&inside).map(|(all, block)| all.saturating_sub(*block)).collect();
            index(&outside, &inside)
        });
        blocks.collect()
    }

    /// Checks every parameter's range; a fit does so first.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first parameter outside its range.
    pub fn check(&self) -> Result<()> {
        let &Self { bins, window, threshold, false_alarm } = self;
        if !(2..=100).contains(&bins) {
            return Err(Error::invalid_parameter("bins", ">= 2 and <= 100", bins));
        }
        if window < 5 * bins {
            let requirement = format!(">= {} (5 a bin)", 5 * bins);
            return Err(Error::invalid_parameter("window", requirement, window));
        }
        if !(threshold > 0.0 && threshold.is_finite()) {
            return Err(Error::invalid_parameter("threshold", "> 0 and finite", threshold));
        }
        if !(false_alarm > 0.0 && false_alarm < 1.0) {
            return Err(Error::invalid_parameter("false_alarm", "> 0 and < 1", false_alarm));
        }
        Ok(())
    }
}

/// Says whether the latest rows' columns are distributed as the training rows' were.
///
/// The population stability index of a column is `Σ (a − e) ln(a / e)` over bins that hold equal shares
/// of the training rows, with the shares e of training and a of the latest `window` rows (half a row
/// added to every bin). With n and m independent rows of one distribution it is about
/// (bins − 1)(1/n + 1/m), and where neighbouring rows are alike a multiple of that: a window of 500
/// rows may hold a single trend. So the windows of the training rows themselves, each against all
/// others, tell what is usual for every column, and one factor for all of them is set so that a share
/// `false_alarm` of these windows has any column beyond that many times its usual index; a threshold is
/// never below `threshold`. Windows overlap by three quarters, and few independent ones tell the factor
/// but roughly (from 30 of them, at 5 %, one new window in ten may exceed); of less than
/// 1 / `false_alarm` it is the largest one seen.
///
/// # References
/// B. Yurdakul, J. Naranjo, "Statistical properties of the population stability index", *Journal of
/// Risk Model Validation* 14 (2020), 89–100, doi:10.21314/JRMV.2020.227.
///
/// # Examples
/// ```
/// use forecastle_core::{FeatureTable, Rows, Timestamp};
/// use forecastle_evaluation::PopulationStabilityParams;
/// use ndarray::{Array2, s};
///
/// let times: Vec<_> = (0..4_000).map(|t| Timestamp::from_millis(t * 60_000)).collect();
/// let values = Array2::from_shape_fn((4_000, 1), |(t, _)| (t as f64 * 1.7).sin());
/// let table = FeatureTable::new(&["wave".to_owned()], &times, values)?;
/// let guard = PopulationStabilityParams::default().fit(&table, &Rows::from(0..4_000))?;
/// let latest = table.values().slice(s![3_500.., ..]).to_owned();
/// assert!(!guard.verdict(&latest)?.beyond);
/// let moved = latest + 0.8;
/// let reason = guard.verdict(&moved)?.reason.expect("a drift");
/// assert!(reason.starts_with("drift PSI ") && reason.ends_with("> 0.25: wave"), "{reason}");
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[doc(alias = "psi")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State", into = "State")]
pub struct PopulationStability {
    window: usize,
    columns: Vec<Column>,
}

/// What is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    window: usize,
    columns: Vec<Column>,
}

impl From<PopulationStability> for State {
    fn from(PopulationStability { window, columns }: PopulationStability) -> Self {
        Self { window, columns }
    }
}

impl TryFrom<State> for PopulationStability {
    type Error = Error;

    fn try_from(State { window, columns }: State) -> Result<Self> {
        let fits = columns.iter().all(|Column { edges, counts, threshold, .. }| {
            let rows = counts.iter().try_fold(0_u64, |sum, n| sum.checked_add(*n));
            counts.len() == edges.len() + 1
                && counts.len() <= MOST_BINS
                && rows.is_some_and(|rows| rows <= MOST_ROWS)
                && threshold.is_finite()
                && edges.iter().all(|e| e.is_finite())
                && edges.is_sorted()
                && *threshold > 0.0
        });
        if fits && window > 0 && window.checked_mul(columns.len()).is_some() {
            Ok(Self { window, columns })
        } else {
            Err(Error::artifact("a stability guard that does not fit together"))
        }
    }
}

/// A column of the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    name: String,
    /// Between the bins, increasing; a number on an edge belongs below.
    edges: Vec<f64>,
    counts: Vec<u64>,
    threshold: f64,
}

/// Holds a column's index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnStability {
    /// The column.
    pub column: String,
    /// Its population stability index; `None` when half of its cells or more are NaN or infinite.
    pub index: Option<f64>,
    /// Where the guard starts to object.
    pub threshold: f64,
}

impl ColumnStability {
    /// Whether the column has drifted.
    pub fn beyond(&self) -> bool {
        ratio(self.index, self.threshold) > 1.0
    }
}

/// Holds the indices of all columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StabilityReading {
    /// A column each, in the table's order.
    pub columns: Vec<ColumnStability>,
}

impl StabilityReading {
    /// Judges by the column that drifted most.
    pub fn verdict(&self) -> GuardVerdict {
        judge(self.columns.iter().map(|c| (c.column.as_str(), c.index, c.threshold)))
    }
}

/// The verdict on columns: name, index, threshold.
fn judge<'a>(columns: impl Iterator<Item = (&'a str, Option<f64>, f64)>) -> GuardVerdict {
    let mut worst: Option<(&str, f64, f64, f64)> = None;
    let mut beyond = 0_usize;
    for (column, index, threshold) in columns {
        let ratio = ratio(index, threshold);
        beyond += usize::from(ratio > 1.0);
        if worst.is_none_or(|(_, highest, ..)| ratio >= highest) {
            worst = Some((column, ratio, index.unwrap_or(0.0), threshold));
        }
    }
    let (column, ratio, score, threshold) = worst.unwrap_or(("", 0.0, 0.0, 1.0));
    GuardVerdict::new(score, threshold, ratio > 1.0, || {
        let others = beyond.saturating_sub(1);
        let more = if others > 0 { format!(" and {others} more") } else { String::new() };
        format!("drift PSI {score:.2} > {threshold:.2}: {column}{more}")
    })
}

/// The index in units of the threshold; 0 without one.
fn ratio(index: Option<f64>, threshold: f64) -> f64 {
    index.map_or(0.0, |index| index / threshold)
}

impl PopulationStability {
    /// Latest rows that are held against the training rows.
    pub const fn window(&self) -> usize {
        self.window
    }

    /// Measures the last `window` rows of the records, `(n_bars, n_features)`.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the number of columns differs from the fit's.
    /// - [`Error::NotEnoughData`] when there are fewer rows.
    pub fn measure(&self, records: &ArrayRef2<f64>) -> Result<StabilityReading> {
        let (n, width) = records.dim();
        if width != self.columns.len() {
            let expected = format!("{} columns", self.columns.len());
            return Err(Error::shape("records", expected, width.to_string()));
        }
        if n < self.window {
            return Err(Error::not_enough_data("population stability", self.window, n));
        }
        let counts = self.columns.iter().zip(records.columns()).map(|(column, values)| {
            let latest = values.iter().skip(n - self.window).copied();
            count(&column.edges, latest.filter(|v| v.is_finite()))
        });
        Ok(self.reading(&counts.collect::<Vec<_>>()))
    }

    /// Judges the last `window` rows of the records by the column that drifted most.
    ///
    /// # Errors
    /// As [`measure`](Self::measure).
    pub fn verdict(&self, records: &ArrayRef2<f64>) -> Result<GuardVerdict> {
        Ok(self.measure(records)?.verdict())
    }

    /// Judges row by row, without going over the window again for each.
    pub fn stream(self) -> StabilityStream {
        StabilityStream::new(self)
    }

    /// Number of columns.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Number of bins of every column.
    pub(super) fn bins(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().map(|column| column.counts.len())
    }

    /// The bin of a column's number; `None` for NaN and infinity.
    pub(super) fn bin(&self, column: usize, value: f64) -> Option<usize> {
        let edges = &self.columns.get(column)?.edges;
        value.is_finite().then(|| edges.partition_point(|edge| *edge < value))
    }

    /// The indices of counts by column and bin.
    pub(super) fn reading(&self, counts: &[Vec<u64>]) -> StabilityReading {
        let columns = self.columns.iter().zip(counts).map(|(column, counts)| ColumnStability {
            column: column.name.clone(),
            index: self.index_of(column, counts),
            threshold: column.threshold,
        });
        StabilityReading { columns: columns.collect() }
    }

    /// The verdict on counts by column and bin.
    pub(super) fn verdict_on(&self, counts: &[Vec<u64>]) -> GuardVerdict {
        judge(self.columns.iter().zip(counts).map(|(column, counts)| {
            (column.name.as_str(), self.index_of(column, counts), column.threshold)
        }))
    }

    /// The index of a column's counts; `None` when half of its cells or more are missing.
    fn index_of(&self, column: &Column, counts: &[u64]) -> Option<f64> {
        let complete = counts.iter().sum::<u64>() as usize > self.window / 2;
        complete.then(|| index(&column.counts, counts))
    }
}

/// Inner quantiles of the values, each once; of a constant, edges that set it apart.
fn quantile_edges(values: ArrayView1<'_, f64>, bins: usize) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let mut edges: Vec<f64> =
        (1..bins).filter_map(|k| sorted.get(k * last / bins).copied()).collect();
    edges.dedup();
    // Values heaped at the lower end would share their bin with all that is below it later.
    if let (Some(lowest), Some(&first)) = (sorted.first(), edges.first())
        && *lowest == first
    {
        edges.insert(0, first.next_down());
    }
    edges
}

fn count(edges: &[f64], values: impl Iterator<Item = f64>) -> Vec<u64> {
    let mut counts = vec![0; edges.len() + 1];
    for value in values {
        if let Some(n) = counts.get_mut(edges.partition_point(|edge| *edge < value)) {
            *n += 1;
        }
    }
    counts
}

/// The population stability index of counts by bin.
fn index(expected: &[u64], actual: &[u64]) -> f64 {
    let total =
        |counts: &[u64]| counts.iter().sum::<u64>() as f64 + PSEUDO_COUNT * counts.len() as f64;
    let (n, m) = (total(expected), total(actual));
    let bins = expected.iter().zip(actual).map(|(&e, &a)| {
        let (e, a) = ((e as f64 + PSEUDO_COUNT) / n, (a as f64 + PSEUDO_COUNT) / m);
        (a - e) * (a / e).ln()
    });
    bins.sum()
}

/// The number that a share of at most `beyond` of values like these exceeds; the largest of few.
pub(super) fn upper_quantile(values: &[f64], beyond: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = ((1.0 - beyond) * (sorted.len() + 1) as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(0.0)
}
