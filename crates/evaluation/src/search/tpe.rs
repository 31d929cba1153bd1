use forecastle_core::{Error, Result};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::parzen::{Parzen, categorical};
use super::{Dimension, Point, SearchSpace, Trial, Value};

/// Parametrises the Tree-structured Parzen Estimator.
///
/// The trials so far are split: the best ones, and the rest. For every setting by itself, Parzen
/// windows estimate how the best ones are spread, `l(x)`, and how the rest are, `g(x)`. Candidates are
/// drawn from `l`, and the one with the largest `l(x) / g(x)` is tried next, which is the one of
/// largest expected improvement. Trials that failed belong to the rest.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `n_startup` | 10 | random trials first | ≥ 2 |
/// | `good_share` | 0.1 | γ, share of the trials that are called good, rounded up | above 0, below 1 |
/// | `max_good` | 25 | most trials that are called good | ≥ 1 |
/// | `n_candidates` | 24 | draws to choose from | ≥ 1 |
/// | `prior_weight` | 1 | weight of the space itself beside a trial's 1 | > 0 |
///
/// Defaults, bandwidths and weights are those of Optuna's `TPESampler(multivariate=False)`: settings
/// are drawn each for itself, so a narrow valley across two of them is followed slowly.
///
/// # References
/// - J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl, "Algorithms for hyper-parameter optimization",
///   *Advances in Neural Information Processing Systems* 24 (2011), 2546–2554.
/// - S. Watanabe, "Tree-structured Parzen estimator: understanding its algorithm components and
///   their roles for better empirical performance", 2023, doi:10.48550/arXiv.2304.11127.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TpeParams {
    /// Random trials first.
    #[doc(alias = "n_startup_trials")]
    pub n_startup: usize,
    /// Share of the trials that are called good.
    #[doc(alias = "gamma")]
    pub good_share: f64,
    /// Most trials that are called good.
    pub max_good: usize,
    /// Draws to choose from.
    #[doc(alias = "n_ei_candidates")]
    pub n_candidates: usize,
    /// Weight of the space itself beside a trial's 1.
    pub prior_weight: f64,
}

impl Default for TpeParams {
    fn default() -> Self {
        Self { n_startup: 10, good_share: 0.1, max_good: 25, n_candidates: 24, prior_weight: 1.0 }
    }
}

impl TpeParams {
    pub(super) fn check(&self) -> Result<()> {
        if self.n_startup < 2 {
            return Err(Error::invalid_parameter("n_startup", ">= 2", self.n_startup));
        }
        if !(self.good_share > 0.0 && self.good_share < 1.0) {
            let requirement = "above 0 and below 1";
            return Err(Error::invalid_parameter("good_share", requirement, self.good_share));
        }
        for (name, value) in [("max_good", self.max_good), ("n_candidates", self.n_candidates)] {
            if value == 0 {
                return Err(Error::invalid_parameter(name, ">= 1", 0));
            }
        }
        if !(self.prior_weight > 0.0 && self.prior_weight.is_finite()) {
            let requirement = "> 0 and finite";
            return Err(Error::invalid_parameter("prior_weight", requirement, self.prior_weight));
        }
        Ok(())
    }

    /// The next point to try; random until there are trials enough.
    pub(super) fn suggest(
        &self,
        space: &SearchSpace,
        trials: &[Trial],
        random: &mut impl Rng,
    ) -> Point {
        let mut ranked: Vec<(f64, usize)> =
            trials.iter().filter_map(|t| t.loss().map(|loss| (loss, t.number))).collect();
        if ranked.len() < 2 || trials.len() < self.n_startup {
            return space.point(|_, dimension| dimension.at(random.random()));
        }
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let n_good = (self.good_share * ranked.len() as f64).ceil() as usize;
        let n_good = n_good.clamp(1, self.max_good);
        let (edge, last) = ranked[n_good.min(ranked.len()) - 1];
        let is_good = |trial: &&Trial| {
            trial.loss().is_some_and(|loss| loss < edge || (loss == edge && trial.number <= last))
        };
        let (good, bad): (Vec<&Trial>, Vec<&Trial>) = trials.iter().partition(is_good);
        space.point(|index, dimension| {
            let values = |group: &[&Trial]| -> Vec<Value> {
                let of = |trial: &&Trial| trial.point.settings().get(index).map(|s| s.1.clone());
                group.iter().filter_map(of).collect()
            };
            self.suggest_value(dimension, &values(&good), &values(&bad), random)
        })
    }

    fn suggest_value(
        &self,
        dimension: &Dimension,
        good: &[Value],
        bad: &[Value],
        random: &mut impl Rng,
    ) -> Value {
        if let Dimension::Choice { options } = dimension {
            return Value::Choice(self.suggest_option(options, good, bad, random));
        }
        let places =
            |values: &[Value]| -> Vec<f64> { values.iter().map(|v| dimension.place(v)).collect() };
        let good = Parzen::new(&places(good), self.prior_weight);
        let bad = Parzen::new(&places(bad), self.prior_weight);
        let candidates = (0..self.n_candidates).map(|_| {
            let place = good.draw(random);
            let value = dimension.at(place);
            let ratio = match dimension.cell(&value) {
                None => good.density(place) / bad.density(place),
                Some((from, to)) => good.probability(from, to) / bad.probability(from, to),
            };
            (ratio, value)
        });
        best(candidates).unwrap_or_else(|| dimension.at(0.5))
    }

    fn suggest_option(
        &self,
        options: &[String],
        good: &[Value],
        bad: &[Value],
        random: &mut impl Rng,
    ) -> String {
        let probabilities = |values: &[Value]| {
            let index = |value: &Value| match value {
                Value::Choice(text) => options.iter().position(|option| option == text),
                _ => None,
            };
            let seen: Vec<usize> = values.iter().filter_map(index).collect();
            categorical(&seen, options.len(), self.prior_weight)
        };
        let (good, bad) = (probabilities(good), probabilities(bad));
        let candidates = (0..self.n_candidates).map(|_| {
            let mut share = random.random::<f64>();
            let drawn = good.iter().position(|p| {
                share -= p;
                share < 0.0
            });
            let index = drawn.unwrap_or(options.len() - 1);
            (good[index] / bad[index], index)
        });
        best(candidates).and_then(|index| options.get(index).cloned()).unwrap_or_default()
    }
}

/// The candidate of the largest ratio, the first of equal ones.
fn best<T>(candidates: impl Iterator<Item = (f64, T)>) -> Option<T> {
    let larger = |best: (f64, T), next: (f64, T)| if next.0 > best.0 { next } else { best };
    candidates.reduce(larger).map(|(_, value)| value)
}
