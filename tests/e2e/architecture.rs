//! The rules of the tree: who may depend on whom, how long a file may be, how it begins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::root;

/// Every package, its layer, and the packages of the same layer that it may see.
/// Arrows point down: a package depends only on lower layers.
const LAYERS: &[(&str, u8)] = &[
    ("flotilla-config", 0),
    ("flotilla-core", 0),
    ("flotilla-adopt", 1),
    ("flotilla-language", 1),
    ("flotilla-images", 1),
    ("flotilla-events", 2),
    ("flotilla-media", 2),
    ("flotilla-models", 2),
    ("flotilla-platforms", 2),
    ("flotilla-sandbox", 2),
    ("flotilla-vault", 2),
    ("flotilla-memory", 2),
    ("flotilla-sqlite", 2),
    ("flotilla-postgres", 2),
    ("flotilla-aws", 2),
    ("flotilla-brokered", 2),
    ("flotilla-amqp", 2),
    ("flotilla-blobs", 2),
    ("flotilla-conformance", 3), // tests only; its model is the memory backend
    ("flotilla-engine", 3),
    ("flotilla-simulation", 4), // tests only: the engine over the backends
    ("flotilla-external", 3),
    ("flotilla-jobs", 3),
    ("flotilla-admin", 4),
    ("flotilla-console", 5),
    ("flotilla", 6),
];

/// What a layer alone does not say: these never see each other, not even downwards.
const NEVER: &[(&str, &[&str])] = &[
    (
        "flotilla-engine",
        &[
            "flotilla-sqlite",
            "flotilla-memory",
            "flotilla-blobs",
            "flotilla-platforms",
            "flotilla-jobs",
        ],
    ),
    ("flotilla-jobs", &["flotilla-engine", "flotilla-sqlite", "flotilla-memory", "flotilla-blobs"]),
    ("flotilla-admin", &["flotilla-engine", "flotilla-jobs"]),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// Package → its dependencies within the workspace; tests and examples may see more.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |v: &Value| v["name"].as_str().expect("a name").to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let below = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies");
        all.iter().filter(|d| d["kind"].is_null()).map(name).filter(|n| ours.contains(n)).collect()
    };
    packages.iter().map(|p| (name(p), below(p))).collect()
}

#[test]
fn dependencies_point_down_the_layers_only() {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let found = dependencies();
    let known: BTreeSet<&str> = layers.keys().copied().collect();
    let there: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(there, known, "every package has its layer in this test, and no other");
    for (package, below) in &found {
        for dependency in below {
            let (from, to) = (layers[package.as_str()], layers[dependency.as_str()]);
            assert!(
                to < from,
                "{package} (layer {from}) must not depend on {dependency} (layer {to})"
            );
        }
    }
    for (package, forbidden) in NEVER {
        for other in *forbidden {
            assert!(!found[*package].contains(*other), "{package} must never see {other}");
        }
    }
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if path.is_dir() {
            if !matches!(name.as_ref(), "target" | "node_modules") && !name.starts_with('.') {
                sources(&path, into);
            }
        } else if name.ends_with(".rs") {
            into.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    assert!(files.len() > 50, "the tree is found");
    files
}

#[test]
fn every_file_begins_with_why_it_exists() {
    let silent: Vec<_> = all_sources()
        .into_iter()
        .filter(|path| !std::fs::read_to_string(path).expect("UTF-8").starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "these begin without //!: {silent:#?}");
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let long: Vec<_> = all_sources()
        .into_iter()
        .filter(|path| std::fs::read_to_string(path).expect("UTF-8").lines().count() > 600)
        .collect();
    assert!(long.is_empty(), "split these: {long:#?}");
}

#[test]
fn only_the_binary_reads_the_environment() {
    let ambient: Vec<_> = all_sources()
        .into_iter()
        .filter(|path| {
            let inside = path.strip_prefix(root()).expect("inside").to_string_lossy().into_owned();
            let library =
                !["worker/src", "tests/", "config/"].iter().any(|p| inside.starts_with(p))
                    && !inside.contains("/tests/")
                    && !inside.contains("/examples/");
            let text = std::fs::read_to_string(path).expect("UTF-8");
            library && text.split("#[cfg(test)]").next().unwrap_or("").contains("env::var")
        })
        .collect();
    assert!(ambient.is_empty(), "these read the environment: {ambient:#?}");
}

#[test]
fn nothing_committed_names_a_machine() {
    // Written apart, so that this file does not name them either.
    let forbidden = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat()];
    for path in all_sources() {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        for word in &forbidden {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}

#[test]
fn crates_that_were_decided_against_stay_out() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    for (name, why) in [
        ("aws-lc-sys", "one TLS stack: rustls with ring"),
        ("openssl-sys", "one TLS stack: rustls with ring"),
        ("native-tls", "one TLS stack: rustls with ring"),
        ("backoff", "unmaintained, RUSTSEC-2025-0012: backon (ADR 0004)"),
        ("instant", "unmaintained, RUSTSEC-2024-0384"),
    ] {
        assert!(!lock.contains(&format!("name = \"{name}\"\n")), "{name}: {why}");
    }
}
