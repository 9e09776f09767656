//! Changing one dead letter: another payload, back among the available, or both. Each change
//! carries a mark that stays with the job, and a change whose mark is there already is not made
//! again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::envelope::Payload;
use crate::ids::JobId;
use crate::state::{DeadClass, State};

/// The extra field of a job that keeps its marks.
pub const HISTORY: &str = "desk_history";
/// How many marks a job keeps: the latest ones.
pub const MARKS: usize = 16;

/// Who changed a dead letter, in which course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// `replay/<id of the operation>`, `edit/<id>`: the same one is made once.
    pub of: String,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A change of one dead letter.
#[derive(Clone, Debug, PartialEq)]
pub struct Amend {
    /// Which.
    pub id: JobId,
    /// Stays with the job.
    pub mark: Mark,
    /// Its new payload; `None`: it stays.
    pub payload: Option<Payload>,
    /// Only while this is its payload: nobody changed it since it was looked at.
    pub expect: Option<Value>,
    /// Back among the available, attempts reset.
    pub replay: bool,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "detail")]
pub enum Amended {
    /// It is made, durable.
    Done,
    /// It had been made before; nothing was done now.
    Already,
    /// The job is no dead letter any more.
    NotDead,
    /// There is no such job.
    Unknown,
    /// It is left as it is, and why.
    Refused(String),
}

/// What a backend shows of a job before it changes it.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// Where it stands.
    pub state: State,
    /// Why it is dead.
    pub class: Option<DeadClass>,
    /// Its extra fields.
    pub extra: &'a BTreeMap<String, Value>,
    /// Its payload.
    pub payload: &'a Payload,
}

impl Amend {
    /// Decides on a change; a backend asks this within the transaction that makes it. Gives the
    /// extra fields the job has from then on.
    ///
    /// # Errors
    /// The answer, where nothing is to be changed.
    pub fn decide(
        &self,
        letter: Letter<'_>,
        max_payload: usize,
        now: Timestamp,
    ) -> Result<BTreeMap<String, Value>, Amended> {
        let before = letter.extra.get(HISTORY).and_then(Value::as_array);
        if before.is_some_and(|marks| marks.iter().any(|mark| mark["of"] == self.mark.of.as_str()))
        {
            return Err(Amended::Already);
        }
        if letter.state != State::Dead {
            return Err(Amended::NotDead);
        }
        if letter.class == Some(DeadClass::OutcomeUnknown) {
            return Err(Amended::Refused(
                "outcome_unknown: what it does cannot be undone and may have been done; look \
                 there first, then say what was found"
                    .to_owned(),
            ));
        }
        if self.expect.as_ref().is_some_and(|expect| *expect != letter.payload.to_value()) {
            return Err(Amended::Refused(
                "its payload has changed since it was looked at: look again".to_owned(),
            ));
        }
        let size = self.payload.as_ref().map_or(0, |payload| payload.bytes().len());
        if size > max_payload {
            return Err(Amended::Refused(format!(
                "the new payload has {size} bytes; at most {max_payload} are allowed"
            )));
        }
        let mut marks = before.cloned().unwrap_or_default();
        marks.push(json!({
            "of": self.mark.of, "by": self.mark.by, "reason": self.mark.reason, "at": now,
            "class": letter.class, "edited": self.payload.is_some(), "replayed": self.replay,
        }));
        let surplus = marks.len().saturating_sub(MARKS);
        marks.drain(..surplus);
        let mut extra = letter.extra.clone();
        extra.insert(HISTORY.to_owned(), Value::Array(marks));
        Ok(extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn amend(of: &str) -> Amend {
        Amend {
            id: JobId::derived("a"),
            mark: Mark { of: of.into(), by: "ann".into(), reason: "mended".into() },
            payload: Some(Payload::from_bytes(&b"{\"a\":2}"[..])),
            expect: Some(json!({"a": 1})),
            replay: true,
        }
    }

    fn decide(
        amend: &Amend,
        extra: &BTreeMap<String, Value>,
        state: State,
        class: DeadClass,
    ) -> Result<BTreeMap<String, Value>, Amended> {
        let payload = Payload::from_bytes(&b"{\"a\":1}"[..]);
        let letter = Letter { state, class: Some(class), extra, payload: &payload };
        amend.decide(letter, 100, ManualClock::default().now())
    }

    #[test]
    fn a_mark_is_made_once_and_only_the_latest_are_kept() {
        let mut extra = BTreeMap::new();
        for n in 0..30 {
            extra =
                decide(&amend(&format!("{n}")), &extra, State::Dead, DeadClass::Rejected).unwrap();
        }
        assert_eq!(extra[HISTORY].as_array().unwrap().len(), MARKS);
        let again = decide(&amend("29"), &extra, State::Available, DeadClass::Rejected);
        assert_eq!(again, Err(Amended::Already));
    }

    #[test]
    fn what_is_not_dead_or_not_known_or_has_changed_is_left() {
        let none = BTreeMap::new();
        let left = |amend: &Amend, state, class| decide(amend, &none, state, class).unwrap_err();
        let one = amend("1");
        assert_eq!(left(&one, State::Running, DeadClass::Rejected), Amended::NotDead);
        let unknown = left(&one, State::Dead, DeadClass::OutcomeUnknown);
        assert!(matches!(unknown, Amended::Refused(why) if why.contains("outcome_unknown")));
        let stale = Amend { expect: Some(json!({"a": 9})), ..one.clone() };
        let stale = left(&stale, State::Dead, DeadClass::Rejected);
        assert!(matches!(stale, Amended::Refused(why) if why.contains("look again")));
        let large = Amend { payload: Some(Payload::from_bytes(vec![b'1'; 101])), ..one };
        let large = left(&large, State::Dead, DeadClass::Rejected);
        assert!(matches!(large, Amended::Refused(why) if why.contains("101 bytes")));
    }
}
