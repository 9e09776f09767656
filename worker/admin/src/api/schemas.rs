//! What the operations take and answer, as JSON Schema.

use flotilla_core::{DeadClass, State};
use serde_json::{Map, Value, json};

/// By name, for `#/components/schemas`.
pub(crate) fn all() -> Map<String, Value> {
    let mut all = jobs();
    all.extend(fleet());
    all.extend(dead());
    all.extend(traffic());
    all
}

fn text() -> Value {
    json!({"type": "string"})
}

fn id() -> Value {
    json!({"type": "string", "format": "uuid"})
}

fn instant() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn maybe(mut schema: Value) -> Value {
    let kind = schema["type"].clone();
    schema["type"] = json!([kind, "null"]);
    schema
}

fn object(needed: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": needed, "properties": properties})
}

/// A list under a name, with where the next page begins.
fn page(name: &str, items: &str, next: Option<Value>) -> Value {
    let list = json!({"type": "array", "items": {"$ref": format!("#/components/schemas/{items}")}});
    match next {
        Some(next) => object(&[name, "next"], json!({name: list, "next": maybe(next)})),
        None => object(&[name], json!({name: list})),
    }
}

fn states() -> Value {
    json!({"type": "string", "enum": State::ALL.map(State::name)})
}

fn classes() -> Value {
    json!({"type": "string", "enum": DeadClass::ALL.map(DeadClass::name)})
}

fn entries(all: Value) -> Map<String, Value> {
    all.as_object().cloned().unwrap_or_default()
}

fn jobs() -> Map<String, Value> {
    let reason = json!({"type": "string", "minLength": 1, "maxLength": 1000});
    let closed = |needed: Value, properties: Value| {
        json!({"type": "object", "additionalProperties": false, "required": needed,
            "properties": properties})
    };
    entries(json!({
        "Object": {"type": "object"},
        "Done": {"type": "object"},
        "Reason": closed(json!([]), json!({"reason": reason})),
        "NeededReason": closed(json!(["reason"]), json!({"reason": reason})),
        "JobRow": object(&["id", "kind", "lane", "tenant", "state", "attempt", "max_attempts",
            "enqueued_at", "run_at"], json!({
            "id": id(), "kind": text(), "lane": text(), "tenant": text(), "state": states(),
            "priority": count(), "attempt": count(), "max_attempts": count(), "crashes": count(),
            "enqueued_at": instant(), "run_at": instant(), "started_at": instant(),
            "finished_at": instant(), "worker": text(), "reason": text(), "class": classes(),
            "error": text(), "progress": {"type": "object"}, "parent": {"type": "object"},
            "platform": text(), "account": text()})),
        "Jobs": page("jobs", "JobRow", Some(id())),
        "JobDetail": object(&["job", "timeline", "why", "artefacts", "effects"], json!({
            "job": {"$ref": "#/components/schemas/Job"},
            "timeline": {"type": "array", "items": object(&["at", "what"], json!({
                "at": instant(), "what": text(), "attempt": count(), "worker": text(),
                "says": text()}))},
            "trace_id": maybe(text()), "platform": maybe(text()), "account": maybe(text()),
            "artefacts": {"type": "array", "items": object(&["path", "at"], json!({
                "path": text(), "at": text(), "media_type": maybe(text()), "bytes": maybe(count())}))},
            "effects": {"type": "array", "items": object(&["name", "state"], json!({
                "name": text(), "state": text()}))},
            "why": object(&["id", "state", "because"], json!({
                "id": id(), "state": states(), "because": {"type": "array", "items": text()},
                "ahead": count(), "start": instant()})),
            "replay_of": {}})),
        "FlowTree": object(&["root", "asked", "jobs", "truncated"], json!({
            "root": id(), "asked": id(), "truncated": {"type": "boolean"},
            "jobs": {"type": "array", "items": {"$ref": "#/components/schemas/JobRow"}}})),
    }))
}

fn fleet() -> Map<String, Value> {
    let names = json!({"type": "array", "items": text()});
    entries(json!({
        "Lane": object(&["lane", "counts", "runnable", "blocked"], json!({
            "lane": text(), "counts": {"type": "object", "additionalProperties": count()},
            "runnable": count(), "blocked": count(), "oldest_available": instant(),
            "paused": object(&["by", "reason", "since"], json!({
                "by": text(), "reason": text(), "since": instant()}))})),
        "Lanes": page("lanes", "Lane", None),
        "Worker": object(&["id", "version", "lanes", "concurrency", "running"], json!({
            "id": text(), "version": text(), "lanes": names, "concurrency": count(),
            "running": count(), "started_at": instant(), "seen_at": instant(),
            "draining": {"type": "boolean"}})),
        "Workers": page("workers", "Worker", None),
        "Schedule": object(&["name", "cron", "timezone", "kind", "tenant", "payload"], json!({
            "name": text(), "cron": text(), "timezone": text(), "kind": text(), "lane": text(),
            "tenant": text(), "payload": {}, "last": instant(), "next": instant()})),
        "Schedules": page("schedules", "Schedule", None),
        "Account": object(&["tenant", "id", "platform", "external_id", "status"], json!({
            "tenant": text(), "id": text(), "platform": text(), "external_id": text(),
            "name": text(), "status": {"type": "object"}, "scopes": names})),
        "Accounts": object(&["accounts", "next", "stopped"], json!({
            "accounts": {"type": "array", "items": {"$ref": "#/components/schemas/Account"}},
            "next": maybe(text()),
            "stopped": {"type": "array", "items": object(&["platform", "until", "reason"], json!({
                "platform": text(), "since": instant(), "until": instant(), "reason": text()}))}})),
        "Overview": object(&["at", "lanes", "totals"], json!({
            "at": instant(), "totals": {"type": "object", "additionalProperties": count()},
            "lanes": {"type": "array", "items": {"$ref": "#/components/schemas/Lane"}},
            "workers": {"type": "object", "additionalProperties": count()},
            "breakers_open": names})),
        "Glance": object(&["at", "attention", "lanes"], json!({
            "at": instant(), "attention": {"type": "array", "items": {"type": "object"}},
            "lanes": {"type": "array", "items": {"type": "object"}},
            "workers": {"type": "array", "items": {"$ref": "#/components/schemas/Worker"}},
            "lost": {"type": "array", "items": {"$ref": "#/components/schemas/Worker"}},
            "limits": {"type": "array", "items": {"type": "object"}},
            "breakers": {"type": "array", "items": {"type": "object"}},
            "dead": {"type": "object"}, "pace": {"type": "object"}})),
        "AuditEntry": object(&["id", "at", "who", "role", "what", "target", "outcome"], json!({
            "id": text(), "at": instant(), "who": text(), "role": text(), "what": text(),
            "target": text(), "tenant": text(), "reason": text(), "before": {}, "after": {},
            "outcome": {"type": "string", "enum": ["begun", "done", "failed"]}, "error": text()})),
        "Audit": page("entries", "AuditEntry", Some(text())),
        "Me": object(&["name", "role", "tenants", "via"], json!({
            "name": text(), "role": text(), "tenants": {"type": ["array", "null"], "items": text()},
            "via": {"type": "string", "enum": ["local", "token", "session"]}})),
    }))
}

fn dead() -> Map<String, Value> {
    let names = json!({"type": "array", "maxItems": 100,
        "items": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"}});
    let print = json!({"type": "string", "pattern": "^[0-9a-f]{12}$"});
    let part = json!({"type": "string", "maxLength": 1000});
    entries(json!({
        "DeadGroup": object(&["fingerprint", "kind", "message", "example", "count", "first", "last",
            "samples", "hours"], json!({
            "fingerprint": print, "kind": text(), "class": maybe(text()), "message": text(),
            "example": text(), "count": count(), "first": instant(), "last": instant(),
            "samples": {"type": "array", "items": id()},
            "hours": {"type": "object", "additionalProperties": count()}})),
        "DeadGroups": object(&["as_of", "groups", "looked", "beyond", "complete"], json!({
            "as_of": instant(), "looked": count(), "beyond": count(),
            "complete": {"type": "boolean"},
            "groups": {"type": "array", "items": {"$ref": "#/components/schemas/DeadGroup"}}})),
        "Selection": {"type": "object", "additionalProperties": false, "properties": {
            "ids": {"type": "array", "items": id(), "maxItems": 500},
            "lanes": names, "kinds": names, "tenants": names,
            "classes": {"type": "array", "items": classes(), "maxItems": 100},
            "groups": {"type": "array", "items": print, "maxItems": 100},
            "since": maybe(instant()), "until": maybe(instant()), "error": maybe(part)}},
        "Meant": {"type": "object", "additionalProperties": false, "required": ["reason"],
            "properties": {
                "selection": {"$ref": "#/components/schemas/Selection"},
                "reason": {"type": "string", "minLength": 1, "maxLength": 1000},
                "count": {"type": ["integer", "null"], "minimum": 0,
                    "description": "How many are meant; another number of matches is refused."},
                "limit": {"type": ["integer", "null"], "minimum": 1,
                    "description": "At most so many; count is how many that makes."},
                "dry_run": {"type": "boolean", "description": "Only tell how many match."}}},
        "Back": {"type": "object", "additionalProperties": false, "required": ["selection"],
            "properties": {
                "selection": {"$ref": "#/components/schemas/Selection"},
                "reason": {"type": ["string", "null"], "minLength": 1, "maxLength": 1000},
                "limit": {"type": ["integer", "null"], "minimum": 1, "maximum": 10000}}},
        "FoundWord": {"type": "object", "additionalProperties": false,
            "required": ["did", "reason"], "properties": {
                "did": {"type": "boolean", "description": "Whether its effect happened."},
                "result": {"description": "What the effect gave; only where it happened."},
                "reason": {"type": "string", "minLength": 1, "maxLength": 1000}}},
        "Edit": {"type": "object", "additionalProperties": false, "required": ["payload"],
            "properties": {
                "payload": {"description": "The whole of it. Where it holds the mask of a secret, \
                    the secret that is there stays."},
                "reason": {"type": ["string", "null"], "minLength": 1, "maxLength": 1000},
                "replay": {"type": "boolean", "description": "Put it back at once."},
                "dry_run": {"type": "boolean", "description": "Only tell what would change."}}},
        "ReplayRequest": {"type": "object", "additionalProperties": false, "properties": {
            "selection": {"$ref": "#/components/schemas/Selection"},
            "patch": {"type": ["array", "null"], "items": {"type": "object"},
                "description": "Changes every payload first (RFC 6902)."},
            "canary": {"type": "integer", "minimum": 0, "maximum": 4_294_967_295_u64},
            "rate": {"type": ["number", "null"], "minimum": 0.001, "maximum": 10000},
            "ramp_seconds": {"type": "integer", "minimum": 0, "maximum": 3600},
            "stop_at": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
            "stop_after": {"type": "integer", "minimum": 0, "maximum": 4_294_967_295_u64},
            "limit": {"type": ["integer", "null"], "minimum": 1},
            "by": {"type": "string", "description": "Taken from the token, whatever it says."},
            "reason": {"type": "string", "maxLength": 500}}},
        "Replay": object(&["id", "request", "state", "created_at", "counts"], json!({
            "id": id(), "request": {"$ref": "#/components/schemas/ReplayRequest"}, "state": text(),
            "created_at": instant(), "counts": {"type": "object"},
            "steps": {"type": "array", "items": {"type": "object"}}})),
        "Replays": page("replays", "Replay", None),
    }))
}

fn traffic() -> Map<String, Value> {
    let texts = json!({"type": "array", "items": text()});
    entries(json!({
        "Rule": object(&["pattern", "quotas", "set_by_hand"], json!({
            "pattern": text(), "quotas": texts, "set_by_hand": {"type": "boolean"}})),
        "Limits": object(&["rules", "keys"], json!({
            "rules": {"type": "array", "items": {"$ref": "#/components/schemas/Rule"}},
            "keys": {"type": "array", "items": object(&["key", "quotas", "running"], json!({
                "key": text(), "quotas": texts, "next_start": instant(),
                "running": {"type": "array", "items": id()}, "frozen_until": instant(),
                "frozen_because": text()}))}})),
        "Quotas": {"type": "object", "additionalProperties": false, "required": ["quotas"],
            "properties": {"quotas": {"type": "array", "items": text(), "maxItems": 10},
                "reason": {"type": ["string", "null"], "minLength": 1, "maxLength": 1000}}},
        "Breaker": object(&["key", "stand", "says"], json!({
            "key": text(), "stand": {}, "says": text(),
            "history": {"type": "array", "items": object(&["at", "to", "by", "why"], json!({
                "at": instant(), "to": {"type": "string", "enum": ["open", "half_open", "closed"]},
                "by": text(), "why": text()}))}})),
        "Breakers": page("breakers", "Breaker", None),
        "Turn": {"type": "object", "additionalProperties": false, "required": ["stand", "reason"],
            "properties": {"stand": {"type": "string", "enum": ["open", "closed"]},
                "reason": {"type": "string", "minLength": 1, "maxLength": 1000},
                "pause": {"type": ["integer", "null"], "minimum": 1, "maximum": 2_592_000,
                    "description": "Seconds after which a few jobs try again."}}},
    }))
}
