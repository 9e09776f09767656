//! Payloads that were valid once are valid for ever, and the published schemas say the same as
//! the decoder.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use flotilla_core::{Payload, Registry};
use flotilla_jobs::register;
use serde_json::{Value, json};

fn registry() -> Registry {
    let services = support::services(Arc::default(), Vec::new());
    let mut registry = Registry::default();
    register(&mut registry, &services).unwrap();
    registry
}

fn golden() -> Vec<(String, u16, Vec<u8>)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/payloads");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let (kind, version) = name.strip_suffix(".json").unwrap().rsplit_once(".v").unwrap();
        found.push((
            kind.to_owned(),
            version.parse().unwrap(),
            std::fs::read(entry.path()).unwrap(),
        ));
    }
    found
}

#[test]
fn golden_payloads_of_every_kind_and_version_still_decode() {
    let (registry, golden) = (registry(), golden());
    for kind in registry.kinds() {
        for version in 1..=kind.version {
            let there = golden.iter().any(|(k, v, _)| k == kind.kind.as_str() && *v == version);
            assert!(there, "tests/fixtures/payloads/{}.v{version}.json is missing", kind.kind);
        }
    }
    for (kind, version, bytes) in golden {
        let checked = registry.get(&kind).unwrap().check(version, &Payload::from_bytes(bytes));
        assert!(checked.is_ok(), "{kind} version {version}: {checked:?}");
    }
}

#[test]
fn the_published_schemas_accept_what_the_decoder_accepts() {
    let registry = registry();
    for (kind, version, bytes) in golden() {
        let kind = registry.get(&kind).unwrap();
        if version == kind.version {
            let (schema, result) = kind.schemas().unwrap();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let payload: Value = serde_json::from_slice(&bytes).unwrap();
            assert!(
                validator.is_valid(&payload),
                "{}: {:?}",
                kind.kind,
                validator.validate(&payload)
            );
            assert!(jsonschema::validator_for(&result).is_ok());
        }
    }
}

#[test]
fn the_published_schemas_refuse_what_the_decoder_refuses() {
    let output = json!({"name": "a", "width": 10, "fit": "width", "format": "jpeg"});
    let source = json!({"path": "a.jpg"});
    let cases = [
        ("caption.parse", json!({}), "."),
        ("caption.parse", json!({"text": 1}), "text"),
        ("caption.parse", json!({"text": "a", "platform": "myspace"}), "platform"),
        ("caption.parse", json!({"text": "a", "txet": "b"}), "txet"),
        ("thumbnail.generate", json!({"source": source}), "."),
        ("thumbnail.generate", json!({"source": {"file": "a"}, "outputs": [output]}), "source"),
        (
            "thumbnail.generate",
            json!({"source": {"blob": "../a"}, "outputs": [output]}),
            "source.blob",
        ),
        (
            "thumbnail.generate",
            json!({"source": source, "outputs": [{"name": "a", "fit": "stretch", "format": "jpeg"}]}),
            "outputs[0].fit",
        ),
        (
            "thumbnail.generate",
            json!({"source": source, "outputs": [{"name": "a", "width": -1, "fit": "width", "format": "jpeg"}]}),
            "outputs[0].width",
        ),
        ("thumbnail.generate", json!({"source": source, "outputs": [output], "extra": 1}), "extra"),
    ];
    let registry = registry();
    for (kind, payload, field) in cases {
        let kind = registry.get(kind).unwrap();
        let error = kind.check(kind.version, &Payload::of(&payload).unwrap()).unwrap_err();
        assert!(error.field.starts_with(field), "{payload}: {error}");
        let (schema, _) = kind.schemas().unwrap();
        // What the schema cannot say (the rule of a blob key) only the decoder refuses.
        if !field.ends_with("blob") {
            assert!(!jsonschema::validator_for(&schema).unwrap().is_valid(&payload), "{payload}");
        }
    }
}

#[test]
fn what_no_picture_can_meet_is_refused_at_the_enqueue() {
    let registry = registry();
    let kind = registry.get("thumbnail.generate").unwrap();
    let field = |outputs: Value| {
        let payload = json!({"source": {"path": "a.jpg"}, "outputs": outputs});
        kind.check(1, &Payload::of(&payload).unwrap()).unwrap_err().field
    };
    assert!(field(json!([])).starts_with("outputs"));
    let output = |name: &str, width: u32| json!({"name": name, "width": width, "fit": "width", "format": "jpeg"});
    assert!(field(json!([output("a", 0)])).contains("width"));
    assert!(field(json!([output("a", 9), output("a", 9)])).contains("name"));
    assert!(field(json!([output("../a", 9)])).contains("name"));
}
