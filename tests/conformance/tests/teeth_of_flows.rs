//! The same as `teeth.rs` for ordering keys, flows, cells and ends to be told: each of these
//! broken backends must be caught.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flotilla_conformance::{
    Harness, Ports, cells, descent, flow, harness, model, order, outbox, policies, shared,
};
use flotilla_core::cells::{Cell, CellWrite, Cells};
use flotilla_core::clock::Timestamp;
use flotilla_core::flow::{Flow, Until};
use flotilla_core::ids::{Fence, JobId, WorkerId};
use flotilla_core::outbox::{Outbox, Untold};
use flotilla_core::queue::{
    Capabilities, Claims, Enqueued, Extension, HousekeepPolicy, Housekeeping, LaneDemand, Lease,
    NewJob, Queue, QueueError, Settled, Settlement, Verdict,
};
use flotilla_core::records::Records;
use flotilla_memory::{Memory, Settings};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    IgnoresOrder,
    /// Takes a batch from its end.
    ReversesLines,
    /// Nobody is woken when the holder of a key has ended.
    StallsLines,
    /// A parent goes on before its children have ended.
    GoesOnEarly,
    /// A parent is woken by each of its children.
    GoesOnAtEveryEnd,
    NeverGoesOn,
    /// Takes another name for each child: repeating makes another one.
    RenamesChildren,
    LosesTheLastChild,
    ForgetsParents,
    /// Reads and writes in two steps, and asks nobody in between.
    LetsAllWritersWin,
    ForgetsExpiry,
    /// Stops a call at the first change that came too late.
    StopsAtTheFirstLoser,
    ForgetsWhatWasTold,
    TellsByLooking,
    TellsTheWrongEnd,
    PrunesUntold,
    MarksNothing,
    MarksAlways,
}

/// The model with one bug.
#[derive(Debug)]
struct Broken {
    good: Arc<Memory>,
    bug: Bug,
    /// Ordering keys that were handed out.
    seen: Mutex<BTreeSet<String>>,
}

impl Broken {
    fn spoil_await(&self, one: &mut Settlement) {
        let Verdict::Await { children, until } = &mut one.verdict else { return };
        match self.bug {
            Bug::GoesOnEarly => *until = Until { successes: 0, failures: 0 },
            Bug::LosesTheLastChild => drop(children.pop()),
            Bug::ForgetsParents => children.iter_mut().for_each(|child| child.parent = None),
            Bug::RenamesChildren => {
                for child in children {
                    child.id = JobId::derived(&format!("{} of {}", child.id, one.held.fence.0));
                }
            }
            _ => {}
        }
    }

    /// Wakes the parents of these jobs, whatever they wait for.
    async fn wake_parents(&self, done: &[Settlement], now: Timestamp) -> Result<(), QueueError> {
        for one in done {
            let record = self.good.get(one.held.id).await?;
            let ended = record.filter(|record| record.state.is_finished());
            if let Some(parent) = ended.and_then(|record| record.parent) {
                self.good.wake(&Flow::key(parent.id), 1, now).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Queue for Broken {
    fn capabilities(&self) -> &Capabilities {
        self.good.capabilities()
    }

    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, QueueError> {
        let mut jobs = jobs.to_vec();
        match self.bug {
            Bug::IgnoresOrder => jobs.iter_mut().for_each(|job| job.order = None),
            Bug::ReversesLines => jobs.reverse(),
            _ => {}
        }
        let mut answers = self.good.enqueue(&jobs, now).await?;
        if self.bug == Bug::ReversesLines {
            answers.reverse();
        }
        Ok(answers)
    }

    async fn claim(
        &self,
        lanes: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Claims, QueueError> {
        let mut claims = self.good.claim(lanes, worker, lease, now).await?;
        if self.bug == Bug::NeverGoesOn {
            claims.jobs.retain(|job| job.children == 0);
        }
        if self.bug == Bug::StallsLines {
            let mut kept = Vec::new();
            for job in claims.jobs {
                let order = self.good.get(job.held.id).await?.and_then(|record| record.order_key);
                let mut seen = self.seen.lock().expect("nothing panics with it");
                if order.is_none_or(|key| seen.insert(key)) {
                    kept.push(job);
                }
            }
            claims.jobs = kept;
        }
        Ok(claims)
    }

    async fn extend(
        &self,
        leases: &[Extension],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Lease>, QueueError> {
        self.good.extend(leases, until, now).await
    }

    async fn settle(
        &self,
        done: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>, QueueError> {
        let mut done = done.to_vec();
        for one in &mut done {
            self.spoil_await(one);
        }
        let answers = self.good.settle(&done, now).await?;
        if self.bug == Bug::GoesOnAtEveryEnd {
            self.wake_parents(&done, now).await?;
        }
        Ok(answers)
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.good.wakes()
    }

    async fn housekeep(
        &self,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Housekeeping, QueueError> {
        if self.bug == Bug::PrunesUntold {
            let ends = self.good.untold(1000).await?;
            let ends: Vec<(JobId, Fence)> = ends.iter().map(|e| (e.record.id, e.fence)).collect();
            self.good.told(&ends).await?;
        }
        self.good.housekeep(policy, now).await
    }
}

#[async_trait]
impl Cells for Broken {
    async fn read(&self, keys: &[String], now: Timestamp) -> Result<Vec<Option<Cell>>, QueueError> {
        let forgets = self.bug == Bug::ForgetsExpiry;
        self.good.read(keys, if forgets { Timestamp::MIN } else { now }).await
    }

    async fn write(&self, changes: &[CellWrite], now: Timestamp) -> Result<Vec<bool>, QueueError> {
        let mut done = Vec::new();
        for change in changes {
            let mut change = change.clone();
            if self.bug == Bug::LetsAllWritersWin {
                let found = self.good.read(std::slice::from_ref(&change.key), now).await?;
                change.expect = found[0].as_ref().map_or(0, |cell| cell.version);
            }
            let stopped = self.bug == Bug::StopsAtTheFirstLoser && done.contains(&false);
            done.push(!stopped && self.good.write(&[change], now).await?[0]);
        }
        Ok(done)
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Cell)>, QueueError> {
        Cells::list(&*self.good, prefix, after, limit, now).await
    }
}

#[async_trait]
impl Outbox for Broken {
    async fn untold(&self, limit: usize) -> Result<Vec<Untold>, QueueError> {
        let ends = self.good.untold(limit).await?;
        if self.bug == Bug::TellsByLooking {
            let told: Vec<(JobId, Fence)> = ends.iter().map(|e| (e.record.id, e.fence)).collect();
            self.good.told(&told).await?;
        }
        Ok(ends)
    }

    async fn told(&self, ends: &[(JobId, Fence)]) -> Result<(), QueueError> {
        let mut ends = ends.to_vec();
        match self.bug {
            Bug::ForgetsWhatWasTold => ends.clear(),
            Bug::TellsTheWrongEnd => {
                let latest = self.good.untold(1000).await?;
                for (id, fence) in &mut ends {
                    let found = latest.iter().find(|end| end.record.id == *id);
                    *fence = found.map_or(*fence, |end| end.fence);
                }
            }
            _ => {}
        }
        self.good.told(&ends).await
    }
}

impl Bug {
    fn open(self, events: bool) -> Ports {
        let good = Arc::new(Memory::new(Settings { events, ..Settings::default() }));
        let broken = Arc::new(Broken { good: good.clone(), bug: self, seen: Mutex::default() });
        Ports {
            queue: broken.clone(),
            records: good.clone(),
            fleet: good,
            cells: broken.clone(),
            outbox: broken,
        }
    }
}

#[async_trait]
impl Harness for Bug {
    async fn fresh(&self) -> Ports {
        self.open(*self == Bug::MarksAlways)
    }

    async fn fresh_telling(&self) -> Ports {
        self.open(*self != Bug::MarksNothing)
    }

    /// A second handle on a store of its own: two processes that share nothing.
    async fn second(&self) -> Ports {
        self.open(false)
    }
}

macro_rules! caught {
    ($($name:ident: $bug:ident by $group:ident::$case:ident;)*) => {
        $(
            #[test]
            #[should_panic]
            fn $name() {
                let case = harness::Case::alone(stringify!($case));
                harness::run(case, &[], &Bug::$bug, $group::$case);
            }
        )*
    };
}

caught! {
    order_ignored: IgnoresOrder by order::jobs_of_one_ordering_key_run_one_at_a_time_in_order;
    order_ignored_by_many: IgnoresOrder by order::callers_at_once_never_run_two_jobs_of_one_key;
    order_ignored_at_random: IgnoresOrder
        by model::random_operations_are_answered_as_the_model_answers;
    lines_reversed: ReversesLines by order::a_line_of_hundreds_is_worked_off_in_order;
    lines_stalled: StallsLines by order::a_line_moves_whatever_the_clocks_of_its_callers_say;
    parents_early: GoesOnEarly by flow::a_parent_waits_for_its_children_and_goes_on;
    parents_early_at_random: GoesOnEarly
        by model::random_operations_are_answered_as_the_model_answers;
    parents_at_every_end: GoesOnAtEveryEnd by flow::every_end_of_a_child_counts_once;
    parents_at_every_end_of_many: GoesOnAtEveryEnd
        by flow::a_parent_goes_on_as_soon_as_it_is_decided;
    parents_asleep: NeverGoesOn by flow::the_last_children_at_once_wake_their_parent_once;
    children_made_twice: RenamesChildren
        by flow::a_child_that_is_there_is_not_made_or_counted_again;
    children_lost: LosesTheLastChild by flow::more_children_may_be_started_later;
    children_forgotten: ForgetsParents
        by descent::the_end_of_a_parent_cancels_what_is_left_below_it;
    children_uncounted: ForgetsParents by flow::every_end_of_a_child_counts_once;
    writers_all_win: LetsAllWritersWin by cells::a_write_needs_the_version_that_was_read;
    writers_all_win_at_once: LetsAllWritersWin
        by cells::of_fifty_writers_at_once_one_wins_each_version;
    quotas_given_out_twice: LetsAllWritersWin
        by policies::quotas_and_probes_are_given_out_once;
    writers_all_win_at_random: LetsAllWritersWin
        by model::random_operations_are_answered_as_the_model_answers;
    cells_for_ever: ForgetsExpiry by cells::an_expired_cell_is_absent;
    changes_cut_short: StopsAtTheFirstLoser by cells::changes_of_one_call_happen_in_order;
    cells_not_shared: ForgetsExpiry by shared::two_processes_share_cells;
    ends_told_for_ever: ForgetsWhatWasTold by outbox::every_end_is_told_once;
    ends_told_for_ever_at_random: ForgetsWhatWasTold
        by model::random_operations_are_answered_as_the_model_answers;
    ends_told_by_looking: TellsByLooking by outbox::every_end_is_told_once;
    ends_mistaken: TellsTheWrongEnd by outbox::a_replayed_job_that_ends_unclaimed_ends_again;
    ends_pruned: PrunesUntold by outbox::a_record_stays_until_its_end_was_told;
    ends_lost: MarksNothing by outbox::every_end_is_told_once;
    ends_kept_for_nobody: MarksAlways by outbox::nothing_is_marked_while_events_are_off;
}

/// What a bug does not touch must stay green, or the cases above prove nothing.
#[test]
fn a_bug_is_caught_for_its_own_sake() {
    let alone = harness::Case::alone;
    harness::run(alone("cells"), &[], &Bug::IgnoresOrder, cells::an_expired_cell_is_absent);
    harness::run(alone("outbox"), &[], &Bug::ForgetsExpiry, outbox::every_end_is_told_once);
    harness::run(
        alone("flow"),
        &[],
        &Bug::ForgetsWhatWasTold,
        flow::every_end_of_a_child_counts_once,
    );
    harness::run(
        alone("order"),
        &[],
        &Bug::GoesOnEarly,
        order::a_line_of_hundreds_is_worked_off_in_order,
    );
}
