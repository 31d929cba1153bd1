use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::cox::recalibrated;
use crate::evidence::{garrote, t_statistic};
use crate::isotonic::{Curve, Groups};
use crate::platt::{Sigmoid, logit, smoothed};
use crate::venn_abers::VennAbers;

/// Pairs below which nothing is learnt.
const FEWEST: usize = 10;

/// Says which curve leads from raw to calibrated probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CalibrationMethod {
    /// A logistic curve in the log odds of the raw probability (Platt); two numbers are learnt.
    #[default]
    Platt,
    /// The non-decreasing curve closest to the outcomes, joined by lines; wants thousands of pairs.
    Isotonic,
    /// Two isotonic regressions, with the row in question added as a miss and as a hit, merged for
    /// log loss (inductive Venn-Abers): a cautious isotonic curve.
    VennAbers,
    /// A logistic curve in the log odds that leaves the raw probability as it is until outcomes say
    /// otherwise (Cox, with a Gaussian prior at the identity worth `prior_pairs`).
    Cox,
}

/// Turns raw probabilities into calibrated ones, learnt from what happened.
///
/// A raw probability such as
/// [`SplitConformal::sign_probability_scaled`](crate::SplitConformal::sign_probability_scaled) is
/// right where errors do not depend on forecasts; on markets that can hardly be forecast it claims
/// too much. The calibrated probability is never 0 or 1 (no more extreme than `h / (n + 2h)` with
/// `n` pairs of `h` bars) and never falls where the raw one rises.
///
/// Both parts of the curve have to earn their place ([`CalibrationMethod::Cox`], whose prior is the raw
/// probability itself, apart), as the weights of
/// [`MetaParams`](crate::MetaParams) do. How much the raw probabilities matter is multiplied by the
/// non-negative garrote `max(0, 1 − (evidence / t)²)`, `t` the mean product of centred log odds and
/// centred outcomes over its standard error; how far the base rate is from one half by the garrote
/// with a quarter of that threshold. Standard errors count the autocorrelation of labels that overlap for
/// `horizon` bars, so the same number of pairs says less at a longer horizon. Without evidence every
/// probability is one half, with clear evidence nearly nothing is taken away.
///
/// All pairs count alike. Where hit rates drift (those of EUR/USDT by the hour did, from a third to
/// three quarters within months), refit often and on the newest few thousand pairs: with fewer than
/// 1,000 the noise of the fit costs more than the drift.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `method` | Platt | which curve | |
/// | `evidence` | 2 | t statistic up to which the raw probability is ignored; 0 switches the shrinkage off; not for Cox | ≥ 0 |
/// | `prior_pairs` | 40 | independent pairs at even odds that the raw probability's own say is worth; Cox | > 0 |
///
/// # Examples
/// ```
/// use forecastle_ensemble::ProbabilityCalibrationParams;
///
/// // It claims 90 % and 10 %; 60 % and 40 % happen.
/// let raw: Vec<f64> = (0..4000).map(|i| if i % 2 == 0 { 0.9 } else { 0.1 }).collect();
/// let happened = |i: usize| i * 7919 % 1009 < if i % 2 == 0 { 605 } else { 404 };
/// let outcomes: Vec<f64> = (0..4000).map(|i| f64::from(u8::from(happened(i)))).collect();
/// let fitted = ProbabilityCalibrationParams::default().fit(&raw, &outcomes, 1)?;
/// assert!((fitted.probability(0.9) - 0.6).abs() < 0.02);
/// assert!((fitted.probability(0.1) - 0.4).abs() < 0.02);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// - D. R. Cox, *Two further applications of a model for binary regression*, Biometrika 45, 1958,
///   doi:10.1093/biomet/45.3-4.562.
/// - J. C. Platt, *Probabilities for SV Machines*, Advances in Large Margin Classifiers, 2000,
///   doi:10.7551/mitpress/1113.003.0008.
/// - B. Zadrozny, C. Elkan, *Transforming Classifier Scores into Accurate Multiclass Probability
///   Estimates*, KDD 2002, doi:10.1145/775047.775151.
/// - V. Vovk, I. Petej, *Venn-Abers Predictors*, UAI 2014, doi:10.48550/arXiv.1211.0025.
/// - L. Breiman, *Better Subset Regression Using the Nonnegative Garrote*, Technometrics 37, 1995,
///   doi:10.1080/00401706.1995.10484371.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbabilityCalibrationParams {
    /// Which curve.
    pub method: CalibrationMethod,
    /// The t statistic up to which the raw probability is ignored.
    pub evidence: f64,
    /// Independent pairs that the raw probability's own say is worth.
    pub prior_pairs: f64,
}

impl Default for ProbabilityCalibrationParams {
    fn default() -> Self {
        Self { method: CalibrationMethod::Platt, evidence: 2.0, prior_pairs: 40.0 }
    }
}

impl ProbabilityCalibrationParams {
    /// Learns from past pairs, oldest first.
    ///
    /// - `raw`: `(n_pairs,)`, each in 0 to 1
    /// - `outcomes`: `(n_pairs,)`, 1 where it happened and 0 where not; 0.5 for a tie
    /// - `horizon`: bars that a label reaches into the future
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range, or a number not in 0 to
    ///   1.
    /// - [`Error::Shape`] when the lengths differ.
    /// - [`Error::NotEnoughData`] with fewer than 10 pairs.
    /// - [`Error::NonFinite`] when a number is not finite.
    pub fn fit(
        &self,
        raw: &[f64],
        outcomes: &[f64],
        horizon: usize,
    ) -> Result<ProbabilityCalibration> {
        let n = raw.len();
        self.check()?;
        if horizon == 0 {
            return Err(Error::invalid_parameter("horizon", ">= 1", horizon));
        }
        if outcomes.len() != n {
            let expected = format!("{n} rows");
            return Err(Error::shape("outcomes", expected, outcomes.len().to_string()));
        }
        if n < FEWEST {
            return Err(Error::not_enough_data("probability calibration", FEWEST, n));
        }
        for (what, values) in [("raw", raw), ("outcomes", outcomes)] {
            if let Some(row) = values.iter().position(|v| !v.is_finite()) {
                return Err(Error::NonFinite { what, row, column: String::new() });
            }
            if let Some(value) = values.iter().find(|v| !(0.0..=1.0).contains(*v)) {
                return Err(Error::invalid_parameter(what, "in 0 to 1", value));
            }
        }
        let weight = horizon as f64;
        let scores: Vec<f64> = raw.iter().map(|p| logit(*p)).collect();
        let Evidence { slope, base } = match self.method {
            CalibrationMethod::Cox => Evidence { slope: 1.0, base: 1.0 },
            _ => self.evidence(&scores, outcomes, horizon),
        };
        let happened = outcomes.iter().sum::<f64>() / n as f64;
        let rate = 0.5 + base * (happened - 0.5);
        let shift = Shift { factor: slope, from: happened, to: rate };
        let curve = match self.method {
            CalibrationMethod::Platt => {
                let targets = smoothed(outcomes, weight);
                let fitted = Sigmoid::fit(&scores, &targets);
                let mean = targets.iter().sum::<f64>() / n as f64;
                let kept = slope >= 1.0 && base >= 1.0;
                let wanted = 0.5 + base * (mean - 0.5);
                let shrunk = if kept { fitted } else { fitted.shrunk(slope, &scores, wanted) };
                Fitted::Platt(shrunk)
            }
            CalibrationMethod::Cox => {
                // The variance of an outcome at even odds is a quarter.
                let prior = 0.25 * self.prior_pairs;
                Fitted::Platt(recalibrated(&scores, outcomes, 1.0 / weight, prior))
            }
            CalibrationMethod::Isotonic => {
                Fitted::Isotonic(Groups::new(raw, outcomes).isotonic(), shift)
            }
            CalibrationMethod::VennAbers => {
                Fitted::VennAbers(VennAbers::new(&Groups::new(raw, outcomes), weight), shift)
            }
        };
        let least = weight / (n as f64 + 2.0 * weight);
        Ok(ProbabilityCalibration { params: *self, n_pairs: n, least, slope, base, curve })
    }

    fn check(&self) -> Result<()> {
        if !(self.evidence >= 0.0 && self.evidence.is_finite()) {
            return Err(Error::invalid_parameter("evidence", ">= 0", self.evidence));
        }
        if !(self.prior_pairs > 0.0 && self.prior_pairs.is_finite()) {
            return Err(Error::invalid_parameter("prior_pairs", "> 0", self.prior_pairs));
        }
        Ok(())
    }

    /// What is left of the curve's slope and of the base rate's distance from one half.
    fn evidence(&self, scores: &[f64], outcomes: &[f64], horizon: usize) -> Evidence {
        if self.evidence <= 0.0 {
            return Evidence { slope: 1.0, base: 1.0 };
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (z, y) = (mean(scores), mean(outcomes));
        let pairs = scores.iter().zip(outcomes);
        let products: Vec<f64> = pairs.map(|(s, o)| (s - z) * (o - y)).collect();
        let side = if y < 0.5 { -1.0 } else { 1.0 };
        let excess: Vec<f64> = outcomes.iter().map(|o| side * (o - 0.5)).collect();
        Evidence {
            slope: garrote(t_statistic(&products, horizon), self.evidence),
            base: garrote(t_statistic(&excess, horizon), 0.25 * self.evidence),
        }
    }
}

struct Evidence {
    slope: f64,
    base: f64,
}

/// Maps raw probabilities to calibrated ones; made by [`ProbabilityCalibrationParams`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct ProbabilityCalibration {
    params: ProbabilityCalibrationParams,
    n_pairs: usize,
    /// The smallest probability told; the largest is 1 minus it.
    least: f64,
    slope: f64,
    base: f64,
    curve: Fitted,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fitted {
    Platt(Sigmoid),
    Isotonic(Curve, Shift),
    VennAbers(VennAbers, Shift),
}

/// Moves a curve around one rate to another and flattens it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Shift {
    factor: f64,
    from: f64,
    to: f64,
}

impl Shift {
    fn apply(&self, value: f64) -> f64 {
        // Without anything to take away the value keeps its bits.
        if self.factor >= 1.0 && self.from == self.to {
            return value;
        }
        self.to + self.factor * (value - self.from)
    }
}

impl ProbabilityCalibration {
    /// The calibrated probability, strictly between 0 and 1; NaN for a number outside 0 to 1.
    pub fn probability(&self, raw: f64) -> f64 {
        if !(0.0..=1.0).contains(&raw) {
            return f64::NAN;
        }
        let calibrated = match &self.curve {
            Fitted::Platt(sigmoid) => sigmoid.at(logit(raw)),
            Fitted::Isotonic(curve, shift) => {
                shift.apply(curve.interpolate(raw).unwrap_or(shift.from))
            }
            Fitted::VennAbers(curve, shift) => shift.apply(curve.probability(raw)),
        };
        calibrated.max(self.least).min(1.0 - self.least)
    }

    /// The two Venn-Abers probabilities, before shrinkage: were it not to happen, and were it to;
    /// their distance says how much is known. `None` for other methods and outside 0 to 1.
    pub fn probability_pair(&self, raw: f64) -> Option<[f64; 2]> {
        match &self.curve {
            Fitted::VennAbers(curve, _) if (0.0..=1.0).contains(&raw) => Some(curve.pair(raw)),
            _ => None,
        }
    }

    /// How much of the raw probabilities' say was kept, from 0 (ignored) to 1.
    pub fn kept(&self) -> f64 {
        self.slope
    }

    /// How much of the base rate's distance from one half was kept, from 0 to 1.
    pub fn base_kept(&self) -> f64 {
        self.base
    }

    /// Number of pairs learnt from.
    pub fn n_pairs(&self) -> usize {
        self.n_pairs
    }

    /// What was asked for.
    pub fn params(&self) -> &ProbabilityCalibrationParams {
        &self.params
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    params: ProbabilityCalibrationParams,
    n_pairs: usize,
    least: f64,
    slope: f64,
    base: f64,
    curve: Fitted,
}

impl From<ProbabilityCalibration> for Saved {
    fn from(fitted: ProbabilityCalibration) -> Self {
        let ProbabilityCalibration { params, n_pairs, least, slope, base, curve } = fitted;
        Self { params, n_pairs, least, slope, base, curve }
    }
}

impl TryFrom<Saved> for ProbabilityCalibration {
    type Error = Error;

    fn try_from(Saved { params, n_pairs, least, slope, base, curve }: Saved) -> Result<Self> {
        params.check()?;
        let share = |v: f64| (0.0..=1.0).contains(&v);
        let shifted = |s: &Shift| share(s.factor) && share(s.from) && share(s.to);
        let curve_holds = match &curve {
            Fitted::Platt(s) => s.intercept.is_finite() && s.slope >= 0.0 && s.slope.is_finite(),
            Fitted::Isotonic(curve, shift) => curve.is_valid() && shifted(shift),
            Fitted::VennAbers(curve, shift) => curve.is_valid() && shifted(shift),
        };
        if !(curve_holds && least > 0.0 && least < 0.5 && share(slope) && share(base)) {
            return Err(Error::artifact("a probability calibration is out of its range"));
        }
        Ok(Self { params, n_pairs, least, slope, base, curve })
    }
}
