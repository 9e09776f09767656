//! A whole login against a provider in memory, and what must not get in.

use std::sync::Mutex;

use axum::body::Body;
use axum::http::Request;
use flotilla_core::{Cells, Clock, ManualClock};
use flotilla_memory::Memory;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::auth::{AuthSettings, Role};

/// Answers with these claims; remembers the form of the last exchange.
#[derive(Debug, Default)]
struct Provider {
    claims: Mutex<Value>,
    form: Mutex<Vec<(String, String)>>,
}

#[async_trait]
impl Exchange for Provider {
    async fn ask(&self, asked: Asked) -> Result<Bytes, String> {
        if asked.url.ends_with("/.well-known/openid-configuration") {
            let told = json!({"issuer": "https://id.example/", "token_endpoint": "https://id.example/t",
                "authorization_endpoint": "https://id.example/a?x=1"});
            return Ok(told.to_string().into());
        }
        let form = asked.form.unwrap_or_default().into_iter();
        let form = form.map(|(name, value)| (name, value.expose().to_owned())).collect();
        *self.form.lock().expect("no panic") = form;
        let claims = URL_SAFE_NO_PAD.encode(self.claims.lock().expect("no panic").to_string());
        Ok(json!({"id_token": format!("e30.{claims}.sig")}).to_string().into())
    }
}

struct World {
    provider: Arc<Provider>,
    auth: Auth,
}

impl World {
    fn new() -> Self {
        let provider = Arc::new(Provider::default());
        let roles = RoleMap {
            claim: "groups".into(),
            values: vec![("ops".into(), Role::Operator), ("all".into(), Role::Viewer)],
            tenants: String::new(),
        };
        let settings = OidcSettings {
            issuer: "https://id.example".into(),
            client_id: "flotilla".into(),
            client_secret: None,
            public_url: "https://fleet.example".into(),
            label: "Example".into(),
            scopes: vec!["email".into()],
            roles,
        };
        let memory = Arc::new(Memory::new(flotilla_memory::Settings::default()));
        let clock = Arc::new(ManualClock::default()) as Arc<dyn Clock>;
        let auth = Auth::new(Vec::new(), memory as Arc<dyn Cells>, clock, AuthSettings::default());
        let oidc = Oidc::new(settings, Arc::clone(&provider) as Arc<dyn Exchange>);
        Self { provider, auth: auth.with_oidc(oidc) }
    }

    async fn get(&self, path: &str, cookie: &str) -> Response {
        let request = Request::get(path).header("cookie", cookie).body(Body::empty());
        router(self.auth.clone()).oneshot(request.expect("a request")).await.expect("an answer")
    }

    /// Begins a login: the state, the nonce, the cookie.
    async fn begin(&self) -> (String, String, String) {
        let response = self.get("/oidc/start", "").await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let at = response.headers()["location"].to_str().expect("an address").to_owned();
        let url = url::Url::parse(&at).expect("an address");
        let pair = |name: &str| {
            url.query_pairs().find(|(key, _)| key == name).map(|(_, v)| v.into_owned()).expect("it")
        };
        assert_eq!((pair("x"), pair("code_challenge_method")), ("1".into(), "S256".into()));
        assert_eq!(pair("redirect_uri"), "https://fleet.example/oidc/callback");
        let cookie = response.headers()["set-cookie"].to_str().expect("plain");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        (pair("state"), pair("nonce"), cookie)
    }

    fn says(&self, nonce: &str, change: impl FnOnce(&mut Value)) {
        let mut claims = json!({"iss": "https://id.example", "aud": "flotilla", "sub": "1",
            "exp": i64::MAX, "nonce": nonce, "email": "ann@example.com", "groups": ["all", "ops"]});
        change(&mut claims);
        *self.provider.claims.lock().expect("no panic") = claims;
    }
}

#[tokio::test]
async fn somebody_logs_in_once_per_state() {
    let world = World::new();
    assert!(!world.auth.is_open(), "a provider is a way in");
    let (state, nonce, cookie) = world.begin().await;
    world.says(&nonce, |_| {});
    let path = format!("/oidc/callback?code=c&state={state}");
    let response = world.get(&path, &cookie).await;
    assert_eq!(response.status(), StatusCode::OK);
    let form = world.provider.form.lock().unwrap().clone();
    assert!(form.contains(&("code".into(), "c".into())), "{form:?}");
    assert!(form.iter().any(|(name, value)| name == "code_verifier" && value.len() == 64));
    let session = response.headers().get_all("set-cookie").iter().next().unwrap().to_str().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("cookie", session.split(';').next().unwrap().parse().unwrap());
    let at = axum::http::Uri::from_static("/");
    let me = world.auth.who(&axum::http::Method::GET, &at, &headers).await.unwrap();
    assert_eq!((me.name.as_ref(), me.role), ("sso/ann@example.com", Role::Operator));
    assert_eq!(world.get(&path, &cookie).await.status(), StatusCode::UNAUTHORIZED, "used up");
}

#[tokio::test]
async fn what_is_not_ours_does_not_get_in() {
    let world = World::new();
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 6] = [
        ("issuer", |c| c["iss"] = "https://evil.example".into()),
        ("audience", |c| c["aud"] = "other".into()),
        ("party", |c| c["azp"] = "other".into()),
        ("expiry", |c| c["exp"] = (-1000).into()),
        ("nonce", |c| c["nonce"] = "x".into()),
        ("role", |c| c["groups"] = json!(["none"])),
    ];
    for (what, change) in changes {
        let (state, nonce, cookie) = world.begin().await;
        world.says(&nonce, change);
        let response = world.get(&format!("/oidc/callback?code=c&state={state}"), &cookie).await;
        assert!(
            response.status().is_client_error() || response.status().is_server_error(),
            "{what}"
        );
        assert!(response.headers().get("set-cookie").is_none(), "{what}");
    }
    let (state, nonce, _) = world.begin().await;
    world.says(&nonce, |_| {});
    let path = format!("/oidc/callback?code=c&state={state}");
    let other = world.get(&path, "flotilla_login=other").await;
    assert_eq!(other.status(), StatusCode::UNAUTHORIZED, "another browser");
    let (state, _, cookie) = world.begin().await;
    let denied =
        world.get(&format!("/oidc/callback?error=access_denied&state={state}"), &cookie).await;
    assert_eq!(denied.status(), StatusCode::BAD_GATEWAY);
}
