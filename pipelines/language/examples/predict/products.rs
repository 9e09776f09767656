//! Answers the product cases: what a caption speaks of, and where.
//!
//! The scorer for names knows more kinds than products: a brand alone is a corporation there.

use flotilla_language::caption::{Product, Request, parse};
use flotilla_language::products::Mentioned;
use serde_json::{Value, json};

fn products(case: &Value) -> (String, Vec<Product>) {
    let text = case["text"].as_str().unwrap_or_default().to_owned();
    let platform = serde_json::from_value(case["platform"].clone()).ok();
    let found = parse(&Request { text: text.clone(), platform, ..Request::default() }).products;
    (text, found)
}

/// Texts and brands of the products a caption speaks of.
pub(super) fn query(case: &Value) -> Value {
    let (text, found) = products(case);
    let products: Vec<Value> = found
        .iter()
        .filter(|p| p.mentioned != Mentioned::Deictic)
        .map(|p| {
            let written = text.get(p.span.range()).unwrap_or_default();
            json!({"text": p.name.as_deref().unwrap_or(written), "brand": p.brand})
        })
        .collect();
    json!({"id": case["id"], "products": products})
}

/// Names by kind, as ranges of characters. A colour or size around the name is no part of it.
pub(super) fn names(case: &Value) -> Value {
    let (_, found) = products(case);
    let entities: Vec<Value> = found
        .iter()
        .filter_map(|p| {
            let kind = match p.mentioned {
                Mentioned::Named => "product",
                Mentioned::Brand => "corporation",
                Mentioned::Thing | Mentioned::Deictic => return None,
            };
            Some(json!({"start": p.span.char[0], "end": p.span.char[1], "type": kind}))
        })
        .collect();
    json!({"id": case["id"], "entities": entities})
}
