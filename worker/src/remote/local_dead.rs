//! Dead letters of the fleet here: lists, groups, ends, replays.

use flotilla_core::JobId;
use flotilla_core::records::{Filter, JobRecord, Listed, Page, Records, Replay};
use flotilla_core::replay::{
    Amend, Amended, Bounds, Desk, DeskError, DryRun, Groups, Mark, Operation, ReplayId, Request,
    Selection, Word, dry_run, groups, revised, select,
};
use flotilla_engine::found::{self as engine, Found, FoundError};
use serde_json::json;

use super::local::Here;
use super::{Edited, End, FoundWord, NewPayload, Site as _, Turn};
use crate::exit::Failure;
use crate::wire;

/// Ids of one call of a port.
const IDS: usize = 500;

pub(super) async fn list(
    records: &dyn Records,
    selection: &Selection,
    mut page: Page,
) -> Result<Listed, Failure> {
    let (filter, most) = (selection.filter(), page.limit);
    let mut jobs = Vec::new();
    loop {
        page.limit = most - jobs.len();
        let listed = records.list(&filter, page).await?;
        jobs.extend(listed.jobs.into_iter().filter(|record| selection.takes(record)));
        page.before = listed.next;
        if page.before.is_none() || jobs.len() >= most || selection.groups.is_empty() {
            return Ok(Listed { jobs, next: listed.next });
        }
    }
}

pub(super) async fn grouped(here: &Here, selection: &Selection) -> Result<Groups, Failure> {
    Ok(groups(&*here.ports.records, selection, Bounds::default(), here.now()).await?)
}

pub(super) async fn matching(records: &dyn Records, selection: &Selection) -> Result<u64, Failure> {
    if selection.groups.is_empty() {
        return Ok(records.count(&selection.filter()).await?);
    }
    Ok(select(records, selection, usize::MAX).await?.len() as u64)
}

/// The filters that find them: those of a group are known by their ids.
async fn filters(
    records: &dyn Records,
    selection: &Selection,
    limit: usize,
    oldest_first: bool,
) -> Result<Vec<Filter>, Failure> {
    if selection.groups.is_empty() {
        return Ok(vec![selection.filter()]);
    }
    let mut ids = select(records, selection, limit).await?;
    if oldest_first {
        ids.reverse();
    }
    let some = |ids: &[JobId]| Filter { ids: ids.to_vec(), ..Filter::default() }.dead();
    Ok(ids.chunks(IDS).map(some).collect())
}

pub(super) async fn end(
    here: &Here,
    selection: &Selection,
    n: u64,
    reason: &str,
    how: End,
) -> Result<u64, Failure> {
    let (records, now) = (&here.ports.records, here.now());
    let limit = usize::try_from(n).unwrap_or(usize::MAX);
    let mut done = 0;
    for filter in filters(&**records, selection, limit, false).await? {
        done += match how {
            End::Discard => records.discard(&filter, reason, limit, now).await?,
            End::Purge => records.purge(&filter, limit).await?,
        };
    }
    let after = match how {
        End::Discard => "put aside",
        End::Purge => "deleted",
    };
    tracing::info!(
        target: "audit", who = wire::user(), what = "dead letters", after, count = done,
        reason, selection = %json!(selection),
    );
    Ok(done)
}

pub(super) async fn edit(
    here: &Here,
    job: &JobRecord,
    new: &NewPayload,
) -> Result<Edited, Failure> {
    let revision = revised(&here.ops.registry, job, &new.payload).map_err(Failure::usage)?;
    let lines = revision.lines(&job.payload);
    let changes = json!(revision.changes);
    if new.dry_run || (lines.is_empty() && !new.replay) {
        return Ok(Edited { changes, lines, answer: None });
    }
    let mark = Mark {
        of: format!("edit/{}", ReplayId::new(here.now(), &*here.ops.rng)),
        by: wire::user(),
        reason: new.reason.clone(),
    };
    let change = Amend {
        id: job.id,
        mark,
        payload: Some(revision.payload),
        expect: Some(job.payload.clone()),
        replay: new.replay,
    };
    let answers = here.ports.records.amend(std::slice::from_ref(&change), here.now()).await?;
    let answer = answers.into_iter().next();
    if answer == Some(Amended::Done) {
        tracing::info!(
            target: "audit", who = change.mark.by, what = "dead letter", id = %job.id,
            after = if new.replay { "edited and put back" } else { "edited" }, reason = new.reason,
        );
    }
    Ok(Edited { changes, lines, answer })
}

pub(super) async fn replay(
    here: &Here,
    selection: &Selection,
    limit: usize,
) -> Result<Replay, Failure> {
    let records = &here.ports.records;
    let mut done = Replay::default();
    for filter in filters(&**records, selection, limit, true).await? {
        let part = records.replay(&filter, limit, here.now()).await?;
        done.replayed += part.replayed;
        done.refused.extend(part.refused);
    }
    Ok(done)
}

pub(super) async fn dry(here: &Here, request: &Request) -> Result<DryRun, Failure> {
    Ok(dry_run(&*here.ports.records, &here.ops.registry, request, here.now()).await?)
}

pub(super) async fn plan(here: &Here, request: &Request) -> Result<Operation, Failure> {
    let id = ReplayId::new(here.now(), &*here.ops.rng);
    let made = Desk::new(&*here.ports.cells).create(request, id, here.now()).await;
    let made = made.map_err(failure)?;
    tracing::info!(
        target: "audit", who = request.by, what = "replay", id = %id, after = "planned",
        reason = request.reason, request = %json!(request),
    );
    Ok(made)
}

pub(super) async fn replays(here: &Here) -> Result<Vec<Operation>, Failure> {
    Ok(Desk::new(&*here.ports.cells).list(here.now()).await?)
}

pub(super) async fn operation(here: &Here, id: ReplayId) -> Result<Operation, Failure> {
    let found = Desk::new(&*here.ports.cells).get(id, here.now()).await?;
    found.map(|kept| kept.operation).ok_or_else(|| failure(DeskError::Unknown(id)))
}

pub(super) async fn turn(
    here: &Here,
    id: ReplayId,
    turn: Turn,
    reason: &str,
) -> Result<Operation, Failure> {
    let (desk, now) = (Desk::new(&*here.ports.cells), here.now());
    let word = Word { by: wire::user(), why: reason.to_owned() };
    let done = match turn {
        Turn::Pause => desk.pause(id, &word, now).await,
        Turn::Resume => desk.resume(id, &word, now).await,
        Turn::Cancel => desk.cancel(id, &word, now).await,
    };
    let done = done.map_err(failure)?;
    tracing::info!(
        target: "audit", who = word.by, what = "replay", id = %done.id, after = %done.state,
        reason = done.steps.last().map_or("", |step| step.why.as_str()),
    );
    Ok(done)
}

pub(super) async fn found(
    here: &Here,
    job: &JobRecord,
    word: &FoundWord,
) -> Result<JobId, Failure> {
    let found = match (word.did, &word.result) {
        (true, result) => Found::Did(result.clone().unwrap_or_default()),
        (false, _) => Found::DidNot,
    };
    let (ports, word) = (&here.ports, engine::Word { found, by: wire::user() });
    let replayed = engine::replay(&*ports.records, &*ports.cells, &here.ops, job, &word).await;
    replayed.map_err(|error| match error {
        FoundError::Refused(why) => Failure::usage(why),
        FoundError::Port(error) => error.into(),
        FoundError::Enqueue(error) => Failure::usage(error.to_string()),
    })
}

/// What a fault of the desk means to the command.
fn failure(error: DeskError) -> Failure {
    match error {
        DeskError::Port(error) => error.into(),
        other => Failure::usage(other),
    }
}
