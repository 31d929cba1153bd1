//! Data for the tests: small files of our own under `tests/data`, and, where a folder `../shared`
//! stands beside the checkout, real candles and golden numbers.

use std::path::PathBuf;

/// A file under `tests/data`.
pub(crate) fn data(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data")).join(name)
}

/// A file under `../shared`, or `None` with a printed reason.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")).join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {name} is not in a folder `shared` beside this checkout");
    None
}
