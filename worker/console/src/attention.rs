//! What needs somebody, in plain words, the worst first, each with the way to its mend.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_core::account::AccountStatus;
use flotilla_core::breaker::Stand;
use flotilla_core::clock::{after, between};
use flotilla_core::{State, Timestamp};
use serde::{Deserialize, Serialize};

use crate::marks::Level;
use crate::overview::{LaneView, Overview};
use crate::text::{count, many, relative, short};

/// A job that may run should begin within this.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);
/// A lane that drains within this is busy, not behind.
const BEHIND: Duration = Duration::from_secs(900);
/// A token that ends within this wants its owner now.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// One thing that needs somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// How much it matters.
    pub level: Level,
    /// What is wrong, as a sentence.
    pub what: String,
    /// What is known of it.
    pub detail: String,
    /// What to do.
    pub mend: String,
    /// Where.
    pub href: String,
}

impl Attention {
    fn new(level: Level, what: String, detail: String, mend: &str, href: String) -> Self {
        Self { level, what, detail, mend: mend.to_owned(), href }
    }
}

/// All that needs somebody, the worst first.
pub(crate) fn needs(of: &Overview) -> Vec<Attention> {
    let mut found = Vec::new();
    dead(of, &mut found);
    for lane in &of.lanes {
        lane_needs(lane, of, &mut found);
    }
    traffic(of, &mut found);
    accounts(of, &mut found);
    workers(of, &mut found);
    found.sort_by_key(|it: &Attention| it.level);
    found
}

fn dead(of: &Overview, found: &mut Vec<Attention>) {
    let dead = of.dead;
    if dead.unknown > 0 {
        found.push(Attention::new(
            Level::Bad,
            format!(
                "{} made an irreversible call and nobody knows how it ended",
                many(dead.unknown, "job", "jobs")
            ),
            "They are never replayed by a filter, so that nothing happens twice.".to_owned(),
            "Find out for each whether it happened",
            "/dead?class=outcome_unknown".to_owned(),
        ));
    }
    if dead.poison > 0 {
        found.push(Attention::new(
            Level::Bad,
            format!("{} took workers down", many(dead.poison, "job", "jobs")),
            "Each was set aside after repeated crashes.".to_owned(),
            "Look at what they have in common",
            "/dead?class=poison".to_owned(),
        ));
    }
    if dead.unauthorised > 0 {
        found.push(Attention::new(
            Level::Warn,
            format!(
                "{} ended because a credential did not hold",
                many(dead.unauthorised, "job", "jobs")
            ),
            "Once the account is connected again they can be replayed.".to_owned(),
            "See which accounts",
            "/dead?class=unauthorised".to_owned(),
        ));
    }
    let rest = dead.total.saturating_sub(dead.unknown + dead.poison + dead.unauthorised);
    if rest > 0 {
        found.push(Attention::new(
            Level::Warn,
            format!("{} lie among the dead letters", many(rest, "other job", "other jobs")),
            "Their attempts are used up, or they were refused.".to_owned(),
            "Mend the cause, then replay",
            "/dead".to_owned(),
        ));
    }
}

fn lane_needs(lane: &LaneView, of: &Overview, found: &mut Vec<Attention>) {
    let (name, now, waiting) = (&lane.info.lane, of.at, lane.count(State::Available));
    let at_lanes = format!("/lanes#{name}");
    if let Some(pause) = &lane.info.paused {
        let level = if waiting > 0 { Level::Warn } else { Level::Note };
        found.push(Attention::new(
            level,
            format!("Lane {name} is paused; {} wait behind it", many(waiting, "job", "jobs")),
            format!("{} by {}: {}", relative(pause.since, now), pause.by, pause.reason),
            "Resume it when that is over",
            at_lanes,
        ));
        return;
    }
    if waiting > 0 && lane.workers == 0 {
        found.push(Attention::new(
            Level::Bad,
            format!("No worker serves lane {name}; {} wait", many(waiting, "job", "jobs")),
            match of.workers.len() {
                0 => "No worker of the fleet is there.".to_owned(),
                n => format!(
                    "{} there, none with this lane.",
                    many(n as u64, "worker is", "workers are")
                ),
            },
            "Start a worker with this lane",
            "/workers".to_owned(),
        ));
        return;
    }
    let waited = lane.info.oldest_available.map(|at| between(at, now)).filter(|_| waiting > 0);
    match lane.load.drain {
        Some(drain) if drain > BEHIND => found.push(Attention::new(
            Level::Warn,
            format!("Lane {name} is behind: {} to clear at the present rate", short(drain)),
            format!(
                "{} can run now on {}.",
                count(waiting),
                many(lane.workers as u64, "worker", "workers")
            ),
            "Add workers, or see what is slow",
            at_lanes,
        )),
        _ if waited.is_some_and(|waited| waited > WITHIN * 2) => found.push(Attention::new(
            Level::Warn,
            format!(
                "A job of lane {name} has waited {} for a worker",
                short(waited.unwrap_or_default())
            ),
            format!(
                "{} can run now on {}.",
                count(waiting),
                many(lane.workers as u64, "worker", "workers")
            ),
            "See what keeps them",
            at_lanes,
        )),
        _ => {}
    }
}

fn traffic(of: &Overview, found: &mut Vec<Attention>) {
    for info in &of.breakers {
        let (level, what) = match &info.stand {
            Stand::Open { .. } => (Level::Bad, "is not called for now"),
            Stand::HalfOpen { .. } => (Level::Note, "is tried with a few jobs"),
            Stand::Ramping { .. } => (Level::Note, "is called again, more each second"),
            Stand::Closed => continue,
        };
        found.push(Attention::new(
            level,
            format!("{} {what}", info.key),
            breaker(&info.stand, of.at),
            "See its calls and its breaker",
            "/platforms#breakers".to_owned(),
        ));
    }
    for info in &of.limits {
        let (Some(until), Some(why)) = (info.frozen_until, &info.frozen_because) else { continue };
        if until > of.at {
            found.push(Attention::new(
                Level::Note,
                format!("{} asked to be left alone", info.key),
                format!("It goes on {}: {why}", relative(until, of.at)),
                "See its limits",
                "/platforms#limits".to_owned(),
            ));
        }
    }
    for stop in &of.stops {
        found.push(Attention::new(
            Level::Bad,
            format!("{} refuses this app", stop.platform),
            format!("Next try {}: {}", relative(stop.until, of.at), stop.reason),
            "Check the app's credentials",
            "/accounts".to_owned(),
        ));
    }
}

/// Where a breaker stands, with times as people say them.
fn breaker(stand: &Stand, now: Timestamp) -> String {
    match stand {
        Stand::Open { since, until, by, why } => {
            let next = until.map_or_else(
                || "until a person closes it".to_owned(),
                |until| format!("a few jobs try {}", relative(until, now)),
            );
            format!("Its breaker was opened {} by {by}: {why}; {next}.", relative(*since, now))
        }
        other => format!("Its breaker is {other}."),
    }
}

fn accounts(of: &Overview, found: &mut Vec<Attention>) {
    let soon = after(of.at, SOON);
    let (mut again, mut late, mut ending) = (Vec::new(), Vec::new(), Vec::new());
    for it in &of.accounts {
        let name = it.account.id.as_str();
        match &it.account.status {
            AccountStatus::ReauthRequired { .. } => again.push(name),
            AccountStatus::Active if it.overdue => late.push(name),
            AccountStatus::Active if ends_before(it.ends_at, soon) => ending.push(name),
            _ => {}
        }
    }
    let mut add = |level, names: &[&str], what: &str, detail: &str, mend: &str| {
        if !names.is_empty() {
            let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            let more = if names.len() > 5 { ", …" } else { "" };
            let n = many(names.len() as u64, "account", "accounts");
            let detail = format!("{shown}{more}. {detail}");
            found.push(Attention::new(
                level,
                format!("{n} {what}"),
                detail,
                mend,
                "/accounts".to_owned(),
            ));
        }
    };
    add(
        Level::Bad,
        &again,
        "must be connected again",
        "Their jobs are parked until then.",
        "Ask their owners",
    );
    add(
        Level::Warn,
        &late,
        "should have been renewed by now",
        "Renewals are late.",
        "See what the renewals said",
    );
    add(
        Level::Note,
        &ending,
        "will need their owner within two weeks",
        "Nothing can renew them by itself.",
        "Warn their owners",
    );
}

fn ends_before(end: Option<Timestamp>, soon: Timestamp) -> bool {
    end.is_some_and(|end| end < soon)
}

fn workers(of: &Overview, found: &mut Vec<Attention>) {
    for worker in &of.lost {
        found.push(Attention::new(
            Level::Warn,
            format!("Worker {} fell silent", worker.id),
            format!("Last seen {}; its jobs run again elsewhere.", relative(worker.seen_at, of.at)),
            "Look at its log",
            "/workers".to_owned(),
        ));
    }
    let versions: BTreeSet<&str> = of.workers.iter().map(|w| w.version.as_str()).collect();
    if versions.len() > 1 {
        let list = versions.into_iter().collect::<Vec<_>>().join(", ");
        found.push(Attention::new(
            Level::Note,
            "Workers of different versions run side by side".to_owned(),
            format!("{list}. Fine during an upgrade."),
            "See who runs what",
            "/workers".to_owned(),
        ));
    }
}
