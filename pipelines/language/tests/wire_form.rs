//! The wire form of `caption.parse` and of tags: every field that readers of results were promised.

use flotilla_language::caption::{Request, parse};
use flotilla_language::tags::{Context, Post, generate};
use serde_json::{Map, Value};

/// Holds something of every kind.
const FULL: &str = "LOVE this Nike Dunk Low in black! Was $120 now $89 (-25%) with code SAVE10 👟 shop now, \
    link in bio! #nike @jo.ann https://a.co $TSLA hi@shop.de +49 151 1234567";

fn read(text: &str) -> Value {
    let request = Request { text: text.to_owned(), ..Request::default() };
    serde_json::to_value(parse(&request)).expect("a caption is JSON")
}

fn object<'v>(value: &'v Value, what: &str) -> &'v Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("{what} is no object: {value}"))
}

fn has(value: &Value, what: &str, fields: &[&str]) {
    let found = object(value, what);
    for field in fields {
        assert!(found.contains_key(*field), "{what} has no {field}: {value}");
    }
}

#[test]
fn every_promised_field_of_a_caption_is_there() {
    let caption = read(FULL);
    has(&caption["language"], "language", &["code", "confidence", "parts", "rule"]);
    has(&caption["sentiment"], "sentiment", &["label", "score", "confidence", "rule"]);
    let lists: [(&str, &[&str]); 12] = [
        ("hashtags", &["tag"]),
        ("mentions", &["handle"]),
        ("urls", &["url"]),
        ("cashtags", &["tag"]),
        ("emails", &["email"]),
        ("phones", &["number"]),
        ("emoji", &["emoji", "name"]),
        ("prices", &["text", "amount", "currency", "role"]),
        ("discounts", &["kind", "value"]),
        ("codes", &["code"]),
        ("products", &["brand", "name", "variant"]),
        ("ctas", &["kind", "urgency"]),
    ];
    for (list, fields) in lists {
        let items = caption[list].as_array().unwrap_or_else(|| panic!("{list} is no list"));
        assert!(!items.is_empty(), "{list} is empty: {caption}");
        for item in items {
            has(item, list, fields);
            has(item, list, &["span", "rule", "confidence"]);
            has(&item["span"], list, &["byte", "char", "utf16"]);
            let sure = item["confidence"].as_f64().unwrap_or(-1.0);
            assert!((0.0..=1.0).contains(&sure), "{list}: {item}");
        }
    }
    assert_eq!(caption["mode"], "local");
    assert!(caption["notes"].is_array());
    // Nothing found is an empty list, not a missing one.
    let empty = read("");
    assert!(lists.iter().all(|(list, _)| empty[*list].as_array().is_some_and(Vec::is_empty)));
}

#[test]
fn every_role_of_a_price_and_kind_of_a_discount_has_its_name() {
    let role = |text: &str| read(text)["prices"][0]["role"].clone();
    for (text, want) in [
        ("was $80", "was"),
        ("was $80 now", "was"),
        ("only now $49", "now"),
        ("starting at $20", "min"),
        ("everything under $30", "max"),
        ("$15-$40", "range"),
        ("3 for $30", "bundle"),
        ("free shipping on orders over $75", "threshold"),
        ("$5 per piece", "per_unit"),
        ("shipping $4.99", "shipping"),
        ("4 payments of $25", "instalment"),
    ] {
        assert_eq!(role(text), want, "{text}");
    }
    for (text, want) in [
        ("20% off", "percent"),
        ("$20 off", "amount"),
        ("buy one get one free", "bogo"),
        ("free shipping", "free_shipping"),
        ("dress $49 with a free gift", "free"),
    ] {
        assert_eq!(read(text)["discounts"][0]["kind"], want, "{text}");
    }
}

#[test]
fn every_promised_field_of_tags_is_there() {
    let text = "How to spot a fake Chanel classic flap handbag #chanelbag";
    let post = Post { text, picture: true, ..Post::default() };
    let told = serde_json::to_value(generate(&post, &Context::default())).expect("tags are JSON");
    has(&told, "tags", &["tags", "keyphrases", "categories", "trends", "seo", "mode", "notes"]);
    has(&told["tags"][0], "a tag", &["tag", "score", "reason"]);
    has(&told["keyphrases"][0], "a keyphrase", &["text", "score"]);
    for tree in ["google", "shopify", "content"] {
        has(&told["categories"][tree][0], tree, &["path", "confidence"]);
    }
    let fields = ["title", "description", "slug", "keywords", "json_ld", "alt_text"];
    has(&told["seo"], "seo", &fields);
}
