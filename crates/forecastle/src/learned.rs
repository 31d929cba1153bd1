use forecastle_core::{CandleSeries, Error, Result, Timestamp};
use forecastle_ensemble::{ConformalParams, MetaModel, SplitConformal, Stacking};
use ndarray::{Array1, ArrayRef1};
use serde::{Deserialize, Serialize};

use crate::skill::summaries;
use crate::{ForecastRow, IntervalSummary, ModelKind, ModelSummary, PipelineConfig};

/// Everything learnt: the stack, what it would have said of past rows, and how far it errs.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(crate) stacking: Stacking,
    pub(crate) memory: Memory,
}

/// What is kept beside the models.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Forecasts of past rows, each by models that knew nothing after it; increasing times.
    pub(crate) history: Vec<PastRow>,
    /// Intervals of rows to come.
    pub(crate) calibration: Calibration,
    pub(crate) interval: Option<IntervalSummary>,
    pub(crate) models: Vec<ModelSummary>,
}

/// A forecast as it stood when its bar closed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct PastRow {
    pub(crate) open_time: Timestamp,
    pub(crate) close: f64,
    pub(crate) forecast: ForecastRow,
}

/// Turns a forecast return into an interval and a confidence.
///
/// Errors are measured in units of the row's volatility (ATR over close), half shrunk toward its
/// mean over the rows before the first fold: their size moves in clusters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Calibration {
    mean_volatility: f64,
    conformal: Option<SplitConformal>,
}

impl Calibration {
    /// `None` inside when there are too few residuals for the level.
    fn fit(
        level: f64,
        residuals: &[(usize, f64)],
        volatility: &[f64],
        mean_volatility: f64,
    ) -> Result<Self> {
        let params = ConformalParams { coverage: level, ..Default::default() };
        let empty = Self { mean_volatility, conformal: None };
        let scales: Vec<f64> = residuals.iter().map(|&(t, _)| empty.scale(volatility[t])).collect();
        let errors: Vec<f64> = residuals.iter().map(|&(_, error)| error).collect();
        match params.fit_scaled(&errors, &scales) {
            Ok(conformal) => Ok(Self { mean_volatility, conformal: Some(conformal) }),
            Err(error) if error.is_not_enough_data() => Ok(empty),
            Err(error) => Err(error),
        }
    }

    fn scale(&self, volatility: f64) -> f64 {
        if self.mean_volatility > 0.0 { 0.5 * (volatility + self.mean_volatility) } else { 1.0 }
    }

    /// Bounds and confidence of a forecast return.
    fn judge(&self, prediction: f64, volatility: f64) -> Option<([f64; 2], f64)> {
        let conformal = self.conformal.as_ref()?;
        let scale = self.scale(volatility);
        let (lower, upper) = conformal.interval_scaled(prediction, scale);
        let confidence = conformal.sign_probability_scaled(prediction, scale);
        (lower.is_finite() && upper.is_finite()).then_some(([lower, upper], confidence))
    }
}

impl Learned {
    pub(crate) fn new(
        config: &PipelineConfig,
        candles: &CandleSeries,
        stacking: Stacking,
        targets: Array1<f64>,
        volatility: &[f64],
    ) -> Result<Self> {
        let meta = stacking.meta();
        let level = config.stacking.interval_level;
        let first = meta.out_of_fold().rows().start;
        let known: Vec<f64> = volatility[..first].iter().copied().filter(|v| !v.is_nan()).collect();
        let mean_volatility = known.iter().sum::<f64>() / known.len().max(1) as f64;
        let residuals: Vec<(usize, f64)> =
            meta.residual_rows().into_iter().zip(meta.residuals()).collect();

        let (history, interval) =
            past(config, candles, meta, &targets, &residuals, volatility, mean_volatility)?;
        let models = summaries(config, meta, &targets)?;
        let calibration = Calibration::fit(level, &residuals, volatility, mean_volatility)?;
        Ok(Self { memory: Memory { history, calibration, interval, models }, stacking })
    }
}

impl Memory {
    /// The forecast of a row, by the models as they are now.
    ///
    /// - `predictions`: the bases' log returns, in order; NaN where not ready
    pub(crate) fn forecast(
        &self,
        models: &[ModelKind],
        predictions: &[f64],
        ensemble: f64,
        close: f64,
        volatility: f64,
    ) -> ForecastRow {
        forecast_row(
            models,
            predictions,
            ensemble,
            close,
            self.calibration.judge(ensemble, volatility),
        )
    }
}

/// What the ensemble would have said of every out-of-fold row but the last bar, with the models,
/// weights and residuals known at the start of its fold; and how its intervals did.
fn past(
    config: &PipelineConfig,
    candles: &CandleSeries,
    meta: &MetaModel,
    targets: &ArrayRef1<f64>,
    residuals: &[(usize, f64)],
    volatility: &[f64],
    mean_volatility: f64,
) -> Result<(Vec<PastRow>, Option<IntervalSummary>)> {
    let view = candles.view();
    let level = config.stacking.interval_level;
    let sequential = meta.sequential();
    let predictions = meta.out_of_fold().predictions();
    let mut history = Vec::new();
    let (mut judged, mut inside, mut width) = (0_usize, 0_usize, 0.0);
    for fold in meta.out_of_fold().folds() {
        let known_before = fold.test.start.saturating_sub(config.horizon);
        let known = residuals.partition_point(|&(t, _)| t < known_before);
        let calibration =
            Calibration::fit(level, &residuals[..known], volatility, mean_volatility)?;
        for t in fold.test.clone() {
            let (Some(&close), Some(&open_time)) = (view.close().get(t), view.open_time().get(t))
            else {
                return Err(Error::shape(
                    "folds",
                    format!("rows below {}", view.len()),
                    t.to_string(),
                ));
            };
            let judgement = calibration.judge(sequential[t], volatility[t]);
            let row = predictions.row(t).to_vec();
            let forecast = forecast_row(&config.models, &row, sequential[t], close, judgement);
            if let Some(([lower, upper], _)) = judgement
                && targets[t].is_finite()
            {
                judged += 1;
                inside += usize::from((lower..=upper).contains(&targets[t]));
                width += upper.exp() - lower.exp();
            }
            history.push(PastRow { open_time, close, forecast });
        }
    }
    // The last bar belongs to the models that have learnt from everything.
    if history.last().map(|row| row.open_time) == view.open_time().last().copied() {
        history.pop();
    }
    let n = judged as f64;
    let interval = (judged > 0).then(|| IntervalSummary {
        level,
        realised_coverage: inside as f64 / n,
        n: judged,
        mean_width: width / n,
    });
    Ok((history, interval))
}

fn forecast_row(
    models: &[ModelKind],
    predictions: &[f64],
    ensemble: f64,
    close: f64,
    judgement: Option<([f64; 2], f64)>,
) -> ForecastRow {
    let price = |y: f64| Some(close * y.exp()).filter(|p| p.is_finite());
    let of = |kind: ModelKind| {
        let index = models.iter().position(|&m| m == kind)?;
        price(*predictions.get(index)?)
    };
    let ensemble_price = price(ensemble);
    let judged = judgement.filter(|_| ensemble_price.is_some());
    ForecastRow {
        boosting: of(ModelKind::Boosting),
        kalman: of(ModelKind::Kalman),
        ridge: of(ModelKind::Ridge),
        gru: of(ModelKind::Gru),
        transformer: of(ModelKind::Transformer),
        autoencoder_boosting: of(ModelKind::AutoencoderBoosting),
        ensemble: ensemble_price,
        ensemble_lower: judged.and_then(|([lower, _], _)| price(lower)),
        ensemble_upper: judged.and_then(|([_, upper], _)| price(upper)),
        ensemble_confidence: judged.map(|(_, confidence)| confidence).filter(|c| c.is_finite()),
    }
}
