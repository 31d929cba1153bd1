use forecastle_core::{Error, FeatureTable, Result};
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::surprise::{LEAST_ROWS, Market, mean};

/// A correlation with the return itself from which a column is called a label.
const LABEL: f64 = 0.99;

/// Parametrises [`look_ahead_scan`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `max_lead` | 20 | bars ahead that are looked at | ≥ 1 |
/// | `false_alarm` | 0.001 | chance that any column of a table is suspected where nothing predicts | > 0, < 1 |
/// | `min_effect` | 0.3 | correlation below which nothing is suspected, however significant | ≥ 0, < 1 |
///
/// Markets can be predicted a little, and more rows make the little significant: `min_effect` is a size
/// that honest features do not have. The largest seen is 0.26: the typical price of ETH/BTC candles of
/// 5 minutes, whose last trade is at the bid or at the ask, foretells the next bar so well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LookAheadScanParams {
    /// Bars ahead that are looked at.
    pub max_lead: usize,
    /// Chance that any column of a table is suspected where nothing predicts.
    pub false_alarm: f64,
    /// Correlation below which nothing is suspected.
    pub min_effect: f64,
}

impl Default for LookAheadScanParams {
    fn default() -> Self {
        Self { max_lead: 20, false_alarm: 0.001, min_effect: 0.3 }
    }
}

/// Says what a column seems to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ForesightKind {
    /// Nothing that could not be known.
    Clean,
    /// More of later returns than any feature can.
    Foresight,
    /// The return over the next bars itself, or a linear function of it.
    Label,
    /// Constant, or with too few rows.
    NotJudged,
}

/// Describes how a column goes with the returns after its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ForesightProfile {
    /// The column.
    pub column: String,
    /// The verdict.
    pub kind: ForesightKind,
    /// Rows that were used.
    pub n: usize,
    /// Correlation of the column's surprise with the return of the k-th bar after, k = 1, 2, … as far
    /// as `max_lead`; empty when not judged.
    pub by_lead: Vec<f64>,
    /// The same with the return of the first k bars after, taken together.
    pub cumulated: Vec<f64>,
    /// The largest of all of these by size.
    pub effect: f64,
    /// The smallest p-value of all, multiplied by the number of tests in the whole table.
    pub p: f64,
    /// Bars ahead that the column seems to look; 0 when clean.
    pub reach: usize,
}

/// Reports which columns of a table know later closes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LookAheadScan {
    /// A profile a column, in the table's order.
    pub profiles: Vec<ForesightProfile>,
}

impl LookAheadScan {
    /// Whether no column is suspected.
    pub fn is_clean(&self) -> bool {
        self.suspects().next().is_none()
    }

    /// The columns that know too much, in the table's order.
    pub fn suspects(&self) -> impl Iterator<Item = &ForesightProfile> {
        let guilty = |kind| matches!(kind, ForesightKind::Foresight | ForesightKind::Label);
        self.profiles.iter().filter(move |profile| guilty(profile.kind))
    }
}

/// Names the columns of a table that know closes after their rows, from the numbers alone.
///
/// For tables whose making cannot be repeated; where it can, [`assert_causal`](crate::assert_causal)
/// proves more. Every column is first explained, by least squares, by what was known anyway: its own
/// value a row before, the last 10 returns and the close beside its means of 5, 20 and 100. What is
/// left, its surprise, is correlated with the returns of the bars after it, one by one and added up.
/// The surprise of a causal column is news of its own bar, and such news says little of later
/// returns, also in a column that wanders (a price level, whose plain correlation with later returns
/// is large on any random walk).
///
/// A column is suspected when both hold:
/// - **Significance**: a p-value, times the number of columns, leads and ways of adding up, below
///   `false_alarm`. The statistic is robust to changing volatility (White); returns over
///   several bars enter by their bars, against the added-up surprises before each (Hodrick), so that
///   their overlap does not matter.
/// - **Size**: a correlation of `min_effect` or more.
///
/// - `closes`: `(n_bars,)`, positive, the closes of the table's rows
///
/// # Power
/// A window centred over ± w bars shows a correlation of about 1/√w at each lead and √(`max_lead` / w)
/// added up (at most 1), so w up to some 200 is found at the defaults if rows are many; for longer ones
/// raise `max_lead`. A label over the next h bars shows 1 at lead h.
///
/// # Limits
/// What knows one number of the future only, such as a global VWAP or the scale of all rows, looks like
/// any price level within one table and passes here; so does what knows later volumes or ranges, but
/// not directions. A forecast on rows that its model was fitted on knows them and is rightly named.
///
/// # Errors
/// - [`Error::InvalidParameter`] when a parameter is outside its range, or a close is not positive.
/// - [`Error::Shape`] when there are not as many closes as rows.
/// - [`Error::Numerical`] when a fit breaks down.
///
/// # References
/// - L. D. Haugh, "Checking the independence of two covariance-stationary time series: a univariate
///   residual cross-correlation approach", *Journal of the American Statistical Association* 71
///   (1976), 378–385, doi:10.1080/01621459.1976.10480353.
/// - R. J. Hodrick, "Dividend yields and expected stock returns: alternative procedures for inference
///   and measurement", *Review of Financial Studies* 5 (1992), 357–386, doi:10.1093/rfs/5.3.351.
///
/// # Examples
/// ```
/// use forecastle_core::{FeatureTable, Timestamp};
/// use forecastle_evaluation::{ForesightKind, LookAheadScanParams, look_ahead_scan};
/// use ndarray::Array2;
///
/// let closes: Vec<f64> = (0..400).map(|t: u32| 100.0 + f64::from(t * t % 101)).collect();
/// let times: Vec<_> = (0..400).map(|t| Timestamp::from_millis(t * 60_000)).collect();
/// let label = Array2::from_shape_fn((400, 1), |(t, _)| {
///     closes.get(t + 3).map_or(f64::NAN, |later| (later / closes[t]).ln())
/// });
/// let table = FeatureTable::new(&["next_3".to_owned()], &times, label)?;
/// let scan = look_ahead_scan(&table, &closes, &LookAheadScanParams::default())?;
/// assert_eq!((scan.profiles[0].kind, scan.profiles[0].reach), (ForesightKind::Label, 3));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn look_ahead_scan(
    table: &FeatureTable,
    closes: &[f64],
    params: &LookAheadScanParams,
) -> Result<LookAheadScan> {
    validate(params)?;
    if closes.len() != table.n_rows() {
        let expected = format!("{} rows", table.n_rows());
        return Err(Error::shape("closes", expected, closes.len().to_string()));
    }
    if let Some(bad) = closes.iter().find(|c| !(**c > 0.0 && c.is_finite())) {
        return Err(Error::invalid_parameter("closes", "> 0 and finite", bad));
    }
    let max_lead = params.max_lead.min(closes.len());
    let market = Market::new(closes, max_lead);
    let tests = 2.0 * max_lead as f64 * table.n_features() as f64;
    let named = table.names().iter().zip(table.values().columns());
    let profiles = named.map(|(name, column)| market.profile(name, column, params, tests));
    Ok(LookAheadScan { profiles: profiles.collect::<Result<_>>()? })
}

/// How a column goes with later returns.
impl Market {
    fn profile(
        &self,
        name: &str,
        column: ArrayView1<'_, f64>,
        params: &LookAheadScanParams,
        tests: f64,
    ) -> Result<ForesightProfile> {
        let mut profile = ForesightProfile {
            column: name.to_owned(),
            kind: ForesightKind::NotJudged,
            n: 0,
            by_lead: Vec::new(),
            cumulated: Vec::new(),
            effect: 0.0,
            p: 1.0,
            reach: 0,
        };
        let values: Vec<f64> = column.iter().copied().collect();
        let Some(surprise) = self.surprise(&values)? else { return Ok(profile) };
        profile.n = surprise.iter().flatten().count();
        if profile.n < LEAST_ROWS {
            return Ok(profile);
        }
        profile.kind = ForesightKind::Clean;
        let (mut least_p, mut last_lead, mut largest) = (1.0_f64, 0, 0);
        for k in 1..=self.max_lead {
            let (lead, lead_p) = self.at_lead(&surprise, k);
            let (sum, sum_p) = self.cumulated(&surprise, k);
            least_p = least_p.min(lead_p).min(sum_p);
            for effect in [lead, sum] {
                if effect.abs() > profile.effect.abs() {
                    (profile.effect, largest) = (effect, k);
                }
            }
            // Single bars tell how far it looks; sums stay large beyond.
            if lead_p * tests < params.false_alarm && lead.abs() >= params.min_effect / 2.0 {
                last_lead = k;
            }
            profile.by_lead.push(lead);
            profile.cumulated.push(sum);
        }
        profile.p = (least_p * tests).min(1.0);
        if profile.p < params.false_alarm && profile.effect.abs() >= params.min_effect {
            profile.kind = ForesightKind::Foresight;
            profile.reach = if last_lead > 0 { last_lead } else { largest };
        }
        if let Some((k, correlation)) = self.as_label(&values)
            && correlation.abs() >= LABEL
        {
            profile.kind = ForesightKind::Label;
            (profile.effect, profile.reach) = (correlation, k);
        }
        Ok(profile)
    }

    /// Correlation of surprises with the k-th return after, and its p-value.
    fn at_lead(&self, surprise: &[Option<f64>], k: usize) -> (f64, f64) {
        let later = self.returns.iter().skip(k);
        let pairs = || surprise.iter().zip(later.clone()).filter_map(|(u, r)| Some(((*u)?, *r)));
        (correlation(pairs()), two_sided(pairs().map(|(u, r)| u * r)))
    }

    /// Correlation of surprises with the next k returns together, and its p-value, by the sums of
    /// the last k surprises with the next return.
    fn cumulated(&self, surprise: &[Option<f64>], k: usize) -> (f64, f64) {
        let cell = |t: usize| surprise.get(t).copied().flatten();
        let mut later: f64 = self.returns.iter().skip(1).take(k).sum();
        let pairs = (0..self.returns.len().saturating_sub(k)).filter_map(|t| {
            let sum = later;
            let end = self.returns.get(t + 1 + k).copied().unwrap_or(0.0);
            later += end - self.returns.get(t + 1).copied().unwrap_or(0.0);
            Some((cell(t)?, sum))
        });
        let effect = correlation(pairs);
        let mut run = 0.0;
        let terms = self.returns.iter().skip(1).enumerate().map(|(t, next)| {
            run += cell(t).unwrap_or(0.0);
            run -= t.checked_sub(k).and_then(cell).unwrap_or(0.0);
            run * next
        });
        (effect, two_sided(terms))
    }

    /// The number of bars whose return the column itself goes with most closely.
    fn as_label(&self, values: &[f64]) -> Option<(usize, f64)> {
        let at = |k: usize| {
            let later = self.log_close.iter().skip(k).zip(&self.log_close);
            let pairs = values.iter().zip(later.map(|(then, now)| then - now));
            let pairs: Vec<(f64, f64)> =
                pairs.filter(|(v, _)| v.is_finite()).map(|(v, later)| (*v, later)).collect();
            let (a, b) = (mean(pairs.iter().map(|p| p.0)), mean(pairs.iter().map(|p| p.1)));
            let enough = pairs.len() >= LEAST_ROWS.max(10 * k);
            enough.then(|| (k, correlation(pairs.iter().map(|(x, y)| (x - a, y - b)))))
        };
        let all = (1..=self.max_lead).filter_map(at);
        all.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))
    }
}

/// Correlation of numbers that are centred already; 0 where either does not vary.
fn correlation(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (aa, bb, ab) =
        pairs.fold((0.0, 0.0, 0.0), |(aa, bb, ab), (a, b)| (aa + a * a, bb + b * b, ab + a * b));
    if aa > 0.0 && bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

/// The p-value of a sum of uncorrelated terms about 0, each of its own variance.
fn two_sided(terms: impl Iterator<Item = f64>) -> f64 {
    let (sum, squares) = terms.fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
    if squares > 0.0 { 2.0 * Normal::standard().cdf(-sum.abs() / squares.sqrt()) } else { 1.0 }
}

fn validate(params: &LookAheadScanParams) -> Result<()> {
    let &LookAheadScanParams { max_lead, false_alarm, min_effect } = params;
    if max_lead == 0 {
        return Err(Error::invalid_parameter("max_lead", ">= 1", 0));
    }
    if !(false_alarm > 0.0 && false_alarm < 1.0) {
        return Err(Error::invalid_parameter("false_alarm", "> 0 and < 1", false_alarm));
    }
    if !(0.0..1.0).contains(&min_effect) {
        return Err(Error::invalid_parameter("min_effect", ">= 0 and < 1", min_effect));
    }
    Ok(())
}
