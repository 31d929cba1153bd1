use std::sync::atomic::{AtomicU64, Ordering};

use forecastle_core::{
    CandleSeries, Progress, ProgressEvent, Quiet, Result, Split, Target, WalkForward,
};
use forecastle_evaluation::Leaderboard;
use ndarray::{Array1, s};
use rayon::prelude::*;

use crate::skill::ENSEMBLE;
use crate::{Cell, FittedPipeline, Pipeline, Record, TableRow};

/// The rule-based forecast's name among the models.
const RULES: &str = "rules";

impl Pipeline {
    /// Judges the whole pipeline by walking forward: it is fitted on the first half of the candles,
    /// forecasts the block that follows, is refitted on everything up to there, and so on.
    ///
    /// Each refit sees nothing but candles before its block: models, weights, scalers, everything.
    /// The leaderboard holds naive, the rule-based forecast (`rules`, the blended target), every
    /// model and the ensemble, on the same rows.
    ///
    /// # Errors
    /// - [`Error::NotEnoughData`](crate::Error::NotEnoughData) when the first half is too short to learn from.
    /// - [`Error::Cancelled`](crate::Error::Cancelled) when `progress` asks to stop.
    /// - As [`fit`](Self::fit).
    pub fn leaderboard(
        &self,
        candles: &CandleSeries,
        n_refits: usize,
        progress: &dyn Progress,
    ) -> Result<Leaderboard> {
        let view = candles.view();
        let n = view.len();
        let horizon = self.config().horizon;
        // A refit on candles 0..s knows labels up to candle s − 1 alone: nothing else to purge.
        let walk = WalkForward { n_folds: n_refits, horizon: 0, ..WalkForward::default() };
        let splits = walk.split(0..n)?;
        let done = AtomicU64::new(0);
        let judge = |split: &Split| -> Result<Vec<TableRow>> {
            let known = candles.slice(0..split.test.start);
            let learned = self.learn(&known, &Quiet(progress))?;
            let fitted = FittedPipeline::new(self.clone(), &known, learned, Vec::new());
            let report = fitted.run(&candles.slice(0..split.test.end))?;
            let rows = split.test.clone().filter_map(|t| report.row(t)).collect();
            let count = done.fetch_add(1, Ordering::Relaxed) + 1;
            let total = Some(splits.len() as u64);
            progress.update(&ProgressEvent::new("walk forward", count, total));
            Ok(rows)
        };
        let blocks: Vec<Result<Vec<TableRow>>> =
            self.install(|| splits.par_iter().with_max_len(1).map(judge).collect());

        let mut names = vec![RULES];
        names.extend(self.config().models.iter().map(|kind| kind.as_str()));
        if !self.config().models.is_empty() {
            names.push(ENSEMBLE);
        }
        let mut predicted = vec![Array1::from_elem(n, f64::NAN); names.len()];
        for (split, block) in splits.iter().zip(blocks) {
            for (t, row) in split.test.clone().zip(block?) {
                let close = row.structure.candle.close();
                let mut put = |name: &str, price: f64| {
                    if let Some(i) = names.iter().position(|n| *n == name) {
                        predicted[i][t] = (price / close).ln();
                    }
                };
                row.forecast.visit(&mut |name, cell| {
                    if let Cell::Float(price) = cell {
                        put(name, price);
                    }
                });
                if let Some(price) = row.structure.rules.blended_target.filter(|p| *p > 0.0) {
                    put(RULES, price);
                }
            }
        }
        let actual = Target::LogReturn.labels(view.close(), horizon);
        let first = splits.first().map_or(0, |split| split.test.start);
        let before = actual.slice(s![..first.saturating_sub(horizon)]);
        let mut board = Leaderboard::new(horizon, &actual)?.with_training(&before)?;
        for (name, values) in names.iter().zip(&predicted) {
            board.add(*name, values)?;
        }
        Ok(board)
    }
}
