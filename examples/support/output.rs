//! Where the examples' tables go: a file, or standard output; and how they fail.
#![allow(clippy::print_stderr, reason = "errors go there")]

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

/// Writes to a file, or to standard output without one. A reader that stops early (`| head`) is no
/// error.
pub(crate) fn write_to(
    path: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let Some(path) = path else {
        let mut out = BufWriter::new(io::stdout().lock());
        let result = write(&mut out).and_then(|()| Ok(out.flush()?));
        return result.or_else(|error| if is_broken_pipe(&error) { Ok(()) } else { Err(error) });
    };
    let cannot = || format!("cannot write {}", path.display());
    let mut out = BufWriter::new(File::create(path).with_context(cannot)?);
    write(&mut out)?;
    out.flush().with_context(cannot)
}

/// Prints an error as one line and gives the exit code.
pub(crate) fn exit(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}
