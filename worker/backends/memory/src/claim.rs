//! Handing jobs out: who is next, and under which lease.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_core::clock::{Timestamp, after};
use flotilla_core::fair;
use flotilla_core::ids::{Fence, JobId, Lane, Priority, Receipt, WorkerId};
use flotilla_core::queue::{Claimed, Claims, Extension, Held, LaneDemand, Lease};
use flotilla_core::state::{Event, State};

use crate::store::{Place, Store};

impl Store {
    /// Promotes what is due in these lanes, then takes from each what is wanted.
    pub(crate) fn claim(
        &mut self,
        lanes: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Claims {
        for demand in lanes {
            self.promote(Some(&demand.lane), usize::MAX, now);
        }
        let mut jobs = Vec::new();
        for demand in lanes.iter().filter(|d| d.slots > 0) {
            for id in self.choose(demand, now) {
                jobs.push(self.hand_out(id, worker, after(now, lease), now));
            }
        }
        Claims { jobs, next_due: self.next_due(lanes) }
    }

    /// Waiting jobs whose moment has come become available, in the order of their moments.
    pub(crate) fn promote(&mut self, lane: Option<&Lane>, limit: usize, now: Timestamp) -> u64 {
        let due = self.select(
            |row| {
                matches!(row.state, State::Scheduled | State::Retryable)
                    && row.job.run_at <= now
                    && lane.is_none_or(|lane| row.job.lane == *lane)
            },
            |row| row.job.run_at,
            limit,
        );
        for id in &due {
            let moment = self.rows[id].job.run_at;
            let row = self.step(*id, Event::Due, now);
            // Pickup latency counts from the moment it was due, not from when that was noticed.
            row.available_at = moment;
            row.job.run_at = moment;
        }
        due.len() as u64
    }

    /// The jobs to start, in order: bands share the places, the lowest tags go first.
    fn choose(&mut self, demand: &LaneDemand, now: Timestamp) -> Vec<JobId> {
        if self.paused.contains_key(&demand.lane) {
            return Vec::new();
        }
        let mut bands = BTreeMap::<Reverse<Priority>, BTreeSet<(Place, JobId)>>::new();
        for (id, row) in &self.rows {
            if row.state == State::Available
                && row.job.lane == demand.lane
                && demand.kinds.contains(&row.job.kind)
                && !row.too_late(now)
            {
                bands.entry(Reverse(row.job.priority)).or_default().insert((row.place, *id));
            }
        }
        let backlog: Vec<(Priority, usize)> =
            bands.iter().map(|(Reverse(priority), jobs)| (*priority, jobs.len())).collect();
        let served = self.served.entry(demand.lane.clone()).or_default();
        let shares = fair::bands(&backlog, demand.slots, *served);
        let mut chosen = Vec::new();
        for ((Reverse(priority), jobs), share) in bands.into_iter().zip(shares) {
            let time = self.band_time.entry((demand.lane.clone(), priority)).or_default();
            for ((tag, _), id) in jobs.into_iter().take(share) {
                *time = (*time).max(tag);
                chosen.push(id);
            }
        }
        *served += chosen.len() as u64;
        chosen
    }

    pub(crate) fn hand_out(
        &mut self,
        id: JobId,
        worker: &WorkerId,
        until: Timestamp,
        now: Timestamp,
    ) -> Claimed {
        let row = self.step(id, Event::Claimed, now);
        row.fence = Fence(row.fence.0 + 1);
        row.lease_until = Some(until);
        row.started_at = Some(now);
        row.worker = Some(worker.clone());
        row.progress = None;
        Claimed {
            held: Held { id, fence: row.fence, receipt: Receipt::None },
            kind: row.job.kind.clone(),
            version: row.job.version,
            lane: row.job.lane.clone(),
            tenant: row.job.tenant.clone(),
            priority: row.job.priority,
            payload: row.job.payload.clone(),
            attempt: row.attempt,
            max_attempts: row.job.max_attempts,
            crashes: row.crashes,
            available_at: row.available_at,
            enqueued_at: row.enqueued_at,
            trace: row.job.trace.clone(),
            parent: row.job.parent.clone(),
            children: row.flow.map_or(0, |flow| flow.children),
        }
    }

    fn next_due(&self, lanes: &[LaneDemand]) -> Option<Timestamp> {
        self.rows
            .values()
            .filter(|row| matches!(row.state, State::Scheduled | State::Retryable))
            .filter(|row| lanes.iter().any(|demand| demand.lane == row.job.lane))
            .map(|row| row.job.run_at)
            .min()
    }

    /// Moves the end of one lease, and keeps what its job says of itself.
    pub(crate) fn extend(&mut self, lease: &Extension, until: Timestamp) -> Lease {
        let Some(row) = self.held(&lease.held) else { return Lease::Lost };
        row.lease_until = Some(until);
        if let Some(progress) = &lease.progress {
            row.progress = Some(progress.clone());
        }
        Lease::Kept { cancel: row.cancel_requested }
    }
}
