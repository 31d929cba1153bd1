use std::collections::VecDeque;
use std::sync::Arc;

use forecastle_core::{
    Candle, Error, Lookback, Predict, PredictStream, Result, Target, Timestamp, Transform,
    TransformStream,
};
use forecastle_features::ModelFeaturesStream;
use ndarray::{ArrayView2, s};
use serde::{Deserialize, Serialize};

use crate::guards::{Guards, Objections};
use crate::judge::{Bar, Judge};
use crate::learned::{Learned, judged};
use crate::row_window::RowWindow;
use crate::{FittedPipeline, ForecastRow, PipelineConfig};

/// The feature that is ATR over close.
const VOLATILITY: &str = "atr_14_ratio";

/// Fitted models at work: what they must remember from candle to candle.
///
/// Its forecasts are those of [`FittedPipeline::run`] on the candles that it has taken, bit for bit.
#[derive(Debug)]
pub(crate) struct Forecaster {
    fitted: Arc<FittedPipeline>,
    features: ModelFeaturesStream,
    /// The last candle's features, behind the log close where models learn the price.
    row: Vec<f64>,
    /// Ready rows of the same.
    window: RowWindow,
    /// One a model; `None` where the window is enough.
    streams: Vec<Option<Box<dyn PredictStream>>>,
    judge: Judge,
    guards: Guards,
    /// Whether the judge has gone on past the last candle of the fit.
    judging: bool,
    /// Times and closes of the last bars before that.
    past: VecDeque<(Timestamp, f64)>,
    volatility: usize,
}

/// What the models say of a candle.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Outlook {
    pub(crate) forecast: ForecastRow,
    pub(crate) guard: Option<String>,
    /// Whether the guard speaks of drift.
    pub(crate) drift: bool,
}

/// A [`Forecaster`] without its models.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedForecaster {
    features: ModelFeaturesStream,
    row: Vec<f64>,
    window: Vec<f64>,
    streams: Vec<Option<Vec<u8>>>,
    judge: Judge,
    guards: Guards,
    judging: bool,
    past: VecDeque<(Timestamp, f64)>,
}

impl Forecaster {
    /// Before the first candle; `None` where nothing was learnt.
    pub(crate) fn new(fitted: Arc<FittedPipeline>) -> Result<Option<Self>> {
        let Some(learned) = fitted.learned() else {
            return Ok(None);
        };
        let transform = fitted.pipeline().features();
        let volatility = transform.names().iter().position(|name| name == VOLATILITY);
        let volatility = volatility.ok_or_else(|| {
            Error::invalid_parameter("features", format!("with {VOLATILITY}"), "")
        })?;
        let (judge, guards) = (learned.memory.judge.clone(), learned.memory.guards.clone());
        let streams = learned.stacking.bases().iter().map(|base| base.stream()).collect();
        let width = lead(fitted.config()) + transform.names().len();
        Ok(Some(Self {
            features: transform.start(),
            row: vec![f64::NAN; width],
            window: RowWindow::new(width, capacity(learned)),
            streams,
            judge,
            guards,
            judging: false,
            past: VecDeque::new(),
            volatility,
            fitted,
        }))
    }

    /// The last candle's features, as models read them.
    pub(crate) fn features(&self) -> &[f64] {
        self.row.get(lead(self.fitted.config())..).unwrap_or(&[])
    }

    /// Takes the next candle; after an error everything is as it was before.
    pub(crate) fn update(&mut self, candle: &Candle) -> Result<Outlook> {
        let fitted = Arc::clone(&self.fitted);
        let (config, Some(learned)) = (fitted.config(), fitted.learned()) else {
            return Ok(Outlook::default());
        };
        let lead = lead(config);
        let (open_time, close) = (candle.open_time(), candle.close());
        let log_close = close.ln();
        let mut features = self.features.clone();
        let mut row = vec![log_close; self.row.len()];
        features.update(candle, &mut row[lead..]);
        let unready = row.iter().position(|v| !v.is_finite());
        let ready = unready.is_none();
        if let Some(column) = unready.filter(|_| !self.window.is_empty()) {
            let names = fitted.pipeline().features().names();
            let column = column.checked_sub(lead).and_then(|column| names.get(column));
            let column = column.cloned().unwrap_or_default();
            return Err(Error::NonFinite { what: "features of the candle", row: 0, column });
        }
        let is_past = fitted.fitted_until().is_some_and(|until| open_time < until);

        // Whatever may fail comes first, on copies.
        let mut streams: Vec<_> = self.streams.iter().map(copied).collect();
        let window = self.window.propose(&row)?;
        let mut bases = vec![f64::NAN; streams.len()];
        let models = bases.iter_mut().zip(&mut streams).zip(learned.stacking.bases());
        for ((prediction, stream), base) in models {
            match stream {
                Some(stream) => *prediction = stream.update(&[log_close])?,
                None if ready && !is_past => {
                    *prediction = base.predict_last(&newest(&window, base.lookback(), 0))?;
                }
                None => {}
            }
        }
        let mut quantiles = [f64::NAN; 2];
        if let Some(band) = learned.quantiles.as_ref().filter(|_| ready && !is_past) {
            quantiles = band.predict_last(&newest(&window, Lookback::Rows(1), lead))?;
        }
        let prediction = learned.stacking.meta().combine_row(&bases)?;
        let objections = match is_past {
            true => Objections::default(),
            false => self.guards.watch(&row[lead..])?,
        };

        // Nothing fails from here on.
        let volatility = row.get(lead + self.volatility).copied().unwrap_or(f64::NAN);
        if ready {
            self.window.commit();
        }
        (self.features, self.row, self.streams) = (features, row, streams);
        if is_past {
            if self.past.len() > config.horizon {
                self.past.pop_front();
            }
            self.past.push_back((open_time, close));
            let known = learned.memory.known(open_time, close);
            return Ok(known.map_or_else(Outlook::default, |past| Outlook {
                forecast: past.forecast,
                guard: past.guard.clone(),
                drift: false,
            }));
        }
        if !self.judging {
            let (times, closes): (Vec<_>, Vec<_>) = self.past.drain(..).unzip();
            self.judge.resume(&times, &closes);
            self.judging = true;
        }
        let bar = Bar { open_time, close, volatility, prediction, quantiles };
        let (forecast, _, outcome) = judged(config, &mut self.judge, &bar, &bases);
        let error = outcome.and_then(|outcome| outcome.error);
        let objections = self.guards.conclude(objections, error);
        Ok(Outlook { forecast, drift: objections.is_drift(), guard: objections.reason() })
    }

    /// The state; the models are saved by the fitted pipeline.
    pub(crate) fn save(&self) -> Result<SavedForecaster> {
        let saved = |stream: &Option<Box<dyn PredictStream>>| {
            stream.as_ref().map(|stream| stream.save()).transpose()
        };
        Ok(SavedForecaster {
            features: self.features.clone(),
            row: self.row.clone(),
            window: self.window.rows(),
            streams: self.streams.iter().map(saved).collect::<Result<_>>()?,
            judge: self.judge.clone(),
            guards: self.guards.clone(),
            judging: self.judging,
            past: self.past.clone(),
        })
    }

    /// Goes on with the state that models of the same fit were saved in.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when it is not one that these models can have come to.
    pub(crate) fn load(fitted: Arc<FittedPipeline>, saved: SavedForecaster) -> Result<Self> {
        let Some(mut fresh) = Self::new(Arc::clone(&fitted))? else {
            return Err(Error::artifact("it holds a state of models and no models"));
        };
        let (config, Some(learned)) = (fitted.config(), fitted.learned()) else {
            return Err(Error::artifact("it holds a state of models and no models"));
        };
        let width = fresh.row.len();
        let fits = saved.features.params() == fitted.pipeline().features().params()
            && saved.row.len() == width
            && saved.streams.len() == fresh.streams.len()
            && saved.past.len() <= config.horizon + 1
            && saved.guards.fit_width(width - lead(config));
        if !fits {
            return Err(Error::artifact("its live state does not fit its models"));
        }
        saved.judge.check(config)?;
        for (stream, state) in fresh.streams.iter_mut().zip(&saved.streams) {
            match (stream, state) {
                (Some(stream), Some(state)) => stream.restore(state)?,
                (None, None) => {}
                _ => return Err(Error::artifact("its live state does not fit its models")),
            }
        }
        let window = RowWindow::with_rows(width, capacity(learned), &saved.window)?;
        Ok(Self {
            features: saved.features,
            row: saved.row,
            window,
            judge: saved.judge,
            guards: saved.guards,
            judging: saved.judging,
            past: saved.past,
            ..fresh
        })
    }
}

/// Columns in front of the features.
fn lead(config: &PipelineConfig) -> usize {
    usize::from(config.target == Target::Price)
}

/// Rows that the models read, and the quantiles' one.
fn capacity(learned: &Learned) -> usize {
    let rows = |base: &dyn Predict| match base.lookback() {
        Lookback::Rows(n) => n,
        Lookback::Unbounded => 1,
    };
    learned.stacking.bases().iter().map(|base| rows(base.as_ref())).max().unwrap_or(1)
}

fn copied(stream: &Option<Box<dyn PredictStream>>) -> Option<Box<dyn PredictStream>> {
    stream.as_ref().map(|stream| stream.boxed_clone())
}

/// The rows that a model reads, from column `from` on.
fn newest<'a>(
    window: &ArrayView2<'a, f64>,
    lookback: Lookback,
    from: usize,
) -> ArrayView2<'a, f64> {
    let n = window.nrows();
    let context = lookback.context(n.saturating_sub(1));
    window.slice_move(s![n - 1 - context.min(n - 1).., from..])
}
