use std::ops::Range;

use forecastle_core::{
    Dataset, DynFit, Error, FeatureTable, PredictExt, PurgedKFold, Result, Rows, Target, Timestamp,
    WalkForward,
};
use ndarray::{Array1, Array2, ShapeBuilder};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::information_coefficient;

/// Parametrises [`leak_meter`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `n_bars` | 2500 | labelled rows of a run | ≥ 20 · `n_folds`, > 2 · `horizon` |
/// | `n_features` | 4 | noise features | ≥ 1 |
/// | `window` | 20 | bars that a feature averages, its persistence | ≥ 1 |
/// | `horizon` | 20 | bars a label reaches ahead, the overlap of labels | ≥ 1 |
/// | `n_folds` | 5 | folds of every split | ≥ 2 |
/// | `n_runs` | 200 | independent worlds of noise | ≥ 2 |
/// | `seed` | 0 | of all the noise | |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeakParams {
    /// Labelled rows of a run.
    pub n_bars: usize,
    /// Noise features.
    pub n_features: usize,
    /// Bars that a feature averages.
    pub window: usize,
    /// Bars a label reaches ahead.
    pub horizon: usize,
    /// Folds of every split.
    pub n_folds: usize,
    /// Independent worlds of noise.
    pub n_runs: usize,
    /// Seed of all the noise.
    pub seed: u64,
}

impl Default for LeakParams {
    fn default() -> Self {
        Self {
            n_bars: 2_500,
            n_features: 4,
            window: 20,
            horizon: 20,
            n_folds: 5,
            n_runs: 200,
            seed: 0,
        }
    }
}

/// Holds an information coefficient averaged over all runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LeakReading {
    /// Mean over the runs, each the mean over its folds.
    pub mean: f64,
    /// Standard error of that mean.
    pub standard_error: f64,
}

impl LeakReading {
    /// The mean in standard errors: beyond ±4 chance has no part in it.
    pub fn z(&self) -> f64 {
        self.mean / self.standard_error
    }
}

/// Holds the skill that a model seems to have on noise, by the way its rows were split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LeakReport {
    /// Rows dealt to folds at random: labels overlap across the cut.
    pub shuffled: LeakReading,
    /// [`PurgedKFold`]: blocks in time, overlapping labels purged.
    pub purged: LeakReading,
    /// [`WalkForward`]: the past alone, overlapping labels purged.
    pub walk_forward: LeakReading,
    /// Number of runs.
    pub n_runs: usize,
}

/// Measures the skill that a model seems to have where there is none, under three ways to split.
///
/// Every run makes a new world: a random walk of log prices, labelled with its return over the next
/// `horizon` bars, and features that are rolling means over `window` bars of other, independent
/// noise. Nothing predicts anything. Yet neighbouring rows share most of their label's bars and most
/// of their features' noise, so rows dealt to folds at random leave each test row's twins in the
/// training set, and the model recites them. For a linear model the shuffled information coefficient
/// is about √(p/n) · (S − 1)/√S with n rows, p features and S = Σ ρₓ(k)·ρᵧ(k) over all lags, the
/// product of the features' and the labels' autocorrelations (triangles here). The defaults are sized
/// so that least squares reads +0.125; more features or fewer rows leak more. Splits that purge
/// overlapping labels read 0 up to chance, whatever the size.
///
/// A fold whose forecasts are all the same counts as 0.
///
/// # Errors
/// - [`Error::InvalidParameter`] when a parameter is outside its range.
/// - Whatever the model's fit or prediction returns.
///
/// # References
/// M. López de Prado, *Advances in Financial Machine Learning*, 2018, chapter 7.
pub fn leak_meter(model: &dyn DynFit, params: &LeakParams) -> Result<LeakReport> {
    validate(params)?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(params.seed);
    let &LeakParams { n_bars, horizon, n_folds, n_runs, .. } = params;
    let purged_folds = PurgedKFold { n_folds, horizon, embargo: 0 };
    let walk_folds = WalkForward { n_folds, horizon, ..WalkForward::default() };
    let to_folds = |splits: Vec<forecastle_core::Split>| -> Vec<(Rows, Rows)> {
        splits.into_iter().map(|s| (s.train, Rows::from(s.test))).collect()
    };
    let purged_folds = to_folds(purged_folds.split(0..n_bars)?);
    let walk_folds = to_folds(walk_folds.split(0..n_bars)?);

    let (mut shuffled, mut purged, mut walk) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n_runs {
        let world = World::new(params, &mut random)?;
        let shuffled_folds = shuffled_folds(n_bars, n_folds, &mut random)?;
        shuffled.push(world.coefficient(model, horizon, &shuffled_folds)?);
        purged.push(world.coefficient(model, horizon, &purged_folds)?);
        walk.push(world.coefficient(model, horizon, &walk_folds)?);
    }
    Ok(LeakReport {
        shuffled: reading(&shuffled),
        purged: reading(&purged),
        walk_forward: reading(&walk),
        n_runs,
    })
}

/// One run's noise.
#[derive(Debug)]
struct World {
    table: FeatureTable,
    labels: Array1<f64>,
}

impl World {
    fn new(params: &LeakParams, random: &mut Xoshiro256PlusPlus) -> Result<Self> {
        let &LeakParams { n_bars, n_features, window, horizon, .. } = params;
        let mut normal = || -> f64 { StandardNormal.sample(random) };
        let mut level = 0.0;
        let close: Vec<f64> = (0..n_bars + horizon)
            .map(|_| {
                level += 0.01 * normal();
                f64::exp(level)
            })
            .collect();
        let labels =
            Target::LogReturn.labels(&close, horizon).iter().take(n_bars).copied().collect();
        let mut values = Array2::zeros((n_bars, n_features).f());
        for mut column in values.columns_mut() {
            let noise: Vec<f64> = (0..n_bars + window - 1).map(|_| normal()).collect();
            for (value, seen) in column.iter_mut().zip(noise.windows(window)) {
                *value = seen.iter().sum::<f64>() / (window as f64).sqrt();
            }
        }
        let names: Vec<String> = (0..n_features).map(|j| format!("noise_{j}")).collect();
        let hours = 0..i64::try_from(n_bars).unwrap_or(i64::MAX);
        let times: Vec<Timestamp> = hours.map(|t| Timestamp::from_millis(t * 3_600_000)).collect();
        Ok(Self { table: FeatureTable::new(&names, &times, values)?, labels })
    }

    /// The mean information coefficient over folds of (training, test) rows.
    fn coefficient(
        &self,
        model: &dyn DynFit,
        horizon: usize,
        folds: &[(Rows, Rows)],
    ) -> Result<f64> {
        let mut sum = 0.0;
        for (train, test) in folds {
            let dataset = Dataset::from_table(&self.table, &self.labels, train, horizon)?;
            let predicted = model.fit_dyn(dataset)?.predict_table(&self.table)?;
            let select = |values: &Array1<f64>| -> Array1<f64> {
                test.iter().filter_map(|t| values.get(t).copied()).collect()
            };
            let skill = information_coefficient(&select(&self.labels), &select(&predicted))?;
            sum += skill.unwrap_or(0.0);
        }
        Ok(sum / folds.len() as f64)
    }
}

/// Folds of rows dealt at random, as (training, test).
fn shuffled_folds(
    n_bars: usize,
    n_folds: usize,
    random: &mut Xoshiro256PlusPlus,
) -> Result<Vec<(Rows, Rows)>> {
    let mut fold_of: Vec<usize> = (0..n_bars).map(|t| t % n_folds).collect();
    fold_of.shuffle(random);
    let select = |wanted: &dyn Fn(usize) -> bool| {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (t, _) in fold_of.iter().enumerate().filter(|&(_, &fold)| wanted(fold)) {
            match ranges.last_mut() {
                Some(last) if last.end == t => last.end = t + 1,
                _ => ranges.push(t..t + 1),
            }
        }
        Rows::new(ranges)
    };
    (0..n_folds).map(|k| Ok((select(&|fold| fold != k)?, select(&|fold| fold == k)?))).collect()
}

fn reading(runs: &[f64]) -> LeakReading {
    let n = runs.len() as f64;
    let mean = runs.iter().sum::<f64>() / n;
    let squares: f64 = runs.iter().map(|r| (r - mean) * (r - mean)).sum();
    LeakReading { mean, standard_error: (squares / (n - 1.0) / n).sqrt() }
}

fn validate(params: &LeakParams) -> Result<()> {
    let at_least = |name, least: usize, value: usize| {
        if value >= least {
            Ok(())
        } else {
            Err(Error::invalid_parameter(name, format!(">= {least}"), value))
        }
    };
    at_least("n_features", 1, params.n_features)?;
    at_least("window", 1, params.window)?;
    at_least("horizon", 1, params.horizon)?;
    at_least("n_folds", 2, params.n_folds)?;
    at_least("n_runs", 2, params.n_runs)?;
    let rows = params.n_folds.saturating_mul(20).max(params.horizon.saturating_mul(2) + 1);
    at_least("n_bars", rows, params.n_bars)
}
