use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forecastle_core::{Error, Timestamp};

/// A result whose error is [`CacheError`].
pub type CacheResult<T> = Result<T, CacheError>;

/// Says why a [`CandleCache`](crate::CandleCache) could not do what it was asked.
///
/// Damaged files are no error: they are set aside, counted and fetched again. The enum converts
/// into core's [`Error`], where it travels as the source of [`Error::Component`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// Another process works on the series and did not finish in time.
    #[error("{} is in use by another process, still after {} s", .path.display(), .waited.as_secs_f64())]
    Locked {
        /// The series' folder.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// A newer Forecastle wrote the series.
    #[error("{} has format version {found}, this build reads up to {supported}", .path.display())]
    NewerVersion {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version that this build knows.
        supported: u64,
    },
    /// The manifest in a series' folder is that of another series.
    #[error("{} belongs to {found}, not to {expected}", .path.display())]
    Foreign {
        /// The manifest.
        path: PathBuf,
        /// The series it names.
        found: String,
        /// The series of the folder.
        expected: String,
    },
    /// New candles differ in kind from the cached ones, and together they would mislead.
    #[error("the cached candles of {series} have {what} {recorded:?}, these have {given:?}")]
    Mismatch {
        /// The series.
        series: String,
        /// What differs.
        what: &'static str,
        /// What the cache holds.
        recorded: String,
        /// What was given.
        given: String,
    },
    /// Parquet is asked for, and this build lacks the feature `parquet`.
    #[error("{} needs the feature `parquet`, which this build lacks", .path.display())]
    FormatDisabled {
        /// The cache, or a file in it.
        path: PathBuf,
    },
    /// A download covered nothing of the range that it was asked for, so it would never end.
    #[error("the candles from {since} until {until} were asked for, and the page covers none")]
    Stalled {
        /// Where the range begins.
        since: Timestamp,
        /// Where it ends, exclusive.
        until: Timestamp,
    },
    /// The arguments are at fault: a page out of order, a name that no file system takes.
    #[error(transparent)]
    Invalid(#[from] Error),
}

impl CacheError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Locked { .. } => true,
            Self::Invalid(error) => error.is_transient(),
            _ => false,
        }
    }
}

impl From<CacheError> for Error {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Invalid(error) => error,
            error => {
                let transient = error.is_transient();
                Self::Component { component: "the download cache", transient, source: error.into() }
            }
        }
    }
}
