use std::collections::VecDeque;

use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::GuardVerdict;

/// Parametrises an [`Adwin`] window.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `delta` | 0.002 | significance: smaller detects less and later | > 0, < 1 |
/// | `clock` | 32 | numbers from check to check | ≥ 1 |
/// | `max_buckets` | 5 | buckets of a size before two are merged | ≥ 2 |
/// | `min_window` | 5 | numbers that each part must hold | ≥ 1 |
/// | `grace_period` | 10 | numbers before which nothing is checked | ≥ 1 |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdwinParams {
    /// Significance.
    pub delta: f64,
    /// Numbers from check to check.
    pub clock: usize,
    /// Buckets of a size before two are merged.
    pub max_buckets: usize,
    /// Numbers that each part must hold.
    #[doc(alias = "min_window_length")]
    pub min_window: usize,
    /// Numbers before which nothing is checked.
    pub grace_period: usize,
}

impl Default for AdwinParams {
    fn default() -> Self {
        Self { delta: 0.002, clock: 32, max_buckets: 5, min_window: 5, grace_period: 10 }
    }
}

impl AdwinParams {
    fn validate(&self) -> Result<()> {
        let at_least = |name, least: usize, value: usize| match value >= least {
            true => Ok(()),
            false => Err(Error::invalid_parameter(name, format!(">= {least}"), value)),
        };
        if !(self.delta > 0.0 && self.delta < 1.0) {
            return Err(Error::invalid_parameter("delta", "> 0 and < 1", self.delta));
        }
        at_least("clock", 1, self.clock)?;
        at_least("max_buckets", 2, self.max_buckets)?;
        at_least("min_window", 1, self.min_window)?;
        at_least("grace_period", 1, self.grace_period)
    }
}

/// Keeps as many of the latest numbers of a stream as have one mean, and detects when that changes.
///
/// The window is a list of buckets of 1, 2, 4, … numbers, at most `max_buckets` of a size, so memory is
/// O(log n) and an update O(1), every `clock`-th O(log n). A check holds every older part of the window
/// against the rest; where the means differ by more than Bernstein's bound at `delta` allows, the oldest
/// buckets go until no two parts differ. Equals `river`'s `AdaptiveWindowing`, and after
/// [`reset`](Self::reset) at every detection its `ADWIN`.
///
/// Unlike [`PageHinkley`](crate::PageHinkley) it needs no scale, and after a change the window holds
/// what is new. Serialised, its state goes on where it stood.
///
/// # References
/// A. Bifet, R. Gavaldà, "Learning from time-changing data with adaptive windowing", *Proceedings of
/// the 2007 SIAM International Conference on Data Mining*, 443–448, doi:10.1137/1.9781611972771.42.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{Adwin, AdwinParams};
///
/// let mut window = Adwin::new(AdwinParams::default())?;
/// let errors = (0..600).map(|t| f64::from(t % 2) + if t < 400 { 0.0 } else { 1.0 });
/// let changes: Vec<usize> = errors.enumerate().filter(|(_, e)| window.update(*e)).map(|c| c.0).collect();
/// assert!(changes[0] > 400 && changes[0] < 450 && window.mean() > 1.4);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State", into = "State")]
pub struct Adwin {
    params: AdwinParams,
    window: Window,
}

/// What is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    params: AdwinParams,
    window: Window,
}

impl TryFrom<State> for Adwin {
    type Error = Error;

    fn try_from(State { params, window }: State) -> Result<Self> {
        params.validate()?;
        window.check(params.max_buckets)?;
        Ok(Self { params, window })
    }
}

impl From<Adwin> for State {
    fn from(Adwin { params, window }: Adwin) -> Self {
        Self { params, window }
    }
}

/// So many consecutive numbers, by their sum and their squared deviations from their mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Bucket {
    total: f64,
    squares: f64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    /// By size: buckets of 2^k numbers in place k, the oldest of a size first.
    rows: Vec<VecDeque<Bucket>>,
    n: u64,
    total: f64,
    squares: f64,
    ticks: u64,
    /// The last check's largest difference of means in units of its bound.
    score: f64,
    detected: bool,
}

impl Adwin {
    /// Makes a window that holds no number.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range.
    pub fn new(params: AdwinParams) -> Result<Self> {
        params.validate()?;
        Ok(Self { params, window: Window::default() })
    }

    /// What was chosen.
    pub const fn params(&self) -> AdwinParams {
        self.params
    }

    /// Takes the next number and says whether a change is detected; one that is NaN or infinite does
    /// not count.
    pub fn update(&mut self, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        let window = &mut self.window;
        window.insert(value, self.params.max_buckets);
        window.ticks += 1;
        window.detected = false;
        let due = window.ticks.is_multiple_of(self.params.clock as u64);
        if due && window.n > self.params.grace_period as u64 {
            window.score = 0.0;
            while window.check_parts(&self.params) {
                window.detected = true;
                window.drop_oldest();
            }
        }
        window.detected
    }

    /// Whether the last number completed a change.
    pub const fn detected(&self) -> bool {
        self.window.detected
    }

    /// Numbers in the window.
    #[doc(alias = "width")]
    pub const fn n(&self) -> u64 {
        self.window.n
    }

    /// Their mean; 0 without any.
    pub fn mean(&self) -> f64 {
        if self.window.n == 0 { 0.0 } else { self.window.total / self.window.n as f64 }
    }

    /// Their variance (ddof 0); 0 without any.
    pub fn variance(&self) -> f64 {
        if self.window.n == 0 { 0.0 } else { self.window.squares / self.window.n as f64 }
    }

    /// Forgets all numbers.
    pub fn reset(&mut self) {
        self.window = Window::default();
    }

    /// Whether the last number completed a change, as a verdict: the largest difference of two parts'
    /// means at the last check, in units of its bound.
    pub fn verdict(&self) -> GuardVerdict {
        let (score, n, mean) = (self.window.score, self.window.n, self.mean());
        GuardVerdict::new(score, 1.0, self.window.detected, || {
            format!("ADWIN {score:.2} > 1: the mean moved, {mean:.4} over the last {n}")
        })
    }
}

impl Window {
    fn insert(&mut self, value: f64, max_buckets: usize) {
        if self.n > 0 {
            let before = self.n as f64;
            let off = value - self.total / before;
            self.squares += before * off * off / (before + 1.0);
        }
        self.n += 1;
        self.total += value;
        let mut carried = Some(Bucket { total: value, squares: 0.0 });
        let mut size = 1.0;
        for row in &mut self.rows {
            let Some(bucket) = carried.take() else { return };
            row.push_back(bucket);
            if row.len() <= max_buckets {
                return;
            }
            if let (Some(a), Some(b)) = (row.pop_front(), row.pop_front()) {
                let apart = (a.total - b.total) / size;
                let squares = a.squares + b.squares + size * apart * apart / 2.0;
                carried = Some(Bucket { total: a.total + b.total, squares });
            }
            size *= 2.0;
        }
        self.rows.extend(carried.map(|bucket| VecDeque::from([bucket])));
    }

    /// Whether some older part differs from the rest.
    fn check_parts(&mut self, params: &AdwinParams) -> bool {
        let n = self.n as f64;
        let variance = self.squares / n;
        let strictness = (2.0 * n.ln() / params.delta).ln();
        let least = params.min_window as f64;
        let (mut older, mut older_total) = (0.0, 0.0);
        let sizes = self.rows.iter().enumerate().rev();
        let buckets =
            sizes.flat_map(|(k, row)| row.iter().map(move |b| (2.0_f64.powi(k as i32), b)));
        for (size, bucket) in buckets {
            older += size;
            older_total += bucket.total;
            let newer = n - older;
            if older < least || newer < least {
                continue;
            }
            let apart = older_total / older - (self.total - older_total) / newer;
            let weight = 1.0 / (older - least + 1.0) + 1.0 / (newer - least + 1.0);
            let bound =
                (2.0 * weight * variance * strictness).sqrt() + 2.0 / 3.0 * strictness * weight;
            self.score = self.score.max(apart.abs() / bound);
            if apart.abs() > bound {
                return true;
            }
        }
        false
    }

    fn drop_oldest(&mut self) {
        let size = 2.0_f64.powi(self.rows.len() as i32 - 1);
        let Some(row) = self.rows.last_mut() else { return };
        if let Some(bucket) = row.pop_front() {
            self.n = self.n.saturating_sub(size as u64);
            self.total -= bucket.total;
            let n = self.n as f64;
            let apart = bucket.total / size - self.total / n;
            self.squares -= bucket.squares + size * n * apart * apart / (size + n);
        }
        while self.rows.last().is_some_and(VecDeque::is_empty) {
            self.rows.pop();
        }
    }

    /// Refuses a window that no stream of numbers can have left.
    fn check(&self, max_buckets: usize) -> Result<()> {
        let sizes = self.rows.iter().enumerate();
        let n = sizes.map(|(k, row)| (row.len() as u64).checked_shl(k as u32).unwrap_or(0));
        let fits = self.rows.len() < 63
            && self.rows.iter().all(|row| (1..=max_buckets).contains(&row.len()))
            && n.sum::<u64>() == self.n
            && self.total.is_finite()
            && self.squares.is_finite();
        if fits { Ok(()) } else { Err(Error::artifact("an ADWIN window that does not add up")) }
    }
}
