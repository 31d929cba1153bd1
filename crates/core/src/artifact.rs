use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::table::check_feature_names;
use crate::{Error, Result};

/// Begins every artifact.
const MAGIC: [u8; 8] = *b"FCASTLE\n";
/// Version of the container around the payload.
const CONTAINER_VERSION: u32 = 1;
/// Magic, container version, body length; the CRC-32 follows the body.
const HEADER: usize = 8 + 4 + 8;
const CHECKSUM: usize = 4;

/// Holds a saved model: its kind, format version, feature names and numbers.
///
/// In bytes: magic, container version, length, body ([postcard](https://postcard.jamesmunns.com)),
/// CRC-32 over all before it. Numbers keep their bits, NaN included. A truncated, corrupted or
/// foreign file is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    kind: String,
    version: u32,
    feature_names: Vec<String>,
    payload: Vec<u8>,
}

impl Artifact {
    /// Saves `model` under a kind and a version of that kind's format.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when the model cannot be serialised.
    pub fn encode<T: Serialize>(
        kind: &str,
        version: u32,
        feature_names: &[String],
        model: &T,
    ) -> Result<Self> {
        let payload = postcard::to_stdvec(model).map_err(|e| Error::artifact(e.to_string()))?;
        let feature_names = feature_names.to_vec();
        Ok(Self { kind: kind.to_owned(), version, feature_names, payload })
    }

    /// Loads the model, refusing another kind or version.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when kind, version or content do not match.
    pub fn decode<T: DeserializeOwned>(&self, kind: &str, version: u32) -> Result<T> {
        if self.kind != kind {
            return Err(Error::artifact(format!("it holds a {:?}, not a {kind:?}", self.kind)));
        }
        if self.version != version {
            let found = self.version;
            let reason = format!("{kind:?} has format version {found}, this build reads {version}");
            return Err(Error::artifact(reason));
        }
        match postcard::take_from_bytes(&self.payload) {
            Ok((model, [])) => Ok(model),
            Ok(_) => Err(Error::artifact(format!("{kind:?} is followed by foreign bytes"))),
            Err(e) => Err(Error::artifact(format!("{kind:?} is malformed: {e}"))),
        }
    }

    /// What was saved.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Version of the kind's format.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The features the model was fitted on, in order.
    pub fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    /// Refuses other features, or the same in another order.
    ///
    /// # Errors
    /// - [`Error::FeatureMismatch`] with the first position that differs.
    pub fn require_features(&self, names: &[String]) -> Result<()> {
        check_feature_names(&self.feature_names, names)
    }

    /// The artifact as bytes.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when it cannot be serialised.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let body = postcard::to_stdvec(self).map_err(|e| Error::artifact(e.to_string()))?;
        let mut bytes = Vec::with_capacity(HEADER + body.len() + CHECKSUM);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&CONTAINER_VERSION.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        Ok(bytes)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when the bytes are foreign, cut off, damaged or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let cut = || Error::artifact("the file is cut off");
        if !bytes.starts_with(&MAGIC) {
            return Err(Error::artifact("not a Forecastle artifact"));
        }
        let version = read::<4>(bytes, 8).map(u32::from_le_bytes).ok_or_else(cut)?;
        if version != CONTAINER_VERSION {
            let reason =
                format!("container version {version}, this build reads {CONTAINER_VERSION}");
            return Err(Error::artifact(reason));
        }
        let length = read::<8>(bytes, 12).map(u64::from_le_bytes).ok_or_else(cut)?;
        let end = usize::try_from(length)
            .ok()
            .and_then(|n| n.checked_add(HEADER))
            .filter(|&end| end <= bytes.len().saturating_sub(CHECKSUM))
            .ok_or_else(cut)?;
        let (content, rest) = bytes.split_at(end);
        if rest != crc32fast::hash(content).to_le_bytes() {
            return Err(Error::artifact("the checksum does not match, the file is damaged"));
        }
        match postcard::take_from_bytes(&content[HEADER..]) {
            Ok((artifact, [])) => Ok(artifact),
            Ok(_) | Err(_) => Err(Error::artifact("the body is malformed")),
        }
    }
}

fn read<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Artifact {
        let names = ["a".to_owned(), "b".to_owned()];
        Artifact::encode("ridge", 3, &names, &(1.5_f64, vec![f64::INFINITY, -0.0])).unwrap()
    }

    #[test]
    fn numbers_keep_their_bits() {
        let artifact = Artifact::from_bytes(&sample().to_bytes().unwrap()).unwrap();
        assert_eq!(artifact, sample());
        let (a, b): (f64, Vec<f64>) = artifact.decode("ridge", 3).unwrap();
        assert_eq!((a, b[0], b[1].to_bits()), (1.5, f64::INFINITY, (-0.0_f64).to_bits()));
    }

    #[test]
    fn other_kinds_versions_and_features_are_refused() {
        type Payload = (f64, Vec<f64>);
        assert!(sample().decode::<Payload>("boosting", 3).is_err());
        assert!(sample().decode::<Payload>("ridge", 2).is_err());
        assert!(sample().decode::<f64>("ridge", 3).is_err());
        let swapped = ["b".to_owned(), "a".to_owned()];
        assert!(sample().require_features(&swapped).is_err());
        assert!(sample().require_features(&["a".to_owned(), "b".to_owned()]).is_ok());
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_refused() {
        let bytes = sample().to_bytes().unwrap();
        for n in 0..bytes.len() {
            assert!(Artifact::from_bytes(&bytes[..n]).is_err(), "cut at {n}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Artifact::from_bytes(&damaged).is_err(), "bit {bit}");
        }
    }
}
