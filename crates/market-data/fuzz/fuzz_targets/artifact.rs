//! Bytes as a saved model: refused, or the same bytes again.
#![no_main]

use forecastle_core::Artifact;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(artifact) = Artifact::from_bytes(bytes) {
        let again = artifact.to_bytes().expect("what was read can be written");
        assert_eq!(Artifact::from_bytes(&again).ok(), Some(artifact));
    }
});
