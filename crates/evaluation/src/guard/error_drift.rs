use forecastle_core::{Error, Result};
use ndarray::ArrayRef1;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::GuardVerdict;
use super::population_stability::upper_quantile;
use crate::checks::finite_vector;

/// Scaled errors are cut to plus and minus this: one bad bar is no drift.
const CLIP: f64 = 5.0;

/// Bars of a path, errors of a block and paths, each at the most.
const MOST: usize = 1_000_000;

/// Errors below which nothing can be learned.
const LEAST: usize = 100;

/// Parametrises an [`ErrorDrift`] guard.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `allowance` | 0.1 | growth of the mean error that is let pass, in sd | ≥ 0 |
/// | `run_length` | 1000 | bars of a path | 1 to 1,000,000 |
/// | `false_alarm` | 0.01 | share of the paths of unchanged errors with an alarm | > 0, < 1 |
/// | `block` | 50 | errors that are drawn together, so that neighbours stay alike | 1 to 1,000,000 |
/// | `n_paths` | 2000 | paths that are drawn | 100 to 1,000,000 |
/// | `seed` | 0 | of the paths | |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorDriftParams {
    /// Growth of the mean error that is let pass.
    pub allowance: f64,
    /// Bars of a path.
    pub run_length: usize,
    /// Share of the paths of unchanged errors with an alarm.
    pub false_alarm: f64,
    /// Errors that are drawn together.
    pub block: usize,
    /// Paths that are drawn.
    pub n_paths: usize,
    /// Seed of the paths.
    pub seed: u64,
}

impl Default for ErrorDriftParams {
    fn default() -> Self {
        Self {
            allowance: 0.1,
            run_length: 1_000,
            false_alarm: 0.01,
            block: 50,
            n_paths: 2_000,
            seed: 0,
        }
    }
}

impl ErrorDriftParams {
    /// Learns how large errors are, and how their sums wander, from errors out of sample, oldest first.
    ///
    /// - `errors`: `(n,)`, sizes of errors (absolute or squared)
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range.
    /// - [`Error::NotEnoughData`] with fewer than 100 errors or 4 blocks of them.
    /// - [`Error::NonFinite`] when an error is NaN or infinite.
    /// - [`Error::Numerical`] when the errors overflow, or are all the same.
    pub fn fit(&self, errors: &ArrayRef1<f64>) -> Result<ErrorDrift> {
        self.check()?;
        finite_vector("errors", errors)?;
        let n = errors.len();
        let needed = LEAST.max(self.block.saturating_mul(4));
        if n < needed {
            return Err(Error::not_enough_data("error drift", needed, n));
        }
        let mean = errors.iter().sum::<f64>() / n as f64;
        let squares: f64 = errors.iter().map(|e| (e - mean) * (e - mean)).sum();
        let scale = (squares / n as f64).sqrt();
        if !scale.is_finite() || scale <= 1e-12 * mean.abs() {
            return Err(Error::numerical("error drift", "errors that overflow or do not vary"));
        }
        let mut guard = ErrorDrift {
            mean,
            scale,
            offset: 0.0,
            allowance: self.allowance,
            threshold: f64::MAX,
            statistic: 0.0,
        };
        // Cut errors have another mean.
        guard.offset = errors.iter().map(|e| guard.scaled(*e)).sum::<f64>() / n as f64;
        let steps: Vec<f64> = errors.iter().map(|e| guard.scaled(*e)).collect();
        let mut sums = vec![0.0];
        sums.extend(steps.iter().cycle().take(n + self.block).scan(0.0, |sum, step| {
            *sum += step;
            Some(*sum)
        }));
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let highest: Vec<f64> =
            (0..self.n_paths).map(|_| self.highest(&steps, &sums, &mut random)).collect();
        // A path of which every sum falls to 0 leaves no scale; a bar's worth is the least.
        guard.threshold = upper_quantile(&highest, self.false_alarm).max(1.0);
        Ok(guard)
    }

    /// The largest statistic on a path of blocks drawn from the errors, which close into a ring.
    ///
    /// The mean that was learned is itself a little off: by as much as that of as many errors drawn in
    /// the same way.
    fn highest(&self, steps: &[f64], sums: &[f64], random: &mut Xoshiro256PlusPlus) -> f64 {
        let (n, block) = (steps.len(), self.block);
        let blocks = n.div_ceil(block);
        let total: f64 = (0..blocks)
            .filter_map(|_| {
                let start = random.random_range(0..n);
                Some(sums.get(start + block)? - sums.get(start)?)
            })
            .sum();
        let slip = total / (blocks * block) as f64 + self.allowance;
        let (mut statistic, mut highest, mut done) = (0.0_f64, 0.0_f64, 0);
        while done < self.run_length {
            let start = random.random_range(0..n);
            let length = block.min(self.run_length - done);
            for step in steps.iter().cycle().skip(start).take(length) {
                statistic = (statistic + step - slip).max(0.0);
                highest = highest.max(statistic);
            }
            done += length;
        }
        highest
    }

    /// Checks every parameter's range; a fit does so first.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first parameter outside its range.
    pub fn check(&self) -> Result<()> {
        let &Self { allowance, run_length, false_alarm, block, n_paths, .. } = self;
        if !(allowance >= 0.0 && allowance.is_finite()) {
            return Err(Error::invalid_parameter("allowance", ">= 0 and finite", allowance));
        }
        if !(false_alarm > 0.0 && false_alarm < 1.0) {
            return Err(Error::invalid_parameter("false_alarm", "> 0 and < 1", false_alarm));
        }
        for (name, least, value) in
            [("run_length", 1, run_length), ("block", 1, block), ("n_paths", 100, n_paths)]
        {
            if !(least..=MOST).contains(&value) {
                let requirement = format!(">= {least} and <= {MOST}");
                return Err(Error::invalid_parameter(name, requirement, value));
            }
        }
        Ok(())
    }
}

/// Says whether live errors have become larger than those out of sample were, in O(1) each.
///
/// Page's cumulative sum, `S = max(0, S + z − allowance)`, of errors z in standard deviations above the
/// mean of those that were learned from. [`PageHinkley`](crate::PageHinkley) is the same sum against
/// the stream's own running mean: it cannot see errors that were worse from the first live bar on. The
/// alarm level is not guessed: it is the level that a share `false_alarm` of paths of `run_length` bars
/// crosses, drawn in blocks from the errors themselves, which overlap and cluster; that their mean was
/// learned from so many errors only is taken into account in the same way.
///
/// The guard objects as long as S is above the level; S goes no higher than twice the level, so that
/// it comes back in time once errors do. Serialised, its state goes on where it stood.
///
/// # References
/// E. S. Page, "Continuous inspection schemes", *Biometrika* 41 (1954), 100–115,
/// doi:10.1093/biomet/41.1-2.100.
///
/// # Examples
/// ```
/// use forecastle_evaluation::ErrorDriftParams;
/// use ndarray::Array1;
///
/// let errors: Array1<f64> = (0..1_000).map(|t| 0.01 + 0.005 * (t as f64 * 1.3).sin()).collect();
/// let mut guard = ErrorDriftParams::default().fit(&errors)?;
/// assert!(errors.iter().all(|error| !guard.update(*error).beyond));
/// // Errors twice as large.
/// let alarm = errors.iter().position(|error| guard.update(2.0 * error).beyond);
/// assert!(alarm.is_some_and(|bars| bars < 20), "{alarm:?}");
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State", into = "State")]
pub struct ErrorDrift {
    mean: f64,
    scale: f64,
    /// Mean of the scaled and cut errors.
    offset: f64,
    allowance: f64,
    threshold: f64,
    statistic: f64,
}

/// What is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    mean: f64,
    scale: f64,
    offset: f64,
    allowance: f64,
    threshold: f64,
    statistic: f64,
}

impl From<ErrorDrift> for State {
    fn from(guard: ErrorDrift) -> Self {
        let ErrorDrift { mean, scale, offset, allowance, threshold, statistic } = guard;
        Self { mean, scale, offset, allowance, threshold, statistic }
    }
}

impl TryFrom<State> for ErrorDrift {
    type Error = Error;

    fn try_from(state: State) -> Result<Self> {
        let State { mean, scale, offset, allowance, threshold, statistic } = state;
        let numbers = [mean, scale, offset, allowance, threshold, statistic];
        if numbers.iter().all(|v| v.is_finite()) && scale > 0.0 && threshold > 0.0 {
            Ok(Self { mean, scale, offset, allowance, threshold, statistic })
        } else {
            Err(Error::artifact("an error guard that does not fit together"))
        }
    }
}

impl ErrorDrift {
    /// Takes the next error and judges; one that is NaN or infinite does not count.
    pub fn update(&mut self, error: f64) -> GuardVerdict {
        if error.is_finite() {
            let step = self.scaled(error) - self.allowance;
            self.statistic = (self.statistic + step).clamp(0.0, 2.0 * self.threshold);
        }
        self.verdict()
    }

    /// Judges as of the last error.
    pub fn verdict(&self) -> GuardVerdict {
        let &Self { statistic, threshold, .. } = self;
        GuardVerdict::new(statistic, threshold, statistic > threshold, || {
            format!("errors drifted: sum {statistic:.1} > {threshold:.1} sd above the expected")
        })
    }

    /// The alarm level, in standard deviations of an error.
    pub const fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Mean of the errors that were learned from.
    pub const fn mean(&self) -> f64 {
        self.mean
    }

    /// Forgets the live errors.
    pub fn reset(&mut self) {
        self.statistic = 0.0;
    }

    fn scaled(&self, error: f64) -> f64 {
        ((error - self.mean) / self.scale).clamp(-CLIP, CLIP) - self.offset
    }
}
