//! Holds the suites themselves: no backend without one, no case that nobody runs.

use std::fs;
use std::path::{Path, PathBuf};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry is read").path()).collect();
    files.sort();
    files
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).expect("a source file is read")
}

#[test]
fn every_backend_runs_a_suite() {
    let backends = here().join("../../worker/backends");
    let folders: Vec<PathBuf> =
        files_in(&backends).into_iter().filter(|path| path.is_dir()).collect();
    assert!(folders.len() >= 3, "the backends are found: {folders:?}");
    for folder in folders {
        let runs = files_in(&folder.join("tests"))
            .iter()
            .filter(|file| file.extension().is_some_and(|ext| ext == "rs"))
            .any(|file| {
                text(file).lines().map(str::trim_start).any(|line| {
                    line.starts_with("queue_suite!(") || line.starts_with("blob_suite!(")
                })
            });
        assert!(runs, "{} runs no conformance suite in its tests/", folder.display());
    }
}

#[test]
fn every_case_is_listed_once_in_its_group() {
    let listed = text(&here().join("src/lib.rs"));
    let mut cases = 0;
    for file in files_in(&here().join("src")).into_iter().filter(|path| path.is_file()) {
        if file.ends_with("gauge.rs") {
            continue; // measures, and has no cases
        }
        for line in text(&file).lines() {
            let Some(rest) = line.strip_prefix("pub async fn ") else { continue };
            let name = rest.split('(').next().unwrap();
            if name.ends_with("_agreement") {
                continue; // one walk of a case, callable by itself
            }
            cases += 1;
            let times =
                listed.lines().filter(|line| line.split_whitespace().next() == Some(name)).count();
            assert_eq!(times, 1, "{name} of {} in lib.rs", file.display());
        }
    }
    assert!(cases > 100, "the cases are found: {cases}");
}
