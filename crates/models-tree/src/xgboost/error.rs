use std::path::PathBuf;

use forecastle_core::Error;

use super::XgboostVersion;

/// Says what went wrong with XGBoost's library; the source of an [`Error::Component`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XgboostError {
    /// No library was found, or none of those found could be used.
    #[error("no usable XGBoost library: {}", tried.join("; "))]
    NotFound {
        /// The places tried, each with what was wrong there: first the libraries that were found.
        tried: Vec<String>,
    },
    /// The file cannot be loaded, or is no XGBoost library.
    #[error("{} is not a usable XGBoost library: {reason}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What the loader said, or the function it lacks.
        reason: String,
    },
    /// The library's version is not one that this build knows.
    #[error(
        "{} is XGBoost {found}, wanted is {} to {}",
        path.display(), XgboostVersion::OLDEST, XgboostVersion::NEWEST
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: XgboostVersion,
    },
    /// The process works with another XGBoost library already.
    #[error(
        "{} is not loaded beside {}: a process can hold one XGBoost",
        path.display(), loaded.display()
    )]
    Another {
        /// The file asked for.
        path: PathBuf,
        /// The file in use.
        loaded: PathBuf,
    },
    /// A call failed.
    #[error("{function}: {message}")]
    Call {
        /// The function of XGBoost's C API.
        function: &'static str,
        /// What XGBoost said.
        message: String,
    },
}

impl From<XgboostError> for Error {
    fn from(error: XgboostError) -> Self {
        Self::component("XGBoost", error)
    }
}
