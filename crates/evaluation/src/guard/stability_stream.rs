use std::collections::VecDeque;

use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{GuardVerdict, PopulationStability};

/// Stands for a cell that is NaN or infinite; there are at most 101 bins.
const NO_BIN: u8 = u8::MAX;

/// Judges the latest rows as they come; made by [`PopulationStability::stream`].
///
/// Says the same as [`PopulationStability::verdict`] of the last `window` rows, by counts that are kept
/// up to date: some 3 µs a row of 21 columns. Serialised, it goes on where it stood.
///
/// # Examples
/// ```
/// use forecastle_core::{FeatureTable, Rows, Timestamp};
/// use forecastle_evaluation::PopulationStabilityParams;
/// use ndarray::Array2;
///
/// let times: Vec<_> = (0..4_000).map(|t| Timestamp::from_millis(t * 60_000)).collect();
/// let values = Array2::from_shape_fn((4_000, 1), |(t, _)| (t as f64 * 1.7).sin());
/// let table = FeatureTable::new(&["wave".to_owned()], &times, values)?;
/// let guard = PopulationStabilityParams::default().fit(&table, &Rows::from(0..4_000))?;
/// let mut stream = guard.stream();
/// let mut judge = |t: i32, shift: f64| stream.update(&[(f64::from(t) * 1.7).sin() + shift]);
/// for t in 0..499 {
///     assert_eq!(judge(t, 0.0)?, None);
/// }
/// assert!(judge(499, 0.0)?.is_some_and(|verdict| !verdict.beyond));
/// let alarm = (500..1_000).find(|t| judge(*t, 0.8).is_ok_and(|v| v.is_some_and(|v| v.beyond)));
/// assert!(alarm.is_some());
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State", into = "State")]
pub struct StabilityStream {
    guard: PopulationStability,
    /// The bins of the latest rows, row by row, oldest first.
    recent: VecDeque<u8>,
    /// By column and bin.
    counts: Vec<Vec<u64>>,
}

impl StabilityStream {
    pub(super) fn new(guard: PopulationStability) -> Self {
        let counts = guard.bins().map(|bins| vec![0; bins]).collect();
        Self { guard, recent: VecDeque::new(), counts }
    }

    /// Number of columns of a row.
    pub fn width(&self) -> usize {
        self.guard.width()
    }

    /// Takes the next row and judges; `None` before the window is full.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the number of cells differs from that of the fit's columns.
    pub fn update(&mut self, row: &[f64]) -> Result<Option<GuardVerdict>> {
        let width = self.guard.width();
        if row.len() != width {
            let expected = format!("{width} cells");
            return Err(Error::shape("row", expected, row.len().to_string()));
        }
        let window = self.guard.window();
        if self.recent.len() >= window * width {
            for column in 0..width {
                if let Some(bin) = self.recent.pop_front()
                    && let Some(n) = self.cell(column, bin)
                {
                    *n = n.saturating_sub(1);
                }
            }
        }
        for (column, value) in row.iter().enumerate() {
            let bin = self.guard.bin(column, *value).and_then(|bin| u8::try_from(bin).ok());
            let bin = bin.unwrap_or(NO_BIN);
            if let Some(n) = self.cell(column, bin) {
                *n += 1;
            }
            self.recent.push_back(bin);
        }
        if self.recent.len() < window * width {
            return Ok(None);
        }
        Ok(Some(self.guard.verdict_on(&self.counts)))
    }

    fn cell(&mut self, column: usize, bin: u8) -> Option<&mut u64> {
        self.counts.get_mut(column)?.get_mut(usize::from(bin))
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    guard: PopulationStability,
    recent: Vec<u8>,
}

impl From<StabilityStream> for State {
    fn from(stream: StabilityStream) -> Self {
        Self { guard: stream.guard, recent: stream.recent.into() }
    }
}

impl TryFrom<State> for StabilityStream {
    type Error = Error;

    fn try_from(State { guard, recent }: State) -> Result<Self> {
        let mut stream = Self::new(guard);
        let width = stream.guard.width();
        let whole = recent.len().checked_rem(width) == Some(0);
        if !whole || recent.len() > width * stream.guard.window() {
            return Err(Error::artifact("the latest rows of a stability guard are not whole"));
        }
        for (i, bin) in recent.iter().enumerate() {
            match stream.cell(i % width, *bin) {
                Some(n) => *n += 1,
                None if *bin == NO_BIN => {}
                None => return Err(Error::artifact("a bin that a stability guard does not have")),
            }
        }
        stream.recent = recent.into();
        Ok(stream)
    }
}
