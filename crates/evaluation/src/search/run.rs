use std::time::Duration;

use forecastle_core::{Error, Progress, ProgressEvent, Result};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::{Point, SearchReport, SearchSpace, TpeParams, Trial, TrialLoss};

const STAGE: &str = "search";

/// Names how the next point is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sampler {
    /// Each point for itself: the yardstick, and hard to beat with few trials.
    Random,
    /// Where good trials were denser than bad ones.
    Tpe(TpeParams),
}

impl Default for Sampler {
    fn default() -> Self {
        Self::Tpe(TpeParams::default())
    }
}

/// Sets up a search for the point of least loss.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `sampler` | TPE | how the next point is chosen | see [`Sampler`] |
/// | `trials` | 40 | trials at most; `None`: no limit | ≥ 1 |
/// | `seconds` | none | no trial begins after so many | > 0; one of the two limits |
/// | `seed` | 7 | of all draws | |
///
/// Trials follow one another, each knowing all before it, so that a search is the same sequence of
/// points on any machine; work in parallel inside a trial. A limit in seconds only cuts the sequence
/// off.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use forecastle_evaluation::{SearchParams, SearchSpace};
///
/// let space = SearchSpace::new().real("x", -5.0..=5.0)?.log_real("y", 0.01..=100.0)?;
/// let no_clock = || Duration::ZERO;
/// let report = SearchParams::default().minimize(&space, &no_clock, &(), |point| {
///     Ok((point.real("x")? - 2.0).powi(2) + point.real("y")?.ln().powi(2))
/// })?;
/// assert_eq!(report.n_trials(), 40);
/// let best = report.best().and_then(|trial| trial.loss());
/// assert!(best < Some(1.5));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// J. Bergstra, Y. Bengio, "Random search for hyper-parameter optimization", *Journal of Machine
/// Learning Research* 13 (2012), 281–305.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchParams {
    /// How the next point is chosen.
    pub sampler: Sampler,
    /// Trials at most.
    #[doc(alias = "n_trials")]
    pub trials: Option<usize>,
    /// No trial begins after so many seconds.
    #[doc(alias = "timeout")]
    pub seconds: Option<f64>,
    /// Seed of all draws.
    pub seed: u64,
}

impl Default for SearchParams {
    fn default() -> Self {
        Self { sampler: Sampler::default(), trials: Some(40), seconds: None, seed: 7 }
    }
}

impl SearchParams {
    /// Searches.
    ///
    /// - `elapsed`: time since the search began, asked before every trial when `seconds` is set
    /// - `progress`: hears of every trial in the stage `search`
    /// - `objective`: the loss of a point, a number or a [`TrialLoss`] with its folds; an error or a
    ///   number that is not finite is kept as a failed trial, and the search goes on
    ///
    /// The first trial is always made, however late it is.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range, the space has no
    ///   dimension, or there is neither limit.
    /// - [`Error::Cancelled`] when `progress` asks to stop or `objective` gives that error.
    pub fn minimize<L: Into<TrialLoss>>(
        &self,
        space: &SearchSpace,
        elapsed: &dyn Fn() -> Duration,
        progress: &dyn Progress,
        mut objective: impl FnMut(&Point) -> Result<L>,
    ) -> Result<SearchReport> {
        self.check()?;
        if space.dimensions().is_empty() {
            return Err(Error::invalid_parameter("space", "of at least one dimension", 0));
        }
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let mut trials: Vec<Trial> = Vec::new();
        while !self.is_spent(trials.len(), elapsed) {
            if progress.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let point = match &self.sampler {
                Sampler::Random => space.point(|_, dimension| dimension.at(random.random())),
                Sampler::Tpe(tpe) => tpe.suggest(space, &trials, &mut random),
            };
            let outcome = match objective(&point).map(Into::into) {
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => Err(with_sources(&error)),
                Ok(TrialLoss { loss, .. }) if !loss.is_finite() => {
                    Err(format!("the loss is {loss}"))
                }
                Ok(loss) => Ok(loss),
            };
            trials.push(Trial { number: trials.len(), point, outcome });
            let total = self.trials.map(|n| n as u64);
            progress.update(&ProgressEvent::new(STAGE, trials.len() as u64, total));
        }
        Ok(SearchReport { trials })
    }

    /// Checks every parameter's range; a search does so first.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first parameter outside its range.
    pub fn check(&self) -> Result<()> {
        match (self.trials, self.seconds) {
            (None, None) => {
                return Err(Error::invalid_parameter("trials", "set, or seconds", "neither"));
            }
            (Some(0), _) => return Err(Error::invalid_parameter("trials", ">= 1", 0)),
            (_, Some(seconds)) if !(seconds > 0.0 && seconds.is_finite()) => {
                return Err(Error::invalid_parameter("seconds", "> 0 and finite", seconds));
            }
            _ => {}
        }
        match &self.sampler {
            Sampler::Random => Ok(()),
            Sampler::Tpe(params) => params.check(),
        }
    }

    fn is_spent(&self, done: usize, elapsed: &dyn Fn() -> Duration) -> bool {
        let late = |seconds: f64| elapsed().as_secs_f64() >= seconds;
        self.trials.is_some_and(|n| done >= n) || (done > 0 && self.seconds.is_some_and(late))
    }
}

/// An error and what caused it, in one line.
fn with_sources(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
