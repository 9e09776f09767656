//! Telling others that jobs have ended. The record itself is the outbox: an end that was not yet
//! told is marked so in the transaction that ended the job, whatever ended it (an outcome, a
//! rescue, a deadline, a cancel by hand). So an event is neither lost nor invented.

use async_trait::async_trait;

use crate::ids::{Fence, JobId};
use crate::queue::QueueError;
use crate::records::JobRecord;

/// A job that has ended and of which nobody has been told.
#[derive(Clone, Debug, PartialEq)]
pub struct Untold {
    /// As it ended.
    pub record: JobRecord,
    /// Its fence at that moment: a replay raises it, so the job ends again under a higher one.
    pub fence: Fence,
}

/// Ends not yet told. A backend marks them only while it is opened with events on, and prunes no
/// record before its end was told.
#[async_trait]
pub trait Outbox: Send + Sync + std::fmt::Debug {
    /// Ends not yet told, earliest first, at most `limit` (1,000).
    async fn untold(&self, limit: usize) -> Result<Vec<Untold>, QueueError>;

    /// These ends have been told. One whose job was replayed since is left alone.
    async fn told(&self, ends: &[(JobId, Fence)]) -> Result<(), QueueError>;
}
