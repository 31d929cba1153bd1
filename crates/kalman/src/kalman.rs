use forecastle_core::{
    Artifact, Error, Load, Lookback, Predict, PredictExt, PredictStream, Result,
    check_feature_names,
};
use ndarray::{ArrayRef1, ArrayRef2};
use serde::{Deserialize, Serialize};

use crate::{
    FitReport, LOG_CLOSE, LocalLinearTrend, LocalLinearTrendStream, TrendForecast, TrendState,
};

/// Version of the saved format.
const VERSION: u32 = 1;
/// Kind of a saved stream.
const STREAM: &str = "kalman_stream";

/// Forecasts log returns with a local linear trend on log prices; fitted by
/// [`KalmanParams`](crate::KalmanParams).
///
/// Its records are the one column [`LOG_CLOSE`]; NaN is a missing row, whose forecast is
/// `horizon · velocity`, from the expected close instead of the unknown one.
#[derive(Debug, Clone)]
pub struct Kalman {
    names: [String; 1],
    saved: Saved,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Saved {
    model: LocalLinearTrend,
    initial_level_variance: f64,
    initial_velocity_variance: f64,
    horizon: usize,
    report: FitReport,
}

impl Kalman {
    pub(crate) fn new(
        model: LocalLinearTrend,
        (initial_level_variance, initial_velocity_variance): (f64, f64),
        horizon: usize,
        report: FitReport,
    ) -> Result<Self> {
        let saved =
            Saved { model, initial_level_variance, initial_velocity_variance, horizon, report };
        saved.prior(0.0).validate_prior(&model.variances())?;
        Ok(Self { names: [LOG_CLOSE.to_owned()], saved })
    }

    /// The model with the fitted variances.
    pub fn model(&self) -> &LocalLinearTrend {
        &self.saved.model
    }

    /// Bars ahead that a prediction reaches.
    pub fn horizon(&self) -> usize {
        self.saved.horizon
    }

    /// How the variances were found.
    pub fn report(&self) -> &FitReport {
        &self.saved.report
    }

    /// The state before the first row, whose log close is given.
    pub fn prior(&self, log_close: f64) -> TrendState {
        self.saved.prior(log_close)
    }

    /// Starts a stream that has seen no bar; it predicts the same bits as
    /// [`predict_into`](Predict::predict_into), in O(1) a bar.
    pub fn stream(&self) -> KalmanStream {
        KalmanStream { saved: self.saved.clone(), stream: None }
    }

    /// Non-causal: smooths a series of log closes, so that every row knows the later ones too.
    ///
    /// For display only.
    ///
    /// # Errors
    /// As [`LocalLinearTrend::smooth`].
    pub fn smooth(&self, log_close: &[f64]) -> Result<Vec<TrendState>> {
        let first = log_close.iter().copied().find(|y| !y.is_nan());
        self.saved.model.smooth(self.prior(first.unwrap_or(0.0)), log_close)
    }
}

impl Saved {
    fn prior(&self, level: f64) -> TrendState {
        TrendState {
            level,
            velocity: 0.0,
            level_variance: self.initial_level_variance,
            covariance: 0.0,
            velocity_variance: self.initial_velocity_variance,
        }
    }

    fn stream(&self, first_log_close: f64) -> LocalLinearTrendStream {
        LocalLinearTrendStream::new(self.model.recursion(&self.prior(first_log_close)))
    }

    fn forecast(&self, state: &TrendState, log_close: f64) -> f64 {
        let close = if log_close.is_finite() { log_close } else { state.level };
        (state.level - close) + self.horizon as f64 * state.velocity
    }
}

impl Predict for Kalman {
    fn feature_names(&self) -> &[String] {
        &self.names
    }

    fn lookback(&self) -> Lookback {
        Lookback::Unbounded
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.check_shapes(records, out)?;
        let column = records.column(0);
        if let Some(row) = column.iter().position(|y| y.is_infinite()) {
            return Err(Error::NonFinite { what: "records", row, column: LOG_CLOSE.to_owned() });
        }
        let Some(first) = column.iter().position(|y| !y.is_nan()) else {
            out.fill(0.0);
            return Ok(());
        };
        let mut stream = self.saved.stream(column[first]);
        for (row, (out, &log_close)) in out.iter_mut().zip(column).enumerate() {
            *out = if row < first {
                0.0
            } else {
                self.saved.forecast(&stream.update(log_close).state, log_close)
            };
            if !out.is_finite() {
                let reason = format!("the state overflows in row {row}");
                return Err(Error::numerical("Kalman filter", reason));
            }
        }
        Ok(())
    }

    fn save(&self) -> Result<Artifact> {
        Artifact::encode(Self::KIND, VERSION, &self.names, &self.saved)
    }

    fn stream(&self) -> Option<Box<dyn PredictStream>> {
        Some(Box::new(Self::stream(self)))
    }
}

impl Load for Kalman {
    const KIND: &'static str = "kalman";

    fn load(artifact: &Artifact) -> Result<Self> {
        let saved: Saved = artifact.decode(Self::KIND, VERSION)?;
        check_feature_names(artifact.feature_names(), &[LOG_CLOSE.to_owned()])
            .map_err(|e| Error::artifact(e.to_string()))?;
        let Saved { model, initial_level_variance, initial_velocity_variance, horizon, report } =
            saved;
        let initial = (initial_level_variance, initial_velocity_variance);
        Self::new(model, initial, horizon, report).map_err(|e| Error::artifact(e.to_string()))
    }
}

/// Predicts bar by bar, in O(1), without allocating.
#[derive(Debug, Clone)]
pub struct KalmanStream {
    saved: Saved,
    stream: Option<(LocalLinearTrendStream, TrendState)>,
}

impl KalmanStream {
    /// Takes the next bar's log close and forecasts its log return over the model's horizon.
    ///
    /// A log close that is not finite counts as missing; 0 before the first that is there.
    pub fn update(&mut self, log_close: f64) -> f64 {
        if self.stream.is_none() && log_close.is_finite() {
            self.stream = Some((self.saved.stream(log_close), self.saved.prior(log_close)));
        }
        let Some((stream, state)) = &mut self.stream else {
            return 0.0;
        };
        *state = stream.update(log_close).state;
        self.saved.forecast(state, log_close)
    }

    /// The filtered state of the last bar; `None` before the first log close.
    pub fn state(&self) -> Option<TrendState> {
        self.stream.as_ref().map(|(_, state)| *state)
    }

    /// The log close expected `horizon` bars after the last one, with variance; `None` before the
    /// first log close.
    pub fn forecast(&self, horizon: usize) -> Option<TrendForecast> {
        self.state().map(|state| self.saved.model.forecast(&state, horizon))
    }
}

impl PredictStream for KalmanStream {
    fn update(&mut self, record: &[f64]) -> Result<f64> {
        let &[log_close] = record else {
            return Err(Error::shape("record", "1 feature", record.len().to_string()));
        };
        if log_close.is_infinite() {
            let column = LOG_CLOSE.to_owned();
            return Err(Error::NonFinite { what: "record", row: 0, column });
        }
        let before = self.stream.clone();
        let forecast = Self::update(self, log_close);
        if forecast.is_finite() {
            return Ok(forecast);
        }
        self.stream = before;
        Err(Error::numerical("Kalman filter", "the state overflows"))
    }

    fn save(&self) -> Result<Vec<u8>> {
        Artifact::encode(STREAM, VERSION, &[LOG_CLOSE.to_owned()], &self.stream)?.to_bytes()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.stream = Artifact::from_bytes(state)?.decode(STREAM, VERSION)?;
        Ok(())
    }

    fn boxed_clone(&self) -> Box<dyn PredictStream> {
        Box::new(self.clone())
    }
}
