//! A suite that cannot fail proves nothing: each of these broken queues must be caught.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flotilla_conformance::{
    Harness, Need, Ports, Skips, claim, enqueue, fairness, harness, housekeep, lease, model,
    settle, unique,
};
use flotilla_core::clock::{Timestamp, after};
use flotilla_core::envelope::Payload;
use flotilla_core::ids::{Fence, JobId, Priority, Tenant, WorkerId};
use flotilla_core::queue::{
    Capabilities, Claims, Enqueued, Extension, HousekeepPolicy, Housekeeping, LaneDemand, Lease,
    NewJob, Queue, QueueError, Settled, Settlement, Verdict,
};
use flotilla_memory::{Memory, Settings};
use tokio::sync::watch;

/// The model's queue with one bug.
#[derive(Debug)]
struct Broken {
    good: Arc<Memory>,
    bug: Bug,
    latest: Mutex<BTreeMap<JobId, Fence>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    /// Answers `Created` for all, stores all but the last of a batch.
    LosesTheLast,
    StopsAtTheFirstDuplicate,
    ForgetsUniqueKeys,
    ReencodesPayloads,
    ForgetsTenants,
    ForgetsPriorities,
    ForgetsExtraFields,
    ForgetsDeadlines,
    /// Settles under the latest fence, whatever the holder shows.
    IgnoresFences,
    HandsOutTwice,
    IgnoresKinds,
    ForgetsNextDue,
    NeverRescues,
    RescuesEarly,
    NeverQuarantines,
    IgnoresItsBatch,
    ChargesSnoozes,
    RetriesAtOnce,
    ForgetsProgress,
    HidesCancels,
}

impl Broken {
    fn spoil(&self, job: &NewJob) -> NewJob {
        let mut job = job.clone();
        match self.bug {
            Bug::ForgetsUniqueKeys => job.unique = None,
            Bug::ReencodesPayloads => {
                job.payload = Payload::of(&job.payload.to_value()).expect("JSON encodes");
            }
            Bug::ForgetsTenants => job.tenant = Tenant::default(),
            Bug::ForgetsPriorities => job.priority = Priority::default(),
            Bug::ForgetsExtraFields => job.extra.clear(),
            Bug::ForgetsDeadlines => job.deadline = None,
            _ => {}
        }
        job
    }
}

#[async_trait]
impl Queue for Broken {
    fn capabilities(&self) -> &Capabilities {
        self.good.capabilities()
    }

    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, QueueError> {
        let mut jobs: Vec<NewJob> = jobs.iter().map(|job| self.spoil(job)).collect();
        let given = jobs.len();
        if self.bug == Bug::LosesTheLast && given > 1 {
            jobs.pop();
        }
        let mut answers = Vec::new();
        for job in &jobs {
            let stopped = self.bug == Bug::StopsAtTheFirstDuplicate
                && answers.iter().any(|a| matches!(a, Enqueued::Duplicate(_)));
            if stopped {
                answers.push(Enqueued::Duplicate(job.id));
            } else {
                answers.extend(self.good.enqueue(std::slice::from_ref(job), now).await?);
            }
        }
        answers.resize(given, Enqueued::Created);
        Ok(answers)
    }

    async fn claim(
        &self,
        lanes: &[LaneDemand],
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Claims, QueueError> {
        let mut lanes = lanes.to_vec();
        if self.bug == Bug::IgnoresKinds {
            let kinds = ["test.run", "test.other"].map(|kind| kind.parse().expect("a proper kind"));
            lanes.iter_mut().for_each(|lane| lane.kinds = kinds.to_vec());
        }
        let mut claims = self.good.claim(&lanes, worker, lease, now).await?;
        let mut latest = self.latest.lock().expect("nothing panics with it");
        latest.extend(claims.jobs.iter().map(|job| (job.held.id, job.held.fence)));
        match self.bug {
            Bug::HandsOutTwice => claims.jobs.extend(claims.jobs.first().cloned()),
            Bug::ForgetsNextDue => claims.next_due = None,
            _ => {}
        }
        Ok(claims)
    }

    async fn extend(
        &self,
        leases: &[Extension],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Lease>, QueueError> {
        let mut leases = leases.to_vec();
        if self.bug == Bug::ForgetsProgress {
            leases.iter_mut().for_each(|lease| lease.progress = None);
        }
        let mut answers = self.good.extend(&leases, until, now).await?;
        if self.bug == Bug::HidesCancels {
            for answer in &mut answers {
                if let Lease::Kept { cancel } = answer {
                    *cancel = false;
                }
            }
        }
        Ok(answers)
    }

    async fn settle(
        &self,
        done: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>, QueueError> {
        let mut done = done.to_vec();
        for one in &mut done {
            if self.bug == Bug::IgnoresFences {
                let latest = self.latest.lock().expect("nothing panics with it");
                one.held.fence = latest.get(&one.held.id).copied().unwrap_or(one.held.fence);
            }
            match &mut one.verdict {
                Verdict::Snooze { at, .. } if self.bug == Bug::ChargesSnoozes => {
                    let error = flotilla_core::queue::AttemptError {
                        attempt: 1,
                        at: now,
                        worker: WorkerId::new("w"),
                        error: "snoozed".into(),
                    };
                    one.verdict = Verdict::Retry { at: *at, error };
                }
                Verdict::Retry { at, .. } if self.bug == Bug::RetriesAtOnce => *at = now,
                _ => {}
            }
        }
        self.good.settle(&done, now).await
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.good.wakes()
    }

    async fn housekeep(
        &self,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Result<Housekeeping, QueueError> {
        let mut policy = policy.clone();
        match self.bug {
            Bug::NeverRescues => return Ok(Housekeeping::default()),
            Bug::NeverQuarantines => policy.poison_after = u32::MAX,
            Bug::IgnoresItsBatch => policy.batch = usize::MAX,
            _ => {}
        }
        let early = self.bug == Bug::RescuesEarly;
        let now = if early { after(now, Duration::from_secs(1)) } else { now };
        self.good.housekeep(&policy, now).await
    }
}

impl Bug {
    fn open(self, events: bool) -> Ports {
        let good = Arc::new(Memory::new(Settings { events, ..Settings::default() }));
        let broken = Broken { good: good.clone(), bug: self, latest: Mutex::default() };
        Ports { queue: Arc::new(broken), ..Ports::of(good) }
    }
}

#[async_trait]
impl Harness for Bug {
    async fn fresh(&self) -> Ports {
        self.open(false)
    }

    async fn fresh_telling(&self) -> Ports {
        self.open(true)
    }
}

macro_rules! caught {
    ($($name:ident: $bug:ident by $group:ident::$case:ident;)*) => {
        $(
            #[test]
            #[should_panic]
            fn $name() {
                harness::run(harness::Case::alone(stringify!($case)), &[], &Bug::$bug, $group::$case);
            }
        )*
    };
}

caught! {
    a_job_lost_from_a_batch: LosesTheLast by claim::many_claimers_take_every_job_exactly_once;
    a_batch_cut_short: StopsAtTheFirstDuplicate
        by enqueue::a_repeated_call_makes_what_the_first_one_missed;
    keys_forgotten: ForgetsUniqueKeys by unique::fifty_callers_of_one_unique_key_make_one_job;
    payloads_changed: ReencodesPayloads by enqueue::a_payload_comes_back_byte_for_byte;
    tenants_forgotten: ForgetsTenants by fairness::tenants_at_ninety_to_ten_are_served_alike;
    priorities_forgotten: ForgetsPriorities by fairness::an_urgent_job_goes_before_older_ones;
    fields_forgotten: ForgetsExtraFields by enqueue::every_field_of_a_job_comes_back;
    deadlines_forgotten: ForgetsDeadlines by claim::a_job_past_its_deadline_never_starts;
    fences_ignored: IgnoresFences by lease::a_stale_holder_can_neither_extend_nor_settle;
    jobs_handed_out_twice: HandsOutTwice by claim::many_claimers_take_every_job_exactly_once;
    kinds_ignored: IgnoresKinds by claim::jobs_of_a_kind_not_asked_for_stall_no_other;
    next_due_forgotten: ForgetsNextDue by claim::a_job_due_later_waits_for_its_moment;
    jobs_stuck_running: NeverRescues by lease::a_vanished_workers_job_runs_again;
    leases_cut_short: RescuesEarly by lease::a_live_lease_is_never_rescued;
    poison_running_for_ever: NeverQuarantines by lease::a_job_that_kills_its_workers_is_quarantined;
    rounds_without_bound: IgnoresItsBatch by housekeep::a_round_does_no_more_than_its_batch;
    snoozes_charged: ChargesSnoozes by settle::a_snooze_a_park_and_an_interruption_never_charge;
    retries_without_delay: RetriesAtOnce by settle::a_retry_charges_one_attempt;
    progress_forgotten: ForgetsProgress by lease::progress_is_kept_with_the_job;
    cancels_hidden: HidesCancels by lease::a_cancel_reaches_the_holder_with_its_next_heartbeat;
    fences_ignored_at_random: IgnoresFences
        by model::random_operations_are_answered_as_the_model_answers;
    snoozes_charged_at_random: ChargesSnoozes
        by model::random_operations_are_answered_as_the_model_answers;
    early_rescues_at_random: RescuesEarly
        by model::random_operations_are_answered_as_the_model_answers;
    forgotten_deadlines_at_random: ForgetsDeadlines
        by model::random_operations_are_answered_as_the_model_answers;
    forgotten_priorities_at_random: ForgetsPriorities
        by model::bands_share_claims_as_the_model_shares_them;
}

/// The model itself, with a list of skips.
struct Skipping(Skips);

#[async_trait]
impl Harness for Skipping {
    async fn fresh(&self) -> Ports {
        Ports::of(Arc::new(Memory::new(Settings::default())))
    }

    async fn fresh_telling(&self) -> Ports {
        self.fresh().await
    }

    fn skips(&self) -> Skips {
        self.0
    }
}

const FAILS: harness::Case =
    harness::Case { suite: "none", module: "none", group: "none", name: "fails" };

async fn fails(_: &dyn Harness) {
    panic!("the case ran");
}

#[test]
fn an_expected_skip_is_skipped() {
    harness::run(FAILS, &[Need::Durable], &Skipping(&[(&["fails"], "why")]), fails);
}

#[test]
#[should_panic(expected = "list it in `skips`")]
fn a_skip_that_is_not_listed_is_a_failure() {
    harness::run(FAILS, &[Need::Processes], &Skipping(&[]), fails);
}

#[test]
#[should_panic(expected = "declares all it needs")]
fn a_listed_skip_that_could_run_is_a_failure() {
    harness::run(FAILS, &[], &Skipping(&[(&["fails"], "why")]), fails);
}

#[test]
#[should_panic(expected = "which is not a case")]
fn a_skip_of_no_case_is_a_failure() {
    harness::check_skips(&Skipping(&[(&["gone"], "why")]), &["fails"]);
}
