use std::fmt;
use std::path::Path;

use forecastle_core::Result;
use serde::{Deserialize, Serialize};

use super::XgboostSearch;
use super::c_api::Api;

/// States a version of XGBoost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct XgboostVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

impl XgboostVersion {
    /// The oldest version that is accepted.
    pub const OLDEST: Self = Self { major: 2, minor: 0, patch: 0 };
    /// The newest version that is accepted, in any patch of it.
    pub const NEWEST: Self = Self { major: 3, minor: 4, patch: u32::MAX };

    /// Whether this build knows the version.
    pub fn is_accepted(self) -> bool {
        (Self::OLDEST..=Self::NEWEST).contains(&self)
    }
}

impl fmt::Display for XgboostVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patch {
            u32::MAX => write!(f, "{}.{}", self.major, self.minor),
            patch => write!(f, "{}.{}.{patch}", self.major, self.minor),
        }
    }
}

/// Holds XGBoost's library, loaded into this process.
///
/// Versions 2.0 to 3.4 are accepted. A process holds one XGBoost for as long as it lives: two
/// versions beside each other would share parts of their C++ state.
///
/// # Examples
/// ```
/// use forecastle_models_tree::XgboostLibrary;
///
/// match XgboostLibrary::find() {
///     Ok(library) => println!("XGBoost {}, {}", library.version(), library.path().display()),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct XgboostLibrary {
    api: &'static Api,
}

impl XgboostLibrary {
    pub(super) fn new(api: &'static Api) -> Self {
        Self { api }
    }

    /// Finds and loads the library: the file that the environment variable
    /// `FORECASTLE_XGBOOST_LIB` names, else what the system's loader finds, else the one of a
    /// Python package in its usual places. See [`XgboostSearch`].
    ///
    /// # Errors
    /// - [`XgboostError::NotFound`](crate::XgboostError::NotFound) with the places tried.
    /// - Where `FORECASTLE_XGBOOST_LIB` is set, those of [`open`](Self::open).
    pub fn find() -> Result<Self> {
        XgboostSearch::from_env().find()
    }

    /// Loads the library from a file, or hands out the one loaded if it is the same file.
    ///
    /// Loading a library runs its code: name no file that is not trusted.
    ///
    /// # Errors
    /// - [`XgboostError::Broken`](crate::XgboostError::Broken) when the file is not there, or is no
    ///   XGBoost library.
    /// - [`XgboostError::Version`](crate::XgboostError::Version) when its version is not accepted.
    /// - [`XgboostError::Another`](crate::XgboostError::Another) when another one is loaded.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::new(Api::open(path.as_ref())?))
    }

    /// The library's version.
    pub fn version(&self) -> XgboostVersion {
        self.api.version()
    }

    /// The file, links resolved; its name alone where the system's loader found it.
    pub fn path(&self) -> &'static Path {
        self.api.path()
    }

    pub(super) fn api(&self) -> &'static Api {
        self.api
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_2_0_to_3_4_are_accepted() {
        let version = |major, minor, patch| XgboostVersion { major, minor, patch };
        let accepted = [version(2, 0, 0), version(2, 1, 4), version(3, 0, 0), version(3, 4, 99)];
        assert!(accepted.iter().all(|v| v.is_accepted()));
        let refused = [version(1, 7, 6), version(3, 5, 0), version(4, 0, 0), version(0, 90, 0)];
        assert!(refused.iter().all(|v| !v.is_accepted()));
        assert_eq!(version(3, 4, 1).to_string(), "3.4.1");
        assert_eq!(XgboostVersion::NEWEST.to_string(), "3.4");
    }
}
