use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::GuardVerdict;

/// Says which change of the mean counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftDirection {
    /// It grew: errors that become worse.
    Up,
    /// It fell.
    Down,
    /// Either.
    #[default]
    Both,
}

/// Parametrises a [`PageHinkley`] test.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `min_instances` | 30 | numbers before which nothing is detected | ≥ 1 |
/// | `delta` | 0.005 | change of the mean that is let pass, in units of the numbers | ≥ 0 |
/// | `threshold` | 50 | the test's λ: sum of deviations that is a change | > 0 |
/// | `alpha` | 0.9999 | forgetting of the sums; 1 forgets nothing | > 0, ≤ 1 |
/// | `direction` | `both` | which change counts | |
///
/// `delta` and `threshold` are in units of the numbers: standardise errors first, or let
/// [`ErrorDriftParams`](crate::ErrorDriftParams) do so and find λ.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageHinkleyParams {
    /// Numbers before which nothing is detected.
    pub min_instances: usize,
    /// Change of the mean that is let pass.
    pub delta: f64,
    /// Sum of deviations that is a change.
    #[doc(alias = "lambda")]
    pub threshold: f64,
    /// Forgetting of the sums.
    pub alpha: f64,
    /// Which change counts.
    pub direction: DriftDirection,
}

impl Default for PageHinkleyParams {
    fn default() -> Self {
        Self {
            min_instances: 30,
            delta: 0.005,
            threshold: 50.0,
            alpha: 0.9999,
            direction: DriftDirection::Both,
        }
    }
}

impl PageHinkleyParams {
    pub(super) fn validate(&self) -> Result<()> {
        let &Self { min_instances, delta, threshold, alpha, .. } = self;
        if min_instances == 0 {
            return Err(Error::invalid_parameter("min_instances", ">= 1", 0));
        }
        if !(delta >= 0.0 && delta.is_finite()) {
            return Err(Error::invalid_parameter("delta", ">= 0 and finite", delta));
        }
        if !(threshold > 0.0 && threshold.is_finite()) {
            return Err(Error::invalid_parameter("threshold", "> 0 and finite", threshold));
        }
        if !(alpha > 0.0 && alpha <= 1.0) {
            return Err(Error::invalid_parameter("alpha", "> 0 and <= 1", alpha));
        }
        Ok(())
    }
}

/// Detects that the mean of a stream of numbers changed, by the Page-Hinkley test, in O(1) each.
///
/// With the running mean m of all numbers so far, the sum `U = α U + (x − m − δ)` is held against its
/// own minimum and `D = α D + (x − m + δ)` against its own maximum; a rise of U, or a fall of D, by
/// more than λ is a change. The number after a change starts anew. Equals `river`'s `PageHinkley`.
///
/// Serialised, its state goes on where it stood.
///
/// # References
/// E. S. Page, "Continuous inspection schemes", *Biometrika* 41 (1954), 100–115,
/// doi:10.1093/biomet/41.1-2.100.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{PageHinkley, PageHinkleyParams};
///
/// let mut test = PageHinkley::new(PageHinkleyParams { threshold: 5.0, ..Default::default() })?;
/// let errors = (0..200).map(|t| if t < 100 { 1.0 } else { 2.0 });
/// let changes: Vec<usize> = errors.enumerate().filter(|(_, e)| test.update(*e)).map(|c| c.0).collect();
/// assert_eq!(changes, [105]);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State", into = "State")]
pub struct PageHinkley {
    params: PageHinkleyParams,
    state: Sums,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sums {
    n: usize,
    mean: f64,
    up: f64,
    down: f64,
    /// Least `up` and largest `down`; `None` before the first number.
    extremes: Option<(f64, f64)>,
    detected: bool,
}

/// What is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    params: PageHinkleyParams,
    state: Sums,
}

impl TryFrom<State> for PageHinkley {
    type Error = Error;

    fn try_from(State { params, state }: State) -> Result<Self> {
        params.validate()?;
        Ok(Self { params, state })
    }
}

impl From<PageHinkley> for State {
    fn from(PageHinkley { params, state }: PageHinkley) -> Self {
        Self { params, state }
    }
}

impl PageHinkley {
    /// Makes a test that has seen no number.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range.
    pub fn new(params: PageHinkleyParams) -> Result<Self> {
        params.validate()?;
        Ok(Self { params, state: Sums::default() })
    }

    /// What was chosen.
    pub const fn params(&self) -> PageHinkleyParams {
        self.params
    }

    /// Takes the next number and says whether a change is detected; one that is NaN or infinite does
    /// not count.
    pub fn update(&mut self, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        if self.state.detected {
            self.state = Sums::default();
        }
        let PageHinkleyParams { alpha, delta, .. } = self.params;
        let state = &mut self.state;
        state.n += 1;
        state.mean += (value - state.mean) / state.n as f64;
        let off = value - state.mean;
        state.up = alpha * state.up + off - delta;
        state.down = alpha * state.down + off + delta;
        let (least, largest) = state.extremes.unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
        state.extremes = Some((least.min(state.up), largest.max(state.down)));
        self.state.detected =
            self.state.n >= self.params.min_instances && self.statistic() > self.params.threshold;
        self.state.detected
    }

    /// Whether the last number completed a change.
    pub const fn detected(&self) -> bool {
        self.state.detected
    }

    /// Numbers since the start or the last change.
    pub const fn n(&self) -> usize {
        self.state.n
    }

    /// Their mean; 0 without any.
    pub const fn mean(&self) -> f64 {
        self.state.mean
    }

    /// The sum of deviations that is held against the threshold.
    pub fn statistic(&self) -> f64 {
        let Some((least, largest)) = self.state.extremes else { return 0.0 };
        let (up, down) = (self.state.up - least, largest - self.state.down);
        match self.params.direction {
            DriftDirection::Up => up,
            DriftDirection::Down => down,
            DriftDirection::Both => up.max(down),
        }
    }

    /// Forgets all numbers.
    pub fn reset(&mut self) {
        self.state = Sums::default();
    }

    /// Whether the last number completed a change, as a verdict.
    pub fn verdict(&self) -> GuardVerdict {
        let (score, threshold) = (self.statistic(), self.params.threshold);
        let Sums { n, mean, .. } = self.state;
        GuardVerdict::new(score, threshold, self.state.detected, || {
            format!("Page-Hinkley {score:.3} > {threshold}: the mean moved, {mean:.4} over {n}")
        })
    }
}
