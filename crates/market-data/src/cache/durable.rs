//! Changes to files that survive a kill: whole, or not at all.
//!
//! Every change of the cache goes through here, so that a test can stop after any of them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{CacheError, CacheResult};

/// Ends the names of files that are not finished.
pub(crate) const UNFINISHED: &str = ".tmp";

/// Puts a file in place at once: a reader finds the old contents, or the new, never a part.
///
/// The name itself survives a power cut after [`sync_folder`].
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> CacheResult<()> {
    let unfinished = unfinished_path(path);
    let failed = |e| CacheError::io("write", path, e);
    let write = || -> io::Result<()> {
        let mut file = File::create(&unfinished)?;
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        file.write_all(head)?;
        step()?;
        file.write_all(tail)?;
        sync(&file)?;
        drop(file);
        step()?;
        fs::rename(&unfinished, path)?;
        step()
    };
    write().map_err(failed)
}

fn unfinished_path(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(UNFINISHED);
    path.with_file_name(name)
}

/// Makes the names in a folder survive a power cut.
pub(crate) fn sync_folder(path: &Path) -> CacheResult<()> {
    // Elsewhere a folder cannot be opened, and renames are durable by themselves or not at all.
    #[cfg(unix)]
    File::open(path)
        .and_then(|folder| sync(&folder))
        .map_err(|e| CacheError::io("sync", path, e))?;
    step().map_err(|e| CacheError::io("sync", path, e))
}

/// Waits until the disk has it. The crashes of the unit tests are kills, not power cuts, and a
/// kill leaves what was written to the operating system.
fn sync(file: &File) -> io::Result<()> {
    if cfg!(test) { Ok(()) } else { file.sync_all() }
}

/// Makes a folder and those above it up to `root`, which exists.
pub(crate) fn make_folders(root: &Path, path: &Path) -> CacheResult<()> {
    fs::create_dir_all(path).map_err(|e| CacheError::io("create", path, e))?;
    let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
    above.into_iter().try_for_each(sync_folder)
}

/// Renames a file.
pub(crate) fn rename(from: &Path, to: &Path) -> CacheResult<()> {
    fs::rename(from, to).and_then(|()| step()).map_err(|e| CacheError::io("rename", from, e))
}

/// Removes a file; that it is gone already is fine.
pub(crate) fn remove(path: &Path) -> CacheResult<()> {
    let removed = match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => step(),
    };
    removed.map_err(|e| CacheError::io("remove", path, e))
}

#[cfg(not(test))]
#[inline]
fn step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use crashes::step;

/// Stops the world after so many changes, as a kill does.
#[cfg(test)]
pub(crate) mod crashes {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// From the given number of changes on, everything fails; `None` for never.
    pub(crate) fn crash_after(changes: Option<u32>) {
        LEFT.set(changes);
    }

    pub(super) fn step() -> io::Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => Err(io::Error::other("crashed")),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }
}
