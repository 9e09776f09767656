//! Answers the annotated captions: sentiment and the kinds of calls to action.

use flotilla_language::caption::{Request, parse};
use flotilla_language::cta::Kind;
use serde_json::{Value, json};

/// Sentiment and kinds of the case's caption. The scorer knows no `share`: that is `other` there.
pub(super) fn predict(case: &Value) -> Value {
    let text = case["text"].as_str().unwrap_or_default().to_owned();
    let platform = serde_json::from_value(case["platform"].clone()).ok();
    let caption = parse(&Request { text, platform, ..Request::default() });
    let mut kinds: Vec<Kind> = Vec::new();
    for cta in &caption.ctas {
        let kind = if cta.kind == Kind::Share { Kind::Other } else { cta.kind };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    json!({"id": case["id"], "categories": crate::tagging::content_of(case), "sentiment": caption.sentiment.label, "cta": kinds})
}
