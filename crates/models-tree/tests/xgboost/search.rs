//! The library is found where Python has it, in a process of its own: this one may have it loaded.
#![cfg(unix)]

use std::path::Path;
use std::process::Command;

use forecastle_models_tree::XgboostLibrary;

use crate::sample::{library, skip};

/// Set in the child, to what it must find.
const EXPECTED: &str = "FORECASTLE_TEST_EXPECTED";

#[test]
fn the_child_finds_what_it_is_told_to() {
    if let Some(expected) = std::env::var_os(EXPECTED) {
        assert_eq!(XgboostLibrary::find().unwrap().path(), Path::new(&expected));
    }
}

fn run(change: impl FnOnce(&mut Command) -> &mut Command) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "search::the_child_finds_what_it_is_told_to"]);
    for name in ["FORECASTLE_XGBOOST_LIB", "VIRTUAL_ENV", "CONDA_PREFIX"] {
        child.env_remove(name);
    }
    let output = change(&mut child).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_python_package_is_found_through_links_and_past_a_broken_one() {
    let Some(library) = library() else { return };
    let Some(package) = library.path().ancestors().nth(2).filter(|p| p.ends_with("xgboost")) else {
        return skip("the library belongs to no Python package");
    };
    let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("xgboost-prefix");
    drop(std::fs::remove_dir_all(&prefix));
    let packages = |python: &str| prefix.join("lib").join(python).join("site-packages");
    let broken = packages("python3.99").join("xgboost/lib");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("libxgboost.so"), "text").unwrap();
    std::fs::write(broken.join("libxgboost.dylib"), "text").unwrap();
    std::fs::create_dir_all(packages("python3.12")).unwrap();
    std::os::unix::fs::symlink(package, packages("python3.12").join("xgboost")).unwrap();
    for variable in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        run(|child| child.env(variable, &prefix).env(EXPECTED, library.path()));
    }
    let home = prefix.join("home");
    std::fs::create_dir_all(&home).unwrap();
    std::os::unix::fs::symlink(&prefix, home.join(".local")).unwrap();
    run(|child| child.env("HOME", &home).env(EXPECTED, library.path()));
}

#[test]
fn the_systems_loader_is_asked_first() {
    let Some(library) = library() else { return };
    let Some(folder) = library.path().parent() else { return };
    let name = library.path().file_name().unwrap();
    for variable in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        let other = variable.starts_with('D');
        if other == cfg!(target_os = "macos") && !folder.as_os_str().is_empty() {
            run(|child| child.env(variable, folder).env(EXPECTED, name));
        }
    }
}
