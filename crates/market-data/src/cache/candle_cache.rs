use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forecastle_core::{Candle, CandleSeries, Error, RepairReport, Timestamp};

use super::append::{append, check_page, merge_groups, read, read_back, within};
use super::coverage::{Coverage, intersection};
use super::finished::finished;
use super::series_folder::{SeriesFolder, names};
use super::{
    AppendReport, CacheError, CacheFormat, CacheKey, CacheResult, CachedCandles, Quarantined,
    SeriesMetadata, SeriesSummary, compaction, durable,
};

/// Keeps fetched candles in files, so that each is fetched once.
///
/// Every series ([`CacheKey`]) has a folder with segment files, written once and never changed,
/// and a manifest that says which of them count, what range of time each covers and its checksum.
///
/// # Contract
/// - **Coverage** is what was fetched, not what was found: a range without candles is known to be
///   empty once a page has covered it, and a range that was never asked for is
///   [`missing`](Self::missing), even between candles.
/// - **Durable**: when [`append`](Self::append) returns, the page survives a kill and a power cut.
///   A process killed at any instant leaves the state before or after a page; leftovers are put
///   right when the series is next opened.
/// - **Never a wrong number**: a file whose checksum or contents are not as written is renamed to
///   `….quarantined`, reported, and its range is missing again.
/// - **Closed candles only**: a candle that had not closed at the given `now` is not stored, nor
///   is its time covered; and nothing at the newest end counts as known to be empty before it is
///   a day old.
/// - **Disjoint files**: no candle stands in two files, so other tools can read the folder tree as
///   a Hive-partitioned data set.
/// - **One at a time**: each call locks the series it works on against all threads and processes.
///   Others wait for it, at most [`with_lock_wait`](Self::with_lock_wait).
///
/// A cache is cheap to clone and may be used from any thread. The calls block for the time of small
/// file operations.
///
/// # Examples
/// ```
/// use forecastle_core::Timestamp;
/// use forecastle_market_data::{CacheFormat, CacheKey, CandleCache, Simulator, SimulatorParams};
///
/// # let folder = tempfile::tempdir()?;
/// let cache = CandleCache::open(folder.path(), CacheFormat::Csv)?;
/// let series = Simulator::new(SimulatorParams { n: 100, ..Default::default() })?.series()?;
/// let key = CacheKey::new("simulator", series.symbol().clone(), series.timeframe())?;
/// let (since, until) = ("2024-01-01".parse::<Timestamp>()?, "2024-01-02".parse::<Timestamp>()?);
///
/// let page: Vec<_> = series.view().iter().take(24).collect();
/// let report = cache.append(&key, since..until, &page, "2024-06-01".parse()?)?;
/// assert_eq!(report.stored, 24);
/// let next_day = "2024-01-03".parse()?;
/// assert_eq!(cache.missing(&key, since..next_day)?, [until..next_day]);
/// assert_eq!(cache.read(&key, since..until)?.series, series.slice(0..24));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What is not here
/// Nothing expires, and nothing is ever deleted that was fetched and is whole. To fetch anew,
/// remove a series' folder.
#[derive(Debug, Clone)]
pub struct CandleCache {
    root: PathBuf,
    format: CacheFormat,
    segment_rows: usize,
    lock_wait: Duration,
    /// Folders in which leftovers of a killed process were looked for.
    recovered: Arc<Mutex<BTreeSet<PathBuf>>>,
}

/// The first candles of a range, what of the range is not covered, and damaged files.
#[derive(Debug)]
pub(crate) struct FirstCandles {
    pub(crate) candles: Vec<Candle>,
    pub(crate) uncovered: Vec<Range<Timestamp>>,
    quarantined: Vec<Quarantined>,
}

impl CandleCache {
    /// Candles in a full segment file, by default.
    pub const SEGMENT_ROWS: usize = 131_072;
    /// How long a call waits for another process, by default.
    pub const LOCK_WAIT: Duration = Duration::from_secs(30);

    /// Opens a cache in a folder, which is made where it does not exist.
    ///
    /// New files are written in the given format; those in the other are read all the same.
    ///
    /// # Errors
    /// - [`CacheError::Io`] when the folder cannot be made.
    /// - [`CacheError::FormatDisabled`] for Parquet in a build without the feature.
    pub fn open(root: impl Into<PathBuf>, format: CacheFormat) -> CacheResult<Self> {
        let root = root.into();
        if !format.is_supported() {
            return Err(CacheError::FormatDisabled { path: root });
        }
        fs::create_dir_all(&root).map_err(|e| CacheError::io("create", &root, e))?;
        Ok(Self {
            root,
            format,
            segment_rows: Self::SEGMENT_ROWS,
            lock_wait: Self::LOCK_WAIT,
            recovered: Arc::default(),
        })
    }

    /// This cache with at least so many candles in a full segment file, fewer than twice as many.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] unless `segment_rows` is between 1 and 10,000,000.
    pub fn with_segment_rows(self, segment_rows: usize) -> CacheResult<Self> {
        if !(1..=10_000_000).contains(&segment_rows) {
            let requirement = "between 1 and 10000000";
            return Err(Error::invalid_parameter("segment_rows", requirement, segment_rows).into());
        }
        Ok(Self { segment_rows, ..self })
    }

    /// This cache with another patience for series that other processes use.
    pub fn with_lock_wait(self, lock_wait: Duration) -> Self {
        Self { lock_wait, ..self }
    }

    /// The cache's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The format of new files.
    pub fn format(&self) -> CacheFormat {
        self.format
    }

    /// The series that the cache holds, in the order of their folders' names.
    ///
    /// # Errors
    /// - [`CacheError::Io`] when a folder cannot be listed.
    pub fn keys(&self) -> CacheResult<Vec<CacheKey>> {
        let mut keys = Vec::new();
        for exchange in folders(&self.root)? {
            let path = self.root.join(&exchange);
            for timeframe in folders(&path)? {
                let path = path.join(&timeframe);
                for symbol in folders(&path)? {
                    keys.extend(CacheKey::from_folder_names([&exchange, &timeframe, &symbol]));
                }
            }
        }
        Ok(keys)
    }

    /// Records what a series is made from, before or after its first page.
    ///
    /// # Errors
    /// - [`CacheError::Mismatch`] when another volume unit or host is recorded.
    /// - Those of [`append`](Self::append).
    pub fn describe(&self, key: &CacheKey, metadata: &SeriesMetadata) -> CacheResult<()> {
        self.in_new_folder(key, |folder| {
            let recorded = &folder.manifest().metadata;
            let both =
                |what, recorded: &Option<String>, given: &Option<String>| match (recorded, given) {
                    (Some(recorded), Some(given)) if recorded != given => {
                        Err(CacheError::Mismatch {
                            series: key.to_string(),
                            what,
                            recorded: recorded.clone(),
                            given: given.clone(),
                        })
                    }
                    (recorded, given) => Ok(recorded.clone().or_else(|| given.clone())),
                };
            let next = SeriesMetadata {
                volume_unit: both("volume unit", &recorded.volume_unit, &metadata.volume_unit)?,
                source_host: both("source", &recorded.source_host, &metadata.source_host)?,
            };
            if next != *recorded { folder.save_metadata(next) } else { Ok(()) }
        })
    }

    /// What the cache holds of a series; `None` for nothing.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn summary(&self, key: &CacheKey) -> CacheResult<Option<SeriesSummary>> {
        self.in_folder(key, |folder| {
            let manifest = folder.manifest();
            let segments = manifest.segments();
            Ok(SeriesSummary {
                metadata: manifest.metadata.clone(),
                covered: manifest.coverage().into_ranges(),
                rows: segments.iter().map(|segment| segment.rows).sum(),
                files: segments.iter().filter(|segment| segment.rows > 0).count(),
            })
        })
    }

    /// The parts of a range that were never fetched, in increasing time.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn missing(
        &self,
        key: &CacheKey,
        wanted: Range<Timestamp>,
    ) -> CacheResult<Vec<Range<Timestamp>>> {
        Ok(self.coverage(key)?.missing(&wanted))
    }

    pub(crate) fn coverage(&self, key: &CacheKey) -> CacheResult<Coverage> {
        let coverage = self.in_folder(key, |folder| Ok(folder.manifest().coverage()))?;
        Ok(coverage.unwrap_or_default())
    }

    /// Stores a fetched page; durable when it returns.
    ///
    /// `covered` is the range that the page answers for: all candles that exist in it are in
    /// `candles`, in increasing time. Of a candle that the cache has already the new numbers
    /// stand. Candles that had not closed at `now`, when the page was asked for, are left out, and
    /// the range is cut to what is final then.
    ///
    /// Small neighbouring files are merged now and then. An error may come from that, after the
    /// page was stored; to append it again does no harm.
    ///
    /// # Errors
    /// - [`CacheError::Invalid`] for candles out of order or outside `covered`.
    /// - [`CacheError::Locked`] when another process uses the series for too long.
    /// - [`CacheError::NewerVersion`], [`CacheError::Foreign`] for a folder that is not this
    ///   build's to change.
    /// - [`CacheError::Io`] when a file cannot be read or written.
    pub fn append(
        &self,
        key: &CacheKey,
        covered: Range<Timestamp>,
        candles: &[Candle],
        now: Timestamp,
    ) -> CacheResult<AppendReport> {
        check_page(&covered, candles)?;
        let page = finished(covered, candles, key.timeframe(), now);
        let mut report = AppendReport {
            covered: page.covered,
            stored: 0,
            revised: 0,
            unchanged: 0,
            unfinished: page.unfinished,
            quarantined: Vec::new(),
        };
        if report.covered.is_empty() {
            return Ok(report);
        }
        self.in_new_folder(key, |folder| {
            let counts = append(folder, &report.covered, page.candles, self.segment_rows)?;
            (report.stored, report.revised) = (counts.stored, counts.revised);
            report.unchanged = counts.unchanged;
            loop {
                let segments = folder.manifest().segments();
                let groups = compaction::due(segments, self.segment_rows as u64);
                if groups.is_empty() {
                    break;
                }
                merge_groups(folder, groups)?;
            }
            report.quarantined = std::mem::take(&mut folder.quarantined);
            Ok(report)
        })
    }

    /// Reads the candles of a range, and says which parts of it were never fetched.
    ///
    /// # Errors
    /// - [`CacheError::Locked`] when another process uses the series for too long.
    /// - [`CacheError::NewerVersion`], [`CacheError::Foreign`] for a folder that is not this
    ///   build's to read.
    /// - [`CacheError::FormatDisabled`] for Parquet files in a build without the feature.
    /// - [`CacheError::Io`] when a file cannot be read, or a damaged one not renamed.
    pub fn read(&self, key: &CacheKey, wanted: Range<Timestamp>) -> CacheResult<CachedCandles> {
        let found = self.read_first(key, &wanted, usize::MAX)?;
        let (symbol, timeframe) = (key.symbol().clone(), key.timeframe());
        let series = CandleSeries::from_candles(symbol, timeframe, found.candles)?;
        let mut report = RepairReport::default();
        (report.rows_in, report.rows_out) = (series.len(), series.len());
        (report.gaps, report.missing) = series.gaps();
        let FirstCandles { uncovered, quarantined, .. } = found;
        Ok(CachedCandles { series, report, uncovered, quarantined })
    }

    /// The first candles of a range.
    pub(crate) fn read_first(
        &self,
        key: &CacheKey,
        wanted: &Range<Timestamp>,
        most: usize,
    ) -> CacheResult<FirstCandles> {
        let found = self.in_folder(key, |folder| {
            let candles = read(folder, wanted, most)?;
            let uncovered = folder.manifest().coverage().missing(wanted);
            let quarantined = std::mem::take(&mut folder.quarantined);
            Ok(FirstCandles { candles, uncovered, quarantined })
        })?;
        Ok(found.unwrap_or_else(|| FirstCandles {
            candles: Vec::new(),
            uncovered: Coverage::default().missing(wanted),
            quarantined: Vec::new(),
        }))
    }

    /// The last candles before an instant, as far back as the cache knows without a hole.
    pub(crate) fn read_back(
        &self,
        key: &CacheKey,
        until: Timestamp,
        most: usize,
    ) -> CacheResult<Vec<Candle>> {
        let found = self.in_folder(key, |folder| read_back(folder, until, most))?;
        Ok(found.unwrap_or_default())
    }

    /// Checks the files of a range against their checksums, and counts the candles in the range.
    pub(crate) fn verify(
        &self,
        key: &CacheKey,
        wanted: &Range<Timestamp>,
    ) -> CacheResult<(usize, Vec<Quarantined>)> {
        let counted = self.in_folder(key, |folder| {
            let mut rows = 0;
            for segment in folder.manifest().overlapping(wanted.start, wanted.end).to_vec() {
                let part = intersection(&segment.covered(), wanted);
                if part == Some(segment.covered()) {
                    if folder.verify(&segment)? {
                        rows += usize::try_from(segment.rows).unwrap_or(usize::MAX);
                    }
                } else if let (Some(series), Some(part)) = (folder.load(&segment)?, part) {
                    let candles: Vec<Candle> = series.view().iter().collect();
                    rows += within(&candles, &part).len();
                }
            }
            Ok((rows, std::mem::take(&mut folder.quarantined)))
        })?;
        Ok(counted.unwrap_or_default())
    }

    /// Merges the files of a series into as few as may be, all in the cache's format.
    ///
    /// [`append`](Self::append) keeps the number of files small by itself; this is for a series
    /// that is complete, or that changes its format.
    ///
    /// # Errors
    /// Those of [`append`](Self::append).
    pub fn compact(&self, key: &CacheKey) -> CacheResult<()> {
        self.in_folder(key, |folder| {
            let segments = folder.manifest().segments();
            let groups = compaction::thorough(segments, self.segment_rows as u64, self.format);
            merge_groups(folder, groups)
        })?;
        Ok(())
    }

    /// Works on a series' folder under its lock; `None` where there is none.
    fn in_folder<T>(
        &self,
        key: &CacheKey,
        work: impl FnOnce(&mut SeriesFolder<'_>) -> CacheResult<T>,
    ) -> CacheResult<Option<T>> {
        let relative = key.folder();
        let path = self.root.join(&relative);
        if !path.is_dir() {
            return Ok(None);
        }
        let recovered = || self.recovered.lock().unwrap_or_else(PoisonError::into_inner);
        // A failure leaves a folder as a kill does, so it is looked through again then.
        let recover = !recovered().remove(&relative);
        let opened = SeriesFolder::open(key, path, self.format, self.lock_wait, recover);
        let done = opened.and_then(|mut folder| work(&mut folder))?;
        recovered().insert(relative);
        Ok(Some(done))
    }

    /// Works on a series' folder under its lock, making it first where there is none.
    fn in_new_folder<T>(
        &self,
        key: &CacheKey,
        work: impl FnOnce(&mut SeriesFolder<'_>) -> CacheResult<T>,
    ) -> CacheResult<T> {
        let path = self.root.join(key.folder());
        if !path.is_dir() {
            durable::make_folders(&self.root, &path)?;
        }
        match self.in_folder(key, work)? {
            Some(done) => Ok(done),
            None => {
                let vanished = std::io::ErrorKind::NotFound.into();
                Err(CacheError::io("open", &path, vanished))
            }
        }
    }
}

fn folders(path: &Path) -> CacheResult<Vec<String>> {
    let mut names = names(path)?;
    names.retain(|name| path.join(name).is_dir());
    Ok(names)
}
