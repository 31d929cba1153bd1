use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use forecastle_core::{Error, Progress, ProgressEvent, Result};
use forecastle_market_data::{CacheFormat, CandleCache, ReadOptions};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::panel_source::{PanelInput, PanelKey, PanelSource};
use crate::symbol_forecast::reason;
use crate::{PanelRow, PanelSummary, Pipeline, SymbolForecast};

/// Symbols that may be done before one that is not, so that results wait in bounded memory.
const WINDOW: usize = 4_096;

/// Endings of the files that [`Panel::directory`] takes for candles.
const ENDINGS: [&str; 7] = [".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".parquet", ".pq"];

/// Parametrises a [`Panel`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `threads` | all cores | symbols worked on at once; never changes a number | ≥ 1 |
/// | `limit` | none | the last so many candles of each symbol | ≥ 1 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PanelParams {
    /// Symbols worked on at once.
    pub threads: Option<usize>,
    /// The last so many candles of each symbol.
    pub limit: Option<usize>,
}

/// Runs the same work over many symbols on one machine.
///
/// Each symbol is one task of one thread, from reading its file to its result; memory holds as many symbols
/// as there are threads, and results that wait for their turn. A symbol whose file cannot be read,
/// or whose work fails, becomes a result that says why; the others go on.
///
/// Results come in the order of the sources, the same bits on any number of threads.
///
/// # Examples
/// ```
/// use forecastle::market_data::{Simulator, SimulatorParams};
/// use forecastle::{ModelKind, Panel, PanelSource, Pipeline};
///
/// let candles = |seed| Simulator::new(SimulatorParams { seed, n: 600, ..Default::default() });
/// let sources = [PanelSource::series(candles(1)?.series()?), PanelSource::series(candles(2)?.series()?)];
/// let pipeline = Pipeline::builder().models([ModelKind::Ridge]).build()?;
/// let mut rows = Vec::new();
/// let summary = Panel::new(sources).forecast(&pipeline, &(), |row| {
///     rows.push(row);
///     Ok(())
/// })?;
/// assert_eq!((summary.symbols, summary.failed), (2, 0));
/// assert!(rows[0].forecast.row.is_some());
/// # Ok::<(), forecastle::Error>(())
/// ```
///
/// # What is not here
/// Many machines: `forecastle-datafusion` and `forecastle-ballista` do the same work as SQL.
#[derive(Debug, Clone)]
pub struct Panel {
    sources: Vec<PanelSource>,
    params: PanelParams,
}

impl Panel {
    /// Takes the sources in the order in which results shall come.
    pub fn new(sources: impl IntoIterator<Item = PanelSource>) -> Self {
        Self { sources: sources.into_iter().collect(), params: PanelParams::default() }
    }

    /// Takes every file of candles in a folder and the folders below it, by path; or, where the folder is a
    /// download cache (`exchange=…/timeframe=…/symbol=…`), every series of it.
    ///
    /// Files of candles end in `.csv`, `.tsv`, `.txt`, `.csv.gz`, `.tsv.gz`, `.parquet` or `.pq`; hidden
    /// ones and links to folders are left alone.
    ///
    /// # Errors
    /// - [`Error::Component`] when a folder cannot be listed.
    /// - [`Error::InvalidParameter`] when there is no file of candles.
    pub fn directory(root: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        let root = root.as_ref();
        let listed = list(root)?;
        if listed.iter().any(|path| path.is_dir() && name(path).starts_with("exchange=")) {
            let cache = CandleCache::open(root, CacheFormat::Csv);
            let cache = cache.map_err(|e| Error::component("download cache", e))?;
            return Self::cache(&cache);
        }
        let mut files = Vec::new();
        let mut folders = vec![listed];
        while let Some(listed) = folders.pop() {
            for path in listed {
                if path.is_dir() {
                    // A link may lead back up.
                    if !path.is_symlink() {
                        folders.push(list(&path)?);
                    }
                } else if ENDINGS.iter().any(|ending| name(&path).ends_with(ending)) {
                    files.push(path);
                }
            }
        }
        files.sort();
        if files.is_empty() {
            let requirement = "a folder with files of candles";
            return Err(Error::invalid_parameter("directory", requirement, root.display()));
        }
        Ok(Self::new(files.into_iter().map(|path| PanelSource::file(path, options.clone()))))
    }

    /// Takes every series of a download cache.
    ///
    /// # Errors
    /// - [`Error::Component`] when a folder cannot be listed.
    pub fn cache(cache: &CandleCache) -> Result<Self> {
        let keys = cache.keys().map_err(|e| Error::component("download cache", e))?;
        Ok(Self::new(keys.into_iter().map(|key| PanelSource::cached(cache.clone(), key))))
    }

    /// This panel with other parameters.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range.
    pub fn with_params(self, params: PanelParams) -> Result<Self> {
        for (name, value) in [("threads", params.threads), ("limit", params.limit)] {
            if value == Some(0) {
                return Err(Error::invalid_parameter(name, ">= 1", 0));
            }
        }
        Ok(Self { params, ..self })
    }

    /// Number of symbols.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are no symbols.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Fits the pipeline on each symbol and gives the last row of each table to `sink`.
    ///
    /// The pipeline's own number of threads is left aside.
    ///
    /// # Errors
    /// - [`Error::Cancelled`] when `progress` asks to stop.
    /// - [`Error::Component`] when the threads cannot be started.
    /// - What `sink` returns.
    pub fn forecast(
        &self,
        pipeline: &Pipeline,
        progress: &dyn Progress,
        mut sink: impl FnMut(PanelRow) -> Result<()>,
    ) -> Result<PanelSummary> {
        let pipeline = pipeline.on_any_threads();
        let mut summary = PanelSummary::default();
        let work = |input: Result<PanelInput>| match input {
            Ok(input) => SymbolForecast::new(&pipeline, &input.series, input.repairs),
            Err(error) => SymbolForecast::failed(reason(&error)),
        };
        self.map(work, progress, |key, forecast| {
            let row = PanelRow {
                key,
                forecast: forecast.unwrap_or_else(|e| SymbolForecast::failed(reason(&e))),
            };
            summary.count(&row);
            sink(row)
        })?;
        Ok(summary)
    }

    /// Runs any work over each symbol, and gives its results to `sink`, which runs on the caller's thread.
    ///
    /// `work` gets the symbol's candles or why they cannot be read; where it panics, `sink` gets an
    /// error. It runs on a pool of one thread of [rayon] (of more where there are fewer symbols than
    /// threads), so that its own parallel parts do not take up other symbols meanwhile.
    ///
    /// # Errors
    /// - [`Error::Cancelled`] when `progress` asks to stop.
    /// - [`Error::Component`] when the threads cannot be started.
    /// - What `sink` returns.
    ///
    /// # Examples
    /// ```
    /// use forecastle::market_data::{Simulator, SimulatorParams};
    /// use forecastle::{Panel, PanelSource};
    ///
    /// let candles = Simulator::new(SimulatorParams { n: 50, ..Default::default() })?.series()?;
    /// let panel = Panel::new([PanelSource::series(candles)]);
    /// let mut highest = Vec::new();
    /// let work = |input: forecastle::Result<forecastle::PanelInput>| {
    ///     input.map(|input| input.series.view().high().iter().copied().fold(0.0, f64::max))
    /// };
    /// panel.map(work, &(), |key, result| {
    ///     highest.push((key.to_string(), result??));
    ///     Ok(())
    /// })?;
    /// assert_eq!(highest[0].0, "SIMULATED/USDT 1h");
    /// # Ok::<(), forecastle::Error>(())
    /// ```
    pub fn map<T: Send>(
        &self,
        work: impl Fn(Result<PanelInput>) -> T + Sync,
        progress: &dyn Progress,
        mut sink: impl FnMut(PanelKey, Result<T>) -> Result<()>,
    ) -> Result<()> {
        let threads = self.params.threads.unwrap_or_else(rayon::current_num_threads).max(1);
        let workers = threads.min(self.len()).max(1);
        let pools: Vec<ThreadPool> = (0..workers)
            .map(|_| ThreadPoolBuilder::new().num_threads(threads / workers).build())
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| Error::component("thread pool", e))?;
        let queue = Queue::new(self.len());
        thread::scope(|scope| {
            let (results, finished) = channel();
            for pool in &pools {
                let (results, queue, work) = (results.clone(), &queue, &work);
                scope.spawn(move || self.serve(pool, queue, work, &results));
            }
            drop(results);
            // However this ends, the workers must not wait for more.
            let stop = Stop(&queue);
            let mut waiting = BTreeMap::new();
            let mut next = 0;
            progress.update(&ProgressEvent::new("symbols", 0, Some(self.len() as u64)));
            for (index, result) in finished {
                waiting.insert(index, result);
                while let Some((key, result)) = waiting.remove(&next) {
                    sink(key, result)?;
                    next += 1;
                    queue.delivered(next);
                }
                let (done, total) = ((next + waiting.len()) as u64, Some(self.len() as u64));
                progress.update(&ProgressEvent::new("symbols", done, total));
                if progress.is_cancelled() {
                    return Err(Error::Cancelled);
                }
            }
            drop(stop);
            Ok(())
        })
    }

    /// Works on symbol after symbol, until there are no more or nobody listens.
    fn serve<T: Send>(
        &self,
        pool: &ThreadPool,
        queue: &Queue,
        work: &(impl Fn(Result<PanelInput>) -> T + Sync),
        results: &Sender<(usize, (PanelKey, Result<T>))>,
    ) {
        while let Some((index, source)) =
            queue.take().and_then(|index| Some((index, self.sources.get(index)?)))
        {
            let (key, read) = source.load();
            let input = read.map(|input| match self.params.limit {
                Some(limit) if limit < input.series.len() => {
                    PanelInput { series: input.series.tail(limit), ..input }
                }
                _ => input,
            });
            // The work holds nothing that outlives it.
            let result = catch_unwind(AssertUnwindSafe(|| pool.install(|| work(input))));
            let result = result.map_err(|_| Error::component("the work on a symbol", Panicked));
            if results.send((index, (key, result))).is_err() {
                break;
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("panicked; the panic's message went to standard error")]
struct Panicked;

/// Hands out symbols, not too far ahead of the results that were taken.
struct Queue {
    state: Mutex<State>,
    moved: Condvar,
    length: usize,
}

#[derive(Default)]
struct State {
    next: usize,
    delivered: usize,
    stopped: bool,
}

impl Queue {
    fn new(length: usize) -> Self {
        Self { state: Mutex::default(), moved: Condvar::new(), length }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<usize> {
        let ahead = |state: &mut State| {
            !state.stopped && state.next < self.length && state.next - state.delivered >= WINDOW
        };
        let waited = self.moved.wait_while(self.state(), ahead);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let index = state.next;
        (!state.stopped && index < self.length).then(|| {
            state.next += 1;
            index
        })
    }

    fn delivered(&self, count: usize) {
        self.state().delivered = count;
        self.moved.notify_all();
    }
}

/// Stops the workers when it goes.
struct Stop<'a>(&'a Queue);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.state().stopped = true;
        self.0.moved.notify_all();
    }
}

/// What a folder holds, without hidden entries.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e: std::io::Error| {
        Error::component("listing candles", ListFailure { folder: folder.to_owned(), source: e })
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    Ok(paths)
}

#[derive(Debug, thiserror::Error)]
#[error("{}", folder.display())]
struct ListFailure {
    folder: PathBuf,
    source: std::io::Error,
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}
