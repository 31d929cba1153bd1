use forecastle_core::{
    Artifact, CandleSeries, Error, FeatureTable, Fingerprint, Predict, Result, Symbol, Timeframe,
    Timestamp,
};
use forecastle_ensemble::{MetaModel, Stacking};
use forecastle_features::global_vwap;
use forecastle_market_data::is_simulated;
use serde::{Deserialize, Serialize};

use crate::learned::{Learned, Memory, Predictions, judged};
use crate::quantiles::QuantileBand;
use crate::screen::told_rows;
use crate::{ForecastRow, Pipeline, PipelineConfig, Record, Report, RunInfo, SkippedModel};

const KIND: &str = "pipeline";
const VERSION: u32 = 3;
/// The guards' column.
pub(crate) const GUARD: &str = "guard";

/// Turns candles into the final table, with models that are fitted and frozen.
///
/// Made by [`Pipeline::fit`]. Rows that the models have learnt from show what models fitted on
/// earlier rows alone had forecast (out of fold), or nothing; rows from the last fitted candle on
/// show the models fitted on everything. So no row knows anything after itself, and cutting the
/// candles off at any row changes nothing before the cut.
#[derive(Debug)]
pub struct FittedPipeline {
    pipeline: Pipeline,
    symbol: Symbol,
    timeframe: Timeframe,
    /// The candles of the fit.
    data: Fingerprint,
    learned: Option<Learned>,
    skipped: Vec<SkippedModel>,
}

impl FittedPipeline {
    pub(crate) fn new(
        pipeline: Pipeline,
        candles: &CandleSeries,
        learned: Option<Learned>,
        skipped: Vec<SkippedModel>,
    ) -> Self {
        Self {
            pipeline,
            symbol: candles.symbol().clone(),
            timeframe: candles.timeframe(),
            data: Fingerprint::of(candles.view()),
            learned,
            skipped,
        }
    }

    /// The settings.
    pub fn config(&self) -> &PipelineConfig {
        self.pipeline.config()
    }

    /// Open time of the last candle that the models know.
    pub fn fitted_until(&self) -> Option<Timestamp> {
        self.data.last_open_time()
    }

    /// Which candles the models were fitted on.
    pub fn data(&self) -> &Fingerprint {
        &self.data
    }

    /// The market.
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// How long each candle lasts.
    pub fn timeframe(&self) -> Timeframe {
        self.timeframe
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    pub(crate) fn learned(&self) -> Option<&Learned> {
        self.learned.as_ref()
    }

    /// Makes the final table of the candles: those of the fit, later ones, or both.
    ///
    /// Give the history along: indicators and the Kalman filter start at the first row given.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when symbol or timeframe are not those of the fit.
    pub fn run(&self, candles: &CandleSeries) -> Result<Report> {
        self.check_market(candles)?;
        let structure = self.pipeline.structure().clone();
        let indicators = structure.indicators(candles.view())?;
        let (forecasts, guards) = match &self.learned {
            Some(learned) => self.pipeline.install(|| self.forecasts(candles, learned))?,
            None => Default::default(),
        };
        let mut run = self.run_info(candles);
        if let Some(reason) = guards.last().and_then(Option::as_ref) {
            run.warnings.push(format!("the last signal is held: {reason}"));
        }
        Ok(Report { run, candles: candles.clone(), structure, indicators, forecasts, guards })
    }

    pub(crate) fn check_market(&self, candles: &CandleSeries) -> Result<()> {
        for (name, fitted, given) in [
            ("symbol", self.symbol.to_string(), candles.symbol().to_string()),
            ("timeframe", self.timeframe.to_string(), candles.timeframe().to_string()),
        ] {
            if fitted != given {
                return Err(Error::invalid_parameter(name, format!("the fit's {fitted}"), given));
            }
        }
        Ok(())
    }

    /// The fitted models, in the configuration's order; none where nothing was learnt.
    pub(crate) fn bases(&self) -> &[Box<dyn Predict>] {
        self.learned.as_ref().map_or(&[], |learned| learned.stacking.bases())
    }

    /// The features that models read.
    pub(crate) fn features(&self, candles: &CandleSeries) -> Result<FeatureTable> {
        self.check_market(candles)?;
        Ok(self.pipeline.inputs(candles.view())?.features)
    }

    /// The forecast of every row, and why its signal is held.
    fn forecasts(
        &self,
        candles: &CandleSeries,
        learned: &Learned,
    ) -> Result<(Vec<ForecastRow>, Vec<Option<String>>)> {
        let view = candles.view();
        let config = self.config();
        let Learned { stacking, quantiles, memory } = learned;
        let live = match self.fitted_until() {
            Some(until) => view.open_time().partition_point(|&time| time < until),
            None => 0,
        };
        let mut rows = vec![ForecastRow::default(); view.len()];
        let mut holds: Vec<Option<String>> = vec![None; view.len()];
        let past = rows.iter_mut().zip(&mut holds).zip(view.open_time()).zip(view.close());
        for (((row, hold), time), close) in past.take(live) {
            if let Some(known) = memory.known(*time, *close) {
                *row = known.forecast;
                hold.clone_from(&known.guard);
            }
        }
        if live == view.len() {
            return Ok((rows, holds));
        }
        let inputs = self.pipeline.inputs(view)?;
        let volatility = self.pipeline.volatility(view)?;
        let tables: Vec<_> = config.models.iter().map(|&kind| inputs.of(kind)).collect();
        let bases = stacking.predict_bases(&tables)?;
        let quantiles = quantiles.as_ref().map(|q| q.predict(&inputs.features)).transpose()?;
        let predictions = Predictions { ensemble: stacking.combine(&bases)?, bases, quantiles };
        let (mut judge, mut guards) = (memory.judge.clone(), memory.guards.clone());
        judge.resume(&view.open_time()[..live], &view.close()[..live]);
        for (t, (row, hold)) in rows.iter_mut().zip(&mut holds).enumerate().skip(live) {
            let bar = (view.open_time()[t], view.close()[t], volatility[t]);
            let (bar, bases) = predictions.bar(t, bar);
            let (forecast, _, outcome) = judged(config, &mut judge, &bar, &bases);
            *row = forecast;
            let error = outcome.and_then(|outcome| outcome.error);
            *hold = guards.step(&inputs.features, t, error)?;
        }
        Ok((rows, holds))
    }

    fn run_info(&self, candles: &CandleSeries) -> RunInfo {
        let view = candles.view();
        let config = self.config();
        let global = global_vwap(view);
        let learned = self.learned.as_ref();
        let mut skipped = self.skipped.clone();
        for &column in ForecastRow::COLUMNS {
            let asked = config.models.iter().any(|kind| kind.as_str() == column);
            if !asked && !column.starts_with("ensemble") {
                skipped.push(SkippedModel { model: column.into(), reason: "not asked for".into() });
            }
        }
        let unguarded = |reason: &str| SkippedModel { model: GUARD.into(), reason: reason.into() };
        match learned {
            Some(_) if !config.guards.enabled => skipped.push(unguarded("switched off")),
            Some(learned) => {
                let missing = &learned.memory.missing_guards;
                skipped.extend(missing.iter().map(|reason| unguarded(reason)));
            }
            None if config.models.is_empty() => {
                skipped.push(unguarded("no model, so nothing was learnt"));
            }
            // The fit has said why nothing was learnt.
            None => {}
        }
        let mut info = RunInfo {
            version: env!("CARGO_PKG_VERSION"),
            symbol: candles.symbol().clone(),
            timeframe: candles.timeframe(),
            source: None,
            simulated: is_simulated(candles.symbol()),
            rows: view.len(),
            first_open_time: view.open_time().first().copied(),
            last_open_time: view.open_time().last().copied(),
            fitted_until: self.fitted_until(),
            horizon: config.horizon,
            vwap: config.vwap,
            target: config.target,
            seed: config.seed,
            input: None,
            global_vwap: global.map(|g| g.vwap),
            global_vwap_sigma: global.map(|g| g.sigma),
            models: learned.map_or_else(Vec::new, |l| l.memory.models.clone()),
            naive_weight: learned.map(|l| l.stacking.naive_weight()),
            interval: learned.and_then(|l| l.memory.track_record.interval),
            reliability: learned
                .and_then(|l| l.memory.track_record.reliability.as_ref())
                .map_or_else(Vec::new, told_rows),
            explanation: None,
            skipped,
            warnings: Vec::new(),
        };
        info.warnings = info.find_warnings();
        info
    }

    /// Saves everything needed to [`run`](Self::run): settings, models, weights, past forecasts.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when a model cannot be written.
    pub fn save(&self) -> Result<Artifact> {
        let mut names = Vec::new();
        let learned = match &self.learned {
            None => None,
            Some(learned) => {
                let mut models = Vec::new();
                for base in learned.stacking.bases() {
                    models.push(base.save()?.to_bytes()?);
                    names.extend_from_slice(base.feature_names());
                }
                let meta = learned.stacking.meta().clone();
                let quantiles = learned.quantiles.as_ref().map(QuantileBand::save).transpose()?;
                Some(SavedLearned { models, quantiles, meta, memory: learned.memory.clone() })
            }
        };
        let saved = Saved {
            config: self.config().to_toml()?,
            symbol: self.symbol.clone(),
            timeframe: self.timeframe,
            data: self.data,
            learned,
            skipped: self.skipped.clone(),
        };
        Artifact::encode(KIND, VERSION, &names, &saved)
    }

    /// Loads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when the artifact is of another kind or version or malformed.
    pub fn load(artifact: &Artifact) -> Result<Self> {
        let saved: Saved = artifact.decode(KIND, VERSION)?;
        let pipeline = Pipeline::new(PipelineConfig::from_toml(&saved.config)?)?;
        let config = pipeline.config();
        let learned = match saved.learned {
            None => None,
            Some(SavedLearned { models, quantiles, meta, memory }) => {
                if models.len() != config.models.len() {
                    return Err(Error::artifact("it holds another number of models than it names"));
                }
                let mut bases: Vec<Box<dyn Predict>> = Vec::new();
                for (kind, bytes) in config.models.iter().zip(&models) {
                    bases.push(kind.load(&Artifact::from_bytes(bytes)?, config)?);
                }
                let quantiles = quantiles.map(|q| QuantileBand::load(&q)).transpose()?;
                memory.check(config, quantiles.is_some())?;
                Some(Learned { stacking: Stacking::from_parts(meta, bases)?, quantiles, memory })
            }
        };
        Ok(Self {
            symbol: saved.symbol,
            timeframe: saved.timeframe,
            data: saved.data,
            skipped: saved.skipped,
            learned,
            pipeline,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Saved {
    config: String,
    symbol: Symbol,
    timeframe: Timeframe,
    data: Fingerprint,
    learned: Option<SavedLearned>,
    skipped: Vec<SkippedModel>,
}

#[derive(Serialize, Deserialize)]
struct SavedLearned {
    models: Vec<Vec<u8>>,
    quantiles: Option<Vec<Vec<u8>>>,
    meta: MetaModel,
    memory: Memory,
}
