//! Who works, what comes by the clock, which accounts there are, who did what.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use flotilla_core::Tenant;
use flotilla_core::clock::before;
use serde_json::json;

use super::Shared;
use super::asked::{self, Query};
use super::enqueue::json as answer;
use super::problem::Problem;
use crate::auth::{Principal, Tenants, Via};

/// A worker that was not seen for longer is gone.
const SEEN_WITHIN: Duration = Duration::from_secs(60);
/// Accounts of one page, unless said, and at most.
const ACCOUNTS: (usize, usize) = (100, 500);
/// Entries of one page of the audit log, unless said, and at most.
const ENTRIES: (usize, usize) = (50, 200);

pub(crate) async fn workers(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let since = before(shared.api.ops.clock.now(), SEEN_WITHIN);
    let workers = shared.api.fleet.workers(since).await?;
    Ok(answer(StatusCode::OK, &json!({"workers": workers})))
}

pub(crate) async fn drain(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(name) = name.map_err(|e| Problem::bad_request("id", e.body_text()))?;
    asked::text("id", &name)?;
    let done = shared.api.acts().drain(&who, &name, None).await?;
    Ok(answer(StatusCode::ACCEPTED, &done))
}

pub(crate) async fn schedules(
    State(shared): State<Arc<Shared>>,
    who: Principal,
) -> Result<Response, Problem> {
    let mut schedules = shared.api.insight.schedules().await?;
    schedules.retain(|schedule| who.sees(&schedule.tenant));
    for schedule in &mut schedules {
        crate::redact::value(&mut schedule.payload);
    }
    Ok(answer(StatusCode::OK, &json!({"schedules": schedules})))
}

pub(crate) async fn accounts(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::read(&uri, &["tenant", "platform", "cursor", "limit"])?;
    let limit = query.limit(ACCOUNTS.0, ACCOUNTS.1)?;
    let platform = query.one::<String>("platform")?;
    let after = query.one::<String>("cursor")?.map(|text| place(&text)).transpose()?;
    let asked = query.one::<Tenant>("tenant")?;
    let visible: Vec<Option<Tenant>> = match (&who.tenants, asked) {
        (_, Some(tenant)) if who.sees(&tenant) => vec![Some(tenant)],
        (_, Some(_)) => Vec::new(),
        (Tenants::All, None) => vec![None],
        (Tenants::Some(some), None) => some.iter().cloned().map(Some).collect(),
    };
    let mut found = Vec::new();
    for tenant in visible {
        // A page that went on in a later tenant has nothing to find in an earlier one.
        let within = after.clone().filter(|(t, _)| tenant.as_ref().is_none_or(|own| own == t));
        if within.is_none()
            && let (Some((t, _)), Some(own)) = (&after, &tenant)
            && own < t
        {
            continue;
        }
        let missing = limit - found.len();
        if missing == 0 {
            break;
        }
        found.extend(shared.api.insight.accounts(tenant.as_ref(), within, missing).await?);
    }
    let next = (found.len() == limit)
        .then(|| found.last().map(|last| format!("{}/{}", last.account.tenant, last.account.id)));
    found.retain(|view| platform.as_ref().is_none_or(|wanted| view.account.platform == *wanted));
    let stopped = shared.api.insight.stops().await?;
    let page = json!({"accounts": found, "next": next.flatten(), "stopped": stopped});
    Ok(answer(StatusCode::OK, &page))
}

/// Where a page of accounts goes on.
fn place(text: &str) -> Result<(Tenant, String), Problem> {
    let wrong = || Problem::bad_request("cursor", "not a cursor: send \"next\" of the page before");
    let (tenant, name) = text.split_once('/').ok_or_else(wrong)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(wrong());
    }
    Ok((tenant.parse().map_err(|_| wrong())?, name.to_owned()))
}

pub(crate) async fn audit(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::read(&uri, &["cursor", "limit"])?;
    let limit = query.limit(ENTRIES.0, ENTRIES.1)?;
    let cursor = query.one::<String>("cursor")?;
    let plain =
        |text: &String| text.len() <= 40 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if cursor.as_ref().is_some_and(|text| !plain(text)) {
        let detail = "not a cursor: send \"next\" of the page before";
        return Err(Problem::bad_request("cursor", detail));
    }
    let (entries, next) = shared.api.audit.list(&who, cursor.as_deref(), limit).await?;
    Ok(answer(StatusCode::OK, &json!({"entries": entries, "next": next})))
}

pub(crate) async fn me(who: Principal) -> Response {
    let via = match who.via {
        Via::Local => "local",
        Via::Token => "token",
        Via::Session { .. } => "session",
    };
    let tenants = match &who.tenants {
        Tenants::All => None,
        Tenants::Some(some) => Some(some),
    };
    answer(
        StatusCode::OK,
        &json!({"name": &*who.name, "role": who.role, "tenants": tenants, "via": via}),
    )
}
