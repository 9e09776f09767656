//! Runs the evaluation data that lies beside the repository, when it is there.

#[path = "../examples/predict/entities.rs"]
mod entities;

use std::fs;
use std::path::{Path, PathBuf};

use flotilla_language::caption::{Request, parse};
use flotilla_language::entities::{Kind, find_all};
use flotilla_language::platform::Rules;
use serde_json::Value;

/// A file of `shared/data/language`, looked for beside this package and each folder above it.
fn shared(file: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here
        .ancestors()
        .map(|folder| folder.join("shared/data/language").join(file))
        .find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: shared data absent ({file})");
    }
    found
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the file can be read");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// The scorer counts a list without name and an empty reply as absent.
fn same(kind: &str, got: &Value, want: &Value) -> bool {
    let tidy = |value: &Value| {
        let mut value = value.clone();
        for item in value.as_array_mut().into_iter().flatten() {
            if let Some(fields) = item.as_object_mut()
                && fields.get("list_slug").is_some_and(|slug| slug == "")
            {
                fields.remove("list_slug");
            }
        }
        value
    };
    if kind == "reply" { got == want } else { tidy(got) == tidy(want) }
}

fn all_pass(file: &str, count: usize) {
    let Some(path) = shared(file) else { return };
    let cases = lines(&path);
    let failed: Vec<_> = cases
        .iter()
        .filter(|case| {
            let kind = case["kind"].as_str().unwrap_or_default();
            !same(kind, &entities::predict(case), &case["expected"])
        })
        .map(|case| case["id"].to_string())
        .collect();
    assert!(failed.is_empty(), "{} of {count} failed: {failed:?}", failed.len());
    assert_eq!(cases.len(), count);
}

#[test]
fn all_conformance_cases_of_twitter_text_pass() {
    all_pass("entities/twitter_conformance.jsonl", 2048);
}

#[test]
fn all_emoji_cases_pass() {
    all_pass("entities/emoji_cases.jsonl", 5090);
}

/// The captions, with their platform.
fn captions(path: &Path) -> Vec<Request> {
    let request = |line: &Value| Request {
        text: line["text"].as_str().unwrap_or_default().to_owned(),
        platform: serde_json::from_value(line["platform"].clone()).ok(),
        ..Request::default()
    };
    lines(path).iter().map(request).collect()
}

#[test]
fn entities_of_every_real_caption_are_found_without_panic() {
    let Some(path) = shared("captions/captions_dev.jsonl") else { return };
    for request in captions(&path) {
        for found in find_all(&request.text, &Rules::of(request.platform)) {
            let text = &request.text[found.range];
            assert!(found.kind != Kind::Hashtag || text.starts_with(['#', '＃']));
        }
    }
}

/// One caption in eight keeps this short in a debug build; `predict language` reads them all.
#[test]
fn real_captions_are_read_in_full_without_panic() {
    let Some(path) = shared("captions/captions_dev.jsonl") else { return };
    for request in captions(&path).iter().step_by(8) {
        let caption = parse(request);
        assert!((0.0..=1.0).contains(&caption.language.confidence));
    }
}
