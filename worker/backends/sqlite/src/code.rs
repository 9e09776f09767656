//! How the vocabulary is written into columns: numbers for states and classes, microseconds for
//! instants, text for names.

use flotilla_core::clock::{Timestamp, from_micros};
use flotilla_core::ids::{JobId, Priority};
use flotilla_core::state::{Charge, DeadClass, State};
use rusqlite::types::ValueRef;

use crate::error::{Done, Fault};

/// The number of a state: its place in [`State::ALL`].
pub(crate) fn state(state: State) -> i64 {
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
pub(crate) fn to_state(number: i64) -> Done<State> {
    let found = usize::try_from(number).ok().and_then(|n| State::ALL.get(n).copied());
    found.ok_or_else(|| Fault::Corrupt(format!("a stored job has the unknown state {number}")))
}

/// The number of a class: its place in [`DeadClass::ALL`].
pub(crate) fn class(class: DeadClass) -> i64 {
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
pub(crate) fn to_class(number: i64) -> Done<DeadClass> {
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

/// The id of sixteen bytes.
pub(crate) fn to_id(value: ValueRef<'_>) -> Done<JobId> {
    let bytes = value.as_blob()?;
    let bytes = <[u8; 16]>::try_from(bytes)
        .map_err(|_| Fault::Corrupt(format!("a stored id has {} bytes, not 16", bytes.len())))?;
    Ok(JobId::from_bytes(bytes))
}

/// A stored text as the name it is.
pub(crate) fn to_name<T: std::str::FromStr>(value: ValueRef<'_>) -> Done<T>
where
    T::Err: std::fmt::Display,
{
    value.as_str()?.parse().map_err(|e| Fault::Corrupt(format!("a stored name is wrong: {e}")))
}

/// A stored level.
pub(crate) fn to_priority(level: i64) -> Done<Priority> {
    u8::try_from(level)
        .ok()
        .and_then(|level| Priority::new(level).ok())
        .ok_or_else(|| Fault::Corrupt(format!("a stored job has the priority {level}")))
}

/// A stored counter.
pub(crate) fn to_count<T: TryFrom<i64>>(number: i64) -> Done<T> {
    T::try_from(number)
        .map_err(|_| Fault::Corrupt(format!("a stored counter is out of range: {number}")))
}

/// A size or a limit as SQLite takes it.
pub(crate) fn number(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The attempt counter after a move.
pub(crate) fn charged(attempt: i64, charge: Charge) -> i64 {
    match charge {
        Charge::Keep => attempt,
        Charge::One => attempt.saturating_add(1),
        Charge::Refund => (attempt - 1).max(0),
        Charge::Reset => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_places_in_the_lists() {
        for (n, s) in State::ALL.into_iter().enumerate() {
            assert_eq!(state(s), number(n));
            assert_eq!(to_state(number(n)).unwrap(), s);
        }
        for (n, c) in DeadClass::ALL.into_iter().enumerate() {
            assert_eq!(class(c), number(n));
            assert_eq!(to_class(number(n)).unwrap(), c);
        }
        assert!(to_state(8).is_err() && to_state(-1).is_err() && to_class(7).is_err());
    }

    #[test]
    fn the_schema_uses_the_same_numbers() {
        // schema.sql: state = 1 available, state < 5 unfinished, (0, 1, 3, 4) waiting.
        assert_eq!(state(State::Available), 1);
        for s in State::ALL {
            assert_eq!(state(s) >= 5, s.is_finished());
        }
    }
}
