//! Limits and breakers: what holds calls back, and changing it by hand.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flotilla_core::limit::{InvalidLimit, LimitKey, Rule};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::acts::matches;
use super::asked::{self, MAX_ACTION};
use super::enqueue::{json as answer, whole};
use super::insight::RuleView;
use super::problem::Problem;
use crate::audit::Change;
use crate::auth::Principal;

/// Quotas of one rule.
const MAX_QUOTAS: usize = 10;
/// Longest pause of a breaker that is opened by hand.
const LONGEST: u64 = 30 * 86_400;

type Name = Result<Path<String>, PathRejection>;
type Sent = Result<Bytes, BytesRejection>;

fn name(name: Name, field: &str) -> Result<String, Problem> {
    let Path(text) = name.map_err(|e| Problem::bad_request(field, e.body_text()))?;
    asked::text(field, &text)?;
    Ok(text)
}

fn etag(rule: Option<&RuleView>) -> String {
    let text = serde_json::to_string(&rule).unwrap_or_default();
    format!("\"{}\"", &blake3::hash(text.as_bytes()).to_hex()[..16])
}

async fn present(shared: &Shared, pattern: &str) -> Result<Option<RuleView>, Problem> {
    let (rules, _) = shared.api.insight.limits().await?;
    Ok(rules.into_iter().find(|rule| rule.pattern == pattern))
}

pub(crate) async fn limits(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let (rules, keys) = shared.api.insight.limits().await?;
    Ok(answer(StatusCode::OK, &json!({"rules": rules, "keys": keys})))
}

pub(crate) async fn limit(
    State(shared): State<Arc<Shared>>,
    pattern: Name,
) -> Result<Response, Problem> {
    let pattern = name(pattern, "pattern")?;
    let Some(rule) = present(&shared, &pattern).await? else {
        let detail = "no rule of that pattern: GET /v1/limits names them";
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown-rule", "no such rule", detail));
    };
    let mut response = answer(StatusCode::OK, &rule);
    if let Ok(tag) = HeaderValue::from_str(&etag(Some(&rule))) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Quotas {
    quotas: Vec<String>,
    #[serde(default)]
    reason: Option<String>,
}

pub(crate) async fn set_limit(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    pattern: Name,
    sent: Sent,
) -> Result<Response, Problem> {
    let pattern = name(pattern, "pattern")?;
    let given: Quotas = asked::body(&headers, &whole(sent, MAX_ACTION)?)?;
    let reason = given.reason.as_deref().map(asked::reason).transpose()?;
    if given.quotas.len() > MAX_QUOTAS {
        return Err(Problem::bad_request("quotas", format!("at most {MAX_QUOTAS}")));
    }
    let rule = Rule::new(&pattern, &given.quotas)
        .map_err(|e| Problem::bad_request("quotas", e.to_string()))?;
    let before = present(&shared, &pattern).await?;
    matches(&headers, &etag(before.as_ref()))?;
    let change = Change {
        what: "limit.set",
        target: pattern.clone(),
        before: Some(json!(before)),
        reason,
        ..Change::default()
    };
    let done = shared.audited(&who, change, async {
        shared.api.insight.set_rule(&rule).await?;
        Ok(json!({"pattern": pattern, "quotas": given.quotas, "set_by_hand": true}))
    });
    Ok(answer(StatusCode::OK, &done.await?))
}

pub(crate) async fn unset_limit(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    pattern: Name,
) -> Result<Response, Problem> {
    let pattern = name(pattern, "pattern")?;
    let before = present(&shared, &pattern).await?;
    matches(&headers, &etag(before.as_ref()))?;
    let change = Change {
        what: "limit.unset",
        target: pattern.clone(),
        before: Some(json!(before)),
        ..Change::default()
    };
    let done = shared.audited(&who, change, async {
        let was = shared.api.insight.unset_rule(&pattern).await?;
        Ok(json!({"pattern": pattern, "was_set": was}))
    });
    Ok(answer(StatusCode::OK, &done.await?))
}

pub(crate) async fn breakers(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let breakers = shared.api.insight.breakers().await?;
    Ok(answer(StatusCode::OK, &json!({"breakers": breakers})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    stand: Wanted,
    reason: String,
    /// Seconds after which a few jobs try again; absent: when it is closed by hand.
    #[serde(default)]
    pause: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Open,
    Closed,
}

pub(crate) async fn turn(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    key: Name,
    sent: Sent,
) -> Result<Response, Problem> {
    let key = name(key, "key")?;
    let key: LimitKey =
        key.parse().map_err(|e: InvalidLimit| Problem::bad_request("key", e.to_string()))?;
    let given: Turn = asked::body(&headers, &whole(sent, MAX_ACTION)?)?;
    let reason = asked::reason(&given.reason)?;
    if given.pause.is_some_and(|seconds| !(1..=LONGEST).contains(&seconds)) {
        return Err(Problem::bad_request("pause", format!("1 to {LONGEST} seconds")));
    }
    let own = shared.api.insight.breaker_of(&key);
    if own != key {
        let detail = format!("{key} has no breaker of its own: its jobs share that of {own}");
        return Err(Problem::bad_request("key", detail));
    }
    let breakers = shared.api.insight.breakers().await?;
    let before = breakers.into_iter().find(|breaker| breaker.key == key.to_string());
    let what = match given.stand {
        Wanted::Open => "breaker.open",
        Wanted::Closed => "breaker.close",
    };
    let change = Change {
        what,
        target: key.to_string(),
        before: Some(before.map_or(Value::Null, |breaker| json!(breaker.stand))),
        reason: Some(reason.clone()),
        ..Change::default()
    };
    let done = shared.audited(&who, change, async {
        match given.stand {
            Wanted::Open => {
                let pause = given.pause.map(Duration::from_secs);
                shared.api.insight.open_breaker(&key, &who.name, &reason, pause).await?;
                Ok(json!({"key": key, "stand": "open", "pause": given.pause}))
            }
            Wanted::Closed => {
                let was = shared.api.insight.close_breaker(&key, &who.name, &reason).await?;
                Ok(json!({"key": key, "stand": "closed", "was_open": was}))
            }
        }
    });
    Ok(answer(StatusCode::OK, &done.await?))
}
