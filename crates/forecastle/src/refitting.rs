use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use forecastle_core::{Candle, CandleSeries, Error, Progress, ProgressEvent, Result};

use thread_priority::{ThreadPriority, set_current_thread_priority};
use tracing::debug;

use crate::FittedPipeline;
use crate::forecaster::Forecaster;
use crate::swap::{RecentSkill, Told, recent_skill};

/// What a fit in the background needs to know.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) previous: Arc<FittedPipeline>,
    /// The newest candles when it was begun.
    pub(crate) candles: Arc<CandleSeries>,
    /// What the models that serve said of them.
    pub(crate) served: VecDeque<Told>,
    pub(crate) warm_start: bool,
}

/// Models that are ready to take over.
#[derive(Debug)]
pub(crate) struct Refitted {
    pub(crate) fitted: Arc<FittedPipeline>,
    pub(crate) forecaster: Option<Forecaster>,
    pub(crate) skill: Option<RecentSkill>,
}

/// A fit in the background. It catches up with the candles that arrive meanwhile, so that taking over
/// costs no more than an update; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Refitting {
    shared: Arc<Shared>,
    candles: Arc<CandleSeries>,
    served: VecDeque<Told>,
    /// Every candle since it was begun.
    since: Vec<Candle>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    done: Condvar,
    cancelled: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Candles that the new models have not taken yet.
    arrived: VecDeque<Candle>,
    outcome: Option<Result<Refitted>>,
}

impl Refitting {
    /// Begins, behind all others that wait for the same threads.
    pub(crate) fn begin(job: Job) -> Self {
        let shared = Arc::new(Shared::default());
        let (candles, served) = (Arc::clone(&job.candles), job.served.clone());
        let theirs = Arc::clone(&shared);
        let work = move || theirs.run(&job);
        match threads() {
            Some(pool) => pool.spawn_fifo(work),
            None => work(),
        }
        Self { shared, candles, served, since: Vec::new() }
    }

    /// What it fits on.
    pub(crate) fn candles(&self) -> &CandleSeries {
        &self.candles
    }

    /// What the models that serve said of it.
    pub(crate) fn served(&self) -> &VecDeque<Told> {
        &self.served
    }

    /// The candles since it was begun.
    pub(crate) fn since(&self) -> &[Candle] {
        &self.since
    }

    /// Hands a candle on that the models which serve have taken.
    pub(crate) fn push(&mut self, candle: Candle) {
        self.since.push(candle);
        self.shared.lock().arrived.push_back(candle);
    }

    /// The new models once they are ready, caught up; `wait`: until they are.
    pub(crate) fn take(&self, wait: bool) -> Option<Result<Refitted>> {
        let mut state = self.shared.lock();
        while wait && state.outcome.is_none() {
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let outcome = state.outcome.take()?;
        let late = std::mem::take(&mut state.arrived);
        drop(state);
        Some(outcome.and_then(|mut refitted| {
            if let Some(forecaster) = &mut refitted.forecaster {
                late.iter().try_for_each(|candle| forecaster.update(candle).map(drop))?;
            }
            Ok(refitted)
        }))
    }
}

impl Drop for Refitting {
    fn drop(&mut self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, job: &Job) {
        let fitted = catch_unwind(AssertUnwindSafe(|| self.fit(job)));
        let outcome = fitted.unwrap_or_else(|_| Err(Error::component("refit", "it panicked")));
        let caught_up = outcome.and_then(|refitted| self.catch_up(refitted));
        let Some(outcome) = caught_up.transpose() else {
            return;
        };
        let mut state = self.lock();
        state.outcome = Some(outcome);
        drop(state);
        self.done.notify_all();
    }

    fn fit(&self, job: &Job) -> Result<Refitted> {
        let Job { previous, candles, served, warm_start } = job;
        let pipeline = previous.pipeline();
        let start = warm_start.then_some(previous.as_ref());
        let fitted = Arc::new(pipeline.refit(candles, start, &Cancelled(&self.cancelled))?);
        let mut forecaster = Forecaster::new(Arc::clone(&fitted))?;
        if let Some(forecaster) = &mut forecaster {
            candles.view().iter().try_for_each(|candle| forecaster.update(&candle).map(drop))?;
        }
        let history = fitted.learned().map_or(&[][..], |learned| &learned.memory.history);
        let skill = recent_skill(candles, pipeline.config().horizon, served, history);
        Ok(Refitted { fitted, forecaster, skill })
    }

    /// Takes the candles that arrived; `None` when nobody waits any more. The outcome is left in place
    /// in the same breath in which there are none left, so that none can be missed.
    fn catch_up(&self, mut refitted: Refitted) -> Result<Option<Refitted>> {
        loop {
            if self.cancelled.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let mut state = self.lock();
            let Some(candle) = state.arrived.pop_front() else {
                state.outcome = Some(Ok(refitted));
                drop(state);
                self.done.notify_all();
                return Ok(None);
            };
            drop(state);
            if let Some(forecaster) = &mut refitted.forecaster {
                forecaster.update(&candle)?;
            }
        }
    }
}

/// The threads of all fits in the background: every core but one, which is left to live updates, and
/// behind them in the queue for any core.
fn threads() -> Option<&'static rayon::ThreadPool> {
    static POOL: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();
    let build = || {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let builder = rayon::ThreadPoolBuilder::new().num_threads(cores.saturating_sub(1).max(1));
        let builder = builder.thread_name(|i| format!("refit-{i}")).start_handler(|_| {
            if let Err(error) = set_current_thread_priority(ThreadPriority::Min) {
                debug!(%error, "fits in the background run at the usual priority");
            }
        });
        builder.build().ok()
    };
    POOL.get_or_init(build).as_ref()
}

/// Stops a fit when nobody waits for it any more.
struct Cancelled<'a>(&'a AtomicBool);

impl Progress for Cancelled<'_> {
    fn update(&self, _event: &ProgressEvent<'_>) {}

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
