//! Ordering keys: of the jobs with one key only the first is not parked; the others stand in line.

use flotilla_core::clock::Timestamp;
use flotilla_core::flow::{WAITS_IN_LINE, line_of};
use flotilla_core::ids::JobId;
use flotilla_core::state::{Event, State};

use crate::store::{Row, Store};

/// It stands in the line of its ordering key, behind the one that goes first.
fn stands_in_line(row: &Row) -> bool {
    let line = row.job.order.as_deref().map(line_of);
    line.is_some() && row.parked_under == line
}

impl Store {
    /// Another job of its ordering key is unfinished.
    pub(crate) fn is_behind_another(&self, id: JobId) -> bool {
        let order = &self.rows[&id].job.order;
        order.is_some()
            && self
                .rows
                .values()
                .any(|row| row.job.id != id && row.job.order == *order && !row.state.is_finished())
    }

    /// A job that has just come or come back goes to the end of the line instead.
    pub(crate) fn park_in_line(&mut self, id: JobId) {
        let in_line = self.arrival();
        let Some(row) = self.rows.get_mut(&id) else { return };
        row.in_line = in_line;
        row.state = State::Parked;
        row.parked_under = row.job.order.as_deref().map(line_of);
        row.reason = Some(WAITS_IN_LINE.to_owned());
    }

    /// A job has ended: if nobody holds its ordering key now, the next in line does.
    pub(crate) fn move_the_line(&mut self, ended: JobId, now: Timestamp) {
        let Some(order) = self.rows[&ended].job.order.clone() else { return };
        let line = self.select(
            |row| row.job.order.as_ref() == Some(&order) && !row.state.is_finished(),
            |row| (stands_in_line(row), row.in_line),
            1,
        );
        let Some(next) = line.first().filter(|id| stands_in_line(&self.rows[*id])) else { return };
        let is_due = self.rows[next].job.run_at <= now;
        self.step(*next, if is_due { Event::Woken } else { Event::Postponed }, now);
    }
}
