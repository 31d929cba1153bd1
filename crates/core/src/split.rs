use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, Rows};

/// Pairs the rows to learn from with the block to be judged on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Rows to learn from.
    pub train: Rows,
    /// Consecutive rows to predict.
    pub test: Range<usize>,
}

/// Says which past a walk-forward fold learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainWindow {
    /// Everything before the fold.
    #[default]
    Expanding,
    /// The last so many rows before it.
    Rolling(usize),
}

/// Splits rows in time: learn from the past, judge on the block that follows, move on.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `n_folds` | 5 | blocks to judge | ≥ 1 |
/// | `initial_train` | half of the rows | rows before the first block | ≥ 1 |
/// | `window` | expanding | which past to learn from | rolling ≥ 1 |
/// | `horizon` | 1 | bars a label reaches ahead: the last so many rows before a block are purged | ≥ 0 |
/// | `embargo` | 0 | further rows left out before a block | ≥ 0 |
///
/// # References
/// M. López de Prado, *Advances in Financial Machine Learning*, 2018, chapter 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WalkForward {
    /// Blocks to judge.
    pub n_folds: usize,
    /// Rows before the first block; `None` is half of the rows.
    pub initial_train: Option<usize>,
    /// Which past to learn from.
    pub window: TrainWindow,
    /// Bars a label reaches ahead.
    pub horizon: usize,
    /// Further rows left out before a block.
    pub embargo: usize,
}

impl Default for WalkForward {
    fn default() -> Self {
        Self {
            n_folds: 5,
            initial_train: None,
            window: TrainWindow::Expanding,
            horizon: 1,
            embargo: 0,
        }
    }
}

impl WalkForward {
    /// Splits the given rows; the blocks follow each other without a gap and end with the last row.
    /// Their lengths differ by at most one, the longer ones first.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range.
    /// - [`Error::NotEnoughData`] when a fold would have nothing to learn from or to judge.
    pub fn split(&self, rows: Range<usize>) -> Result<Vec<Split>> {
        let needed = |n: usize| Error::not_enough_data("walk-forward split", n, rows.len());
        if self.n_folds == 0 {
            return Err(Error::invalid_parameter("n_folds", ">= 1", 0));
        }
        if self.window == TrainWindow::Rolling(0) {
            return Err(Error::invalid_parameter("window", "rolling over >= 1 rows", 0));
        }
        let initial = self.initial_train.unwrap_or(rows.len() / 2);
        let gap = self.horizon.saturating_add(self.embargo);
        if initial <= gap {
            return Err(match self.initial_train {
                Some(n) => Error::invalid_parameter(
                    "initial_train",
                    format!("> {gap} (horizon + embargo)"),
                    n,
                ),
                None => needed(gap.saturating_add(1).saturating_mul(2)),
            });
        }
        if rows.len() < initial.saturating_add(self.n_folds) {
            return Err(needed(initial.saturating_add(self.n_folds)));
        }
        let judged = rows.start + initial..rows.end;
        let split = |test: Range<usize>| {
            let end = test.start - gap;
            let start = match self.window {
                TrainWindow::Expanding => rows.start,
                TrainWindow::Rolling(n) => end.saturating_sub(n).max(rows.start),
            };
            Split { train: Rows::from(start..end), test }
        };
        Ok(blocks(judged, self.n_folds).map(split).collect())
    }
}

/// Splits rows into k blocks, each judged by a model that learnt from all the others.
///
/// Training rows whose labels overlap the block's labels are purged on both sides (`horizon`), and
/// `embargo` further rows after the block are left out. The model of an early block has seen later
/// rows: use it to choose settings, never to claim skill; [`WalkForward`] is for that.
///
/// # References
/// M. López de Prado, *Advances in Financial Machine Learning*, 2018, section 7.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PurgedKFold {
    /// Number of blocks, at least 2.
    pub n_folds: usize,
    /// Bars a label reaches ahead.
    pub horizon: usize,
    /// Further rows left out after a block.
    pub embargo: usize,
}

impl Default for PurgedKFold {
    fn default() -> Self {
        Self { n_folds: 5, horizon: 1, embargo: 0 }
    }
}

impl PurgedKFold {
    /// Splits the given rows.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `n_folds` is below 2.
    /// - [`Error::NotEnoughData`] when a fold would have nothing to learn from or to judge.
    pub fn split(&self, rows: Range<usize>) -> Result<Vec<Split>> {
        if self.n_folds < 2 {
            return Err(Error::invalid_parameter("n_folds", ">= 2", self.n_folds));
        }
        let split = |test: Range<usize>| {
            let head = rows.start..test.start.saturating_sub(self.horizon).max(rows.start);
            let resume = test.end.saturating_add(self.horizon).saturating_add(self.embargo);
            let train = Rows::new([head, resume.min(rows.end)..rows.end])?;
            Ok(Split { train, test })
        };
        let splits: Vec<Split> =
            blocks(rows.clone(), self.n_folds).map(split).collect::<Result<_>>()?;
        if splits.iter().any(|s| s.train.is_empty() || s.test.is_empty()) {
            let gap = self.horizon.saturating_mul(2).saturating_add(self.embargo);
            let needed = self.n_folds.saturating_mul(gap.saturating_add(1));
            return Err(Error::not_enough_data("purged k-fold split", needed, rows.len()));
        }
        Ok(splits)
    }
}

/// Consecutive blocks whose lengths differ by at most one, the longer ones first.
fn blocks(rows: Range<usize>, n: usize) -> impl Iterator<Item = Range<usize>> {
    let (length, longer) = (rows.len() / n, rows.len() % n);
    (0..n).map(move |i| {
        let start = rows.start + i * length + i.min(longer);
        start..start + length + usize::from(i < longer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn walk_forward_purges_horizon_and_embargo() {
        let splitter = WalkForward {
            n_folds: 2,
            initial_train: Some(10),
            horizon: 3,
            embargo: 2,
            ..Default::default()
        };
        let splits = splitter.split(100..115).unwrap();
        assert_eq!(splits[0], Split { train: Rows::from(100..105), test: 110..113 });
        assert_eq!(splits[1], Split { train: Rows::from(100..108), test: 113..115 });
        let rolling = WalkForward { window: TrainWindow::Rolling(4), ..splitter };
        assert_eq!(rolling.split(100..115).unwrap()[1].train, Rows::from(104..108));
    }

    #[test]
    fn too_few_rows_say_how_many_are_needed() {
        let splitter = WalkForward { initial_train: Some(10), ..Default::default() };
        let error = splitter.split(0..12).unwrap_err();
        assert_eq!(error.to_string(), "walk-forward split needs at least 15 rows, got 12");
        assert!(WalkForward::default().split(0..2).is_err());
        assert!(WalkForward::default().split(0..0).is_err());
        assert!(PurgedKFold::default().split(0..4).is_err());
        assert!(WalkForward { n_folds: 0, ..Default::default() }.split(0..9).is_err());
    }

    proptest! {
        #[test]
        fn prop_no_training_label_reaches_a_test_row(
            n in 20_usize..300, folds in 2_usize..7, horizon in 0_usize..6, embargo in 0_usize..4,
        ) {
            let walk = WalkForward { n_folds: folds, horizon, embargo, ..Default::default() };
            if let Ok(splits) = walk.split(7..7 + n) {
                for split in &splits {
                    prop_assert!(split.train.iter().all(|t| t + horizon + embargo < split.test.start));
                }
                let judged: Vec<usize> = splits.iter().flat_map(|s| s.test.clone()).collect();
                prop_assert_eq!(judged, (7 + n / 2..7 + n).collect::<Vec<_>>());
            }
            let kfold = PurgedKFold { n_folds: folds, horizon, embargo };
            if let Ok(splits) = kfold.split(7..7 + n) {
                for Split { train, test } in &splits {
                    // Label spans [t, t + h] of a training row and of a test row never touch.
                    prop_assert!(train.iter().all(|t| t + horizon < test.start
                        || t >= test.end + horizon + embargo));
                }
                let judged: Vec<usize> = splits.iter().flat_map(|s| s.test.clone()).collect();
                prop_assert_eq!(judged, (7..7 + n).collect::<Vec<_>>());
            }
        }
    }
}
