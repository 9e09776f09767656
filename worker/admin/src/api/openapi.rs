//! The API as OpenAPI 3.1, whose schemas are JSON Schema 2020-12: the kinds' own schemas go in as
//! they are.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::{Api, Shared, operations, schemas};

pub(crate) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], shared.openapi.clone()).into_response()
}

/// The document for the kinds there are.
pub(crate) fn document(api: &Api) -> Value {
    let mut schemas = fixed_schemas();
    schemas.extend(schemas::all());
    let mut kinds = Vec::new();
    for kind in api.ops.registry.kinds() {
        let Ok((payload, result)) = kind.schemas() else { continue };
        let name = kind.kind.as_str();
        for (part, schema) in [("payload", payload), ("result", result)] {
            let place = format!("{name}.{part}");
            schemas.insert(place.clone(), moved(schema, &place));
        }
        kinds.push(json!({
            "properties": {
                "kind": {"const": name},
                "payload": {"$ref": format!("#/components/schemas/{name}.payload")},
            },
        }));
    }
    let mut envelope = envelope();
    if !kinds.is_empty() {
        envelope["oneOf"] = Value::Array(kinds);
    }
    schemas.insert("Envelope".into(), envelope);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Flotilla",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Enqueue jobs, look at the fleet, handle it.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": if api.auth.is_open() { json!([]) } else { json!([{"token": []}, {"session": []}]) },
        "paths": every_path(api),
        "components": {
            "schemas": schemas,
            "responses": {"Problem": {
                "description": "What is wrong, in which field, and what to do.",
                "content": {"application/problem+json":
                    {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "flotilla",
                    "description": "Of the console; writes carry x-csrf-token too."},
            },
        },
    })
}

/// A schema that refers to its own `$defs` does so from its place in the document.
fn moved(mut schema: Value, place: &str) -> Value {
    fn walk(value: &mut Value, place: &str) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get_mut("$ref")
                    && let Some(rest) = target.strip_prefix('#')
                {
                    *target = format!("#/components/schemas/{place}{rest}");
                }
                fields.values_mut().for_each(|inner| walk(inner, place));
            }
            Value::Array(items) => items.iter_mut().for_each(|inner| walk(inner, place)),
            _ => {}
        }
    }
    walk(&mut schema, place);
    if let Value::Object(fields) = &mut schema {
        fields.remove("$schema");
    }
    schema
}

fn every_path(api: &Api) -> Map<String, Value> {
    let mut paths = paths(api).as_object().cloned().unwrap_or_default();
    operations::add(&mut paths);
    paths
}

/// Those that have more to say than the table of routes.
fn paths(api: &Api) -> Value {
    let problem = |codes: &[&str]| -> Map<String, Value> {
        let all = codes.iter().chain(&["401", "403", "429", "503"]);
        all.map(|code| ((*code).to_owned(), json!({"$ref": "#/components/responses/Problem"})))
            .collect()
    };
    let with = |good: Value, codes: &[&str]| {
        let mut all = problem(codes);
        all.extend(good.as_object().cloned().unwrap_or_default());
        Value::Object(all)
    };
    let schema = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let content = |schema: Value| json!({"application/json": {"schema": schema}});
    let id = json!({"name": "id", "in": "path", "required": true,
        "schema": {"type": "string", "format": "uuid"}});
    let settings = &api.settings;
    let (max_jobs, max_wait) = (settings.max_jobs, settings.max_wait.as_secs());
    json!({
        "/v1/jobs": {"post": {
            "operationId": "enqueueJobs",
            "summary": "Enqueue one job or many.",
            "description": format!("Nothing is taken unless every job is valid; the answer comes \
                after they are durable. At most {max_jobs} jobs and {} bytes.", settings.max_body),
            "parameters": [
                {"name": "Idempotency-Key", "in": "header", "required": false,
                 "description": format!("The same key with the same body is done once and answered \
                    alike for {} seconds; with another body it is refused.",
                    settings.idempotency.as_secs()),
                 "schema": {"type": "string", "minLength": 1, "maxLength": 255}},
                {"name": "traceparent", "in": "header", "required": false,
                 "description": "The trace the jobs belong to (W3C trace context).",
                 "schema": {"type": "string"}},
            ],
            "requestBody": {"required": true, "content": {
                "application/json": {"schema": {"oneOf": [schema("Envelope"),
                    {"type": "array", "items": schema("Envelope"), "minItems": 1,
                     "maxItems": max_jobs}]}},
                "application/x-ndjson": {"schema": {"type": "string",
                    "description": "One envelope per line."}},
            }},
            "responses": with(json!({
                "201": {"description": "One job, durable now.",
                    "headers": {"Location": {"schema": {"type": "string"}}},
                    "content": content(schema("Taken"))},
                "200": {"description": "One job that was there already, or the outcome of many.",
                    "content": content(json!({"oneOf": [schema("Taken"), {"type": "object",
                        "required": ["jobs"],
                        "properties": {"jobs": {"type": "array", "items": schema("Taken")}}}]}))},
            }), &["400", "409", "413", "415", "422"]),
        }},
        "/v1/jobs/{id}": {
            "get": {
                "operationId": "getJob",
                "summary": "The job as it stands, or as soon as it has finished.",
                "parameters": [id, {"name": "wait", "in": "query", "required": false,
                    "description": format!("Wait this long for it to finish, at most {max_wait}s; \
                        \"30s\", \"500ms\". Answered at once, with Retry-After, when too many wait."),
                    "schema": {"type": "string", "pattern": "^[0-9]+(ms|s|m)?$"}}],
                "responses": with(json!({"200": {"description": "The job.",
                    "content": content(schema("Job"))}}), &["400", "404"]),
            },
        },
        "/v1/openapi.json": {"get": {
            "operationId": "getOpenApi",
            "summary": "This document.",
            "responses": with(json!({"200": {"description": "OpenAPI 3.1.",
                "content": content(json!({"type": "object"}))}}), &[]),
        }},
    })
}

fn envelope() -> Value {
    let name = json!({"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"});
    let instant = json!({"type": "string", "format": "date-time"});
    json!({
        "type": "object",
        "required": ["kind"],
        "properties": {
            "envelope": {"type": "integer", "enum": [1], "description": "Version of this form."},
            "id": {"type": "string", "format": "uuid",
                "description": "Given by a producer that may send twice; else made here."},
            "kind": name,
            "kind_version": {"type": "integer", "minimum": 1,
                "description": "Version of the payload; the present one when absent."},
            "payload": {"description": "The arguments: see the kind."},
            "lane": name,
            "tenant": name,
            "priority": {"type": "integer", "minimum": 0, "maximum": 9},
            "run_at": instant,
            "deadline": instant,
            "unique": {"type": "object", "required": ["key"], "additionalProperties": false,
                "properties": {
                    "key": {"type": "string", "minLength": 1, "maxLength": 512},
                    "scope": {"description": "Until the job has finished, or so many seconds.",
                        "oneOf": [{"const": "unfinished"}, {"type": "object",
                            "required": ["seconds"],
                            "properties": {"seconds": {"type": "integer", "minimum": 0}}}]},
                }},
            "order": {"type": "string", "minLength": 1, "maxLength": 512,
                "description": "Jobs of the same key run one at a time, in order."},
            "traceparent": {"type": "string"},
            "tracestate": {"type": "string"},
        },
    })
}

fn fixed_schemas() -> Map<String, Value> {
    let id = json!({"type": "string", "format": "uuid"});
    let text = json!({"type": "string"});
    let instant = json!({"type": "string", "format": "date-time"});
    let states = flotilla_core::State::ALL.map(flotilla_core::State::name);
    let classes = flotilla_core::DeadClass::ALL.map(flotilla_core::DeadClass::name);
    let all = json!({
        "Taken": {"type": "object", "required": ["id", "outcome"], "properties": {
            "id": id, "detail": text,
            "outcome": {"type": "string", "enum": ["created", "duplicate", "rejected"]}}},
        "Cancelled": {"type": "object", "required": ["id", "outcome"], "properties": {
            "id": id, "outcome": {"type": "string", "enum": ["cancelled", "asked"]}}},
        "Job": {"type": "object",
            "required": ["id", "kind", "lane", "tenant", "state", "attempt", "max_attempts",
                "enqueued_at", "run_at", "payload"],
            "properties": {
                "id": id, "kind": text, "lane": text, "tenant": text,
                "state": {"type": "string", "enum": states},
                "attempt": {"type": "integer"}, "max_attempts": {"type": "integer"},
                "enqueued_at": instant, "run_at": instant, "started_at": instant,
                "finished_at": instant,
                "class": {"type": "string", "enum": classes, "description": "Why it is dead."},
                "reason": text,
                "progress": {"type": "object", "properties": {
                    "fraction": {"type": "number"}, "message": text}},
                "errors": {"type": "array", "items": {"type": "object", "properties": {
                    "attempt": {"type": "integer"}, "at": instant, "worker": text,
                    "error": text}}},
                "payload": {"description": "Its arguments: see <kind>.payload."},
                "result": {"description": "Once completed: see <kind>.result."},
            }},
        "Problem": {"type": "object", "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": text, "title": text, "status": {"type": "integer"}, "detail": text,
                "field": {"type": "string", "description": "The first wrong field."},
                "errors": {"type": "array", "items": {"type": "object",
                    "properties": {"field": text, "detail": text}}},
            }},
    });
    all.as_object().cloned().unwrap_or_default()
}
