use std::sync::atomic::{AtomicU64, Ordering};

use forecastle_core::{
    CandleSeries, Error, Progress, ProgressEvent, Quiet, Result, Rows, Split, Target, TrainWindow,
    WalkForward,
};
use forecastle_evaluation::{Leaderboard, ReliabilityParams, ReliabilityTable};
use ndarray::{Array1, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::screen::{reliability_text, told_rows};
use crate::skill::ENSEMBLE;
use crate::{Cell, FittedPipeline, IntervalSummary, Pipeline, PipelineConfig, Record, TableRow};

/// The rule-based forecast's name among the models.
const RULES: &str = "rules";

/// Says how often a walk forward refits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refit {
    /// So many times, over blocks of the same length.
    Times(usize),
    /// After every so many bars; the last block may be shorter.
    Every(usize),
}

/// Parametrises [`Pipeline::walk_forward`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `initial_train` | half of the candles | candles known to the first fit | ≥ 1 |
/// | `refit` | 5 times | how often everything is fitted anew | ≥ 1 |
/// | `window` | expanding | which past a fit knows | rolling ≥ 1 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WalkForwardParams {
    /// Candles known to the first fit; `None` is half of them.
    pub initial_train: Option<usize>,
    /// How often everything is fitted anew.
    pub refit: Refit,
    /// Which past a fit knows.
    pub window: TrainWindow,
}

impl Default for WalkForwardParams {
    fn default() -> Self {
        Self { initial_train: None, refit: Refit::Times(5), window: TrainWindow::Expanding }
    }
}

impl WalkForwardParams {
    /// What each fit knows, and the block that it forecasts.
    fn splits(&self, n: usize) -> Result<Vec<Split>> {
        // A fit on candles before a block knows labels before it alone: nothing else to purge.
        let walk = WalkForward {
            n_folds: 1,
            initial_train: Some(self.initial_train.unwrap_or(n / 2)),
            window: self.window,
            horizon: 0,
            embargo: 0,
        };
        match self.refit {
            Refit::Times(n_folds) => WalkForward { n_folds, ..walk }.split(0..n),
            Refit::Every(0) => Err(Error::invalid_parameter("refit", "every >= 1 bars", 0)),
            // Blocks that end where they would with any number of later candles.
            Refit::Every(bars) => {
                let mut splits = Vec::new();
                let first = walk.split(0..n)?.first().map_or(n, |split| split.test.start);
                for start in (first..n).step_by(bars) {
                    let end = start.saturating_add(bars).min(n);
                    let block = WalkForward { initial_train: Some(start), ..walk };
                    splits.extend(block.split(0..end)?);
                }
                Ok(splits)
            }
        }
    }
}

impl Pipeline {
    /// Walks forward: fits on the first candles, forecasts the block that follows, fits anew on what
    /// is known by then, and so on.
    ///
    /// Each fit sees nothing but candles before its block: models, weights, scalers, intervals,
    /// guards, everything. The rows that come out are what the table would have said at each bar.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range.
    /// - [`Error::NotEnoughData`] when the first fit has too few candles to learn from.
    /// - [`Error::Cancelled`] when `progress` asks to stop.
    /// - As [`fit`](Self::fit).
    ///
    /// # Examples
    /// ```
    /// use forecastle::market_data::{Simulator, SimulatorParams};
    /// use forecastle::{ModelKind, Pipeline, Refit, WalkForwardParams};
    ///
    /// let candles = Simulator::new(SimulatorParams { n: 1_000, ..Default::default() })?.series()?;
    /// let pipeline = Pipeline::builder().models([ModelKind::Ridge]).build()?;
    /// let params = WalkForwardParams { refit: Refit::Every(200), ..Default::default() };
    /// let run = pipeline.walk_forward(&candles, &params, &())?;
    /// assert_eq!((run.first_row(), run.rows().len()), (500, 500));
    /// assert_eq!(run.leaderboard()?.rows()?[0].model, "naive");
    /// # Ok::<(), forecastle::Error>(())
    /// ```
    pub fn walk_forward(
        &self,
        candles: &CandleSeries,
        params: &WalkForwardParams,
        progress: &dyn Progress,
    ) -> Result<WalkForwardRun> {
        let splits = params.splits(candles.len())?;
        let done = AtomicU64::new(0);
        let forecast = |split: &Split| -> Result<Vec<TableRow>> {
            let start = first(&split.train);
            let known = candles.slice(start..split.test.start);
            let learned = self.learn(&known, &Quiet(progress))?;
            let fitted = FittedPipeline::new(self.clone(), &known, learned, Vec::new());
            let report = fitted.run(&candles.slice(start..split.test.end))?;
            let rows = split.test.clone().filter_map(|t| report.row(t - start)).collect();
            let count = done.fetch_add(1, Ordering::Relaxed) + 1;
            let total = Some(splits.len() as u64);
            progress.update(&ProgressEvent::new("walk forward", count, total));
            Ok(rows)
        };
        let blocks: Vec<Result<Vec<TableRow>>> =
            self.install(|| splits.par_iter().with_max_len(1).map(forecast).collect());
        let mut rows = Vec::with_capacity(candles.len());
        for block in blocks {
            rows.extend(block?);
        }
        Ok(WalkForwardRun {
            pipeline: self.clone(),
            candles: candles.clone(),
            n_fits: splits.len(),
            rows,
        })
    }

    /// Judges the whole pipeline by [walking forward](Self::walk_forward) over the second half of
    /// the candles.
    ///
    /// # Errors
    /// - As [`walk_forward`](Self::walk_forward).
    pub fn leaderboard(
        &self,
        candles: &CandleSeries,
        n_refits: usize,
        progress: &dyn Progress,
    ) -> Result<Leaderboard> {
        let params = WalkForwardParams { refit: Refit::Times(n_refits), ..Default::default() };
        self.walk_forward(candles, &params, progress)?.leaderboard()
    }
}

fn first(rows: &Rows) -> usize {
    rows.ranges().first().map_or(0, |range| range.start)
}

/// Holds the rows that a pipeline forecast out of sample, walking forward.
#[derive(Debug, Clone)]
pub struct WalkForwardRun {
    pub(crate) pipeline: Pipeline,
    pub(crate) candles: CandleSeries,
    n_fits: usize,
    pub(crate) rows: Vec<TableRow>,
}

impl WalkForwardRun {
    /// All candles, those before the first forecast included.
    pub fn candles(&self) -> &CandleSeries {
        &self.candles
    }

    /// The rows that were forecast, oldest first: the last so many candles.
    pub fn rows(&self) -> &[TableRow] {
        &self.rows
    }

    /// The candle that the first row belongs to.
    pub fn first_row(&self) -> usize {
        self.candles.len() - self.rows.len()
    }

    /// How many times everything was fitted.
    pub fn n_fits(&self) -> usize {
        self.n_fits
    }

    /// The settings of every fit.
    pub fn config(&self) -> &PipelineConfig {
        self.pipeline.config()
    }

    /// The log returns over the horizon that came, one a row; NaN in the last rows.
    pub(crate) fn outcomes(&self) -> Array1<f64> {
        let horizon = self.pipeline.config().horizon;
        let actual = Target::LogReturn.labels(self.candles.view().close(), horizon);
        actual.slice(s![self.first_row()..]).to_owned()
    }

    /// Compares naive, the rule-based forecast (`rules`, the blended target), every model and the
    /// ensemble, on the same rows.
    ///
    /// # Errors
    /// - [`Error::NotEnoughData`] when no row has a label and all forecasts.
    /// - [`Error::Numerical`] when an error overflows.
    pub fn leaderboard(&self) -> Result<Leaderboard> {
        let config = self.pipeline.config();
        let mut names = vec![RULES];
        names.extend(config.models.iter().map(|kind| kind.as_str()));
        if !config.models.is_empty() {
            names.push(ENSEMBLE);
        }
        let mut predicted = vec![Array1::from_elem(self.rows.len(), f64::NAN); names.len()];
        for (t, row) in self.rows.iter().enumerate() {
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
        let closes = self.candles.view().close();
        let actual = Target::LogReturn.labels(closes, config.horizon);
        let before = actual.slice(s![..self.first_row().saturating_sub(config.horizon)]);
        let mut board = Leaderboard::new(config.horizon, &self.outcomes())?;
        if !before.is_empty() {
            board = board.with_training(&before)?;
        }
        for (name, values) in names.iter().zip(&predicted) {
            board.add(*name, values)?;
        }
        Ok(board)
    }

    /// How the ensemble's intervals did; `None` where none was told.
    pub fn interval(&self) -> Option<IntervalSummary> {
        let (mut judged, mut inside, mut told, mut width) = (0_usize, 0_usize, 0_usize, 0.0);
        for (row, outcome) in self.rows.iter().zip(&self.outcomes()) {
            let close = row.structure.candle.close();
            let forecast = &row.forecast;
            let (Some(lower), Some(upper)) = (forecast.ensemble_lower, forecast.ensemble_upper)
            else {
                continue;
            };
            told += 1;
            width += (upper - lower) / close;
            let price = close * outcome.exp();
            if price.is_finite() {
                judged += 1;
                inside += usize::from(lower <= price && price <= upper);
            }
        }
        (judged > 0).then(|| IntervalSummary {
            level: self.config().stacking.interval_level,
            realised_coverage: inside as f64 / judged as f64,
            n: judged,
            mean_width: width / told as f64,
        })
    }

    /// What became of the ensemble's confidence; `None` where it has had no direction to be confident
    /// of. Prices that stayed are left out.
    ///
    /// # Errors
    /// None in practice.
    pub fn reliability(&self) -> Result<Option<ReliabilityTable>> {
        let (mut told, mut right) = (Vec::new(), Vec::new());
        for (row, outcome) in self.rows.iter().zip(&self.outcomes()) {
            let forecast = &row.forecast;
            let (Some(confidence), Some(price)) = (forecast.ensemble_confidence, forecast.ensemble)
            else {
                continue;
            };
            let agreement = (price - row.structure.candle.close()) * outcome;
            if agreement != 0.0 && agreement.is_finite() {
                told.push(confidence);
                right.push(agreement > 0.0);
            }
        }
        if told.is_empty() {
            return Ok(None);
        }
        let params = ReliabilityParams { horizon: self.config().horizon, ..Default::default() };
        ReliabilityTable::new(&Array1::from(told), &right, &params).map(Some)
    }

    /// Share of the rows that a guard held, whatever the rules would have said of them.
    pub fn held(&self) -> f64 {
        let held = self.rows.iter().filter(|row| row.guard.is_some()).count();
        held as f64 / self.rows.len().max(1) as f64
    }

    /// Intervals, confidence and guards over the run, as text for a terminal.
    ///
    /// # Errors
    /// As [`reliability`](Self::reliability).
    pub fn summary_screen(&self) -> Result<String> {
        let mut text = match self.interval() {
            Some(interval) => format!(
                "the {:.0} % interval held {:.1} % of {} rows, mean width {:.2} % of the price\n",
                100.0 * interval.level,
                100.0 * interval.realised_coverage,
                interval.n,
                100.0 * interval.mean_width,
            ),
            None => String::new(),
        };
        text.push_str(&match self.reliability()? {
            Some(table) => reliability_text(&told_rows(&table)),
            None => "no confidence was told: the ensemble repeated the last price\n".to_owned(),
        });
        text.push_str(&format!("guards held {:.1} % of the rows\n", 100.0 * self.held()));
        Ok(text)
    }
}
