//! The operations of the table of routes as OpenAPI.

use flotilla_core::{DeadClass, State};
use serde_json::{Map, Value, json};

use super::routes::{Form, Param, ROUTES, Route};

/// Adds to the paths what is not written there by hand.
pub(crate) fn add(paths: &mut Map<String, Value>) {
    for route in ROUTES.iter().filter(|route| !route.by_hand()) {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route);
    }
}

fn operation(route: &Route) -> Value {
    let (status, schema) = route.answer;
    let content = match schema {
        "Events" => json!({"text/event-stream": {"schema": {"type": "string"}}}),
        schema => json!({"application/json": {"schema": reference(schema)}}),
    };
    let mut responses = Map::new();
    responses.insert(status.to_string(), json!({"description": "Done.", "content": content}));
    if route.id == "createReplay" {
        let content = json!({"application/json": {"schema": reference("Object")}});
        let told = json!({"description": "What it would do.", "content": content});
        responses.insert("200".to_owned(), told);
    }
    let usual = ["401", "403", "429", "503"];
    for code in route.problems.iter().chain(&usual) {
        responses.insert((*code).to_owned(), json!({"$ref": "#/components/responses/Problem"}));
    }
    let mut parameters: Vec<Value> = route.params.iter().map(parameter).collect();
    if route.writes() {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same key with the same request is done once and answered alike.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }));
    }
    if route.problems.contains(&"412") && !route.path.starts_with("/v1/dead") {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "required": false,
            "description": "The ETag of what was looked at: refused where it has changed since.",
            "schema": {"type": "string"},
        }));
    }
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "description": who(route),
        "parameters": parameters,
        "responses": responses,
    });
    if let Some((schema, required)) = route.body {
        operation["requestBody"] = json!({
            "required": required,
            "content": {"application/json": {"schema": reference(schema)}},
        });
    }
    operation
}

fn who(route: &Route) -> String {
    use crate::auth::Role;
    let roles = Role::ALL.into_iter().filter(|role| role.may(route.act)).map(Role::name);
    let roles = roles.collect::<Vec<_>>().join(", ");
    let tenants = if route.fleet { "; for those who see all tenants" } else { "" };
    format!("Roles: {roles}{tenants}.")
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn parameter(param: &Param) -> Value {
    json!({
        "name": param.name,
        "in": if param.in_path { "path" } else { "query" },
        "required": param.in_path,
        "description": param.says,
        "schema": form(param),
    })
}

fn form(param: &Param) -> Value {
    let list = |items: Value| {
        if param.in_path {
            items
        } else {
            json!({"type": "array", "items": items, "maxItems": 100})
        }
    };
    match param.form {
        Form::Text => json!({"type": "string", "minLength": 1, "maxLength": 1000}),
        Form::Names => list(json!({"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"})),
        Form::States => list(json!({"type": "string", "enum": State::ALL.map(State::name)})),
        Form::Classes => {
            list(json!({"type": "string", "enum": DeadClass::ALL.map(DeadClass::name)}))
        }
        Form::Ids if param.name == "cursor" => json!({"type": "string", "format": "uuid"}),
        Form::Ids => list(json!({"type": "string", "format": "uuid"})),
        Form::Flag => json!({"type": "boolean"}),
        Form::Instant => json!({"type": "string", "format": "date-time"}),
        Form::Upto(most) => json!({"type": "integer", "minimum": 1, "maximum": most}),
    }
}
