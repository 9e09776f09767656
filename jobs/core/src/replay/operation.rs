//! A replay as it lies in its cell: what was asked, how far it is, who leads it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::Request;
use crate::clock::Timestamp;
use crate::ids::{InvalidName, JobId, WorkerId};
use crate::rng::Rng;

/// Steps an operation keeps: the latest ones.
const STEPS: usize = 20;
/// Reasons and examples of refusals that are kept apart; further ones count as "other".
const REASONS: usize = 8;

/// Names an operation. A version 7 UUID: sorts by time of creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ReplayId(JobId);

impl ReplayId {
    /// A new one.
    pub fn new(now: Timestamp, rng: &dyn Rng) -> Self {
        Self(JobId::new(now, rng))
    }

    /// The one that follows from `name`: who derives it twice means the same operation.
    pub fn derived(name: &str) -> Self {
        Self(JobId::derived(name))
    }

    /// The mark that its dead letters bear from then on.
    pub fn mark(self) -> String {
        format!("replay/{self}")
    }
}

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ReplayId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        text.parse().map(Self).map_err(|error: InvalidName| InvalidName {
            what: "replay id",
            rule: "`flotilla dead replays list` shows them",
            ..error
        })
    }
}

/// Where an operation stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// Its dead letters are being written down; none has gone back.
    Planned,
    /// The first few have gone back and are watched.
    Canary,
    /// Dead letters go back, or the last of them are watched.
    Running,
    /// Somebody paused it; those that went back go on.
    Paused,
    /// It stopped by itself: too many failed. May be resumed.
    Stopped,
    /// Somebody ended it; those that went back go on.
    Cancelled,
    /// All went back or were refused, and those that went back have ended.
    Done,
}

impl ReplayState {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Planned,
        Self::Canary,
        Self::Running,
        Self::Paused,
        Self::Stopped,
        Self::Cancelled,
        Self::Done,
    ];

    /// The name in JSON, tables and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Canary => "canary",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }

    /// It is over for good.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Cancelled | Self::Done)
    }

    /// A worker plans or puts back in this state.
    pub fn moves(self) -> bool {
        matches!(self, Self::Planned | Self::Canary | Self::Running)
    }
}

impl fmt::Display for ReplayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What became of its dead letters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Went back.
    pub replayed: u64,
    /// Of these: completed.
    pub succeeded: u64,
    /// Of these: dead again.
    pub failed: u64,
    /// Of these: wait for another attempt after one that failed, as seen last.
    pub failing: u64,
    /// Of these: cancelled.
    pub cancelled: u64,
    /// Of these: ended, and their record was gone before it was seen how.
    pub gone: u64,
    /// Left dead: the patch, the kind or the queue did not allow it.
    pub refused: u64,
    /// No dead letters any more when their turn came.
    pub skipped: u64,
    /// Refusals by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Some that were refused, and why.
    pub samples: Vec<(JobId, String)>,
}

impl Counts {
    /// Their turn has come.
    pub fn handled(&self) -> u64 {
        self.replayed + self.refused + self.skipped
    }

    /// Went back and have not ended.
    pub fn open(&self) -> u64 {
        self.replayed.saturating_sub(self.succeeded + self.failed + self.cancelled + self.gone)
    }

    /// Adds what another part counted.
    pub fn add(&mut self, other: &Self) {
        self.replayed += other.replayed;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.failing += other.failing;
        self.cancelled += other.cancelled;
        self.gone += other.gone;
        self.refused += other.refused;
        self.skipped += other.skipped;
        for (reason, n) in &other.reasons {
            self.count_reason(reason, *n);
        }
        let room = REASONS.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.iter().take(room).cloned());
    }

    /// Notes a refusal.
    pub(super) fn refuse(&mut self, id: JobId, why: &str) {
        self.count_reason(&super::normalise(why), 1);
        if self.samples.len() < REASONS {
            self.samples.push((id, why.chars().take(240).collect()));
        }
    }

    fn count_reason(&mut self, reason: &str, n: u64) {
        let known = self.reasons.contains_key(reason) || self.reasons.len() < REASONS;
        let reason = if known { reason } else { "other" };
        *self.reasons.entry(reason.to_owned()).or_default() += n;
    }
}

/// What is known of the dead letters before any goes back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// All were looked at.
    pub complete: bool,
    /// How many are to go back.
    pub letters: u64,
    /// How many match besides and are left alone: nobody knows whether they did what they do.
    pub outcome_unknown: u64,
    /// Where looking goes on.
    pub cursor: Option<JobId>,
    /// Chunks that were written.
    pub chunks: u32,
}

/// Who leads an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who.
    pub worker: WorkerId,
    /// Until when, unless renewed.
    pub until: Timestamp,
}

/// From when on the rate counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pacing {
    /// From then on.
    pub since: Timestamp,
    /// How many had gone back by then.
    pub base: u64,
}

/// Who wants what, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// To which state.
    pub to: ReplayState,
    /// By whom.
    pub by: String,
    /// Why.
    pub why: String,
}

/// One replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its name.
    pub id: ReplayId,
    /// What was asked.
    pub request: Request,
    /// Where it stands.
    pub state: ReplayState,
    /// When it was asked for; what died later is left alone.
    pub created_at: Timestamp,
    /// When the first dead letter went back.
    pub started_at: Option<Timestamp>,
    /// When the last dead letter went back.
    pub last_put_at: Option<Timestamp>,
    /// When it was done or cancelled.
    pub ended_at: Option<Timestamp>,
    /// What is to go back.
    pub plan: Plan,
    /// What became of it, as of the leader's last word.
    pub counts: Counts,
    /// Its changes of state, the latest last.
    pub steps: Vec<Step>,
    /// The canary is behind it.
    pub canary_passed: bool,
    /// From when on the rate counts.
    pub pacing: Option<Pacing>,
    /// Successes and failures that no longer count for the stop.
    pub judged: (u64, u64),
    /// Chunks, in the order they go back, before which all went back.
    pub put: u32,
    /// Chunks before which all ended: they are counted in `settled` and their cells are gone.
    pub folded: u32,
    /// What the chunks before `folded` counted.
    pub settled: Counts,
    /// Who leads it.
    pub lease: Option<Lease>,
}

impl Operation {
    /// One that was just asked for.
    pub(super) fn new(id: ReplayId, request: Request, now: Timestamp) -> Self {
        let word = Word { by: request.by.clone(), why: request.reason.clone() };
        let mut this = Self {
            id,
            request,
            state: ReplayState::Planned,
            created_at: now,
            started_at: None,
            last_put_at: None,
            ended_at: None,
            plan: Plan::default(),
            counts: Counts::default(),
            steps: Vec::new(),
            canary_passed: false,
            pacing: None,
            judged: (0, 0),
            put: 0,
            folded: 0,
            settled: Counts::default(),
            lease: None,
        };
        this.go(ReplayState::Planned, &word, now);
        this
    }

    /// Changes its state.
    pub fn go(&mut self, to: ReplayState, word: &Word, now: Timestamp) {
        self.state = to;
        self.ended_at = to.is_over().then_some(now);
        self.steps.push(Step { at: now, to, by: word.by.clone(), why: word.why.clone() });
        let surplus = self.steps.len().saturating_sub(STEPS);
        self.steps.drain(..surplus);
    }

    /// Goes on after a pause, a stop, or a canary nobody waits for any longer; the failures so far
    /// no longer count.
    pub(super) fn resume(&mut self, word: &Word, now: Timestamp) {
        let overruled = matches!(self.state, ReplayState::Stopped | ReplayState::Canary);
        self.canary_passed |= overruled;
        if overruled {
            self.judged = (self.counts.succeeded, self.counts.failed + self.counts.failing);
        }
        let canary = self.request.canary > 0 && !self.canary_passed;
        self.pacing = None;
        self.go(
            match (self.plan.complete, canary) {
                (false, _) => ReplayState::Planned,
                (true, true) => ReplayState::Canary,
                (true, false) => ReplayState::Running,
            },
            word,
            now,
        );
    }

    /// The share of those that came to an end, or failed and wait, that failed; none while too few
    /// did for the stop to judge.
    pub fn failure_ratio(&self, at_least: u64) -> Option<f64> {
        let good = self.counts.succeeded.saturating_sub(self.judged.0);
        let bad = (self.counts.failed + self.counts.failing).saturating_sub(self.judged.1);
        let all = good + bad;
        (all > 0 && all >= at_least).then(|| bad as f64 / all as f64)
    }

    /// All dead letters of the plan had their turn.
    pub fn is_put(&self) -> bool {
        self.plan.complete && self.put >= self.plan.chunks
    }
}
