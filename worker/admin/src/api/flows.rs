//! `GET /v1/flows/{id}`: a job with its children, all the way down, as far as one answer goes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use flotilla_core::JobId;
use flotilla_core::records::{Filter, JobRecord, Page};
use serde_json::json;

use super::Shared;
use super::enqueue::json as answer;
use super::job::{known, read_id};
use super::problem::Problem;
use super::search::Row;
use crate::auth::Principal;

/// Jobs of one answer.
const MOST: usize = 1000;
/// Steps up to the root.
const CLIMB: usize = 64;

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    who: Principal,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asked = known(&shared, &who, read_id(id)?).await?;
    let asked_id = asked.id;
    let root = root(&shared, &who, asked).await?;
    let root_id = root.id;
    let (jobs, truncated) = below(&shared, &who, root).await?;
    let rows: Vec<Row> = jobs.into_values().map(Row::from).collect();
    let document =
        json!({"root": root_id, "asked": asked_id, "jobs": rows, "truncated": truncated});
    Ok(answer(StatusCode::OK, &document))
}

/// The job at the top, as far as it is still there and visible.
async fn root(shared: &Shared, who: &Principal, job: JobRecord) -> Result<JobRecord, Problem> {
    let mut job = job;
    for _ in 0..CLIMB {
        let Some(parent) = &job.parent else { break };
        match shared.api.records.get(parent.id).await? {
            Some(above) if who.sees(&above.tenant) => job = above,
            _ => break,
        }
    }
    Ok(job)
}

/// The job and everything below it, breadth first.
async fn below(
    shared: &Shared,
    who: &Principal,
    root: JobRecord,
) -> Result<(BTreeMap<JobId, JobRecord>, bool), Problem> {
    let mut open = VecDeque::from([root.id]);
    let mut found = BTreeMap::from([(root.id, root)]);
    while let Some(parent) = open.pop_front() {
        let asked = Filter { parents: vec![parent], ..Filter::default() };
        let Some(filter) = who.within(asked) else { break };
        let mut before = None;
        loop {
            let listed = shared.api.records.list(&filter, Page { limit: 500, before }).await?;
            for job in listed.jobs {
                if found.len() >= MOST {
                    return Ok((found, true));
                }
                if job.flow.is_some() {
                    open.push_back(job.id);
                }
                found.insert(job.id, job);
            }
            before = listed.next;
            if before.is_none() {
                break;
            }
        }
    }
    Ok((found, false))
}
