use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use forecastle_core::{Error, Result};

use super::c_api::Api;
use super::{XgboostError, XgboostLibrary};

/// The environment variable that names the library's file.
const VARIABLE: &str = "FORECASTLE_XGBOOST_LIB";

/// Says where XGBoost's library is looked for.
///
/// | Name | Default | Purpose |
/// |---|---|---|
/// | `file` | none | the library itself; where it is given, nothing else is tried |
/// | `loader` | false | whether the system's loader is asked for it by name |
/// | `prefixes` | none | folders like `/usr` or a virtual environment, which may hold a Python package or the library in `lib` |
///
/// [`from_env`](Self::from_env) fills it in from the environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct XgboostSearch {
    /// The library itself; where it is given, nothing else is tried.
    pub file: Option<PathBuf>,
    /// Whether the system's loader is asked for it by name.
    pub loader: bool,
    /// Folders like `/usr` or a virtual environment.
    pub prefixes: Vec<PathBuf>,
}

impl XgboostSearch {
    /// Reads the environment, the only place that does: `FORECASTLE_XGBOOST_LIB`, then the loader,
    /// then `VIRTUAL_ENV`, `CONDA_PREFIX`, the user's own Python packages and the system's.
    pub fn from_env() -> Self {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let folder = |name: &str| set(name).map(PathBuf::from);
        let mut prefixes: Vec<PathBuf> =
            ["VIRTUAL_ENV", "CONDA_PREFIX"].iter().filter_map(|name| folder(name)).collect();
        if cfg!(windows) {
            prefixes.extend(folder("APPDATA").map(|home| home.join("Python")));
        } else {
            prefixes.extend(folder("HOME").map(|home| home.join(".local")));
            if cfg!(target_os = "macos") {
                prefixes.push(PathBuf::from("/opt/homebrew"));
            }
            prefixes.extend(["/usr/local", "/usr"].map(PathBuf::from));
        }
        Self { file: set(VARIABLE).map(PathBuf::from), loader: true, prefixes }
    }

    /// Finds and loads the library.
    ///
    /// What cannot be used is passed over and told of, if nothing better turns up. Without a `file`
    /// a library that this process has loaded already is the answer.
    ///
    /// # Errors
    /// - [`XgboostError::NotFound`] with the places tried.
    /// - Where `file` is given, those of [`XgboostLibrary::open`].
    pub fn find(&self) -> Result<XgboostLibrary> {
        if let Some(file) = &self.file {
            return XgboostLibrary::open(file);
        }
        if let Some(api) = Api::loaded() {
            return Ok(XgboostLibrary::new(api));
        }
        let mut unusable = Vec::new();
        let mut absent = vec![format!("{VARIABLE} names no file")];
        if self.loader {
            match Api::open_by_name(file_name()) {
                Ok(api) => return Ok(XgboostLibrary::new(api)),
                // The loader does not tell a file that is not there from one that it cannot load.
                Err(error @ XgboostError::Broken { .. }) => absent.push(error.to_string()),
                Err(error) => unusable.push(error.to_string()),
            }
        }
        for prefix in &self.prefixes {
            let files = libraries(prefix);
            if files.is_empty() {
                absent.push(format!("none under {}", prefix.display()));
            }
            for file in files {
                match XgboostLibrary::open(&file) {
                    Ok(library) => return Ok(library),
                    Err(error) => unusable.push(reason(&error)),
                }
            }
        }
        unusable.append(&mut absent);
        Err(XgboostError::NotFound { tried: unusable }.into())
    }
}

/// An error with its sources, as one line.
pub(crate) fn reason(error: &Error) -> String {
    let Error::Component { source, .. } = error else {
        return error.to_string();
    };
    let mut text = source.to_string();
    let mut deeper = source.source();
    while let Some(error) = deeper {
        text = format!("{text}: {error}");
        deeper = error.source();
    }
    text
}

fn file_name() -> &'static str {
    if cfg!(windows) {
        "xgboost.dll"
    } else if cfg!(target_os = "macos") {
        "libxgboost.dylib"
    } else {
        "libxgboost.so"
    }
}

/// The libraries that are there under a prefix, the newest Python's first.
fn libraries(prefix: &Path) -> Vec<PathBuf> {
    let package = Path::new("xgboost").join("lib").join(file_name());
    let mut folders = Vec::new();
    for lib in [prefix.join("lib"), prefix.to_owned()] {
        for python in pythons(&lib) {
            folders.extend(["site-packages", "dist-packages"].map(|name| python.join(name)));
        }
    }
    // A virtual environment on Windows.
    folders.push(prefix.join("Lib").join("site-packages"));
    let mut files: Vec<PathBuf> = folders.iter().map(|folder| folder.join(&package)).collect();
    // A package of conda, or a build that was installed.
    files.push(prefix.join("lib").join(file_name()));
    files.push(prefix.join("Library").join("bin").join(file_name()));
    files.retain(|file| file.is_file());
    files
}

/// The folders `python3`, `python3.12`, `Python312`, the highest version first.
fn pythons(folder: &Path) -> Vec<PathBuf> {
    let version = |name: OsString| -> Option<u32> {
        let digits = name.to_str()?.to_lowercase().strip_prefix("python3")?.replace('.', "");
        if digits.is_empty() { Some(0) } else { digits.parse().ok() }
    };
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((version(entry.file_name())?, entry.path()))).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}
