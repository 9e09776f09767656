//! The states of a job and the one function that moves between them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::InvalidName;

/// Where a job stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for its moment; nothing has failed.
    Scheduled,
    /// May be claimed.
    Available,
    /// Held by a worker under a lease.
    Running,
    /// Failed, waits for its next attempt.
    Retryable,
    /// Set aside until its key wakes it.
    Parked,
    /// Done. Kept until its retention ends.
    Completed,
    /// No longer wanted. Kept until its retention ends.
    Cancelled,
    /// A dead letter: will not run again by itself.
    Dead,
}

impl State {
    /// All states, in the order people read them.
    pub const ALL: [Self; 8] = [
        Self::Scheduled,
        Self::Available,
        Self::Running,
        Self::Retryable,
        Self::Parked,
        Self::Completed,
        Self::Cancelled,
        Self::Dead,
    ];

    /// Completed, cancelled or dead: nothing happens to it by itself any more.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Dead)
    }

    /// The name in JSON, tables and columns.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Available => "available",
            Self::Running => "running",
            Self::Retryable => "retryable",
            Self::Parked => "parked",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for State {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| InvalidName {
            what: "state",
            given: text.chars().take(80).collect(),
            rule: "scheduled, available, running, retryable, parked, completed, cancelled or dead",
        })
    }
}

/// Why a job is dead.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DeadClass {
    /// Its attempts are used up.
    Exhausted,
    /// Its payload cannot be read or asks for the impossible.
    Invalid,
    /// Whoever it asked said no, for good.
    Rejected,
    /// Its credential does not hold.
    Unauthorised,
    /// An irreversible call was made and its outcome cannot be found out.
    OutcomeUnknown,
    /// It took its worker down with it, repeatedly.
    Poison,
    /// Its deadline passed before it could begin.
    Expired,
}

impl DeadClass {
    /// All classes.
    pub const ALL: [Self; 7] = [
        Self::Exhausted,
        Self::Invalid,
        Self::Rejected,
        Self::Unauthorised,
        Self::OutcomeUnknown,
        Self::Poison,
        Self::Expired,
    ];

    /// The name in JSON, tables and columns.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Invalid => "invalid",
            Self::Rejected => "rejected",
            Self::Unauthorised => "unauthorised",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Poison => "poison",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for DeadClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DeadClass {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::ALL.into_iter().find(|c| c.name() == text).ok_or_else(|| InvalidName {
            what: "dead class",
            given: text.chars().take(80).collect(),
            rule: "exhausted, invalid, rejected, unauthorised, outcome_unknown, poison or expired",
        })
    }
}

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Its moment has come.
    Due,
    /// A worker took it.
    Claimed,
    /// The handler finished.
    Succeeded,
    /// The handler failed; `true`: attempts are left.
    Failed(bool),
    /// The handler said: never again.
    Refused(DeadClass),
    /// Later, not the job's fault.
    Snoozed,
    /// Not before a key wakes it, not the job's fault.
    Parked,
    /// The key it was parked under was woken.
    Woken,
    /// What it was parked behind is over, but its own moment has not come.
    Postponed,
    /// A drain gave it back.
    Interrupted,
    /// The lease ran out: its worker is gone.
    LeaseExpired {
        /// Attempts are left.
        attempts_left: bool,
        /// It has taken down as many workers as it may.
        poison: bool,
    },
    /// Its deadline passed while it waited.
    Expired,
    /// Someone no longer wants it. A running job is told, and ends as cancelled when it yields.
    Cancelled,
    /// An admin put the dead letter back.
    Replayed,
    /// An admin put the dead letter aside.
    Discarded,
}

/// What a move does to the attempt counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Nothing.
    Keep,
    /// One more attempt: charged when claimed, so that a crash is charged too.
    One,
    /// Given back: the attempt did not count.
    Refund,
    /// Back to zero; the history stays.
    Reset,
}

/// Where an event leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The state after.
    pub to: State,
    /// The attempt counter after.
    pub charge: Charge,
    /// Why, when `to` is dead.
    pub class: Option<DeadClass>,
}

/// An event that cannot happen in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {from} cannot take the event {event:?}")]
pub struct IllegalMove {
    /// The state it was in.
    pub from: State,
    /// The event that does not apply.
    pub event: Event,
}

/// The only way a state may change.
///
/// | from \ event | due | claimed | succeeded | failed | refused | snoozed · interrupted · parked | lease expired | expired | cancelled | replayed · discarded |
/// | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
/// | scheduled | available | – | – | – | – | – | – | dead | cancelled | – |
/// | available | – | running +1 | – | – | – | – | – | dead | cancelled | – |
/// | running | – | – | completed | retryable · dead | dead | scheduled · available · parked, −1 | available · dead | – | cancelled | – |
/// | retryable | available | – | – | – | – | – | – | dead | cancelled | – |
/// | parked | – (woken: available, postponed: scheduled) | – | – | – | – | – | – | dead | cancelled | – |
/// | completed, cancelled | – | – | – | – | – | – | – | – | – | – |
/// | dead | – | – | – | – | – | – | – | – | – | available, 0 · cancelled |
///
/// # Errors
/// [`IllegalMove`] for every dash.
pub fn transition(from: State, event: Event) -> Result<Move, IllegalMove> {
    use State::{Available, Cancelled, Completed, Dead, Parked, Retryable, Running, Scheduled};
    let waiting = matches!(from, Scheduled | Available | Retryable | Parked);
    let to = |to| Ok(Move { to, charge: Charge::Keep, class: None });
    let refund = |to| Ok(Move { to, charge: Charge::Refund, class: None });
    let dead = |class| Ok(Move { to: Dead, charge: Charge::Keep, class: Some(class) });
    match event {
        Event::Due if matches!(from, Scheduled | Retryable) => to(Available),
        Event::Woken if from == Parked => to(Available),
        Event::Postponed if from == Parked => to(Scheduled),
        Event::Claimed if from == Available => {
            Ok(Move { to: Running, charge: Charge::One, class: None })
        }
        Event::Succeeded if from == Running => to(Completed),
        Event::Failed(true) if from == Running => to(Retryable),
        Event::Failed(false) if from == Running => dead(DeadClass::Exhausted),
        Event::Refused(class) if from == Running => dead(class),
        Event::Snoozed if from == Running => refund(Scheduled),
        Event::Parked if from == Running => refund(Parked),
        Event::Interrupted if from == Running => refund(Available),
        Event::LeaseExpired { poison: true, .. } if from == Running => dead(DeadClass::Poison),
        Event::LeaseExpired { attempts_left: true, .. } if from == Running => to(Available),
        Event::LeaseExpired { attempts_left: false, .. } if from == Running => {
            dead(DeadClass::Exhausted)
        }
        Event::Expired if waiting => dead(DeadClass::Expired),
        Event::Cancelled if waiting || from == Running => to(Cancelled),
        Event::Replayed if from == Dead => {
            Ok(Move { to: Available, charge: Charge::Reset, class: None })
        }
        Event::Discarded if from == Dead => to(Cancelled),
        _ => Err(IllegalMove { from, event }),
    }
    .inspect(|m| debug_assert!(!matches!(from, Completed | Cancelled), "{from} moved to {}", m.to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Event> {
        let mut all = vec![
            Event::Due,
            Event::Claimed,
            Event::Succeeded,
            Event::Failed(true),
            Event::Failed(false),
            Event::Snoozed,
            Event::Parked,
            Event::Woken,
            Event::Postponed,
            Event::Interrupted,
            Event::Expired,
            Event::Cancelled,
            Event::Replayed,
            Event::Discarded,
        ];
        all.extend(DeadClass::ALL.map(Event::Refused));
        for attempts_left in [true, false] {
            for poison in [true, false] {
                all.push(Event::LeaseExpired { attempts_left, poison });
            }
        }
        all
    }

    #[test]
    fn finished_jobs_move_only_by_an_admin() {
        for event in events() {
            assert!(transition(State::Completed, event).is_err());
            assert!(transition(State::Cancelled, event).is_err());
            let admin = matches!(event, Event::Replayed | Event::Discarded);
            assert_eq!(transition(State::Dead, event).is_ok(), admin, "{event:?}");
        }
    }

    #[test]
    fn a_class_is_given_exactly_when_dead() {
        for from in State::ALL {
            for event in events() {
                if let Ok(m) = transition(from, event) {
                    assert_eq!(m.class.is_some(), m.to == State::Dead, "{from} {event:?}");
                }
            }
        }
    }

    #[test]
    fn only_a_claim_charges_and_only_the_fleets_faults_refund() {
        for from in State::ALL {
            for event in events() {
                let Ok(m) = transition(from, event) else { continue };
                let expected = match event {
                    Event::Claimed => Charge::One,
                    Event::Snoozed | Event::Parked | Event::Interrupted => Charge::Refund,
                    Event::Replayed => Charge::Reset,
                    _ => Charge::Keep,
                };
                assert_eq!(m.charge, expected, "{from} {event:?}");
            }
        }
    }

    #[test]
    fn poison_wins_over_attempts_left() {
        let event = Event::LeaseExpired { attempts_left: true, poison: true };
        assert_eq!(transition(State::Running, event).unwrap().class, Some(DeadClass::Poison));
    }

    #[test]
    fn names_come_back() {
        for state in State::ALL {
            assert_eq!(state.name().parse(), Ok(state));
        }
        for class in DeadClass::ALL {
            assert_eq!(class.name().parse(), Ok(class));
        }
        assert!("zombie".parse::<State>().is_err());
    }
}
