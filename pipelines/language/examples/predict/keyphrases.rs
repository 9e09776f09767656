//! Keyphrases, and what their ranking learns from.

use flotilla_language::keyphrases::{extract, measures};
use serde_json::{Value, json};

const MOST: usize = 20;

/// The phrases of a text, best first.
pub(crate) fn predict(case: &Value) -> Value {
    let text = case["text"].as_str().unwrap_or_default();
    let found = extract(text, &[], case["lang"].as_str().unwrap_or("en"), MOST);
    json!({"id": case["id"], "keywords": found.into_iter().map(|k| k.text).collect::<Vec<_>>()})
}

/// Every phrase with its measures.
pub(crate) fn measured(case: &Value) -> Value {
    let text = case["text"].as_str().unwrap_or_default();
    let all = measures(text, case["lang"].as_str().unwrap_or("en"));
    let row = |(phrase, numbers): (String, [f32; _])| {
        json!([
            phrase,
            numbers.iter().map(|n| (f64::from(*n) * 1e4).round() / 1e4).collect::<Vec<_>>()
        ])
    };
    json!({"id": case["id"], "phrases": all.into_iter().map(row).collect::<Vec<_>>()})
}
