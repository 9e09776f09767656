//! The OpenAPI document says what the API does.

use serde_json::{Value, json};

use super::World;

async fn document(world: &World) -> Value {
    let answer = world.ask("GET", "/v1/openapi.json", "").await;
    assert_eq!((answer.code(), answer.header("content-type")), (200, "application/json"));
    answer.json
}

fn references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|inner| references(inner, into));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, into)),
        _ => {}
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let document = document(&World::new()).await;
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    assert!(found.iter().any(|target| target.contains("text.read.payload/$defs/")), "{found:?}");
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}

#[tokio::test]
async fn its_envelope_schema_takes_what_is_taken_and_refuses_what_is_refused() {
    let world = World::new();
    let mut schema = document(&world).await;
    schema["$ref"] = "#/components/schemas/Envelope".into();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let text = |extra: Value| {
        let mut envelope = json!({"kind": "text.read", "payload": {"text": "a"}});
        envelope.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        envelope
    };
    for good in [
        text(json!({})),
        text(json!({"priority": 9, "lane": "a-b", "run_at": "2026-01-01T00:00:00Z"})),
        text(json!({"unique": {"key": "k"}, "order": "o"})),
        text(json!({"unique": {"key": "l", "scope": {"seconds": 9}}})),
        text(json!({"payload": {"text": "a", "style": {"loud": true}}})),
    ] {
        assert!(validator.is_valid(&good), "{good}");
        assert_eq!(world.post(&good.to_string(), &[]).await.code(), 201, "{good}");
    }
    for bad in [
        json!({}),
        json!({"kind": "text.read"}),
        json!({"kind": "other.kind", "payload": {}}),
        text(json!({"priority": 10})),
        text(json!({"lane": "A"})),
        text(json!({"payload": {"text": 1}})),
        text(json!({"payload": {"text": "a", "style": {"loud": 1}}})),
        text(json!({"unique": {}})),
    ] {
        if bad["payload"].is_object() {
            assert!(!validator.is_valid(&bad), "{bad}");
        }
        assert_eq!(world.post(&bad.to_string(), &[]).await.code(), 422, "{bad}");
    }
}

#[tokio::test]
async fn answers_fit_their_schemas() {
    let world = World::new();
    let whole = document(&world).await;
    let fits = |name: &str, value: &Value| {
        let mut schema = whole.clone();
        schema["$ref"] = format!("#/components/schemas/{name}").into();
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert!(validator.is_valid(value), "{name}: {value}");
    };
    let made = world.post(r#"{"kind":"text.read","payload":{"text":"a"}}"#, &[]).await;
    fits("Taken", &made.json);
    fits("Job", &world.ask("GET", made.header("location"), "").await.json);
    fits("Problem", &world.post("{}", &[]).await.json);
    fits("Cancelled", &world.ask("DELETE", made.header("location"), "").await.json);
}
