//! Who asks for a page, and what a form carries: every page and every write begins here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flotilla_admin::audit::Change;
use flotilla_admin::auth::{Act, Principal, Refused};
use flotilla_core::records::JobRecord;
use flotilla_core::{JobId, Timestamp};

use crate::Shared;
use crate::shell::{self, Page};
use crate::trouble::Trouble;

/// Largest form, in bytes.
const MAX_FORM: usize = 256 * 1024;
/// Longest time a form may take to arrive.
const ARRIVES: Duration = Duration::from_secs(10);
/// What was just done, told on the next page.
const SAID: &str = "flotilla-said";
/// Light or dark, where it was chosen.
const THEME: &str = "flotilla-theme";

/// Somebody who may see, asking.
pub(crate) struct Ask {
    pub(crate) shared: Arc<Shared>,
    pub(crate) who: Principal,
    /// Path and query, for the way back.
    pub(crate) here: String,
    pub(crate) now: Timestamp,
    theme: &'static str,
    said: Option<String>,
}

impl Ask {
    /// May they do this, for the tenants they have.
    pub(crate) fn may(&self, act: Act) -> bool {
        self.who.may(act)
    }

    /// May they do this to what all tenants share.
    pub(crate) fn may_fleet(&self, act: Act) -> bool {
        self.who.need_fleet(act).is_ok()
    }

    /// Goes on only for who sees the whole fleet.
    pub(crate) fn fleet(&self) -> Result<(), Trouble> {
        Ok(self.who.need_fleet(Act::See)?)
    }

    /// A job this person may see; somebody else's is as good as none.
    pub(crate) async fn job(&self, id: &str) -> Result<JobRecord, Trouble> {
        let none = || Trouble::missing(format!("there is no job {id}, or it was pruned"));
        let id: JobId = id.parse()?;
        let found = self.shared.console.records.get(id).await?;
        found.filter(|job| self.who.sees(&job.tenant)).ok_or_else(none)
    }

    /// The page in its frame.
    pub(crate) fn show(&self, page: Page) -> Response {
        let frame = shell::Frame {
            who: &self.who,
            theme: self.theme,
            here: &self.here,
            said: self.said.as_deref(),
            badges: self.shared.live.badges(),
            open: self.shared.console.auth.is_open(),
        };
        let mut response = shell::full(&frame, &page).into_response();
        if self.said.is_some() {
            append(&mut response, cookie(SAID, "", 0));
        }
        response
    }
}

impl FromRequestParts<Arc<Shared>> for Ask {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Trouble> {
        let here = parts.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
        let auth = &shared.console.auth;
        let who = match auth.who(&parts.method, &parts.uri, &parts.headers).await {
            Ok(who) => who,
            Err(Refused::Unknown) => {
                let back = if parts.method == Method::GET { here.as_str() } else { "/" };
                return Err(Trouble::log_in(back));
            }
            Err(refused) => return Err(refused.into()),
        };
        who.need(Act::See)?;
        Ok(Self {
            who,
            here,
            now: shared.console.ops.clock.now(),
            theme: theme(&parts.headers),
            said: said(&parts.headers),
            shared: Arc::clone(shared),
        })
    }
}

impl Ask {
    /// Does something that changes the fleet: put down before and after, told to the next look.
    pub(crate) async fn change<T, E: std::fmt::Display + Into<Trouble>>(
        &self,
        change: Change,
        act: impl Future<Output = Result<T, E>>,
        after: impl FnOnce(&T) -> serde_json::Value,
    ) -> Result<T, Trouble> {
        let open = self.shared.console.audit.begin(&self.who, change).await?;
        match act.await {
            Ok(done) => {
                open.done(Some(after(&done))).await;
                self.shared.live.stale();
                Ok(done)
            }
            Err(error) => {
                open.failed(&error.to_string()).await;
                Err(error.into())
            }
        }
    }
}

/// A write: a form that this person's own page sent.
pub(crate) struct Write {
    pub(crate) ask: Ask,
    fields: BTreeMap<String, Vec<String>>,
    /// The page it came from.
    back: String,
}

impl Write {
    /// The first value of a field, without the white space around it; empty: absent.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let value = self.fields.get(name)?.first()?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// Every field, for a filter.
    pub(crate) fn fields(&self) -> &BTreeMap<String, Vec<String>> {
        &self.fields
    }

    /// Why somebody does it; every write that changes much wants it.
    pub(crate) fn reason(&self) -> Result<&str, Trouble> {
        let reason = self.field("reason").ok_or_else(|| {
            Trouble::wrong("say why: the reason is shown to everybody who meets this later")
        })?;
        if reason.len() > 1000 {
            return Err(Trouble::wrong("the reason has more than 1,000 bytes: make it shorter"));
        }
        Ok(reason)
    }

    /// Back to the page it came from, which tells what was done.
    pub(crate) fn done(&self, said: &str) -> Response {
        self.go(&self.back, said)
    }

    /// On to another page.
    pub(crate) fn go(&self, to: &str, said: &str) -> Response {
        go(to, said)
    }
}

impl FromRequest<Arc<Shared>> for Write {
    type Rejection = Trouble;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Trouble> {
        let (mut parts, body) = request.into_parts();
        let ask = Ask::from_request_parts(&mut parts, shared).await?;
        let fields = form(body).await?;
        let shown = fields.get("csrf").and_then(|all| all.first()).map(String::as_str);
        ask.who.check_csrf(shown)?;
        let back = fields.get("back").and_then(|all| all.first());
        let back = local(back.map_or("/", String::as_str)).to_owned();
        Ok(Self { ask, fields, back })
    }
}

/// The fields of a form, bounded in size and time.
pub(crate) async fn form(body: axum::body::Body) -> Result<BTreeMap<String, Vec<String>>, Trouble> {
    let bytes = tokio::time::timeout(ARRIVES, to_bytes(body, MAX_FORM)).await;
    let bytes = match bytes {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return Err(Trouble::wrong(format!("a form has at most {MAX_FORM} bytes"))),
        Err(_) => return Err(Trouble::wrong("the form did not arrive in time")),
    };
    Ok(pairs(&bytes))
}

/// The fields of a query or a form.
pub(crate) fn pairs(encoded: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(encoded) {
        fields.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    fields
}

/// Only paths of this console: never another site.
pub(crate) fn local(path: &str) -> &str {
    let plain = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && path.bytes().all(|b| (0x21..0x7f).contains(&b));
    if plain { path } else { "/" }
}

/// To another page with a word about what was done.
pub(crate) fn go(to: &str, said: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(to) = HeaderValue::from_str(local(to)) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    let said: String = said.chars().take(600).collect();
    let encoded: String = url::form_urlencoded::byte_serialize(said.as_bytes()).collect();
    append(&mut response, cookie(SAID, &encoded, 60));
    response
}

/// Remembers light or dark.
pub(crate) fn themed(to: &str, theme: &str) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, local(to))]).into_response();
    let (value, seconds) = match theme {
        "light" | "dark" => (theme, 365 * 86_400),
        _ => ("", 0),
    };
    append(&mut response, cookie(THEME, value, seconds));
    response
}

fn append(response: &mut Response, cookie: String) {
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn cookie(name: &str, value: &str, seconds: u64) -> String {
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict")
}

fn shown<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|it| it.to_str().ok());
    let mut pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|it| it.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value).filter(|value| !value.is_empty())
}

pub(crate) fn theme(headers: &HeaderMap) -> &'static str {
    match shown(headers, THEME) {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "",
    }
}

fn said(headers: &HeaderMap) -> Option<String> {
    let encoded = shown(headers, SAID)?;
    let (text, _) = url::form_urlencoded::parse(encoded.as_bytes()).next()?;
    (text.len() <= 4000).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_never_leads_to_another_site() {
        for good in ["/", "/jobs?state=dead", "/lanes#posts"] {
            assert_eq!(local(good), good);
        }
        for bad in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a b",
            "javascript:x",
            "/é",
        ] {
            assert_eq!(local(bad), "/", "{bad}");
        }
    }

    #[test]
    fn what_was_done_travels_in_a_cookie() {
        let response = go("/lanes", "paused posts; 3 jobs wait é");
        let set = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        let pair = set.split(';').next().unwrap();
        headers.insert(header::COOKIE, format!("a=b; {pair}").parse().unwrap());
        assert_eq!(said(&headers).as_deref(), Some("paused posts; 3 jobs wait é"));
        assert_eq!(theme(&headers), "");
    }
}
