use forecastle_core::{CandleSeries, Error, Result, Timestamp};
use forecastle_ensemble::{MetaModel, Stacking};
use forecastle_evaluation::{ReliabilityParams, ReliabilityTable};
use ndarray::{Array1, Array2, ArrayRef1};
use serde::{Deserialize, Serialize};

use crate::judge::{Bar, Judge, Judgement, Outcome};
use crate::quantiles::QuantileBand;
use crate::skill::summaries;
use crate::{ForecastRow, IntervalSummary, ModelKind, ModelSummary, PipelineConfig};

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
    /// As it stood before the last bar of the fit.
    pub(crate) judge: Judge,
    pub(crate) track_record: TrackRecord,
    pub(crate) models: Vec<ModelSummary>,
}

/// A forecast as it stood when its bar closed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct PastRow {
    pub(crate) open_time: Timestamp,
    pub(crate) close: f64,
    pub(crate) forecast: ForecastRow,
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
    fn bar(&self, t: usize, open_time: Timestamp, close: f64, volatility: f64) -> Bar {
        let bound = |j: usize| {
            let quantiles = self.quantiles.as_ref();
            quantiles.and_then(|q| q.get([t, j])).copied().unwrap_or(f64::NAN)
        };
        let prediction = self.ensemble.get(t).copied().unwrap_or(f64::NAN);
        Bar { open_time, close, volatility, prediction, quantiles: [bound(0), bound(1)] }
    }
}

impl Learned {
    /// - `quantiles`: the models and their out-of-fold bounds, `(n_bars, 2)`
    pub(crate) fn new(
        config: &PipelineConfig,
        candles: &CandleSeries,
        stacking: Stacking,
        quantiles: Option<(QuantileBand, Array2<f64>)>,
        targets: &ArrayRef1<f64>,
        volatility: &[f64],
    ) -> Result<Self> {
        let (quantiles, bounds) = quantiles.unzip();
        let meta = stacking.meta();
        let models = summaries(config, meta, targets)?;
        let (history, judge, track_record) = past(config, candles, meta, bounds, volatility)?;
        let memory = Memory { history, judge, track_record, models };
        Ok(Self { stacking, quantiles, memory })
    }
}

/// What the ensemble would have said of every out-of-fold row but the last bar, with the models,
/// weights and errors known at its close; how that did; and the judge, ready for the last bar, which
/// belongs to the models that have learnt from everything.
fn past(
    config: &PipelineConfig,
    candles: &CandleSeries,
    meta: &MetaModel,
    quantiles: Option<Array2<f64>>,
    volatility: &[f64],
) -> Result<(Vec<PastRow>, Judge, TrackRecord)> {
    let view = candles.view();
    let table = meta.out_of_fold();
    let predictions = Predictions {
        bases: table.predictions().to_owned(),
        ensemble: meta.sequential(),
        quantiles,
    };
    let rows = table.rows();
    let mut judge = Judge::new(config)?;
    volatility.iter().take(rows.start).for_each(|v| judge.watch(*v));
    let mut history = Vec::with_capacity(rows.len());
    let mut record = Recorder::default();
    let bars = view.open_time().iter().zip(view.close()).zip(volatility).enumerate();
    let last = view.len().saturating_sub(1);
    for (t, ((&open_time, &close), &volatility)) in
        bars.take(rows.end.min(last)).skip(rows.start)
    {
        let (forecast, judgement, outcome) =
            judged(config, &mut judge, &predictions, t, (open_time, close, volatility))?;
        record.take(judgement, outcome);
        history.push(PastRow { open_time, close, forecast });
    }
    if rows.end > view.len() {
        let expected = format!("rows below {}", view.len());
        return Err(Error::shape("folds", expected, rows.end.to_string()));
    }
    Ok((history, judge, record.finish(config)?))
}

/// A row's forecast, judged as its bar closes.
///
/// - `bar`: open time, close, ATR over close
pub(crate) fn judged(
    config: &PipelineConfig,
    judge: &mut Judge,
    predictions: &Predictions,
    t: usize,
    (open_time, close, volatility): (Timestamp, f64, f64),
) -> Result<(ForecastRow, Judgement, Option<Outcome>)> {
    let bar = predictions.bar(t, open_time, close, volatility);
    let (judgement, outcome) = judge.step(&bar)?;
    let bases: Vec<f64> = (0..config.models.len())
        .map(|j| predictions.bases.get([t, j]).copied().unwrap_or(f64::NAN))
        .collect();
    let forecast = forecast_row(&config.models, &bases, bar.prediction, close, judgement);
    Ok((forecast, judgement, outcome))
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
