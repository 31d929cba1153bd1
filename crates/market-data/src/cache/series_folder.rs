use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use forecastle_core::{Candle, CandleSeries, Timestamp};

use super::manifest::{MANIFEST, Manifest};
use super::segment::{Segment, encode};
use super::{CacheError, CacheFormat, CacheKey, CacheResult, Quarantined, durable};

/// The lock's name; hidden, so that readers of Hive partitions skip it.
const LOCK: &str = ".lock";
/// Ends the names of damaged files, which no reader takes for candles then.
const QUARANTINED: &str = ".quarantined";

/// A fetched range with its candles, not yet in a file.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) covered: Range<Timestamp>,
    pub(crate) candles: Vec<Candle>,
}

/// One series' folder, locked against every other process and thread.
#[derive(Debug)]
pub(crate) struct SeriesFolder<'a> {
    key: &'a CacheKey,
    path: PathBuf,
    format: CacheFormat,
    manifest: Manifest,
    pub(crate) quarantined: Vec<Quarantined>,
    _lock: File,
}

impl<'a> SeriesFolder<'a> {
    /// Locks a folder that exists and reads its manifest.
    ///
    /// `recover` puts right what a killed process left behind.
    pub(crate) fn open(
        key: &'a CacheKey,
        path: PathBuf,
        format: CacheFormat,
        wait: Duration,
        recover: bool,
    ) -> CacheResult<Self> {
        let lock = lock(&path, wait)?;
        let manifest_path = path.join(MANIFEST);
        let (manifest, damage) = match fs::read(&manifest_path) {
            Ok(bytes) => match Manifest::decode(key, &manifest_path, &bytes)? {
                Ok(manifest) => (manifest, None),
                Err(reason) => (Manifest::new(key), Some(reason)),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => (Manifest::new(key), None),
            Err(e) => return Err(CacheError::io("read", &manifest_path, e)),
        };
        let damaged = damage.is_some();
        let mut folder = Self { key, path, format, manifest, quarantined: Vec::new(), _lock: lock };
        if let Some(reason) = damage {
            let beginning = Timestamp::from_millis(0);
            folder.set_aside(MANIFEST, beginning..beginning, reason)?;
        }
        if recover || damaged {
            folder.recover()?;
        }
        Ok(folder)
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Records what the series is made from.
    pub(crate) fn save_metadata(&mut self, metadata: super::SeriesMetadata) -> CacheResult<()> {
        let mut next = self.manifest.clone();
        next.metadata = metadata;
        next.save(&self.path)?;
        self.manifest = next;
        Ok(())
    }

    /// The candles of a segment; `None` when it is damaged, and set aside now.
    pub(crate) fn load(&mut self, segment: &Segment) -> CacheResult<Option<CandleSeries>> {
        match self.read(segment)? {
            Ok(series) => Ok(Some(series)),
            Err(reason) => {
                self.quarantine(segment, reason)?;
                Ok(None)
            }
        }
    }

    /// Whether a segment's file is what was written; otherwise it is set aside now.
    pub(crate) fn verify(&mut self, segment: &Segment) -> CacheResult<bool> {
        let Some(path) = self.path_of(segment) else { return Ok(true) };
        let reason = match fs::read(&path) {
            Ok(bytes) if crc32fast::hash(&bytes) == segment.crc32 => return Ok(true),
            Ok(_) => "the checksum does not match".to_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => "the file is gone".to_owned(),
            Err(e) => return Err(CacheError::io("read", &path, e)),
        };
        self.quarantine(segment, reason)?;
        Ok(false)
    }

    /// Puts pieces in the place of segments; durable when it returns.
    ///
    /// Each piece either shares no time with the segments that stay, or covers those that it
    /// replaces to the millisecond, so that a kill between the files loses nothing.
    pub(crate) fn commit(&mut self, old: &[Segment], new: &[Piece]) -> CacheResult<()> {
        let mut next = self.manifest.clone();
        let mut segments = Vec::with_capacity(new.len());
        for (sequence, piece) in (next.next_sequence..).zip(new) {
            segments.push(self.write(sequence, piece)?);
        }
        if segments.iter().any(|segment| segment.rows > 0) {
            durable::sync_folder(&self.path)?;
        }
        next.replace(old, segments);
        next.save(&self.path)?;
        self.manifest = next;
        for path in old.iter().filter_map(|segment| self.path_of(segment)) {
            durable::remove(&path)?;
        }
        Ok(())
    }

    fn write(&self, sequence: u64, piece: &Piece) -> CacheResult<Segment> {
        let mut segment = Segment {
            sequence,
            since: piece.covered.start,
            until: piece.covered.end,
            rows: piece.candles.len() as u64,
            crc32: 0,
            format: self.format,
        };
        if segment.rows > 0 {
            let bytes = encode(self.format, self.key, &piece.candles)?;
            segment.crc32 = crc32fast::hash(&bytes);
            if let Some(path) = self.path_of(&segment) {
                durable::write_file(&path, &bytes)?;
            }
        }
        Ok(segment)
    }

    fn path_of(&self, segment: &Segment) -> Option<PathBuf> {
        segment.file_name().map(|name| self.path.join(name))
    }

    fn read(&self, segment: &Segment) -> CacheResult<Result<CandleSeries, String>> {
        let (symbol, timeframe) = (self.key.symbol().clone(), self.key.timeframe());
        let Some(path) = self.path_of(segment) else {
            return Ok(Ok(CandleSeries::empty(symbol, timeframe)));
        };
        match fs::read(&path) {
            Ok(bytes) => segment.decode(self.key, &path, bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Err("the file is gone".to_owned())),
            Err(e) => Err(CacheError::io("read", &path, e)),
        }
    }

    /// Takes a damaged segment out of the manifest and its file out of every reader's sight.
    fn quarantine(&mut self, segment: &Segment, reason: String) -> CacheResult<()> {
        let name = segment.file_name().unwrap_or_default();
        self.set_aside(&name, segment.covered(), reason)?;
        let mut next = self.manifest.clone();
        next.replace(std::slice::from_ref(segment), []);
        next.save(&self.path)?;
        self.manifest = next;
        Ok(())
    }

    fn set_aside(
        &mut self,
        name: &str,
        covered: Range<Timestamp>,
        reason: String,
    ) -> CacheResult<()> {
        let path = self.path.join(name);
        let mut file = path.clone();
        if path.exists() {
            let free = |n: &u32| {
                let ending = if *n == 0 { String::new() } else { format!(".{n}") };
                let target = self.path.join(format!("{name}{QUARANTINED}{ending}"));
                (!target.exists()).then_some(target)
            };
            if let Some(target) = (0..1_000).find_map(|n| free(&n)) {
                durable::rename(&path, &target)?;
                file = target;
            }
        }
        self.quarantined.push(Quarantined { file, covered, reason });
        Ok(())
    }

    /// Puts right what a killed process left: unfinished files go, finished ones that the
    /// manifest does not know yet are taken up, and those that it knows no more go.
    fn recover(&mut self) -> CacheResult<()> {
        let mut found: Vec<Segment> = Vec::new();
        for name in names(&self.path)? {
            if name.starts_with('.') && name.ends_with(durable::UNFINISHED) {
                durable::remove(&self.path.join(&name))?;
            } else if let Some(segment) = Segment::from_file_name(&name) {
                found.push(segment);
            }
        }
        found.sort_by_key(|segment| segment.sequence);
        let known = self.manifest.segments().to_vec();
        let mut next = self.manifest.clone();
        let mut superseded: Vec<Segment> = Vec::new();
        for segment in found.iter().filter(|segment| !known.contains(segment)) {
            if segment.sequence < self.manifest.next_sequence {
                superseded.push(segment.clone());
                continue;
            }
            let old = next.overlapping(segment.since, segment.until).to_vec();
            let partly = |old: &Segment| old.since < segment.since || old.until > segment.until;
            let checked = match self.read(segment)? {
                Ok(_) if old.iter().any(partly) => {
                    Err("it covers the time of other files in part".to_owned())
                }
                Ok(_) => Ok(()),
                Err(reason) => Err(reason),
            };
            match checked {
                Ok(()) => {
                    next.replace(&old, [segment.clone()]);
                    superseded.extend(old);
                }
                Err(reason) => {
                    let name = segment.file_name().unwrap_or_default();
                    self.set_aside(&name, segment.covered(), reason)?;
                }
            }
        }
        let gone = |segment: &&Segment| segment.rows > 0 && !found.contains(segment);
        let lost: Vec<Segment> = next.segments().iter().filter(gone).cloned().collect();
        for segment in &lost {
            let (file, covered) = (self.path_of(segment).unwrap_or_default(), segment.covered());
            let reason = "the file is gone".to_owned();
            self.quarantined.push(Quarantined { file, covered, reason });
        }
        next.replace(&lost, []);
        if next != self.manifest {
            next.save(&self.path)?;
            self.manifest = next;
        }
        for path in superseded.iter().filter_map(|segment| self.path_of(segment)) {
            durable::remove(&path)?;
        }
        Ok(())
    }
}

/// The names in a folder that are text, in order.
pub(crate) fn names(path: &Path) -> CacheResult<Vec<String>> {
    let failed = |e| CacheError::io("list", path, e);
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn lock(folder: &Path, wait: Duration) -> CacheResult<File> {
    const PAUSE: Duration = Duration::from_millis(2);
    let path = folder.join(LOCK);
    let failed = |e| CacheError::io("lock", &path, e);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(failed)?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
            Err(TryLockError::WouldBlock) if start.elapsed() >= wait => {
                return Err(CacheError::Locked { path: folder.to_owned(), waited: wait });
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
}
