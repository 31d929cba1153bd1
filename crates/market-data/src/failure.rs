//! How the readers and writers say what went wrong.

use std::io;

use forecastle_core::Error;

/// Names the file beside the operating system's error.
#[derive(Debug, thiserror::Error)]
#[error("{origin}")]
struct FileFailure {
    origin: String,
    source: io::Error,
}

/// A file or stream that cannot be opened, read or written.
pub(crate) fn io_failure(component: &'static str, origin: &str, source: io::Error) -> Error {
    Error::component(component, FileFailure { origin: origin.to_owned(), source })
}

/// A row that cannot be read.
pub(crate) fn record(origin: &str, row: u64, reason: impl Into<String>) -> Error {
    Error::Record { origin: origin.to_owned(), row, reason: reason.into() }
}

/// Bytes of a file as text for a message: quoted, escaped, at most 40 characters.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    const LONGEST: usize = 40;
    // A character has at most four bytes, so the cut loses none of the first 40.
    let head = bytes.get(..bytes.len().min(4 * LONGEST + 4)).unwrap_or_default();
    let text = String::from_utf8_lossy(head);
    let shown: String = text.chars().take(LONGEST).collect();
    let more = if text.chars().nth(LONGEST).is_some() { "…" } else { "" };
    format!("{shown:?}{more}")
}
