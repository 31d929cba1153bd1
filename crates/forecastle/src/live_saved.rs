//! The saved form of a live pipeline.

use std::collections::VecDeque;
use std::sync::Arc;

use forecastle_core::{Artifact, Candle, CandleSeries, Error, Fingerprint, Result, Timestamp};
use forecastle_features::IndicatorsStream;
use serde::{Deserialize, Serialize};

use crate::forecaster::{Forecaster, SavedForecaster};
use crate::swap::Told;
use crate::{FittedPipeline, LiveCounters, LiveParams, LivePipeline, Swap};

const KIND: &str = "live_pipeline";
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    /// Forecastle's version, for whoever reads the file.
    written_by: String,
    params: LiveParams,
    fitted: Vec<u8>,
    structure: IndicatorsStream,
    forecaster: Option<SavedForecaster>,
    last: Option<Candle>,
    data: Fingerprint,
    recent: Vec<Candle>,
    told: VecDeque<Told>,
    since_fit: u64,
    refitting: Option<SavedRefit>,
    counters: LiveCounters,
    swaps: VecDeque<Swap>,
}

/// A fit that was under way: it is begun anew.
#[derive(Debug, Serialize, Deserialize)]
struct SavedRefit {
    candles: Vec<Candle>,
    since: Vec<Candle>,
    told: VecDeque<Told>,
}

impl LivePipeline {
    /// Saves everything: settings, the order of features, scalers, every model, weights, errors that
    /// intervals are made of, the state after the last candle, versions, which data was seen. A fit
    /// under way is saved as what it is to learn from.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when a model cannot be written.
    pub fn save(&self) -> Result<Artifact> {
        let fitted = self.fitted.save()?;
        let saved = Saved {
            written_by: env!("CARGO_PKG_VERSION").to_owned(),
            params: self.params,
            structure: self.structure.indicators().clone(),
            forecaster: self.forecaster.as_ref().map(Forecaster::save).transpose()?,
            last: self.last,
            data: self.data,
            recent: self.recent.iter().copied().collect(),
            told: self.told.clone(),
            since_fit: self.since_fit,
            refitting: self.refitting.as_ref().map(|refitting| SavedRefit {
                candles: refitting.candles().view().iter().collect(),
                since: refitting.since().to_vec(),
                told: refitting.served().clone(),
            }),
            counters: self.counters,
            swaps: self.swaps.clone(),
            fitted: fitted.to_bytes()?,
        };
        Artifact::encode(KIND, VERSION, fitted.feature_names(), &saved)
    }

    /// Loads what [`save`](Self::save) wrote; the next update gives the same bits as it would have
    /// given there.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when the artifact is of another kind or version, malformed, or does not
    ///   belong together.
    pub fn load(artifact: &Artifact) -> Result<Self> {
        let saved: Saved = artifact.decode(KIND, VERSION)?;
        let foreign = |error: Error| Error::artifact(error.to_string());
        let fitted = Artifact::from_bytes(&saved.fitted)?;
        fitted.require_features(artifact.feature_names()).map_err(foreign)?;
        let fitted = Arc::new(FittedPipeline::load(&fitted)?);
        saved.params.check().map_err(foreign)?;
        saved.check()?;
        let structure = fitted.pipeline().structure().resume(saved.structure).map_err(foreign)?;
        let forecaster = match saved.forecaster {
            Some(state) => Some(Forecaster::load(Arc::clone(&fitted), state)?),
            None if fitted.learned().is_some() => {
                return Err(Error::artifact("it holds models and no state of them"));
            }
            None => None,
        };
        let refit = match saved.refitting {
            None => None,
            Some(SavedRefit { candles, since, told }) => {
                let (symbol, timeframe) = (fitted.symbol().clone(), fitted.timeframe());
                let candles = CandleSeries::from_candles(symbol, timeframe, candles);
                Some((Arc::new(candles.map_err(foreign)?), since, told))
            }
        };
        let mut live = Self {
            params: saved.params,
            fitted,
            structure,
            forecaster,
            last: saved.last,
            data: saved.data,
            recent: saved.recent.into(),
            told: saved.told,
            since_fit: saved.since_fit,
            refitting: None,
            counters: saved.counters,
            swaps: saved.swaps,
        };
        if let Some((candles, since, told)) = refit {
            live.start(candles, told);
            let refitting = live.refitting.as_mut();
            refitting
                .into_iter()
                .for_each(|refitting| since.iter().for_each(|c| refitting.push(*c)));
        }
        Ok(live)
    }
}

impl Saved {
    /// Whether the parts speak of the same candles.
    fn check(&self) -> Result<()> {
        let last = self.last.map(|candle| candle.open_time());
        let increases = |candles: &[Candle]| {
            candles.windows(2).all(|pair| pair[0].open_time() < pair[1].open_time())
        };
        let newest = |candles: &[Candle]| candles.last().map(Candle::open_time);
        let ends = |time: Option<Timestamp>| time.is_none() || time == last;
        let refit = self.refitting.as_ref().is_none_or(|refit| {
            increases(&refit.candles)
                && increases(&refit.since)
                && refit.since.first().is_none_or(|c| newest(&refit.candles) < Some(c.open_time()))
                && ends(newest(&refit.since))
                && self.params.refit.is_some()
        });
        let fits = self.data.last_open_time() == last
            && self.counters.last_open_time == last
            && self.data.candles() == self.counters.candles
            && increases(&self.recent)
            && ends(newest(&self.recent))
            && self.recent.len() <= self.params.refit.map_or(0, |refit| refit.window)
            && refit;
        if fits { Ok(()) } else { Err(Error::artifact("its parts speak of other candles")) }
    }
}
