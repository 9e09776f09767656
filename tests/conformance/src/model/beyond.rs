//! What a walk does beyond the plain queue: flows, cells, ends to be told, jobs taken by name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::broker::{Store, Taken};
use flotilla_core::cells::{Cell, CellWrite};
use flotilla_core::flow::Until;
use flotilla_core::ids::{Fence, JobId, WorkerId};
use flotilla_core::queue::{Claimed, Claims, LaneDemand, NewJob, Settlement, Verdict};

use super::{KINDS, LANES, Walk};
use crate::compare::same;
use crate::flow::AT_ONCE;
use crate::scene::{LEASE, Scene, secs};

/// The children that these outcomes start.
pub(super) fn children_of(done: &[Settlement]) -> Vec<NewJob> {
    let of = |one: &Settlement| match &one.verdict {
        Verdict::Await { children, .. } => children.clone(),
        _ => Vec::new(),
    };
    done.iter().flat_map(of).collect()
}

impl Walk {
    /// What the model gives of what the backend gave: each job must be there to be taken.
    pub(super) async fn taken(&self, demands: &[LaneDemand], given: &[Claimed]) -> Claims {
        let nothing: Vec<LaneDemand> =
            demands.iter().map(|demand| LaneDemand { slots: 0, ..demand.clone() }).collect();
        let mut claims = self.ours.claims_by("first", &nothing).await;
        let of = |job: &Claimed| {
            let known = self.known.iter().rev().find(|known| known.id == job.held.id);
            known.unwrap_or_else(|| panic!("nobody made {} ({})", job.held.id, self.at)).clone()
        };
        let jobs: Vec<NewJob> = given.iter().map(of).collect();
        let worker = WorkerId::new("first");
        let taken = self.model.take(&jobs, false, &worker, LEASE, self.ours.now()).await;
        for (job, answer) in jobs.iter().zip(taken.expect("take works")) {
            match answer {
                Taken::Claimed(claimed) => claims.jobs.push(*claimed),
                other => panic!("{} was given, the model says {other:?} ({})", job.id, self.at),
            }
        }
        claims
    }

    /// Some children, new ones or the same again, and something to wait for.
    pub(super) fn wait_for_some(&self, parent: &Claimed) -> Verdict {
        let names = self.some(&["a", "b", "c"]);
        let children = names
            .into_iter()
            .map(|name| {
                let wait = if self.below(3) == 0 { self.secs_below(20) } else { Duration::ZERO };
                NewJob {
                    kind: self.pick(&KINDS),
                    lane: self.pick(&LANES),
                    run_at: self.ours.later(wait),
                    order: (self.ordering && self.below(4) == 0).then(|| "k".to_owned()),
                    deadline: (self.below(5) == 0).then(|| self.ours.later(wait + secs(20))),
                    max_attempts: 1,
                    ..self.ours.child(parent, name)
                }
            })
            .collect();
        let quorum = Until::quorum(2, 3);
        let until = self.pick(&[Until::all(), Until::any(), Until::all_ended(), quorum, AT_ONCE]);
        Verdict::Await { children, until }
    }

    /// The job at the top of the flow that this one is in.
    fn family(&self, id: JobId) -> JobId {
        let parent = self.known.iter().find(|job| job.id == id).and_then(|job| job.parent.as_ref());
        parent.map_or(id, |parent| self.family(parent.id))
    }

    /// Of each flow one: what the end of one means to another in the same call is left open.
    pub(super) fn one_of_each_family<T>(&self, some: Vec<T>, id: impl Fn(&T) -> JobId) -> Vec<T> {
        let mut seen = BTreeMap::new();
        let first = |one: &T| {
            let id = id(one);
            *seen.entry(self.family(id)).or_insert(id) == id
        };
        some.into_iter().filter(first).collect()
    }

    pub(super) fn some_parents(&self) -> Vec<JobId> {
        let parents: Vec<JobId> =
            self.known.iter().filter_map(|job| job.parent.as_ref()).map(|p| p.id).collect();
        match parents.is_empty() {
            true => vec![JobId::derived("nobody")],
            false => vec![self.pick(&parents), self.pick(&parents)],
        }
    }

    /// Changes of a few cells: with the version that was read, with another one, with none.
    pub(super) async fn cells(&mut self) {
        let keys = ["a/1", "a/2", "b/1"].map(str::to_owned);
        let (key, how) = (self.pick(&keys), self.below(4));
        let value = Bytes::from(format!("{}", self.below(9)));
        let expires_at = (self.below(3) == 0).then(|| self.ours.later(self.secs_below(20)));
        let mut answers = Vec::new();
        for s in [&self.theirs, &self.ours] {
            let cells = &s.ports.cells;
            let read = cells.read(&keys, s.now()).await.expect("cells are read");
            let mine =
                keys.iter().zip(&read).find(|(k, _)| **k == key).and_then(|(_, c)| c.clone());
            let version = mine.map_or(0, |cell| cell.version);
            let (expect, value) = match how {
                0 => (version + 1000, Some(value.clone())),
                1 => (version, None),
                _ => (version, Some(value.clone())),
            };
            let change = CellWrite { key: key.clone(), expect, value, expires_at };
            let again = CellWrite { expect: 0, ..change.clone() };
            let done = cells.write(&[change, again], s.now()).await.expect("cells are written");
            let listed = cells.list("a/", None, 10, s.now()).await.expect("cells are listed");
            let plain = |cell: Cell| (cell.value, cell.expires_at);
            let read: Vec<_> = read.into_iter().map(|cell| cell.map(plain)).collect();
            let listed: Vec<_> = listed.into_iter().map(|(key, cell)| (key, plain(cell))).collect();
            answers.push((read, done, listed));
        }
        same(&self.at, "cells", &answers[0], &answers[1]);
    }

    /// The same ends are untold; a part of them is told.
    pub(super) async fn tell(&mut self) {
        let untold = async |s: &Scene| -> BTreeSet<(JobId, Fence)> {
            s.untold().await.into_iter().map(|end| (end.record.id, end.fence)).collect()
        };
        let (theirs, ours) = (untold(&self.theirs).await, untold(&self.ours).await);
        let names = |ends: &BTreeSet<(JobId, Fence)>| ends.iter().map(|e| e.0).collect::<Vec<_>>();
        same(&self.at, "untold", names(&theirs), names(&ours));
        assert!(self.telling || ours.is_empty(), "nothing is marked ({})", self.at);
        let told: BTreeSet<JobId> = self.some(&names(&ours)).into_iter().collect();
        for (s, ends) in [(&self.theirs, theirs), (&self.ours, ours)] {
            let ends: Vec<_> = ends.into_iter().filter(|(id, _)| told.contains(id)).collect();
            s.told(&ends).await;
        }
    }
}
