//! A call as the platforms see it, and an answer.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method, header};
use base64::Engine;
use bytes::Bytes;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::account::Platform;
use super::media::Media;

/// A file of a multipart body.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) file_name: String,
    pub(crate) content_type: String,
    pub(crate) bytes: Bytes,
}

/// A call, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Req {
    pub(crate) method: Method,
    /// The first part of the path.
    pub(crate) platform: Platform,
    /// The real host's name.
    pub(crate) host: String,
    /// What follows the host, decoded.
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body ended as announced; `false`: the caller went away before.
    pub(crate) complete: bool,
    /// `http://address/platform`: URLs handed out begin so.
    pub(crate) base: String,
    pub(crate) form: Vec<(String, String)>,
    pub(crate) files: Vec<File>,
    pub(crate) json: Option<Value>,
    /// What was behind the loopback URLs it names; `None`: nothing that could be read.
    pub(crate) fetched: BTreeMap<String, Option<Media>>,
}

impl Req {
    /// A parameter of the query, the form or the top level of a JSON body, in that order.
    /// The Graph API takes all three (§3, FB-POST).
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let listed = self.query.iter().chain(&self.form).find(|(key, _)| key == name);
        listed
            .map(|(_, value)| value.as_str())
            .or_else(|| self.json.as_ref().and_then(|body| body.get(name)).and_then(Value::as_str))
    }

    /// The same, also of numbers, booleans, lists and objects, which come as their JSON.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.param(name).map(str::to_owned).or_else(|| {
            let value = self.json.as_ref()?.get(name)?;
            (!value.is_null()).then(|| value.to_string())
        })
    }

    /// Whether a parameter says yes.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|text| matches!(text.as_str(), "true" | "1"))
    }

    /// A header, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What follows `Bearer `, or `OAuth ` (§2.1: rupload).
    pub(crate) fn bearer(&self) -> Option<&str> {
        let value = self.header(header::AUTHORIZATION.as_str())?;
        value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("OAuth ")).map(str::trim)
    }

    /// Name and password of `Basic`.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let value = self.header(header::AUTHORIZATION.as_str())?.strip_prefix("Basic ")?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
    }

    /// The token it shows, wherever a platform allows it: header or `access_token`.
    pub(crate) fn token(&self) -> Option<&str> {
        self.bearer().or_else(|| self.param("access_token"))
    }

    /// The JSON body; `Null` when there is none.
    pub(crate) fn body_json(&self) -> &Value {
        self.json.as_ref().unwrap_or(&Value::Null)
    }

    /// The path as it is logged.
    pub(crate) fn shown_path(&self) -> String {
        format!("/{}", self.path.join("/"))
    }

    /// Reads form and JSON out of the body; multipart is read by the server.
    pub(crate) fn read_body(&mut self) {
        let kind = self.header(header::CONTENT_TYPE.as_str()).unwrap_or_default().to_lowercase();
        if kind.starts_with("application/x-www-form-urlencoded") {
            self.form = form_urlencoded::parse(&self.body).into_owned().collect();
        } else if kind.contains("json") {
            self.json = serde_json::from_slice(&self.body).ok();
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// The body is still to be spoken.
    pub(crate) speak: Option<Box<crate::openai::Script>>,
}

/// `Err` is an answer as well: what a platform says when it does not do as asked.
pub(crate) type Answer = Result<Reply, Reply>;

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(200, body)
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), speak: None }
    }

    pub(crate) fn bytes(status: u16, kind: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".into(), kind.into())];
        Self { status, headers, body: body.into(), speak: None }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// What the sandbox itself says, in no platform's words.
    pub(crate) fn sandbox(status: u16, what: &str) -> Self {
        Self::json(status, &json!({ "sandbox": what }))
    }
}
