//! A filter of the desk as a condition in SQL. Not on any hot path.

use flotilla_core::records::Filter;
use rusqlite::types::Value;

use crate::code::{self, micros};
use crate::error::{Done, Fault};

/// Values of one filter; SQLite binds at most 32,766.
const MOST: usize = 10_000;

/// A condition and what is bound to it, in order.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    sql: String,
    pub(crate) values: Vec<Value>,
}

impl Condition {
    /// The condition of a filter.
    pub(crate) fn of(filter: &Filter) -> Done<Self> {
        let mut this = Self::default();
        let text = |name: &str| Value::Text(name.to_owned());
        this.one_of("id", filter.ids.iter().map(|id| Value::Blob(id.as_bytes().to_vec())));
        this.one_of("lane", filter.lanes.iter().map(|lane| text(lane.as_str())));
        this.one_of("kind", filter.kinds.iter().map(|kind| text(kind.as_str())));
        this.one_of("state", filter.states.iter().map(|s| Value::Integer(code::state(*s))));
        this.one_of("tenant", filter.tenants.iter().map(|tenant| text(tenant.as_str())));
        this.one_of("class", filter.classes.iter().map(|c| Value::Integer(code::class(*c))));
        if !filter.parents.is_empty() {
            let marks = vec!["?"; filter.parents.len()].join(", ");
            this.literally(&format!(
                "job.seq IN (SELECT seq FROM child WHERE parent IN ({marks}))"
            ));
            let ids = filter.parents.iter().map(|id| Value::Blob(id.as_bytes().to_vec()));
            this.values.extend(ids);
        }
        if let Some(since) = filter.since {
            this.and("enqueued_at >= ?", Value::Integer(micros(since)));
        }
        if let Some(until) = filter.until {
            this.and("enqueued_at < ?", Value::Integer(micros(until)));
        }
        if let Some(error) = &filter.error {
            this.and(
                "instr((SELECT e.error FROM attempt_error e WHERE e.seq = job.seq
                        ORDER BY e.n DESC LIMIT 1), ?) > 0",
                text(error),
            );
        }
        if this.values.len() > MOST {
            return Err(Fault::Invalid(format!(
                "the filter has {} values; at most {MOST} are allowed: split it",
                this.values.len()
            )));
        }
        Ok(this)
    }

    /// Adds a condition on one value.
    pub(crate) fn and(&mut self, condition: &str, value: Value) {
        self.literally(condition);
        self.values.push(value);
    }

    /// Adds a condition without a value.
    pub(crate) fn literally(&mut self, condition: &str) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
    }

    /// ` WHERE …`, or nothing.
    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }

    fn one_of(&mut self, column: &str, values: impl ExactSizeIterator<Item = Value>) {
        if values.len() == 0 {
            return;
        }
        let marks = vec!["?"; values.len()].join(", ");
        self.literally(&format!("{column} IN ({marks})"));
        self.values.extend(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_core::state::State;

    #[test]
    fn nothing_asked_is_no_condition_and_fields_are_joined_by_and() {
        assert_eq!(Condition::of(&Filter::default()).unwrap().sql(), "");
        let filter = Filter {
            states: vec![State::Dead, State::Parked],
            error: Some("x".into()),
            ..Filter::default()
        };
        let condition = Condition::of(&filter).unwrap();
        assert!(condition.sql().starts_with(" WHERE state IN (?, ?) AND instr("));
        assert_eq!(condition.values.len(), 3);
    }
}
