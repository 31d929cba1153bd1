use std::collections::VecDeque;

use forecastle_core::{Error, Result, Timestamp};
use forecastle_ensemble::{
    AdaptiveConformal, AdaptiveConformalParams, CalibrationMethod, Issued, ProbabilityCalibration,
    ProbabilityCalibrationParams, RollingErrors, StepSize,
};
use serde::{Deserialize, Serialize};

use crate::{IntervalMethod, PipelineConfig};

/// Newest errors that intervals and confidence are read off.
const ERRORS_KEPT: usize = 10_000;
/// Errors below which no confidence is told.
const FEWEST_ERRORS: usize = 100;
/// Newest pairs of confidence and outcome that it is calibrated on.
const PAIRS_KEPT: usize = 1_000;
/// Pairs below which a confidence is told raw, and after which it is calibrated anew.
const FEWEST_PAIRS: usize = 50;
const PAIRS_PER_FIT: usize = 25;
/// How fast the interval's level answers a miss.
const STEP: f64 = 0.01;

/// A bar at whose close something was forecast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bar {
    pub(crate) open_time: Timestamp,
    pub(crate) close: f64,
    /// ATR over close; NaN where not ready.
    pub(crate) volatility: f64,
    /// The ensemble's log return; NaN where there is none.
    pub(crate) prediction: f64,
    /// Quantile forecasts in units of the scale; NaN where there are none.
    pub(crate) quantiles: [f64; 2],
}

/// What was said of a bar's forecast.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Judgement {
    /// Bounds of the log return.
    pub(crate) interval: Option<[f64; 2]>,
    /// Probability that the move has the forecast's sign.
    pub(crate) confidence: Option<f64>,
}

/// What became of a forecast whose label has become known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outcome {
    /// Whether the label lay in the interval.
    pub(crate) inside: Option<bool>,
    /// Confidence told, and whether the move had the forecast's sign (½ for none).
    pub(crate) confidence: Option<(f64, f64)>,
    /// |label − forecast| over its scale.
    pub(crate) error: Option<f64>,
}

/// Says how sure each forecast is as its bar closes, and learns from labels as they become known.
///
/// Walked over the out-of-fold rows in time order and then on, bar by bar: what it says of a row
/// depends on rows up to that one alone. Errors are measured in units of the row's volatility (ATR
/// over close), half shrunk toward the mean of all before it: their size moves in clusters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Judge {
    horizon: usize,
    quantiles: bool,
    volatility: RunningMean,
    conformal: AdaptiveConformal,
    confidence: Confidence,
    /// Forecasts whose labels are not known yet, one a bar, the oldest first.
    pending: VecDeque<Pending>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Pending {
    open_time: Timestamp,
    close: f64,
    /// Prediction and scale; `None` where nothing was forecast.
    forecast: Option<(f64, f64)>,
    issued: Option<Issued>,
    /// Probabilities of the sign, raw and as told.
    sign: Option<(f64, f64)>,
}

impl Judge {
    pub(crate) fn new(config: &PipelineConfig) -> Result<Self> {
        let settings = &config.stacking;
        let conformal = AdaptiveConformalParams {
            coverage: settings.interval_level,
            step: StepSize::Fixed(match settings.interval {
                IntervalMethod::Split => 0.0,
                IntervalMethod::Adaptive | IntervalMethod::Quantiles => STEP,
            }),
            window: Some(ERRORS_KEPT),
            horizon: config.horizon,
            ..Default::default()
        };
        Ok(Self {
            horizon: config.horizon,
            quantiles: settings.interval == IntervalMethod::Quantiles,
            volatility: RunningMean::default(),
            conformal: conformal.start()?,
            confidence: Confidence::new()?,
            pending: VecDeque::new(),
        })
    }

    /// Takes a bar at which nothing was forecast and nothing is pending.
    pub(crate) fn watch(&mut self, volatility: f64) {
        self.volatility.push(volatility);
    }

    /// Goes on after the bars given, by open time and close; forecasts that were made on others are
    /// forgotten, as their labels will not come.
    pub(crate) fn resume(&mut self, times: &[Timestamp], closes: &[f64]) {
        let known = times.iter().zip(closes).rev();
        let same = |(due, (time, close)): (&Pending, (&Timestamp, &f64))| {
            due.open_time == *time && due.close == *close
        };
        if times.len() < self.pending.len() || !self.pending.iter().rev().zip(known).all(same) {
            self.pending.clear();
        }
    }

    /// Whether a state read from a file is one that these settings can have come to.
    pub(crate) fn check(&self, config: &PipelineConfig) -> Result<()> {
        let fresh = Self::new(config)?;
        let settings = self.horizon == fresh.horizon
            && self.quantiles == fresh.quantiles
            && self.conformal.params() == fresh.conformal.params();
        let pending = self.pending.iter().all(|due| {
            let numbers = due
                .forecast
                .is_none_or(|(y, scale)| y.is_finite() && scale > 0.0 && scale.is_finite());
            numbers && due.close > 0.0 && due.close.is_finite()
        });
        let share = |(a, b): &(f64, f64)| (0.0..=1.0).contains(a) && (0.0..=1.0).contains(b);
        let signs = self.pending.iter().filter_map(|due| due.sign).all(|pair| share(&pair));
        let confidence = &self.confidence;
        let kept = confidence.pairs.len() <= PAIRS_KEPT && confidence.pairs.iter().all(share);
        let volatility = self.volatility.mean.is_finite() && self.volatility.mean >= 0.0;
        let ordered = self.pending.iter().zip(self.pending.iter().skip(1));
        let ordered = ordered.into_iter().all(|(a, b)| a.open_time < b.open_time);
        let few = self.pending.len() <= self.horizon;
        if settings && pending && signs && kept && volatility && ordered && few {
            Ok(())
        } else {
            Err(Error::artifact("its intervals do not belong to its settings"))
        }
    }

    /// Takes the next bar: first learns from the forecast whose label its close is, then judges its
    /// own.
    pub(crate) fn step(&mut self, bar: &Bar) -> (Judgement, Option<Outcome>) {
        let outcome = if self.pending.len() >= self.horizon {
            self.pending.pop_front().and_then(|due| self.learn(&due, bar.close))
        } else {
            None
        };
        self.volatility.push(bar.volatility);
        let mut pending = Pending {
            open_time: bar.open_time,
            close: bar.close,
            forecast: None,
            issued: None,
            sign: None,
        };
        let mut judgement = Judgement::default();
        if let (true, Some(scale)) = (bar.prediction.is_finite(), self.scale(bar.volatility)) {
            pending.forecast = Some((bar.prediction, scale));
            pending.issued = self.issue(bar, scale);
            judgement.interval = pending.issued.as_ref().and_then(|issued| {
                let (lower, upper) = issued.interval();
                (lower.is_finite() && upper.is_finite()).then_some([lower, upper])
            });
            // A move too small for the price to show has no sign either.
            if bar.close * bar.prediction.exp() != bar.close {
                pending.sign = self.confidence.of(bar.prediction, scale);
            }
            judgement.confidence = pending.sign.map(|(_, told)| told);
        }
        self.pending.push_back(pending);
        (judgement, outcome)
    }

    /// What errors at this volatility are measured in.
    fn scale(&self, volatility: f64) -> Option<f64> {
        scale(volatility, &self.volatility)
    }

    /// `None` where no interval can be: a scale of which nothing is a finite multiple.
    fn issue(&self, bar: &Bar, scale: f64) -> Option<Issued> {
        let [lower, upper] = bar.quantiles.map(|q| q * scale);
        let issued = if self.quantiles && lower.is_finite() && upper.is_finite() {
            self.conformal.issue_band(lower, upper, scale)
        } else {
            self.conformal.issue(bar.prediction, scale)
        };
        issued.ok()
    }

    /// Nothing is learnt, and nothing changed, where a label is too far away for a finite error.
    fn learn(&mut self, due: &Pending, close: f64) -> Option<Outcome> {
        let ((prediction, scale), issued) = (due.forecast?, due.issued.as_ref()?);
        let label = (close / due.close).ln();
        let error = (label - prediction) / scale;
        if !error.is_finite() {
            return None;
        }
        let inside = self.conformal.observe(issued, label).ok()?;
        let hit = match label * prediction {
            product if product > 0.0 => 1.0,
            0.0 => 0.5,
            _ => 0.0,
        };
        self.confidence.learn(error, due.sign.map(|(raw, _)| (raw, hit)), self.horizon);
        let confidence = due.sign.map(|(_, told)| (told, hit));
        Some(Outcome { inside, confidence, error: Some(error.abs()) })
    }
}

/// What a row's error is measured in, row by row; NaN before there is a volatility.
///
/// - `volatility`: ATR over close, NaN where not ready
pub(crate) fn scales(volatility: &[f64]) -> Vec<f64> {
    let mut mean = RunningMean::default();
    let of = |v: &f64| {
        mean.push(*v);
        scale(*v, &mean).unwrap_or(f64::NAN)
    };
    volatility.iter().map(of).collect()
}

fn scale(volatility: f64, mean: &RunningMean) -> Option<f64> {
    let scale = 0.5 * (volatility + mean.mean());
    // A price that has never moved has no volatility; its errors are all 0.
    let scale = if scale == 0.0 { 1.0 } else { scale };
    scale.is_finite().then_some(scale)
}

/// The mean of the finite numbers so far.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct RunningMean {
    mean: f64,
    n: u64,
}

impl RunningMean {
    fn push(&mut self, value: f64) {
        if value.is_finite() {
            self.n = self.n.saturating_add(1);
            self.mean += (value - self.mean) / self.n as f64;
        }
    }

    fn mean(&self) -> f64 {
        if self.n > 0 { self.mean } else { f64::NAN }
    }
}

/// The probability that the move has the forecast's sign.
///
/// Raw it is the share of past errors under which it would have; calibrated on what became of such
/// probabilities lately, and no less than one half: where the sign came wrong more often than right,
/// that was luck more often than a reason to bet against the forecast, and a coin is what is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Confidence {
    errors: RollingErrors,
    /// Raw probability and whether the sign was right, the oldest first.
    pairs: VecDeque<(f64, f64)>,
    since_fit: usize,
    calibration: Option<ProbabilityCalibration>,
}

impl Confidence {
    fn new() -> Result<Self> {
        Ok(Self {
            errors: RollingErrors::new(ERRORS_KEPT)?,
            pairs: VecDeque::new(),
            since_fit: 0,
            calibration: None,
        })
    }

    /// Raw and calibrated; `None` for a forecast without a sign, and before there are enough errors.
    fn of(&self, prediction: f64, scale: f64) -> Option<(f64, f64)> {
        let raw = self.errors.sign_probability(prediction, scale);
        if raw.is_nan() || self.errors.len() < FEWEST_ERRORS {
            return None;
        }
        let told = self.calibration.as_ref().map_or(raw, |c| c.probability(raw));
        Some((raw, told.max(0.5)))
    }

    /// - `error`: finite
    fn learn(&mut self, error: f64, pair: Option<(f64, f64)>, horizon: usize) {
        let (Ok(()), Some(pair)) = (self.errors.push(error), pair) else {
            return;
        };
        if self.pairs.len() >= PAIRS_KEPT {
            self.pairs.pop_front();
        }
        self.pairs.push_back(pair);
        self.since_fit = self.since_fit.saturating_add(1);
        let due = self.calibration.is_none() || self.since_fit >= PAIRS_PER_FIT;
        if due && self.pairs.len() >= FEWEST_PAIRS {
            let params = ProbabilityCalibrationParams {
                method: CalibrationMethod::Cox,
                ..Default::default()
            };
            let (raw, hits): (Vec<f64>, Vec<f64>) = self.pairs.iter().copied().unzip();
            // Of shares, ties and enough pairs the fit cannot fail; the curve before would stay.
            self.calibration = params.fit(&raw, &hits, horizon).ok().or(self.calibration.take());
            self.since_fit = 0;
        }
    }
}
