//! A call to a platform, written so that it can be made again with a newer token.

use bytes::Bytes;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use crate::http::Content;
use crate::media::Media;
use crate::post::Origin;

/// A call to a platform.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) auth: Auth,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) load: Load,
    pub(crate) what: &'static str,
}

/// Where a call goes.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A path on one of the platform's hosts.
    Path(&'static str, String),
    /// A URL that an answer handed out.
    Url(String),
}

/// How the token travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// `Authorization: Bearer`.
    Bearer,
    /// `Authorization: OAuth`, as upload hosts of Meta want it.
    Meta,
    /// Not at all: the URL itself is the permission.
    Nothing,
}

/// What a call carries.
#[derive(Clone, Debug)]
pub(crate) enum Load {
    Nothing,
    Json(Value),
    Form(Vec<(String, String)>),
    Bytes { bytes: Bytes, media_type: String },
    Range { origin: Origin, from: u64, to: u64, media_type: String },
    Multipart { fields: Vec<(String, String)>, file: Box<File> },
}

/// A file of a multipart body.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) file_name: String,
    pub(crate) origin: Origin,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) media_type: String,
}

/// Pairs of a query or a form.
pub(crate) type Pairs<'a> = &'a [(&'a str, &'a str)];

fn owned(pairs: Pairs<'_>) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Request {
    fn new(method: Method, target: Target) -> Self {
        let (auth, load) = (Auth::Bearer, Load::Nothing);
        Self { method, target, auth, headers: Vec::new(), query: Vec::new(), load, what: "read" }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, Target::Path("api", path.into()))
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self { what: "write", ..Self::new(Method::POST, Target::Path("api", path.into())) }
    }

    /// PUT to a URL that an answer handed out, without the token.
    pub(crate) fn put(url: impl Into<String>) -> Self {
        let request = Self::new(Method::PUT, Target::Url(url.into()));
        Self { what: "upload", auth: Auth::Nothing, ..request }
    }

    /// POST to a URL that an answer handed out, without the token.
    pub(crate) fn post_to(url: impl Into<String>) -> Self {
        Self { method: Method::POST, ..Self::put(url) }
    }

    pub(crate) fn on(mut self, host: &'static str) -> Self {
        if let Target::Path(at, _) = &mut self.target {
            *at = host;
        }
        self
    }

    pub(crate) fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Which endpoint it counts as: `publish`, `container`, `upload`, `read`.
    pub(crate) fn what(mut self, what: &'static str) -> Self {
        self.what = what;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn query(mut self, pairs: Pairs<'_>) -> Self {
        self.query.extend(owned(pairs));
        self
    }

    pub(crate) fn form(mut self, pairs: Pairs<'_>) -> Self {
        self.load = Load::Form(owned(pairs));
        self
    }

    pub(crate) fn pairs(mut self, pairs: Vec<(String, String)>) -> Self {
        self.load = Load::Form(pairs);
        self
    }

    pub(crate) fn json(mut self, value: Value) -> Self {
        self.load = Load::Json(value);
        self
    }

    pub(crate) fn bytes(mut self, bytes: Bytes, media_type: &str) -> Self {
        self.load = Load::Bytes { bytes, media_type: media_type.to_owned() };
        self
    }

    /// The bytes `from..to` of a medium, read as they are sent.
    pub(crate) fn range(mut self, origin: &Origin, from: u64, to: u64, media_type: &str) -> Self {
        let (origin, media_type) = (origin.clone(), media_type.to_owned());
        self.load = Load::Range { origin, from, to, media_type };
        self
    }

    pub(crate) fn multipart(mut self, fields: Pairs<'_>, file: File) -> Self {
        self.load = Load::Multipart { fields: owned(fields), file: Box::new(file) };
        self
    }

    /// Whether it carries a file, which takes longer.
    pub(crate) fn is_upload(&self) -> bool {
        matches!(self.load, Load::Bytes { .. } | Load::Range { .. } | Load::Multipart { .. })
    }
}

impl Load {
    /// The body, and its media type where it has one of its own.
    pub(crate) fn content(&self, media: &Media) -> (Content, Option<String>) {
        let bytes = |text: String| {
            let length = text.len() as u64;
            Content::Body(text.into(), length)
        };
        match self {
            Self::Nothing => (Content::None, None),
            Self::Json(value) => {
                (bytes(value.to_string()), Some("application/json; charset=UTF-8".to_owned()))
            }
            Self::Form(pairs) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(pairs);
                let media_type = "application/x-www-form-urlencoded".to_owned();
                (bytes(form.finish()), Some(media_type))
            }
            Self::Bytes { bytes, media_type } => {
                let length = bytes.len() as u64;
                (Content::Body(bytes.clone().into(), length), Some(media_type.clone()))
            }
            Self::Range { origin, from, to, media_type } => {
                let body = media.stream(origin, *from, *to);
                (Content::Body(body, to - from), Some(media_type.clone()))
            }
            Self::Multipart { fields, file } => {
                let mut form = Form::new();
                for (name, value) in fields {
                    form = form.text(name.clone(), value.clone());
                }
                let body = media.stream(&file.origin, file.from, file.to);
                let part = Part::stream_with_length(body, file.to - file.from)
                    .file_name(file.file_name.clone());
                let part = part.mime_str(&file.media_type).unwrap_or_else(|_| Part::text(""));
                (Content::Form(form.part(file.name, part)), None)
            }
        }
    }
}
