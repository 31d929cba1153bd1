use forecastle_core::{Error, FeatureTable, Result, check_feature_names};
use ndarray::ArrayView1;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::Tabulate;
use crate::look_ahead::{VOLATILITY, random_walk};

/// Walks that give every column its centre and scale, before those that judge it.
const PILOT_WALKS: usize = 16;

/// Scaled values are cut to plus and minus this.
const CLIP: f64 = 5.0;

/// Parametrises [`noise_scan`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `n_walks` | 300 | independent random walks | ≥ 20 |
/// | `n_bars` | 500 | bars of a walk | > `horizon` + 1 |
/// | `horizon` | 5 | bars of the return that a column is held against | ≥ 1 |
/// | `false_alarm` | 0.001 | chance that any column of a causal subject is called guilty | > 0, < 1 |
/// | `seed` | 0 | of all the walks | |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseScanParams {
    /// Independent random walks.
    pub n_walks: usize,
    /// Bars of a walk.
    pub n_bars: usize,
    /// Bars of the return that a column is held against.
    pub horizon: usize,
    /// Chance that any column of a causal subject is called guilty.
    pub false_alarm: f64,
    /// Seed of all the walks.
    pub seed: u64,
}

impl Default for NoiseScanParams {
    fn default() -> Self {
        Self { n_walks: 300, n_bars: 500, horizon: 5, false_alarm: 0.001, seed: 0 }
    }
}

/// Names what of a column was held against the returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoiseView {
    /// Its value.
    Level,
    /// Its change from the row before.
    Change,
}

/// Holds the skill of one column on noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NoiseReading {
    /// The column.
    pub column: String,
    /// Whichever of the two shows more.
    pub view: NoiseView,
    /// The information coefficient with the next returns, pooled over all rows of all walks.
    pub information_coefficient: f64,
    /// Its mean over the walks in standard errors, corrected for skewness.
    pub z: f64,
    /// The chance of so large a |z| in either view of any column of a causal subject.
    pub p: f64,
    /// Whether `p` is below the false-alarm rate.
    pub guilty: bool,
}

/// Reports the skill of every column on pure noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NoiseScan {
    /// A reading a column, in the table's order.
    pub readings: Vec<NoiseReading>,
    /// Columns that never varied, or had no value: nothing can be said of them.
    pub not_judged: Vec<String>,
    /// Number of walks.
    pub n_walks: usize,
}

impl NoiseScan {
    /// Whether no column is guilty.
    pub fn is_clean(&self) -> bool {
        self.guilty().next().is_none()
    }

    /// The guilty columns' readings, in the table's order.
    pub fn guilty(&self) -> impl Iterator<Item = &NoiseReading> {
        self.readings.iter().filter(|reading| reading.guilty)
    }
}

/// Runs the subject on random walks, where every skill is a leak, and names the columns that have one.
///
/// On a walk nothing predicts the next return, so the sum over all rows of (a column's value) ×
/// (the next `horizon` bars' return) has expectation 0 exactly, if the value is centred and scaled by
/// numbers that do not come from the walk itself: a few walks beforehand give them. (Centred within
/// the walk, every price level would seem to predict: it is low where the walk later rose.) The sums
/// of independent walks are tested by Student's t with Johnson's correction for skewness, for a
/// column's value and for its change from the row before, and p-values are multiplied by twice the
/// number of columns.
///
/// # Power
/// At the defaults an information coefficient of 0.02 to 0.04 is found: a global VWAP, a centred
/// window, a price scaled over all rows, a label. What knows the future of volumes or ranges alone
/// is not, for the returns here have no part in them, nor is a scaler fitted on all rows of a column
/// that says nothing of returns: [`assert_causal`](crate::assert_causal) finds both.
///
/// # Errors
/// - [`Error::InvalidParameter`] when a parameter is outside its range.
/// - [`Error::Shape`] or [`Error::FeatureMismatch`] when a table has not one row a candle, or other
///   names than the first.
/// - Whatever the subject returns.
///
/// # References
/// N. J. Johnson, "Modified t tests and confidence intervals for asymmetrical populations", *Journal
/// of the American Statistical Association* 73 (1978), 536–544, doi:10.1080/01621459.1978.10480051.
pub fn noise_scan(
    subject: &(impl Tabulate + ?Sized),
    params: &NoiseScanParams,
) -> Result<NoiseScan> {
    validate(params)?;
    let &NoiseScanParams { n_walks, n_bars, horizon, false_alarm, seed } = params;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut next = || -> Result<(FeatureTable, Vec<f64>)> {
        let walk = random_walk(n_bars, &mut random)?;
        let table = subject.tabulate(&walk)?;
        if table.n_rows() != n_bars {
            let expected = format!("{n_bars} rows, one a candle");
            let actual = table.n_rows().to_string();
            return Err(Error::shape("the subject's table", expected, actual));
        }
        let log_close: Vec<f64> = walk.view().close().iter().map(|c| c.ln()).collect();
        let later = log_close.iter().skip(horizon).zip(&log_close).map(|(then, now)| then - now);
        Ok((table, later.collect()))
    };

    let (first, _) = next()?;
    let names = first.names().to_vec();
    let mut scales: Vec<[Moments; 2]> = names.iter().map(|_| Default::default()).collect();
    let mut add_pilot = |table: &FeatureTable| {
        for (column, [level, change]) in table.values().columns().into_iter().zip(&mut scales) {
            column.iter().for_each(|v| level.add(*v));
            changes(column).for_each(|v| change.add(v));
        }
    };
    add_pilot(&first);
    for _ in 1..PILOT_WALKS {
        let (table, _) = next()?;
        check_feature_names(&names, table.names())?;
        add_pilot(&table);
    }

    let mut skills: Vec<[Skill; 2]> = names.iter().map(|_| Default::default()).collect();
    for _ in 0..n_walks {
        let (table, later) = next()?;
        check_feature_names(&names, table.names())?;
        let columns = table.values().columns().into_iter();
        for ((column, [level, change]), [of_level, of_change]) in
            columns.zip(&scales).zip(&mut skills)
        {
            of_level.add_walk(level, column.iter().copied(), &later);
            of_change.add_walk(change, changes(column), &later);
        }
    }
    let (mut readings, mut not_judged) = (Vec::new(), Vec::new());
    let tests = 2.0 * names.len() as f64;
    let deviation = VOLATILITY * (horizon as f64).sqrt();
    for (column, [level, change]) in names.into_iter().zip(skills) {
        let mut best: Option<NoiseReading> = None;
        for (view, skill) in [(NoiseView::Level, level), (NoiseView::Change, change)] {
            let Some(z) = skill.t() else { continue };
            let p = (tests * two_sided(z, n_walks)?).min(1.0);
            let information_coefficient = skill.coefficient(deviation);
            let guilty = p < false_alarm;
            // A guilty view first, of two the one that shows more.
            let rank =
                |r: &NoiseReading| if r.guilty { r.information_coefficient.abs() } else { -r.p };
            let column = column.clone();
            let reading = NoiseReading { column, view, information_coefficient, z, p, guilty };
            if best.as_ref().is_none_or(|best| rank(&reading) > rank(best)) {
                best = Some(reading);
            }
        }
        match best {
            Some(reading) => readings.push(reading),
            None => not_judged.push(column),
        }
    }
    Ok(NoiseScan { readings, not_judged, n_walks })
}

/// The change from the row before; NaN in the first row.
fn changes(column: ArrayView1<'_, f64>) -> impl Iterator<Item = f64> {
    let mut previous = f64::NAN;
    column.into_iter().map(move |&value| {
        let change = value - previous;
        previous = value;
        change
    })
}

/// Mean and variance of the finite numbers seen, by Welford's update.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.n += 1.0;
            let off = value - self.mean;
            self.mean += off / self.n;
            self.squares += off * (value - self.mean);
        }
    }

    /// The value in standard deviations; `None` where there are none.
    fn scaled(&self, value: f64) -> Option<f64> {
        let deviation = (self.squares / self.n).sqrt();
        let scaled = ((value - self.mean) / deviation).clamp(-CLIP, CLIP);
        (deviation > 1e-12 * self.mean.abs() && scaled.is_finite()).then_some(scaled)
    }
}

/// Sums over the rows of every walk.
#[derive(Debug, Default)]
struct Skill {
    walks: Vec<f64>,
    n: f64,
    squares: f64,
}

impl Skill {
    fn add_walk(&mut self, scale: &Moments, values: impl Iterator<Item = f64>, later: &[f64]) {
        let mut sum = 0.0;
        for (value, later) in values.zip(later) {
            if let Some(scaled) = scale.scaled(value) {
                sum += scaled * later;
                self.squares += scaled * scaled;
                self.n += 1.0;
            }
        }
        self.walks.push(sum);
    }

    fn coefficient(&self, deviation: f64) -> f64 {
        let sum: f64 = self.walks.iter().sum();
        (sum / ((self.n * self.squares).sqrt() * deviation)).clamp(-1.0, 1.0)
    }

    /// Johnson's modified t of the walks' sums; `None` when they do not vary.
    fn t(&self) -> Option<f64> {
        let n = self.walks.len() as f64;
        let mean = self.walks.iter().sum::<f64>() / n;
        let about = |power: i32| self.walks.iter().map(|w| (w - mean).powi(power)).sum::<f64>();
        let variance = about(2) / (n - 1.0);
        let third = about(3) / n;
        let shift = third / (6.0 * variance * n) + third / (3.0 * variance.powi(2)) * mean * mean;
        // The correction is the first of a series; where it outgrows the mean it is no longer one.
        let most = mean.abs().max((variance / n).sqrt());
        let shift = shift.clamp(-most, most);
        let t = (mean + shift) * (n / variance).sqrt();
        (variance > 0.0 && t.is_finite()).then_some(t)
    }
}

fn two_sided(t: f64, n: usize) -> Result<f64> {
    let student = StudentsT::new(0.0, 1.0, n as f64 - 1.0)
        .map_err(|error| Error::component("Student's t", error))?;
    Ok(2.0 * student.cdf(-t.abs()))
}

fn validate(params: &NoiseScanParams) -> Result<()> {
    let &NoiseScanParams { n_walks, n_bars, horizon, false_alarm, .. } = params;
    if n_walks < 20 {
        return Err(Error::invalid_parameter("n_walks", ">= 20", n_walks));
    }
    if horizon == 0 {
        return Err(Error::invalid_parameter("horizon", ">= 1", 0));
    }
    if n_bars <= horizon.saturating_add(1) {
        let requirement = format!("> {} (horizon + 1)", horizon.saturating_add(1));
        return Err(Error::invalid_parameter("n_bars", requirement, n_bars));
    }
    if !(false_alarm > 0.0 && false_alarm < 1.0) {
        return Err(Error::invalid_parameter("false_alarm", "> 0 and < 1", false_alarm));
    }
    Ok(())
}
