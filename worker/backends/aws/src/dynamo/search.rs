//! Finding the jobs a filter means: by their ids, by their parents, else by lane and state.

use std::collections::VecDeque;

use flotilla_core::ids::{JobId, Lane};
use flotilla_core::queue::QueueError;
use flotilla_core::records::Filter;
use flotilla_core::state::State;

use super::Dynamo;
use super::db::Range;
use super::lanes::Lanes;
use super::row::Row;
use super::table::Index;
use super::walk::Walk;

fn matches(filter: &Filter, row: &Row) -> bool {
    fn any<T: PartialEq>(wanted: &[T], is: &T) -> bool {
        wanted.is_empty() || wanted.contains(is)
    }
    any(&filter.ids, &row.id)
        && any(&filter.lanes, &row.lane)
        && any(&filter.kinds, &row.kind)
        && any(&filter.states, &row.state)
        && any(&filter.tenants, &row.tenant)
        && (filter.classes.is_empty() || row.class.is_some_and(|c| filter.classes.contains(&c)))
        && filter.since.is_none_or(|since| row.enqueued_at >= since)
        && filter.until.is_none_or(|until| row.enqueued_at < until)
        && (filter.parents.is_empty()
            || row.parent.as_ref().is_some_and(|parent| filter.parents.contains(&parent.id)))
        && filter.error.as_ref().is_none_or(|part| {
            row.errors.last().is_some_and(|last| last.error.contains(part.as_str()))
        })
}

/// Jobs that match, in the order of their ids.
pub(crate) struct Search<'a> {
    dynamo: &'a Dynamo,
    filter: &'a Filter,
    from: From<'a>,
}

/// Where candidates come from.
enum From<'a> {
    Ids(VecDeque<JobId>),
    Walk(Walk<'a>),
}

impl<'a> Search<'a> {
    /// Newest first below `before` with `backwards`, else oldest first.
    pub(crate) async fn new(
        dynamo: &'a Dynamo,
        filter: &'a Filter,
        backwards: bool,
        before: Option<JobId>,
        page: usize,
    ) -> Result<Self, QueueError> {
        let from = if filter.ids.is_empty() && filter.parents.is_empty() {
            let lanes = Lanes::read(&dynamo.db).await?;
            let wanted = |lane: &&Lane| filter.lanes.is_empty() || filter.lanes.contains(lane);
            let states = State::ALL.into_iter();
            let states: Vec<State> = states
                .filter(|state| filter.states.is_empty() || filter.states.contains(state))
                .filter(|state| filter.classes.is_empty() || *state == State::Dead)
                .collect();
            let of = |lane: &Lane| {
                let all = states.iter().map(|state| format!("{lane}#{state}"));
                all.collect::<Vec<_>>()
            };
            let ranges = lanes.kinds.keys().filter(wanted).flat_map(of).map(|partition| Range {
                backwards,
                below: before.map(|id| id.to_string()),
                ..Range::all(Index::Desk, partition)
            });
            From::Walk(Walk::new(&dynamo.db, ranges.collect(), page))
        } else {
            let mut ids = filter.ids.clone();
            if ids.is_empty() {
                for parent in &filter.parents {
                    let kin = Range::all(Index::Kin, parent.to_string());
                    ids.extend(dynamo.db.ids(&kin, usize::MAX).await?);
                }
            }
            ids.retain(|id| before.is_none_or(|before| *id < before));
            ids.sort();
            ids.dedup();
            if backwards {
                ids.reverse();
            }
            From::Ids(ids.into())
        };
        Ok(Self { dynamo, filter, from })
    }

    /// The next candidates that match, of about `some` that are looked at; `None`: that was all.
    pub(crate) async fn next(
        &mut self,
        some: usize,
    ) -> Result<Option<Vec<(u64, Row)>>, QueueError> {
        let ids: Vec<JobId> = match &mut self.from {
            From::Ids(ids) => ids.drain(..ids.len().min(some)).collect(),
            From::Walk(walk) => walk.next(some).await?.into_iter().map(|(_, id)| id).collect(),
        };
        if ids.is_empty() {
            return Ok(None);
        }
        let mut rows = self.dynamo.db.rows(&ids).await?;
        let rows = ids.iter().filter_map(|id| rows.remove(id));
        Ok(Some(rows.filter(|(_, row)| matches(self.filter, row)).collect()))
    }
}
