//! Flows: children are made with the settlement that awaits them, each end is counted once.

use flotilla_core::clock::Timestamp;
use flotilla_core::flow::{FLOW_ENDED, Flow, Until, WAITS_FOR_CHILDREN};
use flotilla_core::ids::JobId;
use flotilla_core::queue::{Enqueued, NewJob};
use flotilla_core::state::{Event, State};

use crate::store::{Row, Store};

impl Store {
    /// Makes the children that are not there yet and parks their parent until it may go on.
    pub(crate) fn await_children(
        &mut self,
        parent: JobId,
        children: &[NewJob],
        until: Until,
        now: Timestamp,
    ) {
        let none = Flow { children: 0, succeeded: 0, failed: 0, until };
        let mut flow = Flow { until, ..self.rows[&parent].flow.unwrap_or(none) };
        for child in children {
            let child = NewJob { unique: None, ..child.clone() };
            match self.enqueue(&child, now) {
                Enqueued::Created => flow.children += 1,
                // Nobody can run it: it has failed before it could begin.
                Enqueued::Rejected(_) => {
                    flow.children += 1;
                    flow.failed += 1;
                }
                Enqueued::Duplicate(_) => continue,
            }
            if let Some(row) = self.rows.get_mut(&child.id) {
                row.awaited = true;
            }
        }
        let row = self.step(parent, Event::Parked, now);
        row.parked_under = Some(Flow::key(parent));
        row.reason = Some(WAITS_FOR_CHILDREN.to_owned());
        row.flow = Some(flow);
        if flow.is_ready() {
            self.step(parent, Event::Woken, now);
        }
    }

    /// A job has ended: its parent hears of it once, and goes on if that is what it waited for.
    pub(crate) fn count_on_parent(&mut self, child: JobId, now: Timestamp) {
        let Some(row) = self.rows.get_mut(&child) else { return };
        if !std::mem::take(&mut row.awaited) {
            return;
        }
        let succeeded = row.state == State::Completed;
        let Some(parent) = row.job.parent.as_ref().map(|parent| parent.id) else { return };
        let Some(row) = self.rows.get_mut(&parent) else { return };
        let Some(flow) = row.flow.as_mut() else { return };
        if succeeded {
            flow.succeeded += 1;
        } else {
            flow.failed += 1;
        }
        let waits = row.parked_under == Some(Flow::key(parent));
        if waits && row.flow.is_some_and(|flow| flow.is_ready()) {
            self.step(parent, Event::Woken, now);
        }
    }

    /// A job has ended or shall: nobody wants its unfinished children any more, nor theirs.
    pub(crate) fn cancel_children(&mut self, parent: JobId, now: Timestamp) {
        if self.rows[&parent].flow.is_none() {
            return;
        }
        let is_child = |row: &Row| row.job.parent.as_ref().is_some_and(|p| p.id == parent);
        let unwanted = self.select(
            |row| is_child(row) && !row.state.is_finished(),
            |row| row.in_line,
            usize::MAX,
        );
        for child in unwanted {
            let Some(row) = self.rows.get_mut(&child) else { continue };
            row.cancel_requested = true;
            row.reason = Some(FLOW_ENDED.to_owned());
            if row.state == State::Running {
                self.cancel_children(child, now);
            } else {
                self.step(child, Event::Cancelled, now);
            }
        }
    }

    /// Its parent is unfinished and may not have read what became of it.
    pub(crate) fn is_awaited_record(&self, row: &Row) -> bool {
        let parent = row.job.parent.as_ref().and_then(|parent| self.rows.get(&parent.id));
        parent.is_some_and(|parent| !parent.state.is_finished())
    }
}
