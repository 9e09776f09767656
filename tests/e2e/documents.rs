//! The documents are true: every command in them is run, every path they name exists.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{Place, root};

const DOCUMENTS: &[&str] =
    &["README.md", "worker/ARCHITECTURE.md", ".github/CONTRIBUTING.md", "deploy/RUNBOOK.md"];

/// The lines of all `sh` blocks.
fn commands(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            inside = !inside && fence.trim() == "sh";
        } else if inside && !line.trim().is_empty() {
            found.push(line.trim().to_owned());
        }
    }
    found
}

/// Words of a command line: single and double quotes, nothing else of a shell.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn every_command_in_the_documents_works() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut ran = 0;
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        let place = Place::new();
        place.file("captions.jsonl", "{\"text\":\"one #a\"}\n{\"text\":\"two\"}\n");
        for line in commands(&text) {
            let words = words(&line);
            let args: Vec<&str> = words.iter().map(String::as_str).collect();
            match args[0] {
                // Placeholders in capitals stand for something only the reader knows.
                "flotilla" if args.iter().any(|a| a.chars().all(|c| c.is_ascii_uppercase())) => {}
                "flotilla" if args[1] == "worker" && !args.contains(&"--until-idle") => {
                    let worker = place.worker(&args[2..]);
                    worker.signal("TERM");
                    let (code, err) = worker.end();
                    assert!(matches!(code, Some(0) | None), "{document}: {line}: {err}");
                }
                "flotilla" => {
                    place.run(&args[1..]).code(0);
                }
                "make" => {
                    let target = format!(
                        "
{}:",
                        args[1]
                    );
                    assert!(makefile.contains(&target), "{document}: {line}");
                }
                "cargo" => {
                    let package = args.iter().skip_while(|a| **a != "-p").nth(1);
                    let known = package
                        .is_none_or(|p| manifest.contains(&format!("\n{p} =")) || *p == "flotilla");
                    assert!(known, "{document}: {line}: no such package");
                }
                "systemctl" | "journalctl" | "install" | "cp" => {}
                other => panic!("{document}: no test knows how to run \"{other}\""),
            }
            ran += 1;
        }
    }
    assert!(ran > 20, "the documents hold commands");
}

#[test]
fn every_path_in_the_documents_exists() {
    let mut missing = BTreeSet::new();
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        let base = root().join(document).parent().unwrap().to_owned();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|l| !l.contains("://") && !l.starts_with('#')) {
            if !base.join(link).exists() {
                missing.insert(format!("{document}: {link}"));
            }
        }
        let looks_like_path =
            |w: &&str| w.contains('/') && !w.contains(['<', ' ', '{', ':', '*', '…']);
        for path in text.split('`').skip(1).step_by(2).filter(looks_like_path) {
            let relative = Path::new(path);
            let first =
                relative.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned());
            let top = ["config", "jobs", "pipelines", "worker", "tests", "deploy"];
            if first.is_some_and(|f| top.contains(&f.as_str())) && !root().join(path).exists() {
                missing.insert(format!("{document}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn nothing_in_the_readme_is_left_to_fill_in() {
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        assert!(
            !text.contains("@BENCH@") && !text.contains("@DEMO@") && !text.contains("TBD"),
            "{document}"
        );
    }
}
