//! Checkpoints of one job: read before the attempt, kept as the handler names them.

use bytes::Bytes;
use flotilla_core::{JobContext, JobError};
use serde_json::{Map, Value};

/// Most steps of one job.
pub(crate) const MOST: usize = 100;
/// Longest name of a step, in bytes.
const MAX_NAME: usize = 200;

/// The steps of one job.
#[derive(Debug)]
pub(crate) struct Steps(Map<String, Value>);

impl Steps {
    /// What earlier attempts have kept.
    ///
    /// # Errors
    /// A snooze while the ledger cannot be reached.
    pub(crate) async fn of(cx: &JobContext) -> Result<Self, JobError> {
        cx.kept(MOST).await.map(Self)
    }

    pub(crate) fn kept(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Keeps one more, or a step's newer state.
    ///
    /// # Errors
    /// `invalid` over the bounds; a snooze while the ledger cannot be reached.
    pub(crate) async fn keep(
        &mut self,
        step: &str,
        data: Value,
        cx: &JobContext,
    ) -> Result<(), JobError> {
        if step.is_empty() || step.len() > MAX_NAME {
            return Err(JobError::invalid(format!(
                "a checkpoint's step is a name of 1 to {MAX_NAME} bytes; this one has {}",
                step.len()
            )));
        }
        if self.0.len() >= MOST && !self.0.contains_key(step) {
            return Err(JobError::invalid(format!(
                "a job keeps at most {MOST} checkpoints; give a step that moves on one name"
            )));
        }
        cx.keep(step, &data).await?;
        self.0.insert(step.to_owned(), data);
        Ok(())
    }
}

/// A result as it is recorded.
///
/// # Errors
/// Never for what was read from JSON.
pub(crate) fn encoded(result: &Value) -> Result<Bytes, JobError> {
    serde_json::to_vec(result).map(Bytes::from).map_err(JobError::retry)
}
