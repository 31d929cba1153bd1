use std::collections::VecDeque;

use crate::conformal::left_outside;
use crate::order_statistics::OrderStatistics;

/// The newest scores in order of arrival and of size.
#[derive(Debug, Clone)]
pub(crate) struct RollingScores {
    window: usize,
    recent: VecDeque<f64>,
    sorted: OrderStatistics,
}

/// The score up to which labels are inside at a miss level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reach {
    /// An order statistic.
    At(f64),
    /// The level asks for more than the largest score, which is given.
    Beyond(f64),
    /// The level asks for less than the smallest score, which is given.
    Under(f64),
}

impl RollingScores {
    pub(crate) fn new(window: Option<usize>) -> Self {
        Self {
            window: window.unwrap_or(usize::MAX),
            recent: VecDeque::new(),
            sorted: OrderStatistics::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.recent.len()
    }

    pub(crate) fn recent(&self) -> &VecDeque<f64> {
        &self.recent
    }

    pub(crate) fn push(&mut self, score: f64) {
        // One zero, so that the order of numbers is the order of their bits.
        let score = score + 0.0;
        while self.recent.len() >= self.window.max(1) {
            let Some(oldest) = self.recent.pop_front() else {
                break;
            };
            self.sorted.remove(oldest);
        }
        self.recent.push_back(score);
        self.sorted.insert(score);
    }

    /// The `⌈(n + 1)(1 − level)⌉`-th smallest score, or the nearest there is; `None` without scores.
    pub(crate) fn reach(&self, level: f64) -> Option<Reach> {
        let n = self.len();
        let last = n.checked_sub(1)?;
        let outside = left_outside(n, level);
        if outside < 1.0 {
            self.sorted.select(last).map(Reach::Beyond)
        } else if outside > n as f64 {
            self.sorted.select(0).map(Reach::Under)
        } else {
            self.sorted.select(n - outside as usize).map(Reach::At)
        }
    }

    /// How many scores are smaller than a number, and how many not larger.
    pub(crate) fn around(&self, value: f64) -> (usize, usize) {
        (self.sorted.below(value), self.sorted.below(value.next_up()))
    }

    /// The level from which on a label of this score is outside (`β` of Gibbs and Candès): with `m`
    /// of `n` scores below it, `(n + 1 − m) / (n + 1)`.
    pub(crate) fn turning_level(&self, score: f64) -> f64 {
        let all = self.len() as f64 + 1.0;
        (all - self.sorted.below(score) as f64) / all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prop_a_label_is_outside_from_its_turning_level_on(
            scores in prop::collection::vec(-20_i32..20, 1..60), score in -25_i32..25,
            level in 0.0_f64..1.0, window in 1_usize..80,
        ) {
            let mut rolling = RollingScores::new(Some(window));
            for s in &scores {
                rolling.push(f64::from(*s));
            }
            prop_assert_eq!(rolling.len(), scores.len().min(window));
            let score = f64::from(score);
            let turn = rolling.turning_level(score);
            prop_assume!((turn - level).abs() > 1e-7);
            let inside = match rolling.reach(level).unwrap() {
                Reach::At(reach) => score <= reach,
                Reach::Beyond(_) => true,
                Reach::Under(_) => false,
            };
            prop_assert_eq!(inside, level < turn);
        }
    }
}
