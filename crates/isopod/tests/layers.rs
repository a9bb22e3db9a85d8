//! A layering rule that no test checks is a wish: the dependency edges of ARCHITECTURE.md, held against `cargo metadata`.

#![allow(clippy::unwrap_used)] // a test in a program of its own

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Which workspace crates each may depend on, `platform` aside, which all may. A change here changes the map in ARCHITECTURE.md.
const ALLOWED: &[(&str, &[&str])] = &[
    ("platform", &[]),
    ("linux", &[]),
    ("api", &[]),
    ("cri", &[]),
    ("grpc", &[]),
    ("spdy", &[]),
    ("cri_socket", &["cri", "grpc"]),
    ("store", &["grpc"]),
    ("client", &["api"]),
    ("apiserver", &["api", "store"]),
    ("bootstrap", &["api", "client"]),
    ("scheduler", &["api", "client"]),
    ("controllers", &["api", "client"]),
    ("hollow", &["api", "client"]),
    ("kubelet", &["api", "client", "cri", "grpc", "linux"]),
    ("runtime", &["cri", "linux", "spdy"]),
    ("network", &["cri", "linux"]),
];

/// Crates that see everything: the assembly, and what tests and chores are made of.
const UNBOUNDED: &[&str] = &["isopod", "testkit", "sim", "xtask", "tests", "registry"];
/// Crates that no production crate may depend on.
const TEST_ONLY: &[&str] = &["testkit", "sim", "xtask", "tests", "registry"];

/// Workspace crates with the workspace crates each depends on outside its tests.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &serde_json::Value| package["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let dependencies = |package: &serde_json::Value| -> BTreeSet<String> {
        let all = package["dependencies"].as_array().unwrap().iter();
        let production = all.filter(|dependency| dependency["kind"] != "dev");
        production.map(name).filter(|name| ours.contains(name)).collect()
    };
    packages.iter().map(|package| (name(package), dependencies(package))).collect()
}

#[test]
fn crates_depend_only_on_what_the_map_allows() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    for (package, dependencies) in edges() {
        for dependency in &dependencies {
            if UNBOUNDED.contains(&package.as_str()) {
                let to_tests = package == "isopod" && TEST_ONLY.contains(&dependency.as_str());
                assert!(!to_tests, "{package} must not depend on {dependency}");
                continue;
            }
            let allowed = allowed.get(package.as_str()).unwrap_or_else(|| panic!("{package} is not on the map"));
            let fine = dependency == "platform" || allowed.contains(&dependency.as_str());
            assert!(fine, "{package} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_map_names_no_crate_that_is_gone() {
    let edges = edges();
    for (package, allowed) in ALLOWED {
        for name in allowed.iter().chain([package]) {
            assert!(edges.contains_key(*name), "{name} is on the map but not in the workspace");
        }
    }
}

#[test]
fn unsafe_code_stays_in_one_crate() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
    for (package, _) in ALLOWED.iter().filter(|(package, _)| *package != "linux") {
        let path = format!("{}/../{package}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
        let manifest = std::fs::read_to_string(path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{package} takes the workspace's lints");
    }
}
