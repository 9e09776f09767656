//! `GET /v1/jobs` and `GET /v1/dead`: lists of jobs, newest first, a page at a time.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use flotilla_core::flow::Parent;
use flotilla_core::handler::Progress;
use flotilla_core::records::{Filter, JobRecord, Listed, Page};
use flotilla_core::replay::{Fingerprint, of_record};
use flotilla_core::{DeadClass, JobId, Kind, Lane, Priority, State as Stand, Tenant, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::Shared;
use super::asked::Query;
use super::enqueue::json as answer;
use super::problem::Problem;
use crate::auth::Principal;
use crate::redact;

/// Jobs of a page, unless said, and at most.
pub(crate) const PAGE: (usize, usize) = (50, 500);
/// Records that one page looks at, where a part of the search is not the backend's.
const SCAN: usize = 2000;
/// Bytes of whole jobs in one page; a page that would be larger ends before.
const WHOLE: usize = 8 << 20;
/// Longest error and reason in a list, in characters.
const CLIP: usize = 300;

/// Parameters of a search.
pub(crate) const PARAMETERS: [&str; 15] = [
    "id", "kind", "lane", "state", "tenant", "class", "since", "until", "error", "parent",
    "platform", "account", "cursor", "limit", "full",
];

/// One job of a list: what is large of it is in the job itself.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    id: JobId,
    kind: Kind,
    lane: Lane,
    tenant: Tenant,
    priority: Priority,
    state: Stand,
    attempt: u32,
    max_attempts: u32,
    crashes: u32,
    enqueued_at: Timestamp,
    run_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<DeadClass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Parent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

impl From<JobRecord> for Row {
    fn from(job: JobRecord) -> Self {
        let clip = |text: &str| text.chars().take(CLIP).collect();
        Self {
            platform: named(&job, "platform"),
            account: named(&job, "account"),
            id: job.id,
            error: job.errors.last().map(|last| clip(&last.error)),
            reason: job.reason.as_deref().map(clip),
            kind: job.kind,
            lane: job.lane,
            tenant: job.tenant,
            priority: job.priority,
            state: job.state,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            crashes: job.crashes,
            enqueued_at: job.enqueued_at,
            run_at: job.run_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            worker: job.worker.map(|worker| worker.to_string()),
            class: job.class,
            progress: job.progress,
            parent: job.parent,
        }
    }
}

/// What the payload says of the platform or the account it is for.
pub(crate) fn named(job: &JobRecord, field: &str) -> Option<String> {
    job.payload.get(field).and_then(Value::as_str).map(str::to_owned)
}

pub(crate) async fn jobs(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::read(&uri, &PARAMETERS)?;
    page(&shared, &who, query.filter()?, &[], &query).await
}

pub(crate) async fn dead(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    uri: Uri,
) -> Result<Response, Problem> {
    let known = PARAMETERS.into_iter().filter(|name| *name != "state").chain(["group"]);
    let query = Query::read(&uri, &known.collect::<Vec<_>>())?;
    let groups = query.all::<Fingerprint>("group")?;
    page(&shared, &who, query.filter()?.dead(), &groups, &query).await
}

async fn page(
    shared: &Shared,
    who: &Principal,
    filter: Filter,
    groups: &[Fingerprint],
    query: &Query,
) -> Result<Response, Problem> {
    let limit = query.limit(PAGE.0, PAGE.1)?;
    let before = query.one::<JobId>("cursor")?;
    let (platform, account) = (query.one::<String>("platform")?, query.one::<String>("account")?);
    let empty = || answer(StatusCode::OK, &json!({"jobs": [], "next": null}));
    let Some(filter) = who.within(filter) else { return Ok(empty()) };
    let listed = if platform.is_none() && account.is_none() && groups.is_empty() {
        shared.api.records.list(&filter, Page { limit, before }).await?
    } else {
        let fits = |job: &JobRecord| {
            let same = |field: &str, wanted: &Option<String>| {
                wanted.is_none() || named(job, field) == *wanted
            };
            let grouped = groups.is_empty() || groups.contains(&of_record(job));
            grouped && same("platform", &platform) && same("account", &account)
        };
        sieve(shared, &filter, limit, before, fits).await?
    };
    if query.one::<bool>("full")?.unwrap_or_default() {
        return Ok(answer(StatusCode::OK, &whole(listed)));
    }
    let rows: Vec<Row> = listed.jobs.into_iter().map(Row::from).collect();
    Ok(answer(StatusCode::OK, &json!({"jobs": rows, "next": listed.next})))
}

/// Jobs with all that is known of them, in so many bytes; the first one always.
fn whole(listed: Listed) -> Value {
    let (mut next, mut bytes, mut jobs) = (listed.next, 0, Vec::new());
    for job in listed.jobs {
        let id = job.id;
        let document = json!(redact::job(job));
        bytes += document.to_string().len();
        if bytes > WHOLE && !jobs.is_empty() {
            break;
        }
        jobs.push((id, document));
    }
    if bytes > WHOLE {
        next = jobs.last().map(|(id, _)| *id);
    }
    let jobs: Vec<Value> = jobs.into_iter().map(|(_, document)| document).collect();
    json!({"jobs": jobs, "next": next})
}

/// A page of those that fit, out of as many records as one page may look at: it may be short, and
/// even empty, where there is more.
async fn sieve(
    shared: &Shared,
    filter: &Filter,
    limit: usize,
    mut before: Option<JobId>,
    fits: impl Fn(&JobRecord) -> bool,
) -> Result<Listed, Problem> {
    let mut found = Vec::new();
    for _ in 0..SCAN / PAGE.1 {
        let page = Page { limit: PAGE.1, before };
        let listed = shared.api.records.list(filter, page).await?;
        for job in listed.jobs {
            before = Some(job.id);
            if fits(&job) {
                found.push(job);
            }
            if found.len() == limit {
                return Ok(Listed { jobs: found, next: before });
            }
        }
        if listed.next.is_none() {
            return Ok(Listed { jobs: found, next: None });
        }
    }
    Ok(Listed { jobs: found, next: before })
}
