//! Dead letters: their groups; discarding and deleting them, which want a reason and the number that
//! is meant, so that a filter that reaches further than thought changes nothing. Putting many back
//! is a replay operation; one is put back with `POST /v1/jobs/{id}/retry`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use flotilla_core::records::{Filter, Replay};
use flotilla_core::replay::{Bounds, Groups, Selection, groups as grouped, select};
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::asked::{self, MAX_ACTION, Query};
use super::enqueue::{json as answer, whole};
use super::problem::Problem;
use crate::audit::Change;
use crate::auth::{Principal, Tenants};

/// Dead letters of one call at most.
const MOST: usize = 10_000;
/// Ids of one call to the backend.
const BATCH: usize = 500;
/// Ids that one request may name.
const MAX_IDS: usize = 1000;
/// Values of another field of a selection.
const MAX_VALUES: usize = 100;

/// Parameters that hold the groups to some dead letters.
const HELD: [&str; 8] = ["kind", "lane", "tenant", "class", "since", "until", "error", "group"];
/// Dead letters that are looked at for groups of some of them.
const LOOK: Bounds = Bounds { letters: 100_000, groups: 500, hours: 48 };

pub(crate) async fn groups(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::read(&uri, &HELD)?;
    let selection = Selection { groups: query.all("group")?, ..selected(query.filter()?) };
    let (as_of, groups) = if selection == Selection::default() {
        let counted = shared.api.dead_groups.get(&who).await?;
        (counted.as_of, counted.groups)
    } else {
        let now = shared.api.ops.clock.now();
        let found = match own(&who, selection)? {
            Some(selection) => grouped(&*shared.api.records, &selection, LOOK, now).await?,
            None => Groups { complete: true, ..Groups::default() },
        };
        (now, Arc::new(found))
    };
    Ok(answer(
        StatusCode::OK,
        &json!({"as_of": as_of, "groups": groups.groups, "looked": groups.looked,
            "beyond": groups.beyond, "complete": groups.complete}),
    ))
}

/// The selection that a filter is, without its states.
fn selected(filter: Filter) -> Selection {
    Selection {
        ids: filter.ids,
        lanes: filter.lanes,
        kinds: filter.kinds,
        tenants: filter.tenants,
        classes: filter.classes,
        groups: Vec::new(),
        since: filter.since,
        until: filter.until,
        error: filter.error,
    }
}

/// The selection, held to the tenants of who asks. `None`: nothing of it is theirs.
pub(crate) fn own(who: &Principal, mut selection: Selection) -> Result<Option<Selection>, Problem> {
    let lists = [
        ("lanes", selection.lanes.len()),
        ("kinds", selection.kinds.len()),
        ("tenants", selection.tenants.len()),
        ("classes", selection.classes.len()),
        ("groups", selection.groups.len()),
    ];
    if let Some((field, _)) = lists.into_iter().find(|(_, n)| *n > MAX_VALUES) {
        return Err(Problem::bad_request(field, format!("at most {MAX_VALUES} values")));
    }
    if selection.ids.len() > MAX_IDS {
        return Err(Problem::bad_request("ids", format!("at most {MAX_IDS}: use a filter")));
    }
    selection.error = selection.error.filter(|text| !text.is_empty());
    if let Some(error) = &selection.error {
        asked::text("error", error)?;
    }
    let Tenants::Some(some) = &who.tenants else { return Ok(Some(selection)) };
    if selection.tenants.is_empty() {
        selection.tenants = some.iter().cloned().collect();
    } else {
        selection.tenants.retain(|tenant| some.contains(tenant));
    }
    Ok((!selection.tenants.is_empty()).then_some(selection))
}

/// What is to be put aside or deleted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meant {
    #[serde(default)]
    selection: Selection,
    reason: String,
    /// How many the caller means.
    #[serde(default)]
    count: Option<u64>,
    /// At most so many.
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    dry_run: bool,
}

type Sent = Result<Bytes, BytesRejection>;

/// How many match; those of a group are gathered, and so are at most as many as one call takes.
async fn matching(shared: &Shared, selection: &Selection) -> Result<u64, Problem> {
    if selection.groups.is_empty() {
        return Ok(shared.api.records.count(&selection.filter()).await?);
    }
    Ok(select(&*shared.api.records, selection, MOST + 1).await?.len() as u64)
}

/// Which dead letters go back at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Back {
    selection: Selection,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

/// Puts the oldest that match back at once, without an operation.
pub(crate) async fn replay(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Problem> {
    let back: Back = asked::body(&headers, &whole(sent, MAX_ACTION)?)?;
    let reason = back.reason.as_deref().map(asked::reason).transpose()?;
    let limit = back.limit.unwrap_or(MOST);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::bad_request("limit", format!("a whole number from 1 to {MOST}")));
    }
    let target = serde_json::to_string(&back.selection).unwrap_or_default();
    let Some(selection) = own(&who, back.selection)? else {
        return Err(Problem::bad_request("tenants", "none of these tenants is yours"));
    };
    let change = Change { what: "dead.replay", target, reason, ..Change::default() };
    let done = shared.audited(&who, change, async {
        let records = &shared.api.records;
        let mut filters = vec![selection.filter()];
        if !selection.groups.is_empty() {
            let mut ids = select(&**records, &selection, limit).await?;
            ids.reverse(); // the oldest first
            let some = |ids: &[_]| Filter { ids: ids.to_vec(), ..Filter::default() }.dead();
            filters = ids.chunks(BATCH).map(some).collect();
        }
        let mut done = Replay::default();
        for filter in filters {
            let part = records.replay(&filter, limit, shared.api.ops.clock.now()).await?;
            done.replayed += part.replayed;
            done.refused.extend(part.refused);
        }
        Ok(json!(done))
    });
    Ok(answer(StatusCode::OK, &done.await?))
}

pub(crate) async fn discard(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Problem> {
    act(&shared, &who, &headers, sent, "dead.discard").await
}

pub(crate) async fn purge(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Problem> {
    act(&shared, &who, &headers, sent, "dead.purge").await
}

async fn act(
    shared: &Shared,
    who: &Principal,
    headers: &HeaderMap,
    sent: Sent,
    what: &'static str,
) -> Result<Response, Problem> {
    let meant: Meant = asked::body(headers, &whole(sent, MAX_ACTION)?)?;
    let reason = asked::reason(&meant.reason)?;
    let target = serde_json::to_string(&meant.selection).unwrap_or_default();
    let most = meant.limit.and_then(|n| usize::try_from(n).ok()).map_or(MOST + 1, |n| n.min(MOST));
    let selection = own(who, meant.selection)?;
    if meant.dry_run {
        let matching = match &selection {
            Some(selection) => matching(shared, selection).await?,
            None => 0,
        };
        let would = matching.min(most as u64).min(MOST as u64);
        let document = json!({"dry_run": true, "matching": matching, "would_touch": would,
            "more": matching > MOST as u64});
        return Ok(answer(StatusCode::OK, &document));
    }
    let ids = match &selection {
        Some(selection) => select(&*shared.api.records, selection, most).await?,
        None => Vec::new(),
    };
    let n = ids.len();
    if n > MOST {
        let detail = format!("more than {MOST} match: narrow the filter and go step by step");
        return Err(Problem::conflict("too-many", "too many at once", detail));
    }
    if meant.count != Some(n as u64) {
        let detail = format!("{n} match now: send \"count\": {n} if these are meant");
        return Err(Problem::conflict("count", "not the number that is meant", detail));
    }
    let change = Change {
        what,
        target,
        before: Some(json!({"matching": n, "first": ids.iter().take(20).collect::<Vec<_>>()})),
        reason: Some(reason.clone()),
        ..Change::default()
    };
    let done = shared.audited(who, change, async {
        let words = format!("{reason} ({})", who.name);
        let mut touched = 0;
        for batch in ids.chunks(BATCH) {
            let filter = Filter { ids: batch.to_vec(), ..Filter::default() }.dead();
            let now = shared.api.ops.clock.now();
            touched += match what {
                "dead.purge" => shared.api.records.purge(&filter, batch.len()).await?,
                _ => shared.api.records.discard(&filter, &words, batch.len(), now).await?,
            };
        }
        Ok(json!({"touched": touched}))
    });
    Ok(answer(StatusCode::OK, &done.await?))
}
