//! Children of a job: checked and completed when their parent starts them, gathered when it goes
//! on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::clock::after;
use flotilla_core::flow::{Child, ChildEnd, Parent};
use flotilla_core::ops::Ops;
use flotilla_core::queue::{Claimed, NewJob, QueueError};
use flotilla_core::records::{Filter, JobRecord, Page};
use flotilla_core::sabotage::{self, Bug};
use flotilla_core::{JobError, JobId};

use crate::names::Call;
use crate::settings::FlowBounds;
use crate::shared::Shared;

/// How long a parent waits whose children cannot be read.
const UNREADABLE: Duration = Duration::from_secs(2);

/// Longest name of a child, in bytes.
const MAX_NAME: usize = 64;

/// Children in one answer of the records.
const PAGE: usize = 1000;

/// No children.
pub(crate) fn none() -> Arc<[ChildEnd]> {
    Arc::default()
}

/// The children as jobs of their own: validated like any enqueue, named by their parent, of its
/// tenant and its trace, without a unique key. `before` are those it has already; one that is
/// wanted again is passed over.
///
/// # Errors
/// A sentence, when one cannot be: then none is started and the parent is at fault.
pub(crate) fn prepare(
    shared: &Shared,
    parent: &Claimed,
    before: &[ChildEnd],
    mut wanted: Vec<Child>,
) -> Result<Vec<NewJob>, String> {
    let FlowBounds { max_depth, max_children } = shared.settings.flows;
    let known: BTreeSet<&str> = before.iter().map(|child| child.name.as_str()).collect();
    wanted.retain(|child| !known.contains(child.name.as_str()));
    if wanted.is_empty() && before.iter().all(|child| child.state.is_finished()) {
        return Err("it awaits children, and none is left to end".to_owned());
    }
    let all = before.len() + wanted.len();
    if all > max_children as usize {
        return Err(format!(
            "it would have {all} children; at most {max_children} are allowed \
             (flows.max_children)"
        ));
    }
    let depth = parent.parent.as_ref().map_or(0, |above| above.depth).saturating_add(1);
    if depth > max_depth {
        return Err(format!(
            "its children would be generation {depth}; at most {max_depth} are allowed \
             (flows.max_depth)"
        ));
    }
    if sabotage::committed(Bug::DropChild) {
        wanted.pop();
    }
    let mut names = BTreeSet::new();
    let mut jobs = Vec::with_capacity(wanted.len());
    for child in wanted {
        let name = child.name.clone();
        if !names.insert(name.clone()) {
            return Err(format!("two of its children are called \"{name}\""));
        }
        let job = job(&shared.ops, parent, depth, child);
        jobs.push(job.map_err(|error| format!("child \"{name}\": {error}"))?);
    }
    Ok(jobs)
}

fn job(ops: &Ops, parent: &Claimed, depth: u16, child: Child) -> Result<NewJob, String> {
    let Child { name, mut envelope } = child;
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(format!("its name must have 1 to {MAX_NAME} bytes"));
    }
    if envelope.order.is_some() && !ops.queue.capabilities().ordering {
        let queue = ops.queue.capabilities().name;
        return Err(format!("the {queue} queue keeps no ordering keys"));
    }
    envelope.id = Some(Child::id(parent.held.id, &name));
    envelope.tenant = Some(parent.tenant.clone());
    envelope.trace = parent.trace.clone();
    let job = ops.prepare(envelope, ops.clock.now()).map_err(|e| e.to_string())?;
    Ok(NewJob { unique: None, parent: Some(Parent { id: parent.held.id, name, depth }), ..job })
}

/// The children a job has started in earlier attempts, by name.
///
/// # Errors
/// A snooze, when they cannot be read: no fault of the job.
pub(crate) async fn children(
    shared: &Shared,
    claimed: &Claimed,
) -> Result<Arc<[ChildEnd]>, JobError> {
    if claimed.children == 0 {
        return Ok(none());
    }
    let read = gather(shared, claimed.held.id).await;
    shared.observer.port(Call::Records, &read);
    read.map(Arc::from).map_err(|error| JobError::Snooze {
        until: after(shared.clock.now(), UNREADABLE),
        reason: format!("its children cannot be read: {error}"),
    })
}

async fn gather(shared: &Shared, parent: JobId) -> Result<Vec<ChildEnd>, QueueError> {
    let filter = Filter { parents: vec![parent], ..Filter::default() };
    let mut page = Page { limit: PAGE, before: None };
    let mut ends: Vec<ChildEnd> = Vec::new();
    loop {
        let listed = shared.ports.records.list(&filter, page).await?;
        ends.extend(listed.jobs.into_iter().filter_map(end));
        if listed.next.is_none() {
            break;
        }
        page.before = listed.next;
    }
    ends.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(ends)
}

fn end(record: JobRecord) -> Option<ChildEnd> {
    let error = record.errors.into_iter().next_back().map(|e| e.error).or(record.reason);
    Some(ChildEnd {
        name: record.parent?.name,
        id: record.id,
        state: record.state,
        class: record.class,
        result: record.result.map(|value| Bytes::from(value.to_string())),
        error,
    })
}
