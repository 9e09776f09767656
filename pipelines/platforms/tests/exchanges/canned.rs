//! A server that answers from a list and remembers what it was asked.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use bytes::Bytes;
use flotilla_core::account::{AccountStatus, Credential};
use flotilla_core::blob::{BlobError, BlobKey, Blobs};
use flotilla_core::clock::between;
use flotilla_core::{
    Account, Accounts, Clock, CpuPool, JobContext, JobError, JobId, Kind, ManualClock, Secret,
    Tenant,
};
use flotilla_platforms::{
    Bounds, Fetcher, GuardSettings, Media, Platforms, Post, Published, Session, platform,
};
use serde_json::Value;
use tokio::sync::Mutex as Later;

/// `"POST /x/2/tweets"`, status, headers, body.
pub(crate) type Answer = (&'static str, u16, &'static [(&'static str, &'static str)], Value);

/// What the server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) what: String,
    pub(crate) query: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        let text = String::from_utf8_lossy(&self.body);
        url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    }
}

#[derive(Debug)]
struct Script {
    left: Mutex<Vec<Answer>>,
    heard: Mutex<Vec<Heard>>,
}

async fn serve(State(script): State<Arc<Script>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let heard = Heard {
        what: format!("{} {}", parts.method, parts.uri.path()),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.iter().map(|(name, v)| (name.to_string(), text(v))).collect(),
        body: to_bytes(body, usize::MAX).await.unwrap(),
    };
    let mut left = script.left.lock().unwrap();
    let found = left.iter().position(|answer| answer.0 == heard.what);
    let host = heard.headers["host"].clone();
    script.heard.lock().unwrap().push(heard);
    let Some(found) = found else {
        return Response::builder().status(599).body(Body::empty()).unwrap();
    };
    let (_, status, headers, body) = left.remove(found);
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, value.replace("{host}", &host));
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    response.body(Body::from(body.replace("{host}", &host))).unwrap()
}

/// A token that never ends.
#[derive(Debug)]
struct Token;

#[async_trait]
impl Accounts for Token {
    async fn account(&self, _: &Tenant, id: &str) -> Result<Account, JobError> {
        Err(JobError::invalid(format!("no account {id}")))
    }

    async fn credential(&self, _: &Tenant, _: &str) -> Result<Credential, JobError> {
        Ok(Credential { access_token: Secret::new("t0ken"), version: 1, expires_at: None })
    }

    async fn renew(&self, tenant: &Tenant, id: &str, _: u64) -> Result<Credential, JobError> {
        self.credential(tenant, id).await
    }

    async fn refused(&self, _: &Tenant, _: &str, _: u64, reason: &str) -> JobError {
        JobError::Park { key: "account".to_owned(), reason: reason.to_owned() }
    }

    async fn seal(&self, _: &Tenant, place: &str, plain: &Secret) -> Result<String, JobError> {
        Ok(format!("{place}:{}", plain.expose()))
    }

    async fn open(&self, _: &Tenant, place: &str, sealed: &str) -> Result<Secret, JobError> {
        let plain = sealed.strip_prefix(place).and_then(|rest| rest.strip_prefix(':'));
        plain.map(Secret::new).ok_or_else(|| JobError::invalid("sealed for another place"))
    }
}

/// Every blob is a film of twelve bytes.
#[derive(Debug)]
struct Films;

pub(crate) const FILM: &[u8] = b"\0\0\0\x0cftypmp42";

#[async_trait]
impl Blobs for Films {
    async fn put(&self, _: &BlobKey, _: Bytes, _: &str) -> Result<(), BlobError> {
        Ok(())
    }

    async fn get(&self, _: &BlobKey, _: u64) -> Result<Bytes, BlobError> {
        Ok(Bytes::from_static(FILM))
    }

    async fn size(&self, _: &BlobKey) -> Result<Option<u64>, BlobError> {
        Ok(Some(FILM.len() as u64))
    }

    async fn delete(&self, _: &BlobKey) -> Result<(), BlobError> {
        Ok(())
    }

    async fn list(&self, _: &str, _: usize) -> Result<Vec<BlobKey>, BlobError> {
        Ok(Vec::new())
    }

    fn locate(&self, key: &BlobKey) -> String {
        key.to_string()
    }
}

/// Posts `post` on the account `external_id` of a platform that answers from a list.
pub(crate) async fn exchange(
    name: &str,
    external_id: &str,
    post: &Post,
    answers: Vec<Answer>,
) -> (Result<Published, String>, Vec<Heard>) {
    let script = Arc::new(Script { left: Mutex::new(answers), heard: Mutex::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let app = Router::new().fallback(serve).with_state(script.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let settings = GuardSettings { allow_hosts: vec![address.clone()], ..GuardSettings::default() };
    let media = Media::new(Arc::new(Fetcher::new(settings).unwrap()), Arc::new(Films));
    let platforms = Platforms::built_in().unwrap();
    let clock = Arc::new(ManualClock::default());
    let account = Account {
        tenant: Tenant::default(),
        id: "a".to_owned(),
        platform: name.to_owned(),
        external_id: external_id.to_owned(),
        name: "name".to_owned(),
        status: AccountStatus::Active,
        scopes: Vec::new(),
        expires_at: None,
        refresh_expires_at: None,
        base_url: Some(format!("http://{address}")),
        extra: BTreeMap::new(),
        created_at: flotilla_core::Timestamp::UNIX_EPOCH,
        renewed_at: None,
    };
    let client = platform::by_name(name).unwrap();
    let (id, kind) = (JobId::derived("job"), Kind::from_static("social.post"));
    let cx = JobContext::detached(id, kind, clock.clone(), CpuPool::new(1));
    let session = Session {
        cx: &cx,
        account: &account,
        spec: platforms.get(name).unwrap(),
        accounts: &Token,
        media: &media,
        bounds: Bounds::default(),
        judge: client.judge(),
        webhooks: false,
        held: Later::default(),
    };
    let mut result = Err("it does not end".to_owned());
    for _ in 0..20 {
        match client.publish(post, &session).await {
            Ok(published) => result = Ok(published),
            Err(JobError::Snooze { until, .. }) => {
                clock.advance(between(clock.now(), until));
                continue;
            }
            Err(error) => result = Err(error.text(1000)),
        }
        break;
    }
    let heard = script.heard.lock().unwrap().clone();
    (result, heard)
}
