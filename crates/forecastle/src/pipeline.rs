use std::fmt;
use std::sync::Arc;

use forecastle_core::{
    CandleSeries, CandleView, DynFit, Error, FeatureTable, Predict, Progress, Result, Rows, Target,
    Transform, TransformExt, WalkForward,
};
use forecastle_ensemble::{Base, Stacking, StackingParams};
use forecastle_features::{Atr, LogClose, ModelFeatures};
use ndarray::Array1;
use tracing::debug_span;

use crate::fitted::{FittedPipeline, GUARD};
use crate::judge::scales;
use crate::learned::{Known, Learned};
use crate::models::Inputs;
use crate::quantiles::QuantileBand;
use crate::skill::ENSEMBLE;
use crate::{IntervalMethod, MarketStructure, ModelKind, PipelineConfig, SkippedModel};

/// Labelled rows below which models are skipped: half of them must teach the first fold.
const FEWEST_LABELLED_ROWS: usize = 200;

/// Turns candles into a [`FittedPipeline`].
///
/// ```
/// use forecastle::Pipeline;
/// use forecastle::market_data::{Simulator, SimulatorParams};
///
/// let candles = Simulator::new(SimulatorParams { n: 600, ..Default::default() })?.series()?;
/// let pipeline = Pipeline::builder().horizon(5).seed(7).build()?;
/// let fitted = pipeline.fit(&candles)?;
/// let report = fitted.run(&candles)?;
/// let forecast = report.forecast().expect("600 rows");
/// assert!(forecast.forecast.ensemble.is_some());
/// # Ok::<(), forecastle::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pipeline {
    config: PipelineConfig,
    structure: MarketStructure,
    features: ModelFeatures,
    volatility: Atr,
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl Pipeline {
    /// Starts from the default settings.
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder::default()
    }

    /// Makes a pipeline.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a setting is outside its range.
    /// - [`Error::Component`] when the threads cannot be started.
    pub fn new(config: PipelineConfig) -> Result<Self> {
        config.validate()?;
        let pool = match config.threads {
            None => None,
            Some(n) => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
                Some(Arc::new(pool.map_err(|e| Error::component("thread pool", e))?))
            }
        };
        Ok(Self {
            structure: MarketStructure::new(config.vwap, config.rules.params(config.horizon))?,
            features: ModelFeatures::new(config.vwap)?,
            volatility: Atr::new(14)?,
            config,
            pool,
        })
    }

    /// The settings.
    pub fn config(&self) -> &PipelineConfig {
        &self.config
    }

    /// Market structure and signals alone, without any model.
    pub fn structure(&self) -> &MarketStructure {
        &self.structure
    }

    /// This pipeline on whatever threads it is called from.
    pub(crate) fn on_any_threads(&self) -> Self {
        Self { pool: None, ..self.clone() }
    }

    pub(crate) fn features(&self) -> &ModelFeatures {
        &self.features
    }

    /// Fits every model on the candles.
    ///
    /// With too short a history the models are skipped and the reason is kept for the report; the
    /// rules work all the same.
    ///
    /// # Errors
    /// - [`Error::Numerical`] when a fit diverges.
    /// - [`Error::InvalidParameter`] when a model's parameter is outside its range.
    pub fn fit(&self, candles: &CandleSeries) -> Result<FittedPipeline> {
        self.fit_with(candles, &())
    }

    /// Fits, telling `progress` how far it has come.
    ///
    /// # Errors
    /// - As [`fit`](Self::fit).
    /// - [`Error::Cancelled`] when `progress` asks to stop.
    pub fn fit_with(
        &self,
        candles: &CandleSeries,
        progress: &dyn Progress,
    ) -> Result<FittedPipeline> {
        let mut skipped = vec![];
        let learned = match self.learn(candles, progress) {
            Ok(learned) => learned,
            Err(error) if error.is_not_enough_data() => {
                let reason = error.to_string();
                let skip = |name: &str| SkippedModel { model: name.into(), reason: reason.clone() };
                skipped.extend(self.config.models.iter().map(|kind| skip(kind.as_str())));
                skipped.extend([skip(ENSEMBLE), skip(GUARD)]);
                None
            }
            Err(error) => return Err(error),
        };
        Ok(FittedPipeline::new(self.clone(), candles, learned, skipped))
    }

    /// Fits anew; `start`: models that those which can may start from. Rows too few to learn from are an
    /// error here, as there are models to keep.
    pub(crate) fn refit(
        &self,
        candles: &CandleSeries,
        start: Option<&FittedPipeline>,
        progress: &dyn Progress,
    ) -> Result<FittedPipeline> {
        let start = start.map(FittedPipeline::bases);
        let learned = self.learn_from(candles, start, progress)?;
        Ok(FittedPipeline::new(self.clone(), candles, learned, Vec::new()))
    }

    /// Fits the models; `None` where none were asked for.
    pub(crate) fn learn(
        &self,
        candles: &CandleSeries,
        progress: &dyn Progress,
    ) -> Result<Option<Learned>> {
        self.learn_from(candles, None, progress)
    }

    /// The same; `start`: models that the last fits may start from, in the configuration's order.
    fn learn_from(
        &self,
        candles: &CandleSeries,
        start: Option<&[Box<dyn Predict>]>,
        progress: &dyn Progress,
    ) -> Result<Option<Learned>> {
        if self.config.models.is_empty() {
            return Ok(None);
        }
        let span = debug_span!(
            "fit",
            symbol = %candles.symbol(),
            timeframe = %candles.timeframe(),
            candles = candles.len(),
            warm_start = start.is_some()
        );
        let _entered = span.enter();
        self.install(|| self.learn_here(candles, start, progress)).map(Some)
    }

    fn learn_here(
        &self,
        candles: &CandleSeries,
        start: Option<&[Box<dyn Predict>]>,
        progress: &dyn Progress,
    ) -> Result<Learned> {
        let view = candles.view();
        let horizon = self.config.horizon;
        let ready = self.features.warm_up();
        let end = view.len().saturating_sub(horizon);
        if end.saturating_sub(ready) < FEWEST_LABELLED_ROWS {
            let needed = ready + FEWEST_LABELLED_ROWS + horizon;
            return Err(Error::not_enough_data("the models", needed, view.len()));
        }
        let inputs = self.inputs(view)?;
        let targets = Target::LogReturn.labels(view.close(), horizon);
        let volatility = self.volatility(view)?;
        let labelled = Rows::from(ready..end);
        let folds = self.folds();
        let stacking = self.stack(&inputs, &targets, &labelled, &folds, start, progress)?;
        let quantiles = match self.config.stacking.interval {
            IntervalMethod::Quantiles => Some(QuantileBand::fit(
                &self.config,
                &inputs.features,
                &targets,
                &scales(&volatility),
                &labelled,
                &folds,
                progress,
            )?),
            IntervalMethod::Adaptive | IntervalMethod::Split => None,
        };
        let known = Known { candles, features: &inputs.features, volatility: &volatility };
        Learned::new(&self.config, &known, stacking, quantiles, &targets, &labelled)
    }

    fn folds(&self) -> WalkForward {
        let settings = &self.config.stacking;
        WalkForward {
            n_folds: settings.n_folds,
            initial_train: settings.initial_train,
            window: settings.window,
            horizon: self.config.horizon,
            embargo: settings.embargo,
        }
    }

    fn stack(
        &self,
        inputs: &Inputs,
        targets: &Array1<f64>,
        labelled: &Rows,
        folds: &WalkForward,
        start: Option<&[Box<dyn Predict>]>,
        progress: &dyn Progress,
    ) -> Result<Stacking> {
        let models: Vec<(ModelKind, Box<dyn DynFit>)> =
            self.config.models.iter().map(|&kind| (kind, kind.unfitted(&self.config))).collect();
        let bases: Vec<Base<'_>> = models
            .iter()
            .map(|(kind, model)| Base {
                name: kind.as_str(),
                model: model.as_ref(),
                table: inputs.of(*kind),
            })
            .collect();
        let params = StackingParams { folds: *folds, meta: self.config.stacking.meta };
        let horizon = self.config.horizon;
        let Some(start) = start.filter(|start| start.len() == bases.len()) else {
            return params.fit(&bases, targets, labelled, horizon, progress);
        };
        let start: Vec<&dyn Predict> = start.iter().map(AsRef::as_ref).collect();
        params.fit_from(&bases, targets, labelled, horizon, progress, &start)
    }

    /// The tables that models read.
    pub(crate) fn inputs(&self, candles: CandleView<'_>) -> Result<Inputs> {
        let log_close = LogClose::new().transform(candles)?;
        let features = self.features.transform(candles)?;
        let priced = match self.config.target {
            Target::LogReturn => None,
            Target::Price => Some(leading(&log_close, &features)?),
        };
        Ok(Inputs { features, priced, log_close })
    }

    /// ATR over close, the scale of a row's errors.
    pub(crate) fn volatility(&self, candles: CandleView<'_>) -> Result<Vec<f64>> {
        let atr = self.volatility.transform(candles)?;
        let atr = atr.values().column(0);
        Ok(atr.iter().zip(candles.close()).map(|(atr, close)| atr / close).collect())
    }

    /// Runs on the pipeline's own threads, where a number of them was asked for.
    pub(crate) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

/// A table with another's columns in front.
fn leading(first: &FeatureTable, others: &FeatureTable) -> Result<FeatureTable> {
    let columns: Vec<_> = others.values().columns().into_iter().collect();
    let named: Vec<_> = others.names().iter().cloned().zip(columns.iter().map(|c| &**c)).collect();
    first.with_columns(&named)
}

/// Sets up a [`Pipeline`].
#[derive(Debug, Clone, Default)]
pub struct PipelineBuilder {
    config: PipelineConfig,
}

impl PipelineBuilder {
    /// Starts from other settings.
    pub fn config(self, config: PipelineConfig) -> Self {
        Self { config }
    }

    /// Forecasts so many bars ahead.
    pub fn horizon(mut self, horizon: usize) -> Self {
        self.config.horizon = horizon;
        self
    }

    /// Anchors VWAP.
    pub fn vwap(mut self, anchor: forecastle_features::VwapAnchor) -> Self {
        self.config.vwap = anchor;
        self
    }

    /// Chooses the bases of the ensemble; none: rules alone.
    pub fn models(mut self, models: impl IntoIterator<Item = ModelKind>) -> Self {
        self.config.models = models.into_iter().collect();
        self
    }

    /// Seeds everything random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Uses so many threads; the numbers do not depend on it.
    pub fn threads(mut self, threads: usize) -> Self {
        self.config.threads = Some(threads);
        self
    }

    /// Makes the pipeline.
    ///
    /// # Errors
    /// As [`Pipeline::new`].
    pub fn build(self) -> Result<Pipeline> {
        Pipeline::new(self.config)
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models: Vec<&str> = self.config.models.iter().map(|kind| kind.as_str()).collect();
        write!(f, "horizon {}, VWAP {}, models ", self.config.horizon, self.config.vwap)?;
        f.write_str(if models.is_empty() { "none" } else { "" })?;
        f.write_str(&models.join(", "))
    }
}
