//! Answers the product cases: what a caption speaks of, and where.
//!
//! The scorer for names knows more kinds than products: a brand alone is a corporation there.

use flotilla_language::caption::{Product, Request, parse};
use flotilla_language::names;
use flotilla_language::products::Mentioned;
use flotilla_language::span::{Offsets, Span};
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

/// Names by kind, as ranges of characters: the named products of the caption, then what the names
/// model finds beside them.
pub(super) fn names(case: &Value) -> Value {
    let (text, found) = products(case);
    let offsets = Offsets::new(&text);
    let named = |p: &&Product| p.mentioned == Mentioned::Named;
    let products: Vec<Span> = found.iter().filter(named).map(|p| p.span).collect();
    let apart = |span: &Span| {
        products.iter().all(|p| span.byte[1] <= p.byte[0] || p.byte[1] <= span.byte[0])
    };
    let names = names::find(&text).into_iter().map(|n| (offsets.span(n.range), n.kind));
    let others = names.filter(|(span, _)| apart(span));
    let entities: Vec<Value> = products
        .iter()
        .map(|span| (*span, names::Kind::Product))
        .chain(others)
        .map(|(span, kind)| json!({"start": span.char[0], "end": span.char[1], "type": kind}))
        .collect();
    json!({"id": case["id"], "entities": entities})
}

/// What the names model sees: for each token its range in characters and its hashes.
pub(super) fn name_features(case: &Value) -> Value {
    let text = case["text"].as_str().unwrap_or_default();
    let offsets = Offsets::new(text);
    let tokens: Vec<Value> = names::features(text)
        .into_iter()
        .map(|(range, hashes)| json!([offsets.span(range).char, hashes]))
        .collect();
    json!({"id": case["id"], "tokens": tokens})
}
