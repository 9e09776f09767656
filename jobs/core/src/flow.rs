//! Flows: a job that starts children and goes on when they have ended.
//!
//! The parent settles as *awaiting*: its children are made in the same transaction, so they exist
//! if and only if it waits for them. Each child that ends is counted on the parent, once, in the
//! transaction of its own end; the one that completes the count makes the parent available again.
//! Two children that end at the same moment on two replicas are ordered by that count, so the
//! parent goes on exactly once. When a parent ends, children that have not ended are cancelled, all
//! the way down; their ends are counted all the same, so that a parent put back later finds none to
//! wait for. The record of a child stays at least until its parent has ended.
//!
//! A child that cannot be made (its payload is over the bound) has failed before it could begin.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::ids::JobId;
use crate::state::{DeadClass, State};

/// Whose child a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The job that awaits it.
    pub id: JobId,
    /// What the parent calls it; one child of each name. 1 to 64 bytes.
    pub name: String,
    /// How far down the tree: 1 for a child of a job without parent.
    pub depth: u16,
}

/// When a waiting parent goes on. It also goes on when no child is left to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Until {
    /// So many children have completed …
    pub successes: u32,
    /// … or so many were cancelled or are dead.
    pub failures: u32,
}

/// Why a parent is parked.
pub const WAITS_FOR_CHILDREN: &str = "waits for its children";
/// Why the children of a job that has ended are cancelled.
pub const FLOW_ENDED: &str = "its flow has ended";
/// Why a job is parked behind another one of its ordering key.
pub const WAITS_IN_LINE: &str = "waits for an earlier job of its ordering key";

/// The key a job is parked under behind an unfinished one of its ordering key.
pub fn line_of(order: &str) -> String {
    format!("order:{order}")
}

/// No such number of children can be reached. Fits a signed 32-bit column.
const NEVER: u32 = i32::MAX as u32;

impl Until {
    /// All have ended, however.
    pub fn all_ended() -> Self {
        Self { successes: NEVER, failures: NEVER }
    }

    /// All have completed, or one has failed.
    pub fn all() -> Self {
        Self { successes: NEVER, failures: 1 }
    }

    /// One has completed, or all have failed.
    pub fn any() -> Self {
        Self { successes: 1, failures: NEVER }
    }

    /// `wanted` of `children` have completed, or so many have failed that they cannot any more.
    pub fn quorum(wanted: u32, children: u32) -> Self {
        Self {
            successes: wanted.max(1),
            failures: children.saturating_sub(wanted).saturating_add(1),
        }
    }
}

/// How the children of a job stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Children there are.
    pub children: u32,
    /// Completed ones.
    pub succeeded: u32,
    /// Cancelled and dead ones.
    pub failed: u32,
    /// What the parent waits for.
    pub until: Until,
}

impl Flow {
    /// Whether the parent may go on.
    pub fn is_ready(&self) -> bool {
        self.succeeded >= self.until.successes
            || self.failed >= self.until.failures
            || self.succeeded.saturating_add(self.failed) >= self.children
    }

    /// The key a parent is parked under while it waits.
    pub fn key(parent: JobId) -> String {
        format!("flow:{parent}")
    }
}

/// A child to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// What the parent calls it.
    pub name: String,
    /// What to run. Its id and its unique key are ignored: a child is named by its parent.
    pub envelope: Envelope,
}

impl Child {
    /// The id of the child `name` of `parent`: starting it twice is starting it once.
    pub fn id(parent: JobId, name: &str) -> JobId {
        JobId::derived(&format!("{parent}/{name}"))
    }
}

/// A child as its parent sees it when it goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildEnd {
    /// What the parent calls it.
    pub name: String,
    /// Its id.
    pub id: JobId,
    /// Where it stands; it need not have ended.
    pub state: State,
    /// Why it is dead.
    pub class: Option<DeadClass>,
    /// Its result, JSON, once completed.
    pub result: Option<Bytes>,
    /// The text of its last error.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(until: Until, children: u32, succeeded: u32, failed: u32) -> bool {
        Flow { children, succeeded, failed, until }.is_ready()
    }

    #[test]
    fn all_wait_for_every_child_and_stop_at_the_first_failure() {
        assert!(!ready(Until::all(), 3, 2, 0));
        assert!(ready(Until::all(), 3, 3, 0));
        assert!(ready(Until::all(), 3, 0, 1));
        assert!(!ready(Until::all_ended(), 3, 1, 1));
        assert!(ready(Until::all_ended(), 3, 1, 2));
    }

    #[test]
    fn any_and_quorum_go_on_as_soon_as_it_is_decided() {
        assert!(ready(Until::any(), 3, 1, 0));
        assert!(!ready(Until::any(), 3, 0, 2));
        assert!(ready(Until::any(), 3, 0, 3));
        assert!(!ready(Until::quorum(2, 3), 3, 1, 1));
        assert!(ready(Until::quorum(2, 3), 3, 2, 0));
        assert!(ready(Until::quorum(2, 3), 3, 0, 2));
    }

    #[test]
    fn no_children_is_nothing_to_wait_for() {
        assert!(ready(Until::all(), 0, 0, 0));
    }

    #[test]
    fn a_child_is_named_by_its_parent() {
        let parent = JobId::derived("p");
        assert_eq!(Child::id(parent, "a"), Child::id(parent, "a"));
        assert_ne!(Child::id(parent, "a"), Child::id(parent, "b"));
    }
}
