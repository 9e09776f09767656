//! Who may what, made from the table of routes; tenants; pages of other sites.

use serde_json::{Value, json};

use super::*;
use crate::api::routes::{ROUTES, Route};
use crate::auth::Act;

const NOBODY: &str = "019a9c1e-7d52-7c3b-9f65-2b1c6a0d4e11";

/// The path with something in the place of its parameters.
fn path(route: &Route) -> String {
    let id = if route.path.starts_with("/v1/workers") { "w" } else { NOBODY };
    let path = route.path.replace("{id}", id).replace("{lane}", "default");
    path.replace("{pattern}", "web%2Fa").replace("{key}", "web%2Fa")
}

fn scoped(name: &str, role: Role, tenant: &str) -> TokenEntry {
    let tenants = Tenants::of([tenant.parse().expect("a tenant")]);
    TokenEntry { tenants, ..token(name, role, name) }
}

fn bearer(of: &str) -> String {
    format!("Bearer {of}")
}

async fn ask(world: &World, who: &str, method: &str, path: &str, body: &str) -> Answer {
    world.call(shown(who, method, path, body)).await
}

fn shown(who: &str, method: &str, path: &str, body: &str) -> Request<Body> {
    let shown = bearer(who);
    let headers = [("authorization", shown.as_str()), ("content-type", "application/json")];
    request(method, path, body, &headers)
}

#[tokio::test]
async fn every_route_is_for_the_roles_that_the_table_says_and_nobody_else() {
    let mut world = World::new();
    let named = Role::ALL.map(|role| token(role.name(), role, role.name()));
    let held = Role::ALL.map(|role| scoped(&format!("{role}-a"), role, "a"));
    world.admit(named.into_iter().chain(held).collect());
    let routed = router(world.api.clone());
    let call = async |request| {
        Answer::of(routed.clone().oneshot(request).await.expect("routers answer")).await
    };
    for route in ROUTES.iter().filter(|route| route.id != "watchOverview") {
        let at = path(route);
        let nobody = call(request(route.method, &at, "", &[("authorization", "")])).await;
        assert_eq!(nobody.code(), 401, "{} {at}", route.method);
        for role in Role::ALL {
            let answer = call(shown(role.name(), route.method, &at, "")).await;
            let refused = answer.code() == 403;
            assert_eq!(
                refused,
                !role.may(route.act),
                "{role} {} {at}: {}",
                route.method,
                answer.json
            );
            assert!(answer.code() < 500, "{role} {} {at}: {}", route.method, answer.json);
            let answer = call(shown(&format!("{role}-a"), route.method, &at, "")).await;
            let refused = answer.code() == 403;
            let may = role.may(route.act) && !route.fleet;
            assert_eq!(refused, !may, "{role}-a {} {at}: {}", route.method, answer.json);
        }
    }
}

#[test]
fn who_changes_something_must_operate_at_least() {
    for route in ROUTES.iter().filter(|route| route.writes()) {
        let enqueues = matches!(route.id, "enqueueJobs" | "cancelJob");
        let may = |act| matches!(act, Act::Operate | Act::Administer);
        assert!(may(route.act) || (enqueues && route.act == Act::Enqueue), "{}", route.id);
    }
}

fn job(tenant: &str) -> String {
    json!({"kind": "text.read", "payload": {"text": "a"}, "tenant": tenant}).to_string()
}

#[tokio::test]
async fn a_tenant_sees_and_touches_its_own_only() {
    let mut world = World::new();
    world.admit(vec![token("all", Role::Admin, "all"), scoped("ann", Role::Admin, "a")]);
    let own = ask(&world, "ann", "POST", "/v1/jobs", &job("a")).await.id().to_owned();
    let other = ask(&world, "all", "POST", "/v1/jobs", &job("b")).await.id().to_owned();
    let refused = ask(&world, "ann", "POST", "/v1/jobs", &job("b")).await;
    assert_eq!((refused.code(), refused.field()), (403, "tenant"));
    let plain = r#"{"kind":"text.read","payload":{"text":"a"}}"#;
    let filled = ask(&world, "ann", "POST", "/v1/jobs", plain).await;
    let filled = ask(&world, "ann", "GET", filled.header("location"), "").await;
    assert_eq!(filled.json["tenant"], "a", "its only tenant, where none is named");

    let ids = |answer: &Answer| -> Vec<String> {
        let jobs = answer.json["jobs"].as_array().cloned().unwrap_or_default();
        jobs.iter().filter_map(|job| job["id"].as_str().map(str::to_owned)).collect()
    };
    let seen = ids(&ask(&world, "ann", "GET", "/v1/jobs", "").await);
    assert!(seen.contains(&own) && !seen.contains(&other));
    assert!(ids(&ask(&world, "ann", "GET", "/v1/jobs?tenant=b", "").await).is_empty());
    for (method, path) in [
        ("GET", format!("/v1/jobs/{other}")),
        ("DELETE", format!("/v1/jobs/{other}")),
        ("GET", format!("/v1/jobs/{other}/detail")),
        ("POST", format!("/v1/jobs/{other}/retry")),
        ("POST", format!("/v1/jobs/{other}/run-again")),
        ("GET", format!("/v1/flows/{other}")),
    ] {
        assert_eq!(ask(&world, "ann", method, &path, "").await.code(), 404, "{method} {path}");
    }
    let counts = |answer: &Answer| answer.json["lanes"][0]["counts"]["available"].clone();
    assert_eq!(counts(&ask(&world, "ann", "GET", "/v1/lanes", "").await), 2);
    assert_eq!(counts(&ask(&world, "all", "GET", "/v1/lanes", "").await), 3);
    let accounts = ask(&world, "ann", "GET", "/v1/accounts", "").await;
    assert_eq!(accounts.json["accounts"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        ask(&world, "ann", "GET", "/v1/accounts?tenant=b", "").await.json["accounts"],
        json!([])
    );
    let schedules = ask(&world, "ann", "GET", "/v1/schedules", "").await;
    assert_eq!(schedules.json["schedules"].as_array().map(Vec::len), Some(1));
    assert!(ask(&world, "ann", "GET", "/v1/overview", "").await.json["workers"].is_null());

    ask(&world, "all", "DELETE", &format!("/v1/jobs/{other}"), "").await;
    ask(&world, "ann", "DELETE", &format!("/v1/jobs/{own}"), "").await;
    let audit = |answer: &Answer| answer.json["entries"].as_array().map(Vec::len);
    let seen = ask(&world, "ann", "GET", "/v1/audit", "").await;
    assert_eq!((audit(&seen), &seen.json["entries"][0]["target"]), (Some(1), &json!(own)));
    assert_eq!(audit(&ask(&world, "all", "GET", "/v1/audit", "").await), Some(2));
}

#[tokio::test]
async fn a_page_of_another_site_cannot_write_and_a_session_needs_its_own_word() {
    let mut world = World::new();
    let write = |headers: &[(&str, &str)]| {
        let all = [&[("authorization", ""), ("host", "127.0.0.1:8090")][..], headers].concat();
        request("POST", "/v1/jobs", &job("a"), &all)
    };
    let session = world.api.auth.login("sesame").await.expect("a token");
    let line = session.cookie.to_str().expect("plain").to_owned();
    let cookie = line.split(';').next().expect("a pair");
    let csrf = session.principal.csrf();
    let mut bare = write(&[("cookie", cookie)]);
    bare.headers_mut().remove("authorization");
    assert_eq!(world.call(bare).await.code(), 403, "no word");
    for (word, site, code) in
        [(csrf, "same-origin", 201), ("x", "same-origin", 403), (csrf, "cross-site", 403)]
    {
        let headers = [("cookie", cookie), ("x-csrf-token", word), ("sec-fetch-site", site)];
        let mut sent = write(&headers);
        sent.headers_mut().remove("authorization");
        assert_eq!(world.call(sent).await.code(), code, "{word} {site}");
    }
    world.open();
    assert_eq!(world.call(write(&[])).await.code(), 201);
    assert_eq!(world.call(write(&[("origin", "http://127.0.0.1:8090")])).await.code(), 201);
    assert_eq!(world.call(write(&[("origin", "http://evil.example")])).await.code(), 403);
    assert_eq!(world.call(write(&[("sec-fetch-site", "cross-site")])).await.code(), 403);
    let rebound = [("authorization", ""), ("host", "evil.example")];
    assert_eq!(world.call(request("GET", "/v1/jobs", "", &rebound)).await.code(), 421);
}

#[tokio::test]
async fn no_answer_shows_a_secret() {
    let world = World::new();
    for route in ROUTES.iter().filter(|route| !route.writes() && route.id != "watchOverview") {
        let answer = world.ask("GET", &path(route), "").await;
        let text = answer.json.to_string();
        for secret in ["hunter2", "sesame", "open up"] {
            assert!(!text.contains(secret), "{} shows {secret}", route.path);
        }
    }
}

#[tokio::test]
async fn the_document_and_the_table_name_the_same_routes() {
    let document = World::new().ask("GET", "/v1/openapi.json", "").await.json;
    let mut told = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            told.push((path.clone(), method.to_ascii_uppercase(), id));
            let given = operation["parameters"].as_array().cloned().unwrap_or_default();
            for name in path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
                let is =
                    |p: &Value| p["in"] == "path" && p["name"] == name && p["required"] == true;
                assert!(given.iter().any(is), "{method} {path}: {name}");
            }
        }
    }
    let mut table: Vec<_> = ROUTES
        .iter()
        .map(|route| (route.path.to_owned(), route.method.to_owned(), route.id.to_owned()))
        .collect();
    told.sort();
    table.sort();
    assert_eq!(told, table);
}
