use std::collections::BTreeSet;
use std::fmt;

use forecastle_core::{CandleSeries, Error, FeatureTable, Result};
use ndarray::ArrayView1;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::Tabulate;
use super::future::with_other_future;

/// Parametrises [`assert_causal`] and [`causality_scan`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `cuts` | 16 | random rows to cut at, besides the decisive ones | ≥ 0 |
/// | `seed` | 0 | of the cuts and of the other futures | |
/// | `tolerance` | 0 | difference relative to the larger value that is let pass; 0 is bit for bit | ≥ 0, < 1 |
///
/// The decisive rows are the first four, the last two, the middle and the three about the end of the
/// warm-up. A tolerance is for subjects whose sums run in another order on other lengths.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CausalityParams {
    /// Random rows to cut at, besides the decisive ones.
    pub cuts: usize,
    /// Seed of the cuts and of the other futures.
    pub seed: u64,
    /// Relative difference that is let pass.
    pub tolerance: f64,
}

impl Default for CausalityParams {
    fn default() -> Self {
        Self { cuts: 16, seed: 0, tolerance: 0.0 }
    }
}

/// Says what was done to the candles when a cell changed that should not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Experiment {
    /// Nothing: the same candles again. The subject is not a function of the candles.
    Repeated,
    /// The candles from the cut on were taken away.
    Truncated,
    /// The candles from the cut on were replaced by others, as many of them.
    OtherFuture,
}

/// Describes a column whose past changed with the future.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CausalityBreach {
    /// The column.
    pub column: String,
    /// The first cut that showed it: rows below it must not change.
    pub cut: usize,
    /// The first row that changed at that cut.
    pub row: usize,
    /// What was done there.
    pub experiment: Experiment,
    /// The value with all candles; `None` where it is not finite.
    pub value: Option<f64>,
    /// The value with the changed future; `None` where it is not finite.
    pub changed: Option<f64>,
    /// Cells that changed, over all cuts.
    pub n_cells: usize,
    /// Bars ahead that the column was seen to look, at least; 0 when only `Repeated` changed it.
    pub reach: usize,
    /// Whether only taking candles away changed it, so that it depends on their number.
    pub by_length_alone: bool,
}

impl fmt::Display for CausalityBreach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, cut, row, experiment, n_cells, reach, .. } = self;
        let number = |value: Option<f64>| value.map_or_else(|| "null".into(), |v| v.to_string());
        let (value, changed) = (number(self.value), number(self.changed));
        write!(f, "column {column:?}, row {row}: {value} became {changed} ")?;
        match experiment {
            Experiment::Repeated => f.write_str("with the same candles again")?,
            Experiment::Truncated => write!(f, "without the candles from row {cut} on")?,
            Experiment::OtherFuture => write!(f, "with other candles from row {cut} on")?,
        }
        write!(f, " ({n_cells} cells changed, it looks {reach} or more bars ahead)")
    }
}

/// Reports what changed with the future, by column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CausalityReport {
    /// All columns, in the table's order.
    pub columns: Vec<String>,
    /// The guilty ones, in the table's order.
    pub breaches: Vec<CausalityBreach>,
    /// Cuts that were compared.
    pub cuts: Vec<usize>,
    /// Cuts at which the subject said that the history was too short.
    pub too_short: Vec<usize>,
}

impl CausalityReport {
    /// Whether no column changed.
    pub fn is_clean(&self) -> bool {
        self.breaches.is_empty()
    }

    /// The column's breach, if it has one.
    pub fn breach(&self, column: &str) -> Option<&CausalityBreach> {
        self.breaches.iter().find(|breach| breach.column == column)
    }
}

/// Says why a subject is not causal, or could not be examined.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotCausal {
    /// The past of a column changed with the future.
    Breach {
        /// The first guilty column, in the table's order.
        first: Box<CausalityBreach>,
        /// All guilty columns.
        columns: Vec<String>,
        /// Cells that changed, over all columns and cuts.
        n_cells: usize,
    },
    /// The subject, or a parameter, is at fault.
    Failed(Error),
}

impl fmt::Display for NotCausal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Breach { first, columns, n_cells } => {
                write!(f, "{first}")?;
                if columns.len() > 1 {
                    let others = columns.len() - 1;
                    write!(f, "; {n_cells} cells in all, {others} more columns: ")?;
                    f.write_str(&columns.get(1..).unwrap_or_default().join(", "))?;
                }
                Ok(())
            }
            Self::Failed(_) => f.write_str("the subject could not be examined"),
        }
    }
}

impl std::error::Error for NotCausal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Breach { .. } => None,
            Self::Failed(error) => Some(error),
        }
    }
}

impl From<Error> for NotCausal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Proves that no row of the subject's table changes with the candles after it.
///
/// At every cut k the table is made anew, once of the first k candles alone and once with the candles
/// from k on replaced by others, and all columns of all rows below k are compared with the table of
/// all candles: bit for bit at a tolerance of 0, where NaN equals NaN. The first finds what depends on
/// the length too, the second what hides behind it. The table must also be the same when made twice,
/// and its names and number of rows must be right at every cut.
///
/// Finding nothing is proof for these candles and cuts alone; a column that looks ahead by one bar
/// changes at every cut. A fitted subject is examined as it stands: that it was fitted on later rows
/// does not show, see [`look_ahead_scan`](crate::look_ahead_scan).
///
/// # Errors
/// - [`NotCausal::Breach`] with the first guilty column, its first changed row, the cut and both
///   values.
/// - [`NotCausal::Failed`] with [`Error::InvalidParameter`] when the tolerance is outside its range,
///   [`Error::NotEnoughData`] with fewer than 2 candles or a history too short at every cut,
///   [`Error::Shape`] or [`Error::FeatureMismatch`] when rows or names are wrong, and whatever the
///   subject returns.
///
/// # Examples
/// ```
/// use forecastle_core::{Candle, CandleSeries, FeatureTable, Timestamp};
/// use forecastle_evaluation::{CausalityParams, NotCausal, TabulateFn, assert_causal};
/// use ndarray::Array2;
///
/// let candles: Result<Vec<_>, _> = (0..50)
///     .map(|hour| {
///         let price = 100.0 + (hour as f64 * 0.7).sin();
///         let time = Timestamp::from_millis(hour * 3_600_000);
///         Candle::new(time, price, price, price, price, 1.0)
///     })
///     .collect();
/// let candles = CandleSeries::from_candles("BTC/USDT".parse()?, "1h".parse()?, candles?)?;
///
/// // The deviation from the mean of all closes knows how the story ends.
/// let leaky = TabulateFn::new(|candles: &CandleSeries| {
///     let close = candles.view().close();
///     let mean = close.iter().sum::<f64>() / close.len() as f64;
///     let values = Array2::from_shape_fn((close.len(), 1), |(t, _)| close[t] - mean);
///     FeatureTable::new(&["deviation".to_owned()], candles.view().open_time(), values)
/// });
/// let verdict = assert_causal(&leaky, &candles, &CausalityParams::default());
/// assert!(matches!(verdict, Err(NotCausal::Breach { first, .. }) if first.column == "deviation"));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn assert_causal(
    subject: &(impl Tabulate + ?Sized),
    candles: &CandleSeries,
    params: &CausalityParams,
) -> Result<(), NotCausal> {
    let report = causality_scan(subject, candles, params)?;
    match report.breaches.first() {
        None => Ok(()),
        Some(first) => Err(NotCausal::Breach {
            first: Box::new(first.clone()),
            columns: report.breaches.iter().map(|breach| breach.column.clone()).collect(),
            n_cells: report.breaches.iter().map(|breach| breach.n_cells).sum(),
        }),
    }
}

/// Finds every column whose past changes with the future, as [`assert_causal`] does, and goes on.
///
/// # Errors
/// As those in [`NotCausal::Failed`].
pub fn causality_scan(
    subject: &(impl Tabulate + ?Sized),
    candles: &CandleSeries,
    params: &CausalityParams,
) -> Result<CausalityReport> {
    let tolerance = params.tolerance;
    if !(0.0..1.0).contains(&tolerance) {
        return Err(Error::invalid_parameter("tolerance", ">= 0 and < 1", tolerance));
    }
    let n = candles.len();
    if n < 2 {
        return Err(Error::not_enough_data("causality", 2, n));
    }
    let whole = subject.tabulate(candles)?;
    check_rows(&whole, n)?;
    let mut found: Vec<Finding> = whole.names().iter().map(|_| Finding::default()).collect();
    let (mut compared, mut too_short) = (Vec::new(), Vec::new());
    let mut random = Xoshiro256PlusPlus::seed_from_u64(params.seed);
    let compare = |cut: usize, experiment, other: &FeatureTable, found: &mut [Finding]| {
        let columns = whole.values().columns().into_iter().zip(other.values().columns());
        for ((before, after), finding) in columns.zip(found) {
            finding.compare(before, after, cut, experiment, tolerance);
        }
    };

    let again = subject.tabulate(candles)?;
    check_like(&again, &whole, n)?;
    compare(n, Experiment::Repeated, &again, &mut found);
    for cut in cuts(&whole, params.cuts, &mut random) {
        let other = with_other_future(candles, cut, &mut random)?;
        let other = subject.tabulate(&other)?;
        check_like(&other, &whole, n)?;
        compare(cut, Experiment::OtherFuture, &other, &mut found);
        match subject.tabulate(&candles.slice(0..cut)) {
            Ok(shorter) => {
                check_like(&shorter, &whole, cut)?;
                compare(cut, Experiment::Truncated, &shorter, &mut found);
                compared.push(cut);
            }
            Err(error) if error.is_not_enough_data() => too_short.push(cut),
            Err(error) => return Err(error),
        }
    }
    if compared.is_empty() {
        return Err(Error::not_enough_data("a table of cut candles", n, n - 1));
    }
    let named = whole.names().iter().zip(found);
    Ok(CausalityReport {
        columns: whole.names().to_vec(),
        breaches: named.filter_map(|(name, finding)| finding.breach(name)).collect(),
        cuts: compared,
        too_short,
    })
}

/// Rows to cut at, increasing: the decisive ones and random ones.
fn cuts(table: &FeatureTable, random_cuts: usize, random: &mut Xoshiro256PlusPlus) -> Vec<usize> {
    let n = table.n_rows();
    let ready = table.first_ready_row();
    let decisive = [1, 2, 3, 4, ready, ready + 1, ready + 2, n / 2, n.saturating_sub(2), n - 1];
    let mut rows: BTreeSet<usize> =
        decisive.into_iter().filter(|cut| (1..n).contains(cut)).collect();
    // More than there are rows cannot be wanted.
    rows.extend((0..random_cuts.min(n)).map(|_| random.random_range(1..n)));
    rows.into_iter().collect()
}

/// What one column did.
#[derive(Debug, Default)]
struct Finding {
    first: Option<(usize, usize, Experiment, f64, f64)>,
    n_cells: usize,
    reach: usize,
    by_length_alone: bool,
}

impl Finding {
    fn compare(
        &mut self,
        before: ArrayView1<'_, f64>,
        after: ArrayView1<'_, f64>,
        cut: usize,
        experiment: Experiment,
        tolerance: f64,
    ) {
        let mut first_row = None;
        for (row, (&value, &changed)) in before.iter().zip(after).take(cut).enumerate() {
            if !same(value, changed, tolerance) {
                self.n_cells += 1;
                first_row = first_row.or(Some((row, value, changed)));
            }
        }
        let Some((row, value, changed)) = first_row else { return };
        if self.first.is_none() {
            self.first = Some((cut, row, experiment, value, changed));
            self.by_length_alone = true;
        }
        self.by_length_alone &= experiment == Experiment::Truncated;
        if experiment != Experiment::Repeated {
            self.reach = self.reach.max(cut - row);
        }
    }

    fn breach(self, column: &str) -> Option<CausalityBreach> {
        let (cut, row, experiment, value, changed) = self.first?;
        let finite = |value: f64| value.is_finite().then_some(value);
        Some(CausalityBreach {
            column: column.to_owned(),
            cut,
            row,
            experiment,
            value: finite(value),
            changed: finite(changed),
            n_cells: self.n_cells,
            reach: self.reach,
            by_length_alone: self.by_length_alone,
        })
    }
}

fn same(a: f64, b: f64, tolerance: f64) -> bool {
    if a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) {
        return true;
    }
    tolerance > 0.0 && (a - b).abs() <= tolerance * a.abs().max(b.abs())
}

fn check_rows(table: &FeatureTable, rows: usize) -> Result<()> {
    if table.n_rows() == rows {
        return Ok(());
    }
    let expected = format!("{rows} rows, one a candle");
    Err(Error::shape("the subject's table", expected, table.n_rows().to_string()))
}

fn check_like(table: &FeatureTable, whole: &FeatureTable, rows: usize) -> Result<()> {
    check_rows(table, rows)?;
    forecastle_core::check_feature_names(whole.names(), table.names())
}
