use forecastle_core::{Error, FeatureTable, Result, Rows};
use nalgebra::{Cholesky, DMatrix};
use ndarray::{Array2, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};

use super::{GuardVerdict, ledoit_wolf};

/// Scaled values of a row are cut to plus and minus this, so that no square overflows.
const FAR: f64 = 1e6;

/// Parametrises a [`Novelty`] guard.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `threshold` | 0.001 | share of rows like the training rows that is called novel | > 0, < 1 |
/// | `n_blocks` | 5 | blocks in time that are held out in turn | ≥ 2 |
/// | `clip` | 5 | deviations that training rows are cut to before their covariance, in sd | > 0 |
/// | `ridge` | 0.01 | added to the variance of every direction, in variances of a column | > 0 |
///
/// Without the ridge, features that are nearly functions of each other (a log ratio and a momentum)
/// would make a novelty of every large move.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoveltyParams {
    /// Share of rows like the training rows that is called novel.
    pub threshold: f64,
    /// Blocks in time that are held out in turn.
    pub n_blocks: usize,
    /// Deviations that training rows are cut to before their covariance.
    pub clip: f64,
    /// Added to the variance of every direction.
    pub ridge: f64,
}

impl Default for NoveltyParams {
    fn default() -> Self {
        Self { threshold: 0.001, n_blocks: 5, clip: 5.0, ridge: 0.01 }
    }
}

impl NoveltyParams {
    /// Learns what rows look like from the selected rows of a table, oldest first.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range.
    /// - [`Error::NotEnoughData`] when fewer than 1 / `threshold` rows are selected, so that no row
    ///   could ever be novel, or fewer than 20 a block.
    /// - [`Error::NonFinite`] when a selected row is incomplete.
    /// - [`Error::Numerical`] when numbers overflow.
    pub fn fit(&self, table: &FeatureTable, rows: &Rows) -> Result<Novelty> {
        self.check()?;
        let &Self { threshold, n_blocks, .. } = self;
        let selected = selected(table, rows)?;
        let n = selected.nrows();
        let needed = ((1.0 / threshold) as usize).max(n_blocks.saturating_mul(20));
        if n < needed {
            return Err(Error::not_enough_data("novelty", needed, n));
        }
        let mut distances = Vec::with_capacity(n);
        for block in 0..n_blocks {
            let held_out = block * n / n_blocks..(block + 1) * n / n_blocks;
            let others: Vec<usize> = (0..n).filter(|t| !held_out.contains(t)).collect();
            let reference = self.reference(&selected.select(Axis(0), &others))?;
            for row in selected.rows().into_iter().take(held_out.end).skip(held_out.start) {
                distances.push(reference.distance(row.iter().copied()));
            }
        }
        distances.sort_by(f64::total_cmp);
        let reference = self.reference(&selected)?;
        Ok(Novelty { names: table.names().to_vec(), threshold, reference, distances })
    }

    fn reference(&self, rows: &ArrayRef2<f64>) -> Result<Reference> {
        let (mut centre, mut scale) = (Vec::new(), Vec::new());
        for column in rows.columns() {
            let (middle, spread) = middle_and_spread(column.to_vec());
            centre.push(middle);
            scale.push(spread);
        }
        let mut scaled = rows.to_owned();
        for (mut column, (middle, spread)) in
            scaled.columns_mut().into_iter().zip(centre.iter().zip(&scale))
        {
            column.mapv_inplace(|v| ((v - middle) / spread).clamp(-self.clip, self.clip));
        }
        let shrunk = ledoit_wolf(&scaled)?;
        let width = centre.len();
        let mut covariance = DMatrix::from_fn(width, width, |i, j| {
            shrunk.covariance.get([i, j]).map_or(0.0, |v| *v)
        });
        for i in 0..width {
            covariance[(i, i)] += self.ridge;
        }
        let whitened = Cholesky::new(covariance).and_then(|cholesky| {
            cholesky.l().solve_lower_triangular(&DMatrix::identity(width, width))
        });
        let Some(whitened) = whitened else {
            return Err(Error::numerical("novelty", "a singular covariance"));
        };
        let rows = (0..width).flat_map(|i| (0..=i).map(move |j| (i, j)));
        let whitener = rows.map(|cell| whitened[cell]).collect();
        let mean = shrunk.mean;
        Ok(Reference { centre, scale, mean, whitener, shrinkage: shrunk.shrinkage })
    }

    /// Checks every parameter's range; a fit does so first.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first parameter outside its range.
    pub fn check(&self) -> Result<()> {
        let &Self { threshold, n_blocks, clip, ridge } = self;
        if !(threshold > 0.0 && threshold < 1.0) {
            return Err(Error::invalid_parameter("threshold", "> 0 and < 1", threshold));
        }
        if n_blocks < 2 {
            return Err(Error::invalid_parameter("n_blocks", ">= 2", n_blocks));
        }
        for (name, value) in [("clip", clip), ("ridge", ridge)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::invalid_parameter(name, "> 0 and finite", value));
            }
        }
        Ok(())
    }
}

/// Says how far a row is from the training rows, calibrated.
///
/// Columns are scaled by median and interquartile range; the distance is Mahalanobis' by a covariance
/// that is shrunk ([`ledoit_wolf`]) and regularised. What a distance means is learned by holding blocks
/// of training rows out in turn: the p-value of a row is the share of the training rows that lay at
/// least as far from the rows of all other blocks, itself counted among them. So rows like those of
/// training have p < `threshold` in a share `threshold` of cases, whatever their distribution, and the
/// changes from one training period to another count as ordinary. Neighbouring rows are alike, so
/// alarms come in clusters; in so short a history as to hold few independent rows the share is rough.
///
/// # References
/// - V. Vovk, "Cross-conformal predictors", *Annals of Mathematics and Artificial Intelligence* 74
///   (2015), 9–28, doi:10.1007/s10472-013-9368-4.
/// - P. H. Garthwaite, I. Koch, "Evaluating the contributions of individual variables to a quadratic
///   form", *Australian & New Zealand Journal of Statistics* 58 (2016), 99–119,
///   doi:10.1111/anzs.12144.
///
/// # Examples
/// ```
/// use forecastle_core::{FeatureTable, Rows, Timestamp};
/// use forecastle_evaluation::NoveltyParams;
/// use ndarray::Array2;
///
/// let times: Vec<_> = (0..2_000).map(|t| Timestamp::from_millis(t * 60_000)).collect();
/// let values = Array2::from_shape_fn((2_000, 2), |(t, j)| ((t * (3 + j)) as f64 * 0.7).sin());
/// let names = ["wave", "faster_wave"].map(str::to_owned);
/// let guard = NoveltyParams::default().fit(
///     &FeatureTable::new(&names, &times, values)?,
///     &Rows::from(0..2_000),
/// )?;
/// let usual = guard.verdict(&[0.3, -0.9])?.expect("a complete row");
/// assert!(!usual.beyond && usual.reason.is_none());
/// let odd = guard.verdict(&[0.3, 9.0])?.expect("a complete row");
/// assert_eq!(odd.reason.as_deref(), Some("novelty p 0.0005 < 0.001: faster_wave 8.6 sd"));
/// assert_eq!(guard.verdict(&[0.3, f64::NAN])?, None);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State", into = "State")]
pub struct Novelty {
    names: Vec<String>,
    threshold: f64,
    reference: Reference,
    /// Of held-out training rows, increasing.
    distances: Vec<f64>,
}

/// What is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    names: Vec<String>,
    threshold: f64,
    reference: Reference,
    distances: Vec<f64>,
}

impl From<Novelty> for State {
    fn from(Novelty { names, threshold, reference, distances }: Novelty) -> Self {
        Self { names, threshold, reference, distances }
    }
}

impl TryFrom<State> for Novelty {
    type Error = Error;

    fn try_from(State { names, threshold, reference, distances }: State) -> Result<Self> {
        let Reference { centre, scale, mean, whitener, .. } = &reference;
        let width = names.len();
        let fits = [centre.len(), scale.len(), mean.len()].iter().all(|n| *n == width)
            && whitener.len() == width * (width + 1) / 2
            && scale.iter().all(|s| *s > 0.0)
            && [centre, scale, mean, whitener, &distances]
                .iter()
                .all(|v| v.iter().all(|x| x.is_finite()))
            && distances.is_sorted()
            && !distances.is_empty()
            && threshold > 0.0
            && threshold < 1.0;
        if fits {
            Ok(Self { names, threshold, reference, distances })
        } else {
            Err(Error::artifact("a novelty guard that does not fit together"))
        }
    }
}

/// Holds how unusual a row is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NoveltyReading {
    /// Mahalanobis distance from the training rows.
    pub distance: f64,
    /// Share of training rows at least as far out, itself counted.
    pub p: f64,
}

/// Where rows lie, and the whitening matrix of their scaled deviations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    centre: Vec<f64>,
    scale: Vec<f64>,
    /// Of the scaled and cut columns.
    mean: Vec<f64>,
    /// Lower triangle of the inverse Cholesky factor, row by row.
    whitener: Vec<f64>,
    shrinkage: f64,
}

impl Reference {
    fn scaled(&self, row: impl Iterator<Item = f64>) -> Vec<f64> {
        let scales = self.centre.iter().zip(&self.scale).zip(&self.mean);
        let scaled = row.zip(scales).map(|(v, ((c, s), m))| ((v - c) / s - m).clamp(-FAR, FAR));
        scaled.collect()
    }

    fn whitened(&self, scaled: &[f64]) -> impl Iterator<Item = f64> {
        let mut rest = self.whitener.as_slice();
        (1..=scaled.len()).map(move |length| {
            let (row, later) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = later;
            row.iter().zip(scaled).map(|(w, z)| w * z).sum()
        })
    }

    fn distance(&self, row: impl Iterator<Item = f64>) -> f64 {
        let scaled = self.scaled(row);
        self.whitened(&scaled).map(|w| w * w).sum::<f64>().sqrt()
    }
}

impl Novelty {
    /// The columns, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Share of rows like the training rows that is called novel.
    pub const fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Number of training rows.
    pub fn n_rows(&self) -> usize {
        self.distances.len()
    }

    /// Weight of the identity in the covariance, from 0 to 1.
    pub const fn shrinkage(&self) -> f64 {
        self.reference.shrinkage
    }

    /// Measures a row; `None` when a cell is NaN or infinite.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the row has another number of cells than there are columns.
    pub fn measure(&self, row: &[f64]) -> Result<Option<NoveltyReading>> {
        if row.len() != self.names.len() {
            let expected = format!("{} cells", self.names.len());
            return Err(Error::shape("row", expected, row.len().to_string()));
        }
        if row.iter().any(|v| !v.is_finite()) {
            return Ok(None);
        }
        let distance = self.reference.distance(row.iter().copied());
        let nearer = self.distances.partition_point(|d| *d < distance);
        let n = self.distances.len();
        Ok(Some(NoveltyReading { distance, p: (1 + n - nearer) as f64 / (1 + n) as f64 }))
    }

    /// The columns that contribute most to a row's squared distance, with their shares (which sum to
    /// 1 over all columns and may be negative), largest first.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the row has another number of cells than there are columns.
    /// - [`Error::NonFinite`] when a cell is NaN or infinite.
    pub fn contributions(&self, row: &[f64]) -> Result<Vec<(&str, f64)>> {
        if self.measure(row)?.is_none() {
            let at = row.iter().position(|v| !v.is_finite()).unwrap_or(0);
            let column = self.names.get(at).cloned().unwrap_or_default();
            return Err(Error::NonFinite { what: "row", row: 0, column });
        }
        let scaled = self.reference.scaled(row.iter().copied());
        let parts = self.parts(&scaled);
        let squared: f64 = parts.iter().zip(&scaled).map(|((part, _), z)| part * z).sum();
        let shares = parts.iter().zip(&scaled).map(|((part, _), z)| part * z / squared.max(1e-300));
        let mut named: Vec<_> = self.names.iter().map(String::as_str).zip(shares).collect();
        named.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(named)
    }

    /// Judges a row; `None` when a cell is NaN or infinite.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the row has another number of cells than there are columns.
    pub fn verdict(&self, row: &[f64]) -> Result<Option<GuardVerdict>> {
        let Some(NoveltyReading { p, .. }) = self.measure(row)? else { return Ok(None) };
        let threshold = self.threshold;
        let beyond = p < threshold;
        Ok(Some(GuardVerdict::new(p, threshold, beyond, || self.reason(row, p))))
    }

    fn reason(&self, row: &[f64], p: f64) -> String {
        let scaled = self.reference.scaled(row.iter().copied());
        let parts = self.parts(&scaled);
        let columns = self.names.iter().zip(scaled.iter().zip(&parts));
        let most = columns.max_by(|a, b| (a.1.0 * a.1.1.0).total_cmp(&(b.1.0 * b.1.1.0)));
        let p = if p < 1e-4 { format!("{p:.0e}") } else { format!("{p:.4}") };
        let mut text = format!("novelty p {p} < {}", self.threshold);
        if let Some((name, (z, (part, precision)))) = most {
            let sd = |z: f64| if z.abs() < 1e3 { format!("{z:.1}") } else { format!("{z:.0e}") };
            text = format!("{text}: {name} {} sd", sd(*z));
            // Each column alone may be ordinary; then it is this one beside the others that is not.
            let beside = part / precision.sqrt();
            if z.abs() < 3.0 && beside.abs() > z.abs() {
                text = format!("{text}, {} sd beside the other columns", sd(beside));
            }
        }
        text
    }

    /// Of every column: the derivative of half the squared distance, and the precision.
    fn parts(&self, scaled: &[f64]) -> Vec<(f64, f64)> {
        let mut parts = vec![(0.0, 0.0); scaled.len()];
        let mut rest = self.reference.whitener.as_slice();
        for (i, white) in self.reference.whitened(scaled).enumerate() {
            let (row, later) = rest.split_at_checked(i + 1).unwrap_or((rest, &[]));
            rest = later;
            for ((part, precision), w) in parts.iter_mut().zip(row) {
                *part += w * white;
                *precision += w * w;
            }
        }
        parts
    }
}

/// The selected rows, which must be complete.
pub(super) fn selected(table: &FeatureTable, rows: &Rows) -> Result<Array2<f64>> {
    if rows.end() > table.n_rows() {
        let expected = format!("rows below {}", table.n_rows());
        return Err(Error::shape("rows", expected, rows.end().to_string()));
    }
    let chosen: Vec<usize> = rows.iter().collect();
    let values = table.values().select(Axis(0), &chosen);
    match values.indexed_iter().find(|(_, v)| !v.is_finite()) {
        None => Ok(values),
        Some(((i, j), _)) => Err(Error::NonFinite {
            what: "the training rows",
            row: chosen.get(i).copied().unwrap_or(i),
            column: table.names().get(j).cloned().unwrap_or_default(),
        }),
    }
}

/// Median, and interquartile range in standard deviations of a normal distribution.
fn middle_and_spread(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let at = share * (values.len().saturating_sub(1)) as f64;
        let below = values.get(at as usize).copied().unwrap_or(0.0);
        let above = values.get(at as usize + 1).copied().unwrap_or(below);
        below + at.fract() * (above - below)
    };
    let (middle, range) = (quantile(0.5), quantile(0.75) - quantile(0.25));
    let n = (values.len() as f64).max(1.0);
    let deviation = (values.iter().map(|v| (v - middle) * (v - middle)).sum::<f64>() / n).sqrt();
    // A column that mostly stands still has no range; one that always does has rounding for a scale.
    let least = (1e-9 * middle.abs()).max(1e-12);
    let spread = [range / 1.349, deviation].into_iter().find(|s| *s > least && s.is_finite());
    (middle, spread.unwrap_or(least))
}
