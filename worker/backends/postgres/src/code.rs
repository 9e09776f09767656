//! How the vocabulary is written into columns: numbers for states and classes, microseconds for
//! instants, text for names, and free text without the one character PostgreSQL cannot hold.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use flotilla_core::clock::{Timestamp, from_micros};
use flotilla_core::ids::{JobId, Priority};
use flotilla_core::state::{DeadClass, State};
use uuid::Uuid;

use crate::error::{Done, Fault};

/// The number of a state: its place in [`State::ALL`].
pub(crate) fn state(state: State) -> i16 {
    match state {
        State::Scheduled => 0,
        State::Available => 1,
        State::Running => 2,
        State::Retryable => 3,
        State::Parked => 4,
        State::Completed => 5,
        State::Cancelled => 6,
        State::Dead => 7,
    }
}

/// The state of a number.
pub(crate) fn to_state(number: i16) -> Done<State> {
    let found = usize::try_from(number).ok().and_then(|n| State::ALL.get(n).copied());
    found.ok_or_else(|| Fault::Corrupt(format!("a stored job has the unknown state {number}")))
}

/// The number of a class: its place in [`DeadClass::ALL`].
pub(crate) fn class(class: DeadClass) -> i16 {
    match class {
        DeadClass::Exhausted => 0,
        DeadClass::Invalid => 1,
        DeadClass::Rejected => 2,
        DeadClass::Unauthorised => 3,
        DeadClass::OutcomeUnknown => 4,
        DeadClass::Poison => 5,
        DeadClass::Expired => 6,
    }
}

/// The class of a number.
pub(crate) fn to_class(number: i16) -> Done<DeadClass> {
    let found = usize::try_from(number).ok().and_then(|n| DeadClass::ALL.get(n).copied());
    found.ok_or_else(|| Fault::Corrupt(format!("a stored job has the unknown class {number}")))
}

/// Microseconds since the Unix epoch.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// The instant of a column.
pub(crate) fn to_instant(micros: i64) -> Timestamp {
    from_micros(micros)
}

/// An id as the driver takes it.
pub(crate) fn uuid(id: JobId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// The id of a column.
pub(crate) fn to_id(id: Uuid) -> JobId {
    JobId::from_bytes(id.into_bytes())
}

/// A stored text as the name it is.
pub(crate) fn to_name<T: FromStr<Err: Display>>(text: &str) -> Done<T> {
    text.parse().map_err(|e| Fault::Corrupt(format!("a stored name is wrong: {e}")))
}

/// The column of a level.
pub(crate) fn level(priority: Priority) -> i16 {
    i16::from(priority.level())
}

/// A stored level.
pub(crate) fn to_priority(level: i16) -> Done<Priority> {
    u8::try_from(level)
        .ok()
        .and_then(|level| Priority::new(level).ok())
        .ok_or_else(|| Fault::Corrupt(format!("a stored job has the priority {level}")))
}

/// A stored counter.
pub(crate) fn to_count<T, N>(number: N) -> Done<T>
where
    T: TryFrom<N>,
    N: Copy + Display,
{
    T::try_from(number)
        .map_err(|_| Fault::Corrupt(format!("a stored counter is out of range: {number}")))
}

/// A size or a limit as PostgreSQL takes it.
pub(crate) fn number(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A counter of a job as its column takes it.
pub(crate) fn small(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Stands before what is escaped: a character no text means.
const MARK: char = '\u{1}';

/// Free text as its column takes it: U+0000 and the mark itself are escaped.
pub(crate) fn text(free: &str) -> Cow<'_, str> {
    if free.contains(['\0', MARK]) {
        Cow::Owned(free.replace(MARK, "\u{1}1").replace('\0', "\u{1}0"))
    } else {
        Cow::Borrowed(free)
    }
}

/// The free text of a column.
pub(crate) fn to_text(stored: String) -> String {
    if stored.contains(MARK) {
        stored.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}")
    } else {
        stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_places_in_the_lists() {
        for (n, s) in State::ALL.into_iter().enumerate() {
            assert_eq!(i64::from(state(s)), number(n));
            assert_eq!(to_state(state(s)).unwrap(), s);
            assert_eq!(state(s) >= 5, s.is_finished(), "the indexes of 0001.sql say so");
        }
        for (n, c) in DeadClass::ALL.into_iter().enumerate() {
            assert_eq!(i64::from(class(c)), number(n));
            assert_eq!(to_class(class(c)).unwrap(), c);
        }
        assert!(to_state(8).is_err() && to_state(-1).is_err() && to_class(7).is_err());
    }

    #[test]
    fn every_text_comes_back() {
        for given in ["", "plain", "\0", "\u{1}", "\u{1}0", "a\u{1}\0\u{1}1\0\0b", "\0\u{1}0"] {
            let stored = text(given);
            assert!(!stored.contains('\0'));
            assert_eq!(to_text(stored.into_owned()), given);
        }
    }
}
