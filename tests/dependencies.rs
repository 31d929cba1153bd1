//! The eight crates of the mission, `evaluation` and `backtest` depend on `core` alone; the facade
//! on all; nothing else.

use std::process::Command;

use serde_json::Value;

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

#[test]
fn every_crate_depends_on_core_alone_and_the_facade_on_all() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let names: Vec<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"forecastle-core") && names.len() >= 10, "{names:?}");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let siblings: Vec<&str> = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|d| d["kind"].is_null() && !d["path"].is_null())
            .map(|d| d["name"].as_str().unwrap())
            .collect();
        match name {
            "forecastle-core" => assert!(siblings.is_empty(), "core depends on {siblings:?}"),
            "forecastle" => {
                let missing: Vec<_> =
                    names.iter().filter(|n| **n != "forecastle" && !siblings.contains(n)).collect();
                assert!(missing.is_empty(), "the facade leaves out {missing:?}");
            }
            _ => assert_eq!(siblings, ["forecastle-core"], "{name}"),
        }
    }
}

#[test]
fn directories_are_named_after_their_packages() {
    for package in metadata()["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let manifest = package["manifest_path"].as_str().unwrap().replace('\\', "/");
        let directory = name.strip_prefix("forecastle-").unwrap_or(name);
        assert!(manifest.ends_with(&format!("crates/{directory}/Cargo.toml")), "{manifest}");
    }
}
