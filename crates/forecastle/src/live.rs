use std::collections::VecDeque;
use std::sync::Arc;

use tracing::{debug, info, warn};

use forecastle_core::{Candle, CandleSeries, Error, Fingerprint, Result, Timestamp};

use crate::forecaster::Forecaster;
use crate::refitting::{Job, Refitted, Refitting};
use crate::swap::Told;
use crate::{
    FittedPipeline, GapPolicy, Handover, Irregular, LiveCounters, LiveParams,
    MarketStructureStream, RefitParams, Swap, TableRow,
};

/// Candles that new models may be behind, at least, before an update waits for them.
const FEWEST_BEHIND: usize = 10_000;
/// Swaps that are remembered.
const SWAPS_KEPT: usize = 100;

/// Runs a fitted pipeline candle by candle.
///
/// Each update gives the row that [`FittedPipeline::run`] on all candles so far would end with: market
/// structure, regime, signal, every model's forecast, ensemble, interval, confidence and guards, bit for
/// bit. It costs the same however many candles there were, and keeps no more than it needs.
///
/// Candles of a wrong order, repeated ones and gaps are answered as [`LiveParams`] say; an update that
/// fails changes nothing but the counters.
///
/// # Refits
/// With [`LiveParams::refit`] all models are fitted anew in the background, on the newest candles, by
/// schedule or when a guard sees drift. The models before serve until the new ones have caught up; then
/// those take over between two candles. Market structure and signals never notice: they go on over all
/// candles. The models' columns are from then on those of a run that begins with the first candle that
/// the new fit knows.
///
/// # Saved and resumed
/// [`save`](Self::save) puts everything into one artifact, and what [`load`](Self::load) makes of it
/// goes on with the same bits. [`LiveStore`](crate::LiveStore) keeps it on disk, candle by candle.
///
/// # Examples
/// ```
/// use forecastle::market_data::{Simulator, SimulatorParams};
/// use forecastle::{LiveParams, LivePipeline, ModelKind, Pipeline};
///
/// let candles = Simulator::new(SimulatorParams { n: 1_000, ..Default::default() })?.series()?;
/// let history = candles.slice(0..900);
/// let fitted = Pipeline::builder().models([ModelKind::Ridge]).build()?.fit(&history)?;
///
/// let mut live = LivePipeline::new(fitted, LiveParams::default())?;
/// live.warm_up(&history)?;
/// for candle in candles.slice(900..1_000).view().iter() {
///     if let Some(step) = live.update(candle)? {
///         println!("{} {:?}", step.row.structure.signal(), step.row.forecast.ensemble);
///     }
/// }
/// assert_eq!(live.counters().candles, 1_000);
/// # Ok::<(), forecastle::Error>(())
/// ```
#[derive(Debug)]
pub struct LivePipeline {
    pub(crate) params: LiveParams,
    pub(crate) fitted: Arc<FittedPipeline>,
    pub(crate) structure: MarketStructureStream,
    pub(crate) forecaster: Option<Forecaster>,
    pub(crate) last: Option<Candle>,
    pub(crate) data: Fingerprint,
    /// The newest candles, as many as a refit knows.
    pub(crate) recent: VecDeque<Candle>,
    /// What the ensemble said of them.
    pub(crate) told: VecDeque<Told>,
    /// Candles since the models that serve were fitted, or a fit was begun.
    pub(crate) since_fit: u64,
    pub(crate) refitting: Option<Refitting>,
    pub(crate) counters: LiveCounters,
    pub(crate) swaps: VecDeque<Swap>,
}

/// What a [`LivePipeline`] says of a candle.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The row of the final table.
    pub row: TableRow,
    /// Candles missing just before this one.
    pub missing: u64,
    /// What came of fits in the background with this candle.
    pub refit: Option<RefitEvent>,
}

/// Says what came of a fit in the background.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RefitEvent {
    /// A fit was begun; for this reason.
    Begun(RefitReason),
    /// New models serve from the next candle on.
    Swapped(Swap),
    /// A fit failed; the models before go on.
    Failed(String),
}

/// Says why a fit was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefitReason {
    /// Its time had come.
    Schedule,
    /// A guard saw drift.
    Drift,
}

impl LivePipeline {
    /// Starts before the first candle.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range.
    pub fn new(fitted: FittedPipeline, params: LiveParams) -> Result<Self> {
        params.check()?;
        let fitted = Arc::new(fitted);
        Ok(Self {
            params,
            structure: fitted.pipeline().structure().stream(),
            forecaster: Forecaster::new(Arc::clone(&fitted))?,
            fitted,
            last: None,
            data: Fingerprint::default(),
            recent: VecDeque::new(),
            told: VecDeque::new(),
            since_fit: 0,
            refitting: None,
            counters: LiveCounters::default(),
            swaps: VecDeque::new(),
        })
    }

    /// Takes the candles that the pipeline was fitted on, or others, without refitting meanwhile.
    ///
    /// Indicators and the Kalman filter begin at the first candle that they are given: begin with the
    /// history.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when symbol or timeframe are not those of the fit.
    /// - As [`update`](Self::update); the candles before the one that failed are taken.
    pub fn warm_up(&mut self, candles: &CandleSeries) -> Result<()> {
        self.fitted.check_market(candles)?;
        for candle in candles.view().iter() {
            self.advance(candle)?;
            self.since_fit = 0;
        }
        Ok(())
    }

    /// Takes the next closed candle; `None` where the parameters say to pass over it.
    ///
    /// # Errors
    /// - [`Error::OutOfOrder`] for a candle that is late, repeated or behind a gap, where the parameters
    ///   refuse it.
    /// - [`Error::Numerical`] and [`Error::NonFinite`] when a model cannot forecast.
    ///
    /// After an error the pipeline is as it was before, but for its counters.
    pub fn update(&mut self, candle: Candle) -> Result<Option<Step>> {
        let Some((mut step, drift)) = self.advance(candle)? else {
            return Ok(None);
        };
        step.refit = self.take_over(candle);
        if step.refit.is_none() {
            step.refit = self.begin_refit(drift);
        }
        Ok(Some(step))
    }

    /// Everything but refits; says whether a guard saw drift.
    pub(crate) fn advance(&mut self, candle: Candle) -> Result<Option<(Step, bool)>> {
        let Some(missing) = self.missing_before(&candle)? else {
            return Ok(None);
        };
        let outlook = match &mut self.forecaster {
            None => Default::default(),
            Some(forecaster) => match forecaster.update(&candle) {
                Ok(outlook) => outlook,
                Err(error) => {
                    self.counters.errors += 1;
                    warn!(open_time = %candle.open_time(), %error, "a model cannot forecast");
                    return Err(error);
                }
            },
        };
        let structure = self.structure.update_held(&candle, outlook.guard.is_some());
        self.data.push(&candle);
        self.last = Some(candle);
        if let Some(RefitParams { window, .. }) = self.params.refit {
            let told = Told {
                open_time: candle.open_time(),
                close: candle.close(),
                ensemble: outlook.forecast.ensemble.unwrap_or(f64::NAN),
            };
            keep(&mut self.recent, candle, window);
            if told.ensemble.is_finite() {
                keep(&mut self.told, told, window);
            }
        }
        self.since_fit = self.since_fit.saturating_add(1);
        let counters = &mut self.counters;
        counters.candles += 1;
        counters.last_open_time = Some(candle.open_time());
        counters.gaps += u64::from(missing > 0);
        counters.missing += missing;
        counters.held += u64::from(outlook.guard.is_some());
        let row = TableRow { structure, forecast: outlook.forecast, guard: outlook.guard };
        Ok(Some((Step { row, missing, refit: None }, outlook.drift)))
    }

    /// How many candles are missing before this one; `None` where it is to be passed over.
    fn missing_before(&mut self, candle: &Candle) -> Result<Option<u64>> {
        let Some(last) = self.last else {
            return Ok(Some(0));
        };
        let (previous, current) = (last.open_time(), candle.open_time());
        if current > previous {
            let steps = self.fitted.timeframe().steps_between(previous, current).unwrap_or(1);
            let missing = u64::try_from(steps.saturating_sub(1)).unwrap_or(0);
            if missing == 0 || self.params.gaps == GapPolicy::Count {
                return Ok(Some(missing));
            }
        } else {
            let repeated = current == previous;
            let answer = if repeated { self.params.duplicates } else { self.params.late };
            if answer == Irregular::Skip {
                self.counters.duplicates += u64::from(repeated);
                self.counters.revised += u64::from(repeated && *candle != last);
                self.counters.late += u64::from(!repeated);
                return Ok(None);
            }
        }
        self.counters.refused += 1;
        debug!(%previous, %current, "candle refused");
        let row = usize::try_from(self.counters.candles).unwrap_or(usize::MAX);
        Err(Error::OutOfOrder { row, previous, current })
    }

    /// Takes a candle once more that was taken before; a take-over that depends on the machine's speed
    /// had not come then, and does not now.
    pub(crate) fn replay(&mut self, candle: Candle) -> Result<()> {
        let Some((_, drift)) = self.advance(candle)? else {
            return Ok(());
        };
        match self.params.refit.map(|refit| refit.handover) {
            Some(Handover::WhenReady) => {
                if let Some(refitting) = &mut self.refitting {
                    refitting.push(candle);
                    return Ok(());
                }
            }
            Some(Handover::After(_)) if self.take_over(candle).is_some() => return Ok(()),
            Some(Handover::After(_)) | None => {}
        }
        self.begin_refit(drift);
        Ok(())
    }

    /// Hands the candle to the fit in the background, and lets its models take over when it is time.
    fn take_over(&mut self, candle: Candle) -> Option<RefitEvent> {
        let RefitParams { handover, window, .. } = self.params.refit?;
        let refitting = self.refitting.as_mut()?;
        refitting.push(candle);
        let behind = refitting.since().len();
        let wait = match handover {
            Handover::After(candles) if (behind as u64) < candles => return None,
            Handover::After(_) => true,
            Handover::WhenReady => behind >= window.max(FEWEST_BEHIND),
        };
        self.swap(wait)
    }

    /// Takes the new models on, if they are ready.
    fn swap(&mut self, wait: bool) -> Option<RefitEvent> {
        let refitting = self.refitting.as_ref()?;
        let behind = refitting.since().len() as u64;
        let outcome = refitting.take(wait)?;
        self.refitting = None;
        Some(match outcome {
            Ok(Refitted { fitted, forecaster, skill }) => {
                let swap = Swap {
                    served_until: self.last.map(|last| last.open_time()),
                    fitted_until: fitted.fitted_until(),
                    behind,
                    skill,
                };
                (self.fitted, self.forecaster) = (fitted, forecaster);
                self.counters.refits += 1;
                info!(symbol = %self.fitted.symbol(), behind, %swap, "models taken over");
                keep(&mut self.swaps, swap, SWAPS_KEPT);
                RefitEvent::Swapped(swap)
            }
            Err(error) => {
                self.counters.refits_failed += 1;
                warn!(symbol = %self.fitted.symbol(), %error, "a refit failed, the models before go on");
                RefitEvent::Failed(error.to_string())
            }
        })
    }

    /// Begins a fit in the background when it is due.
    fn begin_refit(&mut self, drift: bool) -> Option<RefitEvent> {
        let refit = self.params.refit.filter(|_| self.refitting.is_none())?;
        let reason = if refit.every.is_some_and(|every| self.since_fit >= every) {
            RefitReason::Schedule
        } else if refit.on_drift && drift && self.since_fit >= refit.rest {
            RefitReason::Drift
        } else {
            return None;
        };
        let (symbol, timeframe) = (self.fitted.symbol().clone(), self.fitted.timeframe());
        let candles = self.recent.iter().copied();
        self.since_fit = 0;
        self.counters.refits_begun += 1;
        debug!(symbol = %self.fitted.symbol(), ?reason, candles = self.recent.len(), "refit begun");
        match CandleSeries::from_candles(symbol, timeframe, candles) {
            Ok(candles) => self.start(Arc::new(candles), self.told.clone()),
            Err(error) => {
                self.counters.refits_failed += 1;
                return Some(RefitEvent::Failed(error.to_string()));
            }
        }
        let at_once = match refit.handover {
            Handover::After(0) => self.swap(true),
            Handover::After(_) | Handover::WhenReady => None,
        };
        at_once.or(Some(RefitEvent::Begun(reason)))
    }

    /// Begins a fit on these candles, of which the models that serve said this.
    pub(crate) fn start(&mut self, candles: Arc<CandleSeries>, served: VecDeque<Told>) {
        self.refitting = Some(Refitting::begin(Job {
            previous: Arc::clone(&self.fitted),
            candles,
            served,
            warm_start: self.params.refit.is_some_and(|refit| refit.warm_start),
        }));
    }

    /// Waits for the fit in the background, if there is one, and lets its models take over, whatever the
    /// [`Handover`].
    pub fn finish_refit(&mut self) -> Option<RefitEvent> {
        self.swap(true)
    }

    /// Whether a fit is under way in the background.
    pub fn is_refitting(&self) -> bool {
        self.refitting.is_some()
    }

    /// The pipeline that serves.
    pub fn fitted(&self) -> &FittedPipeline {
        &self.fitted
    }

    /// The parameters.
    pub fn params(&self) -> &LiveParams {
        &self.params
    }

    /// What was seen and done.
    pub fn counters(&self) -> &LiveCounters {
        &self.counters
    }

    /// Which candles were taken.
    pub fn data(&self) -> &Fingerprint {
        &self.data
    }

    /// Open time of the last candle taken.
    pub fn last_open_time(&self) -> Option<Timestamp> {
        self.last.map(|last| last.open_time())
    }

    /// The scale-free features of the last candle, as models read them; empty where nothing was learnt.
    pub fn features(&self) -> &[f64] {
        self.forecaster.as_ref().map_or(&[], |forecaster| forecaster.features())
    }

    /// The latest take-overs, the oldest first, 100 at most.
    pub fn swaps(&self) -> impl Iterator<Item = &Swap> {
        self.swaps.iter()
    }
}

/// Appends, forgetting the oldest beyond `most`.
fn keep<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    while queue.len() >= most.max(1) {
        queue.pop_front();
    }
    queue.push_back(item);
}
