//! A filter of the desk as a condition in SQL. Not on any hot path.

use flotilla_core::records::Filter;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::code::{self, micros};

/// A condition and what is bound to it, in order.
#[derive(Default)]
pub(crate) struct Condition {
    sql: String,
    values: Vec<Box<dyn ToSql + Send + Sync>>,
}

impl Condition {
    /// The condition of a filter.
    pub(crate) fn of(filter: &Filter) -> Self {
        let mut this = Self::default();
        let ids: Vec<Uuid> = filter.ids.iter().map(|id| code::uuid(*id)).collect();
        this.one_of("id = ANY (?)", ids);
        this.one_of("lane = ANY (?)", names(filter.lanes.iter().map(|lane| lane.as_str())));
        this.one_of("kind = ANY (?)", names(filter.kinds.iter().map(|kind| kind.as_str())));
        let states: Vec<i16> = filter.states.iter().map(|state| code::state(*state)).collect();
        this.one_of("state = ANY (?)", states);
        this.one_of("tenant = ANY (?)", names(filter.tenants.iter().map(|t| t.as_str())));
        let classes: Vec<i16> = filter.classes.iter().map(|class| code::class(*class)).collect();
        this.one_of("class = ANY (?)", classes);
        let parents: Vec<Uuid> = filter.parents.iter().map(|id| code::uuid(*id)).collect();
        this.one_of("parent = ANY (?)", parents);
        if let Some(since) = filter.since {
            this.and("enqueued_at >= ?", micros(since));
        }
        if let Some(until) = filter.until {
            this.and("enqueued_at < ?", micros(until));
        }
        if let Some(error) = &filter.error {
            let part = code::text(error).into_owned();
            this.and("position(? IN errors -> -1 ->> 'error') > 0", part);
        }
        this
    }

    /// Adds a condition; `?` stands for the value.
    pub(crate) fn and(&mut self, condition: &str, value: impl ToSql + Send + Sync + 'static) {
        self.values.push(Box::new(value));
        self.literally(&condition.replace('?', &format!("${}", self.values.len())));
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

    /// What is bound, and behind it what the rest of the statement needs from `$next()` on.
    pub(crate) fn with<'v>(
        &'v self,
        more: &[&'v (dyn ToSql + Sync)],
    ) -> Vec<&'v (dyn ToSql + Sync)> {
        let bound = self.values.iter().map(|value| value.as_ref() as &(dyn ToSql + Sync));
        bound.chain(more.iter().copied()).collect()
    }

    /// The number of the first parameter behind the condition's own.
    pub(crate) fn next(&self) -> usize {
        self.values.len() + 1
    }

    fn one_of<T: ToSql + Send + Sync + 'static>(&mut self, condition: &str, values: Vec<T>) {
        if !values.is_empty() {
            self.and(condition, values);
        }
    }
}

fn names<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_core::state::State;

    #[test]
    fn nothing_asked_is_no_condition_and_fields_are_joined_by_and() {
        assert_eq!(Condition::of(&Filter::default()).sql(), "");
        let filter = Filter {
            states: vec![State::Dead, State::Parked],
            error: Some("x".into()),
            ..Filter::default()
        };
        let condition = Condition::of(&filter);
        assert!(condition.sql().starts_with(" WHERE state = ANY ($1) AND position($2 IN"));
        assert_eq!((condition.next(), condition.with(&[]).len()), (3, 2));
    }
}
