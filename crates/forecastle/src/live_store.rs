use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use forecastle_core::{Artifact, Candle, Error, RawCandle, Result, Timestamp};

use crate::{LivePipeline, RefitEvent};

/// Bytes of a candle in the journal: six numbers and their CRC-32.
const RECORD: usize = 6 * 8 + 4;
/// Candles in the journal after which the whole state is written anew.
const MOST_RECORDS: usize = 1_000;
/// The largest state that is read.
const MOST_BYTES: u64 = 1 << 32;

/// Keeps a [`LivePipeline`] on disk, so that a process that is killed at any moment goes on where it
/// stood.
///
/// The file holds the whole state as of some candle, replaced in one step; beside it, under the same
/// name with `.journal` behind it, lie the candles since. A candle costs one small write, not a copy of
/// all models. Opening takes the journal's candles again, which gives the same bits.
///
/// One process at a time: the journal is locked. What is written survives the process; what also has to
/// survive a power cut wants [`with_sync`](Self::with_sync). The counters of candles that were passed
/// over or refused are as of the last whole state.
///
/// # Examples
/// ```
/// use forecastle::market_data::{Simulator, SimulatorParams};
/// use forecastle::{LiveParams, LivePipeline, LiveStore, Pipeline};
///
/// let candles = Simulator::new(SimulatorParams { n: 40, ..Default::default() })?.series()?;
/// let fitted = Pipeline::builder().models([]).build()?.fit(&candles.slice(0..30))?;
/// let folder = tempfile::tempdir().expect("a folder");
/// let path = folder.path().join("btc.live");
///
/// let mut live = LivePipeline::new(fitted, LiveParams::default())?;
/// let mut store = LiveStore::create(&path, &live)?;
/// for candle in candles.view().iter() {
///     if live.update(candle)?.is_some() {
///         store.record(&live, &candle)?;
///     }
/// }
/// drop(store);
/// // Whatever had happened instead: the next process has all 40.
/// let (_, resumed) = LiveStore::open(&path)?.expect("a state is there");
/// assert_eq!(resumed.data(), live.data());
/// # Ok::<(), forecastle::Error>(())
/// ```
#[derive(Debug)]
pub struct LiveStore {
    path: PathBuf,
    journal: File,
    records: usize,
    sync: bool,
}

impl LiveStore {
    /// Writes the pipeline's state, in place of any that is there.
    ///
    /// # Errors
    /// - [`Error::Component`] when a file cannot be written, or another process keeps its state there.
    /// - [`Error::Artifact`] when a model cannot be written.
    pub fn create(path: &Path, live: &LivePipeline) -> Result<Self> {
        let journal = locked_journal(path)?;
        let mut store = Self { path: path.to_owned(), journal, records: 0, sync: false };
        store.checkpoint(live)?;
        Ok(store)
    }

    /// Reads the state that is there and goes on with it; `None` where there is no file.
    ///
    /// A record that was cut off while it was written is dropped: its candle was not taken yet, or will
    /// be brought again.
    ///
    /// # Errors
    /// - [`Error::Component`] when a file cannot be read, or another process keeps its state there.
    /// - [`Error::Artifact`] when a file is damaged, foreign or of another version.
    /// - As [`LivePipeline::update`].
    pub fn open(path: &Path) -> Result<Option<(Self, LivePipeline)>> {
        if !path.try_exists().map_err(failed)? {
            return Ok(None);
        }
        let journal = locked_journal(path)?;
        let Some(bytes) = read(path)? else {
            return Ok(None);
        };
        let mut live = LivePipeline::load(&Artifact::from_bytes(&bytes)?)?;
        let records = read(&journal_of(path))?.unwrap_or_default();
        let whole = records.len() / RECORD * RECORD;
        let until = live.last_open_time();
        for (i, record) in records.chunks_exact(RECORD).enumerate() {
            let Some(candle) = decoded(record) else {
                if (i + 1) * RECORD == whole {
                    break;
                }
                return Err(Error::artifact(format!("record {i} of the journal is damaged")));
            };
            // The state was written and the journal not yet emptied.
            if until.is_none_or(|until| candle.open_time() > until) {
                live.replay(candle)?;
            }
        }
        let mut store = Self { path: path.to_owned(), journal, records: 0, sync: false };
        store.checkpoint(&live)?;
        Ok(Some((store, live)))
    }

    /// Has every write wait until the disk has it.
    pub fn with_sync(self) -> Self {
        Self { sync: true, ..self }
    }

    /// Notes the candle that the pipeline has just taken.
    ///
    /// # Errors
    /// - [`Error::Component`] when it cannot be written.
    pub fn record(&mut self, live: &LivePipeline, candle: &Candle) -> Result<()> {
        if self.records >= MOST_RECORDS {
            return self.checkpoint(live);
        }
        if let Err(error) = self.journal.write_all(&encoded(candle)) {
            // A record of which only a part was written would put all after it out of step.
            let length = u64::try_from(self.records * RECORD).unwrap_or(u64::MAX);
            self.journal.set_len(length).map_err(failed)?;
            return Err(failed(error));
        }
        if self.sync {
            self.journal.sync_data().map_err(failed)?;
        }
        self.records += 1;
        Ok(())
    }

    /// Notes a step: its candle, or the whole state where other models took over with it.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn record_step(&mut self, live: &LivePipeline, step: &crate::Step) -> Result<()> {
        match step.refit {
            // When that happens again is not for the journal to say.
            Some(RefitEvent::Swapped(_) | RefitEvent::Failed(_)) => self.checkpoint(live),
            _ => self.record(live, &step.row.structure.candle),
        }
    }

    /// Writes the whole state and empties the journal.
    ///
    /// # Errors
    /// - [`Error::Component`] when it cannot be written; what was there before is still there.
    pub fn checkpoint(&mut self, live: &LivePipeline) -> Result<()> {
        let bytes = live.save()?.to_bytes()?;
        let beside = with_suffix(&self.path, ".new");
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&beside)?;
            file.write_all(&bytes)?;
            // Before the name is taken: a rename must not come before the content.
            file.sync_all()?;
            std::fs::rename(&beside, &self.path)?;
            if self.sync { sync_folder(&self.path) } else { Ok(()) }
        };
        write().map_err(failed)?;
        self.journal.set_len(0).map_err(failed)?;
        self.records = 0;
        Ok(())
    }

    /// Where the state is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The journal, for this process alone.
fn locked_journal(path: &Path) -> Result<File> {
    let options = OpenOptions::new().read(true).append(true).create(true).to_owned();
    let journal = options.open(journal_of(path)).map_err(failed)?;
    match journal.try_lock() {
        Ok(()) => Ok(journal),
        Err(TryLockError::WouldBlock) => {
            let reason = format!("another process keeps its state in {}", path.display());
            Err(Error::component("live state", reason))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Has a name survive a power cut.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    // Elsewhere a folder cannot be opened.
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn journal_of(path: &Path) -> PathBuf {
    with_suffix(path, ".journal")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn failed(error: std::io::Error) -> Error {
    Error::component("live state", error)
}

/// The bytes of a file; `None` where there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

fn encoded(candle: &Candle) -> [u8; RECORD] {
    let raw = RawCandle::from(*candle);
    let mut record = [0; RECORD];
    let prices = [raw.open, raw.high, raw.low, raw.close, raw.volume].map(f64::to_le_bytes);
    let time = raw.open_time.as_millis().to_le_bytes();
    let numbers = std::iter::once(time).chain(prices);
    for (to, from) in record.chunks_exact_mut(8).zip(numbers) {
        to.copy_from_slice(&from);
    }
    let (content, checksum) = record.split_at_mut(RECORD - 4);
    checksum.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
    record
}

fn decoded(record: &[u8]) -> Option<Candle> {
    let (content, checksum) = record.split_at_checked(RECORD - 4)?;
    if checksum != crc32fast::hash(content).to_le_bytes() {
        return None;
    }
    let number = |i: usize| content.get(8 * i..8 * i + 8)?.try_into().ok();
    let price = |i: usize| number(i).map(f64::from_le_bytes);
    let open_time = Timestamp::from_millis(i64::from_le_bytes(number(0)?));
    Candle::new(open_time, price(1)?, price(2)?, price(3)?, price(4)?, price(5)?).ok()
}
