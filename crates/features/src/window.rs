//! Windows of fixed length in O(1) amortised a row, without subtracting anything that left.

use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::moments::Moments;

/// The longest window that is accepted (1,048,576 rows, two years of minutes).
///
/// A stream allocates its window beforehand, so an absurd length is refused instead.
pub const MAX_WINDOW: usize = 1 << 20;

/// Refuses a window shorter than `least` or longer than [`MAX_WINDOW`].
pub(crate) fn check_window(name: &'static str, window: usize, least: usize) -> Result<()> {
    if (least..=MAX_WINDOW).contains(&window) {
        return Ok(());
    }
    let requirement =
        if window < least { format!(">= {least}") } else { format!("<= {MAX_WINDOW}") };
    Err(Error::invalid_parameter(name, requirement, window))
}

/// What a set of consecutive rows comes to, for [`RollingWindow`].
pub(crate) trait Aggregate: Copy {
    /// No rows.
    const EMPTY: Self;
    /// These rows and then one more, given as an aggregate of its own.
    fn append(self, row: Self) -> Self;
    /// One more row, given as an aggregate of its own, and then these.
    fn prepend(self, row: Self) -> Self;
    /// These rows and then others; neither is empty.
    fn join(self, later: Self) -> Self;
}

impl Aggregate for Moments {
    const EMPTY: Self = Self::EMPTY;

    #[inline(always)]
    fn append(self, row: Self) -> Self {
        self.with_row(row.weight, row.mean)
    }

    #[inline(always)]
    fn prepend(self, row: Self) -> Self {
        self.with_row(row.weight, row.mean)
    }

    #[inline(always)]
    fn join(self, later: Self) -> Self {
        self.merge(later)
    }
}

/// Aggregates the last `n` rows.
///
/// Rows fall into blocks of `n`. A window is the tail of the block before, whose aggregates were
/// made backwards when that block ended, and the head of the current block: no row is ever taken
/// out again, so rounding cannot pile up however long the series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SavedWindow<A>")]
pub(crate) struct RollingWindow<A> {
    /// Before `position` the current block's rows; from there on, tails of the block before.
    slots: Vec<A>,
    head: A,
    position: usize,
    has_tail: bool,
}

/// What is written of a [`RollingWindow`].
#[derive(Deserialize)]
struct SavedWindow<A> {
    slots: Vec<A>,
    head: A,
    position: usize,
    has_tail: bool,
}

impl<A> TryFrom<SavedWindow<A>> for RollingWindow<A> {
    type Error = Error;

    fn try_from(saved: SavedWindow<A>) -> Result<Self> {
        let SavedWindow { slots, head, position, has_tail } = saved;
        if position < slots.len() && slots.len() <= MAX_WINDOW {
            return Ok(Self { slots, head, position, has_tail });
        }
        Err(Error::artifact("a rolling window whose position is outside it"))
    }
}

impl<A: Aggregate> RollingWindow<A> {
    /// - `window`: >= 1
    pub(crate) fn new(window: usize) -> Self {
        Self { slots: vec![A::EMPTY; window.max(1)], head: A::EMPTY, position: 0, has_tail: false }
    }

    /// How many rows it spans.
    pub(crate) fn length(&self) -> usize {
        self.slots.len()
    }

    /// Takes a row; the last `n` rows once there are so many.
    #[inline]
    pub(crate) fn push(&mut self, row: A) -> Option<A> {
        self.head = self.head.append(row);
        if let Some(slot) = self.slots.get_mut(self.position) {
            *slot = row;
        }
        self.position += 1;
        match self.slots.get(self.position) {
            Some(tail) if self.has_tail => Some(tail.join(self.head)),
            Some(_) => None,
            None => Some(self.end_block()),
        }
    }

    fn end_block(&mut self) -> A {
        let mut tail = A::EMPTY;
        for slot in self.slots.iter_mut().rev() {
            tail = tail.prepend(*slot);
            *slot = tail;
        }
        self.position = 0;
        self.has_tail = true;
        std::mem::replace(&mut self.head, A::EMPTY)
    }
}

/// Rows in a block of a [`GrowingWindow`].
pub(crate) const GROWING_BLOCK: usize = 1024;

/// Aggregates all rows since the start, block by block: 10⁷ rows cost 10⁴ roundings of the total
/// instead of 10⁷.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SavedGrowing")]
pub(crate) struct GrowingWindow {
    pub(crate) total: Moments,
    pub(crate) head: Moments,
    pub(crate) position: usize,
}

/// What is written of a [`GrowingWindow`].
#[derive(Deserialize)]
struct SavedGrowing {
    total: Moments,
    head: Moments,
    position: usize,
}

impl TryFrom<SavedGrowing> for GrowingWindow {
    type Error = Error;

    fn try_from(SavedGrowing { total, head, position }: SavedGrowing) -> Result<Self> {
        if position < GROWING_BLOCK {
            return Ok(Self { total, head, position });
        }
        Err(Error::artifact("a growing window whose position is outside its block"))
    }
}

impl GrowingWindow {
    pub(crate) const EMPTY: Self =
        Self { total: Moments::EMPTY, head: Moments::EMPTY, position: 0 };

    /// Takes a row; all rows so far.
    #[inline]
    pub(crate) fn push(&mut self, weight: f64, value: f64) -> Moments {
        self.head = self.head.with_row(weight, value);
        let all = self.total.merge(self.head);
        self.advance(1);
        all
    }

    /// Counts `rows` that went into the head, at most to the end of the block.
    #[inline]
    pub(crate) fn advance(&mut self, rows: usize) {
        self.position += rows;
        if self.position >= GROWING_BLOCK {
            self.total = self.total.merge(self.head);
            self.head = Moments::EMPTY;
            self.position = 0;
        }
    }
}

/// Hands every value back `n` rows later.
#[derive(Debug, Clone)]
pub(crate) struct DelayLine {
    values: Vec<f64>,
    position: usize,
}

impl DelayLine {
    /// - `delay`: >= 1
    pub(crate) fn new(delay: usize) -> Self {
        Self { values: vec![f64::NAN; delay.max(1)], position: 0 }
    }

    /// Takes a value; the one `n` rows ago, NaN before there is one.
    #[inline]
    pub(crate) fn push(&mut self, value: f64) -> f64 {
        let delayed = self
            .values
            .get_mut(self.position)
            .map_or(f64::NAN, |slot| std::mem::replace(slot, value));
        self.position += 1;
        if self.position >= self.values.len() {
            self.position = 0;
        }
        delayed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_every_length_equal_the_sum_over_their_rows() {
        let value = |i: usize| ((i * 37) % 11) as f64;
        for window in 1..8 {
            let mut rolling = RollingWindow::new(window);
            for i in 0..40 {
                let got = rolling.push(Moments::row(1.0, value(i)));
                assert_eq!(got.is_some(), i + 1 >= window, "window {window}, row {i}");
                let Some(got) = got else { continue };
                let mean = (i + 1 - window..=i).map(value).sum::<f64>() / window as f64;
                assert_eq!(got.weight, window as f64);
                assert!((got.mean - mean).abs() < 1e-13, "window {window}, row {i}");
            }
        }
    }

    #[test]
    fn a_delay_line_gives_nan_first_and_then_the_past() {
        let mut line = DelayLine::new(3);
        let seen: Vec<f64> = (0..7).map(|i| line.push(f64::from(i))).collect();
        assert!(seen[..3].iter().all(|v| v.is_nan()));
        assert_eq!(seen[3..], [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn lengths_out_of_range_are_refused() {
        assert!(check_window("window", 1, 1).is_ok());
        assert!(check_window("window", MAX_WINDOW, 1).is_ok());
        let text = |window, least| check_window("window", window, least).unwrap_err().to_string();
        assert_eq!(text(1, 2), "parameter `window` must be >= 2, got 1");
        assert_eq!(text(MAX_WINDOW + 1, 1), "parameter `window` must be <= 1048576, got 1048577");
    }
}
