//! What happens to jobs, as decisions within a transaction: taken in, moved, ended, and what an
//! end means to the next in line, to a parent and to children.

use std::time::Duration;

use flotilla_core::clock::{Timestamp, after};
use flotilla_core::envelope::UniqueScope;
use flotilla_core::flow::{FLOW_ENDED, Flow, Until, WAITS_FOR_CHILDREN, WAITS_IN_LINE, line_of};
use flotilla_core::ids::{JobId, WorkerId};
use flotilla_core::queue::{Enqueued, NewJob, QueueError};
use flotilla_core::state::{Event, State};

use super::Bounds;
use super::row::{INLINE, PART, Row};
use super::tx::{Hold, Line, MOST_ITEMS, Tx};

/// The most jobs that stand in line behind one ordering key: the line is one item.
const LONGEST_LINE: usize = 5_000;

/// The name of what a job's unique key is unique among, where it has one.
pub(crate) fn unique_name(kind: &str, tenant: &str, key: &str) -> String {
    blake3::hash(format!("{kind}\n{tenant}\n{key}").as_bytes()).to_hex().to_string()
}

pub(crate) fn name_of(row: &Row) -> Option<String> {
    let unique = row.unique.as_ref()?;
    Some(unique_name(row.kind.as_str(), row.tenant.as_str(), &unique.key))
}

/// How many items a job adds to the transaction that makes it.
pub(crate) fn items_of(job: &NewJob) -> usize {
    let size = job.payload.bytes().len();
    let parts = if size > INLINE { size.div_ceil(PART) } else { 0 };
    1 + parts + usize::from(job.order.is_some()) + usize::from(job.unique.is_some())
}

impl Tx<'_> {
    /// Moves a job, and does what its end means where that is one.
    pub(crate) async fn step(
        &mut self,
        id: JobId,
        event: Event,
        bounds: &Bounds,
    ) -> Result<(), QueueError> {
        let (now, arrival) = (self.now, self.db.arrival());
        let row = self.change(id)?;
        if !row.go(event, now, arrival)? {
            return Ok(());
        }
        row.untold = bounds.events;
        row.sweep = row.made > 0;
        if row.sweep {
            self.swept.push(id);
        }
        self.move_the_line(id).await?;
        self.count_on_parent(id).await
    }

    /// Makes one job, unless it or its like is there.
    pub(crate) async fn enqueue(
        &mut self,
        job: &NewJob,
        bounds: &Bounds,
    ) -> Result<Enqueued, QueueError> {
        if self.row(job.id).await?.is_some() {
            return Ok(Enqueued::Duplicate(job.id));
        }
        let (size, most) = (job.payload.bytes().len(), bounds.max_payload);
        if size > most {
            return Ok(Enqueued::Rejected(format!(
                "the payload has {size} bytes; at most {most} are allowed: put large data in a blob"
            )));
        }
        let now = self.now;
        let mut row = Row::waiting(job, now, self.db.arrival());
        let mut line = None;
        if let Some(order) = &job.order {
            let there = self.line(order).await?;
            if there.behind.len() >= LONGEST_LINE {
                return Ok(Enqueued::Rejected(format!(
                    "{LONGEST_LINE} jobs wait behind its ordering key: let them finish first"
                )));
            }
            line = Some(there);
        }
        if let (Some(name), Some(unique)) = (name_of(&row), &job.unique) {
            if let Some(holder) = self.holder(&name).await? {
                return Ok(Enqueued::Duplicate(holder));
            }
            let until = match unique.scope {
                UniqueScope::Unfinished => None,
                UniqueScope::Seconds(seconds) => Some(after(now, Duration::from_secs(seconds))),
            };
            self.set_hold(&name, Some(Hold { id: job.id, until }));
        }
        if let (Some(line), Some(order)) = (line, &job.order) {
            self.stand(&mut row, order, line);
        }
        self.make(row);
        Ok(Enqueued::Created)
    }

    /// A job that has come or come back goes to the end of its line, or first when there is none.
    fn stand(&mut self, row: &mut Row, order: &str, mut line: Line) {
        if line.first.is_empty() && line.behind.is_empty() {
            line.first.push(row.id);
        } else {
            line.behind.push(row.id);
            row.state = State::Parked;
            row.parked_under = Some(line_of(order));
            row.reason = Some(WAITS_IN_LINE.to_owned());
        }
        self.set_line(order, line);
    }

    /// As [`stand`](Self::stand), for a job that is there.
    pub(crate) async fn stand_again(&mut self, id: JobId) -> Result<(), QueueError> {
        let Some(order) = self.seen(id).and_then(|row| row.order.clone()) else { return Ok(()) };
        let line = self.line(&order).await?;
        let mut row = self.change(id)?.clone();
        self.stand(&mut row, &order, line);
        *self.change(id)? = row;
        Ok(())
    }

    /// Somebody woke a job that stands in line: it goes first, beside others.
    pub(crate) async fn leave_the_line(&mut self, id: JobId) -> Result<(), QueueError> {
        let Some(order) = self.seen(id).and_then(|row| row.order.clone()) else { return Ok(()) };
        let mut line = self.line(&order).await?;
        if line.behind.contains(&id) {
            line.behind.retain(|one| *one != id);
            line.first.push(id);
            self.set_line(&order, line);
        }
        Ok(())
    }

    /// A job has ended: if nobody goes first now, the next in line does.
    async fn move_the_line(&mut self, ended: JobId) -> Result<(), QueueError> {
        let Some(order) = self.seen(ended).and_then(|row| row.order.clone()) else {
            return Ok(());
        };
        let mut line = self.line(&order).await?;
        line.first.retain(|one| *one != ended);
        line.behind.retain(|one| *one != ended);
        if line.first.is_empty() && !line.behind.is_empty() {
            let next = line.behind.remove(0);
            line.first.push(next);
            if self.row(next).await?.is_some_and(|row| row.state == State::Parked) {
                let (now, arrival) = (self.now, self.db.arrival());
                let row = self.change(next)?;
                let is_due = row.run_at <= now;
                row.go(if is_due { Event::Woken } else { Event::Postponed }, now, arrival)?;
            }
        }
        self.set_line(&order, line);
        Ok(())
    }

    /// The job that holds a unique key now.
    pub(crate) async fn holder(&mut self, name: &str) -> Result<Option<JobId>, QueueError> {
        let Some(hold) = self.hold(name).await? else { return Ok(None) };
        let holds = match hold.until {
            Some(until) => self.now < until,
            // A finished holder that comes back by a replay writes the key: one of the two fails.
            None => self.row(hold.id).await?.is_some_and(|row| !row.state.is_finished()),
        };
        Ok(holds.then_some(hold.id))
    }

    /// Makes as many children as fit into this transaction; answers how many were looked at.
    pub(crate) async fn make_children(
        &mut self,
        parent: JobId,
        children: &[NewJob],
        until: Until,
        bounds: &Bounds,
    ) -> Result<usize, QueueError> {
        let none = Flow { children: 0, succeeded: 0, failed: 0, until };
        let row = self.change(parent)?;
        let mut flow = Flow { until, ..row.flow.unwrap_or(none) };
        let (mut made, mut looked, mut items) = (0, 0, 1);
        for child in children {
            items += items_of(child);
            if looked > 0 && items > MOST_ITEMS {
                break;
            }
            looked += 1;
            let child = NewJob { unique: None, ..child.clone() };
            match self.enqueue(&child, bounds).await? {
                Enqueued::Created => {
                    flow.children += 1;
                    made += 1;
                    self.change(child.id)?.awaited = true;
                }
                // Nobody can run it: it has failed before it could begin.
                Enqueued::Rejected(_) => {
                    flow.children += 1;
                    flow.failed += 1;
                }
                Enqueued::Duplicate(_) => {}
            }
        }
        let row = self.change(parent)?;
        row.flow = Some(flow);
        row.made += made;
        Ok(looked)
    }

    /// Parks a parent until it may go on, which may be at once.
    pub(crate) fn await_children(&mut self, parent: JobId) -> Result<(), QueueError> {
        let (now, arrival) = (self.now, self.db.arrival());
        let row = self.change(parent)?;
        row.go(Event::Parked, now, arrival)?;
        row.parked_under = Some(Flow::key(parent));
        row.reason = Some(WAITS_FOR_CHILDREN.to_owned());
        if row.flow.is_some_and(|flow| flow.is_ready()) {
            row.go(Event::Woken, now, arrival)?;
        }
        Ok(())
    }

    /// A job has ended: its parent hears of it once, and goes on if that is what it waited for.
    async fn count_on_parent(&mut self, child: JobId) -> Result<(), QueueError> {
        if !self.seen(child).is_some_and(|row| row.awaited) {
            return Ok(());
        }
        let row = self.change(child)?;
        row.awaited = false;
        let succeeded = row.state == State::Completed;
        let Some(parent) = row.parent.as_ref().map(|parent| parent.id) else { return Ok(()) };
        if self.row(parent).await?.is_none_or(|row| row.flow.is_none()) {
            return Ok(());
        }
        let (now, arrival) = (self.now, self.db.arrival());
        let row = self.change(parent)?;
        let Some(flow) = row.flow.as_mut() else { return Ok(()) };
        if succeeded {
            flow.succeeded += 1;
        } else {
            flow.failed += 1;
        }
        let ready = flow.is_ready();
        if ready && row.parked_under == Some(Flow::key(parent)) {
            row.go(Event::Woken, now, arrival)?;
        }
        Ok(())
    }

    /// Nobody wants this job any more; `true`: it runs, so that its own children must hear too.
    pub(crate) async fn unwanted(
        &mut self,
        id: JobId,
        bounds: &Bounds,
    ) -> Result<bool, QueueError> {
        if self.row(id).await?.is_none_or(|row| row.state.is_finished()) {
            return Ok(false);
        }
        let row = self.change(id)?;
        row.cancel_requested = true;
        row.reason = Some(FLOW_ENDED.to_owned());
        if row.state == State::Running {
            return Ok(row.flow.is_some());
        }
        self.step(id, Event::Cancelled, bounds).await?;
        Ok(false)
    }

    /// Puts a job under a lease.
    pub(crate) fn hand_out(
        &mut self,
        id: JobId,
        worker: &WorkerId,
        until: Timestamp,
    ) -> Result<Row, QueueError> {
        let (now, arrival) = (self.now, self.db.arrival());
        let row = self.change(id)?;
        row.go(Event::Claimed, now, arrival)?;
        row.fence.0 += 1;
        row.lease_until = Some(until);
        row.started_at = Some(now);
        row.worker = Some(worker.clone());
        row.progress = None;
        Ok(row.clone())
    }

    /// Its moment has come, where that is so.
    pub(crate) fn due(&mut self, id: JobId) -> Result<bool, QueueError> {
        let (now, arrival) = (self.now, self.db.arrival());
        if !self.seen(id).is_some_and(|row| row.is_timed() && row.run_at <= now) {
            return Ok(false);
        }
        let row = self.change(id)?;
        // Pickup latency counts from the moment it was due, not from when that was noticed.
        let moment = row.run_at;
        row.go(Event::Due, now, arrival)?;
        row.available_at = moment;
        row.run_at = moment;
        row.place.0 = moment;
        Ok(true)
    }
}
