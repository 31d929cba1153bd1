use std::path::Path;

use forecastle_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::coverage::Coverage;
use super::segment::Segment;
use super::{CacheError, CacheKey, CacheResult, SeriesMetadata, durable};

/// The manifest's name in a series' folder; readers of Hive partitions skip a leading `_`.
pub(crate) const MANIFEST: &str = "_manifest.json";
const FORMAT: &str = "forecastle-candle-cache";
/// The format's version; see [`CacheError::NewerVersion`].
const VERSION: u64 = 1;

/// Says which files of a folder count, and what time they cover.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    exchange: String,
    symbol: String,
    timeframe: String,
    pub(crate) metadata: SeriesMetadata,
    /// The number of the next file.
    pub(crate) next_sequence: u64,
    /// Disjoint, in increasing time.
    segments: Vec<Segment>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    version: u64,
    /// CRC-32 of the manifest as it is written here.
    crc32: u32,
    manifest: Manifest,
}

/// What every version of the format begins with.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

impl Manifest {
    pub(crate) fn new(key: &CacheKey) -> Self {
        Self {
            exchange: key.exchange().to_owned(),
            symbol: key.symbol().to_string(),
            timeframe: key.timeframe().to_string(),
            metadata: SeriesMetadata::default(),
            next_sequence: 0,
            segments: Vec::new(),
        }
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn coverage(&self) -> Coverage {
        self.segments.iter().map(Segment::covered).collect()
    }

    /// The segments that share time with a range.
    pub(crate) fn overlapping(&self, since: Timestamp, until: Timestamp) -> &[Segment] {
        let from = self.segments.partition_point(|segment| segment.until <= since);
        let to = self.segments.partition_point(|segment| segment.since < until);
        self.segments.get(from..to).unwrap_or_default()
    }

    /// Takes segments out and puts others in.
    pub(crate) fn replace(&mut self, old: &[Segment], new: impl IntoIterator<Item = Segment>) {
        self.segments.retain(|segment| !old.contains(segment));
        for segment in new {
            self.next_sequence = self.next_sequence.max(segment.sequence.saturating_add(1));
            self.segments.push(segment);
        }
        self.segments.sort_by_key(|segment| segment.since);
    }

    /// Understands a manifest's bytes; `Ok(Err(…))` says what is wrong with damaged ones.
    pub(crate) fn decode(
        key: &CacheKey,
        path: &Path,
        bytes: &[u8],
    ) -> CacheResult<Result<Self, String>> {
        let head: Head = match serde_json::from_slice(bytes) {
            Ok(head) => head,
            Err(e) => return Ok(Err(e.to_string())),
        };
        if head.format != FORMAT {
            return Ok(Err(format!("its format is {:?}, not {FORMAT:?}", head.format)));
        }
        if head.version > VERSION {
            let (found, supported) = (head.version, VERSION);
            return Err(CacheError::NewerVersion { path: path.to_owned(), found, supported });
        }
        let document: Document = match serde_json::from_slice(bytes) {
            Ok(document) => document,
            Err(e) => return Ok(Err(e.to_string())),
        };
        let manifest = document.manifest;
        // Whole numbers and texts are written as they were read, so this is the same text.
        if serde_json::to_vec(&manifest).map(|text| crc32fast::hash(&text)).ok()
            != Some(document.crc32)
        {
            return Ok(Err("the checksum does not match".to_owned()));
        }
        let ordered = manifest.segments.windows(2).all(|pair| match pair {
            [a, b] => a.until <= b.since,
            _ => false,
        });
        if !ordered || manifest.segments.iter().any(|segment| segment.covered().is_empty()) {
            return Ok(Err("its segments overlap".to_owned()));
        }
        if !manifest.is_of(key) {
            let found = format!("{} {} {}", manifest.exchange, manifest.symbol, manifest.timeframe);
            let (path, expected) = (path.to_owned(), key.to_string());
            return Err(CacheError::Foreign { path, found, expected });
        }
        Ok(Ok(manifest))
    }

    fn is_of(&self, key: &CacheKey) -> bool {
        self.exchange == key.exchange()
            && self.symbol == key.symbol().to_string()
            && self.timeframe == key.timeframe().to_string()
    }

    /// Puts the manifest in place of the one in the folder.
    pub(crate) fn save(&self, folder: &Path) -> CacheResult<()> {
        let path = folder.join(MANIFEST);
        let failed = |e: serde_json::Error| CacheError::io("write", &path, e.into());
        let crc32 = crc32fast::hash(&serde_json::to_vec(self).map_err(failed)?);
        let (format, manifest) = (FORMAT.to_owned(), self.clone());
        let document = Document { format, version: VERSION, crc32, manifest };
        durable::write_file(&path, &serde_json::to_vec(&document).map_err(failed)?)?;
        durable::sync_folder(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CacheFormat;

    fn key() -> CacheKey {
        CacheKey::new("okx", "BTC/USDT".parse().unwrap(), "1h".parse().unwrap()).unwrap()
    }

    fn saved() -> (Manifest, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::new(&key());
        manifest.metadata.volume_unit = Some("base".to_owned());
        let segment = |sequence: u64, since: i64, until: i64| Segment {
            sequence,
            since: Timestamp::from_millis(since),
            until: Timestamp::from_millis(until),
            rows: 1,
            crc32: 5,
            format: CacheFormat::Csv,
        };
        manifest.replace(&[], [segment(1, 50, 90), segment(0, 0, 50)]);
        manifest.save(folder.path()).unwrap();
        (manifest, std::fs::read(folder.path().join(MANIFEST)).unwrap())
    }

    fn decode(bytes: &[u8]) -> CacheResult<Result<Manifest, String>> {
        Manifest::decode(&key(), Path::new("m.json"), bytes)
    }

    #[test]
    fn what_was_saved_reads_back_in_order() {
        let (manifest, bytes) = saved();
        assert_eq!(decode(&bytes).unwrap().unwrap(), manifest);
        assert_eq!(manifest.next_sequence, 2);
        assert_eq!(manifest.coverage().ranges().len(), 1);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let (manifest, bytes) = saved();
        for n in 0..bytes.len() {
            assert!(decode(&bytes[..n]).unwrap().is_err(), "cut at {n}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            match decode(&damaged) {
                Ok(Ok(read)) => assert_eq!(read, manifest, "bit {bit}"),
                Ok(Err(_)) | Err(CacheError::NewerVersion { .. }) => {}
                Err(e) => panic!("bit {bit}: {e}"),
            }
        }
    }

    #[test]
    fn a_newer_version_is_refused_by_name_whatever_else_it_holds() {
        let text = br#"{"format":"forecastle-candle-cache","version":2,"surprise":[]}"#;
        assert_eq!(
            decode(text).unwrap_err().to_string(),
            "m.json has format version 2, this build reads up to 1"
        );
    }

    #[test]
    fn the_manifest_of_another_series_is_refused() {
        let (_, bytes) = saved();
        let other = CacheKey::new("okx", "ETH/USDT".parse().unwrap(), "1h".parse().unwrap());
        let error = Manifest::decode(&other.unwrap(), Path::new("m.json"), &bytes).unwrap_err();
        assert_eq!(error.to_string(), "m.json belongs to okx BTC/USDT 1h, not to okx ETH/USDT 1h");
    }
}
