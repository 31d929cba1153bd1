//! Embeds the exchange records and, for the replay server, samples of market lists: constants with
//! each file's id and text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    embed("exchanges", "toml", "RECORDS", "records.rs")?;
    if env::var_os("CARGO_FEATURE_REPLAY").is_some() {
        embed("replay/markets", "json", "MARKET_SAMPLES", "market_samples.rs")?;
    }
    Ok(())
}

fn embed(folder: &str, extension: &str, constant: &str, output: &str) -> io::Result<()> {
    let root = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let folder = root.join(folder);
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    let mut code = format!("const {constant}: &[(&str, &str)] = &[\n");
    for path in &files {
        println!("cargo::rerun-if-changed={}", path.display());
        let id = path.file_stem().unwrap_or_default().to_string_lossy();
        let _ = writeln!(code, "    ({id:?}, include_str!({path:?})),");
    }
    code.push_str("];\n");
    let out = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    fs::write(Path::new(&out).join(output), code)
}
