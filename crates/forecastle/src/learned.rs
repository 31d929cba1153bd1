use forecastle_core::{CandleSeries, Error, FeatureTable, Result, Rows, Timestamp};
use forecastle_ensemble::{MetaModel, Stacking};
use forecastle_evaluation::{ReliabilityParams, ReliabilityTable};
use ndarray::{Array1, Array2, ArrayRef1};
use serde::{Deserialize, Serialize};

use crate::guards::Guards;
use crate::judge::{Bar, Judge, Judgement, Outcome};
use crate::quantiles::QuantileBand;
use crate::skill::summaries;
use crate::{
    ForecastRow, IntervalMethod, IntervalSummary, ModelKind, ModelSummary, PipelineConfig,
};

/// Everything learnt: the stack, what it would have said of past rows, and how far it errs.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(crate) stacking: Stacking,
    pub(crate) quantiles: Option<QuantileBand>,
    pub(crate) memory: Memory,
}

/// What is kept beside the models.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Forecasts of past rows, each by models that knew nothing after it; increasing times.
    pub(crate) history: Vec<PastRow>,
    /// As they stood before the last bar of the fit.
    pub(crate) judge: Judge,
    pub(crate) guards: Guards,
    /// Guards that had too little to learn from.
    pub(crate) missing_guards: Vec<String>,
    pub(crate) track_record: TrackRecord,
    pub(crate) models: Vec<ModelSummary>,
}

impl Memory {
    /// What was forecast of a past bar. Another close at that time is another history, of which
    /// nothing was forecast.
    pub(crate) fn known(&self, open_time: Timestamp, close: f64) -> Option<&PastRow> {
        let found = self.history.binary_search_by_key(&open_time, |past| past.open_time).ok()?;
        self.history.get(found).filter(|past| past.close == close)
    }

    /// Whether what was read from a file belongs together.
    pub(crate) fn check(&self, config: &PipelineConfig, quantiles: bool) -> Result<()> {
        let times = self.history.windows(2).all(|pair| pair[0].open_time < pair[1].open_time);
        let band = quantiles == (config.stacking.interval == IntervalMethod::Quantiles);
        if !(times && band) {
            return Err(Error::artifact("its past forecasts or quantiles do not fit its settings"));
        }
        self.judge.check(config)
    }
}

/// A forecast as it stood when its bar closed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PastRow {
    pub(crate) open_time: Timestamp,
    pub(crate) close: f64,
    pub(crate) forecast: ForecastRow,
    pub(crate) guard: Option<String>,
}

/// How intervals and confidence did on rows that they had not seen.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct TrackRecord {
    pub(crate) interval: Option<IntervalSummary>,
    pub(crate) reliability: Option<ReliabilityTable>,
}

/// What the models say of a table's rows.
#[derive(Debug)]
pub(crate) struct Predictions {
    /// `(n_bars, n_models)`.
    pub(crate) bases: Array2<f64>,
    /// `(n_bars,)`.
    pub(crate) ensemble: Array1<f64>,
    /// `(n_bars, 2)`, in units of the scale.
    pub(crate) quantiles: Option<Array2<f64>>,
}

impl Predictions {
    /// Row `t` as the judge wants it, and the bases' forecasts of it.
    ///
    /// - `bar`: open time, close, ATR over close
    pub(crate) fn bar(
        &self,
        t: usize,
        (open_time, close, volatility): (Timestamp, f64, f64),
    ) -> (Bar, Vec<f64>) {
        let bound = |j: usize| {
            let quantiles = self.quantiles.as_ref();
            quantiles.and_then(|q| q.get([t, j])).copied().unwrap_or(f64::NAN)
        };
        let prediction = self.ensemble.get(t).copied().unwrap_or(f64::NAN);
        let bar = Bar { open_time, close, volatility, prediction, quantiles: [bound(0), bound(1)] };
        let bases = (0..self.bases.ncols())
            .map(|j| self.bases.get([t, j]).copied().unwrap_or(f64::NAN))
            .collect();
        (bar, bases)
    }
}

/// What is known of the candles of a fit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) candles: &'a CandleSeries,
    pub(crate) features: &'a FeatureTable,
    /// ATR over close.
    pub(crate) volatility: &'a [f64],
}

impl Learned {
    /// - `quantiles`: the models and their out-of-fold bounds, `(n_bars, 2)`
    /// - `labelled`: the rows that the models were fitted on
    pub(crate) fn new(
        config: &PipelineConfig,
        known: &Known<'_>,
        stacking: Stacking,
        quantiles: Option<(QuantileBand, Array2<f64>)>,
        targets: &ArrayRef1<f64>,
        labelled: &Rows,
    ) -> Result<Self> {
        let (quantiles, bounds) = quantiles.unzip();
        let meta = stacking.meta();
        let models = summaries(config, meta, targets)?;
        let past = past(config, known, meta, bounds)?;
        let last = known.candles.len().saturating_sub(1);
        let (guards, missing_guards) = past.guards(config, known, labelled, last)?;
        let Past { history, judge, record, .. } = past;
        let track_record = record.finish(config)?;
        let memory = Memory { history, judge, guards, missing_guards, track_record, models };
        Ok(Self { stacking, quantiles, memory })
    }
}

/// The out-of-fold rows, walked in time order.
#[derive(Debug)]
struct Past {
    history: Vec<PastRow>,
    judge: Judge,
    record: Recorder,
    /// Sizes of the ensemble's errors, as they became known.
    errors: Vec<f64>,
}

impl Past {
    /// Guards of models that learnt from the training rows, ready for the row at `first`.
    fn guards(
        &self,
        config: &PipelineConfig,
        known: &Known<'_>,
        training: &Rows,
        first: usize,
    ) -> Result<(Guards, Vec<String>)> {
        let recent = first.saturating_sub(config.guards.stability.window)..first;
        Guards::fit(&config.guards, known.features, training, recent, &self.errors)
    }
}

/// What the ensemble would have said of every out-of-fold row but the last bar, with the models,
/// weights, errors and guards known at its close; how that did; and the judge, ready for the last bar,
/// which belongs to the models that have learnt from everything.
fn past(
    config: &PipelineConfig,
    known: &Known<'_>,
    meta: &MetaModel,
    quantiles: Option<Array2<f64>>,
) -> Result<Past> {
    let view = known.candles.view();
    let table = meta.out_of_fold();
    let predictions = Predictions {
        bases: table.predictions().to_owned(),
        ensemble: meta.sequential(),
        quantiles,
    };
    if table.rows().end > view.len() {
        let expected = format!("rows below {}", view.len());
        return Err(Error::shape("folds", expected, table.rows().end.to_string()));
    }
    let mut past = Past {
        history: Vec::with_capacity(table.rows().len()),
        judge: Judge::new(config)?,
        record: Recorder::default(),
        errors: Vec::new(),
    };
    known.volatility.iter().take(table.rows().start).for_each(|v| past.judge.watch(*v));
    let bars = view.open_time().iter().zip(view.close()).zip(known.volatility).enumerate();
    let last = view.len().saturating_sub(1);
    for fold in table.folds() {
        let (mut guards, _) = past.guards(config, known, &fold.train, fold.test.start)?;
        let block = bars.clone().take(fold.test.end.min(last)).skip(fold.test.start);
        for (t, ((&open_time, &close), &volatility)) in block {
            let (bar, bases) = predictions.bar(t, (open_time, close, volatility));
            let (forecast, judgement, outcome) = judged(config, &mut past.judge, &bar, &bases);
            let error = outcome.and_then(|outcome| outcome.error);
            past.errors.extend(error);
            past.record.take(judgement, outcome);
            let guard = guards.step(known.features, t, error)?;
            past.history.push(PastRow { open_time, close, forecast, guard });
        }
    }
    Ok(past)
}

/// A row's forecast, judged as its bar closes.
///
/// - `bases`: the models' forecasts, in the configuration's order
pub(crate) fn judged(
    config: &PipelineConfig,
    judge: &mut Judge,
    bar: &Bar,
    bases: &[f64],
) -> (ForecastRow, Judgement, Option<Outcome>) {
    let (judgement, outcome) = judge.step(bar);
    let forecast = forecast_row(&config.models, bases, bar.prediction, bar.close, judgement);
    (forecast, judgement, outcome)
}

/// Counts how intervals and confidence do.
#[derive(Debug, Default)]
struct Recorder {
    judged: usize,
    inside: usize,
    intervals: usize,
    width: f64,
    told: Vec<f64>,
    right: Vec<bool>,
}

impl Recorder {
    fn take(&mut self, judgement: Judgement, outcome: Option<Outcome>) {
        if let Some([lower, upper]) = judgement.interval {
            self.intervals += 1;
            self.width += upper.exp() - lower.exp();
        }
        let Some(outcome) = outcome else {
            return;
        };
        if let Some(inside) = outcome.inside {
            self.judged += 1;
            self.inside += usize::from(inside);
        }
        // A price that stayed has no direction to be right about.
        if let Some((told, hit)) = outcome.confidence.filter(|(_, hit)| *hit != 0.5) {
            self.told.push(told);
            self.right.push(hit > 0.5);
        }
    }

    fn finish(self, config: &PipelineConfig) -> Result<TrackRecord> {
        let interval = (self.judged > 0).then(|| IntervalSummary {
            level: config.stacking.interval_level,
            realised_coverage: self.inside as f64 / self.judged as f64,
            n: self.judged,
            mean_width: self.width / self.intervals as f64,
        });
        let params = ReliabilityParams { horizon: config.horizon, ..Default::default() };
        let told = Array1::from(self.told);
        let reliability = match told.is_empty() {
            true => None,
            false => Some(ReliabilityTable::new(&told, &self.right, &params)?),
        };
        Ok(TrackRecord { interval, reliability })
    }
}

fn forecast_row(
    models: &[ModelKind],
    predictions: &[f64],
    ensemble: f64,
    close: f64,
    judgement: Judgement,
) -> ForecastRow {
    let price = |y: f64| Some(close * y.exp()).filter(|p| p.is_finite());
    let of = |kind: ModelKind| {
        let index = models.iter().position(|&m| m == kind)?;
        price(*predictions.get(index)?)
    };
    let ensemble_price = price(ensemble);
    let interval = judgement.interval.filter(|_| ensemble_price.is_some());
    ForecastRow {
        boosting: of(ModelKind::Boosting),
        kalman: of(ModelKind::Kalman),
        ridge: of(ModelKind::Ridge),
        gru: of(ModelKind::Gru),
        transformer: of(ModelKind::Transformer),
        autoencoder_boosting: of(ModelKind::AutoencoderBoosting),
        ensemble: ensemble_price,
        ensemble_lower: interval.and_then(|[lower, _]| price(lower)),
        ensemble_upper: interval.and_then(|[_, upper]| price(upper)),
        ensemble_confidence: judgement.confidence.filter(|_| ensemble_price.is_some()),
    }
}
