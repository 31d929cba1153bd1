use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};
use tracing::{debug, debug_span, trace};

use crate::local_linear_trend::refuse_infinity;
use crate::nelder_mead::NelderMead;
use crate::recursion::Likelihood;
use crate::{LocalLinearTrend, TrendState, TrendVariances};

/// Variances outside `e^±LIMIT` times the series' own scale cannot be told from those bounds.
const LIMIT: f64 = 46.0;
/// Where the search looks first: level, trend, measurement relative to each other; their common
/// scale is found in closed form. The likelihood can have a maximum of its own for each kind.
const STARTS: [&[[f64; 3]]; 3] = [
    // A random walk, with or without noise, that drifts slowly.
    &[
        [1.0, 1e-6, 1e-3],
        [1.0, 1e-6, 0.1],
        [1.0, 1e-6, 1.0],
        [1.0, 1e-6, 10.0],
        [1.0, 1e-3, 1e-3],
        [1.0, 1e-3, 0.1],
        [1.0, 1e-3, 1.0],
        [1.0, 1e-3, 10.0],
    ],
    // One whose velocity matters.
    &[[1.0, 0.05, 1e-3], [1.0, 0.05, 0.3], [1.0, 1.0, 1e-2], [1.0, 10.0, 1e-2]],
    // A smooth curve under noise.
    &[[1e-3, 1e-3, 1.0], [1e-3, 1.0, 1.0], [1e-4, 1e-8, 1.0], [1e-4, 1e-5, 1.0]],
];
/// Where a variance that is 0 or small in a warm start is looked for again, relative to the series'
/// own scale: near 0 the likelihood is flat, and no descent leads away from it.
const REVIVED: [[f64; 4]; 3] =
    [[1e-4, 1e-3, 1e-2, 0.1], [1e-8, 1e-6, 1e-4, 1e-2], [1e-3, 1e-2, 0.1, 1.0]];
/// Log-likelihood differences that do not matter while the kinds of start are compared.
const ROUGH: f64 = 0.03;

/// Finds variances by maximum likelihood.
///
/// Maximises the exact log-likelihood of the observed rows, less the first `burn`, over the
/// logarithms of the variances: a table of starts whose common scale is solved for in closed form
/// (the concentrated likelihood), then Nelder-Mead from the best of each kind; a variance for which exactly 0 is as likely is
/// set to 0, and the search restarted until it gains nothing. Deterministic.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `burn` | 2 | first observed rows whose terms are dropped; 2 (level: 1) forget a diffuse prior | any |
/// | `max_evaluations` | 1000 | likelihoods computed at most | ≥ 50 |
/// | `tolerance` | 1e-7 | log-likelihood differences that do not matter | > 0 |
///
/// # Examples
/// ```
/// use forecastle_kalman::{MaximumLikelihood, TrendState};
///
/// let series: Vec<f64> = (0..60).map(|t| (f64::from(t) * 0.7).sin() + f64::from(t)).collect();
/// let fit = MaximumLikelihood::default().fit_trend(TrendState::new(0.0, 0.0, 1e6), &series)?;
/// assert!(fit.converged && fit.log_likelihood > -100.0);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// J. A. Nelder and R. Mead, *A simplex method for function minimization*, The Computer Journal
/// 7 (4), 1965, doi:10.1093/comjnl/7.4.308.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaximumLikelihood {
    /// First observed rows whose likelihood terms are dropped.
    pub burn: usize,
    /// Likelihoods computed at most.
    pub max_evaluations: usize,
    /// Log-likelihood differences that do not matter.
    pub tolerance: f64,
}

impl Default for MaximumLikelihood {
    fn default() -> Self {
        Self { burn: 2, max_evaluations: 1000, tolerance: 1e-7 }
    }
}

/// Holds variances of maximum likelihood and how they were found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrendFit {
    /// The model with these variances.
    pub model: LocalLinearTrend,
    /// Its log-likelihood, less the burnt terms.
    pub log_likelihood: f64,
    /// Whether the search ended by its tolerance, not by its budget.
    pub converged: bool,
    /// Likelihoods computed.
    pub evaluations: usize,
}

impl MaximumLikelihood {
    /// Finds the three variances of a local linear trend.
    ///
    /// - `prior`: the state at the first row before its update
    /// - `observations`: `(n,)`, NaN where missing
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a setting or the prior is outside its range.
    /// - [`Error::NotEnoughData`] when fewer than `burn + 4` rows are observed.
    /// - [`Error::NonFinite`] when an observation is infinite.
    /// - [`Error::Numerical`] when the series is constant or no likelihood is finite.
    pub fn fit_trend(&self, prior: TrendState, observations: &[f64]) -> Result<TrendFit> {
        self.fit(prior, observations, [true; 3], None, &mut || false)
    }

    /// Finds the three variances from earlier ones on (a warm start), in half to four fifths of the
    /// evaluations.
    ///
    /// For a series that has moved on by a few rows. The search begins at `start`, brought to the
    /// series' scale, unless the table of starts holds something likelier already, in which case it
    /// is that of [`fit_trend`](Self::fit_trend). Where the likelihood has several maxima it may end in
    /// another one than a search from nothing.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `start` is negative, not finite or all 0.
    /// - As [`fit_trend`](Self::fit_trend).
    ///
    /// # Examples
    /// ```
    /// use forecastle_kalman::{MaximumLikelihood, TrendState};
    ///
    /// let mut level = 0.0;
    /// let step = |t: i32| { level += f64::from(t * t).sin(); level };
    /// let series: Vec<f64> = (0..400).map(step).collect();
    /// let (search, prior) = (MaximumLikelihood::default(), TrendState::new(0.0, 0.0, 1e6));
    /// let before = search.fit_trend(prior, &series[..380])?;
    /// let warm = search.fit_trend_from(prior, &series, before.model.variances())?;
    /// let cold = search.fit_trend(prior, &series)?;
    /// assert!((warm.log_likelihood - cold.log_likelihood).abs() < 1e-5);
    /// assert!(warm.evaluations < cold.evaluations);
    /// # Ok::<(), forecastle_core::Error>(())
    /// ```
    pub fn fit_trend_from(
        &self,
        prior: TrendState,
        observations: &[f64],
        start: TrendVariances,
    ) -> Result<TrendFit> {
        self.fit(prior, observations, [true; 3], Some(start), &mut || false)
    }

    /// Finds the variances of a local level, whose trend has none.
    pub(crate) fn fit_level(&self, prior: TrendState, observations: &[f64]) -> Result<TrendFit> {
        self.fit(prior, observations, [true, false, true], None, &mut || false)
    }

    /// As [`fit_trend`](Self::fit_trend) or, with a start, [`fit_trend_from`](Self::fit_trend_from),
    /// over the variances marked; `cancelled` is asked before each evaluation.
    pub(crate) fn fit(
        &self,
        prior: TrendState,
        observations: &[f64],
        free: [bool; 3],
        start: Option<TrendVariances>,
        cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<TrendFit> {
        self.validate()?;
        if let Some(start) = start {
            start.validate()?;
        }
        refuse_infinity(observations)?;
        // Any positive variances will do to check the prior against: searches end above 0.
        prior.validate_prior(&TrendVariances::default())?;
        let parameters = free.iter().filter(|&&f| f).count();
        let needed = self.burn.saturating_add(parameters + 1);
        let available = observations.iter().filter(|y| !y.is_nan()).count();
        if available < needed {
            return Err(Error::not_enough_data("maximum likelihood of a trend", needed, available));
        }
        let scale = mean_square_step(observations);
        if !(scale > 0.0 && scale.is_finite()) {
            let reason = format!("the mean square of the series' steps is {scale}");
            return Err(Error::numerical("maximum likelihood of a trend", reason));
        }
        let span = debug_span!(
            "maximum_likelihood",
            rows = observations.len(),
            parameters,
            warm_start = start.is_some(),
        );
        let _entered = span.enter();
        let mut search =
            Search { settings: self, prior, observations, scale, evaluations: 0, cancelled };
        let fit = search.run(free, start)?;
        let TrendFit { log_likelihood, converged, evaluations, .. } = fit;
        debug!(
            log_likelihood,
            converged,
            evaluations,
            variances = ?fit.model.variances().to_array(),
            "maximised"
        );
        Ok(fit)
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.max_evaluations < 50 {
            let got = self.max_evaluations;
            return Err(Error::invalid_parameter("max_evaluations", ">= 50", got));
        }
        if !(self.tolerance > 0.0 && self.tolerance.is_finite()) {
            let got = self.tolerance;
            return Err(Error::invalid_parameter("tolerance", "finite and > 0", got));
        }
        Ok(())
    }
}

/// The mean of the squared differences of neighbouring observations, a step between each two rows.
pub(crate) fn mean_square_step(observations: &[f64]) -> f64 {
    let mut observed = observations.iter().enumerate().filter(|(_, y)| !y.is_nan());
    let Some((mut before, mut last)) = observed.next() else {
        return 0.0;
    };
    let (mut sum, mut n) = (0.0, 0.0);
    for (row, y) in observed {
        sum += (y - last) * (y - last) / (row - before) as f64;
        n += 1.0;
        (before, last) = (row, y);
    }
    if n > 0.0 { sum / n } else { 0.0 }
}

/// A point of the search: variances and their log-likelihood.
#[derive(Debug, Clone, Copy)]
struct Found {
    variances: [f64; 3],
    value: f64,
}

struct Search<'a> {
    settings: &'a MaximumLikelihood,
    prior: TrendState,
    observations: &'a [f64],
    scale: f64,
    evaluations: usize,
    cancelled: &'a mut dyn FnMut() -> bool,
}

impl Search<'_> {
    fn run(&mut self, mut free: [bool; 3], start: Option<TrendVariances>) -> Result<TrendFit> {
        let tolerance = self.settings.tolerance;
        let starts = STARTS.map(|rows| self.start(rows, free));
        let warm = start.and_then(|start| self.go_on_from(start, free, &starts));
        let mut best = warm.unwrap_or_else(|| self.compare(starts, free));
        let mut converged = false;
        for round in 0..5 {
            let before = best.value;
            (best, converged) = self.descend(best, free, 0.25, tolerance);
            let evaluations = self.evaluations;
            trace!(round, log_likelihood = best.value, evaluations, "descended");
            if (self.cancelled)() {
                return Err(Error::Cancelled);
            }
            best = self.drop_variances(best, &mut free);
            let settled = round > 0 && best.value - before <= 10.0 * tolerance;
            if settled || self.evaluations >= self.settings.max_evaluations {
                break;
            }
        }
        if !best.value.is_finite() {
            let reason = "no variances give a finite likelihood";
            return Err(Error::numerical("maximum likelihood of a trend", reason));
        }
        Ok(TrendFit {
            model: LocalLinearTrend::new(TrendVariances::from_array(best.variances))?,
            log_likelihood: best.value,
            converged,
            evaluations: self.evaluations,
        })
    }

    /// Earlier variances, if they are as likely now as any of the table's.
    fn go_on_from(
        &mut self,
        start: TrendVariances,
        free: [bool; 3],
        starts: &[Found],
    ) -> Option<Found> {
        // At its best common scale, as the table's: markets calm down more often than they change
        // in kind.
        let ratios = start.to_array().map(|variance| variance / self.scale);
        let mut best = self.start(&[ratios], free);
        if !(best.value.is_finite() && starts.iter().all(|s| s.value <= best.value + ROUGH)) {
            return None;
        }
        for (i, ratios) in REVIVED.into_iter().enumerate().filter(|&(i, _)| free[i]) {
            let before = best;
            for variance in ratios.map(|ratio| ratio * self.scale) {
                if variance <= 10.0 * before.variances[i] {
                    continue;
                }
                let mut variances = before.variances;
                variances[i] = variance;
                let value = self.value(variances);
                // The logarithm of 0 is no place to descend from.
                if value > best.value || best.variances[i] == 0.0 {
                    best = Found { variances, value };
                }
            }
        }
        best.value.is_finite().then_some(best)
    }

    /// Goes down from each kind of start, roughly, and takes the best.
    fn compare(&mut self, starts: [Found; 3], free: [bool; 3]) -> Found {
        let mut best = Found { variances: [self.scale; 3], value: f64::NEG_INFINITY };
        for start in starts {
            let tolerance = self.settings.tolerance.max(ROUGH);
            let (found, _) = self.descend(start, free, 1.0, tolerance);
            if found.value > best.value {
                best = found;
            }
        }
        best
    }

    /// The best of some rows of the table of starts, at its best common scale.
    fn start(&mut self, rows: &[[f64; 3]], free: [bool; 3]) -> Found {
        let mut best = Found { variances: [self.scale; 3], value: f64::NEG_INFINITY };
        for row in rows {
            let mut variances = row.map(|ratio| ratio * self.scale);
            for (variance, keep) in variances.iter_mut().zip(free) {
                *variance = if keep { *variance } else { 0.0 };
            }
            let Some(likelihood) = self.likelihood(variances) else {
                continue;
            };
            let (value, factor) = likelihood.concentrated();
            if value > best.value && factor > 0.0 && factor.is_finite() {
                best = Found { variances: variances.map(|v| v * factor), value };
            }
        }
        // The concentrated likelihood scales the prior too; from here on the exact one counts.
        best.value = self.value(best.variances);
        best
    }

    /// Nelder-Mead over the logarithms of the free variances.
    fn descend(
        &mut self,
        from: Found,
        free: [bool; 3],
        edge: f64,
        tolerance: f64,
    ) -> (Found, bool) {
        let axes: Vec<usize> = (0..3).filter(|&i| free[i]).collect();
        let logarithm = |&i: &usize| (from.variances[i] / self.scale).ln().clamp(-LIMIT, LIMIT);
        let start: Vec<f64> = axes.iter().map(logarithm).collect();
        if start.is_empty() {
            return (from, true);
        }
        let method = NelderMead {
            tolerance,
            budget: self.settings.max_evaluations.saturating_sub(self.evaluations),
            edge,
        };
        let scale = self.scale;
        let variances = |point: &[f64]| {
            let mut variances = from.variances;
            for (&i, x) in axes.iter().zip(point) {
                variances[i] = scale * x.clamp(-LIMIT, LIMIT).exp();
            }
            variances
        };
        let minimum = method.minimise(&start, &mut |point| -self.value(variances(point)));
        let found = Found { variances: variances(&minimum.point), value: -minimum.value };
        let best = if found.value >= from.value { found } else { from };
        (best, minimum.converged)
    }

    /// Sets to 0 the variances for which 0 is as likely, smallest first; one always stays.
    fn drop_variances(&mut self, mut best: Found, free: &mut [bool; 3]) -> Found {
        let mut order: Vec<usize> = (0..3).filter(|&i| free[i]).collect();
        order.sort_by(|&a, &b| best.variances[a].total_cmp(&best.variances[b]));
        let candidates = order.len().saturating_sub(1);
        for &i in order.iter().take(candidates) {
            let mut variances = best.variances;
            variances[i] = 0.0;
            let value = self.value(variances);
            if value >= best.value {
                best = Found { variances, value };
                free[i] = false;
            }
        }
        best
    }

    fn value(&mut self, variances: [f64; 3]) -> f64 {
        self.likelihood(variances).map_or(f64::NEG_INFINITY, |l| l.value())
    }

    /// The likelihood; `None` where it is not finite, the budget is spent, or after a cancellation.
    fn likelihood(&mut self, variances: [f64; 3]) -> Option<Likelihood> {
        if self.evaluations >= self.settings.max_evaluations || (self.cancelled)() {
            return None;
        }
        self.evaluations += 1;
        let model = LocalLinearTrend::new(TrendVariances::from_array(variances)).ok()?;
        let recursion = model.recursion(&self.prior);
        let likelihood = Likelihood::of(&recursion, self.observations, self.settings.burn);
        likelihood.value().is_finite().then_some(likelihood)
    }
}
