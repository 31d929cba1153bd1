use std::io::Write;

use forecastle_core::{Error, Result};
use ndarray::ArrayRef1;
use serde::{Deserialize, Serialize};

use crate::checks::finite_vector;
use crate::reliability_bin::BinSums;

/// Parametrises [`ReliabilityTable::new`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `n_bins` | 10 | bins of equal width between 0 and 1 | 1 to 1000 |
/// | `horizon` | 1 | bars ahead of the forecasts: outcomes of rows less than h apart overlap | ≥ 1 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReliabilityParams {
    /// Bins of equal width.
    pub n_bins: usize,
    /// Bars ahead of the forecasts.
    pub horizon: usize,
}

impl Default for ReliabilityParams {
    fn default() -> Self {
        Self { n_bins: 10, horizon: 1 }
    }
}

/// Compares the probabilities that a forecast stated with how often the event came, bin by bin.
///
/// Of the rows in which the forecast said about 70 %, about 70 % should have seen the event. Bin k of
/// K holds forecasts in [k/K, (k + 1)/K), the last one 1 as well. Tables of several series or folds
/// [`merge`](Self::merge) into the table of all their rows.
///
/// # Standard errors
/// Outcomes over h bars overlap with those of the h − 1 rows before and after, and a bin's rows tend
/// to be neighbours. The variance of an observed share therefore counts products of deviations of
/// rows of the bin less than 2h − 1 apart, with Bartlett's weights 1 − lag/(2h − 1) (weights that
/// reached 0 at lag h would lose a third of what overlap adds), and is never taken below the
/// binomial o(1 − o)/n. It is missing where all outcomes of a bin are alike.
///
/// # References
/// - A. H. Murphy, "A new vector partition of the probability score", *Journal of Applied Meteorology*
///   12 (1973), 595–600, doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2.
/// - D. B. Stephenson, C. A. S. Coelho, I. T. Jolliffe, "Two extra components in the Brier score
///   decomposition", *Weather and Forecasting* 23 (2008), 752–757, doi:10.1175/2007WAF2006116.1.
/// - M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
///   binning", *AAAI Conference on Artificial Intelligence* 29 (2015), 2901–2907,
///   doi:10.1609/aaai.v29i1.9602: the expected calibration error.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{ReliabilityParams, ReliabilityTable};
/// use ndarray::array;
///
/// let rose = [true, false, true, true, false];
/// let said = array![0.75, 0.75, 0.75, 0.75, 0.25];
/// let table = ReliabilityTable::new(&said, &rose, &ReliabilityParams::default())?;
/// let rows = table.rows();
/// assert_eq!((rows[7].n, rows[7].observed), (4, Some(0.75)));
/// assert_eq!(table.calibration_error(), Some((0.0 * 4.0 + 0.25) / 5.0));
/// let score = table.brier().ok_or("no rows")?;
/// let parts = score.reliability - score.resolution + score.uncertainty + score.within_bins;
/// assert!((score.brier - parts).abs() < 1e-15);
/// table.write_csv(&mut std::io::sink())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReliabilityTable {
    bins: Vec<BinSums>,
}

/// Holds one bin; the field names are the columns of the CSV.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReliabilityRow {
    /// The least probability of the bin.
    pub lower: f64,
    /// Where it ends.
    pub upper: f64,
    /// Forecasts in it.
    pub n: usize,
    /// Their mean; `None` in an empty bin, as are the others.
    pub mean_forecast: Option<f64>,
    /// Share of them that saw the event.
    pub observed: Option<f64>,
    /// Standard error of that share, with overlapping outcomes counted for what they are; `None` also
    /// where all outcomes are alike.
    pub standard_error: Option<f64>,
}

impl ReliabilityRow {
    /// The columns, in order.
    pub const COLUMNS: [&'static str; 6] =
        ["lower", "upper", "n", "mean_forecast", "observed", "standard_error"];
}

/// Splits the Brier score into what it is made of.
///
/// `brier = reliability − resolution + uncertainty + within_bins`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BrierScore {
    /// Mean squared difference of forecast and outcome.
    pub brier: f64,
    /// Mean squared distance of the bins' forecasts from their observed shares; 0 is calibrated.
    pub reliability: f64,
    /// Mean squared distance of the bins' observed shares from the overall one; what the forecast
    /// can tell apart.
    pub resolution: f64,
    /// Variance of the outcomes; the score of always stating their share.
    pub uncertainty: f64,
    /// What forecasts that differ inside a bin add: their variance there less twice their covariance
    /// with the outcomes.
    pub within_bins: f64,
}

impl ReliabilityTable {
    /// Fills a table.
    ///
    /// - `probabilities`: `(n,)` stated in consecutive rows, from 0 to 1
    /// - `outcomes`: `(n,)` whether the event came
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `n_bins` is not 1 to 1000, `horizon` is 0, or a
    ///   probability lies outside [0, 1].
    /// - [`Error::Shape`] when the lengths differ.
    /// - [`Error::NotEnoughData`] when there is no row.
    /// - [`Error::NonFinite`] when a probability is NaN or infinite.
    pub fn new(
        probabilities: &ArrayRef1<f64>,
        outcomes: &[bool],
        params: &ReliabilityParams,
    ) -> Result<Self> {
        let &ReliabilityParams { n_bins, horizon } = params;
        if !(1..=1000).contains(&n_bins) {
            return Err(Error::invalid_parameter("n_bins", "in [1, 1000]", n_bins));
        }
        if horizon == 0 {
            return Err(Error::invalid_parameter("horizon", ">= 1", 0));
        }
        finite_vector("probabilities", probabilities)?;
        if outcomes.len() != probabilities.len() {
            let (rows, given) = (probabilities.len(), outcomes.len());
            return Err(Error::shape("outcomes", format!("{rows} rows"), given.to_string()));
        }
        if let Some(bad) = probabilities.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            return Err(Error::invalid_parameter("probabilities", "in [0, 1]", bad));
        }
        let mut rows: Vec<Vec<(usize, f64, bool)>> = vec![Vec::new(); n_bins];
        for (t, (&p, &event)) in probabilities.iter().zip(outcomes).enumerate() {
            if let Some(bin) = rows.get_mut(bin_of(p, n_bins)) {
                bin.push((t, p, event));
            }
        }
        Ok(Self { bins: rows.iter().map(|rows| BinSums::new(rows, horizon)).collect() })
    }

    /// The bins, from 0 to 1.
    pub fn rows(&self) -> Vec<ReliabilityRow> {
        let row = |(k, bin): (usize, &BinSums)| ReliabilityRow {
            lower: border(k, self.bins.len()),
            upper: border(k + 1, self.bins.len()),
            n: bin.n,
            mean_forecast: bin.mean_forecast(),
            observed: bin.observed(),
            standard_error: bin.standard_error(),
        };
        self.bins.iter().enumerate().map(row).collect()
    }

    /// Rows in all bins.
    pub fn n(&self) -> usize {
        self.bins.iter().map(|bin| bin.n).sum()
    }

    /// The expected calibration error: the mean distance of the bins' forecasts from their observed
    /// shares, weighted by their rows; `None` without any row.
    ///
    /// Chance alone makes it positive: a bin of n rows adds about 0.4/sqrt(n).
    #[doc(alias = "ece")]
    pub fn calibration_error(&self) -> Option<f64> {
        let n = self.n() as f64;
        let distance = |bin: &BinSums| {
            let distance = (bin.mean_forecast()? - bin.observed()?).abs();
            Some(bin.n as f64 / n * distance)
        };
        (n > 0.0).then(|| self.bins.iter().filter_map(distance).sum())
    }

    /// The Brier score and its decomposition; `None` without any row.
    pub fn brier(&self) -> Option<BrierScore> {
        let n = self.n() as f64;
        if n == 0.0 {
            return None;
        }
        let mean = |of: &dyn Fn(&BinSums) -> f64| self.bins.iter().map(of).sum::<f64>() / n;
        let share = mean(&|bin| bin.events);
        let brier = mean(&|bin| bin.squares);
        let parts = |bin: &BinSums| Some((bin.n as f64, bin.mean_forecast()?, bin.observed()?));
        let (mut reliability, mut resolution) = (0.0, 0.0);
        for (rows, forecast, observed) in self.bins.iter().filter_map(parts) {
            reliability += rows / n * (forecast - observed) * (forecast - observed);
            resolution += rows / n * (observed - share) * (observed - share);
        }
        let uncertainty = share * (1.0 - share);
        let within_bins = brier - (reliability - resolution + uncertainty);
        Some(BrierScore { brier, reliability, resolution, uncertainty, within_bins })
    }

    /// Adds the rows of another table, of a series whose outcomes do not overlap with these.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the other table has another number of bins.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let (own, others) = (self.bins.len(), other.bins.len());
        if own != others {
            return Err(Error::shape("other", format!("{own} bins"), others.to_string()));
        }
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            bin.add(more);
        }
        Ok(())
    }

    /// Writes the bins as CSV with a header; numbers read back to the same bits, `None` is empty.
    ///
    /// # Errors
    /// - [`Error::Component`] when the writer fails.
    pub fn write_csv(&self, to: &mut impl Write) -> Result<()> {
        let mut text = ReliabilityRow::COLUMNS.join(",");
        text.push('\n');
        let optional = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        for row in self.rows() {
            let cells = [
                row.lower.to_string(),
                row.upper.to_string(),
                row.n.to_string(),
                optional(row.mean_forecast),
                optional(row.observed),
                optional(row.standard_error),
            ];
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        to.write_all(text.as_bytes()).map_err(|e| Error::component("reliability file", e))
    }
}

/// Where bin k of K begins.
fn border(k: usize, n_bins: usize) -> f64 {
    k as f64 / n_bins as f64
}

/// The bin of a probability, by the very borders that the rows state.
fn bin_of(p: f64, n_bins: usize) -> usize {
    let near = (p * n_bins as f64) as usize;
    let bin = if p < border(near, n_bins) {
        near.saturating_sub(1)
    } else if p >= border(near + 1, n_bins) {
        near + 1
    } else {
        near
    };
    bin.min(n_bins - 1)
}
