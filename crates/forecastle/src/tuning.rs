use std::time::Duration;

use forecastle_core::{
    CandleSeries, Dataset, DynFit, Error, FeatureTable, PredictExt, Progress, Quiet, Result, Split,
    Target, Timestamp, WalkForward,
};
use forecastle_evaluation::{
    DieboldMariano, DmParams, Leaderboard, LeaderboardRow, Point, SearchParams, SearchReport,
    SearchSpace, Trial, TrialLoss, Value, diebold_mariano, relative_rmse,
};
use ndarray::{Array1, ArrayRef1, s};
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{ModelKind, Pipeline, PipelineConfig};

/// Labelled rows below which there is no tuning: a fold would be judged on a handful.
const FEWEST_LABELLED_ROWS: usize = 300;

/// Names of the two settings in [`HeldOut::rows`].
const UNTUNED: &str = "untuned";
const TUNED: &str = "tuned";

/// Sets up [`Pipeline::tune`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `model` | boosting | whose settings are searched | ridge or boosting |
/// | `space` | [`default_space`](Self::default_space) | what is tried; names are settings of the model | |
/// | `search` | TPE, 40 trials, seed 7 | how it is tried | see [`SearchParams`] |
/// | `n_folds` | 5 | walk-forward folds of a trial, over the second half of the rows searched on | ≥ 2 |
/// | `held_out` | 0.2 | share of the labelled rows, the latest, that the search never sees | above 0, ≤ 0.5 |
/// | `refits` | 5 | fits over the rows held out, each on everything before | ≥ 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TuningParams {
    /// Whose settings are searched.
    pub model: ModelKind,
    /// What is tried.
    pub space: Option<SearchSpace>,
    /// How it is tried.
    pub search: SearchParams,
    /// Walk-forward folds of a trial.
    pub n_folds: usize,
    /// Share of the labelled rows that the search never sees.
    pub held_out: f64,
    /// Fits over the rows held out.
    pub refits: usize,
}

impl Default for TuningParams {
    fn default() -> Self {
        Self {
            model: ModelKind::Boosting,
            space: None,
            search: SearchParams::default(),
            n_folds: 5,
            held_out: 0.2,
            refits: 5,
        }
    }
}

impl TuningParams {
    /// The settings that are searched where no space is given, for so many rows to learn from.
    ///
    /// - ridge: `alpha` from a hundredth of the rows to a thousand times as many, `clip` 1 to 20
    /// - boosting: `n_rounds` 20 to 300, `learning_rate` 0.003 to 0.3, `max_depth` 1 to 6,
    ///   `min_child_weight` 5 to a tenth of the rows, `l2` 0.01 to 1000, `subsample` 0.3 to 1,
    ///   `colsample_bytree` 0.2 to 1
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] for other models.
    pub fn default_space(model: ModelKind, n_rows: usize) -> Result<SearchSpace> {
        let rows = n_rows.max(100) as f64;
        match model {
            ModelKind::Ridge => SearchSpace::new()
                .log_real("alpha", 0.01 * rows..=1_000.0 * rows)?
                .log_real("clip", 1.0..=20.0),
            ModelKind::Boosting => SearchSpace::new()
                .log_integer("n_rounds", 20..=300)?
                .log_real("learning_rate", 0.003..=0.3)?
                .integer("max_depth", 1..=6)?
                .log_real("min_child_weight", 5.0..=0.1 * rows)?
                .log_real("l2", 0.01..=1_000.0)?
                .real("subsample", 0.3..=1.0)?
                .real("colsample_bytree", 0.2..=1.0),
            other => Err(Error::invalid_parameter("model", "ridge or boosting", other)),
        }
    }

    fn check(&self) -> Result<()> {
        self.search.check()?;
        if !(2..=1_000).contains(&self.n_folds) {
            return Err(Error::invalid_parameter("n_folds", "between 2 and 1000", self.n_folds));
        }
        if !(self.held_out > 0.0 && self.held_out <= 0.5) {
            return Err(Error::invalid_parameter("held_out", "above 0, <= 0.5", self.held_out));
        }
        if !(1..=1_000).contains(&self.refits) {
            return Err(Error::invalid_parameter("refits", "between 1 and 1000", self.refits));
        }
        Ok(())
    }
}

/// Holds what a search for settings found, and what it is worth on rows it never saw.
///
/// Losses are RMSEs of log returns over those of the naive forecast, averaged over folds: below 1 is
/// better than "the price stays".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tuning {
    /// Whose settings were searched.
    pub model: ModelKind,
    /// What speaks under this name.
    pub engine: String,
    /// The pipeline's settings with the tuned ones in.
    pub config: PipelineConfig,
    /// Every trial; its [luck](SearchReport::luck) and
    /// [number of trials](SearchReport::n_trials) belong to any claim about the best.
    pub search: SearchReport,
    /// What the settings that the pipeline came with lost on the same folds.
    pub untuned: TrialLoss,
    /// Whether no trial lost less than these: then they are the tuned ones too.
    pub kept_untuned: bool,
    /// Both settings beside naive on the latest rows, which the search never saw.
    pub held_out: HeldOut,
}

impl Tuning {
    /// How much less the best trial lost than the untuned settings, in the search: flattered by luck.
    pub fn gain_in_search(&self) -> f64 {
        let best = self.search.best().and_then(Trial::loss);
        best.map_or(0.0, |best| (self.untuned.loss - best).max(0.0))
    }

    /// Standard error of that gain, by its spread over the folds and before any selection; `None`
    /// with fewer than 2 folds.
    pub fn gain_error(&self) -> Option<f64> {
        let best = self.search.best()?.fold_losses();
        let n = best.len() as f64;
        let differences = || self.untuned.fold_losses.iter().zip(best).map(|(a, b)| a - b);
        let mean = differences().sum::<f64>() / n;
        let squares: f64 = differences().map(|d| (d - mean) * (d - mean)).sum();
        (best.len() >= 2).then(|| (squares / (n - 1.0) / n).sqrt())
    }

    /// How much less the tuned settings lost than the untuned ones on the rows held out, by RMSE over
    /// naive's; negative where tuning did harm, `None` when naive never erred.
    pub fn gain_held_out(&self) -> Option<f64> {
        let of = |name: &str| {
            self.held_out.rows.iter().find(|row| row.model == name).and_then(|r| r.relative_rmse)
        };
        Some(of(UNTUNED)? - of(TUNED)?)
    }
}

/// Holds how the settings did on rows that no search had seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HeldOut {
    /// Open time of the first row.
    pub from: Timestamp,
    /// Open time of the last row that has a label.
    pub until: Timestamp,
    /// `naive`, `untuned` and `tuned`.
    pub rows: Vec<LeaderboardRow>,
    /// Whether the tuned settings are better than the untuned ones; negative: better. `None` with
    /// too few rows for the horizon, or when the settings are the same.
    pub tuned_against_untuned: Option<DieboldMariano>,
}

impl Pipeline {
    /// Searches good settings for one model by walking forward, and judges them on rows held out.
    ///
    /// The latest `held_out` of the labelled rows are put aside; rows whose labels reach into them
    /// are purged. A trial fits the model on the past of each fold, purged by the horizon and the
    /// stacking's embargo, and loses the mean of the folds' RMSEs over naive's. Trials follow one
    /// another, folds run in parallel: the numbers do not depend on the number of threads.
    ///
    /// - `elapsed`: time since the start, asked where `search.seconds` is set
    /// - `progress`: hears of every trial in the stage `search`
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range, the model is another
    ///   than ridge and boosting, or the space names what is no setting of it.
    /// - [`Error::NotEnoughData`] with fewer than 300 labelled rows, or too few for the folds.
    /// - [`Error::Numerical`] when the price does not move in a fold, or every trial fails.
    /// - [`Error::Cancelled`] when `progress` asks to stop.
    /// - Whatever a fit with the untuned settings returns.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use forecastle::market_data::{Simulator, SimulatorParams};
    /// use forecastle::{ModelKind, Pipeline, PipelineConfig, TuningParams};
    ///
    /// let candles = Simulator::new(SimulatorParams { n: 900, ..Default::default() })?.series()?;
    /// let params = TuningParams { model: ModelKind::Ridge, ..Default::default() };
    /// let tuning = Pipeline::builder().build()?.tune(&candles, &params, &|| Duration::ZERO, &())?;
    /// assert_eq!(tuning.search.n_trials(), 40);
    /// for row in &tuning.held_out.rows {
    ///     println!("{}: RMSE {:?} of naive", row.model, row.relative_rmse);
    /// }
    /// let file = tuning.config.to_toml()?;
    /// assert_eq!(PipelineConfig::from_toml(&file)?, tuning.config);
    /// # Ok::<(), forecastle::Error>(())
    /// ```
    pub fn tune(
        &self,
        candles: &CandleSeries,
        params: &TuningParams,
        elapsed: &dyn Fn() -> Duration,
        progress: &dyn Progress,
    ) -> Result<Tuning> {
        params.check()?;
        let (view, config) = (candles.view(), self.config());
        let horizon = config.horizon;
        let inputs = self.inputs(view)?;
        let table = inputs.of(params.model);
        let (ready, end) = (table.first_ready_row(), view.len().saturating_sub(horizon));
        let labelled = end.saturating_sub(ready);
        if labelled < FEWEST_LABELLED_ROWS {
            let needed = view.len() + FEWEST_LABELLED_ROWS - labelled;
            return Err(Error::not_enough_data("tuning", needed, view.len()));
        }
        let held_out_rows = (params.held_out * labelled as f64).ceil() as usize;
        let border = end - held_out_rows;
        let walk = WalkForward {
            n_folds: params.n_folds,
            initial_train: None,
            window: config.stacking.window,
            horizon,
            embargo: config.stacking.embargo,
        };
        let folds = walk.split(ready..border.saturating_sub(horizon))?;
        let later =
            WalkForward { n_folds: params.refits, initial_train: Some(border - ready), ..walk }
                .split(ready..end)?;
        let space = match &params.space {
            Some(space) => space.clone(),
            None => TuningParams::default_space(params.model, border - ready)?,
        };
        check_names(config, params.model, &space)?;

        let targets = Target::LogReturn.labels(view.close(), horizon);
        let judge = Judge { table, targets: &targets, horizon, progress: Quiet(progress) };
        let losses = |config: &PipelineConfig| -> Result<TrialLoss> {
            let model = params.model.unfitted(config);
            self.install(|| judge.losses(model.as_ref(), &folds))
        };
        let untuned = losses(config)?;
        let search = params.search.minimize(&space, elapsed, progress, |point| {
            losses(&with_settings(config, params.model, point)?)
        })?;
        let Some(best) = search.best() else {
            let first = search.trials.first().and_then(|trial| trial.outcome.as_ref().err());
            let reason = format!("every trial failed; the first: {}", first.map_or("", |r| r));
            return Err(Error::numerical("tuning", reason));
        };
        let kept_untuned = best.loss().is_none_or(|loss| loss >= untuned.loss);
        let tuned = match kept_untuned {
            true => config.clone(),
            false => with_settings(config, params.model, &best.point)?,
        };

        let predict = |config: &PipelineConfig| -> Result<Array1<f64>> {
            let model = params.model.unfitted(config);
            let blocks = self.install(|| judge.predict(model.as_ref(), &later))?;
            Ok(blocks.into_iter().flatten().collect())
        };
        let actual = targets.slice(s![border..end]).to_owned();
        let before = targets.slice(s![ready..border - horizon]);
        let times = view.open_time();
        let time = |t: usize| times.get(t).copied().unwrap_or(Timestamp::from_millis(0));
        let held_out = HeldOut {
            from: time(border),
            until: time(end - 1),
            ..compare(horizon, &actual, &before, &predict(config)?, &predict(&tuned)?)?
        };
        Ok(Tuning {
            model: params.model,
            engine: params.model.engine(config),
            config: tuned,
            search,
            untuned,
            kept_untuned,
            held_out,
        })
    }
}

/// Fits and judges one model on splits of one table.
#[derive(Debug, Clone, Copy)]
struct Judge<'a> {
    table: &'a FeatureTable,
    targets: &'a Array1<f64>,
    horizon: usize,
    progress: Quiet<'a>,
}

impl Judge<'_> {
    fn losses(&self, model: &dyn DynFit, splits: &[Split]) -> Result<TrialLoss> {
        let predicted = self.predict(model, splits)?;
        let loss = |(split, predicted): (&Split, &Array1<f64>)| -> Result<f64> {
            let actual = self.targets.slice(s![split.test.clone()]);
            let naive = Array1::zeros(actual.len());
            relative_rmse(&actual, predicted, &naive)?
                .ok_or_else(|| Error::numerical("tuning", "the price does not move in a fold"))
        };
        let losses = splits.iter().zip(&predicted).map(loss).collect::<Result<_>>()?;
        Ok(TrialLoss::mean_of(losses))
    }

    /// The forecasts of every split's block, by models that knew its past alone.
    fn predict(&self, model: &dyn DynFit, splits: &[Split]) -> Result<Vec<Array1<f64>>> {
        let block = |split: &Split| -> Result<Array1<f64>> {
            if self.progress.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let dataset =
                Dataset::from_table(self.table, self.targets, &split.train, self.horizon)?;
            let fitted = model.fit_dyn(dataset.with_progress(&self.progress))?;
            // Both models read a row alone.
            fitted.predict(&self.table.values().slice(s![split.test.clone(), ..]))
        };
        let blocks: Vec<Result<_>> = splits.par_iter().with_max_len(1).map(block).collect();
        blocks.into_iter().collect()
    }
}

fn compare(
    horizon: usize,
    actual: &Array1<f64>,
    before: &ArrayRef1<f64>,
    untuned: &Array1<f64>,
    tuned: &Array1<f64>,
) -> Result<HeldOut> {
    let mut board = Leaderboard::new(horizon, actual)?.with_training(before)?;
    board.add(UNTUNED, untuned)?;
    board.add(TUNED, tuned)?;
    let params = DmParams { horizon, ..DmParams::default() };
    let test = diebold_mariano(&(actual - tuned), &(actual - untuned), &params);
    let tuned_against_untuned = match test {
        Ok(test) => Some(test).filter(|_| tuned != untuned),
        Err(error) if error.is_not_enough_data() => None,
        Err(error) => return Err(error),
    };
    let from = Timestamp::from_millis(0);
    Ok(HeldOut { from, until: from, rows: board.rows()?, tuned_against_untuned })
}

/// Refuses a space that names what is no setting of the model.
fn check_names(config: &PipelineConfig, model: ModelKind, space: &SearchSpace) -> Result<()> {
    let section = match model {
        ModelKind::Ridge => serde_json::to_value(config.ridge),
        ModelKind::Boosting => serde_json::to_value(config.boosting),
        other => return Err(Error::invalid_parameter("model", "ridge or boosting", other)),
    };
    let section = section.map_err(|e| Error::component("settings", e))?;
    match space.dimensions().iter().find(|(name, _)| section.get(name).is_none()) {
        None => Ok(()),
        Some((name, _)) => {
            Err(Error::invalid_parameter("space", format!("of settings of {model}"), name))
        }
    }
}

/// The settings with the point's in the model's section.
fn with_settings(
    config: &PipelineConfig,
    model: ModelKind,
    point: &Point,
) -> Result<PipelineConfig> {
    let mut config = config.clone();
    match model {
        ModelKind::Ridge => config.ridge = replaced(&config.ridge, point)?,
        ModelKind::Boosting => config.boosting = replaced(&config.boosting, point)?,
        other => return Err(Error::invalid_parameter("model", "ridge or boosting", other)),
    }
    Ok(config)
}

/// Parameters with the point's values under their names, as a file of settings would have them.
fn replaced<P: Serialize + DeserializeOwned>(params: &P, point: &Point) -> Result<P> {
    let failed = |e: serde_json::Error| Error::component("settings", e);
    let mut section = serde_json::to_value(params).map_err(failed)?;
    for (name, value) in point.settings() {
        if let Some(setting) = section.get_mut(name) {
            *setting = match value {
                Value::Integer(value) => (*value).into(),
                Value::Real(value) => (*value).into(),
                Value::Choice(text) => text.as_str().into(),
            };
        }
    }
    serde_json::from_value(section).map_err(failed)
}
