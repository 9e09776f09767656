//! Why a job is where it is: what it waits for, and what will make it go on. The answer is pure;
//! gathering what it needs costs a few reads and changes nothing.

use std::time::Duration;

use flotilla_core::cells::{Cell, Cells};
use flotilla_core::clock::{after, before, between};
use flotilla_core::fleet::{Fleet, WorkerInfo};
use flotilla_core::flow::Flow;
use flotilla_core::limit::{LimitKey, Rule};
use flotilla_core::queue::QueueError;
use flotilla_core::records::{Filter, JobRecord, LaneInfo, Page, Records};
use flotilla_core::retry::{History, RetryClass};
use flotilla_core::{DeadClass, JobId, Payload, Policy, Registry, State, Timestamp};
use serde::{Deserialize, Serialize};

use crate::retry;
use crate::traffic::{self, BreakerInfo, LimitInfo};

/// A worker that was not seen for longer is not counted on.
const SEEN: Duration = Duration::from_secs(30);
/// Finished jobs of the lane that say how fast it moves.
const SAMPLE: usize = 100;

/// Where to look.
pub struct Sources<'a> {
    /// The jobs.
    pub records: &'a dyn Records,
    /// The workers.
    pub fleet: &'a dyn Fleet,
    /// Limits and breakers.
    pub cells: &'a dyn Cells,
    /// The kinds, for the keys of a job and for its schema.
    pub registry: &'a Registry,
    /// Quotas of the configuration.
    pub rules: &'a [Rule],
    /// Parts of a key that share a breaker.
    pub depth: usize,
}

/// What there is to know beside the record.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Its lane.
    pub lane: Option<LaneInfo>,
    /// Workers seen lately.
    pub workers: Vec<WorkerInfo>,
    /// Its limit keys, broadest first, with what is known of them.
    pub limits: Vec<LimitInfo>,
    /// Its breakers that had trouble.
    pub breakers: Vec<BreakerInfo>,
    /// Why its payload is none of its kind, or its kind none of this build.
    pub misfit: Option<String>,
    /// Jobs of its lane that were enqueued before it and may run.
    pub ahead: u64,
    /// Seconds between two finished jobs of its lane lately.
    pub pace: Option<f64>,
    /// How its kind is run.
    pub policy: Option<Policy>,
    /// What is remembered of its failed attempts.
    pub history: Option<History>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The job.
    pub id: JobId,
    /// Where it stands.
    pub state: State,
    /// What it waits for, or how it ended; the first says most.
    pub because: Vec<String>,
    /// Jobs of its lane that may run and were enqueued before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
    /// When it may start, as far as can be said. A rough guess where others are ahead of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
}

/// Reads all that explains a job.
///
/// # Errors
/// When a port cannot be read.
pub async fn gather(
    from: &Sources<'_>,
    record: &JobRecord,
    now: Timestamp,
) -> Result<Facts, QueueError> {
    if record.state.is_finished() {
        return Ok(Facts::default());
    }
    let lanes = from.records.lanes().await?;
    let workers = from.fleet.workers(before(now, SEEN)).await?;
    let mut facts = Facts {
        lane: lanes.into_iter().find(|lane| lane.lane == record.lane),
        workers,
        ..Facts::default()
    };
    let waiting = Filter {
        lanes: vec![record.lane.clone()],
        states: vec![State::Available],
        until: Some(record.enqueued_at),
        ..Filter::default()
    };
    // Of those that came with it, half are before it: their order is the backend's affair.
    let moment = after(record.enqueued_at, Duration::from_micros(1));
    let since = Filter { since: Some(record.enqueued_at), until: Some(moment), ..waiting.clone() };
    let beside = from.records.count(&since).await?.saturating_sub(1);
    facts.ahead = from.records.count(&waiting).await? + beside / 2;
    facts.pace = pace(from.records, record).await?;
    facts.policy = from.registry.get(record.kind.as_str()).ok().map(|kind| kind.policy.clone());
    if record.state == State::Retryable {
        let cell = from.cells.read(&[retry::cell(record.id)], now).await?.into_iter().next();
        let read = |cell: Cell| serde_json::from_slice(&cell.value).ok();
        facts.history = cell.flatten().and_then(read);
    }
    let keys = match keys(from.registry, record) {
        Ok(keys) => keys,
        Err(misfit) => {
            facts.misfit = Some(misfit);
            return Ok(facts);
        }
    };
    if !keys.is_empty() {
        let path: Vec<LimitKey> = keys.iter().flat_map(LimitKey::path).collect();
        let limits = traffic::limits(from.cells, from.rules, now).await?;
        facts.limits = limits.into_iter().filter(|info| path.contains(&info.key)).collect();
        let depth: Vec<LimitKey> = keys.iter().map(|key| key.above(from.depth)).collect();
        let breakers = traffic::breakers(from.cells, now).await?;
        facts.breakers = breakers.into_iter().filter(|info| depth.contains(&info.key)).collect();
    }
    Ok(facts)
}

fn keys(registry: &Registry, record: &JobRecord) -> Result<Vec<LimitKey>, String> {
    let kind = registry.get(record.kind.as_str()).map_err(|error| error.to_string())?;
    let payload = Payload::of(&record.payload).map_err(|error| error.to_string())?;
    kind.check(record.version, &payload).map_err(|error| error.to_string())?;
    Ok(kind.keys(record.version, &payload))
}

/// Seconds between the latest jobs of the lane that were completed.
async fn pace(records: &dyn Records, record: &JobRecord) -> Result<Option<f64>, QueueError> {
    let done = Filter {
        lanes: vec![record.lane.clone()],
        states: vec![State::Completed],
        ..Filter::default()
    };
    let listed = records.list(&done, Page { limit: SAMPLE, before: None }).await?;
    let ends: Vec<Timestamp> = listed.jobs.iter().filter_map(|job| job.finished_at).collect();
    let (Some(first), Some(last)) = (ends.iter().min(), ends.iter().max()) else { return Ok(None) };
    Ok((ends.len() > 1).then(|| between(*first, *last).as_secs_f64() / (ends.len() - 1) as f64))
}

/// Why the job is where it is.
pub fn why(record: &JobRecord, facts: &Facts, now: Timestamp) -> Why {
    let mut because = Vec::new();
    let (mut ahead, mut start) = (None, None);
    match record.state {
        State::Completed => because.push("it is done".to_owned()),
        State::Cancelled => because.push(format!("it was cancelled: {}", reason(record))),
        State::Dead => because.push(dead(record)),
        State::Running => running(record, now, &mut because),
        State::Scheduled | State::Retryable => {
            let what = match (record.state, &record.reason, record.errors.last()) {
                (State::Retryable, _, Some(error)) => {
                    let (n, of) = (error.attempt, record.max_attempts);
                    format!("attempt {n} of {of} failed ({}); the next is", error.error)
                }
                (_, Some(reason), _) => format!("{reason}; it goes on"),
                _ => "it is to run".to_owned(),
            };
            because.push(format!("{what} at {}", record.run_at));
            if record.state == State::Retryable {
                waits(record, facts, &mut because);
            }
            start = Some(record.run_at);
        }
        State::Parked => parked(record, facts, &mut because),
        State::Available => {
            ahead = Some(facts.ahead);
            start = available(record, facts, now, &mut because);
        }
    }
    if !record.state.is_finished() {
        standing(record, facts, now, &mut because);
    }
    Why { id: record.id, state: record.state, because, ahead, start }
}

fn reason(record: &JobRecord) -> &str {
    record.reason.as_deref().unwrap_or("nobody said why")
}

fn dead(record: &JobRecord) -> String {
    let class = record.class.map_or("dead", |class| class.name());
    let error = record.errors.last().map_or_else(|| reason(record), |error| &error.error);
    let id = record.id;
    let advice = if record.class == Some(DeadClass::OutcomeUnknown) {
        // A mere replay could do the irreversible thing a second time; it is refused.
        format!(
            "find out whether it was done, then `flotilla dead replay {id} --found did` (or did-not)"
        )
    } else {
        format!("`flotilla dead replay {id}` runs it again")
    };
    format!("it is a dead letter ({class}): {error}; {advice}")
}

fn running(record: &JobRecord, now: Timestamp, because: &mut Vec<String>) {
    let worker = record.worker.as_ref().map_or("a worker", |worker| worker.as_str());
    let since = record.started_at.map(|at| format!(" since {at}")).unwrap_or_default();
    because.push(format!("attempt {} runs on {worker}{since}", record.attempt));
    if let Some(until) = record.lease_until {
        because.push(if until < now {
            format!("its lease ran out at {until}: the worker seems gone, another will take it")
        } else {
            format!("its lease holds until {until} and is extended while it runs")
        });
    }
    if record.cancel_requested {
        because.push("it was asked to stop".to_owned());
    }
}

/// Why the next attempt is not sooner, and until when there are any.
fn waits(record: &JobRecord, facts: &Facts, because: &mut Vec<String>) {
    let (Some(policy), Some(error)) = (&facts.policy, record.errors.last()) else { return };
    let (n, waits) = (error.attempt, between(error.at, record.run_at));
    let own = policy.backoff.ceiling(n);
    let most = RetryClass::ALL.map(|class| policy.backoff_of(class).ceiling(n)).into_iter().max();
    let most = most.unwrap_or_default().max(own);
    let seconds = waits.as_secs_f64();
    because.push(if waits > most {
        format!("that is {seconds:.1} s after the failure: it was asked to wait so long")
    } else if waits > own {
        let most = most.as_secs_f64();
        format!("that is {seconds:.1} s after the failure: its class waits up to {most} s")
    } else {
        let own = own.as_secs_f64();
        format!("that is {seconds:.1} s after the failure, drawn from up to {own} s (backoff)")
    });
    for (class, failures) in facts.history.iter().flat_map(|history| &history.failures) {
        if let Some(most) = policy.retries.classes.get(class).and_then(|class| class.attempts) {
            because.push(format!("failures of class {}: {failures} of {most}", class.name()));
        }
    }
    if let Some(deadline) = deadline(policy) {
        let spent = facts.history.as_ref().map(|history| history.spent().as_secs());
        let spent = spent.map(|at| format!("; the next begins at {at} s")).unwrap_or_default();
        because.push(format!("no attempt begins later than {deadline} after the first{spent}"));
    }
}

/// The total deadline of a kind; where classes differ, that of each.
fn deadline(policy: &Policy) -> Option<String> {
    let of = |class: RetryClass| policy.within(class).map(|within| (class, within.as_secs()));
    let all: Vec<(RetryClass, u64)> = RetryClass::ALL.into_iter().filter_map(of).collect();
    let (_, first) = *all.first()?;
    if all.len() == RetryClass::ALL.len() && all.iter().all(|(_, within)| *within == first) {
        return Some(format!("{first} s"));
    }
    let each = all.iter().map(|(class, within)| format!("{within} s ({})", class.name()));
    Some(each.collect::<Vec<_>>().join(", "))
}

fn parked(record: &JobRecord, facts: &Facts, because: &mut Vec<String>) {
    let key = record.parked_under.as_deref().unwrap_or("an unknown key");
    if let Some(flow) = record.flow.as_ref().filter(|_| key == Flow::key(record.id)) {
        let Flow { children, succeeded, failed, .. } = flow;
        because.push(format!(
            "it waits for its {children} children: {succeeded} have completed, {failed} have \
             failed; `flotilla jobs list` shows them"
        ));
        return;
    }
    because.push(format!("it is parked under {key}: {}", reason(record)));
    if let Some(order) = &record.order_key
        && key.starts_with("order:")
    {
        because.push(format!("jobs of the ordering key {order} run one at a time, in order"));
    } else if key.starts_with("breaker:") && facts.breakers.is_empty() {
        because.push("the breaker is closed by now: it is woken within a minute".to_owned());
    }
}

/// A job that may be claimed: what keeps workers from it.
fn available(
    record: &JobRecord,
    facts: &Facts,
    now: Timestamp,
    because: &mut Vec<String>,
) -> Option<Timestamp> {
    if let Some(pause) = facts.lane.as_ref().and_then(|lane| lane.paused.as_ref()) {
        let (lane, by, since, why) = (&record.lane, &pause.by, pause.since, &pause.reason);
        because.push(format!(
            "lane {lane} is paused by {by} since {since}: {why}; `flotilla queues resume {lane}`"
        ));
        return None;
    }
    let serving: Vec<&WorkerInfo> = facts
        .workers
        .iter()
        .filter(|worker| !worker.draining && worker.lanes.contains(&record.lane))
        .collect();
    if serving.is_empty() {
        because.push(match facts.workers.len() {
            0 => "no worker runs: start `flotilla worker`".to_owned(),
            n => format!("none of {n} workers serves lane {} (worker.lanes)", record.lane),
        });
        return None;
    }
    let slots: usize = serving.iter().map(|worker| worker.concurrency).sum();
    let busy: usize = serving.iter().map(|worker| worker.running).sum();
    let (n, ahead) = (serving.len(), facts.ahead);
    because.push(if ahead == 0 && busy < slots {
        "it is next: a worker takes it within a moment".to_owned()
    } else {
        format!("{ahead} jobs of its lane are before it; {n} workers run {busy} of {slots} at once")
    });
    let seconds = facts.pace? * (ahead + 1) as f64;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| after(now, wait))
}

/// What will hold it up once its turn has come.
fn standing(record: &JobRecord, facts: &Facts, now: Timestamp, because: &mut Vec<String>) {
    for info in &facts.limits {
        if let (Some(until), Some(why)) = (info.frozen_until, &info.frozen_because) {
            because.push(format!("limit {}: left alone until {until}: {why}", info.key));
        }
        let quotas: Vec<String> = info.quotas.iter().map(ToString::to_string).collect();
        match info.next_start {
            _ if quotas.is_empty() => {}
            Some(next) if next <= now => {}
            Some(next) => because.push(format!(
                "limit {} ({}): the next free moment is {next}",
                info.key,
                quotas.join(", ")
            )),
            None => {
                let holders: Vec<String> = info.running.iter().map(ToString::to_string).collect();
                let (key, quotas, holders) = (&info.key, quotas.join(", "), holders.join(", "));
                because.push(format!("limit {key} ({quotas}): held by {holders}"));
            }
        }
    }
    for info in &facts.breakers {
        because.push(format!("breaker {}: {}", info.key, info.stand));
    }
    if let Some(misfit) = &facts.misfit {
        because.push(format!("this build cannot run it: {misfit}"));
    }
    if let Some(deadline) = record.deadline {
        because.push(format!("it is dead if it has not begun by {deadline}"));
    }
}
